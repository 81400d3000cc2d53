"""Indexes of gzip files that outlive the program: made by indexed_gzip, kept in memory or in a folder."""

from __future__ import annotations

import hashlib
import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import DestinationError, ImageError
from ..storage.files import atomic_file

if TYPE_CHECKING:
    import os

    from .ranges import RangedFile

logger = logging.getLogger(__name__)

#: Where a folder has its indexes; dot-named, so that the BIDS validator passes over them.
INDEX_FOLDER = Path(".s3bids", "gzip-index")
_DIGEST_BYTES = hashlib.sha256().digest_size


class IndexStore(Protocol):
    """What keeps indexes by name: a dict, or an :class:`IndexFolder`."""

    def get(self, name: str, /) -> bytes | None:
        """Give an index, None if there is none of this name."""
        ...

    def __setitem__(self, name: str, index: bytes, /) -> None: ...


class IndexFolder:
    """Indexes as files in ``.s3bids/gzip-index/`` of a directory.

    A file is written whole or not at all. One that is damaged counts as absent.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._folder = Path(directory) / INDEX_FOLDER

    def get(self, name: str, /) -> bytes | None:
        """Give an index, None if there is none of this name that is whole."""
        try:
            content = self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        digest, index = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        return index if hashlib.sha256(index).digest() == digest else None

    def __setitem__(self, name: str, index: bytes, /) -> None:
        path = self._path(name)
        try:
            with atomic_file(path) as file:
                file.write(hashlib.sha256(index).digest())
                file.write(index)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> DestinationError:
        return DestinationError(
            f"cannot keep indexes in {self._folder}: {error.strerror or error}; name another directory"
        )

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode('utf-8', 'backslashreplace')).hexdigest()[:32]}.gzidx"


def index_store(indexes: IndexStore | str | os.PathLike[str] | None) -> IndexStore | None:
    """Give what keeps indexes: a folder by its path; anything else is taken as it is."""
    if indexes is None or hasattr(indexes, "get"):
        return indexes  # type: ignore[return-value] # whatever gets and sets by name
    return IndexFolder(indexes)


class KeptIndex:
    """The index of one gzip file: where in it inflating can begin, every `spacing` bytes of the content.

    Parameters
    ----------
    file
        The compressed file. What is read from it for the index was just read for the data, so it is there already.
    store
        Where the index comes from, and is kept under the version of the object: another object has another index.
    spacing
        Bytes of content between two points; each takes 32 KiB.
    """

    def __init__(self, file: RangedFile, store: IndexStore, *, spacing: int) -> None:
        self._name = file.source.version
        self._store = store
        self._spacing = spacing
        self._feed = _Feed(file)
        self._gzip = self._opened()
        kept = store.get(self._name)
        if kept is not None:
            try:
                self._gzip.import_index(fileobj=io.BytesIO(kept))
            except OSError:
                logger.warning("the index kept for %s is damaged; it is made anew", file.name)
                self._gzip = self._opened()
        self._n_kept = len(self.points())
        self._is_whole = False

    def _opened(self) -> Any:
        from indexed_gzip import IndexedGzipFile

        # A buffer of its own would read on behind what is asked for.
        return IndexedGzipFile(fileobj=self._feed, spacing=self._spacing, buffer_size=1)

    def points(self) -> list[tuple[int, int]]:
        """Give the points: pairs of place in the content and place in the file."""
        return list(self._gzip.seek_points())

    def nearest(self, position: int) -> int:
        """Give the last place at or before another one where inflating can begin."""
        return max((made for made, _ in self.points() if made <= position), default=0)

    def extend(self, position: int, *, is_end: bool) -> None:
        """Carry the index on to a place that was inflated just now.

        Parameters
        ----------
        position
            How far the content was inflated. The index stays a little behind it: indexed_gzip goes somewhat further
            than it is told.
        is_end
            Whether nothing comes behind.
        """
        points = self.points()
        last = points[-1][0] if points else 0
        goal = position if is_end else position - self._spacing
        if goal > last and (is_end or goal >= last + self._spacing):
            self._call(self._gzip.seek, goal)
            self._is_whole = is_end

    def keep(self) -> None:
        """Keep the index if it has grown by a quarter, or to its end, since that was done last."""
        n_points = len(self.points())
        if n_points > 1.25 * self._n_kept or (self._is_whole and n_points > self._n_kept):
            index = io.BytesIO()
            self._gzip.export_index(fileobj=index)
            self._store[self._name] = index.getvalue()
            self._n_kept = n_points

    def read(self, position: int, size: int) -> bytes:
        """Read the content from a place on, beginning at the nearest point before it."""
        self._call(self._gzip.seek, position)
        data: bytes = self._call(self._gzip.read, size)
        return data

    def _call(self, function: Any, argument: int) -> Any:
        """Call indexed_gzip; what went wrong below it is raised in place of its own error."""
        try:
            return function(argument)
        except Exception as error:
            if self._feed.error is not None:
                raise self._feed.error from None
            raise ImageError(f"cannot read {self._feed.name}: its compressed data are damaged ({error})") from error


class _Feed:
    """The compressed file as indexed_gzip wants it. An error of its own would end in C: it is kept for the caller."""

    mode = "rb"

    def __init__(self, file: RangedFile) -> None:
        self.error: BaseException | None = None
        self.name = file.name
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable
        self.readable = file.readable

    def read(self, size: int) -> bytes:
        self.error = None
        try:
            return self._file.read_some(size)
        except BaseException as error:
            self.error = error
            raise
