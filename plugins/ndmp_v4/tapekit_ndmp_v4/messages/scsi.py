"""SCSI messages: commands to a changer (NDMP v4, 0x2xx).

A CHECK CONDITION is no NDMP error: the reply says NO_ERR and carries the
SCSI status and the sense bytes.
"""

from typing import Annotated

from msgspec import Meta

from tapekit_ndmp_v4.wire import I16, U8, U32, ErrorCode, Message, RequestBody, Text

__all__ = [
    "MAX_CDB_DATA",
    "ScsiCloseReply",
    "ScsiCloseRequest",
    "ScsiExecuteCdbReply",
    "ScsiExecuteCdbRequest",
    "ScsiGetStateReply",
    "ScsiGetStateRequest",
    "ScsiOpenReply",
    "ScsiOpenRequest",
    "ScsiResetDeviceReply",
    "ScsiResetDeviceRequest",
]

MAX_CDB_DATA = 1 << 20
"""Bytes of one command's data."""


class ScsiOpenRequest(RequestBody["ScsiOpenReply"]):
    """Open a device; SCSI_OPEN."""

    device: Text


class ScsiOpenReply(Message):
    """Whether the session holds the device; SCSI_OPEN."""

    error: ErrorCode


class ScsiCloseRequest(RequestBody["ScsiCloseReply"]):
    """Let go of the device; SCSI_CLOSE."""


class ScsiCloseReply(Message):
    """Whether the device is closed; SCSI_CLOSE."""

    error: ErrorCode


class ScsiGetStateRequest(RequestBody["ScsiGetStateReply"]):
    """Ask where the device is; SCSI_GET_STATE."""


class ScsiGetStateReply(Message):
    """Where the device is, -1 for what is unknown; SCSI_GET_STATE."""

    error: ErrorCode
    target_controller: I16
    target_id: I16
    target_lun: I16


class ScsiResetDeviceRequest(RequestBody["ScsiResetDeviceReply"]):
    """Reset the device; SCSI_RESET_DEVICE."""


class ScsiResetDeviceReply(Message):
    """Whether it was reset; SCSI_RESET_DEVICE."""

    error: ErrorCode


class ScsiExecuteCdbRequest(RequestBody["ScsiExecuteCdbReply"]):
    """Send a command; SCSI_EXECUTE_CDB and TAPE_EXECUTE_CDB.

    ``flags`` are :class:`CdbFlag` bits; ``timeout`` is in milliseconds, 0
    waits for ever.
    """

    flags: U32
    timeout: U32
    datain_len: U32
    cdb: Annotated[bytes, Meta(max_length=260)]
    dataout: Annotated[bytes, Meta(max_length=MAX_CDB_DATA)]


class ScsiExecuteCdbReply(Message):
    """What the device answered; SCSI_EXECUTE_CDB and TAPE_EXECUTE_CDB."""

    error: ErrorCode
    status: U8
    dataout_len: U32
    datain: Annotated[bytes, Meta(max_length=MAX_CDB_DATA)]
    ext_sense: Annotated[bytes, Meta(max_length=260)]
