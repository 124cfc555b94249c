from dataclasses import replace

import pytest

from lorair_cli.model.config import ClipEncoderConfig, CompactEncoderConfig, NetworkConfig, RouterConfig


@pytest.mark.parametrize("stem, stages, multiple", [(1, 4, 16), (1, 2, 4), (2, 3, 16), (2, 1, 4)])
def test_multiple_is_the_stride_of_the_coarsest_stage(stem, stages, multiple):
    assert NetworkConfig(encoder_blocks=(1,) * stages, decoder_blocks=(1,) * stages, stem=stem).multiple == multiple


@pytest.mark.parametrize("size, fitting", [((16, 32), (16, 32)), ((1, 17), (16, 32)), ((33, 16), (48, 16))])
def test_a_size_that_does_not_fit_grows_to_the_next_that_does(size, fitting):
    assert NetworkConfig().fitting(*size) == fitting


def test_defaults_are_the_papers():
    assert NetworkConfig().multiple == 16
    assert RouterConfig(ClipEncoderConfig(), classes=3).prior_channels == NetworkConfig().prior_channels == 384


@pytest.mark.parametrize(
    "config, change, message",
    [
        (NetworkConfig(), {"encoder_blocks": (1, 1)}, "2 encoder stages and 4 decoder stages"),
        (NetworkConfig(), {"encoder_blocks": (), "decoder_blocks": ()}, "0 encoder stages"),
        (NetworkConfig(), {"encoder_blocks": (1, 1, 1, -1)}, "encoder_blocks"),
        (NetworkConfig(), {"width": 0}, "width 0"),
        (NetworkConfig(), {"experts": -1}, "experts -1"),
        (NetworkConfig(), {"rank": 0}, "rank 0"),
        (NetworkConfig(), {"stem": 9}, "stem 9"),
        (CompactEncoderConfig(), {"blocks": (1,)}, "stages"),
        (CompactEncoderConfig(), {"view": 127}, "view 127 is not a multiple"),
        (CompactEncoderConfig(), {"features": 0}, "features 0"),
        (ClipEncoderConfig(), {"view": 335}, "view 335 is not a multiple of the patch 14"),
        (ClipEncoderConfig(), {"head_width": 100}, "width 1024 is not a multiple of the head width 100"),
        (ClipEncoderConfig(), {"mlp_ratio": float("nan")}, "mlp_ratio nan"),
        (ClipEncoderConfig(), {"layers": 10**6}, "layers 1000000"),
        (RouterConfig(ClipEncoderConfig(), 3), {"classes": 0}, "classes 0"),
    ],
)
def test_sizes_that_make_no_network_are_refused(config, change, message):
    with pytest.raises(ValueError, match=message):
        replace(config, **change)
