"""Whole tapes come and go as files, and a bad file changes nothing."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.commands import command_app
from tapekit_vtape.images import ImageFormat, ReadChoice
from tapekit_vtape.transfers import export_image, import_image

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit_vtape.cartridge import Cartridge

BOTH = [ImageFormat.SIMH, ImageFormat.AWS]


def opened(robot: Any, barcode: str) -> Cartridge:
    found: Cartridge = robot.library.open_cartridge(barcode, shared=False)
    return found


def new(robot: Any, **kinds: int) -> Cartridge:
    barcode = f"T{len(robot.library.rows()) + 1}"
    robot.library.create_cartridge(barcode, **kinds)
    return opened(robot, barcode)


def exported(cartridge: Cartridge, kind: ImageFormat) -> bytes:
    out = io.BytesIO()
    export_image(cartridge, kind, out.write)
    return out.getvalue()


def load(cartridge: Cartridge, kind: ImageFormat, data: bytes) -> tuple[int, int, int]:
    return tuple(import_image(cartridge, kind, io.BytesIO(data), "a file", ReadChoice()))


def fill(cartridge: Cartridge) -> None:
    chosen = random.Random(7)
    for size, count in ((1, 3), (511, 2), (512, 9), (0, 2), (65536, 3), (100001, 1), (0, 1)):
        if size:
            data = chosen.randbytes(size * count)
            cartridge.write_records(cartridge.tape.objects, [memoryview(data)], count, size)
        else:
            cartridge.write_filemarks(cartridge.tape.objects, count)


def content(cartridge: Cartridge) -> list[bytes]:
    return [bytes(b"".join(cartridge.contents(at, at + 1))) for at in range(cartridge.tape.objects)]


@pytest.mark.parametrize("kind", BOTH)
def test_a_tape_comes_back_as_it_was(robot: Any, kind: ImageFormat) -> None:
    first, second = new(robot), new(robot)
    fill(first)
    data = exported(first, kind)
    assert load(second, kind, data) == (18, 3, first.tape.data_bytes)
    assert content(second) == content(first)
    assert [run[:3] for run in second.tape.runs] == [run[:3] for run in first.tape.runs]
    assert exported(second, kind) == data
    second.close()
    again = opened(robot, "T2")
    assert content(again) == content(first)


@pytest.mark.parametrize("kind", BOTH)
def test_a_bad_file_leaves_the_tape_as_it_was(robot: Any, kind: ImageFormat) -> None:
    cartridge = new(robot)
    fill(cartridge)
    data, before = exported(cartridge, kind), content(cartridge)
    with pytest.raises(TapekitError, match=f"a file is no file of the format {kind.value}, at"):
        load(cartridge, kind, data[:-7])
    assert content(cartridge) == before
    load(cartridge, kind, data)
    assert content(cartridge) == before * 2


def test_what_is_too_much_leaves_the_tape_as_it_was(robot: Any) -> None:
    big, small = new(robot), new(robot, capacity=1 << 20)
    for _ in range(9):
        big.write_records(big.tape.objects, [memoryview(bytes(1 << 20))], 1, 1 << 20)
    with pytest.raises(TapeError) as caught:
        load(small, ImageFormat.SIMH, exported(big, ImageFormat.SIMH))
    assert caught.value.condition is Condition.END_OF_MEDIUM
    assert (small.tape.objects, small.tape.end) == (0, 0)
    assert load(small, ImageFormat.SIMH, bytes(4 * 1000)) == (0, 1000, 0)
    with pytest.raises(TapeError, match="is full"):
        load(small, ImageFormat.SIMH, bytes(4 * 100))


def test_a_protected_cartridge_takes_nothing(robot: Any) -> None:
    robot.protect(robot.insert_new())
    cartridge = opened(robot, "T1")
    with pytest.raises(TapekitError, match="T1 is write protected"):
        load(cartridge, ImageFormat.RAW, b"data")


def test_a_record_that_the_format_cannot_hold_is_told(robot: Any) -> None:
    cartridge = new(robot)
    length = 1 << 24
    cartridge.write_records(0, [memoryview(bytes(length))], 1, length)
    with pytest.raises(TapekitError, match="more than the 16777215 that the format simh"):
        exported(cartridge, ImageFormat.SIMH)
    assert len(exported(cartridge, ImageFormat.RAW)) == length


def test_the_commands(robot: Any, tmp_path: Path) -> None:
    app = command_app(robot.driver.of, lambda: pytest.fail("asked"))

    def run(*words: str, data: bytes | None = None) -> str:
        done = CliRunner().invoke(app, list(words), input=data)
        if done.exception is not None:
            raise done.exception
        return done.output

    cartridge = new(robot)
    fill(cartridge)
    data, before = exported(cartridge, ImageFormat.SIMH), content(cartridge)
    cartridge.close()
    out = tmp_path / "t.tap"
    assert run("export", "T1", "--format", "simh", "-o", str(out)) == ""
    assert out.read_bytes() == data
    with pytest.raises(TapekitError, match="which tape file of T1"):
        run("export", "T1", "-o", str(out))
    with pytest.raises(TapekitError, match="T1 is not empty"):
        run("import", "T1", str(out), "--format", "simh")
    robot.library.create_cartridge("T9")
    told = run("import", "T9", str(out), "--format", "simh")
    assert told == "T9 has 18 more records, 3 filemarks, 302242 bytes\n"
    run("import", "T9", "-", "--format", "raw", "--append", "--record-size", "4", data=b"abcdef")
    cartridge = opened(robot, "T9")
    assert content(cartridge) == [*before, b"abcd", b"ef", b""]
    cartridge.close()
    with pytest.raises(TapekitError, match="No such file"):
        run("import", "T9", str(tmp_path / "none"), "--format", "aws", "--append")
    with pytest.raises(TapekitError, match="Is a directory"):
        run("export", "T9", "--file", "0", "-o", str(tmp_path))
