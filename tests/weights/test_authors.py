import os
import pickle
import re
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lorair_cli.errors import WeightsError
from lorair_cli.imaging.photo import Photo
from lorair_cli.imaging.views import resize_views
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import Router
from lorair_cli.model.routing import mixture_weights
from lorair_cli.restoration.restorer import Restorer
from lorair_cli.settings import SETTINGS
from lorair_cli.weights.authors import (
    convert_authors,
    network_config_from_authors,
    network_state_from_authors,
    read_authors_network,
    read_authors_router,
    router_config_from_authors,
    router_state_from_authors,
)
from lorair_cli.weights.checkpoint import read_info, save_checkpoint
from lorair_cli.weights.inspection import inspect

POSITION_IDS = "clip_model.vision_tower.vision_model.embeddings.position_ids"
Q_BIAS = "clip_model.vision_tower.vision_model.encoder.layers.1.self_attn.q_proj.bias"


class Evil:
    """Unpickled by an ordinary reader, this makes a file."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


def network_from(state):
    network = RestorationNetwork(network_config_from_authors(state))
    network.load_state_dict(network_state_from_authors(state))
    return network.eval()


def saved(path, obj):
    torch.save(obj, path)
    return path


def one_line(error):
    return "\n" not in str(error.value)


def test_their_photos_are_filled_up_with_black_as_in_their_code(authors_files, tmp_path):
    for name, content in authors_files.items():
        (tmp_path / name).write_bytes(content)
    checkpoint = convert_authors(*(tmp_path / name for name in authors_files), SETTINGS["4task"])
    restorer = Restorer(checkpoint, device="cpu", precision="float32", tile=0)
    odd = Photo(np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8))
    routing = restorer.route(odd)
    x = torch.from_numpy(odd.rgb).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        wanted = checkpoint.build_network()(x, routing.prior[None], routing.mixture[None])[0].permute(1, 2, 0)
    wanted = np.rint(wanted.clamp(0, 1).numpy() * 255).astype(int)
    restored = restorer.restore(odd).photo.rgb.astype(int)
    assert np.abs(restored - wanted).max() <= 1
    save_checkpoint(tmp_path / "theirs.safetensors", checkpoint)
    assert read_info(tmp_path / "theirs.safetensors").network.edges == "zeros"
    ours = replace(checkpoint.info, network=replace(checkpoint.info.network, edges="mirrored"))
    other = (
        Restorer(replace(checkpoint, info=ours), device="cpu", precision="float32", tile=0)
        .restore(odd)
        .photo.rgb.astype(int)
    )
    assert np.abs(other - wanted)[-8:].max() > 1  # or this test tells nothing


@pytest.mark.parametrize("case", ["single_top1", "single_top2", "batch_top1", "batch_top2"])
@torch.no_grad()
def test_network_with_experts_agrees_with_the_authors(official, authors_state, case):
    cases = load_file(official / "ir_cases.safetensors")
    mixture = mixture_weights(cases[f"{case}.logits"], top_k=int(case[-1]))
    output = network_from(authors_state("ir"))(cases[f"{case}.input"], cases[f"{case}.prior"], mixture)
    torch.testing.assert_close(output, cases[f"{case}.output"], rtol=0, atol=1e-4)


@torch.no_grad()
def test_network_of_stage_1_agrees_with_the_authors(official, authors_state):
    cases = load_file(official / "pre_cases.safetensors")
    output = network_from(authors_state("pre"))(cases["input"], cases["prior"])
    torch.testing.assert_close(output, cases["output"], rtol=0, atol=1e-4)


@torch.no_grad()
def test_router_agrees_with_the_authors(official, authors_state):
    cases, state = load_file(official / "router_cases.safetensors"), authors_state("router")
    router = Router(router_config_from_authors(state)).eval()
    router.load_state_dict(router_state_from_authors(state))
    with Image.open(official / "router_input.png") as photo:
        views = resize_views(np.asarray(photo.convert("RGB")), router.config.encoder.view)
    pixels = torch.from_numpy(views).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(router.encoder.normalise(pixels), cases["pixel_values"], rtol=0, atol=1e-5)
    torch.testing.assert_close(router.encoder(pixels), cases["image_embeds"], rtol=0, atol=1e-4)
    prior, logits = router(pixels[None])
    torch.testing.assert_close(prior, cases["prior"], rtol=0, atol=1e-4)
    torch.testing.assert_close(logits, cases["logits"], rtol=0, atol=1e-4)


def test_sizes_are_read_from_the_shapes(authors_shapes):
    meta = {key: torch.empty(s, device="meta") for key, s in authors_shapes("setting1_ir").items()}
    config = network_config_from_authors(meta)
    assert (config.width, config.encoder_blocks, config.middle_blocks) == (64, (1, 1, 1, 28), 1)
    assert (config.decoder_blocks, config.stem, config.experts, config.rank) == ((1, 1, 1, 1), 1, 3, 8)
    meta = {key: torch.empty(s, device="meta") for key, s in authors_shapes("setting1_router").items()}
    router = router_config_from_authors(meta)
    assert (router.encoder.view, router.encoder.patch, router.encoder.width, router.encoder.layers) == (
        336,
        14,
        1024,
        24,
    )
    assert (router.encoder.features, router.encoder.mlp_ratio, router.classes) == (768, 4, 3)
    assert router.view_mode == "resize"


@pytest.mark.parametrize(
    "name, convert, build",
    [
        ("setting1_ir", network_state_from_authors, lambda s: RestorationNetwork(network_config_from_authors(s))),
        ("setting1_router", router_state_from_authors, lambda s: Router(router_config_from_authors(s))),
    ],
)
def test_full_size_setting_1_converts_without_remainder(authors_shapes, name, convert, build):
    # Tensors without storage: the real files are 0.3 and 1.2 GB.
    state = {key: torch.empty(shape, device="meta") for key, shape in authors_shapes(name).items()}
    with torch.device("meta"):
        expected = build(state).state_dict()
    converted = convert(state)
    assert {k: v.shape for k, v in converted.items()} == {k: v.shape for k, v in expected.items()}
    assert sum(v.numel() for v in converted.values()) == sum(v.numel() for v in state.values())


@pytest.mark.parametrize("name, convert", [("ir", network_state_from_authors), ("router", router_state_from_authors)])
def test_every_missing_or_extra_tensor_is_named(authors_state, name, convert):
    whole = authors_state(name)
    # The first ones say how large the network is, so they are asked for in another place.
    for key in [*list(whole)[:20], *list(whole)[20::11], list(whole)[-1]]:
        with pytest.raises(WeightsError, match=rf"the tensor '{re.escape(key)}' is missing") as error:
            convert({k: v for k, v in whole.items() if k != key})
        assert one_line(error)
    with pytest.raises(WeightsError, match=r"no place for the tensor 'a\.stranger'"):
        convert(whole | {"a.stranger": torch.zeros(1)})


def test_wrong_shape_and_wrong_kind_are_named(authors_state):
    state = authors_state("router")
    with pytest.raises(WeightsError, match=rf"{Q_BIAS}.*\(63,\).*\(64,\)"):
        router_state_from_authors(state | {Q_BIAS: torch.zeros(63)})
    with pytest.raises(WeightsError, match=rf"{Q_BIAS}.*int64"):
        router_state_from_authors(state | {Q_BIAS: torch.zeros(64, dtype=torch.int64)})
    with pytest.raises(WeightsError, match=r"intro\.conv\.weight"):
        network_config_from_authors(authors_state("ir") | {"intro.conv.weight": torch.zeros(3)})


def test_position_ids_are_the_only_tensor_ignored(authors_state):
    state, ids = authors_state("router"), torch.arange(17)[None]
    assert router_state_from_authors(state | {POSITION_IDS: ids}).keys() == router_state_from_authors(state).keys()
    with pytest.raises(WeightsError, match="position_ids"):
        router_state_from_authors(state | {POSITION_IDS.replace("vision_model.", ""): ids})
    with pytest.raises(WeightsError, match="position_ids"):
        network_state_from_authors(authors_state("ir") | {POSITION_IDS: ids})


def test_half_precision_files_become_float32(authors_state):
    state = {k: v.bfloat16() for k, v in authors_state("router").items()}
    assert {v.dtype for v in router_state_from_authors(state).values()} == {torch.float32}


@pytest.mark.parametrize("zipped", [True, False])
def test_pth_files_become_a_checkpoint(tmp_path, authors_pair, zipped):
    ir, router = tmp_path / "ir.pth", tmp_path / "router.pth"
    states = authors_pair
    torch.save({"params": OrderedDict(states[0])}, ir, _use_new_zipfile_serialization=zipped)
    torch.save(OrderedDict(states[1]), router, _use_new_zipfile_serialization=zipped)
    checkpoint = convert_authors(ir, router, SETTINGS["4task"])
    assert (checkpoint.info.setting, checkpoint.info.scale) == ("4task", "paper")
    assert checkpoint.info.degradations == ("snow", "rain", "raindrop")
    assert checkpoint.info.router.view_mode == "resize"
    network = checkpoint.build_network()
    assert torch.equal(network.ending.weight, states[0]["ending.conv.weight"])
    prior, logits = checkpoint.build_router()(torch.rand(1, 5, 3, 56, 56))
    assert network(torch.rand(1, 3, 16, 16), prior, logits.softmax(-1)).shape == (1, 3, 16, 16)


def test_files_that_do_not_belong_together_are_refused(tmp_path, authors_state):
    ir = saved(tmp_path / "ir.pth", {"params": authors_state("ir")})
    router = saved(tmp_path / "router.pth", authors_state("router"))
    with pytest.raises(WeightsError, match=r"prior of 384.*16"):
        convert_authors(ir, router, SETTINGS["4task"])
    with pytest.raises(WeightsError, match=r"router\.pth: 3 classes.*10task has 10"):
        convert_authors(ir, router, SETTINGS["10task"])
    with pytest.raises(WeightsError, match=r"router\.pth: the tensor 'intro.*' is missing"):
        read_authors_network(router)
    with pytest.raises(WeightsError, match=r"ir\.pth: the tensor 'clip_model.*' is missing"):
        read_authors_router(ir)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_refused_and_does_not_run(tmp_path, authors_state, form):
    canary, path = tmp_path / "canary", tmp_path / "weights.pth"
    bad = {"params": authors_state("ir") | {"intro.conv.bias": Evil(canary)}}
    if form == "pickle":
        path.write_bytes(pickle.dumps(bad["params"]["intro.conv.bias"]))
    else:
        torch.save(bad, path, _use_new_zipfile_serialization=form == "zip")
    for read in (read_authors_network, read_authors_router):
        with pytest.raises(WeightsError, match=r"weights\.pth.*nothing in it was run") as error:
            read(path)
        assert one_line(error)
    assert not canary.exists()
    Evil(canary).__reduce__()[0](canary)  # the trap itself works
    assert canary.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"<!DOCTYPE html><html>Not found</html>", b"\x80\x04N."])
def test_other_files_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.pth") as error:
        read_authors_network(path)
    assert one_line(error)


def test_truncated_file_is_refused(tmp_path, authors_state):
    path = saved(tmp_path / "ir.pth", {"params": authors_state("ir")})
    data = path.read_bytes()
    for part in (0.1, 0.5, 0.99):
        path.write_bytes(data[: int(len(data) * part)])
        with pytest.raises(WeightsError, match=r"ir\.pth") as error:
            read_authors_network(path)
        assert one_line(error)


def test_missing_file_folder_and_pipe_are_refused(tmp_path):
    pipe = tmp_path / "pipe.pth"
    if hasattr(os, "mkfifo"):
        os.mkfifo(pipe)
    for path in (tmp_path / "none.pth", tmp_path, pipe):
        with pytest.raises(WeightsError, match="no such file"):
            read_authors_network(path)


@pytest.mark.parametrize(
    "content, reason",
    [
        ({}, "no state dict"),
        ([torch.zeros(1)], "no state dict"),
        ({"params": 3}, "no state dict"),
        ({"params": {"intro.conv.weight": 3}}, "'intro.conv.weight' is not a named tensor"),
        ({1: torch.zeros(1)}, "1 is not a named tensor"),
        ({"a": torch.eye(2).to_sparse()}, "'a' is of an unusual kind"),
        ({"a": torch.empty(2, device="meta")}, "'a' is of an unusual kind"),
        ({"a": torch.zeros(1).expand(10**12)}, "'a' is of an unusual kind"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path, content, reason):
    with pytest.raises(WeightsError, match=reason):
        read_authors_network(saved(tmp_path / "x.pth", content))


@pytest.mark.parametrize(("kind", "lost"), [("ir", "middle_blks.blocks.0.norm1.weight"), ("router", "cls_head.bias")])
def test_what_a_damaged_file_lacks_is_told_by_what_it_holds(authors_state, tmp_path, kind, lost):
    state = dict(authors_state(kind))
    del state[lost]
    torch.save({"params": state} if kind == "ir" else state, tmp_path / "theirs.pth")
    with pytest.raises(WeightsError, match=re.escape(lost)):
        inspect(tmp_path / "theirs.pth")
