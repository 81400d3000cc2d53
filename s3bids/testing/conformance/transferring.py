"""The contract of large transfers: methods, settings, progress, files as sources, and audit."""

# ruff: noqa: D102 - the name of a test says what it holds, and its parameters come from a table

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ...errors import KeyRefusedError, ObjectNotFoundError
from ...storage.audit import register_audit_callback, unregister_audit_callback
from ...storage.chooser import TransferMethod
from .rig import Rig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ...storage import Storage

MIB = 1024 * 1024
DIGITS = b"0123456789"
#: Bytes whose repetition has no period that a wrong offset could hide behind; a part of the least size of S3 and more.
LARGE = b"".join(number.to_bytes(4, "big") for number in range(5 * MIB // 4)) + b"end"

#: Settings by which `LARGE` travels in parts; any object with such attributes serves.
IN_PARTS = SimpleNamespace(multipart_threshold=MIB, multipart_chunksize=MIB, max_concurrency=2)
WITHOUT_THREADS = SimpleNamespace(**vars(IN_PARTS), use_threads=False)
METHODS = [
    pytest.param(None, None, id="chosen"),
    pytest.param("simple", IN_PARTS, id="simple"),
    pytest.param("transfer", IN_PARTS, id="parts"),
    pytest.param(TransferMethod.TRANSFER, WITHOUT_THREADS, id="parts, no threads"),
]


class Told:
    """A progress callback that remembers, and may fail at its first call."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[tuple[int, int]] = []
        self._error = error

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))
        if self._error is not None:
            raise self._error

    def is_whole(self, total: int) -> bool:
        """Say whether the calls never went back, agreed about the total and ended with it, once."""
        done = [call[0] for call in self.calls]
        return done == sorted(done) and {call[1] for call in self.calls} == {total} and done.count(total) == 1


@contextmanager
def audited() -> Iterator[list[tuple[Any, ...]]]:
    """Collect what is told to audit callbacks."""
    events: list[tuple[Any, ...]] = []

    def remember(*event: object) -> None:
        events.append(event)

    register_audit_callback(remember)
    try:
        yield events
    finally:
        unregister_audit_callback(remember)


class TransferringContract(Rig):
    """The same bytes by every method; the caller is told how far it is, and everybody else what was written."""

    @pytest.mark.parametrize(("method", "config"), METHODS)
    def test_every_method_writes_and_reads_the_same_bytes(self, storage: Storage, method: Any, config: Any) -> None:
        for key, data in {"ds/large": LARGE, "ds/small": DIGITS, "ds/empty": b""}.items():
            wrote, read = Told(), Told()
            options: dict[str, Any] = {"method": method, "transfer_config": config}
            assert storage.write(key, data, progress_callback=wrote, **options) == key
            assert storage.read(key, progress_callback=read, **options) == data
            assert wrote.is_whole(len(data))
            assert read.is_whole(len(data))
        assert self.stored(storage.bucket) == {"ds/large": LARGE, "ds/small": DIGITS, "ds/empty": b""}

    @pytest.mark.parametrize("config", [None, IN_PARTS, WITHOUT_THREADS], ids=["default", "parts", "no threads"])
    def test_files_travel_both_ways(self, storage: Storage, tmp_path: Path, config: Any) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        for data in (LARGE, DIGITS, b""):
            source.write_bytes(data)
            up, down = Told(), Told()
            assert storage.upload(source, "ds/x", transfer_config=config, progress_callback=up) == "ds/x"
            assert storage.download("ds/x", target, transfer_config=config, progress_callback=down) == str(target)
            assert target.read_bytes() == data
            assert up.is_whole(len(data))
            assert down.is_whole(len(data))

    def test_the_progress_of_a_folder_is_that_of_all_its_files(self, storage: Storage, tmp_path: Path) -> None:
        for name, data in {"a": LARGE, "b": b"", "c": DIGITS, "d": DIGITS}.items():
            (tmp_path / name).write_bytes(data)
        told = Told()
        keys = storage.upload(tmp_path, "ds", transfer_config=IN_PARTS, progress_callback=told)
        assert keys == ["ds/a", "ds/b", "ds/c", "ds/d"]
        assert told.is_whole(len(LARGE) + 20)
        assert self.stored(storage.bucket) == {"ds/a": LARGE, "ds/b": b"", "ds/c": DIGITS, "ds/d": DIGITS}

    def test_the_progress_of_no_files_is_none(self, storage: Storage, tmp_path: Path) -> None:
        told = Told()
        assert storage.upload(tmp_path, "ds", progress_callback=told) == []
        assert told.calls == [(0, 0)]

    @pytest.mark.parametrize("start", [0, 4, 10, 100])
    def test_the_progress_of_a_part_counts_the_part(self, storage: Storage, start: int) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS, "ds/empty": b""})
        for key in ("ds/x", "ds/empty"):
            part, rest = Told(), Told()
            data = storage.read(key, start, start + 3, progress_callback=part)
            stream = b"".join(storage.stream(key, start, chunk_size=2, progress_callback=rest))
            assert part.is_whole(len(data))
            assert rest.is_whole(len(stream))

    def test_a_missing_object_has_no_progress(self, storage: Storage, tmp_path: Path) -> None:
        told = Told()
        calls: list[Callable[[], object]] = [
            lambda: storage.read("none", progress_callback=told),
            lambda: storage.read("none", method="transfer", transfer_config=IN_PARTS, progress_callback=told),
            lambda: list(storage.stream("none", progress_callback=told)),
            lambda: storage.download("none", tmp_path / "x", progress_callback=told),
        ]
        for call in calls:
            with pytest.raises(ObjectNotFoundError, match="none"):
                call()
        assert told.calls == []
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("config", [IN_PARTS, WITHOUT_THREADS], ids=["parts", "no threads"])
    def test_a_callback_that_fails_ends_the_transfer(self, storage: Storage, tmp_path: Path, config: Any) -> None:
        self.seed(storage.bucket, {"ds/x": DIGITS, "ds/large": LARGE})
        source = tmp_path / "source"
        source.write_bytes(LARGE)
        calls: list[Callable[[dict[str, Any]], object]] = [
            lambda options: storage.read("ds/large", method="transfer", **options),
            lambda options: storage.download("ds/large", tmp_path / "new" / "x", **options),
            lambda options: storage.write("ds/x", LARGE, method="transfer", **options),
            lambda options: storage.upload(source, "ds/x", **options),
            lambda options: storage.upload(tmp_path, "ds/y", **options),
        ]
        for call in calls:
            error = ZeroDivisionError("enough")
            with pytest.raises(ZeroDivisionError, match="enough"):
                call({"transfer_config": config, "progress_callback": Told(error)})
        assert self.stored(storage.bucket) == {"ds/x": DIGITS, "ds/large": LARGE}
        assert list(tmp_path.iterdir()) == [source]

    @pytest.mark.parametrize("method", ["", "multipart", "SIMPLE", 1])
    def test_an_unknown_method_is_refused(self, storage: Storage, method: Any) -> None:
        with pytest.raises(ValueError, match="TransferMethod"):
            storage.write("ds/x", DIGITS, method=method)
        with pytest.raises(ValueError, match="TransferMethod"):
            storage.read("ds/x", method=method)
        assert self.stored(storage.bucket) == {}

    @pytest.mark.parametrize(
        ("name", "value"),
        [("multipart_threshold", 0), ("multipart_chunksize", -1), ("max_concurrency", 1.5), ("io_chunksize", "8MB")],
    )
    def test_settings_that_no_transfer_can_keep_are_refused(
        self, storage: Storage, tmp_path: Path, name: str, value: object
    ) -> None:
        config: Any = SimpleNamespace(**{name: value})
        (tmp_path / "x").write_bytes(DIGITS)
        calls: list[Callable[[], object]] = [
            lambda: storage.read("ds/x", transfer_config=config),
            lambda: storage.write("ds/x", DIGITS, transfer_config=config),
            lambda: storage.upload(tmp_path / "x", "ds/x", transfer_config=config),
            lambda: storage.download("ds/x", tmp_path / "y", transfer_config=config),
        ]
        for call in calls:
            with pytest.raises(ValueError, match=name):
                call()
        assert self.stored(storage.bucket) == {}

    @pytest.mark.parametrize("method", ["simple", "transfer"])
    @pytest.mark.parametrize("data", [LARGE, DIGITS, b""], ids=["large", "digits", "empty"])
    def test_an_open_file_is_written_from_its_position_on(
        self, storage: Storage, tmp_path: Path, method: str, data: bytes
    ) -> None:
        (tmp_path / "x").write_bytes(b"before" + data)
        told = Told()
        with (tmp_path / "x").open("rb") as file:
            assert file.read(6) == b"before"
            storage.write("ds/x", file, method=method, transfer_config=IN_PARTS, progress_callback=told)
        assert self.stored(storage.bucket) == {"ds/x": data}
        assert told.is_whole(len(data))

    @pytest.mark.parametrize("method", ["simple", "transfer"])
    @pytest.mark.parametrize("data", [LARGE, DIGITS, b""], ids=["large", "digits", "empty"])
    def test_a_stream_of_unknown_length_is_written(self, storage: Storage, method: str, data: bytes) -> None:
        told = Told()
        stream: Any = SimpleNamespace(read=io.BytesIO(data).read)
        storage.write("ds/x", stream, method=method, transfer_config=IN_PARTS, progress_callback=told)
        assert self.stored(storage.bucket) == {"ds/x": data}
        assert told.calls == [(len(data), len(data))]

    def test_of_a_buffer_all_is_written(self, storage: Storage) -> None:
        buffer = io.BytesIO(DIGITS)
        buffer.seek(7)
        storage.write("ds/x", buffer)
        buffer.write(b"it can grow again")
        assert self.stored(storage.bucket) == {"ds/x": DIGITS}

    def test_what_has_no_bytes_is_refused(self, storage: Storage, tmp_path: Path) -> None:
        (tmp_path / "x").write_text("text")
        wrong: list[Any] = ["text", 7, None, ["a"], io.StringIO("text"), SimpleNamespace(read=lambda _size: "text")]
        for data in wrong:
            with pytest.raises(TypeError, match=r"bytes|binary"):
                storage.write("ds/x", data)
        with (tmp_path / "x").open(encoding="utf-8") as file, pytest.raises(TypeError, match="binary"):
            storage.write("ds/x", file)  # type: ignore[arg-type] # what is tested
        assert self.stored(storage.bucket) == {}

    def test_a_folder_with_a_key_that_is_refused_is_refused_whole(self, storage: Storage, tmp_path: Path) -> None:
        for name in ("a", "too-long"):
            (tmp_path / name).write_bytes(DIGITS)
        with pytest.raises(KeyRefusedError, match="too-long"):
            storage.upload(tmp_path, "/".join(["k" * 203] * 5) + "kk")
        assert self.stored(storage.bucket) == {}

    def test_names_to_ignore_are_several(self, storage: Storage, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(DIGITS)
        assert storage.upload(tmp_path, "ds", ignore=["a"]) == []
        with pytest.raises(TypeError, match="ignore"):
            storage.upload(tmp_path, "ds", ignore="a")

    def test_what_is_neither_file_nor_folder_is_refused(self, storage: Storage) -> None:
        with pytest.raises(ValueError, match="neither"):
            storage.upload(os.devnull, "ds/x")

    def test_each_object_written_or_deleted_is_told_once(self, storage: Storage, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).write_bytes(DIGITS)
        with audited() as events:
            storage.write("ds/w", DIGITS)
            storage.write("ds/l", LARGE, method="transfer", transfer_config=IN_PARTS)
            storage.upload(tmp_path / "a", "ds/u")
            storage.upload(tmp_path, "ds/f")
            storage.read("ds/w")
            storage.delete("ds/w")
            storage.delete("ds/w")
            storage.delete("ds", recursive=True)
            with pytest.raises(KeyRefusedError):
                storage.write("ds/", DIGITS)
        written = ["ds/w", "ds/l", "ds/u", "ds/f/a", "ds/f/b"]
        told: list[tuple[Any, ...]] = [("write", storage.bucket, key, {}) for key in written]
        gone = ("ds/f/a", "ds/f/b", "ds/l", "ds/u", "ds/w")
        deleted: list[tuple[Any, ...]] = [("delete", storage.bucket, key, {}) for key in gone]
        assert events[:3] == told[:3]
        assert sorted(events[3:5]) == told[3:]
        assert events[5] == deleted[-1]
        assert sorted(events[6:]) == deleted[:-1]

    def test_a_bucket_is_created_with_arguments(self, missing: Storage) -> None:
        assert missing.create_bucket(create_args={"ObjectOwnership": "BucketOwnerEnforced"}) is True
        assert missing.create_bucket(bucket_policy_args={}, bucket_encryption_args=None) is True
        assert self.stored(missing.bucket) == {}
