"""Posts of file history to messages, many times faster than field by field.

Nearly every entry that a server sends has one UNIX name, or one set of UNIX
attributes, or both: entries of this shape are read by one ``unpack`` each. A
body with any other entry goes to the generic codec as a whole. The one rule:
what comes out, or is raised, is what the generic codec gives.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeVar, cast

from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.messages import (
    FhAddDirPost,
    FhAddFilePost,
    FhAddNodePost,
    FhDir,
    FhFile,
    FhNode,
    FileStat,
    UnixFileName,
)
from tapekit_ndmp_v4.numbers import FileType, FsType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tapekit_ndmp_v4.wire import Message

__all__ = ["decode"]

M = TypeVar("M", bound="Message")

_COUNT: Final = struct.Struct(">I")
_NAME: Final = struct.Struct(">III")
"""How many names, whose view the first is, and its length."""
_NODES: Final = struct.Struct(">QQ")
_ENTRY: Final = struct.Struct(">IIIIIIIIIIQIQQ")
"""How many sets of attributes, the first, and node and position."""

_LONGEST_NAME: Final = 8192
_MOST_ENTRIES: Final = 65536
_UNIX: Final = FsType.UNIX.value
_VIEWS: Final[Mapping[int, int]] = {member.value: member for member in FsType}
_KINDS: Final[Mapping[int, int]] = {member.value: member for member in FileType}


class _Unusual(Exception):
    """A body that only the generic codec can judge."""


def decode(kind: type[M], data: bytes, at: int = 0) -> M:
    """Read a message, as :func:`tapekit_ndmp_v4.xdr.decode` does.

    :raises XdrError: the bytes end early or are not of this type.
    """
    fast = _FAST.get(kind)
    if fast is not None:
        try:
            return cast("M", fast(data, at))
        except (struct.error, _Unusual):
            # The generic codec takes it, or says what is wrong with it.
            pass
    return xdr.decode(kind, data, at)


def _directories(data: bytes, at: int) -> FhAddDirPost:
    found: list[FhDir] = []
    add, read_name, read_nodes = found.append, _NAME.unpack_from, _NODES.unpack_from
    count, at = _count(data, at)
    for _ in range(count):
        names, view, length = read_name(data, at)
        if names != 1 or view != _UNIX or length > _LONGEST_NAME:
            raise _Unusual
        at += _NAME.size
        name = data[at : at + length].decode("utf-8", "surrogateescape")
        at += length + 3 & ~3
        node, parent = read_nodes(data, at)
        at += _NODES.size
        add(FhDir((UnixFileName(name),), node, parent))
    return FhAddDirPost(dirs=tuple(found))


def _nodes(data: bytes, at: int) -> FhAddNodePost:
    count, at = _count(data, at)
    entries = memoryview(data)[at : at + count * _ENTRY.size]
    if any(bytes(entries[byte :: _ENTRY.size]) != bytes((value,)) * count for byte, value in _ONE):
        raise _Unusual
    view_of, kind_of = _VIEWS.get, _KINDS.get
    return FhAddNodePost(
        nodes=tuple(
            [
                FhNode(
                    (
                        FileStat(
                            unsupported,
                            view_of(view, view),
                            kind_of(kind, kind),
                            mtime,
                            atime,
                            ctime,
                            owner,
                            group,
                            fattr,
                            size,
                            links,
                        ),
                    ),
                    node,
                    position,
                )
                for (
                    _,
                    unsupported,
                    view,
                    kind,
                    mtime,
                    atime,
                    ctime,
                    owner,
                    group,
                    fattr,
                    size,
                    links,
                    node,
                    position,
                ) in _ENTRY.iter_unpack(entries)
            ]
        )
    )


def _files(data: bytes, at: int) -> FhAddFilePost:
    found: list[FhFile] = []
    view_of, kind_of = _VIEWS.get, _KINDS.get
    count, at = _count(data, at)
    for _ in range(count):
        names, name_view, length = _NAME.unpack_from(data, at)
        if names != 1 or name_view != _UNIX or length > _LONGEST_NAME:
            raise _Unusual
        at += _NAME.size
        name = data[at : at + length].decode("utf-8", "surrogateescape")
        at += length + 3 & ~3
        sets, unsupported, view, kind, *rest, node, position = _ENTRY.unpack_from(data, at)
        if sets != 1:
            raise _Unusual
        at += _ENTRY.size
        stat = FileStat(unsupported, view_of(view, view), kind_of(kind, kind), *rest)
        found.append(FhFile((UnixFileName(name),), (stat,), node, position))
    return FhAddFilePost(files=tuple(found))


def _count(data: bytes, at: int) -> tuple[int, int]:
    """How many entries there are, and where the first is."""
    (count,) = _COUNT.unpack_from(data, at)
    if count > _MOST_ENTRIES:
        raise _Unusual
    return count, at + _COUNT.size


_ONE: Final = tuple(enumerate(_COUNT.pack(1)))
"""The bytes of a count of one, by their place."""

_FAST: Final[Mapping[type, Callable[[bytes, int], Message]]] = {
    FhAddDirPost: _directories,
    FhAddNodePost: _nodes,
    FhAddFilePost: _files,
}
