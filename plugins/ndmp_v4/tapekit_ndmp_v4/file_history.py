"""File history from an engine's tuples straight to the bodies of posts.

An engine delivers millions of entries, so nothing here builds a message: an
entry is one ``pack`` of a precompiled layout, byte for byte what the generic
codec makes of the same entry, and of a table of nodes whole columns are copied
at once. The one rule: a body stays below :data:`BODY_BYTES`, because classic
clients take no larger records.
"""

from __future__ import annotations

import functools
import struct
import sys
from array import array
from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.data_engine import NodeTable
from tapekit_ndmp_v4.numbers import FileType, FsType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit.hookspecs.data_engine import DirectoryEntry, FileEntry, NodeEntry

__all__ = ["BODY_BYTES", "encode_directories", "encode_files", "encode_nodes", "entry_count"]

BODY_BYTES: Final = 65536 - 28
"""With record mark and header a post stays within 64 KiB."""

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
_NODE_AND_PARENT: Final = struct.Struct(">QQ")


def encode_directories(
    entries: Sequence[DirectoryEntry], *, with_unicode: bool = False
) -> list[bytes]:
    """The bodies of as many FH_ADD_DIR posts as the entries need.

    :param with_unicode: whether each name that is UTF-8 comes a second time,
        as Windows sees it (NDMP v4, ``NDMP_FS_NT``).
    :raises struct.error: a node is not an unsigned number of 64 bits.
    """
    if with_unicode:
        pack = _NODE_AND_PARENT.pack
        return _bodies([_two_views(name) + pack(node, parent) for name, node, parent in entries])
    return _bodies(
        [
            _directory_layout(len(name)).pack(1, 0, len(name), name, node, parent)
            for name, node, parent in entries
        ]
    )


def encode_nodes(entries: Sequence[NodeEntry]) -> list[bytes]:
    """The bodies of as many FH_ADD_NODE posts as the entries need.

    Times outside 1970 to 2106 become the nearest that the format has. Nodes,
    sizes and positions of a table are not negative.

    :raises struct.error: a node or size is not an unsigned number of 64 bits.
    """
    if isinstance(entries, NodeTable):
        return _encode_table(entries)
    return _encode_tuples(entries)


def entry_count(body: bytes) -> int:
    """How many entries are in a body."""
    (count,) = _COUNT.unpack_from(body)
    return int(count)


def _encode_tuples(entries: Sequence[NodeEntry]) -> list[bytes]:
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


def encode_files(entries: Sequence[FileEntry], *, with_unicode: bool = False) -> list[bytes]:
    """The bodies of as many FH_ADD_FILE posts as the entries need; see
    :func:`encode_nodes` and :func:`encode_directories`.
    """
    if with_unicode:
        return _bodies(
            [_two_views(path) + _NODE.pack(1, 0, 0, *_clamped(node)) for path, node in entries]
        )
    return _bodies(
        [
            _path_layout(len(path)).pack(1, 0, len(path), path, 1, 0, 0, *_clamped(node))
            for path, node in entries
        ]
    )


# How numbers of 64 bits lie in memory, and where columns of a table go: words
# of 32 bits from the beginning of an entry, after count, unsupported and view.

_IS_LITTLE: Final = sys.byteorder == "little"
_LOW: Final = 0 if _IS_LITTLE else 1
_HIGH: Final = 1 - _LOW
_SECOND_BYTE: Final = 1 if _IS_LITTLE else 6
_READ_WORDS: Final = 2 * NodeTable.WIDTH
_READ_BYTES: Final = 8 * NodeTable.WIDTH
_WRITTEN_WORDS: Final = _NODE.size // 4
_MOST_NODES: Final = (BODY_BYTES - _COUNT.size) // _NODE.size
_EMPTY: Final = array("I", [1] + [0] * (_WRITTEN_WORDS - 1))

_NUMBER, _MODE, _SIZE, _MTIME, _ATIME, _CTIME, _UID, _GID, _LINKS, _POSITION = range(10)
_HALVES: Final = {
    _MTIME: 4,
    _ATIME: 5,
    _CTIME: 6,
    _UID: 7,
    _GID: 8,
    _MODE: 9,
    _LINKS: 12,
}
_WHOLES: Final = {_SIZE: 10, _NUMBER: 13, _POSITION: 15}
_KIND_BYTE: Final = 4 * 3 + 3
_KINDS: Final = bytes(_FILE_TYPES[byte >> 4] for byte in range(256))
"""Kinds by the second lowest byte of ``st_mode``."""


def _encode_table(table: NodeTable) -> list[bytes]:
    parts = (table[at : at + _MOST_NODES] for at in range(0, len(table), _MOST_NODES))
    return [body for part in parts for body in _encode_columns(part)]


def _encode_columns(table: NodeTable) -> list[bytes]:
    """One body, written column after column."""
    source = memoryview(table.numbers).cast("B")
    words = source.cast("I")
    if any(bytes(words[2 * column + _HIGH :: _READ_WORDS]).strip(b"\0") for column in _HALVES):
        return _encode_tuples(list(table))
    body = array("I", (len(table),)) + _EMPTY * len(table)
    target = memoryview(body)[1:]
    for column, word in _HALVES.items():
        target[word::_WRITTEN_WORDS] = words[2 * column + _LOW :: _READ_WORDS]
    for column, word in _WHOLES.items():
        target[word::_WRITTEN_WORDS] = words[2 * column + _HIGH :: _READ_WORDS]
        target[word + 1 :: _WRITTEN_WORDS] = words[2 * column + _LOW :: _READ_WORDS]
    if _IS_LITTLE:
        body.byteswap()
    modes = bytes(source[8 * _MODE + _SECOND_BYTE :: _READ_BYTES])
    kinds = memoryview(modes.translate(_KINDS))
    memoryview(body).cast("B")[_COUNT.size + _KIND_BYTE :: _NODE.size] = kinds
    return [body.tobytes()]


@functools.lru_cache(maxsize=1024)
def _directory_layout(length: int) -> struct.Struct:
    return struct.Struct(f">III{length}s{-length % 4}xQQ")


def _two_views(name: bytes) -> bytes:
    """A list of names: as UNIX sees it, and if it is UTF-8 as Windows does,
    without a short name, which only the file server that makes it knows.
    """
    unix = _view_layout(len(name)).pack(FsType.UNIX.value, len(name), name)
    try:
        name.decode()
    except UnicodeDecodeError:
        return _COUNT.pack(1) + unix
    windows = _view_layout(len(name)).pack(FsType.NT.value, len(name), name)
    return _COUNT.pack(2) + unix + windows + _COUNT.pack(0)


@functools.lru_cache(maxsize=1024)
def _view_layout(length: int) -> struct.Struct:
    return struct.Struct(f">II{length}s{-length % 4}x")


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
