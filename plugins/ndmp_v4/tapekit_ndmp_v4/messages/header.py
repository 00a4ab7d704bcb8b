"""The header of every message (NDMP v4, 24 bytes).

If ``error_code`` is not NO_ERR, no body follows.
"""

from tapekit_ndmp_v4.wire import U32, ErrorCode, Message, MessageTypeCode

__all__ = ["HEADER_BYTES", "Header"]

HEADER_BYTES = 24


class Header(Message):
    """Sequence numbers count per sender from 1 over all kinds of messages;
    ``time_stamp`` is the sender's Unix time in seconds.
    """

    sequence: U32
    time_stamp: U32
    message_type: MessageTypeCode
    message_code: U32
    reply_sequence: U32
    error_code: ErrorCode
