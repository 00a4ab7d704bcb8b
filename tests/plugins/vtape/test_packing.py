"""Drives that compress: every record is found, however it lies on the tape."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapekit.hookspecs.tape_driver import Condition, DriveSetup, TapeError
from tapekit.scsi.cdb import tape_command
from tapekit.scsi_devices.drive import CdbDrive
from tapekit.segments import Extent
from tapekit.testing import bytes_of
from tapekit_vtape import packing
from tapekit_vtape.faults import DeviceFault, FaultKind
from tapekit_vtape.index_format import ENTRY_BYTES, FRAME_BYTES, HEADER_BYTES
from tapekit_vtape.zstd import find_zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(find_zstd() is None, reason="this host has no libzstd")

TEXT = b"the same words over and over, "


def text(size: int, start: int = 0) -> bytes:
    return (TEXT * (size // len(TEXT) + 2))[start % len(TEXT) :][:size]


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def write(drive: Any, data: bytes, size: int) -> int:
    count: int = drive.write_records([memoryview(data)], size)
    return count


def records(drive: Any, size: int = 1 << 16) -> Iterator[bytes]:
    """Records one by one up to whatever ends them."""
    while True:
        try:
            yield drive.read_record(size)
        except TapeError:
            return


def runs(drive: Any, size: int, limit: int) -> Iterator[tuple[int, bytes]]:
    room = memoryview(bytearray(max(limit, size)))
    while True:
        try:
            run = drive.read_records(room, limit, size)
        except TapeError:
            return
        yield run.records, bytes_of(run.pieces)


@pytest.fixture
def packing_robot(robot_in: Any, tmp_path: Path) -> Any:
    return robot_in(tmp_path, compression="zstd", capacity_bytes=16 << 20, early_warning_bytes=0)


def payload(robot: Any, barcode: str = "T1") -> Path:
    found: Path = robot.library.folder(barcode) / "payload"
    return found


@pytest.mark.requirement("R012")
def test_what_a_device_has_written_is_read_through_its_kind(packing_robot: Any) -> None:
    written = {}
    for number, letter in enumerate("lmha"):
        barcode = packing_robot.insert_new()
        drive = packing_robot.open()
        drive.adjust(DriveSetup(compression=letter))
        write(drive, text(64 << 10), 1 << 10)
        drive.close()
        written[letter] = payload(packing_robot, barcode).stat().st_size
        drive = packing_robot.open()
        drive.adjust(DriveSetup(compression="lmha"[number]))
        drive.rewind()
        assert b"".join(records(drive)) == text(64 << 10)
        drive.close()
    assert written["l"] == written["h"] == 64 << 10
    assert written["m"] == written["a"] < 4 << 10


def test_the_algorithm_that_a_qualification_names_decides(packing_robot: Any) -> None:
    for algorithm, is_smaller in ((0, False), (1, True)):
        barcode = packing_robot.insert_new()
        drive = packing_robot.open()
        drive.adjust(DriveSetup(compression="a", algorithm=algorithm))
        write(drive, text(8192), 512)
        drive.close()
        assert (payload(packing_robot, barcode).stat().st_size < 8192) is is_smaller


def test_compression_is_switched_by_a_mode_page(packing_robot: Any) -> None:
    drive = packing_robot.fresh()
    page = bytes.fromhex("00 00 10 00  0f 0e 40 80 00000001 00000001 00000000")
    select = tape_command("MODE SELECT(6)").build(page_format=1, list_length=len(page))
    assert drive.door.execute(select, data_out=page).status == 0
    write(drive, text(4096), 512)
    assert payload(packing_robot).stat().st_size == 4096
    drive.door.reset()
    write(drive, text(4096), 512)
    assert payload(packing_robot).stat().st_size < 4096 + 512


@pytest.mark.parametrize(("algorithm", "is_smaller"), [(0, False), (1, True)])
def test_a_driver_of_scsi_devices_switches_it(
    packing_robot: Any, algorithm: int, is_smaller: bool
) -> None:
    inner = packing_robot.fresh()
    drive = CdbDrive(inner.door, "v.0", inner.close)
    drive.adjust(DriveSetup(compression="a", algorithm=algorithm))
    write(drive, text(64 << 10), 1 << 10)
    drive.rewind()
    assert b"".join(records(drive, 1 << 10)) == text(64 << 10)
    drive.close()
    assert (payload(packing_robot).stat().st_size < 64 << 10) is is_smaller


def test_a_drive_without_compression_reads_what_was_compressed(
    packing_robot: Any, robot_in: Any, tmp_path: Path
) -> None:
    drive = packing_robot.fresh()
    write(drive, text(10240), 1024)
    drive.close()
    plain = type(packing_robot.driver)(
        type(packing_robot.driver._settings)(slots=500, durability="none")
    )
    plain.settle(tmp_path)
    drive = plain.open_drive("0")
    drive.rewind()
    assert b"".join(records(drive)) == text(10240)
    write(drive, b"plain" * 100, 500)
    drive.rewind()
    assert b"".join(records(drive)) == text(10240) + b"plain" * 100
    drive.close()


def test_what_does_not_get_smaller_lies_as_it_is(packing_robot: Any) -> None:
    drive = packing_robot.fresh()
    data = noise(100 << 10)
    write(drive, data, 1 << 10)
    assert payload(packing_robot).read_bytes() == data
    index = (payload(packing_robot).parent / "index").read_bytes()
    assert index[9] == 1, "any reader can read it"
    write(drive, text(4096), 512)
    index = (payload(packing_robot).parent / "index").read_bytes()
    assert index[9] == 2, "older readers refuse it as a whole"


def test_records_longer_than_a_frame(packing_robot: Any) -> None:
    drive = packing_robot.fresh()
    size = FRAME_BYTES + 4096
    assert write(drive, text(2 * size), size) == 2
    drive.rewind()
    assert [len(data) for data in records(drive, size)] == [size, size]


def test_extents_are_compressed_too(packing_robot: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(text(200_000))
    drive = packing_robot.fresh()
    with source.open("rb") as file:
        pieces = [memoryview(b"head" * 128), Extent(file.fileno(), 512, 99_840)]
        assert drive.write_records(pieces, 512) == 196
    drive.rewind()
    assert b"".join(records(drive)) == b"head" * 128 + text(200_000)[512 : 512 + 99_840]


def test_runs_come_frame_by_frame_and_within_the_limit(packing_robot: Any) -> None:
    drive = packing_robot.fresh()
    write(drive, text(64 << 10), 1 << 10)
    write(drive, b"short", 5)
    drive.rewind()
    found = list(runs(drive, 1 << 10, 24 << 10))
    assert [count for count, _ in found] == [24, 24, 16, 1]
    assert b"".join(data for _, data in found) == text(64 << 10) + b"short"
    drive.rewind()
    drive.space_records(30)
    assert drive.read_record(7) == text(64 << 10)[30 << 10 :][:7]


OBJECTS = st.lists(
    st.one_of(
        st.tuples(st.just("mark"), st.just(0), st.just(1)),
        st.tuples(
            st.sampled_from(["text", "noise"]),
            st.sampled_from([1, 100, 512, 2048]),
            st.integers(1, 20),
        ),
        st.tuples(st.just("back"), st.integers(0, 30), st.just(1)),
    ),
    max_size=12,
)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(OBJECTS, st.booleans())
def test_any_tape_reads_back(robot_in: Any, steps: list[tuple[str, int, int]], again: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        robot = robot_in(Path(folder), compression="zstd")
        drive = robot.fresh()
        model: list[bytes] = []
        for number, (kind, size, count) in enumerate(steps):
            if kind == "back":
                drive.rewind()
                del model[size:]
                robot_at(drive, len(model))
                assert drive.door.execute(tape_command("ERASE(6)").build()).status == 0
            elif kind == "mark":
                drive.write_filemarks(count)
                model += [b""] * count
            else:
                make = text if kind == "text" else noise
                data = make(size * count, number)
                assert write(drive, data, size) == count
                model += [data[at : at + size] for at in range(0, len(data), size)]
        if again:
            drive.close()
            drive = robot.open()
        drive.rewind()
        found: list[bytes] = []
        while len(found) < len(model):
            block = list(records(drive))
            found += block
            if len(found) < len(model):
                assert drive.space_filemarks(1) == 1
                found.append(b"")
        assert found == model
        drive.close()


def robot_at(drive: Any, position: int) -> None:
    """Stand at an object of the tape."""
    locate = tape_command("LOCATE(16)").build(object=position)
    assert drive.door.execute(locate).status == 0


def test_overwriting_within_a_frame_keeps_what_comes_before(packing_robot: Any) -> None:
    drive = packing_robot.fresh()
    write(drive, text(64 << 10), 1 << 10)
    before = payload(packing_robot).stat().st_size
    robot_at(drive, 10)
    write(drive, noise(30), 30)
    drive.close()
    assert payload(packing_robot).stat().st_size == before + 30, "the frame stays whole"
    drive = packing_robot.open()
    drive.rewind()
    assert b"".join(records(drive)) == text(64 << 10)[: 10 << 10] + noise(30)


def test_capacity_counts_what_lies_on_the_tape(packing_robot: Any) -> None:
    drive = packing_robot.fresh(capacity=2 << 20, early_warning=1 << 20)
    assert write(drive, text(8 << 20), 1 << 10) == 8 << 10
    status = drive.status()
    assert status.total_bytes == 2 << 20
    used = payload(packing_robot).stat().st_size
    assert status.remaining_bytes == (2 << 20) - used > 1 << 20


def test_a_tape_warns_once_and_ends(packing_robot: Any, condition_of: Any) -> None:
    drive = packing_robot.fresh(capacity=1 << 20, early_warning=1 << 18)
    data = noise(1 << 20)
    taken = write(drive, data, 1 << 10)
    assert taken == 768
    assert condition_of(lambda: write(drive, data[taken << 10 :], 1 << 10)) is (
        Condition.EARLY_WARNING
    )
    assert write(drive, data[taken << 10 :], 1 << 10) == 256
    assert condition_of(lambda: write(drive, noise(1024), 1 << 10)) is Condition.END_OF_MEDIUM
    assert drive.status().remaining_bytes == 0
    drive.rewind()
    assert b"".join(records(drive)) == data


def test_words_fill_the_last_bytes_that_noise_does_not(packing_robot: Any) -> None:
    drive = packing_robot.fresh(capacity=1 << 20, early_warning=0)
    write(drive, noise((1 << 20) - 4096), 1 << 12)
    assert write(drive, text(64 << 10), 1 << 10) == 64


def test_frames_that_were_damaged_are_told_and_passed(
    packing_robot: Any, condition_of: Any
) -> None:
    drive = packing_robot.fresh()
    write(drive, text(4096), 512)
    first = payload(packing_robot).stat().st_size
    write(drive, text(4096, 7), 1024)
    drive.close()
    with payload(packing_robot).open("r+b") as file:
        file.seek(first - 10)
        byte = file.read(1)
        file.seek(first - 10)
        file.write(bytes((byte[0] ^ 1,)))
    drive = packing_robot.open()
    drive.rewind()
    assert condition_of(lambda: drive.read_record(512)) is Condition.MEDIUM_ERROR
    assert drive.space_records(8) == 8
    assert b"".join(records(drive)) == text(4096, 7)


def test_a_host_that_cannot_decompress_says_so(
    packing_robot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = packing_robot.fresh()
    write(drive, text(4096), 512)
    drive.rewind()
    monkeypatch.setattr(packing, "find_zstd", lambda: None)
    with pytest.raises(TapeError, match="this host has no libzstd") as caught:
        drive.read_record(512)
    assert caught.value.condition is Condition.HARDWARE_ERROR


def test_power_that_fails_costs_the_frame_that_it_cut(packing_robot: Any) -> None:
    barcode = packing_robot.insert_new()
    drive = packing_robot.open()
    batches = [text(512 * count, count) for count in range(1, 20)]
    for batch in batches:
        write(drive, batch, 512)
    drive.close()
    folder = packing_robot.library.folder(barcode)
    index, data = (folder / "index").read_bytes(), (folder / "payload").read_bytes()
    ends = [
        int.from_bytes(index[at + 16 : at + 24], "big")
        for at in range(HEADER_BYTES, len(index), ENTRY_BYTES)
    ]
    chosen = random.Random(4)
    for _ in range(150):
        entries, length = chosen.randint(0, len(ends)), chosen.randint(0, len(data))
        (folder / "index").write_bytes(
            index[: HEADER_BYTES + entries * ENTRY_BYTES] + b"torn"[: chosen.randint(0, 4)]
        )
        (folder / "payload").write_bytes(data[:length])
        whole = sum(end <= length for end in ends[:entries])
        drive = packing_robot.open()
        drive.rewind()
        assert b"".join(records(drive)) == b"".join(batches[:whole])
        write(drive, b"after", 5)
        drive.rewind()
        assert b"".join(records(drive)) == b"".join(batches[:whole]) + b"after"
        drive.close()


def test_a_torn_frame_is_cut_off(packing_robot: Any, condition_of: Callable[..., Any]) -> None:
    drive = packing_robot.fresh()
    write(drive, text(4096), 512)
    kept = payload(packing_robot).stat().st_size
    packing_robot.driver.arm(DeviceFault(kind=FaultKind.TORN_WRITE, byte=kept + 20))
    assert condition_of(lambda: write(drive, text(4096), 512)) is Condition.TIMEOUT
    drive.close()
    assert payload(packing_robot).stat().st_size == kept + 20
    drive = packing_robot.open()
    drive.rewind()
    assert b"".join(records(drive)) == text(4096)


def test_without_the_library_a_stack_does_not_start(
    robot_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapekit_vtape.driver.find_zstd", lambda: None)
    with pytest.raises(TapeError, match="no libzstd"):
        robot_in(tmp_path, compression="zstd")


def test_the_cartridge_is_closed_with_a_short_journal(packing_robot: Any) -> None:
    drive = packing_robot.fresh()
    for _ in range(300):
        write(drive, noise(512), 512)
    write(drive, text(4096), 512)
    drive.close()
    assert (payload(packing_robot).parent / "index").stat().st_size == HEADER_BYTES + 2 * 32
