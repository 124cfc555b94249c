import json
from dataclasses import replace

import pytest
import torch

from lorair_cli.errors import WeightsError
from lorair_cli.restoration.restorer import Restorer
from lorair_cli.weights.checkpoint import load_checkpoint
from lorair_cli.weights.inspection import inspect
from lorair_cli.weights.publish import model_card
from lorair_cli.weights.store import find_weights, own_file

PUSH = """
import sys
from pathlib import Path
from lorair_cli.restoration.restorer import Restorer

restorer = Restorer.from_pretrained(Path(sys.argv[1]), device="cpu")
print(restorer.push_to_hub("me/mine"))
again = Restorer.from_pretrained("me/mine", device="cpu")
assert again.info == restorer.info
"""


def front_matter(card):
    """The lines between the first two fences, each of which is YAML whose value is JSON."""
    _, front, text = card.split("---\n", 2)
    return {key: json.loads(value) for key, value in (line.split(": ", 1) for line in front.splitlines())}, text


def test_a_saved_folder_is_read_back(weights_file, checkpoint, tmp_path, monkeypatch):
    restorer = Restorer.from_pretrained(weights_file, device="cpu")
    folder = tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    restorer.save_pretrained("mine")
    assert "# mine" in (folder / "README.md").read_text().splitlines()
    assert inspect(own_file(folder))["format"] == "lorair"
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert find_weights(str(folder)) == find_weights(folder) == [folder / "model.safetensors"]
    read = load_checkpoint(*find_weights(folder))
    assert read.info == checkpoint.info
    for part in ("network", "router"):
        wanted = getattr(checkpoint, part)
        assert all(torch.equal(wanted[k], v) for k, v in getattr(read, part).items())
    config = json.loads((folder / "config.json").read_text())
    assert config["degradations"] == ["rain", "haze", "noise"] and config["network"]["rank"] == 2


def test_a_card_of_ones_own_stays(weights_file, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    Restorer.from_pretrained(weights_file, device="cpu").save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_one_line(weights_file, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="cannot be written"):
        Restorer.from_pretrained(weights_file, device="cpu").save_pretrained(tmp_path / "file" / "x")


def test_the_card_says_what_where_from_and_how(checkpoint):
    provenance = {"data": "photos of <b>mine</b>\n# not a heading", "steps": 7, "stages": ["router", "experts"]}
    card = model_card(replace(checkpoint, info=replace(checkpoint.info, provenance=provenance)), "me/mine")
    front, text = front_matter(card)
    assert front["license"] == "apache-2.0" and front["library_name"] == "lorair"
    assert front["pipeline_tag"] == "image-to-image" and {"rain", "haze", "noise"} <= set(front["tags"])
    assert 'Restorer.from_pretrained("me/mine")' in text and "3 experts of rank 2" in text
    assert "- steps: 7" in text and "<b>" not in text.replace("\\<b", "")
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# me/mine",
        "## Use",
        "## What it is",
        "## Where it comes from",
    ]


@pytest.mark.parametrize("licence", ["not stated", "apache-2.0 and cc-by-4.0"])
def test_a_licence_that_the_hub_does_not_list_is_named_beside_it(checkpoint, licence):
    front, _ = front_matter(model_card(replace(checkpoint, info=replace(checkpoint.info, licence=licence)), "me/mine"))
    assert front["license"] == "other" and front["license_name"] == licence


def test_pushed_weights_come_back(hub, program, weights_file):
    process = program(weights_file, script=PUSH)
    assert process.returncode == 0, process.err
    assert process.out.strip() == f"{hub.endpoint}/me/mine/commit/{hub.commit}"
    assert "me/mine/config.json" in hub.files
    assert front_matter(hub.files["me/mine/README.md"].decode())[1].startswith("\n# me/mine\n")
