"""NOTIFY posts: a server's own changes (NDMP v4, 0x5xx).

Clients act on a change when its post arrives and then ask for the state, so
the state is right before the post is sent.
"""

from tapekit_ndmp_v4.wire import (
    U16,
    U64,
    ConnectionStatusCode,
    DataHaltCode,
    Message,
    MoverHaltCode,
    MoverPauseCode,
    Text,
)

__all__ = [
    "NotifyConnectionStatusPost",
    "NotifyDataHaltedPost",
    "NotifyDataReadPost",
    "NotifyMoverHaltedPost",
    "NotifyMoverPausedPost",
]


class NotifyConnectionStatusPost(Message):
    """The first message on a connection, and the last of a server that
    leaves; NOTIFY_CONNECTION_STATUS.
    """

    reason: ConnectionStatusCode
    protocol_version: U16
    text_reason: Text


class NotifyDataHaltedPost(Message):
    """The data server halted; NOTIFY_DATA_HALTED."""

    reason: DataHaltCode


class NotifyMoverHaltedPost(Message):
    """The mover halted; NOTIFY_MOVER_HALTED."""

    reason: MoverHaltCode


class NotifyMoverPausedPost(Message):
    """The mover waits for the client; NOTIFY_MOVER_PAUSED.

    ``seek_position`` is the position in the image where it goes on.
    """

    reason: MoverPauseCode
    seek_position: U64


class NotifyDataReadPost(Message):
    """The data server wants a range of the image; NOTIFY_DATA_READ."""

    offset: U64
    length: U64
