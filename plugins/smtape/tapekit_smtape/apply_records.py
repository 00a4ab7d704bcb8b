"""Applies the records of one Snapshot copy, in the order in which they come.

An object's record is kept until its extended attributes are there, and is
then made or changed with all that belongs to it. The one rule: a copy is
complete only with its last record, which counts the objects.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final, final

from tapekit_smtape.apply_copy import Attributes
from tapekit_smtape.apply_map import Name, signed
from tapekit_smtape.apply_tree import NewObject, NoSuchObject
from tapekit_smtape.errors import CATALOGUE
from tapekit_smtape.format_records import (
    Attribute,
    CopyBegin,
    CopyEnd,
    Data,
    Entry,
    Gone,
    Hole,
    Object,
    Record,
    Share,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit.errors import TapekitError
    from tapekit_smtape.apply_copy import CopyWriter
    from tapekit_smtape.apply_tree import VolumeTree

__all__ = ["apply_records", "expect_begin"]

_MOST_ATTRIBUTES: Final = 9_362
"""Of an object: Linux lists 64 KiB of names, each of seven bytes or more."""
_NO_OBJECT: Final = frozenset({0, 2**64 - 1})
"""Numbers that the tree needs for itself."""


def expect_begin(records: Iterator[Record], index: int) -> None:
    """Take the record that begins a Snapshot copy.

    :raises TapekitError: another one comes.
    """
    if next(records, None) != CopyBegin(index):
        raise _bad(f"Snapshot copy {index} does not begin where it should")


def apply_records(records: Iterator[Record], writer: CopyWriter, tree: VolumeTree) -> None:
    """Apply the records of a Snapshot copy, up to and with its last.

    :raises TapekitError: they make no sense.
    :raises NoSuchObject: they speak of objects that are not there.
    :raises OSError: the volume cannot be written.
    """
    applying = _Applying(writer, tree)
    for record in records:
        if isinstance(record, CopyEnd):
            applying.complete(record)
            return
        applying.take(record)
    raise _bad("a Snapshot copy is not complete")


@final
class _Applying:
    """The records of one copy."""

    def __init__(self, writer: CopyWriter, tree: VolumeTree) -> None:
        self._writer: Final = writer
        self._tree: Final = tree
        self._objects = 0
        self._object: Object | None = None
        self._number = 0
        self._extended: dict[bytes, bytes] = {}

    def take(self, record: Record) -> None:
        """Apply one record."""
        writer, number = self._writer, self._number
        if not isinstance(record, Attribute) and self._object is not None:
            self._begin_object()
        match record:
            case Data(offset, content):
                writer.write(number, offset, content)
            case Object():
                self._object, self._number = record, _number(record.number)
                self._extended = {}
                self._objects += 1
            case Attribute(name, value):
                self._keep(name, value)
            case Share(offset, source, start, length):
                writer.share(number, offset, _number(source), start, length)
            case Hole(offset, length):
                writer.empty(number, offset, length)
            case Entry(parent, named, name):
                self._tree.enter(Name(_number(parent), name), _number(named))
            case Gone(parent, name):
                self._tree.take_away(Name(_number(parent), name))
            case CopyBegin() | CopyEnd():
                raise _bad("a Snapshot copy begins in another one")

    def complete(self, end: CopyEnd) -> None:
        """See that all objects have come."""
        if self._object is not None:
            self._begin_object()
        self._writer.settle()
        if end.objects != self._objects:
            raise _bad(f"{self._objects} objects have come of {end.objects}")

    def _keep(self, name: bytes, value: bytes) -> None:
        if self._object is None or len(self._extended) >= _MOST_ATTRIBUTES:
            raise _bad("an attribute belongs to no object")
        self._extended[name] = value

    def _begin_object(self) -> None:
        found, self._object = self._object, None
        assert found is not None
        attributes = Attributes(
            found.mode, found.uid, found.gid, found.atime_ns, found.mtime_ns, self._extended
        )
        if found.is_new and self._number != self._tree.root_number:
            wanted = NewObject(self._number, found.mode, found.device, found.target)
            place = Name(_number(found.parent), found.name) if found.name else None
            self._writer.make(wanted, place, attributes)
        else:
            self._writer.change(self._number, attributes)
        if stat.S_ISREG(found.mode):
            self._writer.resize(self._number, found.size)


def _number(number: int) -> int:
    """An object's number; those that no object has are refused."""
    if number in _NO_OBJECT:
        raise NoSuchObject(f"no object has the number {number}")
    return signed(number)


def _bad(reason: str) -> TapekitError:
    return CATALOGUE.error("failed-to-read-backup-image", reason=reason)
