"""Two systems at one library: who has a device, who is kept out, who takes over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_reservations.commands import reservation_listing
from tapekit_reservations.operations import ReservationRow, Reservations, Standing

if TYPE_CHECKING:
    from tapekit.hookspecs.tape_driver import OpenTape

METHODS = pytest.mark.parametrize("method", ["scsi", "persistent"])
ELSEWHERE = r"^Tape reservation preempted: v\.0 is reserved by another system"


def write(tape: OpenTape, text: bytes) -> None:
    assert tape.drive.write_records([memoryview(text.ljust(1024))], 1024) == 1


def texts(tape: OpenTape, count: int) -> list[bytes]:
    """The records from the beginning of a tape."""
    tape.drive.rewind()
    return [tape.drive.read_record(1024).rstrip() for _ in range(count)]


@pytest.mark.requirement("R028")
async def test_the_option_is_off_at_first_and_lasts_once_set(system: Any, typed: Any) -> None:
    async with system("a") as a:
        (option,) = json.loads(await typed(a.kernel, "options tape.reservations --json"))
        assert option == {
            "name": "tape.reservations",
            "value": "off",
            "values": ["off", "scsi", "persistent"],
        }
        line = "options -option-name tape.reservations -option-value persistent"
        assert (await typed(a.kernel, line)).splitlines()[1].split()[:2] == [
            "tape.reservations",
            "persistent",
        ]
        with pytest.raises(TapekitError, match="cannot be on; it is one of off, scsi, persistent"):
            await typed(a.kernel, "options tape.reservations on")
        with pytest.raises(
            TapekitError, match=r"no option tape\.reservation; the options are: tape"
        ):
            await typed(a.kernel, "options tape.reservation")
    async with system("a", method="scsi") as a:
        shown = await typed(a.kernel, "storage tape reservation show")
        assert shown.splitlines()[:2] == ["Node: a", "tape.reservations: persistent"]


@pytest.mark.requirement("R029")
@METHODS
async def test_one_system_at_a_time_has_a_drive(system: Any, method: str) -> None:
    async with system("a", method) as a, system("b", method) as b:
        tape = a.open()
        with pytest.raises(TapeError, match=ELSEWHERE) as caught:
            b.open()
        assert caught.value.condition is Condition.RESERVED
        b.open("nrst1a").close()
        tape.close()
        b.open().close()
        a.open().close()


@pytest.mark.requirement("R029")
@METHODS
async def test_one_system_at_a_time_has_a_changer(system: Any, method: str) -> None:
    async with system("a", method) as a, system("b", method) as b:
        changer = a.open_changer()
        assert changer.changer.elements()
        with pytest.raises(TapeError, match=r"v\.64 is reserved by another system") as caught:
            b.open_changer()
        assert caught.value.condition is Condition.RESERVED
        changer.close()
        b.open_changer().close()


@pytest.mark.requirement("R030")
@pytest.mark.parametrize("methods", [("scsi", "persistent"), ("persistent", "scsi")])
async def test_systems_with_different_methods_keep_each_other_out(
    system: Any, methods: tuple[str, str]
) -> None:
    async with system("a", methods[0]) as a, system("b", methods[1]) as b:
        tape = a.open()
        with pytest.raises(TapeError, match=ELSEWHERE):
            b.open()
        write(tape, b"still mine")
        tape.close()
        b.open().close()


@pytest.mark.requirement("R312")
@METHODS
async def test_a_drive_that_is_taken_away_stops_its_user_and_keeps_what_was_written(
    system: Any, typed: Any, method: str
) -> None:
    async with system("a", method) as a, system("b", method) as b:
        tape = a.open()
        write(tape, b"acknowledged")
        tape.drive.write_filemarks(0)
        with pytest.raises(AssertionError, match="advanced"):
            await typed(b.kernel, "storage tape reservation clear -name st0")
        answer = await typed(b.kernel, "storage tape reservation clear -name st0 --advanced")
        assert answer == "v.0 is reserved by nobody.\n"
        if method == "persistent":
            with pytest.raises(TapeError) as caught:
                write(tape, b"too late")
            assert caught.value.condition is Condition.RESERVED
        tape.close()
        tape = b.open()
        assert texts(tape, 1) == [b"acknowledged"]
        with pytest.raises(TapeError) as ended:
            tape.drive.read_record(1024)
        assert ended.value.condition is Condition.END_OF_DATA
        tape.close()


@METHODS
async def test_a_system_that_comes_back_has_what_it_had_reserved(
    system: Any, typed: Any, method: str
) -> None:
    """The first start ends without giving anything back, as a killed one does."""
    async with system("a", method) as a:
        tape = a.open()
        write(tape, b"before")
        tape.drive._release = lambda: None
        tape.close()
        rows = json.loads(await typed(a.kernel, "storage tape reservation show --json"))
        assert rows["devices"][0]["standing"] == (
            "this system" if method == "persistent" else "free"
        )
    async with system("b", method) as b:
        with pytest.raises(TapeError, match=ELSEWHERE):
            b.open()
        rows = json.loads(await typed(b.kernel, "storage tape reservation show --json"))
        assert [one["standing"] for one in rows["devices"]] == ["another system", "free", "free"]
        assert bool(rows["devices"][0]["key"]) is (method == "persistent")
        listed = await typed(b.kernel, "storage tape reservation show")
        assert "another system" in listed
    async with system("a", method) as a, system("b", method) as b:
        a.open().close()
        tape = b.open()
        assert texts(tape, 1) == [b"before"]
        tape.close()


@pytest.mark.requirement("R032")
async def test_a_persistent_reservation_outlives_a_reset(system: Any, typed: Any) -> None:
    async with system("a", "persistent") as a, system("b", "persistent") as b:
        tape = a.open()
        await typed(b.kernel, "storage tape reset -name st0 --advanced")
        with pytest.raises(TapeError, match=ELSEWHERE):
            b.open()
        write(tape, b"goes on")
        tape.close()


@pytest.mark.requirement("R031")
async def test_a_reset_ends_a_reservation_of_the_kind_scsi(system: Any, typed: Any) -> None:
    async with system("a", "scsi") as a, system("b", "scsi") as b:
        tape = a.open()
        with pytest.raises(TapeError, match=ELSEWHERE):
            b.open()
        await typed(b.kernel, "storage tape reset -name st0 --advanced")
        rows = json.loads(await typed(b.kernel, "storage tape reservation show --json"))
        # Nobody has reserved the drive; the library itself knows who is in it.
        assert rows["devices"][0]["standing"] == "unknown"
        assert "is in use by" in rows["devices"][0]["unknown_because"]
        tape.close()
        b.open().close()


@pytest.mark.requirement("R033")
async def test_turning_the_option_off_reserves_nothing_more(system: Any, typed: Any) -> None:
    async with system("a", "scsi") as a, system("b") as b:
        await typed(a.kernel, "options tape.reservations off")
        tape = a.open()
        rows = json.loads(await typed(b.kernel, "storage tape reservation show --json"))
        assert rows["devices"][1]["standing"] == "free"
        tape.close()
        b.open().close()


def test_a_listing_says_beneath_why_a_standing_is_not_known() -> None:
    rows = (
        ReservationRow(physical_path="v.0", standing=Standing.UNKNOWN, unknown_because="no door"),
        ReservationRow(physical_path="v.1", standing=Standing.HERE, key="0000000000000007"),
    )
    lines = list(reservation_listing(Reservations(node="a", method="persistent", devices=rows)))
    assert [line.split()[:2] for line in lines[-3:-1]] == [["v.0", "unknown"], ["v.1", "this"]]
    assert lines[-1] == "v.0: no door"
