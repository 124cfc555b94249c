import pytest
import torch

from lorair_cli.model.config import ClipEncoderConfig, CompactEncoderConfig, RouterConfig
from lorair_cli.model.encoders import ClipEncoder, CompactEncoder, build_encoder
from lorair_cli.model.network import parameter_count
from lorair_cli.model.router import Router

TINY_CLIP = ClipEncoderConfig(view=28, patch=14, width=8, layers=1, head_width=4, features=6)


@pytest.mark.parametrize("encoder", [CompactEncoderConfig(view=32), TINY_CLIP], ids=["compact", "clip"])
@pytest.mark.parametrize("local", [1, 4])
@torch.no_grad()
def test_shapes(encoder, local):
    router = Router(RouterConfig(encoder, classes=5)).eval()
    views = torch.rand(2, 1 + local, 3, encoder.view, encoder.view)
    assert router.features(views).shape == (2, 2 * encoder.features)
    prior, logits = router(views)
    assert prior.shape == (2, encoder.features // 2) == (2, router.config.prior_channels)
    assert logits.shape == (2, 5)


def test_the_trainable_part_has_the_papers_size():
    with torch.device("meta"):
        router = Router(RouterConfig(ClipEncoderConfig(), classes=3))
    assert parameter_count(router.mlp) + parameter_count(router.head) == pytest.approx(1.48e6, abs=0.005e6)


@torch.no_grad()
def test_local_views_are_averaged_and_the_whole_view_stands_apart(router):
    views = torch.rand(1, 5, 3, 16, 16)
    features = router.features(views)
    embedded = router.encoder(views[0])
    torch.testing.assert_close(features[0], torch.cat([embedded[0], embedded[1:].mean(0)]))
    shuffled = router.features(views[:, [0, 3, 1, 4, 2]])
    torch.testing.assert_close(shuffled, features)
    assert (router.features(views[:, [1, 0, 2, 3, 4]]) - features).abs().max() > 1e-4


@torch.no_grad()
def test_the_head_reads_the_prior(router):
    views = torch.rand(2, 3, 3, 16, 16)
    prior, logits = router(views)
    torch.testing.assert_close(prior, router.prior(router.features(views)))
    torch.testing.assert_close(logits, prior @ router.head.weight.T + router.head.bias)


@torch.no_grad()
def test_a_photo_is_judged_alone(router):
    views = torch.rand(3, 2, 3, 16, 16)
    prior, logits = router(views)
    for i in range(3):
        alone = router(views[i : i + 1])
        torch.testing.assert_close(alone[0][0], prior[i], rtol=0, atol=1e-5)
        torch.testing.assert_close(alone[1][0], logits[i], rtol=0, atol=1e-5)


def test_the_config_chooses_the_encoder():
    assert isinstance(build_encoder(TINY_CLIP), ClipEncoder)
    assert isinstance(build_encoder(CompactEncoderConfig()), CompactEncoder)


def test_clip_normalisation():
    encoder = ClipEncoder(TINY_CLIP)
    grey = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
    assert torch.equal(encoder.normalise(grey), torch.zeros(1, 3, 1, 1))
    spread = (encoder.normalise(torch.ones(1, 3, 1, 1)) - encoder.normalise(torch.zeros(1, 3, 1, 1))).flatten()
    torch.testing.assert_close(1 / spread, torch.tensor([0.26862954, 0.26130258, 0.27577711]))


@torch.no_grad()
def test_the_compact_encoder_sees_the_finest_detail(shaken):
    encoder = shaken(CompactEncoder(CompactEncoderConfig(view=32, widths=(8, 16), blocks=(1, 1), features=8)))
    flat = torch.full((1, 3, 32, 32), 0.5)
    checks = flat + 0.2 * (torch.arange(32)[:, None] + torch.arange(32)).remainder(2).mul(2).sub(1)
    assert (encoder(flat) - encoder(checks)).abs().max() > 1e-3


@torch.no_grad()
def test_every_statistic_lets_a_single_pixel_and_the_finest_stage_be_heard(shaken):
    def encoder(statistics):
        config = CompactEncoderConfig(view=32, stem=4, widths=(6, 8), blocks=(1, 1), features=10, statistics=statistics)
        return CompactEncoder(config)

    every, last = encoder("every"), encoder("last")
    assert every.project.in_features == 3 * (6 + 8) and last.project.in_features == 2 * 8
    every = shaken(every)
    views = torch.rand(1, 3, 32, 32)
    kept = []
    every.norm.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0]))
    every(views)
    every.stages[1][0].weight.zero_()  # nothing of the first stage reaches the second any more
    every(views)
    torch.testing.assert_close(kept[0][:, :18], kept[1][:, :18])  # and its own statistics stay what they were
    mean, spread, peak = kept[0][0, :6], kept[0][0, 6:12].exp(), kept[0][0, 12:18]
    assert (peak >= mean).all() and (peak <= mean + spread * 64**0.5).all()  # 64 pixels: the most that one can be above


@torch.no_grad()
def test_autocast_does_not_round_the_logits():
    router = Router(RouterConfig(CompactEncoderConfig(view=32), classes=5)).eval()
    views = torch.rand(2, 3, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        prior, logits = router(views)
        features = router.features(views)
    assert prior.dtype == logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())
    torch.testing.assert_close(logits, router.head(router.prior(features.float())), rtol=0, atol=0)
