"""Every error that a user of s3bids can meet, as one tree.

::

    S3BIDSError
    ├── StorageError                     something is wrong with a bucket, an object or the way to it
    │   ├── ObjectNotFoundError          (FileNotFoundError) no such object, or nothing under a prefix
    │   │   └── BucketNotFoundError      no such bucket, or no such root directory of the local emulation
    │   ├── AccessDeniedError            (PermissionError) refused, or no credentials
    │   ├── StorageConnectionError       (ConnectionError) no answer, or an answer that broke off
    │   ├── StorageUnavailableError      the server says: not now (503 SlowDown, 500, ...)
    │   ├── ObjectChangedError           the object is not the one that was listed (412 Precondition Failed)
    │   ├── RangeNotServedError          the server sends objects whole only
    │   ├── KeyRefusedError              (ValueError) a key that cannot be a file here, or must not be written
    │   ├── KeyClashError                (FileExistsError) local emulation: a file is where a directory must be
    │   ├── ArchiveError                 (ValueError) a zip or tar that is broken, or that is refused
    │   └── TableError                   (ValueError) bytes that are no Parquet, or a table without what is asked for
    ├── VerificationError                (OSError) the bytes received are not the bytes listed
    ├── DestinationError                 (OSError) the directory of the copy cannot be used
    ├── ImageError                       (ValueError) bytes that are no image, or a damaged one
    ├── JSONReadError                    (JSONDecodeError) bytes that are no JSON
    ├── JSONWriteError                   (TypeError) a value that JSON cannot express
    ├── MissingPackageError              (ImportError) a package of an extra of s3bids is not installed
    ├── DownloadError                    (OSError) some files failed; carries the whole report
    ├── SubjectNotFoundError             (ValueError) a subject that the study does not have
    ├── ParticipantsError                (ValueError) a participant table that cannot be read
    └── ConfigError                      (ValueError) a study file or a command line that makes no sense

Every text names the operation, the bucket and key or the path, the cause, and what to do next. The error of the
library below is kept as ``__cause__``.
"""

from __future__ import annotations

from json import JSONDecodeError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .transfer.report import DownloadReport, Failure


class S3BIDSError(Exception):
    """Base of every error that s3bids raises by itself."""


class StorageError(S3BIDSError):
    """Something is wrong with a bucket, an object, or the way to it."""


class ObjectNotFoundError(StorageError, FileNotFoundError):
    """There is no such object, or nothing under a prefix."""


class BucketNotFoundError(ObjectNotFoundError):
    """There is no such bucket, or no such root directory of the local emulation."""


class AccessDeniedError(StorageError, PermissionError):
    """The server refused access, or there are no credentials to ask with."""


class StorageConnectionError(StorageError, ConnectionError):
    """No connection, no answer in time, or an answer that broke off."""


class StorageUnavailableError(StorageError):
    """The server answered that it cannot serve the request now (S3 ``SlowDown``, HTTP 5xx)."""


class ObjectChangedError(StorageError):
    """The object is no longer the one that was listed (HTTP 412)."""


class RangeNotServedError(StorageError):
    """The server sends objects whole only, though a part was asked for."""


class KeyRefusedError(StorageError, ValueError):
    """A key that cannot be a file name here, or that must not be written."""


class KeyClashError(StorageError, FileExistsError):
    """In the local emulation a key cannot also be the directory of another key."""


class ArchiveError(StorageError, ValueError):
    """A zip or tar is broken, or holds what is refused: members that lead out, links, devices, too much."""


class TableError(StorageError, ValueError):
    """The bytes are no Parquet table, or the table has not what is asked for."""


class VerificationError(S3BIDSError, OSError):
    """The bytes received are not the bytes that the listing promised."""


class DestinationError(S3BIDSError, OSError):
    """The directory of the copy cannot be used: it is a file, or it cannot be written."""


class ImageError(S3BIDSError, ValueError):
    """The bytes are no image, or a damaged one, or the name says another format."""


class JSONReadError(S3BIDSError, JSONDecodeError):
    """The bytes are no JSON; `doc` and `pos` say where."""

    def __reduce__(self) -> tuple[type[JSONReadError], tuple[str, str, int]]:
        """Travel between processes as the error of the standard library does."""
        return type(self), (self.msg, self.doc, self.pos)


class JSONWriteError(S3BIDSError, TypeError):
    """A value that JSON cannot express; the text says where in the document it is."""


class MissingPackageError(S3BIDSError, ImportError):
    """A package is not installed that comes with an extra of s3bids; the text has the command that installs it."""


class DownloadError(S3BIDSError, OSError):
    """Some files failed; everything else was downloaded first.

    Attributes
    ----------
    report
        The :class:`~s3bids.transfer.report.DownloadReport` of the whole run.
    """

    def __init__(self, message: str, report: DownloadReport) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type[DownloadError], tuple[str, DownloadReport]]:
        """Keep the report when the error travels between processes."""
        return type(self), (str(self), self.report)

    @property
    def failures(self) -> list[Failure]:
        """One entry for each failed file: key, target, reason, attempts."""
        return list(self.report.failed_files)


class SubjectNotFoundError(S3BIDSError, ValueError):
    """A subject was asked for that the study does not have."""


class ParticipantsError(S3BIDSError, ValueError):
    """A participant table cannot be read."""


class ConfigError(S3BIDSError, ValueError):
    """A study file, an environment variable or a command line makes no sense."""
