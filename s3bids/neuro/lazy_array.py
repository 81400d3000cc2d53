"""The data of an image that is on storage: fetched when they are used, and as far as they are used.

This module builds on a class of nibabel, and is therefore imported by functions only.
"""

from __future__ import annotations

import math
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.fileslice import calc_slicedefs, canonical_slicers, fileslice, is_fancy

from ..errors import ImageError

if TYPE_CHECKING:
    from .gzipped import GzippedFile
    from .ranges import RangedFile


class LazyArray(ArrayProxy):
    """nibabel's array proxy over a file that is told what will be read.

    Scaling and slicing are nibabel's own, so results are those of a local file. Serves many threads, one at a time:
    all arrays of one image share the position of its file.
    """

    file_like: RangedFile | GzippedFile

    def __init__(
        self,
        file_like: RangedFile | GzippedFile,
        spec: Any,
        *,
        mmap: bool = False,
        order: str | None = None,
        keep_file_open: bool | None = None,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            file_like, spec, mmap=mmap, order=order, keep_file_open=keep_file_open
        )
        self._lock = file_like.lock

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._lock: RLock = self.file_like.lock

    def _get_unscaled(self, slicer: Any) -> np.ndarray[Any, Any]:
        end = self._offset + math.prod(self._shape) * self._dtype.itemsize
        with self._lock:
            self.file_like.check_size(end)
            found = self._read_whole(end) if _is_whole(slicer, self._shape) else self._read_part(slicer)
            self.file_like.done()
            return found

    def _read_part(self, slicer: Any) -> np.ndarray[Any, Any]:
        if not is_fancy(slicer):
            segments, _, _ = calc_slicedefs(slicer, self._shape, self._dtype.itemsize, self._offset, order=self.order)
            self.file_like.prepare([(start, start + size) for start, size in segments])
        found: np.ndarray[Any, Any] = fileslice(
            self.file_like, slicer, self._shape, self._dtype, self._offset, order=self.order
        )
        return found

    def _read_whole(self, end: int) -> np.ndarray[Any, Any]:
        # Not NumPy's: it asks for huge pages, which may take the system longer to find than all the rest takes.
        buffer = bytearray(end - self._offset)
        self.file_like.prepare([(self._offset, end)])
        self.file_like.seek(self._offset)
        n_read = self.file_like.readinto(memoryview(buffer))
        if n_read < len(buffer):
            raise ImageError(
                f"cannot read {self.file_like.name}: its header promises {len(buffer)} bytes of data, and there are "
                f"{n_read}; the image is cut short"
            )
        return np.ndarray(self._shape, self._dtype, buffer=buffer, order=self.order)


def _is_whole(slicer: Any, shape: tuple[int, ...]) -> bool:
    """Say whether a slicer takes all of an array, in its order."""
    given, all_of_it = (canonical_slicers(item, shape, check_inds=False) for item in (slicer, ()))
    return bool(given == all_of_it)
