"""The raw door of a device of this host.

What the kernel says besides the device's own status is told apart here: a
device that did not answer, one that is no longer there, and a command that the
kernel has not sent at all. The one rule: data counts only as far as the
device can have sent it, because what the kernel hands over behind that are
old contents of its memory.
"""

from __future__ import annotations

import errno
import math
import os
from typing import TYPE_CHECKING, Final, Protocol, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.malformed import Malformed
from tapekit.scsi.sense import SenseKey, decode_sense
from tapekit_scsi_sg.errors import CATALOGUE
from tapekit_scsi_sg.sg_node import FOREVER

if TYPE_CHECKING:
    from tapekit.scsi.door import ScsiAddress
    from tapekit_scsi_sg.sg_node import SgAnswer

__all__ = ["Node", "SgDoor"]

_HOST_FAILURES: Final = {
    0x01: "the device is not connected",
    0x02: "the bus stayed busy",
    0x03: "the time was up",
    0x04: "there is no such device",
    0x05: "it was aborted",
    0x06: "a parity error",
    0x07: "the adapter failed",
    0x08: "the bus or the device was reset",
    0x09: "an interrupt that nobody expected",
    0x0B: "the adapter asks for another attempt",
    0x0C: "the adapter asks for another attempt",
    0x0D: "the adapter asks for another attempt",
    0x0E: "the connection to the device was interrupted",
    0x0F: "the connection to the device is down",
}
"""What the kernel says of the way to a device (Linux, ``scsi_status.h``, DID_...)."""

_TIME_OUT: Final = 0x03
_NOBODY: Final = frozenset({0x01, 0x04})
_DRIVER_TIME_OUT: Final = 0x06
_DRIVER_SENSE: Final = 0x08
_GONE: Final = frozenset({errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN})

_CARRIED_OUT: Final = frozenset(
    {
        SenseKey.NO_SENSE,
        SenseKey.RECOVERED_ERROR,
        SenseKey.MEDIUM_ERROR,
        SenseKey.BLANK_CHECK,
        SenseKey.COMPLETED,
    }
)
"""Sense keys with which data may have come: some blocks before a filemark."""

_READ: Final = 0x08
"""The command whose sense data tells what is lacking (SSC, READ(6))."""


class Node(Protocol):
    """What a door needs; see :class:`tapekit_scsi_sg.sg_node.SgNode`."""

    def send(self, cdb: bytes, data_out: bytes, data_in: int, limit_ms: int) -> SgAnswer:
        """Run one command."""
        ...

    def reset(self) -> None:
        """Reset the device alone."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


@final
class SgDoor:
    """A :class:`tapekit.scsi.door.DeviceDoor` over a node that it owns."""

    def __init__(self, node: Node, device: str, serial: str, address: ScsiAddress) -> None:
        """:param device: the device's physical path name, for messages.
        :param serial: its serial number, for messages.
        """
        self.address: Final = address
        self._node: Final = node
        self._device: Final = device
        self._serial: Final = serial

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        """See :meth:`CdbDoor.execute`.

        :raises TapeError: ``TIMEOUT``; ``NO_DEVICE``; ``HARDWARE_ERROR`` when
            the way to the device failed; ``BAD_REQUEST`` for what the kernel
            does not send.
        """
        limit_ms = FOREVER
        if timeout_s is not None:
            limit_ms = min(max(math.ceil(timeout_s * 1000), 1), FOREVER - 1)
        try:
            answer = self._node.send(cdb, data_out, data_in, limit_ms)
        except OSError as error:
            raise self._not_sent(error, cdb, len(data_out) or data_in) from error
        self._check_way(answer, cdb, timeout_s)
        sense = answer.sense if answer.status == Status.CHECK_CONDITION else b""
        # Some adapters tell of more than there was to transfer, or of less than nothing.
        residual = max(answer.residual, 0)
        taken = min(max(data_in - residual, 0), _sent(cdb, data_in, answer.status, sense))
        return CdbReply(answer.status, answer.data[:taken], max(len(data_out) - residual, 0), sense)

    def _check_way(self, answer: SgAnswer, cdb: bytes, timeout_s: float | None) -> None:
        host, driver = answer.host_status, answer.driver_status & 0x0F
        if host == 0 and driver in (0, _DRIVER_SENSE):
            return
        opcode = f"{cdb[0]:02X}h"
        if timeout_s is not None and (host == _TIME_OUT or driver == _DRIVER_TIME_OUT):
            raise CATALOGUE.raised_as(
                TapeError,
                "no-answer",
                condition=Condition.TIMEOUT,
                device=self._device,
                opcode=opcode,
                opcode_key=f"0x{cdb[0]:02x}",
                seconds=timeout_s,
            )
        if host in _NOBODY:
            raise self._gone()
        told = _HOST_FAILURES.get(host, f"host status {host:02X}h, driver status {driver:X}h")
        raise CATALOGUE.raised_as(
            TapeError,
            "path-lost",
            condition=Condition.HARDWARE_ERROR,
            device=self._device,
            opcode=opcode,
            reason=told,
        )

    def _not_sent(self, error: OSError, cdb: bytes, length: int) -> TapeError:
        if error.errno in _GONE:
            return self._gone()
        return CATALOGUE.raised_as(
            TapeError,
            "not-sent",
            condition=Condition.BAD_REQUEST,
            device=self._device,
            opcode=f"{cdb[0]:02X}h",
            length=length,
            reason=os.strerror(error.errno or 0),
        )

    def _gone(self) -> TapeError:
        return CATALOGUE.raised_as(
            TapeError,
            "gone",
            condition=Condition.NO_DEVICE,
            device=self._device,
            serial=self._serial,
        )

    def reset(self) -> None:
        """See :meth:`CdbDoor.reset`."""
        try:
            self._node.reset()
        except OSError as error:
            raise CATALOGUE.raised_as(
                TapeError,
                "not-reset",
                condition=Condition.HARDWARE_ERROR,
                device=self._device,
                reason=os.strerror(error.errno or 0),
            ) from error

    def close(self) -> None:
        """See :meth:`DeviceDoor.close`."""
        self._node.close()


def _sent(cdb: bytes, room: int, status: int, sense: bytes) -> int:
    """How many bytes a device that ended like this can have sent at most."""
    if status != Status.CHECK_CONDITION:
        return room if status in (Status.GOOD, Status.CONDITION_MET) else 0
    try:
        told = decode_sense(sense)
    except Malformed:
        return 0
    if told.key not in _CARRIED_OUT:
        return 0
    # In bytes for a block of any length, in blocks for blocks of one length.
    count = int.from_bytes(cdb[2:5], "big") if cdb[0] == _READ else 0
    if not count:
        return room
    if told.information is None:
        return 0 if told.filemark or told.key == SenseKey.BLANK_CHECK else room
    return room * min(max(count - told.information, 0), count) // count
