"""The functions of virt_s3 that read objects; :mod:`s3bids.storage.functions` says what they have in common."""

from __future__ import annotations

import os
from dataclasses import replace
from io import BytesIO
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from .chooser import TransferMethod
from .concurrency import in_threads
from .registry import shared_storage
from .transfers import Progress, limits_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .base import Storage
    from .images import ImageFormatType
    from .params import Params
    from .transfers import ProgressCallback, TransferSettings

    #: A key or a path.
    AnyPath = str | os.PathLike[str]


def get_file(
    fpath: AnyPath,
    save_path: AnyPath | None = None,
    params: Params | None = None,
    client: Any = None,
    bytes_io: bool = False,  # noqa: FBT001, FBT002 - virt_s3's signature
    *,
    progress_callback: ProgressCallback | None = None,
    transfer_config: TransferSettings | None = None,
) -> bytes | BytesIO | str:
    """Read an object, or write it to a file.

    Parameters
    ----------
    save_path
        A file to write to, whole or not at all; its parents are made. Memory does not grow with the object. A directory
        there is IsADirectoryError.
    bytes_io
        Give a BytesIO at position 0; `save_path` goes first.

    Returns
    -------
    bytes, BytesIO or str
        The bytes, or with `save_path` that path as text.
    """
    storage, key = shared_storage(params, client), key_of(fpath)
    if save_path is not None:
        return storage.download(key, save_path, transfer_config=transfer_config, progress_callback=progress_callback)
    data = storage.read(key, transfer_config=transfer_config, progress_callback=progress_callback)
    return BytesIO(data) if bytes_io else data


def get_file_chunked(
    fpath: AnyPath,
    params: Params | None = None,
    client: Any = None,
    *,
    chunk_size: int = 1048576,
    bytes_io: bool = False,
    progress_callback: ProgressCallback | None = None,
    transfer_config: TransferSettings | None = None,
) -> bytes | BytesIO:
    """Read an object in ranges of `chunk_size` bytes.

    The result is held in memory; ``get_file(fpath, save_path)`` and :meth:`Storage.stream` are for what does not fit.

    Parameters
    ----------
    chunk_size
        In bytes; less than 1 is ValueError.
    bytes_io
        Give a BytesIO at position 0.
    """
    if not isinstance(chunk_size, int):
        raise TypeError(f"chunk_size is a number of bytes, not {type(chunk_size).__name__}")
    if chunk_size < 1:
        raise ValueError(f"cannot read in ranges of {chunk_size} bytes; chunk_size is at least 1")
    limits = replace(limits_of(transfer_config), multipart_threshold=chunk_size, multipart_chunksize=chunk_size)
    data = shared_storage(params, client).read(
        key_of(fpath), method=TransferMethod.TRANSFER, transfer_config=limits, progress_callback=progress_callback
    )
    return BytesIO(data) if bytes_io else data


def get_image(
    fpath: AnyPath,
    params: Params | None = None,
    client: Any = None,
    img_format: ImageFormatType | str | None = None,
    bytes_io: bool = False,  # noqa: FBT001, FBT002 - virt_s3's signature
    *,
    progress_callback: ProgressCallback | None = None,
    transfer_config: TransferSettings | None = None,
) -> Any:
    """Read an image.

    Parameters
    ----------
    img_format
        An :class:`ImageFormatType` or its value; another is ValueError. It goes before `bytes_io`.
    bytes_io
        Give a BytesIO at position 0.

    Returns
    -------
    PIL.Image.Image, numpy.ndarray, str, BytesIO or bytes
        As `img_format` says: a PIL image, an array of shape (height, width[, channels]), or the text
        ``data:image/...;base64,...``, whose type follows the extension of the name. Without it the object's bytes.

    Raises
    ------
    ImageError
        If the bytes are no image.
    """
    from .images import check_format, decode

    storage, key = shared_storage(params, client), key_of(fpath)
    wanted = None if img_format is None else check_format(img_format, key)
    data = storage.read(key, transfer_config=transfer_config, progress_callback=progress_callback)
    if wanted is not None:
        return decode(data, wanted, key)
    return BytesIO(data) if bytes_io else data


def get_files_generator(
    fpath_li: Iterable[AnyPath],
    params: Params | None = None,
    client: Any = None,
    bytes_io: bool = False,  # noqa: FBT001, FBT002 - virt_s3's signature
    *,
    progress_callback: ProgressCallback | None = None,
    transfer_config: TransferSettings | None = None,
) -> Iterator[bytes | BytesIO]:
    """Yield the content of several objects, in their order, each read when it is wanted.

    A missing one raises ``ObjectNotFoundError`` at its turn.

    Parameters
    ----------
    fpath_li
        Keys or paths; a single text is TypeError.
    bytes_io
        Yield each as a BytesIO at position 0.
    progress_callback
        Told of all objects together, whose sizes are asked for first.
    """
    batch = _Batch(shared_storage(params, client), _keys_of(fpath_li), transfer_config, progress_callback)
    return batch.one_by_one(bytes_io=bytes_io)


def get_files_batch(
    fpath_li: Iterable[AnyPath],
    params: Params | None = None,
    client: Any = None,
    max_concurrency: int = 0,
    bytes_io: bool = False,  # noqa: FBT001, FBT002 - virt_s3's signature
    *,
    progress_callback: ProgressCallback | None = None,
    transfer_config: TransferSettings | None = None,
) -> list[bytes | BytesIO]:
    """Read several objects, and give their contents in their order.

    Parameters
    ----------
    fpath_li
        Keys or paths; a single text is TypeError.
    max_concurrency
        So many objects at once; 0: one after the other.
    bytes_io
        Give each as a BytesIO at position 0.
    progress_callback
        Told of all objects together, whose sizes are asked for first.
    """
    if max_concurrency < 0:
        raise ValueError(f"max_concurrency is {max_concurrency}; it is the number of threads, or 0 for none")
    batch = _Batch(shared_storage(params, client), _keys_of(fpath_li), transfer_config, progress_callback)
    if max_concurrency == 0:
        return list(batch.one_by_one(bytes_io=bytes_io))
    return batch.at_once(max_concurrency, bytes_io=bytes_io)


class _Batch:
    """Several objects that are read with one progress."""

    def __init__(
        self,
        storage: Storage,
        keys: list[str],
        transfer_config: TransferSettings | None,
        progress_callback: ProgressCallback | None,
    ) -> None:
        self._storage = storage
        self._keys = keys
        self._config = transfer_config
        self._callback = progress_callback

    def one_by_one(self, *, bytes_io: bool) -> Iterator[bytes | BytesIO]:
        progress = self._progress()
        for key in self._keys:
            yield self._read(key, progress, bytes_io=bytes_io)
        progress.end()

    def at_once(self, workers: int, *, bytes_io: bool) -> list[bytes | BytesIO]:
        progress = self._progress()
        found = in_threads(lambda key: self._read(key, progress, bytes_io=bytes_io), self._keys, workers=workers)
        progress.end()
        return found

    def _progress(self) -> Progress:
        if self._callback is None:
            return Progress(None, None)
        sizes = in_threads(lambda key: self._storage.head(key).size, self._keys)
        return Progress(self._callback, sum(sizes))

    def _read(self, key: str, progress: Progress, *, bytes_io: bool) -> bytes | BytesIO:
        tell = None if self._callback is None else progress.share()
        data = self._storage.read(key, transfer_config=self._config, progress_callback=tell)
        return BytesIO(data) if bytes_io else data


def key_of(path: AnyPath) -> str:
    """Give the text of a key: a path is one with ``/`` between its parts, and the path ``.`` is the bucket's top.

    >>> key_of("ds/sub-01"), key_of(PurePath("ds") / "sub-01"), key_of(PurePath())
    ('ds/sub-01', 'ds/sub-01', '')
    """
    if isinstance(path, PurePath):
        text = path.as_posix()
        return "" if text == "." else text
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"a key is text or a path, not {type(path).__name__}: {path!r}")
    return text


def _keys_of(paths: Iterable[AnyPath]) -> list[str]:
    if isinstance(paths, str | os.PathLike):
        raise TypeError(f"fpath_li is several keys, not one: {paths!r}; put it into a list")
    return [key_of(path) for path in paths]


__all__ = [
    "get_file",
    "get_file_chunked",
    "get_files_batch",
    "get_files_generator",
    "get_image",
    "key_of",
]
