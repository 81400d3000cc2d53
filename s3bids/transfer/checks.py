"""What is computed from an object's bytes while they come, and what it says of them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..errors import VerificationError
from .etags import Check, EtagCheck, etag_md5, matching_hash, part_count
from .verify import Verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..storage.base import Piece
    from .plan import Transfer


class Digests(NamedTuple):
    """Which check held, and the hashes that go on record."""

    check: str = Check.SIZE.value
    md5: str | None = None
    sha256: str | None = None


class _Taker(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...


class ByteCheck:
    """Check the bytes of one object, which are given in their order.

    The ETag is compared where it says something of the bytes: where it is an MD5, and where it comes from an upload in
    parts of a usual size. An ETag of parts that does not match proves nothing, and the size is all that is known then.

    Parameters
    ----------
    transfer
        The object.
    verify
        How thoroughly to check.
    """

    def __init__(self, transfer: Transfer, verify: Verify) -> None:
        self._transfer = transfer
        self._md5 = self._parts = self._sha256 = None
        if verify is not Verify.SIZE and etag_md5(transfer.etag) is not None:
            # Not for security: a computer in FIPS mode refuses MD5 otherwise.
            self._md5 = hashlib.md5(usedforsecurity=False)
        elif verify is not Verify.SIZE and part_count(transfer.etag) is not None:
            self._parts = EtagCheck(transfer.etag, transfer.size)
        if verify is Verify.SHA256:
            self._sha256 = hashlib.sha256()
        self._takers: list[_Taker] = [taker for taker in (self._md5, self._parts, self._sha256) if taker is not None]

    @property
    def is_idle(self) -> bool:
        """Whether nothing is computed, so that the bytes need not be given."""
        return not self._takers

    @property
    def md5(self) -> str | None:
        """The MD5 of the bytes so far; None if it is not computed."""
        return None if self._md5 is None else self._md5.hexdigest()

    def update(self, piece: Piece) -> None:
        """Take in the next bytes."""
        for taker in self._takers:
            taker.update(piece)

    def finish(self, path: str | None = None, check_stop: Callable[[], None] | None = None) -> Digests:
        """Compare what came with what the listing promised.

        Parameters
        ----------
        path
            The file with the bytes: read once more where the most usual size of parts does not explain the ETag.
        check_stop
            Called while the file is read.

        Raises
        ------
        VerificationError
            If the ETag is an MD5 and the bytes have another one.
        """
        sha256 = None if self._sha256 is None else self._sha256.hexdigest()
        if self._parts is not None:
            return self._of_parts(self._parts, sha256, path, check_stop)
        md5 = self.md5
        if md5 is None:
            return Digests(sha256=sha256)
        transfer = self._transfer
        expected = etag_md5(transfer.etag)
        # Of an object without bytes nothing was asked, and its ETag may be no MD5.
        if transfer.size and md5 != expected:
            raise VerificationError(
                f"{transfer.key}: the bytes that came have the MD5 {md5}, and the listing says {expected}; "
                "they were damaged on the way, or the server's ETag is no MD5 (--verify size)"
            )
        return Digests(Check.MD5.value, md5, sha256)

    def _of_parts(
        self, parts: EtagCheck, sha256: str | None, path: str | None, check_stop: Callable[[], None] | None
    ) -> Digests:
        transfer = self._transfer
        match = parts.finish()
        if match.check is Check.SIZE and match.untried and path is not None:
            match = matching_hash(
                path, transfer.etag, transfer.size, untried=match.untried, check_stop=check_stop, may_be_longer=True
            )
        return Digests(match.check.value, None, sha256)


__all__ = ["ByteCheck", "Digests"]
