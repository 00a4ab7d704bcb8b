"""All exchanges of NDMP v4 in one table: who may say what, and when.

Dispatch, documentation and tests read the same rows: the code, the shapes of
request and reply, the states of data server and mover in which the request
is legal, and whether it needs a login. Legality is a column, never an ``if``
in a handler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.numbers import DataState, MoverState
from tapekit_ndmp_v4.wire import Message
from tapekit_ndmp_v4.xdr import zero

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["EXCHANGES", "Exchange", "ExchangeTable", "refusal"]

_ANY_DATA: Final = frozenset(DataState)
_ANY_MOVER: Final = frozenset(MoverState)


@final
class Exchange(msgspec.Struct, frozen=True):
    """One row: a request with its reply, or a post.

    ``reply`` is ``None`` for posts and for CONNECT_CLOSE. Rows of extensions
    look the same; see :meth:`ExchangeTable.extended`.
    """

    code: int
    name: str
    request: type[Message]
    reply: type[Message] | None = None
    data: frozenset[DataState] = _ANY_DATA
    """States of the data server in which the request is legal."""
    mover: frozenset[MoverState] = _ANY_MOVER
    """States of the mover in which the request is legal."""
    needs_authentication: bool = True
    is_post: bool = False

    def __repr__(self) -> str:
        return f"<Exchange {self.name} {self.code:#x}>"

    def is_legal(self, data: DataState, mover: MoverState) -> bool:
        """Whether the request may come in these states."""
        return data in self.data and mover in self.mover


@final
class ExchangeTable:
    """Exchanges by code and by message type; immutable."""

    def __init__(self, rows: Iterable[Exchange]) -> None:
        """:raises ValueError: two rows share a code or a type."""
        self._by_code: Final[dict[int, Exchange]] = {}
        self._by_type: Final[dict[type[Message], Exchange]] = {}
        for row in rows:
            self._add(row)

    def _add(self, row: Exchange) -> None:
        types = [row.request] if row.reply is None else [row.request, row.reply]
        if row.code in self._by_code or any(kind in self._by_type for kind in types):
            raise ValueError(
                f"{row.name}: its code {row.code:#x} or a type is in the table already"
            )
        self._by_code[row.code] = row
        for kind in types:
            self._by_type[kind] = row

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self._by_code.values())

    def __len__(self) -> int:
        return len(self._by_code)

    def by_code(self, code: int) -> Exchange | None:
        """The exchange of a message code, or ``None``."""
        return self._by_code.get(code)

    def of(self, kind: type[Message]) -> Exchange:
        """The exchange to which a request, reply or post belongs.

        :raises KeyError: the type is in no row.
        """
        return self._by_type[kind]

    def extended(self, rows: Iterable[Exchange]) -> ExchangeTable:
        """This table and the rows of an extension.

        :raises ValueError: a row takes a code or type that is in use.
        """
        return ExchangeTable([*self, *rows])


def refusal(exchange: Exchange, error: int) -> Message:
    """The full reply that says no: ``error`` set, all else zero or empty.

    :raises ValueError: the exchange has no reply.
    """
    if exchange.reply is None:
        raise ValueError(f"{exchange.name} has no reply")
    return msgspec.structs.replace(zero(exchange.reply), error=error)


def _in(*states: DataState) -> frozenset[DataState]:
    return frozenset(states)


def _at(*states: MoverState) -> frozenset[MoverState]:
    return frozenset(states)


D, M = DataState, MoverState

_DRIVE_FREE: Final = _ANY_MOVER - {M.ACTIVE}
"""While the mover is active, the drive is its own."""

_DRIVE_UNPLEDGED: Final = _DRIVE_FREE - {M.LISTEN}
"""A mover that listens needs the drive as soon as somebody connects."""


def _request(
    code: int,
    name: str,
    request: type[Message],
    reply: type[Message] | None,
    *,
    data: frozenset[DataState] = _ANY_DATA,
    mover: frozenset[MoverState] = _ANY_MOVER,
) -> Exchange:
    return Exchange(code, name, request, reply, data, mover)


def _before_login(
    code: int, name: str, request: type[Message], reply: type[Message] | None
) -> Exchange:
    return Exchange(code, name, request, reply, needs_authentication=False)


def _post(code: int, name: str, body: type[Message]) -> Exchange:
    return Exchange(code, name, body, needs_authentication=False, is_post=True)


# fmt: off
EXCHANGES: Final = ExchangeTable((
    _before_login(0x900, "CONNECT_OPEN", m.ConnectOpenRequest, m.ConnectOpenReply),
    _before_login(0x901, "CONNECT_CLIENT_AUTH",
                  m.ConnectClientAuthRequest, m.ConnectClientAuthReply),
    _before_login(0x902, "CONNECT_CLOSE", m.ConnectCloseRequest, None),
    _before_login(0x903, "CONNECT_SERVER_AUTH",
                  m.ConnectServerAuthRequest, m.ConnectServerAuthReply),

    _request(0x100, "CONFIG_GET_HOST_INFO", m.ConfigGetHostInfoRequest, m.ConfigGetHostInfoReply),
    _request(0x102, "CONFIG_GET_CONNECTION_TYPE",
             m.ConfigGetConnectionTypeRequest, m.ConfigGetConnectionTypeReply),
    _before_login(0x103, "CONFIG_GET_AUTH_ATTR",
                  m.ConfigGetAuthAttrRequest, m.ConfigGetAuthAttrReply),
    _request(0x104, "CONFIG_GET_BUTYPE_INFO",
             m.ConfigGetButypeInfoRequest, m.ConfigGetButypeInfoReply),
    _request(0x105, "CONFIG_GET_FS_INFO", m.ConfigGetFsInfoRequest, m.ConfigGetFsInfoReply),
    _request(0x106, "CONFIG_GET_TAPE_INFO", m.ConfigGetTapeInfoRequest, m.ConfigGetTapeInfoReply),
    _request(0x107, "CONFIG_GET_SCSI_INFO", m.ConfigGetScsiInfoRequest, m.ConfigGetScsiInfoReply),
    _before_login(0x108, "CONFIG_GET_SERVER_INFO",
                  m.ConfigGetServerInfoRequest, m.ConfigGetServerInfoReply),
    _request(0x109, "CONFIG_SET_EXT_LIST", m.ConfigSetExtListRequest, m.ConfigSetExtListReply),
    _request(0x10A, "CONFIG_GET_EXT_LIST", m.ConfigGetExtListRequest, m.ConfigGetExtListReply),

    _request(0x200, "SCSI_OPEN", m.ScsiOpenRequest, m.ScsiOpenReply),
    _request(0x201, "SCSI_CLOSE", m.ScsiCloseRequest, m.ScsiCloseReply),
    _request(0x202, "SCSI_GET_STATE", m.ScsiGetStateRequest, m.ScsiGetStateReply),
    _request(0x204, "SCSI_RESET_DEVICE", m.ScsiResetDeviceRequest, m.ScsiResetDeviceReply),
    _request(0x206, "SCSI_EXECUTE_CDB", m.ScsiExecuteCdbRequest, m.ScsiExecuteCdbReply),

    _request(0x300, "TAPE_OPEN", m.TapeOpenRequest, m.TapeOpenReply),
    _request(0x301, "TAPE_CLOSE", m.TapeCloseRequest, m.TapeCloseReply, mover=_DRIVE_UNPLEDGED),
    _request(0x302, "TAPE_GET_STATE", m.TapeGetStateRequest, m.TapeGetStateReply,
             mover=_DRIVE_FREE),
    _request(0x303, "TAPE_MTIO", m.TapeMtioRequest, m.TapeMtioReply, mover=_DRIVE_FREE),
    _request(0x304, "TAPE_WRITE", m.TapeWriteRequest, m.TapeWriteReply, mover=_DRIVE_FREE),
    _request(0x305, "TAPE_READ", m.TapeReadRequest, m.TapeReadReply, mover=_DRIVE_FREE),
    _request(0x307, "TAPE_EXECUTE_CDB", m.TapeExecuteCdbRequest, m.TapeExecuteCdbReply,
             mover=_DRIVE_FREE),

    _request(0x400, "DATA_GET_STATE", m.DataGetStateRequest, m.DataGetStateReply),
    _request(0x401, "DATA_START_BACKUP", m.DataStartBackupRequest, m.DataStartBackupReply,
             data=_in(D.CONNECTED)),
    _request(0x402, "DATA_START_RECOVER", m.DataStartRecoverRequest, m.DataStartRecoverReply,
             data=_in(D.CONNECTED)),
    _request(0x403, "DATA_ABORT", m.DataAbortRequest, m.DataAbortReply,
             data=_in(D.LISTEN, D.CONNECTED, D.ACTIVE)),
    _request(0x404, "DATA_GET_ENV", m.DataGetEnvRequest, m.DataGetEnvReply,
             data=_in(D.ACTIVE, D.HALTED)),
    _request(0x407, "DATA_STOP", m.DataStopRequest, m.DataStopReply, data=_in(D.HALTED)),
    _request(0x409, "DATA_LISTEN", m.DataListenRequest, m.DataListenReply,
             data=_in(D.IDLE), mover=_at(M.IDLE)),
    _request(0x40A, "DATA_CONNECT", m.DataConnectRequest, m.DataConnectReply, data=_in(D.IDLE)),
    _request(0x40B, "DATA_START_RECOVER_FILEHIST",
             m.DataStartRecoverFilehistRequest, m.DataStartRecoverFilehistReply,
             data=_in(D.CONNECTED)),

    _post(0x501, "NOTIFY_DATA_HALTED", m.NotifyDataHaltedPost),
    _post(0x502, "NOTIFY_CONNECTION_STATUS", m.NotifyConnectionStatusPost),
    _post(0x503, "NOTIFY_MOVER_HALTED", m.NotifyMoverHaltedPost),
    _post(0x504, "NOTIFY_MOVER_PAUSED", m.NotifyMoverPausedPost),
    _post(0x505, "NOTIFY_DATA_READ", m.NotifyDataReadPost),
    _post(0x602, "LOG_FILE", m.LogFilePost),
    _post(0x603, "LOG_MESSAGE", m.LogMessagePost),
    _post(0x703, "FH_ADD_FILE", m.FhAddFilePost),
    _post(0x704, "FH_ADD_DIR", m.FhAddDirPost),
    _post(0x705, "FH_ADD_NODE", m.FhAddNodePost),

    _request(0xA00, "MOVER_GET_STATE", m.MoverGetStateRequest, m.MoverGetStateReply),
    _request(0xA01, "MOVER_LISTEN", m.MoverListenRequest, m.MoverListenReply,
             data=_in(D.IDLE), mover=_at(M.IDLE)),
    _request(0xA02, "MOVER_CONTINUE", m.MoverContinueRequest, m.MoverContinueReply,
             mover=_at(M.PAUSED)),
    _request(0xA03, "MOVER_ABORT", m.MoverAbortRequest, m.MoverAbortReply,
             mover=_at(M.LISTEN, M.ACTIVE, M.PAUSED)),
    _request(0xA04, "MOVER_STOP", m.MoverStopRequest, m.MoverStopReply, mover=_at(M.HALTED)),
    _request(0xA05, "MOVER_SET_WINDOW", m.MoverSetWindowRequest, m.MoverSetWindowReply,
             mover=_at(M.IDLE, M.PAUSED)),
    _request(0xA06, "MOVER_READ", m.MoverReadRequest, m.MoverReadReply, mover=_at(M.ACTIVE)),
    _request(0xA07, "MOVER_CLOSE", m.MoverCloseRequest, m.MoverCloseReply,
             mover=_at(M.LISTEN, M.ACTIVE, M.PAUSED, M.HALTED)),
    _request(0xA08, "MOVER_SET_RECORD_SIZE", m.MoverSetRecordSizeRequest, m.MoverSetRecordSizeReply,
             mover=_at(M.IDLE, M.PAUSED)),
    _request(0xA09, "MOVER_CONNECT", m.MoverConnectRequest, m.MoverConnectReply,
             mover=_at(M.IDLE)),
))
# fmt: on
