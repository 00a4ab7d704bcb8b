"""A drive that is reserved stays so when its path fails, and nothing comes late over that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import pytest

from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.reservations import (
    InAction,
    OutAction,
    decode_out_list,
    encode_reservation,
)
from tapekit_multipath.joiner import PathsOfDevices
from tapekit_reservations.reserver import TapeReservations
from tapekit_reservations.settings import Method
from tapekit_tape_devices.inventory import Inventory
from tapekit_vtape.reservation_rules import FREE, DeviceState, admit, changed, released, reserved

if TYPE_CHECKING:
    from collections.abc import Callable

WRITE = 0x0A


@final
class Unit:
    """A device that knows each port of an initiator by itself."""

    def __init__(self, door: Any) -> None:
        self.door = door
        self.state: DeviceState = FREE

    def over(self, port: str) -> Port:
        return Port(self, port)


@final
class Port:
    """The device's door as one port of an initiator has it."""

    def __init__(self, unit: Unit, port: str) -> None:
        self._unit = unit
        self._port = port
        self.address = unit.door.address

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        try:
            admit(self._unit.state, self._port, TAPE_COMMANDS[cdb[0]].name, "x")
            return self._reserved(cdb, data_out) or self._unit.door.execute(
                cdb, data_out=data_out, data_in=data_in
            )
        except TapeError as error:
            if error.condition is not Condition.RESERVED:
                raise
            return CdbReply(Status.RESERVATION_CONFLICT)

    def _reserved(self, cdb: bytes, data: bytes) -> CdbReply | None:
        unit, action = self._unit, cdb[1] & 0x1F
        if cdb[0] == 0x16:
            unit.state = reserved(unit.state, self._port, "x")
        elif cdb[0] == 0x17:
            unit.state = released(unit.state, self._port)
        elif cdb[0] == 0x5E:
            assert action == InAction.READ_RESERVATION
            return CdbReply(Status.GOOD, encode_reservation(unit.state.reservation))
        elif cdb[0] == 0x5F:
            kind = cdb[2] & 0x0F
            unit.state = changed(unit.state, self._port, "x", action, decode_out_list(data), kind)
        else:
            return None
        return CdbReply(Status.GOOD)


def opened(method: Method, *cables: Any) -> Any:
    reservations = TapeReservations(method, lambda count: b"k" * count)
    reservations.settle(MemoryStateStore())
    drivers = {cable.scheme: cable for cable in cables}
    inventory = Inventory()
    inventory.settle(
        drivers, drivers, reservations=reservations, joiner=PathsOfDevices(is_balanced=False)
    )
    tape = inventory.open("nrst0a", OpenMode.READ_WRITE, "x")
    tape.drive.rewind()
    return tape


@pytest.fixture
def unit(doors: dict[str, Any]) -> Unit:
    return Unit(doors["0"])


@pytest.fixture
def cables(cable_of: Callable[..., Any], unit: Unit) -> list[Any]:
    made = [cable_of(scheme) for scheme in ("0b", "0d")]
    for cable in made:
        cable.doors = {"0": unit.over(cable.scheme)}
    return made


@pytest.mark.requirement("R032")
@pytest.mark.requirement("R038")
@pytest.mark.parametrize("lost", ["cut_at", "cut_before"], ids=["the answer", "the command"])
def test_the_other_path_is_registered_and_takes_over(
    cables: list[Any], unit: Unit, lost: str
) -> None:
    tape = opened(Method.PERSISTENT, *cables)
    assert unit.state.holder == "0b"
    tape.drive.write_records([memoryview(b"1" * 1024)], 1024)
    setattr(cables[0], lost, WRITE)
    assert tape.drive.write_records([memoryview(b"2" * 1024)], 1024) == 1
    assert (unit.state.holder, list(unit.state.keys)) == ("0d", ["0d"])
    late = unit.over("0b").execute(bytes((WRITE, 0, 0, 0, 4, 0)), data_out=b"late")
    assert late.status == Status.RESERVATION_CONFLICT
    tape.drive.rewind()
    assert [tape.drive.read_record(1024)[:1] for _ in range(2)] == [b"1", b"2"]
    tape.close()
    assert (unit.state.holder, unit.state.keys) == (None, {})


def test_who_has_taken_the_drive_meanwhile_keeps_it(cables: list[Any], unit: Unit) -> None:
    tape = opened(Method.PERSISTENT, *cables)
    tape.drive.write_records([memoryview(b"1" * 1024)], 1024)
    other = unit.over("another system")
    ours = unit.state.keys["0b"]
    for action, key, service_key in (
        (OutAction.REGISTER, 0, 7),
        (OutAction.PREEMPT, 7, ours),
    ):
        data = key.to_bytes(8, "big") + service_key.to_bytes(8, "big") + bytes(8)
        cdb = bytes((0x5F, action, 3, 0, 0, 0, 0, 0, 24, 0))
        assert other.execute(cdb, data_out=data).status == Status.GOOD
    cables[0].cut_before = WRITE
    with pytest.raises(TapeError, match="Tape reservation preempted") as caught:
        tape.drive.write_records([memoryview(b"2" * 1024)], 1024)
    assert caught.value.condition is Condition.RESERVED
    assert (unit.state.holder, unit.state.keys) == ("another system", {"another system": 7})
    with pytest.raises(TapeError, match="Tape reservation preempted"):
        tape.close()
    assert unit.state.holder == "another system"


def test_a_simple_reservation_is_lost_with_its_path(cables: list[Any], unit: Unit) -> None:
    tape = opened(Method.SCSI, *cables)
    tape.drive.write_records([memoryview(b"1" * 1024)], 1024)
    cables[0].cut_before = WRITE
    with pytest.raises(TapeError, match="was reset, which has ended its reservation"):
        tape.drive.write_records([memoryview(b"2" * 1024)], 1024)
    with pytest.raises(TapeError, match="Tape reservation preempted"):
        tape.close()
    assert unit.state.simple == "0b"
