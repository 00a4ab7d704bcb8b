"""MOVER messages: between a data connection and a tape (NDMP v4, 0xAxx).

Positions and lengths are bytes of the image, whichever tape they are on.
"""

from tapekit_ndmp_v4.messages.addresses import Addr
from tapekit_ndmp_v4.wire import (
    U32,
    U64,
    AddrTypeCode,
    ErrorCode,
    Message,
    MoverHaltCode,
    MoverModeCode,
    MoverPauseCode,
    MoverStateCode,
    RequestBody,
)

__all__ = [
    "MoverAbortReply",
    "MoverAbortRequest",
    "MoverCloseReply",
    "MoverCloseRequest",
    "MoverConnectReply",
    "MoverConnectRequest",
    "MoverContinueReply",
    "MoverContinueRequest",
    "MoverGetStateReply",
    "MoverGetStateRequest",
    "MoverListenReply",
    "MoverListenRequest",
    "MoverReadReply",
    "MoverReadRequest",
    "MoverSetRecordSizeReply",
    "MoverSetRecordSizeRequest",
    "MoverSetWindowReply",
    "MoverSetWindowRequest",
    "MoverStopReply",
    "MoverStopRequest",
]


class MoverGetStateRequest(RequestBody["MoverGetStateReply"]):
    """Ask for the mover's state; MOVER_GET_STATE."""


class MoverGetStateReply(Message):
    """The mover's state; MOVER_GET_STATE.

    ``record_size`` is in bytes, ``record_num`` counts records in the whole
    image.
    """

    error: ErrorCode
    mode: MoverModeCode
    state: MoverStateCode
    pause_reason: MoverPauseCode
    halt_reason: MoverHaltCode
    record_size: U32
    record_num: U32
    bytes_moved: U64
    seek_position: U64
    bytes_left_to_read: U64
    window_offset: U64
    window_length: U64
    data_connection_addr: Addr


class MoverListenRequest(RequestBody["MoverListenReply"]):
    """Wait for a data server; MOVER_LISTEN."""

    mode: MoverModeCode
    addr_type: AddrTypeCode


class MoverListenReply(Message):
    """Where the data server may connect; MOVER_LISTEN."""

    error: ErrorCode
    connect_addr: Addr


class MoverConnectRequest(RequestBody["MoverConnectReply"]):
    """Connect to a listener; MOVER_CONNECT."""

    mode: MoverModeCode
    addr: Addr


class MoverConnectReply(Message):
    """Whether the data connection stands; MOVER_CONNECT."""

    error: ErrorCode


class MoverSetRecordSizeRequest(RequestBody["MoverSetRecordSizeReply"]):
    """Set the bytes of a record; MOVER_SET_RECORD_SIZE."""

    len: U32


class MoverSetRecordSizeReply(Message):
    """Whether it is set; MOVER_SET_RECORD_SIZE."""

    error: ErrorCode


class MoverSetWindowRequest(RequestBody["MoverSetWindowReply"]):
    """Say what part of the image this tape file holds; MOVER_SET_WINDOW."""

    offset: U64
    length: U64


class MoverSetWindowReply(Message):
    """Whether it is set; MOVER_SET_WINDOW."""

    error: ErrorCode


class MoverReadRequest(RequestBody["MoverReadReply"]):
    """Send a range of the image to the data server; MOVER_READ."""

    offset: U64
    length: U64


class MoverReadReply(Message):
    """Whether the range is on its way; MOVER_READ."""

    error: ErrorCode


class MoverContinueRequest(RequestBody["MoverContinueReply"]):
    """Go on after a pause; MOVER_CONTINUE."""


class MoverContinueReply(Message):
    """Whether the mover is active; MOVER_CONTINUE."""

    error: ErrorCode


class MoverAbortRequest(RequestBody["MoverAbortReply"]):
    """Break off; MOVER_ABORT."""


class MoverAbortReply(Message):
    """Whether the mover halts; MOVER_ABORT."""

    error: ErrorCode


class MoverStopRequest(RequestBody["MoverStopReply"]):
    """Go from halted to idle; MOVER_STOP."""


class MoverStopReply(Message):
    """Whether the mover is idle; MOVER_STOP."""

    error: ErrorCode


class MoverCloseRequest(RequestBody["MoverCloseReply"]):
    """Close the data connection; MOVER_CLOSE."""


class MoverCloseReply(Message):
    """Whether the mover halts; MOVER_CLOSE."""

    error: ErrorCode
