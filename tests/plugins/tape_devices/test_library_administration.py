"""An administrator sees libraries and sends their robots, on a stack that runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError
from tapekit_vtape.faults import DeviceFault, FaultKind

if TYPE_CHECKING:
    from tapekit.kernel import StackKernel

MAIL = "mail_slots = 2\n"


async def places(typed: Any, kernel: StackKernel) -> dict[str, str]:
    """What is in the places that are full."""
    told = json.loads(await typed(kernel, "library show --json"))
    return {one["name"]: one["cartridge"] for one in told["places"] if one["is_full"]}


async def test_a_library_is_shown_place_by_place(tape_stack: Any, typed: Any) -> None:
    async with tape_stack(tables=MAIL) as kernel:
        shown = (await typed(kernel, "library show")).splitlines()
    assert shown[0].split() == ["place", "address", "cartridge", "device", "state"]
    assert [line.split() for line in shown[1:4]] == [
        ["arm", "0", "0"],
        ["slot", "0", "1024"],
        ["slot", "1", "1025"],
    ]
    assert "slot 2      1026  VT0003" in shown
    assert shown[-2].split() == ["drive", "0", "256", "VT0001", "nrst0l", "from", "slot", "0"]
    assert "mail 1        17" in shown


async def test_cartridges_are_moved_loaded_and_unloaded(tape_stack: Any, typed: Any) -> None:
    async with tape_stack() as kernel:
        told = await typed(kernel, "library unload 0")
        assert told == "VT0001 went from drive 0 to slot 0\n"
        told = await typed(kernel, "library load VT0003 0")
        assert told == "VT0003 went from slot 2 to drive 0\n"
        told = await typed(kernel, "library move drive:1 slot:2")
        assert told == "VT0002 went from drive 1 to slot 2\n"
        told = await typed(kernel, "library move #1027 #257 --json")
        assert json.loads(told) == [
            {"cartridge": "VT0004", "source": "slot 3", "destination": "drive 1"}
        ]
        found = await places(typed, kernel)
        assert (found["drive 0"], found["drive 1"], found["slot 2"]) == (
            "VT0003",
            "VT0004",
            "VT0002",
        )


async def test_cartridges_come_and_go_through_the_mail_slots(tape_stack: Any, typed: Any) -> None:
    async with tape_stack(tables=MAIL) as kernel:
        told = await typed(kernel, "library export VT0002")
        assert told == "VT0002 went from drive 1 to mail 0\n"
        told = await typed(kernel, "library export slot:5")
        assert told == "VT0006 went from slot 5 to mail 1\n"
        with pytest.raises(TapekitError, match="no empty mail place"):
            await typed(kernel, "library export VT0003")
        told = await typed(kernel, "library import VT0006")
        assert told == "VT0006 went from mail 1 to slot 0\n"
        assert (await typed(kernel, "library import")).startswith("VT0002 went from mail 0 to slot")
        with pytest.raises(TapeError, match="no such cartridge is in the mail slots of mc0"):
            await typed(kernel, "library import")
        found = await places(typed, kernel)
        assert not [name for name in found if name.startswith("mail")]


@pytest.mark.parametrize(
    ("line", "condition"),
    [
        ("move slot:99 slot:0", Condition.BAD_REQUEST),
        ("move VT9999 slot:0", Condition.BAD_REQUEST),
        ("move VT0003 VT0001", Condition.BAD_REQUEST),
        ("move #5 slot:0", Condition.BAD_REQUEST),
        ("move VT0003 drive:0", Condition.DESTINATION_FULL),
        ("move slot:0 slot:2", Condition.SOURCE_EMPTY),
        ("load VT0003 7", Condition.BAD_REQUEST),
        ("export VT0003", Condition.DESTINATION_FULL),
        ("show --changer mc7", Condition.NO_DEVICE),
    ],
)
async def test_what_cannot_be_is_refused(
    tape_stack: Any, typed: Any, line: str, condition: Condition
) -> None:
    async with tape_stack() as kernel:
        before = await places(typed, kernel)
        with pytest.raises(TapeError) as caught:
            await typed(kernel, f"library {line}")
        assert caught.value.condition is condition
        assert await places(typed, kernel) == before


async def test_an_empty_drive_is_told_where_no_slot_is_empty_either(
    tape_stack: Any, typed: Any
) -> None:
    async with tape_stack(tables=MAIL) as kernel:
        await typed(kernel, "library export VT0002")
        kernel.tape_drivers["vtape"].library.create_cartridge("VT0099")
        with pytest.raises(TapeError, match="drive 1 in the library of mc0 is empty"):
            await typed(kernel, "library unload 1")


async def test_a_tape_that_cannot_go_stays_loaded(tape_stack: Any, typed: Any) -> None:
    async with tape_stack() as kernel:
        drivers = kernel.tape_drivers["vtape"]
        for line, fault in (
            ("library load VT0001 1", None),
            ("library move drive:0 slot:5", None),
            ("library unload 0", DeviceFault(kind=FaultKind.JAM)),
        ):
            if fault is not None:
                drivers.arm(fault)
            with pytest.raises(TapeError):
                await typed(kernel, line)
            status = json.loads(
                await typed(kernel, "storage tape position -name st0 -operation rewind --json")
            )
            assert status["file"] == 0
        drivers.faults.clear()
        assert await typed(kernel, "library unload 0") == "VT0001 went from drive 0 to slot 0\n"


async def test_a_drive_or_a_changer_in_use_is_left_alone(tape_stack: Any, typed: Any) -> None:
    async with tape_stack() as kernel:
        tape = kernel.tape_inventory.open("nrst0a", OpenMode.READ, "session 1")
        with pytest.raises(TapeError, match="in use by session 1"):
            await typed(kernel, "library unload 0")
        tape.close()
        changer = kernel.tape_inventory.open_changer("mc0", "session 2")
        with pytest.raises(TapeError, match="in use by session 2"):
            await typed(kernel, "library unload 0")
        changer.close()
        await typed(kernel, "library unload 0")
