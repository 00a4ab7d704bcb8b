"""SCSI commands through a session: to a changer, or to the tape that is open.

A changer is moved by commands of SMC; what they look like is in
``tapekit.scsi``. Each function is one request. The one rule: a check
condition is an answer, and only a device that gives no answer, or a server
that refuses, is an error.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.scsi.door import ScsiAddress, Status
from tapekit.scsi.malformed import Malformed
from tapekit.scsi.sense import Sense, decode_sense
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.numbers import CdbFlag

if TYPE_CHECKING:
    from tapekit_ndmp_v4.client.client import NdmpClient

__all__ = [
    "PATIENCE_S",
    "CdbAnswer",
    "address",
    "close",
    "execute",
    "execute_on_tape",
    "open_device",
    "reset",
]

PATIENCE_S: Final = 300.0
"""Seconds in which any robot has moved a cartridge; NDMJOB waits as long."""

_MS_PER_S: Final = 1000


@final
class CdbAnswer(NamedTuple):
    """What a device answered."""

    status: int
    """A :class:`tapekit.scsi.door.Status`, or what else the device said."""
    data: bytes
    """What it sent, at most as much as was asked for."""
    written: int
    """Bytes of the outgoing data that it took."""
    sense_data: bytes
    """What came with a check condition, as it came; else empty."""

    @property
    def is_good(self) -> bool:
        """Whether the device has done what it was asked."""
        return self.status == Status.GOOD

    @property
    def sense(self) -> Sense | None:
        """What the device says of it; ``None`` where it says nothing that
        can be read.
        """
        try:
            return decode_sense(self.sense_data) if self.sense_data else None
        except Malformed:
            return None


async def open_device(client: NdmpClient, device: str) -> None:
    """Take a device for this session, such as ``mc0``; SCSI_OPEN.

    :raises NdmpReplyError: NO_DEVICE; DEVICE_BUSY if another session has it;
        DEVICE_OPENED if this session has a device or a tape already.
    """
    await client.call(m.ScsiOpenRequest(device=device))


async def close(client: NdmpClient) -> None:
    """Let go of the device; SCSI_CLOSE."""
    await client.call(m.ScsiCloseRequest())


async def address(client: NdmpClient) -> ScsiAddress:
    """Where the device is attached to the server; SCSI_GET_STATE."""
    reply = await client.call(m.ScsiGetStateRequest())
    return ScsiAddress(reply.target_controller, reply.target_id, reply.target_lun)


async def reset(client: NdmpClient) -> None:
    """Reset the device; SCSI_RESET_DEVICE.

    :raises NdmpReplyError: NOT_SUPPORTED for one that cannot be reset.
    """
    await client.call(m.ScsiResetDeviceRequest())


async def execute(
    client: NdmpClient,
    cdb: bytes,
    *,
    data_out: bytes = b"",
    data_in: int = 0,
    timeout_s: float | None = PATIENCE_S,
) -> CdbAnswer:
    """Send a command to the device; SCSI_EXECUTE_CDB.

    :param data_out: what the command writes; never together with ``data_in``.
    :param data_in: how many bytes it may answer with.
    :param timeout_s: when the server gives up; ``None`` waits for ever.
    :raises NdmpReplyError: TIMEOUT; DEV_NOT_OPEN; ILLEGAL_ARGS for what no
        device can be asked.
    """
    reply = await client.call(
        m.ScsiExecuteCdbRequest(
            flags=_flags(data_out, data_in),
            timeout=_milliseconds(timeout_s),
            datain_len=data_in,
            cdb=cdb,
            dataout=data_out,
        )
    )
    return CdbAnswer(reply.status, reply.datain, reply.dataout_len, reply.ext_sense)


async def execute_on_tape(
    client: NdmpClient,
    cdb: bytes,
    *,
    data_out: bytes = b"",
    data_in: int = 0,
    timeout_s: float | None = PATIENCE_S,
) -> CdbAnswer:
    """Send a command to the tape drive that is open; TAPE_EXECUTE_CDB.

    :raises NdmpReplyError: as :func:`execute`, and NOT_SUPPORTED for a drive
        that takes no commands.
    """
    reply = await client.call(
        m.TapeExecuteCdbRequest(
            flags=_flags(data_out, data_in),
            timeout=_milliseconds(timeout_s),
            datain_len=data_in,
            cdb=cdb,
            dataout=data_out,
        )
    )
    return CdbAnswer(reply.status, reply.datain, reply.dataout_len, reply.ext_sense)


def _flags(data_out: bytes, data_in: int) -> int:
    """The directions; a server refuses both at once."""
    flags = CdbFlag(0)
    if data_in:
        flags |= CdbFlag.DATA_IN
    if data_out:
        flags |= CdbFlag.DATA_OUT
    return flags.value


def _milliseconds(timeout_s: float | None) -> int:
    """A timeout on the wire, where 0 waits for ever."""
    return 0 if timeout_s is None else max(1, math.ceil(timeout_s * _MS_PER_S))
