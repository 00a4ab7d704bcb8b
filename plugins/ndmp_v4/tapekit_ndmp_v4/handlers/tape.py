"""TAPE: the device a session has open (NDMP v4, interface 0x300)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError
from tapekit_ndmp_v4.cdb import command_of
from tapekit_ndmp_v4.conditions import NDMP_ERRORS
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.messages import (
    TapeCloseReply,
    TapeCloseRequest,
    TapeExecuteCdbReply,
    TapeExecuteCdbRequest,
    TapeGetStateReply,
    TapeGetStateRequest,
    TapeMtioReply,
    TapeMtioRequest,
    TapeOpenReply,
    TapeOpenRequest,
    TapeReadReply,
    TapeReadRequest,
    TapeWriteReply,
    TapeWriteRequest,
)
from tapekit_ndmp_v4.numbers import (
    MoverState,
    MtioOp,
    NdmpError,
    TapeFlag,
    TapeOpenMode,
    TapeUnsupported,
)
from tapekit_ndmp_v4.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.tape_driver import DriveStatus, OpenTape, TapeDrive
    from tapekit_ndmp_v4.session import Session

__all__ = ["close", "execute_cdb", "get_state", "move", "open_device", "read", "write"]

_T = TypeVar("_T")

_LARGEST_READ: Final = 1 << 20
"""Bytes that TAPE_READ may ask for; more cannot be a tape record."""

_UNKNOWN: Final = 0xFFFF_FFFF
_UNKNOWN_LONG: Final = 0xFFFF_FFFF_FFFF_FFFF

_DEFECTS: Final = frozenset({Condition.MEDIUM_ERROR, Condition.HARDWARE_ERROR})

_MODES: Final = {
    TapeOpenMode.READ: OpenMode.READ,
    TapeOpenMode.RDWR: OpenMode.READ_WRITE,
    TapeOpenMode.RAW: OpenMode.RAW,
}


async def open_device(session: Session, request: TapeOpenRequest) -> TapeOpenReply:
    """TAPE_OPEN: take a device for this session."""
    if not isinstance(request.mode, TapeOpenMode):
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR)
    if session.has_device:
        raise Refused(NdmpError.DEVICE_OPENED_ERR)
    session.permit_device(request.device)
    if session.tapes.inventory is None:
        raise Refused(
            NdmpError.NO_DEVICE_ERR, CATALOGUE.error("no-tape-devices", device=request.device)
        )
    await _settled(session)
    try:
        await session.tapes.open(request.device, _MODES[request.mode])
    except TapeError as error:
        if error.condition in _DEFECTS:
            session.link.log_error(CATALOGUE.error("could-not-initialize-media"))
        raise _refused(error) from error
    return TapeOpenReply(error=NdmpError.NO_ERR)


async def close(session: Session, _request: TapeCloseRequest) -> TapeCloseReply:
    """TAPE_CLOSE: let go, rewinding or unloading as the name says."""
    await _usable(session)
    try:
        await session.tapes.close()
    except TapeError as error:
        raise _refused(error) from error
    return TapeCloseReply(error=NdmpError.NO_ERR)


async def get_state(session: Session, _request: TapeGetStateRequest) -> TapeGetStateReply:
    """TAPE_GET_STATE: position, sizes and flags."""
    tape = await _usable(session)
    met_filemark = session.tapes.met_filemark
    status = await _on_drive(session, tape.drive.status)
    session.tapes.met_filemark = met_filemark
    record = None if met_filemark else status.position.record
    return _state_reply(tape, status, record)


def _state_reply(tape: OpenTape, status: DriveStatus, record: int | None) -> TapeGetStateReply:
    unsupported = TapeUnsupported(0)
    file = status.position.file
    if file is None:
        unsupported |= TapeUnsupported.FILE_NUM
    if record is None:
        unsupported |= TapeUnsupported.BLOCKNO
    if status.total_bytes is None:
        unsupported |= TapeUnsupported.TOTAL_SPACE
    if status.remaining_bytes is None:
        unsupported |= TapeUnsupported.SPACE_REMAIN
    flags = TapeFlag(0)
    if not tape.device.rewinds:
        flags |= TapeFlag.NOREWIND
    if status.write_protected:
        flags |= TapeFlag.WR_PROT
    if tape.device.unloads:
        flags |= TapeFlag.UNLOAD
    return TapeGetStateReply(
        unsupported=unsupported,
        error=NdmpError.NO_ERR,
        flags=flags,
        file_num=_UNKNOWN if file is None else file,
        soft_errors=status.soft_errors,
        block_size=status.block_size,
        blockno=_UNKNOWN if record is None else record,
        total_space=_UNKNOWN_LONG if status.total_bytes is None else status.total_bytes,
        space_remain=_UNKNOWN_LONG if status.remaining_bytes is None else status.remaining_bytes,
    )


async def move(session: Session, request: TapeMtioRequest) -> TapeMtioReply:
    """TAPE_MTIO: position, write filemarks, eject."""
    tape = await _usable(session)
    if not isinstance(request.tape_op, MtioOp):
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR)
    if request.tape_op is MtioOp.EOF and not tape.is_writable:
        raise Refused(NdmpError.PERMISSION_ERR)
    motion = _MOTIONS[request.tape_op]
    done = await _on_drive(session, lambda: motion(tape.drive, request.count))
    return TapeMtioReply(error=NdmpError.NO_ERR, resid_count=request.count - done)


def _rewind(drive: TapeDrive, count: int) -> int:
    drive.rewind()
    return count


def _write_filemarks(drive: TapeDrive, count: int) -> int:
    if count:
        drive.write_filemarks(count)
    return count


def _unload(drive: TapeDrive, count: int) -> int:
    drive.unload()
    return count


def _test_unit_ready(drive: TapeDrive, count: int) -> int:
    if not drive.status().has_tape:
        raise CATALOGUE.raised_as(TapeError, "drive-has-no-tape", condition=Condition.NO_TAPE)
    return count


_MOTIONS: Final[dict[MtioOp, Callable[[TapeDrive, int], int]]] = {
    MtioOp.FSF: lambda drive, count: drive.space_filemarks(count),
    MtioOp.BSF: lambda drive, count: drive.space_filemarks(-count),
    MtioOp.FSR: lambda drive, count: drive.space_records(count),
    MtioOp.BSR: lambda drive, count: drive.space_records(-count),
    MtioOp.REW: _rewind,
    MtioOp.EOF: _write_filemarks,
    MtioOp.OFF: _unload,
    MtioOp.TUR: _test_unit_ready,
}
"""Each gives how much of ``count`` was done; the rest is the residual."""


async def write(session: Session, request: TapeWriteRequest) -> TapeWriteReply:
    """TAPE_WRITE: one request, one record."""
    tape = await _usable(session)
    if not tape.is_writable:
        raise Refused(NdmpError.PERMISSION_ERR)
    data = request.data_out
    if data:
        view = memoryview(data)
        await _on_drive(session, lambda: tape.drive.write_records([view], len(data)))
    return TapeWriteReply(error=NdmpError.NO_ERR, count=len(data))


async def read(session: Session, request: TapeReadRequest) -> TapeReadReply:
    """TAPE_READ: at most one record, its rest discarded."""
    tape = await _usable(session)
    if request.count > _LARGEST_READ:
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR)
    data = b""
    if request.count:
        try:
            data = await _on_drive(session, lambda: tape.drive.read_record(request.count))
        except Refused as refused:
            session.tapes.met_filemark = refused.code is NdmpError.EOF_ERR
            raise
    return TapeReadReply(error=NdmpError.NO_ERR, data_in=data)


async def execute_cdb(session: Session, request: TapeExecuteCdbRequest) -> TapeExecuteCdbReply:
    """TAPE_EXECUTE_CDB: one command to the drive; what may change tape
    or drive needs a device that is open for writing, as with TAPE_WRITE.
    """
    tape = await _usable(session)
    door = tape.drive.door
    if door is None:
        error = CATALOGUE.error("device-takes-no-commands", device=tape.device.name)
        raise Refused(NdmpError.NOT_SUPPORTED_ERR, error)
    try:
        command = command_of(request)
    except TapekitError as error:
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR, error) from error
    if command.may_change and not tape.is_writable:
        raise Refused(NdmpError.PERMISSION_ERR)
    reply = await _on_drive(session, lambda: command.execute(door))
    return TapeExecuteCdbReply(
        error=NdmpError.NO_ERR,
        status=reply.status,
        dataout_len=reply.written,
        datain=reply.data,
        ext_sense=reply.sense,
    )


def _open_tape(session: Session) -> OpenTape:
    if session.tapes.tape is None:
        raise Refused(NdmpError.DEV_NOT_OPEN_ERR)
    return session.tapes.tape


async def _usable(session: Session) -> OpenTape:
    """The open tape, once a halted mover has let go of it."""
    tape = _open_tape(session)
    await _settled(session)
    return tape


async def _settled(session: Session) -> None:
    if session.mover is not None and session.mover.state is MoverState.HALTED:
        await session.mover.settled()


async def _on_drive(session: Session, work: Callable[[], _T]) -> _T:
    async with session.tapes.in_use:
        # A mover that listened may have got its connection in this moment.
        if session.mover is not None and session.mover.state is MoverState.ACTIVE:
            raise Refused(NdmpError.ILLEGAL_STATE_ERR)
        session.tapes.met_filemark = False
        try:
            return await session.tapes.blocking(work)
        except TapeError as error:
            raise _refused(error) from error


def _refused(error: TapeError) -> Refused:
    """Marks and ends are for the DMA; anything else is for the operator too."""
    expected = {Condition.FILEMARK, Condition.END_OF_DATA, Condition.EARLY_WARNING}
    told = None if error.condition in expected else error
    return Refused(NDMP_ERRORS[error.condition], told)
