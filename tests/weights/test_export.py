import numpy as np
import pytest
import torch

from lorair_cli.errors import UsageError, WeightsError
from lorair_cli.weights import export as export_module
from lorair_cli.weights.checkpoint import load_checkpoint
from lorair_cli.weights.export import export, mixture_of

NAMES = ("rain", "haze", "noise")


def example(checkpoint, h=37, w=21):
    generator = torch.Generator().manual_seed(1)
    prior = torch.rand(1, checkpoint.info.network.prior_channels, generator=generator)
    return torch.rand(1, 3, h, w, generator=generator), prior


@torch.no_grad()
def with_experts(checkpoint, lq, prior, mixture):
    return checkpoint.build_network()(lq, prior, torch.tensor([mixture]))


@torch.no_grad()
def test_a_folded_checkpoint_equals_the_network_with_experts(checkpoint, tmp_path):
    path = tmp_path / "rain.safetensors"
    difference = export(checkpoint, {"rain": 3, "noise": 1}, path)
    folded = load_checkpoint(path)
    assert folded.info.network.experts == 0 and folded.info.degradations == NAMES
    assert folded.info.provenance["folded"] == {"rain": 0.75, "haze": 0.0, "noise": 0.25}
    assert folded.router.keys() == checkpoint.router.keys()
    lq, prior = example(checkpoint)
    expected = with_experts(checkpoint, lq, prior, [0.75, 0.0, 0.25])
    torch.testing.assert_close(folded.build_network()(lq, prior), expected, rtol=0, atol=1e-5)
    assert difference <= export_module.TOLERANCE
    other = with_experts(checkpoint, lq, prior, [0.0, 1.0, 0.0])
    assert (expected - other).abs().max() > 1e-3  # the mixture matters


def test_an_onnx_file_equals_the_network_with_experts_at_any_size(checkpoint, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    path = tmp_path / "haze.onnx"
    export(checkpoint, {"haze": 1}, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for h, w in ((16, 24), (37, 21), (5, 50)):
        lq, prior = example(checkpoint, h, w)
        [restored] = session.run(["restored"], {"lq": lq.numpy(), "prior": prior.numpy()})
        expected = with_experts(checkpoint, lq, prior, [0.0, 1.0, 0.0]).numpy()
        np.testing.assert_allclose(restored, expected, rtol=0, atol=1e-5)


def test_what_differs_is_not_written(checkpoint, tmp_path, monkeypatch):
    def wrong(network, mixture):
        return export_fold(network, mixture.flip(0))

    export_fold = export_module.fold
    monkeypatch.setattr(export_module, "fold", wrong)
    with pytest.raises(WeightsError, match=r"x\.safetensors: not written, it would differ"):
        export(checkpoint, {"rain": 1}, tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_experts_is_refused(checkpoint, tmp_path):
    export(checkpoint, {"rain": 1}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="no experts"):
        export(load_checkpoint(tmp_path / "a.safetensors"), {"rain": 1}, tmp_path / "b.safetensors")


@pytest.mark.parametrize("name", ["x.pth", "x"])
def test_other_formats_are_refused(checkpoint, tmp_path, name):
    with pytest.raises(UsageError, match="cannot export"):
        export(checkpoint, {"rain": 1}, tmp_path / name)


def test_shares_become_a_mixture():
    assert mixture_of(NAMES, {"haze": 2, "rain": 6}).tolist() == [0.75, 0.25, 0.0]
    with pytest.raises(UsageError, match="know no 'snow'"):
        mixture_of(NAMES, {"snow": 1})
    for bad in ({}, {"rain": 0}, {"rain": -1, "haze": 3}, {"rain": float("nan")}, {"rain": float("inf")}):
        with pytest.raises(UsageError, match="positive"):
            mixture_of(NAMES, bad)
