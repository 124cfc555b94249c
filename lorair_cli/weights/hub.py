"""Files from the Hugging Face hub: through its own client into its own cache, checked before anything reads them.

huggingface_hub does the talking, so what it is told holds here, too: ``HF_HOME``, ``HF_ENDPOINT``, ``HF_HUB_OFFLINE``,
``HF_TOKEN``, proxies. A file is checked against a SHA-256: the one in ``weights.toml`` or, where none is pinned, the
one under which the hub itself keeps large files. What was found good is noted in the cache; later starts ask nobody.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import lorair_cli
from lorair_cli.errors import WeightsError
from lorair_cli.imaging.files import atomic_write
from lorair_cli.tables import build
from lorair_cli.weights.integrity import damage
from lorair_cli.weights.manifest import WeightFile

AGAIN = "try again"
FULL_OR_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR})
"""Reasons why a cache cannot be written, as opposed to failures of the network, which are an ``OSError`` as well."""

N = TypeVar("N")


@dataclass(frozen=True)
class Found:
    """A file as the hub described it when it was downloaded."""

    commit: str
    """Commit of the repository that the file belongs to."""
    sha256: str
    bytes: int

    def __post_init__(self) -> None:
        """Refuse what describes no file, in a note as in an answer of the hub: ``ValueError``."""
        if not re.fullmatch("[0-9a-f]{64}", self.sha256) or self.bytes <= 0:
            raise ValueError("neither SHA-256 nor size of a file")


def fetch(repository: str, revision: str, file: WeightFile, *, newest: bool = False) -> Path:
    """A file of a hub repository, in the hub client's cache, checked.

    Args:
        repository: ``owner/name``.
        revision: branch, tag or commit.
        file: its name and, if they are pinned, its SHA-256 and size.
        newest: ask the hub whether the revision has moved on, and fall back on the file that is here if it does not
            answer. Otherwise a good file that is here is taken without asking.

    Returns:
        Its path. The folders around it are the client's and may change.

    Raises:
        WeightsError: the file cannot be had or is not what it should be; nothing of it stays in the cache.
    """
    here = find_cached(repository, revision, file)
    good = here is not None and is_good(*here)
    if here is not None and good and not newest:
        return here[0]
    try:
        found = _ask(repository, revision, file)
    except WeightsError as error:
        if here is None:
            raise
        if good:
            return here[0]
        raise WeightsError(f"{here[0]} is damaged, and {error.message}", error.hint) from None
    path = _download(repository, found, file)
    with suppress(OSError):  # in a cache that is read-only, the next start asks the hub again
        write_note(_note_path(repository, revision, file), found)
    return path


def find_cached(repository: str, revision: str, file: WeightFile) -> tuple[Path, WeightFile] | None:
    """Where an earlier download lies and what its content should be, unchecked; None if there is none."""
    from huggingface_hub import try_to_load_from_cache

    found = read_note(_note_path(repository, revision, file), Found)
    with explained(f"{repository}/{file.name}", "downloaded"):
        path = try_to_load_from_cache(repository, file.name, revision=revision if found is None else found.commit)
    if not isinstance(path, str):
        return None
    if file.published:
        return Path(path), file
    if found is not None:
        return Path(path), WeightFile(file.name, found.sha256, found.bytes)
    # Put there by another program. A large file lies in the cache under its SHA-256.
    blob = Path(path).resolve()
    if not re.fullmatch("[0-9a-f]{64}", blob.name):
        return None
    return Path(path), WeightFile(file.name, blob.name, blob.stat().st_size)


def notes_folder(repository: str, revision: str) -> Path:
    """Where this project keeps its own files about a repository: in the part of the cache meant for that."""
    from huggingface_hub import constants

    return Path(constants.HF_ASSETS_CACHE, "lorair", repository.replace("/", "--"), revision.replace("/", "--"))


def read_note(path: Path, kind: type[N]) -> N | None:
    """A dataclass from a JSON file; None if there is no such file or it makes no sense."""
    try:
        return build(kind, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def write_note(path: Path, note: object) -> None:
    """A dataclass into a JSON file, whole or not at all; ``OSError`` if it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(json.dumps(asdict(note), indent=1).encode())  # type: ignore[call-overload]


def _note_path(repository: str, revision: str, file: WeightFile) -> Path:
    return notes_folder(repository, revision) / f"{file.name}.json"


def is_good(path: Path, expected: WeightFile) -> bool:
    """Whether a file is there, can be read and is as expected."""
    try:
        return damage(path, expected) is None
    except OSError:
        return False


def _ask(repository: str, revision: str, file: WeightFile) -> Found:
    """The hub's description of a file; ``WeightsError`` if it gives none or contradicts the pinned one."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    what = f"{repository}/{file.name}"
    with explained(what, "downloaded"):
        about = get_hf_file_metadata(
            hf_hub_url(repository, file.name, revision=revision),
            library_name="lorair",
            library_version=lorair_cli.__version__,
        )
    if about.commit_hash is None or about.etag is None or about.size is None:
        raise _no_hub(what)
    if not re.fullmatch("[0-9a-f]{64}", about.etag) or about.size <= 0:
        raise WeightsError(
            f"{what}: the hub gives no SHA-256 for it",
            "upload it again as a large file (LFS or Xet), as push_to_hub does",
        )
    found = Found(about.commit_hash, about.etag, about.size)
    if file.published and (found.sha256, found.bytes) != (file.sha256, file.bytes):
        raise WeightsError(f"{what}: the hub holds another file than the one this version knows", "update lorair")
    return found


def _download(repository: str, found: Found, file: WeightFile) -> Path:
    """Through the client, which works in temporary files, renames them and locks: two processes may do so at once."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    what = f"{repository}/{file.name}"
    expected = replace(file, sha256=found.sha256, bytes=found.bytes)
    cached = try_to_load_from_cache(repository, file.name, revision=found.commit)
    if isinstance(cached, str) and is_good(Path(cached), expected):
        return Path(cached)
    with explained(what, "downloaded"):
        path = Path(
            hf_hub_download(
                repository,
                file.name,
                revision=found.commit,
                library_name="lorair",
                library_version=lorair_cli.__version__,
                force_download=isinstance(cached, str),  # what is here is damaged; this replaces it in one step
            )
        )
        reason = damage(path, expected)
    if reason is not None:
        with suppress(OSError):
            blob = path.resolve()
            path.unlink()
            blob.unlink()
        raise WeightsError(
            f"{what}: arrived damaged, {reason}", f"{AGAIN}; if it stays so, a proxy or mirror is at fault"
        )
    return path


@contextmanager
def explained(what: str, done: Literal["downloaded", "uploaded"]) -> Iterator[None]:
    """Whatever the client raises becomes one line: file, the reason, remedy. Its own warnings are kept quiet."""
    from huggingface_hub import constants, errors
    from huggingface_hub.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except errors.HFValidationError:
        raise WeightsError(f"{what}: the hub has no such names", "write owner/name, as in the address") from None
    except errors.OfflineModeIsEnabled:
        if done == "uploaded":
            raise WeightsError(f"{what}: cannot be uploaded, HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE") from None
        raise WeightsError(
            f"{what}: not in the cache, and HF_HUB_OFFLINE is set",
            "unset HF_HUB_OFFLINE for one download, or point HF_HOME to a cache that holds the file",
        ) from None
    except errors.GatedRepoError:
        raise WeightsError(
            f"{what}: the owner grants access on request",
            f"ask at {constants.ENDPOINT}/{what.rpartition('/')[0]}, then log in with `hf auth login`",
        ) from None
    except errors.RepositoryNotFoundError:
        raise WeightsError(
            f"{what}: no such repository, or a private one", "check the name, or log in with `hf auth login`"
        ) from None
    except errors.RevisionNotFoundError:
        raise WeightsError(f"{what}: no such revision in the repository", "check the revision") from None
    except errors.FileMetadataError:
        raise _no_hub(what) from None
    except errors.LocalEntryNotFoundError as error:
        raise _unreachable(what, done, error.__cause__ or error) from None
    except errors.EntryNotFoundError:
        raise WeightsError(
            f"{what}: no such file in the repository",
            f"see what there is at {constants.ENDPOINT}/{what.rpartition('/')[0]}",
        ) from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "an error")
        raise WeightsError(f"{what}: the hub answered {status}", f"{AGAIN} later") from None
    except OSError as error:
        if error.errno in FULL_OR_FORBIDDEN:
            raise WeightsError(
                f"{what}: the cache {constants.HF_HUB_CACHE} cannot be written: {error.strerror}",
                "set HF_HOME to a folder with room that you may write to",
            ) from None
        if "onsistency check" in str(error):
            raise WeightsError(f"{what}: arrived incomplete, the wrong size", AGAIN) from None
        raise _unreachable(what, done, error) from None
    except Exception as error:  # of the client's HTTP library, which is another one in each of its major versions
        if done == "uploaded" and isinstance(error, ValueError):  # the client looks at what it sends
            raise WeightsError(f"{what}: the hub would refuse it: {' '.join(str(error).split())}") from None
        raise _unreachable(what, done, error) from None
    finally:
        logging.set_verbosity(verbosity)


def _no_hub(what: str) -> WeightsError:
    from huggingface_hub import constants

    return WeightsError(
        f"{what}: {constants.ENDPOINT} does not answer like a hub",
        "a login page or proxy may be in the way: open that address in a browser, check HF_ENDPOINT",
    )


def _unreachable(what: str, done: str, error: BaseException) -> WeightsError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return WeightsError(f"{what}: cannot be {done}: {reason}", f"check network and proxy, then {AGAIN}")
