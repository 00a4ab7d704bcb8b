"""The tape checks over every drive, and over drives with one fault each."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.tape_driver import Condition, ReadRun, TapeError
from tapekit.scsi_devices.drive import CdbDrive
from tapekit.segments import Extent
from tapekit.testing import MemoryTape, MemoryTapeDrive, bytes_of, check_tape_drive
from tapekit.testing.tape_script import expect_condition, record
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tapekit.errors import Fault
    from tapekit.scsi.door import CdbDoor, CdbReply
    from tapekit.segments import Piece

SMALL = {"capacity": 2_000_000, "early_warning": 200_000}


class OneFault:
    """A right drive in which some methods are replaced by wrong ones."""

    def __init__(self, drive: MemoryTapeDrive, **wrong: Callable[..., object]) -> None:
        self._drive = drive
        for name, method in wrong.items():
            setattr(self, name, functools.partial(method, drive))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._drive, name)


def check_memory_drive(make: Callable[[MemoryTape | None], Any] = MemoryTapeDrive) -> None:
    tapes: list[MemoryTape] = []

    def fresh(**kinds: Any) -> Any:
        tapes.append(MemoryTape(**kinds))
        return make(tapes[-1])

    check_tape_drive(
        fresh,
        reopen=lambda: make(tapes[-1]),
        small_tape=lambda: fresh(**SMALL),
        protected_tape=lambda: fresh(is_protected=True),
        empty_drive=lambda: make(None),
    )


def test_memory_drive_keeps_the_contract() -> None:
    check_memory_drive()


@pytest.mark.parametrize("durability", ["filemark", "none"])
def test_virtual_drives_keep_the_contract(tmp_path: Path, durability: Any) -> None:
    folders = (tmp_path / f"library{n}" for n in itertools.count())
    drivers: list[VtapeDriver] = []

    def new_driver(*, cartridges: int = 1, **sizes: int) -> VtapeDriver:
        settings = VtapeSettings(
            directory=str(next(folders)), drives=1, slots=1, durability=durability, **sizes
        )
        drivers.append(VtapeDriver(settings))
        drivers[-1].library.create("S1", ["T00001"][:cartridges])
        return drivers[-1]

    def protected() -> Any:
        driver = new_driver()
        cartridge = driver.library.open_cartridge("T00001", shared=False)
        cartridge.set_protected(is_protected=True)
        cartridge.close()
        return driver.open_drive("0")

    check_tape_drive(
        lambda: new_driver().open_drive("0"),
        reopen=lambda: drivers[-1].open_drive("0"),
        small_tape=lambda: new_driver(
            capacity_bytes=SMALL["capacity"], early_warning_bytes=SMALL["early_warning"]
        ).open_drive("0"),
        protected_tape=protected,
        empty_drive=lambda: new_driver(cartridges=0).open_drive("0"),
    )


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_drive_behind_a_raw_door_keeps_the_contract(tmp_path: Path, is_cut: bool) -> None:
    """Virtual drives behind their doors, once over a transport that loses
    what it knows about lengths.
    """
    folders = (tmp_path / f"library{n}" for n in itertools.count())
    drivers: list[VtapeDriver] = []

    def opened() -> CdbDrive:
        drive = drivers[-1].open_drive("0")
        assert drive.door is not None
        door = Padding(drive.door) if is_cut else drive.door
        return CdbDrive(door, "v.0", drive.close)

    def fresh(*, is_protected: bool = False, cartridges: int = 1, **sizes: int) -> CdbDrive:
        settings = VtapeSettings(
            directory=str(next(folders)), drives=1, slots=1, durability="none", **sizes
        )
        drivers.append(VtapeDriver(settings))
        drivers[-1].library.create("S1", ["T00001"][:cartridges])
        if is_protected:
            cartridge = drivers[-1].library.open_cartridge("T00001", shared=False)
            cartridge.set_protected(is_protected=True)
            cartridge.close()
        return opened()

    check_tape_drive(
        fresh,
        reopen=opened,
        small_tape=lambda: fresh(
            capacity_bytes=SMALL["capacity"], early_warning_bytes=SMALL["early_warning"]
        ),
        protected_tape=lambda: fresh(is_protected=True),
        empty_drive=lambda: fresh(cartridges=0),
    )


class Padding:
    """A door that always delivers as many bytes as there is room for."""

    def __init__(self, door: CdbDoor) -> None:
        self._door = door
        self.address = door.address
        self.reset = door.reset

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        reply = self._door.execute(cdb, data_out=data_out, data_in=data_in, timeout_s=timeout_s)
        return reply._replace(data=reply.data.ljust(data_in, b"?"))


def reads_over_marks(drive: MemoryTapeDrive, size: int) -> bytes:
    try:
        return drive.read_record(size)
    except TapeError as error:
        if error.condition is Condition.FILEMARK:
            drive.space_filemarks(1)
        raise


def passes_long_record(
    drive: MemoryTapeDrive, into: memoryview, limit: int, record_size: int
) -> ReadRun:
    try:
        return drive.read_records(into, limit, record_size)
    except TapeError as error:
        if error.condition is Condition.RECORD_TOO_LONG:
            drive.space_records(1)
        raise


def joins_short_records(
    drive: MemoryTapeDrive, into: memoryview, limit: int, record_size: int
) -> ReadRun:
    first = drive.read_records(into, limit, record_size)
    if first.length % record_size == 0 or first.length + record_size > min(limit, len(into)):
        return first
    try:
        more = drive.read_records(memoryview(bytearray(record_size)), 1, record_size)
    except TapeError:
        return first
    return ReadRun(
        (*first.pieces, *more.pieces), first.records + more.records, first.length + more.length
    )


def answers_beyond_the_limit(
    drive: MemoryTapeDrive, into: memoryview, limit: int, record_size: int
) -> ReadRun:
    return drive.read_records(into, limit + record_size, record_size)


def drops_what_a_file_lacks(
    drive: MemoryTapeDrive, pieces: Sequence[Piece], record_size: int
) -> int:
    kept: list[Piece] = []
    for piece in pieces:
        data = bytes_of([piece])
        if isinstance(piece, Extent):
            data = data.rstrip(b"\0").ljust(len(data), b"?")
        kept.append(memoryview(data))
    return drive.write_records(kept, record_size)


def keeps_what_follows(drive: MemoryTapeDrive, pieces: Sequence[Piece], record_size: int) -> int:
    tape = drive._inserted
    behind = [] if tape is None else tape.items[drive._at + 1 :]
    taken = drive.write_records(pieces, record_size)
    tape.items.extend(behind)
    return taken


def mark_keeps_what_follows(drive: MemoryTapeDrive, count: int) -> None:
    tape = drive._inserted
    behind = [] if tape is None else tape.items[drive._at :]
    drive.write_filemarks(count)
    if count:
        tape.items.extend(behind)


def mark_warns(drive: MemoryTapeDrive, count: int) -> None:
    status = drive.status()
    if (
        status.remaining_bytes is not None
        and status.remaining_bytes < SMALL["early_warning"] + 16384
    ):
        raise TapeError(_fault(), {"condition": Condition.EARLY_WARNING})
    drive.write_filemarks(count)


def warns_again(drive: MemoryTapeDrive, pieces: Sequence[Piece], record_size: int) -> int:
    drive._has_warned = False
    return drive.write_records(pieces, record_size)


def never_warns(drive: MemoryTapeDrive, pieces: Sequence[Piece], record_size: int) -> int:
    drive._has_warned = True
    status = drive.status()
    if status.remaining_bytes is not None:
        pieces = (memoryview(bytes_of(pieces))[:record_size],)
    try:
        return drive.write_records(pieces, record_size)
    finally:
        drive._has_warned = True


def writes_while_telling(drive: MemoryTapeDrive, pieces: Sequence[Piece], record_size: int) -> int:
    try:
        return drive.write_records(pieces, record_size)
    except TapeError as error:
        if error.condition is Condition.EARLY_WARNING:
            drive.write_records(pieces, record_size)
        raise


def counts_one_more(drive: MemoryTapeDrive, pieces: Sequence[Piece], record_size: int) -> int:
    return drive.write_records(pieces, record_size) + 1


def spaces_over_marks(drive: MemoryTapeDrive, count: int) -> int:
    passed = drive.space_records(count)
    if passed < count:
        drive.space_filemarks(1)
    return passed


def back_ends_behind_the_mark(drive: MemoryTapeDrive, count: int) -> int:
    passed = drive.space_filemarks(count)
    if count < 0 and passed:
        drive.space_filemarks(1)
    return passed


def counts_backwards(drive: MemoryTapeDrive, count: int) -> int:
    return drive.space_records(count) * (1 if count > 0 else -1)


def whole_record(drive: MemoryTapeDrive, size: int) -> bytes:
    del size
    return drive.read_record(1 << 20)


def rest_comes_next(drive: MemoryTapeDrive, size: int) -> bytes:
    data = drive.read_record(size)
    if len(data) == size:
        drive.space_records(-1)
    return data


def forgets_unload(drive: MemoryTapeDrive) -> None:
    drive.rewind()


def _fault() -> Fault:
    drive = MemoryTapeDrive(None)
    with pytest.raises(TapeError) as caught:
        drive.rewind()
    return caught.value.fault


FAULTS = [
    ("read_record", reads_over_marks, "filemark"),
    ("read_records", passes_long_record, "read_records of a longer record"),
    ("read_records", joins_short_records, "cannot have"),
    ("read_records", answers_beyond_the_limit, "a size that fits"),
    ("write_records", drops_what_a_file_lacks, "extents"),
    ("write_records", keeps_what_follows, "overwrit"),
    ("write_records", warns_again, "END_OF_MEDIUM"),
    ("write_records", never_warns, "took fewer records"),
    ("write_records", writes_while_telling, "position.record"),
    ("write_records", counts_one_more, "write_records"),
    ("write_filemarks", mark_keeps_what_follows, "filemark"),
    ("write_filemarks", mark_warns, "full tape takes marks"),
    ("space_records", spaces_over_marks, "space_records(9): position.file"),
    ("space_records", counts_backwards, "space_records(-3)"),
    ("space_filemarks", back_ends_behind_the_mark, "space_filemarks(-1): position.file"),
    ("read_record", whole_record, "read_record(10)"),
    ("read_record", rest_comes_next, "position.record"),
    ("unload", forgets_unload, "after unload"),
]


@pytest.mark.parametrize(
    ("method", "wrong", "words"), FAULTS, ids=[wrong.__name__ for _, wrong, _ in FAULTS]
)
def test_a_fault_is_found_and_told(method: str, wrong: Callable[..., object], words: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_memory_drive(lambda tape: OneFault(MemoryTapeDrive(tape), **{method: wrong}))
    assert words in str(caught.value)


def test_a_tape_lost_by_a_reopen_is_found() -> None:
    with pytest.raises(AssertionError, match="opened again"):
        check_tape_drive(
            lambda: MemoryTapeDrive(MemoryTape()), reopen=lambda: MemoryTapeDrive(MemoryTape())
        )


def test_a_protected_tape_that_takes_data_is_found() -> None:
    with pytest.raises(AssertionError, match="check protected"):
        check_tape_drive(
            lambda: MemoryTapeDrive(MemoryTape()),
            protected_tape=lambda: MemoryTapeDrive(MemoryTape()),
        )


def test_memory_tape_tells_its_files() -> None:
    tape = MemoryTape()
    drive = MemoryTapeDrive(tape)
    drive.write_records([memoryview(record(0) + record(1))], 1024)
    drive.write_filemarks(2)
    drive.write_records([memoryview(b"x")], 1)
    assert tape.files() == [[record(0), record(1)], [], [b"x"]]


def test_memory_drive_warns_before_the_end_even_for_one_large_record() -> None:
    drive = MemoryTapeDrive(MemoryTape(capacity=1000, early_warning=100))
    view = memoryview(bytes(2000))
    for condition in (Condition.EARLY_WARNING, Condition.END_OF_MEDIUM, Condition.END_OF_MEDIUM):
        expect_condition(condition, lambda: drive.write_records([view], 2000), "a large record")


def test_memory_drive_warns_again_once_the_tape_is_written_from_the_start() -> None:
    drive = MemoryTapeDrive(MemoryTape(capacity=1000, early_warning=100))
    for _ in range(2):
        assert drive.write_records([memoryview(bytes(1000))], 100) == 9
        expect_condition(
            Condition.EARLY_WARNING,
            lambda: drive.write_records([memoryview(bytes(100))], 100),
            "the tenth record",
        )
        assert drive.write_records([memoryview(bytes(100))], 100) == 1
        drive.rewind()


def test_memory_drive_refuses_half_a_record() -> None:
    with pytest.raises(ValueError, match="1025 bytes are no multiple of 1024"):
        MemoryTapeDrive(MemoryTape()).write_records([memoryview(bytes(1025))], 1024)
