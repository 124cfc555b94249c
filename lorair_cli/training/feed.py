"""Batches in a fixed order, made by worker processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from lorair_cli.data.pairs import Sample
from lorair_cli.errors import TrainingError
from lorair_cli.signals import leave_signals_to_the_main_process

PREFETCH = 4
"""Batches that each worker makes ahead."""


class WorkerDiedError(RuntimeError):
    """A process that made batches is gone, most often for want of memory."""


class Batches(Dataset["Sample | TrainingError"]):
    """Whole batches, indexed by step: the data of a step does not depend on who makes it, or when."""

    def __init__(self, samples: Dataset[Sample], photos: int, rank: int = 0, processes: int = 1) -> None:
        self.samples, self.photos = samples, photos
        self.first, self.share = rank * photos // processes, photos // processes

    def __getitem__(self, step: int) -> Sample | TrainingError:
        """This process's share of the samples of ``step``, stacked along a leading dimension; or why there are none.

        The error is returned: raised in a worker, it would arrive as a traceback in place of its one line.
        """
        try:
            first = step * self.photos + self.first
            samples = [self.samples[i] for i in range(first, first + self.share)]
        except TrainingError as error:
            return error
        return Sample(*(torch.stack(field) for field in zip(*samples, strict=True)))


def feed(
    batches: Batches, steps: range, workers: int, device: torch.device
) -> Generator[Sample | TrainingError, None, None]:
    """The batches of ``steps``, in order, on ``device``.

    A photo that cannot be read is an error in the batch's place, with the photo's name: other processes must hear of it
    before it is raised.

    Args:
        batches: what to make.
        steps: which; may be far longer than anybody will ask for.
        workers: processes that make them; with 0 the caller's process does.
        device: where the network is.

    Raises:
        WorkerDiedError: a worker ended before it was told to.
    """
    loader: DataLoader[Sample | TrainingError] = DataLoader(
        batches,
        batch_size=None,
        sampler=steps,  # type: ignore[arg-type]  # any sized iterable of indices will do
        num_workers=workers,
        worker_init_fn=_start_worker,
        prefetch_factor=PREFETCH if workers else None,
        pin_memory=device.type == "cuda",
    )
    made = _asked_only(loader)
    try:
        for batch in _while_workers_live(made):
            if isinstance(batch, TrainingError):
                yield batch
            else:
                yield Sample(*(field.to(device, non_blocking=True) for field in batch))
    finally:
        _send_home(made)


def _while_workers_live(batches: Iterator[Sample | TrainingError]) -> Iterator[Sample | TrainingError]:
    """``batches``, with one error for every way of losing a worker.

    A batch travels as a handle to shared memory that its worker gives out when asked. One that dies in between hangs
    up, and for a moment torch still takes it for alive and lets the broken connection through as it is.
    """
    try:
        yield from batches
    except (EOFError, ConnectionError) as error:
        raise WorkerDiedError("the connection to a worker broke") from error
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):  # a worker's own RuntimeError names its worker without a pid
            raise
        raise WorkerDiedError(str(error)) from error


def _asked_only(loader: DataLoader[Sample | TrainingError]) -> Iterator[Sample | TrainingError]:
    """``loader``'s iterator, which tells of a dead worker when a batch is asked for and at no other time.

    Torch also lets the signal of a dying worker raise wherever the main process happens to be: in the middle of a
    weight update, or of telling about the first error. The question, asked every few seconds, finds it as surely.
    """
    own = hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGCHLD) if own else None
    batches: Iterator[Sample | TrainingError] = iter(loader)
    if own:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if before is None else before)
    return batches


def _send_home(batches: Iterator[Sample | TrainingError]) -> None:
    """End the workers now, not when ``batches`` is collected.

    The traceback of an error keeps it for longer, perhaps until the program ends; by then its queues are gone, nobody
    tells the workers, which heed no signal, and the program waits for them without end. Torch has no public way.
    """
    shut_down: Callable[[], None] | None = getattr(batches, "_shutdown_workers", None)
    if shut_down is not None:  # there are workers
        shut_down()


def _start_worker(worker: int) -> None:
    """The cores belong to the network; a worker that spreads over them, or pushes it off one, only slows it."""
    if hasattr(os, "nice"):
        os.nice(5)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    leave_signals_to_the_main_process()
