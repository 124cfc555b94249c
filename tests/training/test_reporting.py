import pytest

from lorair_cli.training import reporting
from lorair_cli.training.reporting import Every, duration, progress_line


def test_every_answers_yes_once_in_a_while(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(reporting.time, "monotonic", lambda: now[0])
    at_once, later = Every(10), Every(10, 10)
    answers = []
    for now[0] in (100.0, 105.0, 109.9, 110.0, 119.0, 125.0):
        answers.append((at_once(), later()))
    assert [a for a, _ in answers] == [True, False, False, True, False, True]
    assert [b for _, b in answers] == [False, False, False, True, False, True]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3000, "50 min"), (5400, "1 h 30 min"), (3 * 3600 + 290, "3 h 05 min")],
)
def test_durations_are_said_as_people_do(seconds, said):
    assert duration(seconds) == said


def test_a_line_of_progress_holds_everything():
    line = progress_line("pretrain", 0.5, -23.4567, 12.34, 600)
    assert all(part in line for part in ("pretrain", "50.0%", "-23.4567", "12.3 photos/s", "10 min left"))
