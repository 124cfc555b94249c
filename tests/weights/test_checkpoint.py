import json
import os
import struct
from dataclasses import replace
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from lorair_cli.errors import WeightsError
from lorair_cli.model.config import ClipEncoderConfig
from lorair_cli.settings import get_setting
from lorair_cli.weights.checkpoint import Checkpoint, load_checkpoint, read_info, save_checkpoint
from lorair_cli.weights.integrity import damage
from lorair_cli.weights.manifest import describe_file


def split(data):
    """Header and tensor bytes of a safetensors file."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header, body):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.fixture
def path(tmp_path, tiny_checkpoint):
    save_checkpoint(tmp_path / "tiny.safetensors", tiny_checkpoint)
    return tmp_path / "tiny.safetensors"


def refused(path, match):
    with pytest.raises(WeightsError, match=match) as error:
        whole = load_checkpoint(path)
        whole.build_network(), whole.build_router()
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_round_trip_in_one_file(path, tiny_checkpoint):
    read = load_checkpoint(path)
    assert read.info == tiny_checkpoint.info == read_info(path)
    for part in ("network", "router"):
        before, after = getattr(tiny_checkpoint, part), getattr(read, part)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[k], after[k]) for k in before)


def test_the_same_checkpoint_is_the_same_file(path, tmp_path, tiny_checkpoint):
    again = tmp_path / "again.safetensors"
    for _ in range(8):  # an order drawn by chance would differ sooner or later
        save_checkpoint(again, tiny_checkpoint)
        assert again.read_bytes() == path.read_bytes()


def test_models_built_from_a_file_carry_its_weights(path, tiny_checkpoint):
    read = load_checkpoint(path)
    network, router = read.build_network(), read.build_router()
    assert not network.training and not router.training
    for module, state in ((network, tiny_checkpoint.network), (router, tiny_checkpoint.router)):
        assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    prior, logits = router(torch.rand(1, 3, 3, 8, 8))
    assert network(torch.rand(1, 3, 9, 7), prior, logits.softmax(-1)).isfinite().all()


def test_a_checkpoint_that_lacks_tensors_names_them(tmp_path, tiny_checkpoint):
    backbone = {k: v for k, v in tiny_checkpoint.network.items() if "expert_" not in k}
    path = tmp_path / "base.safetensors"
    save_checkpoint(path, replace(tiny_checkpoint, network=backbone))
    with pytest.raises(WeightsError, match=r"base\.safetensors.* lacks the tensor .*expert_a' and \d+ more"):
        load_checkpoint(path).build_network()


def test_the_digest_of_the_plain_network_does_not_ask_for_experts_router_or_type(tiny_checkpoint):
    network = {k: v.half() for k, v in tiny_checkpoint.network.items()}
    half = replace(tiny_checkpoint, network=network)
    whole = replace(tiny_checkpoint, network={k: v.float() for k, v in network.items()}, router={})
    assert half.plain_digest() == whole.plain_digest()
    other = {k: v + 1 if "expert_" in k else v for k, v in network.items()}
    assert replace(half, network=other).plain_digest() == half.plain_digest()
    moved = {k: v + 1 if k == "intro.bias" else v for k, v in network.items()}
    assert replace(half, network=moved).plain_digest() != half.plain_digest()


def test_bfloat16_on_disk_halves_the_file(tmp_path, path, tiny_checkpoint):
    half = tmp_path / "half.safetensors"
    save_checkpoint(half, tiny_checkpoint, torch.bfloat16)
    tensors = [v for part in (tiny_checkpoint.network, tiny_checkpoint.router) for v in part.values()]
    numbers = sum(v.numel() for v in tensors if v.is_floating_point())
    assert len(path.read_bytes()) - len(half.read_bytes()) == pytest.approx(2 * numbers, rel=0.05)
    read = load_checkpoint(half)
    assert all(v.dtype == torch.float32 and torch.equal(v, tiny_checkpoint.network[k]) for k, v in read.network.items())


def test_channels_last_and_gpu_like_tensors_are_written_plainly(tmp_path, tiny_checkpoint):
    state = {
        k: v.to(memory_format=torch.channels_last) if v.ndim == 4 else v for k, v in tiny_checkpoint.network.items()
    }
    save_checkpoint(tmp_path / "x.safetensors", replace(tiny_checkpoint, network=state))
    read = load_checkpoint(tmp_path / "x.safetensors")
    assert all(torch.equal(v, tiny_checkpoint.network[k]) for k, v in read.network.items())


def test_saving_into_a_missing_folder_is_one_line(tmp_path, tiny_checkpoint):
    with pytest.raises(WeightsError, match="cannot be written"):
        save_checkpoint(tmp_path / "none" / "x.safetensors", tiny_checkpoint)


def test_missing_extra_and_wrong_tensors_are_named(tmp_path, tiny_checkpoint):
    path = tmp_path / "x.safetensors"
    network, router = tiny_checkpoint.network, tiny_checkpoint.router
    cases = [
        (
            replace(tiny_checkpoint, network={k: v for k, v in network.items() if k != "intro.bias"}),
            "lacks.*intro.bias",
        ),
        (replace(tiny_checkpoint, router={k: v for k, v in router.items() if k != "head.bias"}), "lacks.*head.bias"),
        (replace(tiny_checkpoint, network=network | {"stranger": torch.zeros(1)}), "no place.*stranger"),
        (
            replace(tiny_checkpoint, router=router | {"head.bias": torch.zeros(4)}),
            r"head.bias.*\(4,\) float32.*\(3,\) float32",
        ),
        (replace(tiny_checkpoint, router=router | {"head.bias": torch.zeros(3).int()}), "head.bias.*int32"),
    ]
    for checkpoint, message in cases:
        save_checkpoint(path, checkpoint)
        refused(path, message)


def test_tensors_of_no_part_are_refused(path):
    header, body = split(path.read_bytes())
    header["optimizer.step"] = header.pop("network.intro.bias")
    path.write_bytes(joined(header, body))
    refused(path, "'optimizer.step' belongs to neither")


def test_files_that_are_no_checkpoint_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    for content, message in [
        (b"", "not a safetensors file"),
        (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "not a safetensors file"),
        (struct.pack("<Q", 2**62) + b"{}", "not a safetensors file"),
        (b"\xff" * 64, "not a safetensors file"),
        (save({"a": torch.zeros(1)}), "not a lorair checkpoint"),
        (save({"a": torch.zeros(1)}, {"format": "pt"}), "not a lorair checkpoint"),
    ]:
        path.write_bytes(content)
        refused(path, message)


def test_missing_file_folder_and_pipe_are_refused(tmp_path):
    pipe = tmp_path / "pipe.safetensors"
    if hasattr(os, "mkfifo"):
        os.mkfifo(pipe)
    for path in (tmp_path / "none.safetensors", tmp_path, pipe):
        refused(path, "no such file")


@given(share=st.floats(0, 0.999))
@settings(max_examples=30, deadline=None)
def test_truncated_files_are_refused(tmp_path_factory, tiny_checkpoint, share):
    path = tmp_path_factory.mktemp("cut") / "x.safetensors"
    save_checkpoint(path, tiny_checkpoint)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refused(path, "not a safetensors file, or damaged")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda info: info.pop("format_version"), "format None"),
        (lambda info: info.update(format_version="3"), "format '3', this program reads '2'.*update"),
        (lambda info: info.pop("network"), "network is missing"),
        (lambda info: info.pop("router"), "no 'router'"),
        (lambda info: info.update(colour="red"), "colour.*not a known field"),
        (lambda info: info.update(setting=4), "setting is 4"),
        (lambda info: info.update(degradations="rain"), "degradations is 'rain'"),
        (lambda info: info.update(degradations=["rain", "haze"]), "3 classes for 2 degradations"),
        (lambda info: info.update(top_k=0), "top_k 0"),
        (lambda info: info["provenance"].update(stages=5), "stages is no list of tables"),
        (lambda info: info["provenance"].update(stages=["router"]), "stages is no list of tables"),
        (lambda info: info["provenance"].update(command=5), "command is no text"),
        (lambda info: info.update(top_k=4), "top_k 4"),
        (lambda info: info["network"].update(width="wide"), r"network\.width is 'wide', expected int"),
        (lambda info: info["network"].update(width=10**9), "width 1000000000 is outside"),
        (lambda info: info["network"].update(width=True), r"network\.width is True"),
        (lambda info: info["network"].update(encoder_blocks=[10**9]), "encoder_blocks"),
        (lambda info: info["network"].update(experts=2), "2 experts for 3 degradations"),
        (lambda info: info["network"].update(prior_channels=5), "prior of 4 for a network of 5"),
        (lambda info: info["router"].update(view_mode="round"), "view_mode is 'round'"),
        (lambda info: info["router"].update(encoder=[]), "description is damaged"),
        (lambda info: info["router"]["encoder"].update(kind="dino"), "no 'dino'"),
        (lambda info: info["router"]["encoder"].update(view=10), "view 10 is not a multiple of 4"),
        (lambda info: info["router"]["encoder"].update(blocks=[1]), "2 widths for 1 stages"),
    ],
)
def test_damaged_descriptions_are_refused(path, change, message):
    header, body = split(path.read_bytes())
    info = json.loads(header["__metadata__"]["lorair"])
    change(info)
    header["__metadata__"]["lorair"] = json.dumps(info)
    path.write_bytes(joined(header, body))
    refused(path, message)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": ' * 5000, "\u2028"])
def test_descriptions_that_are_no_json_object_are_refused(path, text):
    header, body = split(path.read_bytes())
    header["__metadata__"]["lorair"] = text
    path.write_bytes(joined(header, body))
    refused(path, "description is damaged")


def test_clip_encoder_survives_the_round_trip(tmp_path, tiny_checkpoint):
    clip = ClipEncoderConfig(view=28, patch=14, width=8, layers=2, head_width=4, mlp_ratio=2.5, features=8)
    router = replace(tiny_checkpoint.info.router, encoder=clip, view_mode="resize")
    info = replace(tiny_checkpoint.info, router=router)
    save_checkpoint(tmp_path / "x.safetensors", Checkpoint(info, {}, {}))
    assert read_info(tmp_path / "x.safetensors") == info


def mutated(content, random):
    """A copy of a file with a byte or a run of bytes changed, removed, doubled or inserted."""
    header_end = 8 + struct.unpack("<Q", content[:8])[0]
    # The header is where a byte can do harm; among the numbers it only changes a number.
    at = random.randrange(header_end + 8 if random.random() < 0.8 else len(content))
    run = random.choice((1, 1, 1, 2, 8, 40))
    piece = {
        "change": random.randbytes(run),
        "flip": bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 : at + run],
        "remove": b"",
        "double": content[at : at + run] * 2,
        "digit": random.choice(b'0123456789-e.[]{}":,').to_bytes(1, "little"),
    }[random.choice(("change", "flip", "remove", "double", "digit"))]
    return content[:at] + piece + content[at + run :]


def test_1000_mutations_are_each_refused_in_one_line(tmp_path, path):
    content, random = path.read_bytes(), Random(0)
    mutant, refusals = tmp_path / "mutant.safetensors", 0
    listed = describe_file(path)
    for _ in range(1000):
        changed = mutated(content, random)
        mutant.write_bytes(changed)
        assert (damage(mutant, listed) is None) == (changed == content)
        if changed == content:
            load_checkpoint(mutant)
            continue
        with pytest.raises(WeightsError) as caught:
            load_checkpoint(mutant)
        refusals += 1
        assert "\n" not in str(caught.value) and str(mutant) in str(caught.value)
    assert refusals > 900


def test_a_single_number_that_changed_is_told(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused(path, "not the numbers that it was written with")


def test_files_of_the_first_version_are_still_read(path):
    expected = load_checkpoint(path)
    network = {name: tensor.clone() for name, tensor in expected.network.items()}  # the file is mapped, and rewritten
    header, body = split(path.read_bytes())
    info = json.loads(header["__metadata__"]["lorair"])
    del info["digest"]
    header["__metadata__"]["lorair"] = json.dumps(info)
    path.write_bytes(joined(header, body))
    refused(path, "not the numbers")
    info["format_version"] = "1"
    header["__metadata__"]["lorair"] = json.dumps(info)
    path.write_bytes(joined(header, body))
    found = load_checkpoint(path)
    assert found.info == expected.info
    assert all(torch.equal(tensor, network[name]) for name, tensor in found.network.items())


@pytest.mark.parametrize(
    "change",
    [
        lambda header, name: header[name].update(data_offsets=header["network.intro.weight"]["data_offsets"]),
        lambda header, name: header[name].update(data_offsets=[0, 10**12]),
        lambda header, name: header[name].update(data_offsets=header[name]["data_offsets"][::-1]),
        lambda header, name: header[name].update(shape=[10**6, 10**6]),
        lambda header, name: header[name].update(shape=[-1]),
        lambda header, name: header[name].update(dtype="F16"),
        lambda header, name: header[name].update(dtype="F1000"),
        lambda header, name: header.update({name: 3}),
        lambda header, name: header.pop(name),
    ],
)
def test_headers_that_contradict_themselves_are_refused(path, change):
    header, body = split(path.read_bytes())
    change(header, "network.intro.bias")
    path.write_bytes(joined(header, body))
    refused(path, "not a safetensors file, or damaged")


@pytest.mark.parametrize("off", [-1, 1, 1000])
def test_a_header_of_the_wrong_length_is_refused(path, off):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    path.write_bytes(struct.pack("<Q", length + off) + content[8:])
    refused(path, "not a safetensors file, or damaged")


def test_authors_files_are_pointed_to_convert(tmp_path):
    path = tmp_path / "setting1_ir.pth"
    torch.save({"params": {"a": torch.zeros(1)}}, path)
    refused(path, "lorair weights convert")


def test_narrowed_weights_answer_as_the_wide_ones_would_of_these_degradations_alone(checkpoint_of):
    wide, narrow = checkpoint_of("10task"), get_setting("5task")  # of another order, too
    few = wide.narrowed(narrow)
    assert (few.info.setting, few.info.degradations) == ("5task", narrow.degradations)
    rows = [wide.info.degradations.index(name) for name in narrow.degradations]
    generator = torch.Generator().manual_seed(1)
    views, photo = torch.rand(2, 3, 3, 32, 32, generator=generator), torch.rand(1, 3, 16, 16, generator=generator)
    with torch.no_grad():
        (prior, logits), (few_prior, few_logits) = wide.build_router()(views), few.build_router()(views)
        torch.testing.assert_close(few_prior, prior)
        given = logits.softmax(-1)[:, rows]
        torch.testing.assert_close(few_logits.softmax(-1), given / given.sum(-1, keepdim=True))
        big, small = wide.build_network(), few.build_network()
        shown = []
        for mine, theirs in enumerate(rows):
            shown.append(small(photo, prior[:1], torch.eye(len(rows))[[mine]]))
            torch.testing.assert_close(shown[-1], big(photo, prior[:1], torch.eye(10)[[theirs]]))
    assert all(float((one - shown[0]).abs().max()) > 1e-3 for one in shown[1:])  # experts that differ


def test_weights_are_not_narrowed_to_what_they_do_not_know(checkpoint_of):
    with pytest.raises(WeightsError, match=r"the router knows no low-light, snow, blur: setting 5task has it"):
        checkpoint_of("3task").narrowed(get_setting("5task"))
