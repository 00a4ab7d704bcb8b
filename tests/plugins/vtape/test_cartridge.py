"""A cartridge keeps what was written, and finds out what a crash or a hand did to it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.segments import Extent
from tapekit_vtape import cartridge as module
from tapekit_vtape.cartridge import (
    FILEMARK_COST_BYTES,
    Cartridge,
    create_cartridge,
    inspect_cartridge,
    lock_cartridge,
)
from tapekit_vtape.host_files import HostFile
from tapekit_vtape.index_format import (
    ENTRY_BYTES,
    HEADER_BYTES,
    Entry,
    EntryKind,
    Header,
    encode_entry,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEADER = Header("VT0001", 1 << 30, 1 << 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "VT0001"
    create_cartridge(path, HEADER)
    return path


@pytest.fixture
def opened(folder: Path) -> Iterator[Callable[..., Cartridge]]:
    """Opens the cartridge, which is closed first if it was open."""
    held: list[Cartridge] = []

    def close() -> None:
        while held:
            held.pop().close()

    def reopen(**options: Any) -> Cartridge:
        close()
        held.append(Cartridge.open(folder, durable=options.pop("durable", False), **options))
        return held[-1]

    yield reopen
    close()


def put(cartridge: Cartridge, *records: bytes, at: int | None = None) -> None:
    for record in records:
        position = cartridge.tape.objects if at is None else at
        cartridge.write_records(position, [memoryview(record)], 1, len(record))
        at = None


def content(cartridge: Cartridge) -> list[bytes | None]:
    tape = cartridge.tape
    found: list[bytes | None] = []
    for position in range(tape.objects):
        run = tape.run_at(position)
        assert run is not None
        data = cartridge.read(position, run.length)
        found.append(data if run.length else None)
    return found


def index_entries(folder: Path) -> int:
    return ((folder / "index").stat().st_size - HEADER_BYTES) // ENTRY_BYTES


def test_a_new_cartridge_is_empty_and_private(folder: Path, opened: Any) -> None:
    assert content(opened()) == []
    assert opened().header == HEADER
    for path in (folder, folder / "index", folder / "payload"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


@pytest.mark.requirement("R011")
def test_records_and_filemarks_are_there_when_opened_again(opened: Any) -> None:
    cartridge = opened()
    put(cartridge, b"one", b"two", b"three")
    cartridge.write_filemarks(3, 2)
    put(cartridge, b"four")
    expected = [b"one", b"two", b"three", None, None, b"four"]
    assert content(cartridge) == expected
    assert content(opened()) == expected


def test_the_payload_is_the_bare_records(folder: Path, opened: Any) -> None:
    cartridge = opened()
    put(cartridge, b"one")
    cartridge.write_filemarks(1, 1)
    put(cartridge, b"two")
    assert (folder / "payload").read_bytes() == b"onetwo"


def test_overwriting_loses_what_follows(folder: Path, opened: Any) -> None:
    cartridge = opened()
    put(cartridge, b"one", b"two", b"three")
    put(cartridge, b"2", at=1)
    assert content(opened()) == [b"one", b"2"]
    opened().write_filemarks(0, 1)
    assert content(opened()) == [None]
    assert (folder / "payload").stat().st_size == 0


def test_used_counts_bytes_and_filemarks(opened: Any) -> None:
    cartridge = opened()
    put(cartridge, b"12345")
    cartridge.write_filemarks(1, 2)
    assert cartridge.used(0) == 0
    assert cartridge.used(1) == 5
    assert cartridge.used(3) == 5 + 2 * FILEMARK_COST_BYTES


def test_opening_and_closing_changes_nothing_that_a_crash_left(folder: Path, opened: Any) -> None:
    put(opened(), b"one", b"two")
    opened()
    with (folder / "payload").open("ab") as payload, (folder / "index").open("ab") as index:
        payload.write(b"tail of a write that was cut short")
        index.write(b"torn entry")
    before = [(folder / name).read_bytes() for name in ("index", "payload")]
    assert content(opened()) == [b"one", b"two"]
    opened()
    assert [(folder / name).read_bytes() for name in ("index", "payload")] == before


def test_the_next_write_cuts_what_a_crash_left(folder: Path, opened: Any) -> None:
    put(opened(), b"one")
    with (folder / "payload").open("ab") as payload, (folder / "index").open("ab") as index:
        payload.write(b"x" * 100)
        index.write(b"y" * 100)
    put(opened(), b"two")
    assert content(opened()) == [b"one", b"two"]
    assert (folder / "payload").read_bytes() == b"onetwo"
    assert (folder / "index").stat().st_size == HEADER_BYTES + 2 * ENTRY_BYTES


def test_records_whose_bytes_did_not_reach_the_disk_are_given_up(folder: Path, opened: Any) -> None:
    put(opened(), b"one", b"two", b"three")
    opened()
    os.truncate(folder / "payload", 7)
    cartridge = opened()
    assert content(cartridge) == [b"one", b"two"]
    put(cartridge, b"3")
    assert content(opened()) == [b"one", b"two", b"3"]


def damaged(folder: Path, opened: Any) -> Cartridge:
    cartridge = opened()
    for record in (b"one", b"two", b"three"):
        put(cartridge, record)
        cartridge.write_filemarks(cartridge.tape.objects, 1)
    opened()
    with (folder / "index").open("r+b") as index:
        index.seek(HEADER_BYTES + 2 * ENTRY_BYTES + 5)
        index.write(b"\xff")
    found: Cartridge = opened()
    return found


def test_a_damaged_index_is_not_taken_for_the_end(folder: Path, opened: Any) -> None:
    cartridge = damaged(folder, opened)
    assert content(cartridge) == [b"one", None]
    before = (folder / "index").read_bytes()
    for call in (
        lambda: cartridge.refuse_damage(2),
        lambda: put(cartridge, b"x"),
        lambda: cartridge.write_filemarks(2, 1),
        lambda: cartridge.set_protected(is_protected=True),
    ):
        with pytest.raises(TapeError, match="damaged at its entry 2") as caught:
            call()
        assert caught.value.condition is Condition.MEDIUM_ERROR
    assert (folder / "index").read_bytes() == before


def test_overwriting_before_a_damage_heals_the_tape(folder: Path, opened: Any) -> None:
    put(damaged(folder, opened), b"2", at=1)
    assert content(opened()) == [b"one", b"2"]
    assert opened().damage is None


def test_a_damage_can_be_accepted(folder: Path, opened: Any) -> None:
    damaged(folder, opened).accept_damage()
    cartridge = opened()
    assert cartridge.damage is None
    put(cartridge, b"new")
    assert content(opened()) == [b"one", None, b"new"]


def test_lost_payload_before_a_filemark_can_be_accepted(folder: Path, opened: Any) -> None:
    cartridge = opened()
    put(cartridge, b"one", b"two")
    cartridge.write_filemarks(2, 1)
    opened()
    os.truncate(folder / "payload", 4)
    cartridge = opened()
    assert cartridge.damage == "the payload has 4 of 6 bytes"
    cartridge.accept_damage()
    assert content(opened()) == [b"one"]


def test_an_index_that_is_none_is_refused(folder: Path, opened: Any) -> None:
    (folder / "index").write_bytes(b"something else")
    with pytest.raises(TapeError, match="not an index that can be read") as caught:
        opened()
    assert caught.value.condition is Condition.MEDIUM_ERROR
    os.close(lock_cartridge(folder, shared=False))


def test_a_cartridge_has_one_user_or_many_readers(folder: Path, opened: Any) -> None:
    opened()
    for shared in (False, True):
        with pytest.raises(TapeError) as caught:
            Cartridge.open(folder, durable=False, shared=shared)
        assert caught.value.condition is Condition.BUSY
    opened(shared=True)
    Cartridge.open(folder, durable=False, shared=True).close()
    assert inspect_cartridge(folder).tape.objects == 0


def test_modes_of_the_files_protect_a_cartridge_also_from_root(folder: Path, opened: Any) -> None:
    (folder / "payload").chmod(0o400)
    assert opened().header.is_protected
    assert inspect_cartridge(folder).header.is_protected
    (folder / "payload").chmod(0o600)
    assert not opened().header.is_protected


def test_write_protection_is_an_attribute(folder: Path, opened: Any) -> None:
    put(opened(), b"one")
    opened().set_protected(is_protected=True)
    assert opened().header == HEADER._replace(is_protected=True)
    assert content(opened()) == [b"one"]
    opened().set_protected(is_protected=False)
    assert not opened().header.is_protected


def test_a_long_journal_is_shortened_on_closing(
    folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COMPACT_FROM", 4)
    cartridge = opened()
    put(cartridge, *[b"%03d" % number for number in range(16)])
    opened()
    assert index_entries(folder) == 16
    put(opened(), b"016")
    expected = [b"%03d" % number for number in range(17)]
    assert content(opened()) == expected
    assert index_entries(folder) == 1
    put(opened(), b"more")
    assert content(opened()) == [*expected, b"more"]


def test_a_journal_that_cannot_be_shortened_stays(
    folder: Path,
    opened: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "_COMPACT_FROM", 1)
    put(opened(), *[b"%03d" % number for number in range(9)])
    (folder / "index.new").mkdir()
    assert len(content(opened())) == 9
    assert "the index of VT0001 stays long" in caplog.text


def test_a_write_that_the_host_refuses_leaves_the_tape_as_it_was(
    folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cartridge = opened()
    put(cartridge, b"one")
    full = HostFile(folder / "payload", os.open("/dev/full", os.O_RDWR))
    with monkeypatch.context() as patch:
        patch.setattr(cartridge, "_payload", full)
        with pytest.raises(TapeError, match="No space left"):
            put(cartridge, b"two" * 5000)
    full.close()
    assert content(cartridge) == [b"one"]
    put(cartridge, b"2")
    assert content(opened()) == [b"one", b"2"]


def test_an_index_that_the_host_refuses_to_write_counts_nothing(
    folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cartridge = opened()
    put(cartridge, b"one")
    full = HostFile(folder / "index", os.open("/dev/full", os.O_RDWR))
    with monkeypatch.context() as patch:
        patch.setattr(cartridge, "_index", full)
        with pytest.raises(TapeError, match="No space left"):
            put(cartridge, b"two")
    full.close()
    assert content(cartridge) == [b"one"]
    put(cartridge, b"2")
    assert content(opened()) == [b"one", b"2"]
    assert (folder / "payload").read_bytes() == b"one2"


def test_a_source_that_cannot_be_read_writes_nothing(folder: Path, opened: Any) -> None:
    cartridge = opened()
    put(cartridge, b"one")
    fd = os.open(folder, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        cartridge.write_records(1, [memoryview(b"begun"), Extent(fd, 0, 5)], 1, 10)
    os.close(fd)
    put(cartridge, b"two")
    assert content(opened()) == [b"one", b"two"]


class FailingFile:
    """A file whose data the host cannot bring to disk, on cue."""

    def __init__(self, file: HostFile) -> None:
        self._file = file
        self.fails = True

    def sync(self) -> None:
        if self.fails:
            HostFile(self._file.path, 10**6).sync()
        self._file.sync()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_after_a_failed_flush_nothing_more_is_written(folder: Path) -> None:
    cartridge: Any = Cartridge.open(folder, durable=True)
    put(cartridge, b"one")
    cartridge._payload = FailingFile(cartridge._payload)
    with pytest.raises(TapeError):
        cartridge.write_filemarks(1, 1)
    cartridge._payload.fails = False
    for call in (lambda: put(cartridge, b"two"), cartridge.sync, cartridge.close):
        with pytest.raises(TapeError, match="could not bring earlier data to disk"):
            call()
    os.close(lock_cartridge(folder, shared=False))
    assert inspect_cartridge(folder).tape.objects == 1


class Watched:
    """Tells in which order a file's calls come."""

    def __init__(self, file: HostFile, name: str, told: list[str]) -> None:
        self._file = file
        self._name = name
        self._told = told

    def __getattr__(self, call: str) -> Any:
        if call in {"write", "sync", "truncate"}:
            self._told.append(f"{self._name}.{call}")
        return getattr(self._file, call)


def watched(folder: Path, *, durable: bool) -> tuple[Any, list[str]]:
    cartridge: Any = Cartridge.open(folder, durable=durable)
    told: list[str] = []
    put(cartridge, b"one")
    cartridge.sync()
    cartridge._payload = Watched(cartridge._payload, "payload", told)
    cartridge._index = Watched(cartridge._index, "index", told)
    return cartridge, told


def test_data_is_on_disk_before_a_filemark_says_so(folder: Path) -> None:
    cartridge, told = watched(folder, durable=True)
    put(cartridge, b"two")
    cartridge.write_filemarks(2, 1)
    cartridge.close()
    assert told == [
        "payload.write",
        "index.write",
        "payload.sync",
        "index.sync",
        "index.write",
        "payload.sync",
        "index.sync",
    ]


def test_a_cut_is_on_disk_before_the_payload_is_shortened(folder: Path) -> None:
    cartridge, told = watched(folder, durable=True)
    put(cartridge, b"1", at=0)
    cartridge.close()
    assert told == [
        "index.write",
        "payload.sync",
        "index.sync",
        "payload.truncate",
        "payload.sync",
        "index.sync",
        "payload.write",
        "index.write",
        "payload.sync",
        "index.sync",
    ]


def test_what_a_crash_left_is_off_the_disk_before_anything_takes_its_place(folder: Path) -> None:
    """Else the index could tell of a record whose bytes are still those that the crash left."""
    with (folder / "payload").open("ab") as payload:
        payload.write(b"never acknowledged")
    cartridge: Any = Cartridge.open(folder, durable=True)
    told: list[str] = []
    cartridge._payload = Watched(cartridge._payload, "payload", told)
    put(cartridge, b"new", at=0)
    put(cartridge, b"next", at=1)
    assert told == ["payload.truncate", "payload.sync", "payload.write", "payload.write"]
    cartridge.close()


def test_without_durability_nobody_waits_for_the_disk(folder: Path) -> None:
    cartridge, told = watched(folder, durable=False)
    put(cartridge, b"1", at=0)
    cartridge.write_filemarks(1, 1)
    cartridge.close()
    assert not [call for call in told if call.endswith("sync")]


def test_a_payload_that_is_shortened_under_way_is_a_medium_error(folder: Path, opened: Any) -> None:
    cartridge = opened()
    put(cartridge, b"12345")
    os.truncate(folder / "payload", 2)
    with pytest.raises(TapeError, match="ends at byte 2") as caught:
        cartridge.read(0, 5)
    assert caught.value.condition is Condition.MEDIUM_ERROR


def test_any_record_of_a_terabyte_is_one_read_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    length, per_file, files = 65536, 15_000, 1_000
    entries = []
    for number in range(1, files + 1):
        stop = number * per_file * length
        entries.append(Entry(EntryKind.RECORDS, length, per_file, stop))
        entries.append(Entry(EntryKind.FILEMARKS, 0, 1, stop))
    folder = tmp_path / "TERABYTE"
    create_cartridge(folder, Header("TERABYTE", 18 * 10**12, 0))
    journal = b"".join(encode_entry(entry, place) for place, entry in enumerate(entries))
    with (folder / "index").open("ab") as file:
        file.write(journal)
    with (folder / "payload").open("r+b") as file:
        file.truncate(files * per_file * length)
        for number in (0, 499, 999):
            file.seek((number * per_file + 77) * length)
            file.write(b"record of file %03d" % number)
    cartridge = Cartridge.open(folder, durable=False)
    reads: list[int] = []
    real = os.pread

    def counted(fd: int, count: int, offset: int) -> bytes:
        reads.append(offset)
        return real(fd, count, offset)

    monkeypatch.setattr(os, "pread", counted)
    for number in (0, 499, 999):
        position, passed = cartridge.tape.over_marks(0, number)
        assert passed == number
        data = cartridge.read(cartridge.tape.over_records(position, 77), length)
        assert data.startswith(b"record of file %03d" % number)
    assert len(reads) == 3
    assert cartridge.tape.end == 983_040_000_000
    cartridge.close()


def test_a_cartridge_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="No such file") as caught:
        Cartridge.open(tmp_path / "gone", durable=False)
    assert caught.value.condition is Condition.MEDIUM_ERROR


def test_an_index_that_goes_on_for_ever_is_damaged(
    folder: Path, opened: Any, condition_of: Callable[..., Condition]
) -> None:
    first = Cartridge.open(folder, durable=False)
    put(first, b"one", b"two")
    first.close()
    os.truncate(folder / "index", 1 << 42)
    cartridge = opened()
    assert cartridge.damage == "the index is damaged at its entry 2"
    assert content(cartridge) == [b"one", b"two"]
    assert condition_of(lambda: put(cartridge, b"three")) is Condition.MEDIUM_ERROR
    cartridge.accept_damage()
    put(cartridge, b"three")
    assert content(opened()) == [b"one", b"two", b"three"]
