"""File history from an engine's tuples straight to the bodies of posts.

An engine delivers millions of entries, so nothing here builds a message: an
entry is one ``pack`` of a precompiled layout, byte for byte what the generic
codec makes of the same entry. The one rule: a body stays below
:data:`BODY_BYTES`, because classic clients take no larger records.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Final, TypeAlias

from tapekit_ndmp_v4.numbers import FileType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit.hookspecs.data_engine import DirectoryEntry, NodeEntry

__all__ = ["BODY_BYTES", "FileEntry", "encode_directories", "encode_files", "encode_nodes"]

BODY_BYTES: Final = 65536 - 28
"""With record mark and header a post stays within 64 KiB."""

FileEntry: TypeAlias = "tuple[bytes, NodeEntry]"
"""A path and its attributes."""

_COUNT: Final = struct.Struct(">I")
_U32: Final = 2**32 - 1

_FILE_TYPES: Final = tuple(
    {
        0x1: FileType.FIFO.value,
        0x2: FileType.CSPEC.value,
        0x4: FileType.DIR.value,
        0x6: FileType.BSPEC.value,
        0x8: FileType.REG.value,
        0xA: FileType.SLINK.value,
        0xC: FileType.SOCK.value,
    }.get(kind, FileType.OTHER.value)
    for kind in range(16)
)
"""Kinds by the upper four bits of ``st_mode``."""

# One view of the attributes, none unsupported, as UNIX sees them; kind, three
# times, owner, group, mode bits, size, links. Then node and position.
_NODE_LAYOUT: Final = "IIIIIIIIIIQIQQ"
_NODE: Final = struct.Struct(">" + _NODE_LAYOUT)


def encode_directories(entries: Sequence[DirectoryEntry]) -> list[bytes]:
    """The bodies of as many FH_ADD_DIR posts as the entries need.

    :raises struct.error: a node is not an unsigned number of 64 bits.
    """
    return _bodies(
        [
            _directory_layout(len(name)).pack(1, 0, len(name), name, node, parent)
            for name, node, parent in entries
        ]
    )


def encode_nodes(entries: Sequence[NodeEntry]) -> list[bytes]:
    """The bodies of as many FH_ADD_NODE posts as the entries need.

    Times outside 1970 to 2106 become the nearest that the format has.

    :raises struct.error: a node or size is not an unsigned number of 64 bits.
    """
    pack, kinds = _NODE.pack, _FILE_TYPES
    try:
        return _bodies(
            [
                pack(
                    1,
                    0,
                    0,
                    kinds[mode >> 12 & 15],
                    mtime,
                    atime,
                    ctime,
                    uid,
                    gid,
                    mode,
                    size,
                    links,
                    node,
                    position,
                )
                for node, mode, size, mtime, atime, ctime, uid, gid, links, position in entries
            ]
        )
    except struct.error:
        return _bodies([pack(1, 0, 0, *_clamped(entry)) for entry in entries])


def encode_files(entries: Sequence[FileEntry]) -> list[bytes]:
    """The bodies of as many FH_ADD_FILE posts as the entries need; see
    :func:`encode_nodes`.
    """
    return _bodies(
        [
            _path_layout(len(path)).pack(1, 0, len(path), path, 1, 0, 0, *_clamped(node))
            for path, node in entries
        ]
    )


@functools.lru_cache(maxsize=1024)
def _directory_layout(length: int) -> struct.Struct:
    return struct.Struct(f">III{length}s{-length % 4}xQQ")


@functools.lru_cache(maxsize=1024)
def _path_layout(length: int) -> struct.Struct:
    return struct.Struct(f">III{length}s{-length % 4}x{_NODE_LAYOUT}")


def _clamped(entry: NodeEntry) -> tuple[int, ...]:
    """The numbers after the constants of a node's layout."""
    node, mode, size, mtime, atime, ctime, uid, gid, links, position = entry
    if not (0 <= mtime <= _U32 and 0 <= atime <= _U32 and 0 <= ctime <= _U32):
        mtime, atime, ctime = (min(max(time, 0), _U32) for time in (mtime, atime, ctime))
    kind = _FILE_TYPES[mode >> 12 & 15]
    return kind, mtime, atime, ctime, uid, gid, mode, size, links, node, position


def _bodies(encoded: list[bytes]) -> list[bytes]:
    total = sum(map(len, encoded))
    if total + _COUNT.size <= BODY_BYTES:
        return [_body(encoded)] if encoded else []
    return [_body(part) for part in _parts(encoded)]


def _body(encoded: Sequence[bytes]) -> bytes:
    return _COUNT.pack(len(encoded)) + b"".join(encoded)


def _parts(encoded: list[bytes]) -> Iterator[list[bytes]]:
    """Runs of entries, each as long as a body may be."""
    part: list[bytes] = []
    room = BODY_BYTES - _COUNT.size
    for entry in encoded:
        if part and len(entry) > room:
            yield part
            part, room = [], BODY_BYTES - _COUNT.size
        part.append(entry)
        room -= len(entry)
    yield part
