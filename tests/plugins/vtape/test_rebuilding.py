"""A cartridge whose index is lost or damaged gets a new one, and loses nothing more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit_vtape.commands import command_app
from tapekit_vtape.index_format import (
    ENTRY_BYTES,
    HEADER_BYTES,
    Entry,
    EntryKind,
    encode_entry,
)
from tapekit_vtape.zstd import find_zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIRST, SECOND = b"A" * 1000, b"B" * 600


@pytest.fixture
def barcode(robot: Any) -> str:
    """A cartridge with three records of A, a filemark, two of B, a filemark."""
    drive = robot.fresh()
    drive.write_records([memoryview(FIRST * 3)], 1000)
    drive.write_filemarks(1)
    drive.write_records([memoryview(SECOND * 2)], 600)
    drive.write_filemarks(1)
    drive.close()
    return str(next(iter(robot.library.state().cartridges)))


@pytest.fixture
def folder(robot: Any, barcode: str) -> Path:
    return robot.library.folder(barcode)  # type: ignore[no-any-return]  # of the fixture


@pytest.fixture
def run(robot: Any, barcode: str) -> Callable[..., str]:
    """What ``tapekit vtape rebuild`` prints for the cartridge."""
    app = command_app(robot.driver.of, lambda: None)  # type: ignore[arg-type, return-value]  # never asked

    def call(*words: str) -> str:
        result = CliRunner().invoke(app, ["rebuild", barcode, *words])
        if isinstance(result.exception, TapekitError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return call


def contents(robot: Any, barcode: str) -> tuple[bytes, int, int]:
    cartridge = robot.library.open_cartridge(barcode, shared=True)
    try:
        tape = cartridge.tape
        return b"".join(cartridge.contents(0, tape.objects)), tape.objects, tape.marks
    finally:
        cartridge.close()


def test_an_index_in_order_is_left_alone(folder: Path, run: Callable[..., str]) -> None:
    before = (folder / "index").read_bytes()
    with pytest.raises(TapekitError, match="is in order, and nothing was done"):
        run()
    assert (folder / "index").read_bytes() == before


def test_a_damaged_header_costs_nothing(
    robot: Any, folder: Path, barcode: str, run: Callable[..., str]
) -> None:
    index = (folder / "index").read_bytes()
    (folder / "index").write_bytes(bytes(HEADER_BYTES) + index[HEADER_BYTES:])
    with pytest.raises(TapekitError, match="index") as caught:
        robot.library.open_cartridge(barcode, shared=True)
    assert "vtape rebuild" in caught.value.action
    told = run()
    assert "4 entries of the old one: 5 records, 2 filemarks, 4200 bytes" in told
    assert contents(robot, barcode) == (FIRST * 3 + SECOND * 2, 7, 2)
    assert robot.library.is_protected(barcode)
    kept = folder / "index.damaged-0"
    assert str(kept) in told
    assert kept.read_bytes()[HEADER_BYTES:] == index[HEADER_BYTES:]


def test_without_an_index_somebody_has_to_say_how_long_records_are(
    robot: Any, folder: Path, barcode: str, run: Callable[..., str]
) -> None:
    (folder / "index").unlink()
    with pytest.raises(TapekitError, match="nothing tells the records of 4200 bytes"):
        run()
    assert not (folder / "index").exists()
    told = run("--record-size", "1000")
    assert "bytes 0 to 4199 of the payload are taken for records of 1000 bytes" in told
    assert "old index is" not in told
    assert contents(robot, barcode) == (FIRST * 3 + SECOND * 2, 5, 0)


def test_what_follows_a_damage_is_read(
    robot: Any, folder: Path, barcode: str, run: Callable[..., str]
) -> None:
    index = bytearray((folder / "index").read_bytes())
    index[HEADER_BYTES] ^= 1
    (folder / "index").write_bytes(index)
    copy = bytes(index)
    found = json.loads(run("--record-size", "1000", "--json"))
    assert found == {
        "tape": {"barcode": barcode, "records": 5, "filemarks": 2, "bytes": 4200},
        "entries": 3,
        "lost": 1,
        "gaps": [[0, 3000]],
        "kept": str(folder / "index.damaged-0"),
    }
    (folder / "index").write_bytes(copy)
    told = run("--record-size", "1000")
    assert "1 entries cannot be read" in told
    assert "index.damaged-1" in told
    assert contents(robot, barcode) == (FIRST * 3 + SECOND * 2, 7, 2)


def test_an_index_that_was_cut_off_is_made_longer_if_that_is_asked_for(
    robot: Any, folder: Path, barcode: str, run: Callable[..., str]
) -> None:
    index = (folder / "index").read_bytes()
    (folder / "index").write_bytes(index[: HEADER_BYTES + 64])
    assert contents(robot, barcode)[0] == FIRST * 3
    told = run("--whole-payload", "--record-size", "600")
    assert "bytes 3000 to 4199" in told
    assert contents(robot, barcode) == (FIRST * 3 + SECOND * 2, 6, 1)


def test_frames_that_nothing_tells_are_refused(folder: Path, run: Callable[..., str]) -> None:
    (folder / "index").unlink()
    (folder / "payload").write_bytes(bytes.fromhex("28b52ffd") + bytes(100))
    with pytest.raises(TapekitError, match="bytes from 0 on there are compressed records"):
        run("--record-size", "1000")
    assert not (folder / "index").exists()


def test_frames_behind_records_that_nothing_tells_are_refused(
    folder: Path, run: Callable[..., str]
) -> None:
    index = (folder / "index").read_bytes()
    frame = encode_entry(Entry(EntryKind.PACKED, 1000, 9, 4300), 4)
    (folder / "index").write_bytes(index[:HEADER_BYTES] + bytes(4 * ENTRY_BYTES) + frame)
    (folder / "payload").write_bytes((folder / "payload").read_bytes() + bytes(100))
    with pytest.raises(TapekitError, match="bytes from 0 on there are compressed records"):
        run("--record-size", "1000")
    assert not (folder / "index.damaged-0").exists()


@pytest.mark.skipif(find_zstd() is None, reason="this host has no libzstd")
@pytest.mark.parametrize("lost", [(1,), (1, 2)])
def test_frames_behind_lost_entries_are_read_or_refused(
    robot_in: Any, tmp_path: Path, lost: tuple[int, ...]
) -> None:
    """A lost filemark costs nothing more, a lost frame is seen by the next one."""
    robot = robot_in(tmp_path, compression="zstd")
    drive = robot.fresh()
    for letter in (b"A", b"B", b"C"):
        drive.write_records([memoryview(letter * 8000)], 1000)
        drive.write_filemarks(letter == b"A")
    drive.close()
    barcode = str(next(iter(robot.library.state().cartridges)))
    index = robot.library.folder(barcode) / "index"
    damaged = bytearray(index.read_bytes())
    for entry in lost:
        damaged[HEADER_BYTES + entry * ENTRY_BYTES] ^= 1
    index.write_bytes(damaged)
    if 2 in lost:
        with pytest.raises(TapekitError, match="there are compressed records"):
            robot.library.rebuild(barcode, 1000, takes_rest=False)
        assert index.read_bytes() == damaged
    else:
        assert not robot.library.rebuild(barcode, None, takes_rest=False).salvaged.gaps
        assert contents(robot, barcode) == (b"A" * 8000 + b"B" * 8000 + b"C" * 8000, 24, 0)


def test_records_longer_than_a_drive_reads_are_refused(robot: Any, barcode: str) -> None:
    app = command_app(robot.driver.of, lambda: None)  # type: ignore[arg-type, return-value]  # never asked
    result = CliRunner().invoke(app, ["rebuild", barcode, "--record-size", str(1 << 24)])
    assert result.exit_code == 2


def test_a_cartridge_in_use_is_left_alone(
    robot: Any, barcode: str, run: Callable[..., str]
) -> None:
    reader = robot.library.open_cartridge(barcode, shared=True)
    with pytest.raises(TapekitError, match="in use"):
        run()
    reader.close()
