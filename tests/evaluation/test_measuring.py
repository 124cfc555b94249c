from dataclasses import replace

import numpy as np
import pytest
from halfway import PHOTO, Halfway, meter

from lorair_cli.evaluation import measuring
from lorair_cli.evaluation.datasets import Pair
from lorair_cli.evaluation.journal import Store
from lorair_cli.evaluation.measuring import measure
from lorair_cli.evaluation.subjects import Restored, Subject


def test_before_and_after(pairs):
    records, nothing = measure("set", pairs, Halfway().subject, meter(), Store(None))
    assert nothing is None and [r.image for r in records] == ["a", "b"]
    for record in records:
        gain = record.after["psnr@rgb"] - record.before["psnr@rgb"]
        assert gain == pytest.approx(20 * np.log10(2), abs=0.1)


def test_an_interrupted_run_goes_on(pairs, tmp_path):
    file, tool = tmp_path / "runs" / "results.jsonl", Halfway()
    whole, _ = measure("set", pairs, Halfway().subject, meter(), Store(None))
    measure("set", pairs[:1], tool.subject, meter(), Store(file))
    text = file.read_text()
    file.write_text(text + text[: len(text) // 2])  # the next line was cut off by a crash
    records, _ = measure("set", pairs, tool.subject, meter(), Store(file))
    assert tool.calls == 2 and records == whole
    assert measure("set", pairs, tool.subject, meter(), Store(file))[0] == whole and tool.calls == 2


@pytest.mark.parametrize("change", ["sources", "weights", "options", "input", "truth", "protocol", "metric"])
def test_whatever_changes_the_numbers_is_measured_again(change, pairs, tmp_path, monkeypatch):
    tool, store = Halfway(), Store(tmp_path / "results.jsonl")
    measure("set", pairs[:1], tool.subject, meter("psnr"), store)
    subject, pair, how = tool.subject, pairs[0], meter("psnr")
    if change == "sources":
        monkeypatch.setattr(measuring, "own_sources", lambda: "of another day")
    elif change in ("weights", "options"):
        subject = replace(subject, **{change: "other"})
    elif change == "input":
        pair = replace(pair, lq=pair.lq // 2)
    elif change == "truth":
        pair = replace(pair, gt=pair.gt // 2)
    else:
        how = meter("psnr", protocol="diffuir-y") if change == "protocol" else meter("psnr", "ssim")
    measure("set", [pair], subject, how, store)
    assert tool.calls == 2


def test_a_wide_picture_is_restored_in_halves_where_the_protocol_says_so():
    seen = []

    def restore(pair):
        seen.append(pair.lq.shape)
        return Restored(pair.lq / np.float32(255))

    wide = np.tile(PHOTO[:32], (1, 21, 1))[:, :2048]
    records, _ = measure(
        "set", [Pair("x", wide, wide)], Subject(restore, "", ""), meter("psnr", protocol="diffuir-udc"), Store(None)
    )
    assert seen == [(32, 1024, 3)] * 2 and records[0].after["psnr@diffuir-udc"] == 100


def test_without_truth_only_what_needs_none(pairs):
    alone = [Pair("a", pairs[0].lq, None)]
    records, _ = measure("set", alone, Halfway().subject, meter("psnr", "loe", protocol="no-reference"), Store(None))
    assert set(records[0].after) == {"loe"} and records[0].before == {"loe": 0} and records[0].after["loe"] > 0


def test_metrics_of_several_runs_are_kept_side_by_side(pairs, tmp_path):
    file, tool = tmp_path / "r.jsonl", Halfway()
    for metrics in (("psnr",), ("ssim",), ("psnr",), ("psnr", "ssim")):
        records, _ = measure("set", pairs, tool.subject, meter(*metrics), Store(file))
        assert records[0].after.keys() == records[0].before.keys() == {f"{metric}@rgb" for metric in metrics}
    assert tool.calls == 2 * len(pairs), "once for each metric"


def test_a_learned_metric_of_another_version_is_measured_again(pairs, tmp_path, stub):
    file, tool = tmp_path / "r.jsonl", Halfway()
    for version, calls in (("1.2.3", 1), ("1.2.3", 1), ("1.2.4", 2)):
        stub.__version__ = version
        measure("set", pairs[:1], tool.subject, meter("niqe"), Store(file))
        assert tool.calls == calls


def test_fid_needs_ground_truth(pairs, stub):
    without = [replace(pair, gt=None) for pair in pairs]
    assert measure("set", without, Halfway().subject, meter("niqe", "fid"), Store(None))[1] is None


def test_saved_results_are_never_split(tmp_path):
    wide = np.zeros((32, 1100, 3), np.uint8)
    saved = Subject(lambda pair: Restored(wide / 255), "", "", saved=True)
    records, _ = measure("set", [Pair("x", wide, wide)], saved, meter("psnr", protocol="diffuir-udc"), Store(None))
    assert records[0].after["psnr@diffuir-udc"] == 100
