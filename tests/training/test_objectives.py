import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from lorair_cli.data.pairs import Sample
from lorair_cli.model.config import CompactEncoderConfig, NetworkConfig, RouterConfig
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import Router
from lorair_cli.model.routing import mixture_weights
from lorair_cli.training.objectives import (
    CERTAIN_STRENGTH,
    RestorationObjective,
    RouterObjective,
    RouterTrainee,
    faded_target,
    nothing_in_particular,
    psnr_loss,
    to_unit,
)

N, EPSILON = 3, 1e-5


def batch(photos=4, patches=2, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def pixels(*shape):
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    return Sample(
        views=pixels(photos, 3, 3, 16, 16),
        label=torch.arange(photos) % N,
        strength=torch.linspace(0, 1, photos),
        lq=pixels(photos, patches, 3, 16, 16),
        gt=pixels(photos, patches, 3, 16, 16),
        key=torch.full((photos,), -1),
        second=torch.full((photos,), -1),
        second_strength=torch.zeros(photos),
    )


def router():
    torch.manual_seed(1)
    return Router(RouterConfig(CompactEncoderConfig(view=16, stem=2, widths=(8,), blocks=(1,), features=16), N))


class Guide(torch.nn.Module):
    """A router that has its answers ready: five photos, two of three experts."""

    logits = torch.tensor([[0.0, 1.0, 0.5], [2.0, 0.0, 1.0], [0.0, 1.5, 1.0], [0.5, 3.0, 0.0], [1.0, 0.0, 0.2]])

    def features(self, views):
        return torch.zeros(len(views), 1)

    def decide(self, features):
        prior = torch.randn(len(features), 8, generator=torch.Generator().manual_seed(3))
        return prior, self.logits[: len(features)]


def network(experts=N):
    torch.manual_seed(2)
    config = NetworkConfig(
        width=4,
        encoder_blocks=(1,),
        decoder_blocks=(1,),
        prior_channels=8,
        modulator_channels=4,
        experts=experts,
        rank=2,
    )
    made = RestorationNetwork(config)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)  # what starts at zero would hide its neighbours
    return made


def gradients(module):
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


@given(scale=st.floats(0.01, 1.0), seed=st.integers(0, 100))
def test_the_psnr_loss_is_the_negative_psnr(scale, seed):
    rng = np.random.default_rng(seed)
    gt = rng.random((2, 3, 8, 8)).astype(np.float32)
    restored = (gt + scale * rng.standard_normal(gt.shape)).astype(np.float32)
    loss = psnr_loss(torch.from_numpy(restored), torch.from_numpy(gt), 0.0)
    truth = [peak_signal_noise_ratio(g, r, data_range=1) for g, r in zip(gt, restored, strict=True)]
    np.testing.assert_allclose(loss, -np.array(truth), atol=1e-4)


def test_epsilon_bounds_the_psnr_loss():
    photo = torch.rand(1, 3, 8, 8)
    assert float(psnr_loss(photo, photo, 1e-4)) == pytest.approx(-40)


def test_targets_fade_to_nothing_in_particular():
    label = torch.tensor([2, 2, 0, 1])
    strength = torch.tensor([0.0, CERTAIN_STRENGTH / 2, CERTAIN_STRENGTH, 1.0])
    target = faded_target(label, strength, nothing_in_particular(4))
    expected = [[0.25] * 4, [0.125, 0.125, 0.625, 0.125], [1, 0, 0, 0], [0, 1, 0, 0]]
    torch.testing.assert_close(target, torch.tensor(expected, dtype=torch.float32))


def test_the_label_of_an_untouched_photo_may_lean_to_one_degradation():
    nothing = nothing_in_particular(4, 1)
    assert float(nothing.sum()) == pytest.approx(1) and int(nothing.argmax()) == 1 and float(nothing[1]) < 0.6
    assert len({float(p) for p in nothing[[0, 2, 3]]}) == 1
    target = faded_target(torch.tensor([2, 2]), torch.tensor([0.0, 1.0]), nothing)
    torch.testing.assert_close(target, torch.stack([nothing, torch.tensor([0.0, 0.0, 1.0, 0.0])]))


@torch.no_grad()
def test_a_router_learns_with_the_logits_that_it_decides_by():
    trainee = RouterTrainee(router()).eval()
    views = to_unit(batch(photos=2).views)
    with torch.autocast("cpu", torch.bfloat16):
        logits, _, prior = trainee(views)
        expected = trainee.router(views)
    assert logits.dtype == prior.dtype == torch.float32
    assert torch.equal(prior, expected[0]) and torch.equal(logits, expected[1])


def test_untouched_photos_are_taught_as_what_the_recipe_names(accelerator):
    trainee = RouterTrainee(router()).eval()
    samples = batch(photos=2)._replace(strength=torch.zeros(2), second=torch.tensor([-1, -1]))
    loss = RouterObjective(trainee, untouched_as=1).backward(samples, accelerator)
    with torch.no_grad():
        logits, strength, _ = trainee(to_unit(samples.views))
    entropy = torch.nn.functional.cross_entropy(logits, nothing_in_particular(N, 1).expand(2, N))
    torch.testing.assert_close(loss, entropy + 2 * strength.square().mean())


def test_a_small_hole_is_taught_as_a_hole_and_none_as_nothing(accelerator):
    trainee = RouterTrainee(router()).eval()
    samples = batch(photos=3)._replace(
        label=torch.tensor([1, 1, 0]), strength=torch.tensor([0.01, 0.0, 0.01]), second=torch.tensor([-1, -1, 1])
    )
    samples = samples._replace(second_strength=torch.tensor([0.0, 0.0, 0.02]))
    target = torch.full((3, N), 1 / N)
    target[0] = torch.eye(N)[1]
    mild = faded_target(torch.tensor([0]), torch.tensor([0.01]), nothing_in_particular(N))[0]
    target[2] = (mild + torch.eye(N)[1]) / 2
    loss = RouterObjective(trainee, holes=1).backward(samples, accelerator)
    with torch.no_grad():
        logits, strength, _ = trainee(to_unit(samples.views))
    strongest = torch.tensor([0.01, 0.0, 0.02])
    expected = torch.nn.functional.cross_entropy(logits, target) + 2 * (strength - strongest).square().mean()
    torch.testing.assert_close(loss, expected)


def test_a_head_alone_learns_and_the_prior_stays_to_the_last_bit(accelerator):
    whole = router()
    whole.requires_grad_(False)
    whole.head.requires_grad_(True)
    trainee, samples = RouterTrainee(whole).train(), batch(photos=6)
    before = copy.deepcopy(whole.state_dict())
    optimizer = torch.optim.Adam([p for p in trainee.parameters() if p.requires_grad], 1e-2)
    objective = RouterObjective(trainee)
    for _ in range(5):
        objective.backward(samples, accelerator)
        optimizer.step()
        optimizer.zero_grad()
    changed = {k for k, v in whole.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"head.weight", "head.bias"}, "batch statistics count as weights of the encoder"


def test_the_router_learns_label_and_strength(accelerator):
    trainee = RouterTrainee(router())
    objective, optimizer = RouterObjective(trainee), torch.optim.Adam(trainee.parameters(), 3e-3)
    samples = batch(photos=6)
    dim = torch.linspace(0.1, 1, 6)[:, None, None, None, None]  # photos of pure noise differ in nothing but brightness
    samples = samples._replace(views=(samples.views * dim).to(torch.uint8))
    losses = []
    for _ in range(60):
        losses.append(float(objective.backward(samples, accelerator)))
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0] / 3
    with torch.no_grad():
        logits, strength, _ = trainee(to_unit(samples.views))
    certain = samples.strength >= CERTAIN_STRENGTH
    assert (logits.argmax(1) == samples.label)[certain].all()
    assert float((strength - samples.strength).abs().mean()) < 0.2


@pytest.mark.parametrize("top_k", [1, 2, N])
def test_grouping_photos_by_mixture_changes_no_gradient(accelerator, top_k):
    samples, guide, net = batch(photos=5), Guide(), network()
    objective = RestorationObjective(net, guide, N, top_k, EPSILON)
    loss = objective.backward(samples, accelerator)
    grouped = gradients(net)
    net.zero_grad()
    total = 0.0
    prior, logits = guide.decide(guide.features(to_unit(samples.views)))
    for i in range(5):
        mixture = mixture_weights(logits[i : i + 1], top_k)
        for j in range(2):
            lq, gt = to_unit(samples.lq[i, j])[None], to_unit(samples.gt[i, j])[None]
            mse = (net(lq, prior[i : i + 1], mixture) - gt).square().mean()
            total = total + 10 * torch.log10(mse + EPSILON) / 10  # mean over the 5 x 2 patches
    total.backward()
    torch.testing.assert_close(loss, total.detach(), rtol=1e-4, atol=1e-5)
    alone = gradients(net)
    assert grouped.keys() == alone.keys()
    for name, gradient in alone.items():
        torch.testing.assert_close(grouped[name], gradient, rtol=1e-3, atol=1e-5 + 1e-4 * float(gradient.abs().max()))


def test_stage_1_runs_the_batch_as_one_group_and_leaves_the_router_alone(accelerator):
    guide, net = router().requires_grad_(False), network(experts=0)
    calls = []
    net.register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    loss = RestorationObjective(net, guide, 0, 1, EPSILON).backward(batch(), accelerator)
    assert calls == [4 * 2] and math.isfinite(float(loss)) and not loss.requires_grad
    assert all(p.grad is None for p in guide.parameters())
    assert all(p.grad is not None for p in net.parameters())


def test_only_the_chosen_experts_learn(accelerator):
    net = network()
    RestorationObjective(net, Guide(), N, 1, EPSILON).backward(batch(photos=5), accelerator)
    gradient = net.intro.expert_b.grad
    assert [bool(gradient[i].abs().max() > 0) for i in range(N)] == [True, True, False]


def test_photos_for_experts_that_do_not_learn_are_passed_over(accelerator):
    samples, net, sizes = batch(photos=5), network(), []
    net.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    loss = RestorationObjective(net, Guide(), N, 1, EPSILON, [True, False, True]).backward(samples, accelerator)
    assert sizes == [2 * 2], "the guide sends photos 1 and 4 to expert 0, the others to expert 1"
    gradient = net.intro.expert_b.grad
    assert [bool(gradient[i].abs().max() > 0) for i in range(N)] == [True, False, False]
    taught = gradients(net)
    net.zero_grad()
    whole = RestorationObjective(net, Guide(), N, 1, EPSILON).backward(samples, accelerator)
    torch.testing.assert_close(net.intro.expert_b.grad[0], taught["intro.expert_b"][0], rtol=1e-4, atol=1e-6)
    rest = RestorationObjective(net, Guide(), N, 1, EPSILON, [False, True, False]).backward(samples, accelerator)
    torch.testing.assert_close(loss + rest, whole)  # a mean over all photos, of which those passed over count 0
    assert float(RestorationObjective(net, Guide(), N, 1, EPSILON, [False] * N).backward(samples, accelerator)) == 0


def test_a_mixture_teaches_if_one_of_its_experts_learns(accelerator):
    net, sizes = network(), []
    net.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    RestorationObjective(net, Guide(), N, 2, EPSILON, [True, False, False]).backward(batch(photos=5), accelerator)
    assert sum(sizes) == 3 * 2, "expert 0 is in the mixtures of photos 1, 3 and 4"


@pytest.mark.parametrize("learns_strength", [True, False])
def test_a_strength_that_is_not_known_is_certain_and_teaches_the_label_alone(accelerator, learns_strength):
    trainee = RouterTrainee(router()).eval()
    samples = batch(photos=3)._replace(strength=torch.tensor([-1.0, -1.0, -1.0]))
    loss = RouterObjective(trainee, learns_strength).backward(samples, accelerator)
    with torch.no_grad():
        logits, _, _ = trainee(to_unit(samples.views))
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, samples.label))


def test_a_photo_with_two_degradations_is_half_of_each_and_as_strong_as_the_stronger(accelerator):
    trainee = RouterTrainee(router()).eval()
    one = batch(photos=2)._replace(label=torch.tensor([0, 2]), strength=torch.tensor([0.5, 1.0]))
    two = one._replace(second=torch.tensor([1, -1]), second_strength=torch.tensor([0.8, 0.0]))
    loss = RouterObjective(trainee).backward(two, accelerator)
    with torch.no_grad():
        logits, strength, _ = trainee(to_unit(one.views))
    entropy = torch.nn.functional.cross_entropy(logits, torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]))
    expected = entropy + 2 * (strength - torch.tensor([0.8, 1.0])).square().mean()
    torch.testing.assert_close(loss, expected)
    mild = two._replace(second_strength=torch.tensor([0.0, 0.0]))  # a second one too weak to be seen says nothing
    certain = [[0.5 + 1 / 6, 1 / 6, 1 / 6], [0.0, 0.0, 1.0]]
    entropy = torch.nn.functional.cross_entropy(logits, torch.tensor(certain))
    expected = entropy + 2 * (strength - torch.tensor([0.5, 1.0])).square().mean()
    torch.testing.assert_close(RouterObjective(trainee).backward(mild, accelerator), expected)


def test_the_papers_router_does_not_learn_the_strength(accelerator):
    trainee = RouterTrainee(router())
    RouterObjective(trainee, learns_strength=False).backward(batch(), accelerator)
    assert (
        float(trainee.strength.weight.grad.abs().max()) == 0 and float(trainee.router.head.weight.grad.abs().max()) > 0
    )


def test_views_that_come_again_are_encoded_once(accelerator):
    guide, net = router().eval().requires_grad_(False), network(experts=0)
    objective, samples = RestorationObjective(net, guide, 0, 1, EPSILON), batch()
    encoded = []
    guide.encoder.register_forward_hook(lambda module, inputs, output: encoded.append(len(output)))
    plain = objective.backward(samples, accelerator)
    assert encoded == [4 * 3], "without keys, the batch in one go"
    keyed = samples._replace(key=torch.tensor([5, 6, 5, -1]), views=samples.views[[0, 1, 0, 3]])
    encoded.clear()
    losses = [objective.backward(keyed, accelerator) for _ in range(2)]
    assert encoded == [3, 3, 3, 3], "5, 6 and -1, then -1 again"
    assert torch.equal(losses[0], losses[1]) and torch.isfinite(plain)


def test_a_frozen_encoder_stays_and_the_layers_behind_it_learn(accelerator):
    frozen = router()
    frozen.encoder.requires_grad_(False).eval()
    trainee = RouterTrainee(frozen)
    loss = RouterObjective(trainee).backward(batch(), accelerator)
    assert math.isfinite(float(loss)) and all(p.grad is None for p in frozen.encoder.parameters())
    assert all(float(layer.weight.grad.abs().max()) > 0 for layer in (frozen.mlp[0], frozen.head))


def test_a_router_trained_further_keeps_the_prior_that_the_network_knows(accelerator):
    samples, before = batch(photos=6), router().eval()
    with torch.no_grad():
        familiar, logits = before(to_unit(samples.views))
    samples = samples._replace(second=logits.argmax(-1))  # the old router is not mistaken, and the labels are others

    def strayed(keeps_prior: float) -> float:
        trainee = RouterTrainee(copy.deepcopy(before))  # in evaluation mode: the batch's own statistics stay out of it
        objective = RouterObjective(trainee, True, copy.deepcopy(before), keeps_prior)
        optimizer = torch.optim.Adam(trainee.parameters(), 3e-3)
        for _ in range(30):
            objective.backward(samples, accelerator)
            optimizer.step()
            optimizer.zero_grad()
        with torch.no_grad():
            return float((trainee(to_unit(samples.views))[2] - familiar).square().mean())

    free, kept = strayed(0.0), strayed(100.0)
    assert kept < free / 10


def moved_on(samples):
    """A router, one that has moved on from it, the share of its variance by which each prior has, and what it names."""
    before = router().eval()
    trainee = RouterTrainee(copy.deepcopy(before)).eval()
    with torch.no_grad():
        trainee.router.mlp[2].bias += 0.05
        (familiar, logits), prior = before(to_unit(samples.views)), trainee(to_unit(samples.views))[2]
    strayed = (prior - familiar).square().mean(-1) / familiar.var(0, correction=0).mean()
    return before, trainee, strayed, logits.argmax(-1)


def test_the_distance_of_the_prior_is_a_share_of_its_variance(accelerator):
    samples = batch(photos=4)
    before, trainee, strayed, named = moved_on(samples)
    samples = samples._replace(label=named)
    plain = RouterObjective(trainee).backward(samples, accelerator)
    loss = RouterObjective(trainee, True, before, 2.0).backward(samples, accelerator)
    torch.testing.assert_close(loss - plain, 2 * strayed.mean(), rtol=1e-3, atol=1e-4)
    assert all(p.grad is None for p in before.parameters())


def test_a_prior_that_was_mistaken_is_not_kept(accelerator):
    samples = batch(photos=3)
    before, trainee, strayed, named = moved_on(samples)
    # Right; wrong, where much is there; wrong, where next to nothing is.
    samples = samples._replace(label=(named + torch.tensor([0, 1, 1])) % N, strength=torch.tensor([0.5, 0.5, 0.1]))

    def share(samples):
        plain = RouterObjective(trainee).backward(samples, accelerator)
        return float(RouterObjective(trainee, True, before, 1.0).backward(samples, accelerator) - plain)

    assert share(samples) == pytest.approx(float(strayed[0] + strayed[2]) / 3, rel=1e-3, abs=1e-4)
    assert share(samples._replace(second=named)) == pytest.approx(float(strayed.mean()), rel=1e-3, abs=1e-4)


def test_a_frozen_encoder_looks_at_a_photo_once_for_both_routers(accelerator):
    frozen, samples = router().eval(), batch()
    frozen.encoder.requires_grad_(False)
    before = copy.deepcopy(frozen)
    with torch.no_grad():
        frozen.mlp[2].bias += 0.05
        (familiar, logits), prior = before(to_unit(samples.views)), frozen(to_unit(samples.views))[0]
    samples = samples._replace(label=logits.argmax(-1))
    plain = RouterObjective(RouterTrainee(frozen), learns_strength=False).backward(samples, accelerator)
    before.encoder.register_forward_hook(lambda module, inputs, output: pytest.fail("looked again"))
    loss = RouterObjective(RouterTrainee(frozen), False, before, 2.0).backward(samples, accelerator)
    expected = 2 * (prior - familiar).square().mean() / familiar.var(0, correction=0).mean()
    torch.testing.assert_close(loss - plain, expected, rtol=1e-3, atol=1e-4)
