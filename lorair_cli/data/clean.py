"""A folder of clean photos, as the source of ground truth for the synthesis."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lorair_cli.errors import ImageError, TrainingError
from lorair_cli.imaging.arrays import to_eight_bits
from lorair_cli.imaging.decode import read_photo
from lorair_cli.imaging.files import atomic_write

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp"})
"""Files that are taken for photos. What they hold is seen when they are read."""
DECODED_BYTES = 2**30
"""Room for some 1,300 photos of 512x512."""


@dataclass(frozen=True)
class CleanPhotos:
    """Photos that training may take as ground truth, in a fixed order."""

    paths: tuple[Path, ...]
    memory: int = DECODED_BYTES
    """Bytes of decoded photos that each process keeps: on two cores, decoding was a quarter of the work of a sample."""
    cache: Path | None = None
    """Folder of decoded copies, made as photos are first read and mapped into memory: a crop then reads its own pages
    alone, and all processes share them. It grows to the decoded size of all photos. None keeps them in ``memory``."""
    _decoded: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def find(cls, folders: Sequence[Path]) -> CleanPhotos:
        """All photos below ``folders``, folder by folder, sorted in each, none twice, nothing hidden.

        Raises:
            TrainingError: a folder is missing or holds no photos.
        """
        paths: list[Path] = []
        for folder in folders:
            if not folder.is_dir():
                raise TrainingError(f"{folder}: no such folder of clean photos")
            found = [path for path in folder.rglob("*") if _looks_like_a_photo(path, folder)]
            if not found:
                raise TrainingError(f"{folder}: holds no photos", f"expected {', '.join(sorted(SUFFIXES))}")
            # By name below the folder: the order, and with it every sample, is the same wherever the folder lies.
            paths += sorted(found, key=lambda path: path.relative_to(folder).parts)
        return cls(tuple(dict.fromkeys(paths)))

    def __len__(self) -> int:
        return len(self.paths)

    def spread(self, most: int) -> CleanPhotos:
        """At most ``most`` of the photos, evenly spread over all of them."""
        count = min(most, len(self))
        return CleanPhotos(tuple(self.paths[i * len(self) // count] for i in range(count)), cache=self.cache)

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """Photo ``index``, upright, as ``(h, w, 3)`` uint8 RGB, transparency dropped; not to be written to.

        Raises:
            TrainingError: one line that names the file: it is damaged, truncated, gone or no photo at all; or the cache
                cannot be written.
        """
        if self.cache is not None:
            return self._mapped(self.paths[index], self.cache)
        if (kept := self._decoded.get(index)) is not None:
            return kept
        photo = _decode(self.paths[index])
        # First come, first kept: photos are drawn evenly, so pushing out older ones would gain nothing.
        if sum(p.nbytes for p in self._decoded.values()) + photo.nbytes <= self.memory:
            self._decoded[index] = photo
            photo.flags.writeable = False
        return photo

    def _mapped(self, path: Path, cache: Path) -> npt.NDArray[np.uint8]:
        """The decoded copy of a photo, which is made if it is not there or the photo has changed since."""
        try:
            status = path.stat()
            said = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
            file = cache / f"{hashlib.blake2b(said.encode(errors='surrogateescape'), digest_size=16).hexdigest()}.npy"
            if not file.is_file():
                cache.mkdir(parents=True, exist_ok=True)
                photo = _decode(path)
                with atomic_write(file) as out:  # several processes may do so at once
                    np.save(out, photo)
            kept = np.asarray(np.load(file, mmap_mode="r"))
            if kept.dtype != np.uint8 or kept.ndim != 3 or kept.shape[2] != 3:
                raise ValueError(f"{file.name} is no decoded photo")
            return kept
        except (OSError, ValueError, EOFError) as error:  # the last where a full disk left a copy empty
            raise TrainingError(
                f"{path}: no decoded copy in {cache}: {error}", "empty the cache, or train without it"
            ) from error


def told_apart(files: Iterable[Path]) -> str:
    """Words that tell these files from others by their number and names, wherever their folders lie."""
    names = [path.name for path in files]
    digest = hashlib.sha256("\0".join(names).encode(errors="surrogateescape")).hexdigest()
    return f"{len(names)} files ({digest[:12]})"


def _decode(path: Path) -> npt.NDArray[np.uint8]:
    try:
        return to_eight_bits(read_photo(path).rgb)
    except ImageError as error:
        raise TrainingError(error.message, "repair it or take it out of the folder") from error


def _looks_like_a_photo(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not hidden and path.suffix.lower() in SUFFIXES and path.is_file()
