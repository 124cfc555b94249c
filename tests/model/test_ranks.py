import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorair_cli.model.ranks import at_rank, with_room


def products(experts, name="conv"):
    return experts[f"{name}.expert_b"] @ experts[f"{name}.expert_a"]


def experts(rank, *, kernel=1, into=7, out=9, n=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "conv.expert_a": torch.randn(n, rank * kernel, into * kernel, generator=generator),
        "conv.expert_b": torch.randn(n, out * kernel, rank * kernel, generator=generator),
    }


@settings(deadline=None, max_examples=40)
@given(
    had=st.integers(1, 12),
    rank=st.integers(1, 12),
    kernel=st.integers(1, 3),
    into=st.integers(1, 8),
    out=st.integers(1, 8),
    seed=st.integers(0, 99),
)
def test_no_expert_of_the_rank_is_nearer(had, rank, kernel, into, out, seed):
    given = experts(had, kernel=kernel, into=into, out=out, seed=seed)
    changed = at_rank(given, had, rank)
    assert changed["conv.expert_a"].shape == (2, rank * kernel, into * kernel)
    assert changed["conv.expert_b"].shape == (2, out * kernel, rank * kernel)
    whole = products(given).double()
    values = torch.linalg.svdvals(whole)
    missing = values[:, rank * kernel :].square().sum(1).sqrt()  # Eckart and Young: the least that can be missing
    distance = (whole - products(changed).double()).flatten(1).norm(dim=1)
    torch.testing.assert_close(distance, missing, rtol=1e-4, atol=1e-4)


def test_what_is_no_experts_is_left_out():
    tensors = experts(2) | {"conv.weight": torch.ones(3)}
    assert at_rank(tensors, 2, 1).keys() == {"conv.expert_a", "conv.expert_b"}


@pytest.mark.parametrize("kernel", [1, 3])
def test_with_room_nothing_changes_and_everything_can_learn(kernel):
    small, new = experts(2, kernel=kernel), experts(5, kernel=kernel, seed=1)
    new["conv.expert_b"] = torch.zeros_like(new["conv.expert_b"])
    grown = with_room(small, new, 2, 5)
    torch.testing.assert_close(products(grown), products(small))
    a, b = (grown[f"conv.expert_{x}"].requires_grad_() for x in "ab")
    torch.manual_seed(2)
    ((b @ a) * torch.randn(b.shape[0], b.shape[1], a.shape[2])).sum().backward()
    assert (b.grad.abs().amax(dim=(0, 1)) > 0).all(), "every column of B has a gradient"
