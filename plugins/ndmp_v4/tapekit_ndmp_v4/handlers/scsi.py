"""SCSI: commands to a changer or a drive (NDMP v4, interface 0x200).

A check condition is no NDMP error: the reply says NO_ERR and carries status
and sense. The mover needs no column here: it works on an open tape, and
beside an open tape no SCSI device can be opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_ndmp_v4.cdb import command_of
from tapekit_ndmp_v4.conditions import NDMP_ERRORS
from tapekit_ndmp_v4.messages import (
    ScsiCloseReply,
    ScsiCloseRequest,
    ScsiExecuteCdbReply,
    ScsiExecuteCdbRequest,
    ScsiGetStateReply,
    ScsiGetStateRequest,
    ScsiOpenReply,
    ScsiOpenRequest,
    ScsiResetDeviceReply,
    ScsiResetDeviceRequest,
)
from tapekit_ndmp_v4.numbers import NdmpError
from tapekit_ndmp_v4.refusal import Refused

if TYPE_CHECKING:
    from tapekit.scsi.door import CdbDoor
    from tapekit_ndmp_v4.session import Session

__all__ = ["close", "execute_cdb", "get_state", "open_device", "reset_device"]


async def open_device(session: Session, request: ScsiOpenRequest) -> ScsiOpenReply:
    """SCSI_OPEN: take a device for this session."""
    if session.has_device:
        raise Refused(NdmpError.DEVICE_OPENED_ERR)
    session.permit_device(request.device)
    try:
        await session.scsi.open(request.device)
    except TapeError as error:
        raise Refused(NDMP_ERRORS[error.condition], error) from error
    except TapekitError as error:
        raise Refused(NdmpError.NOT_SUPPORTED_ERR, error) from error
    return ScsiOpenReply(error=NdmpError.NO_ERR)


async def close(session: Session, _request: ScsiCloseRequest) -> ScsiCloseReply:
    """SCSI_CLOSE: let go of the device."""
    _open_door(session)
    try:
        await session.scsi.close()
    except TapeError as error:
        raise Refused(NDMP_ERRORS[error.condition], error) from error
    return ScsiCloseReply(error=NdmpError.NO_ERR)


async def get_state(session: Session, _request: ScsiGetStateRequest) -> ScsiGetStateReply:
    """SCSI_GET_STATE: where the device is attached."""
    address = _open_door(session).address
    return ScsiGetStateReply(
        error=NdmpError.NO_ERR,
        target_controller=address.controller,
        target_id=address.target,
        target_lun=address.lun,
    )


async def reset_device(session: Session, _request: ScsiResetDeviceRequest) -> ScsiResetDeviceReply:
    """SCSI_RESET_DEVICE: reset this device and nothing beside it."""
    door = _open_door(session)
    try:
        await session.scsi.blocking(door.reset)
    except TapeError as error:
        cannot = error.condition is Condition.BAD_REQUEST
        code = NdmpError.NOT_SUPPORTED_ERR if cannot else NDMP_ERRORS[error.condition]
        raise Refused(code, error) from error
    return ScsiResetDeviceReply(error=NdmpError.NO_ERR)


async def execute_cdb(session: Session, request: ScsiExecuteCdbRequest) -> ScsiExecuteCdbReply:
    """SCSI_EXECUTE_CDB: one command in, status, data and sense out."""
    door = _open_door(session)
    try:
        command = command_of(request)
    except TapekitError as error:
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR, error) from error
    try:
        reply = await session.scsi.blocking(lambda: command.execute(door))
    except TapeError as error:
        raise Refused(NDMP_ERRORS[error.condition], error) from error
    return ScsiExecuteCdbReply(
        error=NdmpError.NO_ERR,
        status=reply.status,
        dataout_len=reply.written,
        datain=reply.data,
        ext_sense=reply.sense,
    )


def _open_door(session: Session) -> CdbDoor:
    if session.scsi.door is None:
        raise Refused(NdmpError.DEV_NOT_OPEN_ERR)
    return session.scsi.door
