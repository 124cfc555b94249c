"""What several tests of files share."""

import errno
import os

import pytest


@pytest.fixture(params=["fsync", "replace"])
def full_disk(request, monkeypatch):
    """A disk that fails as late as it can: when a file is flushed to it, or takes its place."""

    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, request.param, fail)
