"""The raw door of a device: one command in, status, data and sense out.

Drives and changers that speak SCSI have one, virtual ones too, so that a
client may send commands of its own. The one rule: a check condition is an
answer, not an error; only a device that gives no answer raises.
"""

from __future__ import annotations

import enum
from typing import NamedTuple, Protocol

__all__ = ["CdbDoor", "CdbReply", "DeviceDoor", "ScsiAddress", "Status"]


class Status(enum.IntEnum):
    """How a command ended (SAM, status codes)."""

    GOOD = 0x00
    CHECK_CONDITION = 0x02
    CONDITION_MET = 0x04
    BUSY = 0x08
    RESERVATION_CONFLICT = 0x18
    TASK_SET_FULL = 0x28
    TASK_ABORTED = 0x40


class CdbReply(NamedTuple):
    """What a device answered."""

    status: int
    """A :class:`Status`, or what else the device said."""
    data: bytes = b""
    """What it sent, at most as much as was asked for."""
    written: int = 0
    """Bytes of the outgoing data that it took."""
    sense: bytes = b""
    """Sense data that came with a check condition, else empty."""


class ScsiAddress(NamedTuple):
    """Where a device is attached; -1 for what is not known or not there."""

    controller: int = -1
    target: int = -1
    lun: int = -1


class CdbDoor(Protocol):
    """Takes command descriptor blocks; blocking, one caller at a time."""

    @property
    def address(self) -> ScsiAddress:
        """Where the device is attached."""
        ...

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        """Run one command.

        :param cdb: 6 to 16 bytes (SPC, command descriptor blocks).
        :param data_out: what the command writes; never together with ``data_in``.
        :param data_in: how many bytes it may answer with.
        :param timeout_s: when to give up, in seconds; ``None`` waits for ever.
        :raises TapeError: the device gave no answer: ``TIMEOUT``, ``NO_DEVICE``,
            ``HARDWARE_ERROR``.
        """
        ...

    def reset(self) -> None:
        """Reset the device alone, as a LOGICAL UNIT RESET does.

        :raises TapeError: it cannot be reset.
        """
        ...


class DeviceDoor(CdbDoor, Protocol):
    """A raw door that whoever has opened it closes."""

    def close(self) -> None:
        """Let go of the device; later calls do nothing.

        :raises TapeError: closing failed; the device is let go all the same.
        """
        ...
