"""The door of a device that is reserved, and what takes the reservation away.

Every answer is looked at: a reservation conflict, and the unit attentions
that tell of a preemption or of a reset. The one rule: once the reservation is
lost, no command that uses the device goes through, because another system may
have moved the tape.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import TapeError
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.malformed import Malformed
from tapekit.scsi.sense import Sense, SenseKey, decode_sense, encode_sense
from tapekit_reservations.ways import preempted

if TYPE_CHECKING:
    from tapekit.scsi.door import CdbDoor, ScsiAddress
    from tapekit_reservations.ways import Way

__all__ = ["DeviceReservation"]

_LOG: Final = logging.getLogger("tapekit.reservations")

_ALWAYS: Final = frozenset(
    {
        0x03,  # REQUEST SENSE
        0x12,  # INQUIRY
        0x16,  # RESERVE(6)
        0x17,  # RELEASE(6)
        0x5E,  # PERSISTENT RESERVE IN
        0x5F,  # PERSISTENT RESERVE OUT
        0xA0,  # REPORT LUNS
    }
)
"""Operation codes that use neither the device nor its tape (SPC)."""

_PREEMPTED: Final = frozenset({(0x2A, 0x03), (0x2A, 0x05)})
"""Reservations preempted, registrations preempted (SPC, ASC and ASCQ)."""

_MORE_THAN_RESET: Final = CdbReply(
    Status.CHECK_CONDITION, sense=encode_sense(Sense(SenseKey.UNIT_ATTENTION, 0x28, 0x00))
)
"""Not ready to ready change (SPC): the news that were heard while the
reservation was asked for were not for it, and nobody is told them again."""

_RESET: Final = 0x29
"""Power on, reset, or loss of the connection to the initiator (SPC, ASC)."""


@final
class DeviceReservation:
    """A :class:`tapekit_tape_devices.hookspecs.Reservation`."""

    def __init__(self, door: CdbDoor, device: str, way: Way) -> None:
        """:param device: the device's physical path name, for messages.
        :param way: has reserved it.
        """
        self.door: Final[CdbDoor] = _ReservedDoor(door, device, way)
        self._device: Final = device
        self._way: Final = way

    def release(self) -> None:
        """See :meth:`Reservation.release`."""
        try:
            self._way.give_back()
        except TapeError as error:
            _LOG.warning("the reservation of %s is not given back: %s", self._device, error)


@final
class _ReservedDoor:
    """A :class:`tapekit.scsi.door.CdbDoor` before another."""

    def __init__(self, door: CdbDoor, device: str, way: Way) -> None:
        self._door: Final = door
        self._device: Final = device
        self._way: Final = way
        self._lost = ""
        """Why the reservation is gone."""

    @property
    def address(self) -> ScsiAddress:
        """See :attr:`CdbDoor.address`."""
        return self._door.address

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        """See :meth:`CdbDoor.execute`.

        :raises TapeError: also ``RESERVED``: the reservation is lost.
        """
        is_use = cdb[0] not in _ALWAYS
        if self._lost and is_use:
            raise preempted(self._device, self._lost)
        heard = self._way.other_news
        reply = self._door.execute(cdb, data_out=data_out, data_in=data_in, timeout_s=timeout_s)
        if reply.status != Status.GOOD and is_use:
            self._lost = self._loss(reply)
            if self._lost:
                _LOG.error("the reservation of %s is lost: it %s", self._device, self._lost)
                raise preempted(self._device, self._lost)
            if self._way.other_news != heard:
                return _MORE_THAN_RESET
        return reply

    def reset(self) -> None:
        """See :meth:`CdbDoor.reset`."""
        self._door.reset()

    def _loss(self, reply: CdbReply) -> str:
        """How an answer tells that the reservation is lost; empty if it does not."""
        if reply.status == Status.RESERVATION_CONFLICT:
            return "is reserved by another system now"
        if reply.status != Status.CHECK_CONDITION:
            return ""
        try:
            sense = decode_sense(reply.sense)
        except Malformed:
            # Whoever sent the command will say so.
            return ""
        if sense.key != SenseKey.UNIT_ATTENTION:
            return ""
        if (sense.asc, sense.ascq) in _PREEMPTED:
            return "was taken away by another system"
        if sense.asc == _RESET and not self._way.is_held_after_reset():
            return "was reset, which has ended its reservation"
        return ""
