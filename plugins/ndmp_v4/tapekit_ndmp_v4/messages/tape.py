"""TAPE messages: one drive, record by record (NDMP v4, 0x3xx).

One TAPE_WRITE is one record on tape and one TAPE_READ at most one; the
mover is for streams.
"""

from typing import Annotated

from msgspec import Meta

from tapekit_ndmp_v4.messages.scsi import MAX_CDB_DATA
from tapekit_ndmp_v4.numbers import TapeUnsupported
from tapekit_ndmp_v4.wire import (
    U8,
    U32,
    U64,
    ErrorCode,
    Message,
    MtioOpCode,
    RequestBody,
    TapeOpenModeCode,
    Text,
)

__all__ = [
    "MAX_TAPE_DATA",
    "TapeCloseReply",
    "TapeCloseRequest",
    "TapeExecuteCdbReply",
    "TapeExecuteCdbRequest",
    "TapeGetStateReply",
    "TapeGetStateRequest",
    "TapeMtioReply",
    "TapeMtioRequest",
    "TapeOpenReply",
    "TapeOpenRequest",
    "TapeReadReply",
    "TapeReadRequest",
    "TapeWriteReply",
    "TapeWriteRequest",
]

MAX_TAPE_DATA = 1 << 20
"""Bytes of a record in one message; the connection's limit is usually lower."""


class TapeOpenRequest(RequestBody["TapeOpenReply"]):
    """Open a device; TAPE_OPEN."""

    device: Text
    mode: TapeOpenModeCode


class TapeOpenReply(Message):
    """Whether the session holds the device; TAPE_OPEN."""

    error: ErrorCode


class TapeCloseRequest(RequestBody["TapeCloseReply"]):
    """Let go of the device; TAPE_CLOSE."""


class TapeCloseReply(Message):
    """Whether the device is closed; TAPE_CLOSE."""

    error: ErrorCode


class TapeGetStateRequest(RequestBody["TapeGetStateReply"]):
    """Ask for the drive's state; TAPE_GET_STATE."""


class TapeGetStateReply(Message):
    """The drive's state; TAPE_GET_STATE.

    ``unsupported`` are :class:`TapeUnsupported` bits and stand before the
    error; ``flags`` are :class:`TapeFlag` bits; space is in bytes;
    ``block_size`` 0 means records of any length.
    """

    unsupported: U32 = TapeUnsupported.ALL.value
    error: ErrorCode
    flags: U32
    file_num: U32
    soft_errors: U32
    block_size: U32
    blockno: U32
    total_space: U64
    space_remain: U64


class TapeMtioRequest(RequestBody["TapeMtioReply"]):
    """Move the tape or write filemarks; TAPE_MTIO."""

    tape_op: MtioOpCode
    count: U32


class TapeMtioReply(Message):
    """How much of the count was not done; TAPE_MTIO."""

    error: ErrorCode
    resid_count: U32


class TapeWriteRequest(RequestBody["TapeWriteReply"]):
    """Write one record; TAPE_WRITE."""

    data_out: Annotated[bytes, Meta(max_length=MAX_TAPE_DATA)]


class TapeWriteReply(Message):
    """How many bytes are on tape; TAPE_WRITE."""

    error: ErrorCode
    count: U32


class TapeReadRequest(RequestBody["TapeReadReply"]):
    """Read one record, at most ``count`` bytes of it; TAPE_READ."""

    count: U32


class TapeReadReply(Message):
    """The record's bytes; TAPE_READ."""

    error: ErrorCode
    data_in: Annotated[bytes, Meta(max_length=MAX_TAPE_DATA)]


class TapeExecuteCdbRequest(RequestBody["TapeExecuteCdbReply"]):
    """Send a command to the drive; TAPE_EXECUTE_CDB.

    ``flags`` are :class:`CdbFlag` bits; ``timeout`` is in milliseconds, 0
    waits for ever.
    """

    flags: U32
    timeout: U32
    datain_len: U32
    cdb: Annotated[bytes, Meta(max_length=260)]
    dataout: Annotated[bytes, Meta(max_length=MAX_CDB_DATA)]


class TapeExecuteCdbReply(Message):
    """What the drive answered; TAPE_EXECUTE_CDB."""

    error: ErrorCode
    status: U8
    dataout_len: U32
    datain: Annotated[bytes, Meta(max_length=MAX_CDB_DATA)]
    ext_sense: Annotated[bytes, Meta(max_length=260)]
