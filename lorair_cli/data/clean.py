"""A folder of clean photos, as the source of ground truth for the synthesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lorair_cli.errors import ImageError, TrainingError
from lorair_cli.imaging.arrays import to_eight_bits
from lorair_cli.imaging.decode import read_photo

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
"""Files that are taken for photos. What they hold is seen when they are read."""
DECODED_BYTES = 2**30
"""Room for some 1,300 photos of 512x512."""


@dataclass(frozen=True)
class CleanPhotos:
    """Photos that training may take as ground truth, in a fixed order."""

    paths: tuple[Path, ...]
    memory: int = DECODED_BYTES
    """Bytes of decoded photos that each process keeps: on two cores, decoding was a quarter of the work of a sample."""
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
        return CleanPhotos(tuple(self.paths[i * len(self) // count] for i in range(count)))

    def read(self, index: int) -> npt.NDArray[np.uint8]:
        """Photo ``index``, upright, as ``(h, w, 3)`` uint8 RGB, transparency dropped; not to be written to.

        Raises:
            TrainingError: one line that names the file: it is damaged, truncated, gone or no photo at all.
        """
        if (kept := self._decoded.get(index)) is not None:
            return kept
        try:
            photo = to_eight_bits(read_photo(self.paths[index]).rgb)
        except ImageError as error:
            raise TrainingError(error.message, "repair it or take it out of the folder") from error
        # First come, first kept: photos are drawn evenly, so pushing out older ones would gain nothing.
        if sum(p.nbytes for p in self._decoded.values()) + photo.nbytes <= self.memory:
            self._decoded[index] = photo
            photo.flags.writeable = False
        return photo


def _looks_like_a_photo(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not hidden and path.suffix.lower() in SUFFIXES and path.is_file()
