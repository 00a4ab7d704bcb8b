"""DATA messages: backup and restore of file systems (NDMP v4, 0x4xx).

Positions and lengths are bytes of the image. Note the order of
DATA_START_RECOVER, in which the butype comes last.
"""

from typing import Annotated

from msgspec import Meta

from tapekit_ndmp_v4.messages.addresses import Addr
from tapekit_ndmp_v4.numbers import UNLIMITED, DataUnsupported
from tapekit_ndmp_v4.wire import (
    U32,
    U64,
    AddrTypeCode,
    DataHaltCode,
    DataOperationCode,
    DataStateCode,
    ErrorCode,
    Message,
    PairList,
    RequestBody,
    Text,
)

__all__ = [
    "DataAbortReply",
    "DataAbortRequest",
    "DataConnectReply",
    "DataConnectRequest",
    "DataGetEnvReply",
    "DataGetEnvRequest",
    "DataGetStateReply",
    "DataGetStateRequest",
    "DataListenReply",
    "DataListenRequest",
    "DataStartBackupReply",
    "DataStartBackupRequest",
    "DataStartRecoverFilehistReply",
    "DataStartRecoverFilehistRequest",
    "DataStartRecoverReply",
    "DataStartRecoverRequest",
    "DataStopReply",
    "DataStopRequest",
    "Name",
    "NameList",
]


class Name(Message):
    """One entry of a restore list (nlist).

    ``node`` and ``fh_info`` come from the file history; all ones or 0 mean
    unknown.
    """

    original_path: Text
    destination_path: Text
    name: Text = ""
    other_name: Text = ""
    node: U64 = UNLIMITED
    fh_info: U64 = UNLIMITED


NameList = Annotated[tuple[Name, ...], Meta(max_length=65536)]


class DataGetStateRequest(RequestBody["DataGetStateReply"]):
    """Ask for the data server's state; DATA_GET_STATE."""


class DataGetStateReply(Message):
    """The data server's state; DATA_GET_STATE.

    ``unsupported`` are :class:`DataUnsupported` bits and stand before the
    error; the time that remains is in seconds.
    """

    unsupported: U32 = DataUnsupported.ALL.value
    error: ErrorCode
    operation: DataOperationCode
    state: DataStateCode
    halt_reason: DataHaltCode
    bytes_processed: U64
    est_bytes_remain: U64
    est_time_remain: U32
    data_connection_addr: Addr
    read_offset: U64
    read_length: U64


class DataListenRequest(RequestBody["DataListenReply"]):
    """Wait for a mover or another data server; DATA_LISTEN."""

    addr_type: AddrTypeCode


class DataListenReply(Message):
    """Where the peer may connect; DATA_LISTEN."""

    error: ErrorCode
    connect_addr: Addr


class DataConnectRequest(RequestBody["DataConnectReply"]):
    """Connect to a listener; DATA_CONNECT."""

    addr: Addr


class DataConnectReply(Message):
    """Whether the data connection stands; DATA_CONNECT."""

    error: ErrorCode


class DataStartBackupRequest(RequestBody["DataStartBackupReply"]):
    """Back up; DATA_START_BACKUP."""

    butype_name: Text
    env: PairList


class DataStartBackupReply(Message):
    """Whether the backup runs; DATA_START_BACKUP."""

    error: ErrorCode


class DataStartRecoverRequest(RequestBody["DataStartRecoverReply"]):
    """Restore; DATA_START_RECOVER."""

    env: PairList
    nlist: NameList
    butype_name: Text


class DataStartRecoverReply(Message):
    """Whether the restore runs; DATA_START_RECOVER."""

    error: ErrorCode


class DataStartRecoverFilehistRequest(RequestBody["DataStartRecoverFilehistReply"]):
    """Make file history from an image; DATA_START_RECOVER_FILEHIST."""

    env: PairList
    nlist: NameList
    butype_name: Text


class DataStartRecoverFilehistReply(Message):
    """Whether that runs; DATA_START_RECOVER_FILEHIST."""

    error: ErrorCode


class DataAbortRequest(RequestBody["DataAbortReply"]):
    """Break off; DATA_ABORT."""


class DataAbortReply(Message):
    """Whether the operation halts; DATA_ABORT."""

    error: ErrorCode


class DataStopRequest(RequestBody["DataStopReply"]):
    """Go from halted to idle; DATA_STOP."""


class DataStopReply(Message):
    """Whether the data server is idle; DATA_STOP."""

    error: ErrorCode


class DataGetEnvRequest(RequestBody["DataGetEnvReply"]):
    """Ask for the backup's environment; DATA_GET_ENV."""


class DataGetEnvReply(Message):
    """The request's environment and what the server adds; DATA_GET_ENV."""

    error: ErrorCode
    env: PairList
