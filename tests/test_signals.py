import os
import signal
import threading

import pytest

from lorair_cli.signals import interrupted_at_once, stop_requested


def test_nothing_was_asked_at_first():
    with stop_requested() as stop:
        assert not stop()


def test_handlers_are_put_back_even_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    try:
        with stop_requested() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop()
            raise ValueError
    except ValueError:
        pass
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wait_ends_at_once(number):
    with stop_requested() as stop:
        before = signal.getsignal(number)
        with pytest.raises(KeyboardInterrupt), interrupted_at_once():
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is before and not stop()


def test_a_second_sigterm_is_patient():
    with stop_requested() as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop()


def test_other_threads_can_train_too():
    answers = []

    def work():
        with stop_requested() as stop:
            answers.append(stop())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [False]
