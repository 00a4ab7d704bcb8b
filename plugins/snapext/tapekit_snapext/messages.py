"""The messages of extension class 0x2050 that this plugin has, as rows.

Codes are published; of the bodies only those of SNAP_CREATE and SNAP_DELETE
are. The bodies of SNAP_RECOVER, SNAP_DIR_LIST and the post of the former are
this project's own, and the README says so. The one rule: a message whose
body is neither published nor described there is in no row.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from tapekit_ndmp_v4.exchanges import Exchange
from tapekit_ndmp_v4.numbers import DataState, MoverState
from tapekit_ndmp_v4.wire import U32, U64, ErrorCode, FileTypeCode, Message, RequestBody, Text
from tapekit_snapext.numbers import SnapMessage

__all__ = [
    "EXCHANGES",
    "NotifySnapRecoverEndPost",
    "SnapCreateReply",
    "SnapCreateRequest",
    "SnapDeleteReply",
    "SnapDeleteRequest",
    "SnapDirListReply",
    "SnapDirListRequest",
    "SnapEntries",
    "SnapEntry",
    "SnapRecoverReply",
    "SnapRecoverRequest",
]


class SnapCreateRequest(RequestBody["SnapCreateReply"]):
    """Make a Snapshot copy of a volume; NDMP_SNAP_CREATE."""

    pathname: Text
    snapname: Text


class SnapCreateReply(Message):
    """See :class:`SnapCreateRequest`."""

    error: ErrorCode


class SnapDeleteRequest(RequestBody["SnapDeleteReply"]):
    """Delete a Snapshot copy; NDMP_SNAP_DELETE."""

    snapname: Text


class SnapDeleteReply(Message):
    """See :class:`SnapDeleteRequest`."""

    error: ErrorCode


class SnapRecoverRequest(RequestBody["SnapRecoverReply"]):
    """Recover a volume or a regular file from a local Snapshot copy to a
    local place; NDMP_SNAP_RECOVER. The reply tells that it has begun.
    """

    source: Text
    """``/vserver/volume/.snapshot/NAME`` for a volume, or a file below that."""
    destination: Text
    """``/vserver/volume[/directory]`` for a volume, or the file to write."""


class SnapRecoverReply(Message):
    """See :class:`SnapRecoverRequest`."""

    error: ErrorCode


class NotifySnapRecoverEndPost(Message):
    """A recovery has ended; NDMP_NOTIFY_SNAP_RECOVER_END."""

    error: ErrorCode
    """0, or what it failed with; a LOG_MESSAGE before it says why."""
    source: Text


class SnapDirListRequest(RequestBody["SnapDirListReply"]):
    """List a directory of a Snapshot copy; NDMP_SNAP_DIR_LIST."""

    pathname: Text
    """``/vserver/volume`` lists its Snapshot copies,
    ``/vserver/volume/.snapshot/NAME[/directory]`` a directory of one."""
    cookie: U64
    """0 to begin, then that of the reply before."""
    most: U32
    """How many entries are wanted at most; 0 leaves it to the server."""


class SnapEntry(Message):
    """An entry of a directory in a Snapshot copy."""

    name: Text
    file_type: FileTypeCode
    """As in file history (NDMP v4, file_type)."""
    size: U64
    mtime_s: U32


SnapEntries: TypeAlias = Annotated[tuple[SnapEntry, ...], Meta(max_length=4096)]


class SnapDirListReply(Message):
    """See :class:`SnapDirListRequest`."""

    error: ErrorCode
    cookie: U64
    """0 when these entries are the last ones."""
    entries: SnapEntries


_IDLE: Final = frozenset({DataState.IDLE}), frozenset({MoverState.IDLE})

EXCHANGES: Final = (
    Exchange(SnapMessage.SNAP_CREATE, "SNAP_CREATE", SnapCreateRequest, SnapCreateReply),
    Exchange(SnapMessage.SNAP_DELETE, "SNAP_DELETE", SnapDeleteRequest, SnapDeleteReply),
    Exchange(
        SnapMessage.SNAP_RECOVER, "SNAP_RECOVER", SnapRecoverRequest, SnapRecoverReply, *_IDLE
    ),
    Exchange(SnapMessage.SNAP_DIR_LIST, "SNAP_DIR_LIST", SnapDirListRequest, SnapDirListReply),
    Exchange(
        SnapMessage.NOTIFY_SNAP_RECOVER_END,
        "NOTIFY_SNAP_RECOVER_END",
        NotifySnapRecoverEndPost,
        needs_authentication=False,
        is_post=True,
    ),
)
"""The rows of the class; requests without a handler are NOT_SUPPORTED."""
