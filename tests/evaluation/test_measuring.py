import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
import torch

from lorair_cli.errors import ImageError, LorairError, UsageError
from lorair_cli.evaluation import measuring
from lorair_cli.evaluation.datasets import Pair
from lorair_cli.evaluation.learned import load_fid, load_learned
from lorair_cli.evaluation.measuring import Meter, Restored, Store, Subject, measure, parse_metrics, restorer_subject
from lorair_cli.evaluation.protocols import get_protocol
from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration.restorer import Restorer

PHOTO = skimage.data.chelsea()[:80, :100]


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    return [Pair(n, np.clip(PHOTO + rng.normal(0, 20, PHOTO.shape), 0, 255).astype(np.uint8), PHOTO) for n in "ab"]


class Halfway:
    """Restores by going half of the way to the truth, and counts."""

    def __init__(self, weights="w"):
        self.calls = 0
        self.subject = Subject(self.restore, weights, "options", ("noise",))

    def restore(self, pair):
        self.calls += 1
        return Restored((pair.lq / 255 + PHOTO[: pair.lq.shape[0], : pair.lq.shape[1]] / 255) / 2, "noise", 0.1)


def meter(*metrics, protocol="rgb"):
    return Meter([get_protocol(protocol)], metrics or ("psnr", "ssim"))


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


def test_protocols_that_cut_differently_do_not_go_together():
    with pytest.raises(UsageError, match="different ways"):
        Meter([get_protocol("rgb"), get_protocol("promptir-rgb")], ("psnr",))


def test_without_truth_only_what_needs_none(pairs):
    alone = [Pair("a", pairs[0].lq, None)]
    records, _ = measure("set", alone, Halfway().subject, meter("psnr", "loe", protocol="no-reference"), Store(None))
    assert set(records[0].after) == {"loe"} and records[0].before == {"loe": 0} and records[0].after["loe"] > 0


def test_a_restorers_result_is_what_restoring_the_photo_gives(checkpoint, pairs):
    restorer = Restorer(checkpoint, device="cpu", precision="float32", tile=0)
    subject = restorer_subject(restorer, "abc")
    restored = subject.restore(pairs[0])
    direct = restorer.restore(Photo(pairs[0].lq))
    assert np.abs(restored.rgb * 255 - direct.photo.rgb).max() < 0.51
    assert len(np.unique(restored.rgb)) > 256  # finer than 8 bits
    best = max(direct.diagnosis.probabilities, key=direct.diagnosis.probabilities.get)
    assert restored.recognised == best and "global pooling" in subject.options
    twice = restorer_subject(restorer, "abc", passes=2)
    again = restorer.restore(direct.photo)
    assert np.abs(twice.restore(pairs[0]).rgb * 255 - again.photo.rgb).max() < 2 and twice.options != subject.options


def test_metric_names():
    assert parse_metrics(["PSNR,ssim", "lpips", "il_niqe", "ssim"]) == ("psnr", "ssim", "lpips-alex", "ilniqe")
    with pytest.raises(UsageError, match="psnrr"):
        parse_metrics(["psnrr"])


class StubIqa(SimpleNamespace):
    """Stands in for pyiqa: LPIPS is the mean difference, NIQE the mean, FID the number of pictures."""

    def __init__(self):
        super().__init__(__version__="1.2.3", made=[])

    def create_metric(self, name, device):
        self.made.append(name)
        sys.stdout.write(f"Downloading {name}\n")
        if name == "fid":

            def count(a, b, verbose, num_workers):
                assert not verbose and num_workers == 0
                sys.stdout.write("Computing FID between two folders\n")
                return sum(len(list(Path(folder).iterdir())) for folder in (a, b))

            return count
        return lambda *p: (p[0] - p[1]).abs().mean() if len(p) == 2 else p[0].mean()


@pytest.fixture
def stub(monkeypatch):
    made = StubIqa()
    monkeypatch.setitem(sys.modules, "pyiqa", made)
    return made


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


def test_results_that_cannot_be_kept(pairs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LorairError, match="cannot be written"):
        measure("set", pairs, Halfway().subject, meter(), Store(tmp_path / "file" / "results.jsonl"))


def test_strangers_in_the_results_file_are_passed_over(tmp_path, pairs):
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"key": "1", "unknown": 2}) + "\n[]\nnothing\n")
    records, _ = measure("set", pairs[:1], Halfway().subject, meter(), Store(file))
    assert Store(file).find(records[0].key) == records[0]


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\x00{", b'{"a": 1}\n', b"notes\n\n"])
def test_a_file_of_something_else_is_no_journal(content, tmp_path):
    file = tmp_path / "photo.png"
    file.write_bytes(content)
    for store in (lambda: Store(file), lambda: Store(None, [file]), lambda: Store(None).take(file)):
        with pytest.raises(UsageError, match=r"photo\.png is no journal of measured pictures"):
            store()
    assert file.read_bytes() == content


@pytest.mark.parametrize("content", ["", "\n", '{"key": "12', '{"key": "1", "field of a later version": 2}\n'])
def test_a_journal_with_nothing_to_use_goes_on(content, tmp_path, pairs):
    file = tmp_path / "r.jsonl"
    file.write_text(content)
    records, _ = measure("set", pairs[:1], Halfway().subject, meter(), Store(file))
    assert Store(file).find(records[0].key) == records[0] and file.read_text().startswith(content)


def test_settings_that_share_a_file_are_told_apart(checkpoint_of):
    options = {
        restorer_subject(Restorer(checkpoint_of(setting), device="cpu"), "w").options for setting in ("3task", "4task")
    }
    assert len(options) == 2 and any("3task" in text for text in options)


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


def test_shares_of_several_processes_make_the_whole(pairs, tmp_path):
    journals = [tmp_path / "r.jsonl", tmp_path / "r.1.jsonl"]
    for rank, journal in enumerate(journals):
        measure("set", pairs[rank::2], Halfway().subject, meter(), Store(journal, journals))
    store, tool = Store(journals[0]), Halfway()
    store.take(journals[1])
    whole, _ = measure("set", pairs, tool.subject, meter(), store)
    assert tool.calls == 0 and [r.image for r in whole] == ["a", "b"]
    assert len(journals[0].read_text().splitlines()) == 2
    store.take(journals[1])
    assert len(journals[0].read_text().splitlines()) == 2
