import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorair_cli.model.routing import Routing, convinced, mixture_weights

rows = st.integers(1, 10).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.floats(-20, 20, width=32), min_size=n, max_size=n), min_size=1, max_size=4),
        st.integers(1, n),
    )
)


@given(rows)
@settings(max_examples=200, deadline=None)
def test_mixture_weights_are_a_softmax_over_the_k_best(case):
    logits, k = torch.tensor(case[0]), case[1]
    mixture = mixture_weights(logits, k)
    assert mixture.shape == logits.shape and mixture.dtype == torch.float32
    torch.testing.assert_close(mixture.sum(-1), torch.ones(len(logits)))
    for row, weights in zip(logits.double(), mixture.double(), strict=True):
        kept = weights > 0
        assert kept.sum() == k
        if k < len(row):
            assert row[kept].min() >= row[~kept].max()
        expected = row[kept].exp() / row[kept].exp().sum()
        torch.testing.assert_close(weights[kept], expected, rtol=1e-4, atol=1e-7)


@given(rows, st.floats(-50, 50, width=32))
@settings(max_examples=50, deadline=None)
def test_only_differences_between_logits_count(case, shift):
    logits, k = torch.tensor(case[0]), case[1]
    spread = logits + torch.arange(logits.shape[-1]) * 100  # no ties, which a shift could break
    torch.testing.assert_close(mixture_weights(spread + shift, k), mixture_weights(spread, k), rtol=1e-3, atol=1e-4)


def test_top_1_is_one_hot_and_top_n_is_the_softmax():
    logits = torch.tensor([[0.1, 2.0, -1.0]])
    assert mixture_weights(logits, 1).tolist() == [[0.0, 1.0, 0.0]]
    torch.testing.assert_close(mixture_weights(logits, 3), logits.softmax(-1))


def test_half_precision_logits_give_float32_weights():
    mixture = mixture_weights(torch.randn(4, 6).bfloat16(), 3)
    assert mixture.dtype == torch.float32
    torch.testing.assert_close(mixture.sum(-1), torch.ones(4))


@pytest.mark.parametrize("k", [-1, 0, 4])
def test_k_outside_1_to_n_is_refused(k):
    with pytest.raises(ValueError, match=f"top-k {k} is outside 1 to 3"):
        mixture_weights(torch.zeros(3), k)


def test_routing_names_the_experts_strongest_first():
    logits = torch.tensor([0.5, 3.0, -2.0, 1.0])
    routing = Routing(logits, torch.zeros(2), mixture_weights(logits, 3))
    assert routing.selected == [1, 3, 0]
    assert routing.probabilities.sum() == pytest.approx(1)
    assert routing.probabilities.argmax() == 1 and (routing.probabilities > 0).all()


@pytest.mark.parametrize("n", [2, 10, 40])
def test_of_equal_logits_the_first_is_chosen_as_a_diagnosis_does(n):
    logits = torch.zeros(n)
    assert mixture_weights(logits, 1).tolist() == [1.0] + [0.0] * (n - 1)
    logits[-2:] = 3.0
    assert mixture_weights(logits, 1)[-2] == 1


def _head(seed: int, classes: int = 5, prior: int = 8) -> torch.nn.Linear:
    torch.manual_seed(seed)
    return torch.nn.Linear(prior, classes)


@given(st.integers(0, 200), st.sets(st.integers(0, 4), min_size=1, max_size=4), st.floats(0.5, 8))
@settings(max_examples=60, deadline=None)
@torch.no_grad()
def test_a_convinced_prior_puts_the_named_degradations_ahead_of_all_others(seed, named, lead):
    head, named = _head(seed), sorted(named)
    prior, others = torch.randn(8), [j for j in range(5) if j not in named]
    before = head(prior)
    found = convinced(prior, head, named, lead)
    after = head(found)
    if before[named].min() > before[others].max():
        assert found is prior, "the router agrees"
    else:
        assert after[named].min() >= after[others].max() + lead - 0.01


@torch.no_grad()
def test_naming_every_degradation_moves_nothing():
    prior = torch.randn(8)
    assert convinced(prior, _head(1), range(5)) is prior


@pytest.mark.parametrize("named", [[2], [0, 4]])
@torch.no_grad()
def test_no_nearer_prior_would_do(named):
    head, prior = _head(7), torch.randn(8)
    found = convinced(prior, head, named, 3.0)
    assert found is not prior
    others = [j for j in range(5) if j not in named]
    generator = np.random.default_rng(0)
    weight, bias = head.weight.numpy(), head.bias.numpy()
    feasible = 0
    for size in (0.01, 0.1, 1.0):
        for step in generator.normal(0, size, (3000, 8)):
            logits = weight @ (found.numpy() + step) + bias
            if logits[named].min() >= logits[others].max() + 3.0:
                feasible += 1
                assert np.linalg.norm(found.numpy() + step - prior.numpy()) > (found - prior).norm() - 1e-2
    assert feasible > 100


@torch.no_grad()
def test_a_head_that_cannot_be_convinced_leaves_the_prior():
    head, prior = _head(3), torch.randn(8)
    head.weight[1] = (head.weight[0] + head.weight[2]) / 2  # never ahead of both
    head.bias[1] = (head.bias[0] + head.bias[2]) / 2
    assert convinced(prior, head, [1]) is prior
