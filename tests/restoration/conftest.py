"""What several tests of restoring share."""

import math

import pytest

from lorair_cli.restoration import passes as module
from lorair_cli.restoration.restorer import Restorer


@pytest.fixture
def rules(monkeypatch):
    """Says what the rules named answer, whatever they are asked."""

    def answer(**answers):
        for rule, told in answers.items():
            monkeypatch.setattr(module, rule, lambda *_, told=told: told)

    return answer


@pytest.fixture
def looking(checkpoint_of, rules):
    """A restorer for ten degradations that judges by itself and does no more than one pass."""
    rules(finds_more=False, second_choice=None, was_imagined=False, may_be_dark=False)
    rules(least_sharpening_instead=math.inf, may_be_scratched=False, may_be_rainy=False, may_hide_rain=False)
    return Restorer(checkpoint_of("10task"), device="cpu", precision="float32")
