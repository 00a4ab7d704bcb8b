"""Records: what an image says, one after the other, in the payloads of chunks
(docs/formats/smtape.md).

A record is a head of five bytes and a body, and never goes over the end of
its chunk. Packing and reading do no input or output. The one rule: a record
is refused unless each of its numbers makes sense by itself; whether it makes
sense in the volume is for whoever applies it to see.
"""

from __future__ import annotations

import enum
import stat
import struct
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from tapekit_smtape.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tapekit.errors import TapekitError

__all__ = [
    "RECORD_HEAD_BYTES",
    "Attribute",
    "CopyBegin",
    "CopyEnd",
    "Data",
    "Entry",
    "Gone",
    "Hole",
    "Object",
    "Record",
    "RecordKind",
    "Share",
    "data_head",
    "pack_record",
    "parse_records",
]


class RecordKind(enum.IntEnum):
    """The first byte of a record."""

    COPY_BEGIN = 1
    GONE = 2
    OBJECT = 3
    ATTRIBUTE = 4
    DATA = 5
    SHARE = 6
    HOLE = 7
    ENTRY = 8
    COPY_END = 9


class CopyBegin(NamedTuple):
    """What follows makes the volume a Snapshot copy of the header's list."""

    place: int
    """Of the copy in the list, from 0."""


class Gone(NamedTuple):
    """A name that no longer is, or stands for something else."""

    parent: int
    """Inode number of the directory at the source."""
    name: bytes


class Object(NamedTuple):
    """An object that is new or has changed; what is known of it follows."""

    is_new: bool
    number: int
    """Inode number at the source."""
    mode: int
    uid: int
    gid: int
    device: int
    size: int
    atime_ns: int
    mtime_ns: int
    parent: int
    """Directory of the first name of a new object; 0 of a changed one and
    of the root."""
    name: bytes
    """First name of a new object."""
    target: bytes
    """Of a symbolic link."""


class Attribute(NamedTuple):
    """An extended attribute of the last object."""

    name: bytes
    value: bytes


class Data(NamedTuple):
    """Bytes of the last object, a file."""

    offset: int
    content: memoryview


class Share(NamedTuple):
    """Bytes of the last object that it shares with an object that has them
    for good: as they were in the copy before, or sent earlier in this one.
    """

    offset: int
    source: int
    start: int
    length: int


class Hole(NamedTuple):
    """A range of the last object, a file, that has become a hole."""

    offset: int
    length: int


class Entry(NamedTuple):
    """A name for an object that is there."""

    parent: int
    number: int
    name: bytes


class CopyEnd(NamedTuple):
    """The copy is complete."""

    objects: int
    """How many Object records it had."""


Record: TypeAlias = "CopyBegin | Gone | Object | Attribute | Data | Share | Hole | Entry | CopyEnd"

_HEAD: Final = struct.Struct(">BI")
RECORD_HEAD_BYTES: Final = _HEAD.size

_COPY: Final = struct.Struct(">I")
_PARENT: Final = struct.Struct(">Q")
_OBJECT: Final = struct.Struct(">?QIIIQQqqQH")
_ATTRIBUTE: Final = struct.Struct(">H")
_OFFSET: Final = struct.Struct(">Q")
_SHARE: Final = struct.Struct(">QQQQ")
_HOLE: Final = struct.Struct(">QQ")
_ENTRY: Final = struct.Struct(">QQ")
_COUNT: Final = struct.Struct(">Q")

_LONGEST_NAME: Final = 255
_LARGEST: Final = 2**63 - 1
_KINDS: Final = frozenset(
    {
        *(stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK),
        *(stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK),
    }
)


def pack_record(record: Record) -> bytes:
    """The bytes of a record."""
    kind, body = _packed(record)
    return _HEAD.pack(kind, len(body)) + body


def data_head(offset: int, length: int) -> bytes:
    """What stands before the bytes of a :class:`Data` record."""
    return _HEAD.pack(RecordKind.DATA, _OFFSET.size + length) + _OFFSET.pack(offset)


def _packed(record: Record) -> tuple[RecordKind, bytes]:
    match record:
        case CopyBegin():
            return RecordKind.COPY_BEGIN, _COPY.pack(*record)
        case Gone(parent, name):
            return RecordKind.GONE, _PARENT.pack(parent) + name
        case Object():
            fixed = _OBJECT.pack(*record[:10], len(record.name))
            return RecordKind.OBJECT, fixed + record.name + record.target
        case Attribute(name, value):
            return RecordKind.ATTRIBUTE, _ATTRIBUTE.pack(len(name)) + name + value
        case Data(offset, content):
            return RecordKind.DATA, _OFFSET.pack(offset) + content
        case Share():
            return RecordKind.SHARE, _SHARE.pack(*record)
        case Hole():
            return RecordKind.HOLE, _HOLE.pack(*record)
        case Entry(parent, number, name):
            return RecordKind.ENTRY, _ENTRY.pack(parent, number) + name
        case CopyEnd():
            return RecordKind.COPY_END, _COUNT.pack(*record)


def parse_records(payload: memoryview) -> Iterator[Record]:
    """The records of a chunk; data are views of it.

    :raises TapekitError: one of them is none.
    """
    at = 0
    while at < len(payload):
        if len(payload) - at < _HEAD.size:
            raise _bad("a record is cut")
        kind, length = _HEAD.unpack_from(payload, at)
        at += _HEAD.size
        body = payload[at : at + length]
        at += length
        if len(body) < length:
            raise _bad("a record goes over the end of its chunk")
        try:
            yield _PARSERS[kind](body)
        except KeyError:
            raise _bad(f"there are no records of kind {kind}") from None
        except struct.error:
            raise _bad(f"a record of kind {kind} has {length} bytes") from None


def _gone(body: memoryview) -> Gone:
    (parent,) = _PARENT.unpack_from(body)
    return Gone(parent, _name(bytes(body[_PARENT.size :])))


def _object(body: memoryview) -> Object:
    fixed = _OBJECT.unpack_from(body)
    rest, name_length = bytes(body[_OBJECT.size :]), fixed[-1]
    found = Object._make((*fixed[:-1], rest[:name_length], rest[name_length:]))
    if stat.S_IFMT(found.mode) not in _KINDS or found.size > _LARGEST or len(rest) < name_length:
        raise _bad(f"object {found.number} has mode {found.mode:o} and size {found.size}")
    if b"\0" in found.target or (stat.S_ISLNK(found.mode) and found.is_new and not found.target):
        raise _bad(f"object {found.number} is a symbolic link to nothing")
    if found.name:
        _name(found.name)
    return found


def _attribute(body: memoryview) -> Attribute:
    (length,) = _ATTRIBUTE.unpack_from(body)
    rest = bytes(body[_ATTRIBUTE.size :])
    name, value = rest[:length], rest[length:]
    if len(name) < length or not 0 < length <= _LONGEST_NAME or b"\0" in name:
        raise _bad("an attribute has no name")
    return Attribute(name, value)


def _data(body: memoryview) -> Data:
    (offset,) = _OFFSET.unpack_from(body)
    content = body[_OFFSET.size :]
    _range(offset, len(content))
    return Data(offset, content)


def _share(body: memoryview) -> Share:
    found = Share(*_SHARE.unpack(body))
    _range(found.offset, found.length)
    _range(found.start, found.length)
    return found


def _hole(body: memoryview) -> Hole:
    found = Hole(*_HOLE.unpack(body))
    _range(*found)
    return found


def _entry(body: memoryview) -> Entry:
    parent, number = _ENTRY.unpack_from(body)
    return Entry(parent, number, _name(bytes(body[_ENTRY.size :])))


_PARSERS: Final[Mapping[int, Callable[[memoryview], Record]]] = {
    RecordKind.COPY_BEGIN: lambda body: CopyBegin(*_COPY.unpack(body)),
    RecordKind.GONE: _gone,
    RecordKind.OBJECT: _object,
    RecordKind.ATTRIBUTE: _attribute,
    RecordKind.DATA: _data,
    RecordKind.SHARE: _share,
    RecordKind.HOLE: _hole,
    RecordKind.ENTRY: _entry,
    RecordKind.COPY_END: lambda body: CopyEnd(*_COUNT.unpack(body)),
}


def _name(name: bytes) -> bytes:
    if not 0 < len(name) <= _LONGEST_NAME or name in {b".", b".."} or b"/" in name or b"\0" in name:
        raise _bad(f"{name!r} is no name")
    return name


def _range(offset: int, length: int) -> None:
    if offset + length > _LARGEST:
        raise _bad(f"{length} bytes at {offset} are beyond the end of any file")


def _bad(reason: str) -> TapekitError:
    return CATALOGUE.error("failed-to-read-backup-image", reason=reason)
