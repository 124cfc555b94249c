"""A checkpoint as a folder or hub repository that ``from_pretrained`` reads: weights, description, model card.

File names and the meaning of the arguments are huggingface_hub's conventions, so that the hub counts, shows and caches
such a repository like any other model.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import lorair_cli
from lorair_cli.errors import WeightsError
from lorair_cli.imaging.files import atomic_write
from lorair_cli.weights.checkpoint import Checkpoint, info_as_dict, save_checkpoint
from lorair_cli.weights.hub import explained
from lorair_cli.weights.store import MODEL_FILE

HUB_LICENCES = frozenset(
    {
        *("apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "wtfpl", "zlib", "unknown"),
        *("cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
        *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
        *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1"),
        *("lgpl-3.0", "agpl-3.0", "mpl-2.0", "eupl-1.1", "eupl-1.2", "openrail", "bigscience-openrail-m"),
        *("creativeml-openrail-m", "openrail++", "afl-3.0", "artistic-2.0", "bsl-1.0", "ecl-2.0", "epl-1.0", "epl-2.0"),
        *("ms-pl", "ncsa", "ofl-1.1", "osl-3.0", "postgresql", "pddl", "odbl", "odc-by"),
    }
)
"""Licences by the identifiers that the hub knows."""

PAPER = "https://arxiv.org/abs/2410.15385"


def save_pretrained(folder: str | Path, checkpoint: Checkpoint) -> None:
    """Write ``model.safetensors``, ``config.json`` and, unless there is one, the model card ``README.md``.

    Raises:
        WeightsError: the folder cannot be written.
    """
    folder = Path(folder)
    _save(folder, checkpoint, folder.resolve().name)


def _save(folder: Path, checkpoint: Checkpoint, name: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(folder / MODEL_FILE, checkpoint)
        _write(folder / "config.json", json.dumps(info_as_dict(checkpoint.info), indent=2, sort_keys=True) + "\n")
        if not (folder / "README.md").exists():  # somebody may have written a better one
            _write(folder / "README.md", model_card(checkpoint, name))
    except OSError as error:
        raise WeightsError(f"{folder}: cannot be written: {error.strerror}") from None


def push_to_hub(
    repository: str, checkpoint: Checkpoint, *, private: bool = False, message: str = "Upload weights with lorair"
) -> str:
    """Upload a checkpoint with a generated model card; the repository is made if there is none.

    Args:
        repository: ``owner/name`` on the hub. You are who ``hf auth login`` or ``HF_TOKEN`` says.
        checkpoint: what to upload.
        private: whether a new repository is hidden from others.
        message: of the commit.

    Returns:
        Address of the commit.

    Raises:
        WeightsError: the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    with TemporaryDirectory() as temporary:
        _save(Path(temporary), checkpoint, repository)
        api = HfApi(library_name="lorair", library_version=lorair_cli.__version__)
        with explained(f"{repository}/{MODEL_FILE}", "uploaded"):
            api.create_repo(repository, private=private, exist_ok=True)
            commit = api.upload_folder(repo_id=repository, folder_path=temporary, commit_message=message)
    return str(commit)


def model_card(checkpoint: Checkpoint, name: str) -> str:
    """The text of ``README.md``: what the hub's search needs, how to use the weights, where they come from.

    Args:
        checkpoint: the weights to describe.
        name: ``owner/name`` of the repository, or of the folder.
    """
    info = checkpoint.info
    numbers = sum(t.numel() for t in [*checkpoint.network.values(), *checkpoint.router.values()])
    known = info.licence.lower() in HUB_LICENCES
    front = {
        # The hub refuses a card whose licence is none of its own identifiers.
        **({"license": info.licence.lower()} if known else {"license": "other", "license_name": info.licence}),
        "library_name": "lorair",
        "pipeline_tag": "image-to-image",
        "tags": ["image-restoration", "lora-ir", *info.degradations],
    }
    experts = f"{info.network.experts} experts of rank {info.network.rank}" if info.network.experts else "no experts"
    lines = [
        "---",
        *(f"{key}: {json.dumps(value)}" for key, value in front.items()),  # JSON is YAML
        "---",
        "",
        f"# {_plain(name)}",
        "",
        f"Weights for restoring photos with [LoRA-IR]({PAPER}): {', '.join(map(_plain, info.degradations))}.",
        "",
        "## Use",
        "",
        "```python",
        "from pathlib import Path",
        "",
        "from lorair_cli.imaging.decode import read_photo",
        "from lorair_cli.restoration.restorer import Restorer",
        "",
        f"restorer = Restorer.from_pretrained({json.dumps(name)})",
        'result = restorer.restore(read_photo(Path("photo.jpg")))',
        "```",
        "",
        "## What it is",
        "",
        f"- setting {_plain(info.setting)}, scale {_plain(info.scale)}, {numbers / 1e6:.1f} million parameters",
        f"- {experts}, the best {info.top_k} mixed for each photo",
        f"- licence {_plain(info.licence)}",
        f"- written by lorair {lorair_cli.__version__} as safetensors; `config.json` repeats the description inside",
        "",
        "## Where it comes from",
        "",
        *(f"- {_plain(key)}: {_plain(_as_text(value))}" for key, value in info.provenance.items()),
    ]
    if not info.provenance:
        lines.append("The weights do not say.")
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _plain(text: str) -> str:
    """On one line, without characters that would become markup or HTML."""
    return "".join(" " if c in "\r\n" else f"\\{c}" if c in "<>[]`*" else c for c in text)
