import multiprocessing

import pytest
import torch
from torch.utils.data import Dataset

from lorair_cli.training.feed import WorkerDiedError, feed


def hang_up(error):
    raise error


class HangsUp:
    """A batch that cannot be fetched: what the main process meets when the worker died after it had sent the handle."""

    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        return hang_up, (self.error,)


class Broken(Dataset):
    """Its batches hang up with ``error``, or with ``own`` fail in the worker itself."""

    def __init__(self, error, own=False):
        self.error, self.own = error, own

    def __getitem__(self, step):
        return hang_up(self.error) if self.own else HangsUp(self.error)


@pytest.mark.parametrize("error", [EOFError(), ConnectionResetError(104, "Connection reset by peer")])
def test_a_worker_that_dies_before_its_batch_is_fetched_has_died(error):
    with pytest.raises(WorkerDiedError) as caught:
        list(feed(Broken(error), range(3), 1, torch.device("cpu")))
    assert isinstance(caught.value.__cause__, type(error))
    # Though the traceback in hand still holds the loader: at the end of the program nobody would tell them any more.
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_making_a_batch_is_not_taken_for_a_dead_worker(workers):
    with pytest.raises(RuntimeError, match="of its own") as caught:
        list(feed(Broken(RuntimeError("of its own"), own=True), range(3), workers, torch.device("cpu")))
    assert not isinstance(caught.value, WorkerDiedError)
