"""LOG posts: what a server tells the operator (NDMP v4, 0x6xx).

The association fields are new in version 4: they name the earlier message
that a message belongs to.
"""

from tapekit_ndmp_v4.wire import (
    U32,
    HasAssociatedCode,
    LogTypeCode,
    Message,
    RecoveryStatusCode,
    Text,
)

__all__ = ["LogFilePost", "LogMessagePost"]


class LogFilePost(Message):
    """What became of an entry of the restore list; LOG_FILE."""

    name: Text
    recovery_status: RecoveryStatusCode


class LogMessagePost(Message):
    """A sentence for the operator; LOG_MESSAGE.

    ``message_id`` is the server's own number.
    """

    log_type: LogTypeCode
    message_id: U32
    entry: Text
    has_associated_message: HasAssociatedCode = 0
    associated_message_sequence: U32 = 0
