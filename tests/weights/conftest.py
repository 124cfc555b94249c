"""The authors' conformance fixtures, a checkpoint small enough to write many times, and a hub on this machine."""

import base64
import hashlib
import io
import json
import math
import os
import re
import subprocess
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from lorair_cli.model.config import CompactEncoderConfig, NetworkConfig, RouterConfig
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import Router
from lorair_cli.weights.checkpoint import Checkpoint, CheckpointInfo

OFFICIAL = Path(__file__).parents[1] / "fixtures" / "official"


def _weight(key, shape):
    """The rule of the fixtures' README: a weight is a function of its name and shape."""
    z = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    last = key.rsplit(".", 1)[-1]
    if last in ("beta", "gamma"):
        return z * 0.3
    if last in ("lora_B_list", "bias"):
        return z * 0.05
    if last == "weight" and len(shape) == 1:
        return 1 + 0.1 * z
    fan = int(np.prod(shape[1:])) if len(shape) > 1 else 1
    return z / math.sqrt(max(fan, 1))


def shapes_of(name):
    raw = json.loads((OFFICIAL / f"{name}_shapes.json").read_text())
    return {key: tuple(shape) for key, shape in raw.items()}


def state_of(name):
    return {key: torch.from_numpy(np.asarray(_weight(key, s), np.float32)) for key, s in shapes_of(name).items()}


def _widened(state):
    """The small network with a prior as short as the small router's: the fixtures' two do not fit together."""
    cut = {k: v for k, v in state.items() if not k.startswith("intro_de.")}
    for layer in ("intro_de.0", "intro_de.2"):
        cut |= {f"{layer}.lora_A_list": torch.zeros(3, 4, 16), f"{layer}.lora_B_list": torch.zeros(3, 16, 4)}
        cut |= {f"{layer}.conv.weight": torch.zeros(16, 16, 1, 1), f"{layer}.conv.bias": torch.zeros(16)}
    for key in state:
        if key.endswith(".conv1.lora_A_list") and ".blocks." not in key:
            cut[key] = state[key][..., :16].clone()
        elif key.endswith(".conv1.conv.weight") and ".blocks." not in key:
            cut[key] = state[key][:, :16].clone()
    return cut


@pytest.fixture(scope="session")
def authors_pair():
    """State dicts of a small network and a small router under the authors' names that fit together."""
    return _widened(state_of("ir")), state_of("router")


@pytest.fixture(scope="session")
def authors_files(authors_pair):
    """The same as the published files: names and contents."""
    files = {}
    for name, content in zip(("setting1_ir.pth", "setting1_router.pth"), authors_pair, strict=True):
        buffer = io.BytesIO()
        torch.save({"params": content} if "_ir" in name else content, buffer)
        files[name] = buffer.getvalue()
    return files


@pytest.fixture(scope="session")
def official():
    """Folder of the fixtures."""
    return OFFICIAL


@pytest.fixture
def authors_shapes():
    """``authors_shapes("ir")``: names and shapes of one of the authors' state dicts."""

    return shapes_of


@pytest.fixture
def authors_state():
    """``authors_state("ir")``: the same with the weights of the README's rule."""
    return state_of


@pytest.fixture(scope="session")
def tiny_checkpoint():
    """A whole checkpoint of a few thousand numbers, all of them exact in bfloat16."""
    torch.manual_seed(0)
    encoder = CompactEncoderConfig(view=8, stem=2, widths=(4, 6), blocks=(1, 1), features=8)
    info = CheckpointInfo(
        setting="3task",
        scale="compact",
        degradations=("rain", "haze", "noise"),
        network=NetworkConfig(4, (1,), 1, (1,), stem=2, prior_channels=4, modulator_channels=4, experts=3, rank=2),
        router=RouterConfig(encoder, classes=3),
        top_k=2,
        provenance={"data": "none", "steps": 0, "stages": [{"stage": "router"}]},
    )
    network, router = (
        {
            k: torch.rand_like(v).bfloat16().float() if v.is_floating_point() else v
            for k, v in module.state_dict().items()
        }
        for module in (RestorationNetwork(info.network), Router(info.router))
    )
    return Checkpoint(info, network, router)


class Hub:
    """A stand-in for the hub: the few addresses that the client asks, over HTTP on this machine, with faults on demand.

    ``files`` are contents by ``owner/name/file``. ``fault`` says what goes wrong with the next answers.
    """

    def __init__(self):
        self.files = {}
        self.fault = None
        self.requests = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                hub.answer(self, head=True)

            def do_GET(self):
                hub.answer(self, head=False)

            def do_POST(self):
                hub.receive(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def commit(self):
        return hashlib.sha1(b"".join(self.files[key] for key in sorted(self.files))).hexdigest()

    def answer(self, request, head):
        # As a proxy it is asked for whole addresses.
        match = re.fullmatch(r"(?:http://[^/]+)?/([^/]+/[^/]+)/resolve/[^/]+/([^/?]+)", request.path)
        if match:  # the client has questions of its own, too
            self.requests.append((request.command, request.headers))
        content = self.files.get(f"{match[1]}/{match[2]}") if match else None
        if self.fault == "portal":
            return self.send(request, 200, {"Content-Type": "text/html"}, b"<html>Please log in</html>", head)
        if content is None:
            known = match and any(key.startswith(match[1] + "/") for key in self.files)
            code = "EntryNotFound" if known else "RepoNotFound"
            return self.send(request, 404, {"X-Error-Code": code, "X-Repo-Commit": self.commit}, b"", head)
        digest = hashlib.sha256(content).hexdigest()
        size = len(content) + (5 if self.fault == "wrong size" else 0)
        headers = {
            "X-Repo-Commit": self.commit,
            "ETag": f'"{digest[:40] if self.fault == "no sha256" else digest}"',
            "X-Linked-Size": str(size),
            "Accept-Ranges": "bytes",
        }
        status, start = 200, 0
        if asked := re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", "")):
            status, start = 206, int(asked[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if self.fault == "cut" and not head:
            self.fault = None  # the next answer comes whole
            return self.send(request, 200, headers, content, head, cut=len(content) - 10)
        if self.fault == "always cut" and not head:
            return self.send(request, 200, headers, content, head, cut=len(content) // 2)
        body = {
            "html": b"<!DOCTYPE html><html>Not today</html>",
            "truncated": content[:-10],
            "flipped": bytes([content[0] ^ 1]) + content[1:],
        }.get(None if head else self.fault, content)
        return self.send(request, status, headers, body[start:], head)

    def receive(self, request):
        """An upload: make a repository, say how each file is to be sent, take a commit with all of them inside."""
        sent = request.rfile.read(int(request.headers["Content-Length"]))
        answer = {"url": f"{self.endpoint}/me/mine", "id": "me/mine", "name": "me/mine"}
        if "/preupload/" in request.path:
            names = [file["path"] for file in json.loads(sent)["files"]]
            answer = {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main.*", request.path):
            for line in map(json.loads, sent.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.files[f"{match[1]}/{line['value']['path']}"] = content
            answer = {"commitUrl": f"{self.endpoint}/{match[1]}/commit/{self.commit}", "commitOid": self.commit}
        self.send(request, 200, {"Content-Type": "application/json"}, json.dumps(answer).encode(), head=False)

    def send(self, request, status, headers, body, head, cut=None):
        request.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            request.send_header(name, value)
        request.end_headers()
        if not head:
            request.wfile.write(body[:cut])
        if cut is not None:
            request.close_connection = True


@pytest.fixture
def hub(authors_files):
    """The stand-in with the authors' repository."""
    server = Hub()
    server.files = {f"shallowdream204/LoRA-IR/{name}": content for name, content in authors_files.items()}
    yield server
    server.close()


@pytest.fixture
def program(hub, tmp_path):
    """``program("weights", "list")``: the command line in a process of its own that knows no hub but the stand-in."""
    started = []

    def start(*arguments, script=None, wait=True, before=(), **environment):
        clean = {
            k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING")) and "proxy" not in k.lower()
        }
        clean |= {"HF_HOME": str(tmp_path / "cache"), "HF_ENDPOINT": hub.endpoint, "OMP_NUM_THREADS": "1"}
        what = ["-c", script] if script else ["-m", "lorair_cli"]
        process = subprocess.Popen(
            [*before, sys.executable, *what, *map(str, arguments)],
            env=clean | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        if not wait:
            return process
        process.out, process.err = process.communicate(timeout=120)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
