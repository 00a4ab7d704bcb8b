"""Reserves the devices of a stack by the method that an administrator has chosen.

The method counts for devices that are opened from then on; a device keeps the
reservation that it was opened with. The one rule: a method that was set is in
the state store, and so is the key under which this system reserves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.reservations import NO_KEY
from tapekit.scsi_devices.conversation import Conversation
from tapekit_reservations.errors import CATALOGUE
from tapekit_reservations.operations import ReservationRow, Standing
from tapekit_reservations.reserved_door import DeviceReservation
from tapekit_reservations.settings import Method
from tapekit_reservations.ways import PersistentWay, ScsiWay, preempted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.state import StateStore
    from tapekit.scsi.door import CdbDoor
    from tapekit_reservations.ways import Way
    from tapekit_tape_devices.hookspecs import BareDoors, DeviceState

__all__ = ["TapeReservations"]

_SPACE: Final = "reservations"
_METHOD, _KEY = "method", "key"
_KEY_BYTES: Final = 8
_ADMINISTRATOR: Final = "an administrator's command"

_ANSWERED: Final = frozenset(
    {Condition.BAD_REQUEST, Condition.NOT_READY, Condition.NO_TAPE, Condition.BUSY}
)
"""What a device says that nobody has reserved, or not in the way asked for."""


@final
class TapeReservations:
    """A :class:`tapekit_tape_devices.hookspecs.Reservations`."""

    def __init__(self, method: Method, new_key: Callable[[int], bytes]) -> None:
        """:param method: counts until one has been set.
        :param new_key: makes so many random bytes.
        """
        self.method = method
        self._new_key: Final = new_key
        self._state: StateStore | None = None
        self._doors: BareDoors | None = None

    def settle(self, state: StateStore) -> None:
        """Take the store, and from it the method; called once, before all else.

        :raises TapekitError: what it remembers is no method.
        """
        self._state = state
        remembered = state.get(_SPACE, _METHOD)
        if remembered is None:
            return
        try:
            self.method = Method(remembered.decode("ascii", "replace"))
        except ValueError:
            raise CATALOGUE.error("remembered-method", value=remembered) from None

    def choose(self, value: str) -> None:
        """Set the method. Blocks.

        :raises TapekitError: it is none, or the store cannot be written.
        """
        try:
            method = Method(value)
        except ValueError:
            values = ", ".join(Method)
            raise CATALOGUE.error("unknown-method", value=value, values=values) from None
        self._store.change(_SPACE, {_METHOD: method.value.encode()})
        self.method = method

    def meet(self, doors: BareDoors) -> None:
        """See :meth:`Reservations.meet`."""
        self._doors = doors

    def reserve(self, door: CdbDoor, device: str) -> DeviceReservation | None:
        """See :meth:`Reservations.reserve`."""
        way: Way
        match self.method:
            case Method.OFF:
                return None
            case Method.SCSI:
                way = ScsiWay(door, device)
            case Method.PERSISTENT:
                way = PersistentWay(door, device, self._key())
        way.take()
        return DeviceReservation(door, device, way)

    def rows(self) -> Sequence[ReservationRow]:
        """Who has reserved which device. Blocks; devices that are open here are
        not asked.
        """
        assert self._doors is not None
        return [self._row(state) for state in self._doors.devices()]

    def clear(self, device: str) -> ReservationRow:
        """End whatever reservation a device has that nobody here uses. Blocks.

        :param device: a name, a physical path or a serial number.
        :raises TapeError: it is not there, in use here, or does not do it.
        """
        assert self._doors is not None
        bare = self._doors.open(device, _ADMINISTRATOR)
        try:
            if bare.door is None:
                raise CATALOGUE.raised_as(
                    TapeError, "no-door", condition=Condition.BAD_REQUEST, device=bare.device
                )
            self._end_persistent(bare.door, bare.device)
            standing, _ = self._asked(bare.door, bare.device)
            if standing is Standing.ELSEWHERE:
                bare.door.reset()
                standing, _ = self._asked(bare.door, bare.device)
            if standing is Standing.ELSEWHERE:
                raise preempted(bare.device, "is still reserved by another system")
        finally:
            bare.close()
        return ReservationRow(physical_path=bare.device, standing=standing)

    def _end_persistent(self, door: CdbDoor, device: str) -> None:
        way = PersistentWay(door, device, self._key())
        try:
            holder = way.reservation().key
        except TapeError as error:
            # It has none of this kind, or RESERVE(6) keeps even that from us.
            if error.condition not in (Condition.BAD_REQUEST, Condition.RESERVED):
                raise
            return
        if holder != NO_KEY:
            way.break_off(holder)

    def _row(self, state: DeviceState) -> ReservationRow:
        path = state.physical_path
        if state.holder is not None:
            standing = Standing.FREE if self.method is Method.OFF else Standing.HERE
            return ReservationRow(physical_path=path, standing=standing, holder=state.holder)
        assert self._doors is not None
        try:
            bare = self._doors.open(path, _ADMINISTRATOR)
        except TapeError as error:
            return _unknown(path, error)
        try:
            standing, key = (
                (Standing.UNKNOWN, "") if bare.door is None else self._asked(bare.door, path)
            )
        except TapeError as error:
            return _unknown(path, error)
        finally:
            bare.close()
        return ReservationRow(physical_path=path, standing=standing, key=key)

    def _asked(self, door: CdbDoor, device: str) -> tuple[Standing, str]:
        """Who has reserved a device, and under which key."""
        key = ""
        try:
            found = PersistentWay(door, device, NO_KEY).reservation()
            if found.type is not None:
                is_ours = found.key == self._key()
                return (Standing.HERE if is_ours else Standing.ELSEWHERE), f"{found.key:016x}"
            Conversation(door, device, TAPE_COMMANDS).run("MODE SENSE(6)", room=4, allocation=4)
        except TapeError as error:
            if error.condition is Condition.RESERVED:
                return Standing.ELSEWHERE, key
            if error.condition not in _ANSWERED:
                raise
        return Standing.FREE, key

    def _key(self) -> int:
        """This system's key; made when it is first needed."""
        present = self._store.get(_SPACE, _KEY)
        while present is None or int.from_bytes(present, "big") == NO_KEY:
            present = self._new_key(_KEY_BYTES)
            self._store.change(_SPACE, {_KEY: present})
        return int.from_bytes(present, "big")

    @property
    def _store(self) -> StateStore:
        assert self._state is not None
        return self._state


def _unknown(path: str, error: TapeError) -> ReservationRow:
    return ReservationRow(physical_path=path, standing=Standing.UNKNOWN, unknown_because=str(error))
