"""Setting I at full size, 0.39 billion numbers made by the fixtures' rule: once through everything, within 8 GB.

It takes a minute and 3 GB of disk, so it runs only with ``-m large``.
"""

import json
import subprocess
import sys

import pytest
import torch

MOST_GIGABYTES = 8

SCRIPT = """
import json, resource, sys
from pathlib import Path

import numpy as np
import torch
from lorair_cli.imaging.arrays import from_float, to_float
from lorair_cli.imaging.photo import Photo
from lorair_cli.model.network import fold, parameter_count
from lorair_cli.restoration.restorer import Restorer
from lorair_cli.settings import SETTINGS
from lorair_cli.weights.authors import convert_authors
from lorair_cli.weights.checkpoint import load_checkpoint, save_checkpoint

folder = Path(sys.argv[1])
path = folder / "converted.safetensors"
save_checkpoint(path, convert_authors(folder / "ir.pth", folder / "router.pth", SETTINGS["4task"]))
restorer = Restorer.from_pretrained(path, device="cpu", precision="float32", top_k=2)
photo = Photo(np.random.default_rng(0).integers(20000, 45000, (48, 64, 3)).astype(np.uint16))
restored = restorer.restore(photo).photo.rgb
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

network = load_checkpoint(path).build_network()
routing = restorer.route(photo)
with torch.inference_mode():
    lq = torch.from_numpy(to_float(photo.rgb)).permute(2, 0, 1)[None]
    folded = fold(network, routing.mixture)(lq, routing.prior[None])[0].permute(1, 2, 0).numpy()
    unfolded = network(lq, routing.prior[None], routing.mixture[None])[0].permute(1, 2, 0).numpy()
expected = from_float(np.ascontiguousarray(unfolded), np.dtype(np.uint16))
print(json.dumps({
    "peak": peak,
    "parameters": parameter_count(network),
    "experts": len(routing.selected),
    "inside": float(((unfolded > 0) & (unfolded < 1)).mean()),
    "changed": float(np.abs(unfolded - to_float(photo.rgb)).mean()),
    "folding": float(np.abs(folded - unfolded).max() / np.abs(unfolded).max()),
    "difference": int(np.abs(expected.astype(int) - restored.astype(int)).max()),
}))
"""


@pytest.mark.large
@pytest.mark.skipif(sys.platform == "win32", reason="memory is measured with what Unix has")
def test_the_authors_network_at_full_size_restores_within_8_gb(authors_state, tmp_path):
    torch.save({"params": authors_state("setting1_ir")}, tmp_path / "ir.pth")
    torch.save(authors_state("setting1_router"), tmp_path / "router.pth")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["parameters"] == pytest.approx(68.9e6 + 3 * 4.26e6, rel=0.01)  # the paper's figures
    assert found["peak"] < MOST_GIGABYTES * 2**30
    assert found["experts"] == 2 and found["changed"] > 0.1
    assert found["folding"] < 1e-5
    # Many colours of a network that was never trained are black or white; enough of them are not.
    assert found["inside"] > 0.05 and found["difference"] <= 16  # of 65535
