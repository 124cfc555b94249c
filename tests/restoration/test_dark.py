import pytest
from diagnoses import sees

from lorair_cli.restoration.checks import LIKELIER_THAN_NOTHING, REPAIRED, UNCLEAR
from lorair_cli.restoration.dark import BRIGHTENED, LIKELY_DARK, PERHAPS_DARK, REVEALED, may_be_dark, was_dark


@pytest.mark.parametrize(
    ("seen", "dark"),
    [
        ({"shadow": UNCLEAR - 0.01, "low-light": PERHAPS_DARK}, True),
        ({"shadow": UNCLEAR - 0.01, "low-light": PERHAPS_DARK - 0.01}, False),
        ({"shadow": UNCLEAR, "low-light": 0.2}, False),
        ({"jpeg": 0.4, "low-light": 0.3}, False),
        ({"jpeg": 0.3, "low-light": 0.4}, False),
    ],
)
def test_what_is_unclear_and_not_untouched_may_be_dark(seen, dark):
    assert may_be_dark(sees(**seen), "jpeg") == dark


NOTHING_WRONG = 0.15


@pytest.mark.parametrize(
    ("low", "left", "blur", "dark"),
    [
        (LIKELY_DARK, BRIGHTENED - 0.01, 0.2, True),
        (NOTHING_WRONG * LIKELIER_THAN_NOTHING + 0.001, BRIGHTENED - 0.01, 0.2, True),
        (NOTHING_WRONG * LIKELIER_THAN_NOTHING - 0.001, BRIGHTENED - 0.01, 0.2, False),
        (LIKELY_DARK, BRIGHTENED + 0.01, 0.2, False),
        (LIKELY_DARK - 0.01, BRIGHTENED - 0.01, 0.2, False),
        (LIKELY_DARK - 0.01, REPAIRED - 0.01, REVEALED, True),
        (LIKELY_DARK - 0.01, REPAIRED + 0.01, REVEALED, False),
        (LIKELY_DARK - 0.01, REPAIRED - 0.01, REVEALED - 0.01, False),
    ],
)
def test_what_no_longer_looks_dark_or_at_last_looks_blurred_was_dark(low, left, blur, dark):
    # As likely as that nothing is wrong, or nearly, it is not enough that it goes away.
    before = sees(shadow=0.5, jpeg=0.05 if low <= LIKELY_DARK else NOTHING_WRONG, **{"low-light": low})
    assert was_dark(before, sees(blur=blur, **{"low-light": low * left}), "jpeg") == dark
