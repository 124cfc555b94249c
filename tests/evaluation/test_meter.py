import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from halfway import Halfway, meter

from lorair_cli.errors import ImageError, LorairError, UsageError
from lorair_cli.evaluation.datasets import Pair
from lorair_cli.evaluation.journal import Store
from lorair_cli.evaluation.learned import load_fid, load_learned
from lorair_cli.evaluation.measuring import measure
from lorair_cli.evaluation.meter import Meter, parse_metrics
from lorair_cli.evaluation.protocols import get_protocol
from lorair_cli.evaluation.subjects import Restored, Subject


def test_protocols_that_cut_differently_do_not_go_together():
    with pytest.raises(UsageError, match="different ways"):
        Meter([get_protocol("rgb"), get_protocol("promptir-rgb")], ("psnr",))


def test_metric_names():
    assert parse_metrics(["PSNR,ssim", "lpips", "il_niqe", "ssim"]) == ("psnr", "ssim", "lpips-alex", "ilniqe")
    with pytest.raises(UsageError, match="psnrr"):
        parse_metrics(["psnrr"])


def test_learned_metrics_through_pyiqa(stub, pairs, capsys):
    how = meter("lpips-alex", "lpips-vgg", "lpips-vgg-shifted", "niqe", "fid")
    records, (value, label) = measure("set", pairs, Halfway().subject, how, Store(None))
    before, after = records[0].before, records[0].after
    assert after["lpips-vgg"] == pytest.approx(before["lpips-vgg"] / 2, abs=0.003)
    assert after["lpips-vgg-shifted"] == pytest.approx(after["lpips-vgg"] / 2, rel=1e-4)
    assert before["niqe"] == pytest.approx(pairs[0].lq.mean() / 255, abs=1e-4)
    assert value == 4 and "Inception" in label and "not comparable" in label
    assert "AlexNet" in how.learned["lpips-alex"].label and "pyiqa 1.2.3" in how.learned["lpips-alex"].label
    assert stub.made == ["lpips", "lpips-vgg", "lpips-vgg", "niqe", "fid"]
    out, err = capsys.readouterr()
    assert out == "" and "Downloading fid" in err and "Computing FID" in err  # stdout is for data


def test_a_learned_metric_of_an_input_or_a_result_of_another_size(stub, pairs):
    pair = pairs[0]
    small = Pair(pair.name, np.ascontiguousarray(pair.lq[::2, ::2]), pair.gt)
    whole = Subject(lambda _: Restored(pair.gt / np.float32(255)), "w", "", saved=True)
    records, _ = measure("set", [small], whole, meter("lpips-alex", "niqe"), Store(None))
    assert records[0].after["lpips-alex"] == 0 and records[0].before.keys() == {"niqe"}
    half = replace(whole, restore=lambda _: Restored(small.lq / np.float32(255)))
    with pytest.raises(ImageError, match=f"{pair.name}: the result has another size than its ground truth"):
        measure("set", [pair], half, meter("lpips-alex"), Store(None))


def test_learned_metrics_that_cannot_be_had(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(UsageError, match=r"needs pyiqa.*lorair\[metrics\]"):
        load_learned("niqe")
    with pytest.raises(UsageError, match="needs pyiqa"):
        load_fid()

    def offline(name, device):
        assert isinstance(device, torch.device)
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(sys.modules, "pyiqa", SimpleNamespace(create_metric=offline))
    with pytest.raises(LorairError, match="cannot be downloaded: no route to host"):
        load_learned("lpips-alex")
    with pytest.raises(LorairError, match="network of metric fid cannot be downloaded"):
        meter("psnr", "fid")  # before anything is restored
