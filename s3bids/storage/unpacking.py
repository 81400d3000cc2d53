"""From an archive to files in a folder of one's own, within limits.

Nothing here touches the folder that the files are meant for: whoever unpacks does so into a private one, and moves or
uploads the files when all are there.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArchiveError, DestinationError
from .archive_members import archive_extension, damage, open_archive, refusal, relative_name, too_many
from .files import is_part

if TYPE_CHECKING:
    from .archive_members import Member

#: Members of an archive and of all archives in it, folders and dropped files too. A whole-brain DICOM series has
#: some thousand; each file costs a request on S3.
MAX_MEMBERS = 100_000
#: How deep archives may lie in one another; a file that holds a copy of itself has no bottom.
MAX_NESTING = 8
#: What may be unpacked unless the caller says otherwise: this many times the archive's bytes. Images compress 2:1 to
#: 20:1, and zeros 1,000:1.
MAX_RATIO = 100
#: ... or this many bytes, if that is more: a small archive of empty masks is no bomb.
MIN_LIMIT_BYTES = 1024**3

_METADATA_PREFIX = "._"


def limit_bytes(archive_bytes: int, max_bytes: int | None) -> int:
    """Give the bytes that may be unpacked from an archive of some size."""
    if max_bytes is None:
        return max(MIN_LIMIT_BYTES, MAX_RATIO * archive_bytes)
    if max_bytes < 0:
        raise ValueError(f"max_bytes must be 0 or more, not {max_bytes}")
    return max_bytes


@dataclass
class Unpacking:
    """One archive on its way into a folder, with the archives in it.

    A member that comes twice in one archive replaces its first version, as tar has it.
    """

    #: Where the files go; empty at the beginning.
    folder: Path
    #: Where archives in the archive are kept for a moment; empty, and not inside `folder`.
    aside: Path
    #: Bytes that may still be unpacked, those of archives in the archive included.
    bytes_left: int
    drops_metadata: bool = True
    #: The limit that `bytes_left` started from, for messages.
    most_bytes: int = field(init=False)
    #: Members so far.
    members: int = 0
    #: Path below the folder -> the archive that it comes from.
    origins: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.most_bytes = self.bytes_left

    def unpack(self, path: Path, archive: str, below: str = "", depth: int = 0) -> None:
        """Unpack a file into the folder, or into one below it.

        Parameters
        ----------
        path
            The archive.
        archive
            What messages call it; its extension says what it is.
        below
            Where in the folder, with ``/`` at the end unless empty.
        depth
            How many archives it lies in.

        Raises
        ------
        ArchiveError
            If it is broken, or has a member that is refused, or too many, or too much.
        DestinationError
            If the disk has no room.
        """
        if depth > MAX_NESTING:
            raise ArchiveError(
                f"cannot unpack {archive}: more than {MAX_NESTING} archives lie in one another; nothing was unpacked"
            )
        with open_archive(path, archive, MAX_MEMBERS) as members:
            for member in members:
                self._count(member, archive)
                self._unpack_member(member, archive, below, depth)

    def _count(self, member: Member, archive: str) -> None:
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise too_many(archive, MAX_MEMBERS)
        if member.is_directory:
            return
        if member.size > self.bytes_left:
            raise refusal(
                archive,
                member.name,
                f"with its {member.size:,} bytes more than {self.most_bytes:,} would be unpacked; if the archive is to "
                "be trusted, say max_bytes=",
            )
        self.bytes_left -= member.size

    def _unpack_member(self, member: Member, archive: str, below: str, depth: int) -> None:
        name = relative_name(member.name, archive)
        last = name.rpartition("/")[2]
        if self.drops_metadata and last.startswith(_METADATA_PREFIX):
            return
        if member.is_directory:
            self._make_folder(self.folder / below / name, member, archive)
            return
        if not name:
            raise refusal(archive, member.name, "it is a file without a name")
        if is_part(last):
            raise refusal(archive, member.name, "its name is one that s3bids gives to unfinished files")
        # What macOS keeps beside x.zip is called ._x.zip, and is none.
        if archive_extension(last) and not last.startswith(_METADATA_PREFIX):
            self._unpack_nested(member, archive, f"{below}{name}", depth)
            return
        path = self.folder / below / name
        self._make_folder(path.parent, member, archive)
        self._write(member, path, archive, again=self._is_known(f"{below}{name}", member, archive))

    def _unpack_nested(self, member: Member, archive: str, name: str, depth: int) -> None:
        path = self.aside / f"{depth}"
        self._write(member, path, archive)
        folder = name.rpartition("/")[0]
        self.unpack(path, f"{archive} > {name}", f"{folder}/" if folder else "", depth + 1)
        path.unlink()

    def _is_known(self, target: str, member: Member, archive: str) -> bool:
        """Say whether the archive had a member of this name before; refuse one that another archive had."""
        other = self.origins.get(target)
        if other not in (None, archive):
            raise refusal(archive, member.name, f"{other} has a file for the same place, {target!r}, too")
        self.origins[target] = archive
        return other is not None

    def _make_folder(self, path: Path, member: Member, archive: str) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise refusal(archive, member.name, "another member is a file where it needs a folder") from error
        except OSError as error:
            raise self._disk_error(error, member, archive) from error

    def _write(self, member: Member, path: Path, archive: str, *, again: bool = False) -> None:
        written = 0
        try:
            with path.open("wb" if again else "xb") as file:
                for piece in member.pieces():
                    written += len(piece)
                    file.write(piece)
        except (FileExistsError, IsADirectoryError) as error:
            reason = "another member is there already: a folder, or a file whose name differs only in case"
            raise refusal(archive, member.name, reason) from error
        except OSError as error:
            raise self._disk_error(error, member, archive) from error
        if written != member.size:
            raise damage(archive, f"{member.name!r} states {member.size:,} bytes and has {written:,}")

    def _disk_error(self, error: OSError, member: Member, archive: str) -> Exception:
        if error.errno == errno.ENAMETOOLONG:
            return refusal(archive, member.name, "its name is too long for a file")
        return DestinationError(
            f"cannot unpack the member {member.name!r} of {archive} into {self.folder}: {error.strerror or error}; "
            "check the room and the permissions there; nothing was unpacked"
        )


__all__ = ["MAX_MEMBERS", "MAX_NESTING", "MAX_RATIO", "MIN_LIMIT_BYTES", "Unpacking", "limit_bytes"]
