"""DATA: requests to the data server (NDMP v4, interface 0x400).

Legality by state has been checked by the exchange table; here are arguments
and what a local connection asks of the mover.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import PathNotPermitted, Selection
from tapekit_ndmp_v4 import addresses
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.messages import (
    DataAbortReply,
    DataAbortRequest,
    DataConnectReply,
    DataConnectRequest,
    DataGetEnvReply,
    DataGetEnvRequest,
    DataGetStateReply,
    DataGetStateRequest,
    DataListenReply,
    DataListenRequest,
    DataStartBackupReply,
    DataStartBackupRequest,
    DataStartRecoverReply,
    DataStartRecoverRequest,
    DataStopReply,
    DataStopRequest,
    LocalAddr,
    TcpAddrs,
    TcpIpv6Addrs,
)
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    DataOperation,
    DataUnsupported,
    MoverMode,
    MoverState,
    NdmpError,
)
from tapekit_ndmp_v4.refusal import Refused
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from tapekit.hookspecs.data_engine import DataEngine, Pairs
    from tapekit_ndmp_v4.messages import Name
    from tapekit_ndmp_v4.session import Session

__all__ = [
    "abort",
    "connect",
    "get_env",
    "get_state",
    "listen",
    "start_backup",
    "start_recover",
    "stop",
]


_MOST_VARIABLES: Final = 4000
"""Variables of a backup, which DATA_GET_ENV gives back with what an engine
adds to them: 4096 together, as a message holds no more."""
_BLOCKED: Final = frozenset({"dump", "smtape"})
"""Butypes whose blocking factors are bounded."""
_STEPS: Final = {"smtape": 4096}
"""Bytes that the blocking factors of butypes are multiples of."""


async def get_state(session: Session, _request: DataGetStateRequest) -> DataGetStateReply:
    """DATA_GET_STATE: answered at once, also while data moves."""
    data = session.data
    progress = data.progress
    remaining = progress.bytes_remaining
    unsupported = DataUnsupported(0)
    if remaining is None:
        unsupported |= DataUnsupported.EST_BYTES_REMAIN
    if progress.seconds_remaining is None:
        unsupported |= DataUnsupported.EST_TIME_REMAIN
    offset, length = data.last_read
    return DataGetStateReply(
        unsupported=unsupported,
        error=NdmpError.NO_ERR,
        operation=data.operation,
        state=data.state,
        halt_reason=data.halt_reason,
        bytes_processed=progress.bytes_processed,
        est_bytes_remain=UNLIMITED
        if progress.bytes_remaining is None
        else progress.bytes_remaining,
        est_time_remain=progress.seconds_remaining or 0,
        data_connection_addr=data.address,
        read_offset=offset,
        read_length=length,
    )


async def listen(session: Session, request: DataListenRequest) -> DataListenReply:
    """DATA_LISTEN: wait for a mover or another data server."""
    kind = session.address_kind(request.addr_type)
    session.extensions.permit_data_connection(kind, listens=True)
    _need_idle_mover(session)
    if kind is AddrType.LOCAL:
        session.data.listen_local()
    else:
        try:
            await session.data.listen_at(session.transport(kind))
        except TapekitError as error:
            raise Refused(NdmpError.CONNECT_ERR, error) from error
    return DataListenReply(error=NdmpError.NO_ERR, connect_addr=session.data.address)


async def connect(session: Session, request: DataConnectRequest) -> DataConnectReply:
    """DATA_CONNECT: go to a mover or another data server that listens."""
    match request.addr:
        case LocalAddr():
            session.address_kind(AddrType.LOCAL)
            session.extensions.permit_data_connection(AddrType.LOCAL, listens=False)
            if session.mover is None or not session.mover.awaits_local:
                raise Refused(NdmpError.ILLEGAL_STATE_ERR)
            session.data.connect_local()
            session.join_locally()
        case TcpAddrs() | TcpIpv6Addrs():
            kind = session.address_kind(addresses.kind_of(request.addr))
            session.extensions.permit_data_connection(kind, listens=False)
            endpoint = addresses.to_endpoint(request.addr)
            if endpoint is None:
                raise Refused(NdmpError.ILLEGAL_ARGS_ERR)
            _need_idle_mover(session)
            try:
                await session.data.connect_to(
                    session.transport(kind), endpoint, addresses.credentials_of(request.addr)
                )
            except TapekitError as error:
                raise Refused(NdmpError.CONNECT_ERR, error) from error
        case _:
            raise Refused(NdmpError.ILLEGAL_ARGS_ERR)
    return DataConnectReply(error=NdmpError.NO_ERR)


async def start_backup(session: Session, request: DataStartBackupRequest) -> DataStartBackupReply:
    """DATA_START_BACKUP: check the job, then let it run after the reply."""
    engine = _engine(session, request.butype_name)
    _need_mover_mode(session, MoverMode.READ)
    _need_record_size(session, engine)
    _need_room_for_variables(request.env)
    session.need_room(engine.name)
    session.extensions.permit_variables(pair.name for pair in request.env)
    session.permit_paths(request.env)
    try:
        begin = await session.data.start_backup(engine, _plain(request.env), session.permit_backup)
    except PathNotPermitted as error:
        raise Refused(NdmpError.PERMISSION_ERR, error) from error
    except TapekitError as error:
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR, error) from error
    session.after_reply(begin)
    return DataStartBackupReply(error=NdmpError.NO_ERR)


async def start_recover(
    session: Session, request: DataStartRecoverRequest
) -> DataStartRecoverReply:
    """DATA_START_RECOVER: check the job, then let it run after the reply."""
    engine = _engine(session, request.butype_name)
    _need_mover_mode(session, MoverMode.WRITE)
    session.need_room(engine.name)
    selections = tuple(map(_selection, request.nlist))
    session.permit_paths(request.env, *(each.destination_path for each in selections))
    try:
        begin = await session.data.start_recover(
            engine, _plain(request.env), selections, session.permit
        )
    except PathNotPermitted as error:
        raise Refused(NdmpError.PERMISSION_ERR, error) from error
    except TapekitError as error:
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR, error) from error
    session.after_reply(begin)
    return DataStartRecoverReply(error=NdmpError.NO_ERR)


def _selection(name: Name) -> Selection:
    return Selection(
        original_path=name.original_path,
        destination_path=name.destination_path,
        name=name.name,
        other_name=name.other_name,
        node=name.node,
        position=name.fh_info,
    )


def _plain(pairs: tuple[Pair, ...]) -> Pairs:
    return tuple((pair.name, pair.value) for pair in pairs)


async def abort(session: Session, _request: DataAbortRequest) -> DataAbortReply:
    """DATA_ABORT: halt at once."""
    session.data.abort()
    return DataAbortReply(error=NdmpError.NO_ERR)


async def stop(session: Session, _request: DataStopRequest) -> DataStopReply:
    """DATA_STOP: back to the beginning."""
    await session.data.stop()
    return DataStopReply(error=NdmpError.NO_ERR)


async def get_env(session: Session, _request: DataGetEnvRequest) -> DataGetEnvReply:
    """DATA_GET_ENV: the variables to keep with a backup."""
    if session.data.operation is not DataOperation.BACKUP:
        raise Refused(NdmpError.ILLEGAL_STATE_ERR)
    pairs = session.data.environment()
    return DataGetEnvReply(error=NdmpError.NO_ERR, env=tuple(Pair(*pair) for pair in pairs))


def _engine(session: Session, butype: str) -> DataEngine:
    engines = session.kernel.engines
    if butype not in engines:
        offered = ", ".join(sorted(engines)) or "none"
        error = CATALOGUE.error("unknown-butype", butype=butype, offered=offered)
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR, error)
    if butype in session.place.without_engines:
        error = CATALOGUE.error("engine-not-in-node-scope", butype=butype)
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR, error)
    return engines[butype]


def _need_idle_mover(session: Session) -> None:
    if session.mover is not None and session.mover.state is not MoverState.IDLE:
        raise Refused(NdmpError.ILLEGAL_STATE_ERR)


def _need_room_for_variables(pairs: tuple[Pair, ...]) -> None:
    """Refuse a backup whose variables could not be told at its end."""
    if len(pairs) > _MOST_VARIABLES:
        error = CATALOGUE.error("too-many-variables", count=len(pairs), limit=_MOST_VARIABLES)
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR, error)


def _need_record_size(session: Session, engine: DataEngine) -> None:
    """Refuse to write a dump in smaller records than its blocking factor may
    be; a restore takes whatever is on the tape.
    """
    mover = session.mover
    if mover is None or not session.data.is_local or engine.name not in _BLOCKED:
        return
    if mover.record_size < session.link.least_record_bytes:
        error = CATALOGUE.error("record-size-out-of-range")
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR, error)
    step = _STEPS.get(engine.name, 1)
    if mover.record_size % step:
        error = CATALOGUE.error(
            "record-size-not-in-steps", butype=engine.name, size=mover.record_size, step=step
        )
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR, error)


def _need_mover_mode(session: Session, mode: MoverMode) -> None:
    """Over a local connection the mover must be active in the fitting mode."""
    mover = session.mover
    if not session.data.is_local:
        return
    if mover is None or mover.state is not MoverState.ACTIVE or mover.mode is not mode:
        raise Refused(NdmpError.ILLEGAL_STATE_ERR)
