"""Makes a volume what one Snapshot copy of the source was.

The image says what is to be, object by object; contents are written as they
come, and an object gets its attributes when the next one begins, or, if it
is a directory, at the end, when nothing is entered in it any more. The one
rule: whatever an image says, it only concerns objects of this volume, and
the table of objects is committed before anything is removed for good.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from tapekit_smtape.apply_attributes import set_attributes, set_attributes_of_special
from tapekit_smtape.apply_content import ContentWriter, write_all
from tapekit_smtape.apply_tree import NewObject, NoSuchObject

if TYPE_CHECKING:
    from tapekit.hookspecs.storage import KeepGoing
    from tapekit_smtape.apply_map import MapFacts, Name, ObjectMap
    from tapekit_smtape.apply_tree import VolumeTree

__all__ = ["Attributes", "CopyWriter"]


class Attributes(NamedTuple):
    """What an object is besides its content and names."""

    mode: int
    """Type and permissions as in ``st_mode``."""
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    extended: dict[bytes, bytes]


@final
class CopyWriter:
    """Writes one Snapshot copy after the other into a volume."""

    def __init__(self, tree: VolumeTree, objects: ObjectMap, keep_going: KeepGoing) -> None:
        self._tree: Final = tree
        self._objects: Final = objects
        self._content: Final = ContentWriter(keep_going)
        self._number = -1
        self._fd = -1
        self._due: Attributes | None = None

    # Objects.

    def make(self, wanted: NewObject, place: Name | None, attributes: Attributes) -> None:
        """Begin a new object, whatever had its number or its name before."""
        self.settle()
        self._tree.replace(wanted.number)
        fd = self._tree.make(wanted, place)
        if stat.S_ISREG(wanted.mode):
            self._number, self._fd, self._due = wanted.number, fd, attributes
            return
        try:
            if stat.S_ISDIR(wanted.mode):
                self._later(wanted.number, attributes)
            else:
                _set_special(fd, attributes)
        finally:
            os.close(fd)

    def change(self, number: int, attributes: Attributes) -> None:
        """Go on with an object that is there, and what it becomes.

        :raises NoSuchObject: there is none, or it is of another type.
        """
        self.settle()
        fd = self._tree.itself(number)
        try:
            mode = os.fstat(fd).st_mode
            if stat.S_IFMT(mode) != stat.S_IFMT(attributes.mode):
                raise NoSuchObject(f"object {number} is of another type")
            if stat.S_ISDIR(mode):
                self._later(number, attributes)
            elif not stat.S_ISREG(mode):
                _set_special(fd, attributes)
            else:
                self._number, self._due = number, attributes
                self._fd = os.dup(self._tree.file(number))
        finally:
            os.close(fd)

    def settle(self) -> None:
        """End the object at work: give it its attributes."""
        fd, due = self._fd, self._due
        self._number, self._fd, self._due = -1, -1, None
        if fd < 0:
            return
        try:
            if due is not None:
                _set(fd, due)
        finally:
            os.close(fd)

    # Contents, of the object at work.

    def resize(self, number: int, size: int) -> None:
        """Make a file this long; what it gets is a hole."""
        os.ftruncate(self._at_work(number), size)

    def write(self, number: int, offset: int, data: memoryview) -> None:
        """Write bytes of a file."""
        write_all(self._at_work(number), data, offset)

    def share(self, number: int, offset: int, source: int, start: int, length: int) -> None:
        """Let a file have what another one, or itself, has elsewhere."""
        target = self._at_work(number)
        origin = target if source == number else self._tree.file(source)
        self._content.share(origin, start, target, offset, length)

    def empty(self, number: int, offset: int, length: int) -> None:
        """Make a hole in a file."""
        self._content.empty(self._at_work(number), offset, length)

    def _at_work(self, number: int) -> int:
        if number != self._number:
            raise NoSuchObject(f"object {number} is not the one at work")
        return self._fd

    # The end of a Snapshot copy.

    def finish(self, facts: MapFacts) -> None:
        """Give directories their attributes, commit the table as standing for
        the copy, and remove what no longer has a name.
        """
        self.settle()
        self._tree.forget_files()
        self._tree.drop_nameless()
        # Power may fail: what the table says must be on disk before it.
        self._tree.flush()
        self._objects.commit(facts)
        self._tree.end()
        for number, packed in self._objects.due():
            _set(self._tree.directory(number), msgspec.msgpack.decode(packed, type=Attributes))
        self._objects.forget_due()

    def close(self) -> None:
        """Close what is open; later calls do nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _later(self, number: int, attributes: Attributes) -> None:
        self._objects.add_due(number, msgspec.msgpack.encode(attributes))


def _set(fd: int, due: Attributes) -> None:
    times = due.atime_ns, due.mtime_ns
    set_attributes(fd, due.mode, (due.uid, due.gid), times, due.extended)


def _set_special(fd: int, due: Attributes) -> None:
    times = due.atime_ns, due.mtime_ns
    set_attributes_of_special(fd, due.mode, (due.uid, due.gid), times, due.extended)
