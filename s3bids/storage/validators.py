"""Whether files on a storage are what their names say."""

from __future__ import annotations

import inspect
import json
import logging
from abc import ABC, abstractmethod
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..errors import BucketNotFoundError, ObjectNotFoundError, TableError
from .clients import SessionManager
from .functions import get_valid_file_paths
from .functions_read import key_of
from .params import get_default_params
from .registry import shared_storage
from .tables import read_parquet_file_df

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .functions_read import AnyPath
    from .params import Params

logger = logging.getLogger(__name__)


class FileValidator(ABC):
    """Sort files into valid and invalid ones; what that means, a subclass says in :meth:`validate_file`.

    Parameters
    ----------
    file_extensions
        Ends of the names that are looked at, such as ``".json"``; others are passed over.
    params
        Where the files are, or a function that gives it, which is called at once.

    Attributes
    ----------
    file_extensions : list of str
        As given.
    params
        As given, or as the function gave it.
    fpaths, bad_fpaths : list of str
        The valid and the invalid files of the last :meth:`run`.
    """

    def __init__(
        self,
        file_extensions: Sequence[str] = [".json", ".csv", ".parquet.sz"],
        params: Params | Callable[[], Params] | None = get_default_params,
    ) -> None:
        if isinstance(file_extensions, str):
            raise TypeError(f"file_extensions is several ends of names, not one text: {file_extensions!r}")
        self.file_extensions = list(file_extensions)
        self.params = params() if callable(params) else params
        self.fpaths: list[str] = []
        self.bad_fpaths: list[str] = []

    @abstractmethod
    def validate_file(self, fpath: str, *args: Any, params: Any = None, client: Any = None, **kwargs: Any) -> bool:
        """Say whether a file is valid.

        A subclass may leave `params` and `client` out of its own parameters; :meth:`run` then does not give them.

        Parameters
        ----------
        fpath
            Key of the file.
        args, kwargs
            Whatever a subclass wants; :meth:`run` gives nothing.
        params, client
            As in :mod:`s3bids.storage.functions`.
        """

    def run(
        self,
        fpath_li: Iterable[AnyPath] | None = [],
        root_path: AnyPath | None = None,
        ignore: Sequence[AnyPath] | AnyPath | None = [],  # noqa: B006 - virt_s3's signature; it is not changed
    ) -> dict[str, list[str]]:
        """Validate some files, one after the other.

        Parameters
        ----------
        fpath_li
            Keys or paths of the files; None or empty: those below `root_path`.
        root_path
            Directory in which to look for files when there is no `fpath_li`; ``""`` is the whole bucket.
        ignore
            What is left out below `root_path`, as in :func:`s3bids.storage.get_valid_file_paths`.

        Returns
        -------
        dict
            ``{"valid": [...], "invalid": [...]}``: keys in the order given, or sorted. Files with other extensions are
            in neither. A missing file is invalid.

        Raises
        ------
        ValueError
            If there is neither `fpath_li` nor `root_path`.
        AccessDeniedError, StorageConnectionError, BucketNotFoundError
            If the files cannot be asked for; then nothing is known of them.
        """
        if isinstance(fpath_li, str):
            raise TypeError(f"fpath_li is several keys, not one: {fpath_li!r}; put it into a list")
        keys = [key_of(path) for path in fpath_li or ()]
        if not keys and root_path is None:
            raise ValueError("there is nothing to validate: give fpath_li, or root_path to look for files")
        self.fpaths, self.bad_fpaths = [], []
        with SessionManager(self.params) as client:
            if not keys and root_path is not None:
                keys = get_valid_file_paths(root_path, ignore, self.file_extensions, self.params, client)
            options = self._accepted(params=self.params, client=client)
            for key in keys:
                if key.endswith(tuple(self.file_extensions)):
                    is_valid = self.validate_file(key, **options)
                    (self.fpaths if is_valid else self.bad_fpaths).append(key)
        return {"valid": self.fpaths, "invalid": self.bad_fpaths}

    def _accepted(self, **options: Any) -> dict[str, Any]:
        """Choose the options that the `validate_file` of a subclass takes."""
        taken = inspect.signature(self.validate_file).parameters
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
            return options
        return {name: value for name, value in options.items() if name in taken}


class _ParsingValidator(FileValidator):
    """A validator for which a file is valid if it can be read."""

    def validate_file(self, fpath: AnyPath, client: Any = None, *, params: Params | None = None) -> bool:  # type: ignore[override] # virt_s3's signature
        """Say whether a file can be read as what its name says; one that is missing is invalid.

        Parameters
        ----------
        fpath
            Key of the file.
        client
            As in :mod:`s3bids.storage.functions`.
        params
            Default: those of the validator.

        Raises
        ------
        AccessDeniedError, StorageConnectionError, BucketNotFoundError
            If the file cannot be asked for.
        """
        try:
            reason = self._problem(fpath, self.params if params is None else params, client)
        except BucketNotFoundError:
            raise
        except ObjectNotFoundError:
            reason = "there is no such object"
        if reason:
            logger.debug("%s is invalid: %s", fpath, reason)
        return not reason

    @abstractmethod
    def _problem(self, fpath: AnyPath, params: Params | None, client: Any) -> str:
        """Read a file, and say what is wrong with it; ``""`` if nothing is."""


class JSONFileValidator(_ParsingValidator):
    """Whether files are JSON (RFC 8259): any value is, ``[]`` and ``null`` too, but not NaN or an empty file.

    Parameters
    ----------
    file_extensions, params
        As in :class:`FileValidator`.
    """

    def __init__(
        self,
        file_extensions: Sequence[str] = [".json"],
        params: Params | Callable[[], Params] | None = get_default_params,
    ) -> None:
        super().__init__(file_extensions, params)

    def _problem(self, fpath: AnyPath, params: Params | None, client: Any) -> str:
        data = shared_storage(params, client).read(key_of(fpath))
        try:
            # Numbers may have any length, and Python's take the square of it in time.
            json.loads(data, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            return str(error)
        return ""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class CSVFileValidator(_ParsingValidator):
    """Whether files are tables of text with commas that pandas can read; an empty file is none.

    Parameters
    ----------
    file_extensions, params
        As in :class:`FileValidator`.
    """

    def __init__(
        self,
        file_extensions: Sequence[str] = [".csv"],
        params: Params | Callable[[], Params] | None = get_default_params,
    ) -> None:
        super().__init__(file_extensions, params)

    def _problem(self, fpath: AnyPath, params: Params | None, client: Any) -> str:
        import pandas as pd

        data = shared_storage(params, client).read(key_of(fpath))
        try:
            pd.read_csv(BytesIO(data), dtype=str)
        except (ValueError, OverflowError) as error:
            return str(error)
        return ""


class ParquetFileValidator(_ParsingValidator):
    """Whether files are Parquet tables; needs ``pip install 's3bids[parquet]'``.

    Parameters
    ----------
    file_extensions, params
        As in :class:`FileValidator`.
    """

    def __init__(
        self,
        file_extensions: Sequence[str] = [".parquet.sz", ".parquet"],
        params: Params | Callable[[], Params] | None = get_default_params,
    ) -> None:
        super().__init__(file_extensions, params)

    def _problem(self, fpath: AnyPath, params: Params | None, client: Any) -> str:
        try:
            read_parquet_file_df(fpath, params, client)
        except TableError as error:
            return str(error)
        return ""


__all__ = ["CSVFileValidator", "FileValidator", "JSONFileValidator", "ParquetFileValidator"]
