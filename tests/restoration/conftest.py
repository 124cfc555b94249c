"""What several tests of restoring share."""

import math

import pytest

from lorair_cli.restoration import passes as module
from lorair_cli.restoration.restorer import Restorer


@pytest.fixture
def looking(checkpoint_of, monkeypatch):
    """A restorer for ten degradations that judges by itself and does no more than one pass."""
    rules = {"finds_more": False, "second_choice": None, "was_imagined": False, "may_be_dark": False}
    for rule, answer in rules.items():
        monkeypatch.setattr(module, rule, lambda *_, answer=answer: answer)
    monkeypatch.setattr(module, "least_sharpening_instead", lambda before: math.inf)
    monkeypatch.setattr(module, "may_be_scratched", lambda before: False)
    return Restorer(checkpoint_of("10task"), device="cpu", precision="float32")
