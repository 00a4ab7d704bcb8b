"""MOVER: requests to the mover (NDMP v4, interface 0xA00).

Which request is legal in which state is a column of the exchange table and
has been checked before a handler runs; here are the arguments, and what
needs more than one machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit.errors import TapekitError
from tapekit.hookspecs.mover import UNLIMITED, Window
from tapekit_ndmp_v4 import addresses
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.messages import (
    LocalAddr,
    MoverAbortReply,
    MoverAbortRequest,
    MoverCloseReply,
    MoverCloseRequest,
    MoverConnectReply,
    MoverConnectRequest,
    MoverContinueReply,
    MoverContinueRequest,
    MoverGetStateReply,
    MoverGetStateRequest,
    MoverListenReply,
    MoverListenRequest,
    MoverReadReply,
    MoverReadRequest,
    MoverSetRecordSizeReply,
    MoverSetRecordSizeRequest,
    MoverSetWindowReply,
    MoverSetWindowRequest,
    MoverStopReply,
    MoverStopRequest,
    TcpAddrs,
    TcpIpv6Addrs,
)
from tapekit_ndmp_v4.numbers import AddrType, DataState, MoverMode, MoverState, NdmpError
from tapekit_ndmp_v4.refusal import Refused

if TYPE_CHECKING:
    from tapekit.hookspecs.tape_driver import OpenTape
    from tapekit_ndmp_v4.mover_server import MoverServer
    from tapekit_ndmp_v4.session import Session

__all__ = [
    "abort",
    "close",
    "connect",
    "continue_",
    "get_state",
    "listen",
    "read",
    "set_record_size",
    "set_window",
    "stop",
]


async def get_state(session: Session, _request: MoverGetStateRequest) -> MoverGetStateReply:
    """MOVER_GET_STATE: state, reasons and counters."""
    mover = _mover(session)
    progress = mover.progress
    return MoverGetStateReply(
        error=NdmpError.NO_ERR,
        mode=mover.mode,
        state=mover.state,
        pause_reason=mover.pause_reason,
        halt_reason=mover.halt_reason,
        record_size=mover.record_size,
        record_num=progress.record_number,
        bytes_moved=progress.bytes_moved,
        seek_position=progress.seek_position,
        bytes_left_to_read=progress.bytes_left_to_read,
        window_offset=mover.window.offset,
        window_length=mover.window.length,
        data_connection_addr=mover.address,
    )


def _need_thread(session: Session) -> None:
    """Refuse to use a tape when too many are in use.

    :raises Refused: DEVICE_BUSY.
    """
    try:
        session.need_tape_thread()
    except Refused:
        session.link.log_error(CATALOGUE.error("could-not-initialize-media"))
        raise


async def listen(session: Session, request: MoverListenRequest) -> MoverListenReply:
    """MOVER_LISTEN: wait for a data server."""
    mover = _mover(session)
    mode = _mode(request.mode)
    kind = session.address_kind(request.addr_type)
    _need_idle_data(session)
    _need_tape(session, mode)
    _need_thread(session)
    if kind is AddrType.LOCAL:
        mover.listen_local(mode)
    else:
        try:
            await mover.listen_at(session.transport(kind), mode)
        except TapekitError as error:
            raise Refused(NdmpError.CONNECT_ERR, error) from error
    return MoverListenReply(error=NdmpError.NO_ERR, connect_addr=mover.address)


async def connect(session: Session, request: MoverConnectRequest) -> MoverConnectReply:
    """MOVER_CONNECT: go to a data server that listens."""
    mover = _mover(session)
    mode = _mode(request.mode)
    match request.addr:
        case LocalAddr():
            session.address_kind(AddrType.LOCAL)
            if not session.data.awaits_local:
                raise Refused(NdmpError.ILLEGAL_STATE_ERR)
            _need_tape(session, mode)
            _need_thread(session)
            mover.connect_local(mode)
            session.join_locally()
        case TcpAddrs() | TcpIpv6Addrs():
            kind = session.address_kind(addresses.kind_of(request.addr))
            endpoint = addresses.to_endpoint(request.addr)
            if endpoint is None:
                raise Refused(NdmpError.ILLEGAL_ARGS_ERR)
            _need_idle_data(session)
            _need_tape(session, mode)
            _need_thread(session)
            try:
                credentials = addresses.credentials_of(request.addr)
                await mover.connect_to(session.transport(kind), mode, endpoint, credentials)
            except TapekitError as error:
                raise Refused(NdmpError.CONNECT_ERR, error) from error
        case _:
            raise Refused(NdmpError.ILLEGAL_ARGS_ERR)
    return MoverConnectReply(error=NdmpError.NO_ERR)


async def set_record_size(
    session: Session, request: MoverSetRecordSizeRequest
) -> MoverSetRecordSizeReply:
    """MOVER_SET_RECORD_SIZE: bytes of a tape record; a transfer keeps its own."""
    mover = _mover(session)
    if not 1 <= request.len <= mover.largest_record_size:
        error = CATALOGUE.error("record-size-out-of-range")
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR, error)
    if mover.state is MoverState.PAUSED and request.len != mover.record_size:
        fixed = CATALOGUE.error("record-size-of-transfer", size=mover.record_size)
        raise Refused(NdmpError.ILLEGAL_STATE_ERR, fixed)
    mover.record_size = request.len
    return MoverSetRecordSizeReply(error=NdmpError.NO_ERR)


async def set_window(session: Session, request: MoverSetWindowRequest) -> MoverSetWindowReply:
    """MOVER_SET_WINDOW: which part of the stream this tape file holds."""
    mover = _mover(session)
    window = Window(request.offset, request.length)
    if not _is_aligned(window, mover.record_size):
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR)
    mover.set_window(window)
    return MoverSetWindowReply(error=NdmpError.NO_ERR)


def _is_aligned(window: Window, record_size: int) -> bool:
    """Whether a window holds whole records; both spellings of "no end" do."""
    if window.offset % record_size:
        return False
    if window.length in (UNLIMITED, UNLIMITED - window.offset):
        return True
    return window.length % record_size == 0 and window.offset + window.length <= UNLIMITED


async def read(session: Session, request: MoverReadRequest) -> MoverReadReply:
    """MOVER_READ: send a range of the stream."""
    mover = _mover(session)
    if mover.mode is not MoverMode.WRITE or isinstance(mover.address, LocalAddr):
        raise Refused(NdmpError.ILLEGAL_STATE_ERR)
    if mover.progress.bytes_left_to_read:
        raise Refused(NdmpError.READ_IN_PROGRESS_ERR)
    if request.length == 0:
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR)
    mover.read(request.offset, request.length)
    return MoverReadReply(error=NdmpError.NO_ERR)


async def continue_(session: Session, _request: MoverContinueRequest) -> MoverContinueReply:
    """MOVER_CONTINUE: leave a pause, on the tape that is open now."""
    mover = _mover(session)
    mover.resume(_need_tape(session, mover.mode))
    return MoverContinueReply(error=NdmpError.NO_ERR)


async def abort(session: Session, _request: MoverAbortRequest) -> MoverAbortReply:
    """MOVER_ABORT: halt at once."""
    _mover(session).abort()
    return MoverAbortReply(error=NdmpError.NO_ERR)


async def close(session: Session, _request: MoverCloseRequest) -> MoverCloseReply:
    """MOVER_CLOSE: end the stream cleanly and halt."""
    mover = _mover(session)
    if mover.state is not MoverState.HALTED:
        await mover.close()
    return MoverCloseReply(error=NdmpError.NO_ERR)


async def stop(session: Session, _request: MoverStopRequest) -> MoverStopReply:
    """MOVER_STOP: back to the beginning."""
    await _mover(session).stop()
    return MoverStopReply(error=NdmpError.NO_ERR)


def _mover(session: Session) -> MoverServer:
    if session.mover is None:
        raise Refused(NdmpError.NOT_SUPPORTED_ERR, CATALOGUE.error("no-mover"))
    return session.mover


def _mode(value: int) -> MoverMode:
    if isinstance(value, MoverMode) and value is not MoverMode.NOACTION:
        return value
    raise Refused(NdmpError.ILLEGAL_ARGS_ERR)


def _need_idle_data(session: Session) -> None:
    if session.data.state is not DataState.IDLE:
        raise Refused(NdmpError.ILLEGAL_STATE_ERR)


def _need_tape(session: Session, mode: MoverMode) -> OpenTape:
    """The open tape; it must be writable for a backup."""
    tape = session.tapes.tape
    if tape is None:
        raise Refused(NdmpError.DEV_NOT_OPEN_ERR)
    if mode is MoverMode.READ and not tape.is_writable:
        raise Refused(NdmpError.PERMISSION_ERR)
    return tape
