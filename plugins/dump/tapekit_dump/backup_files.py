"""Phase IV: everything that is not a directory, in the order of the plan.

Small files are read straight into the ring buffer behind their header, in
one loop without a detour; long runs of data leave as extents that nobody
reads here. What the tree no longer has in the form in which the first pass
saw it becomes an empty file with a warning. The one rule: every number of the
plan gets its header, and a header's promise of records is always kept.
"""

from __future__ import annotations

import errno
import os
import stat
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, final

from tapekit_dump.backup_contents import ContentWriter
from tapekit_dump.backup_report import readable
from tapekit_dump.backup_stream import STATUS_CTIME
from tapekit_dump.descent import Descent
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import Inode
from tapekit_dump.plan import StepKind
from tapekit_dump.read_ahead import ReadAhead
from tapekit_dump.small_files import PlainReading, ReadingSite, Stop

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tapekit_dump.backup_attributes import AttributeReader
    from tapekit_dump.backup_report import BackupReport
    from tapekit_dump.backup_stream import CtimeOf, ObjectStream
    from tapekit_dump.checkpoints import Places
    from tapekit_dump.plan import Step
    from tapekit_dump.small_files import SmallFileLoops

__all__ = ["FileWriter"]

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_SMALL_BYTES: Final = 256 * 1024
_NO_JUNCTIONS: Final[Mapping[bytes, bytes]] = MappingProxyType({})
_LINK_MODE: Final = stat.S_IFLNK | 0o777
_OTHERS: Final = frozenset({stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK})


@final
class FileWriter:
    """Writes what the plan says, reading the tree a second time."""

    def __init__(
        self,
        root: int,
        *,
        stream: ObjectStream,
        attributes: AttributeReader,
        ctime_of: CtimeOf,
        report: BackupReport,
        extent_bytes: int,
        read_ahead_threads: int = 0,
        loops: SmallFileLoops | None = None,
        junctions: Mapping[bytes, bytes] = _NO_JUNCTIONS,
        places: Places | None = None,
    ) -> None:
        """:param junctions: paths that stand in the backup as symbolic links,
        and what they link to.
        :param places: hears where the stream is between two objects.
        """
        self._places: Final = places
        self._junctions: Final = junctions
        self._stream: Final = stream
        self._writer: Final = stream.writer
        self._history: Final = stream.history
        self._attributes: Final = attributes
        self._ctime_of: Final = ctime_of
        self._report: Final = report
        self._contents: Final = ContentWriter(stream, report, extent_bytes)
        self._descent: Final = Descent(root)
        self._ahead: Final = ReadAhead(
            root, read_ahead_threads, fetch=None if loops is None else loops.fetch
        )
        self._flags = _READ | os.O_NOATIME
        self._site: Final = ReadingSite(
            writer=stream.writer,
            template=stream.packer.inode,
            nodes=None if stream.history is None else stream.history.nodes,
            small=min(_SMALL_BYTES, extent_bytes - 1),
            ctime_of=ctime_of,
        )
        if ctime_of is not STATUS_CTIME:
            # Another loop knows nothing of change times that a Snapshot copy lost.
            loops = None
        self._begin_reading: Final = PlainReading if loops is None else loops.reading

    def run(self, plan: Iterable[Step]) -> None:
        """Append everything that the plan has names for.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: the plan cannot be read.
        """
        try:
            for step in self._ahead.steps(plan):
                if step.kind is StepKind.DIRECTORY:
                    self._descent.enter(step.depth, step.names[0])
                else:
                    self._take(step)
                    self._stream.mark()
                    self._reached(step.first + len(step.names))
            self._contents.settle()
        finally:
            self._ahead.close()
            self._descent.close()
            self._contents.tell()

    def _reached(self, number: int) -> None:
        """Everything before this number is in the stream."""
        if self._places is not None:
            # What is lost before a checkpoint is told before it is kept.
            self._contents.tell()
            self._places.reached(number)

    def _take(self, step: Step) -> None:
        if self._history is not None:
            self._history.begin_files(step.first, step.names, self._descent.path())
        try:
            directory = self._descent.here()
        except OSError as error:
            self._lose_all(step, error)
            return
        if step.kind is StepKind.REGULAR:
            self._write_regular(step, directory)
        else:
            write = self._write_symlink if step.kind is StepKind.SYMLINK else self._write_other
            for number, name in enumerate(step.names, step.first):
                try:
                    write(number, name, directory)
                except OSError as error:
                    self._lose(number, name, error)

    def _write_regular(self, step: Step, directory: int) -> None:
        """Append regular files: the ordinary ones in a loop, the others one
        by one.
        """
        numbers = range(step.first, step.first + len(step.names))
        reading = self._begin_reading(
            self._site,
            directory,
            step.names,
            numbers,
            flags=self._flags,
            with_attributes=self._attributes.are_supported,
        )
        while (stop := reading.append()) is not Stop.DONE:
            if stop is Stop.FULL:
                self._turn()
                self._reached(numbers[reading.taken])
            elif stop is Stop.ATTRIBUTES:
                done = reading.taken - 1
                self._write_sets(reading.descriptor, numbers[done], step.names[done])
            else:
                here = reading.taken
                self._write_carefully(numbers[here], step.names[here], directory)
                reading.flags = self._flags
                reading.skip()
                self._reached(numbers[here] + 1)

    def _turn(self) -> None:
        """Hand a full buffer over, with all that goes along."""
        self._writer.turn()
        self._stream.mark()
        if self._history is not None:
            self._history.settle()

    def _write_sets(self, fd: int, number: int, name: bytes) -> None:
        """Append the attributes of the file before, and close it."""
        try:
            status = os.fstat(fd)
            sets = self._attributes.of_descriptor(fd, self._descent.path, name)
        finally:
            os.close(fd)
        self._stream.sets(number, Inode.of(status, self._ctime_of(status)), sets)

    def _write_carefully(self, number: int, name: bytes, directory: int) -> None:
        """Append a regular file that is large, has holes or gave an error."""
        fd = -1
        try:
            fd = self._open(name, directory)
            status = os.fstat(fd)
        except OSError as error:
            self._lose(number, name, error)
            if fd >= 0:
                os.close(fd)
            return
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            self._changed_type(number, name)
            return
        sets = self._attributes.of_descriptor(fd, self._descent.path, name)
        inode = Inode.of(status, self._ctime_of(status))
        if self._history is not None:
            self._history.add_inode(number, inode, status.st_size, self._writer.position)
        self._contents.write(fd, number, inode, status, self._descent.path(name))
        self._stream.sets(number, inode, sets)

    def _open(self, name: bytes, directory: int) -> int:
        """Open a file, from now on without O_NOATIME if that is refused: it
        takes the owner or CAP_FOWNER.

        :raises OSError: the file cannot be opened.
        """
        try:
            return os.open(name, self._flags, dir_fd=directory)
        except PermissionError as error:
            if error.errno != errno.EPERM or self._flags == _READ:
                raise
        self._flags = _READ
        return os.open(name, _READ, dir_fd=directory)

    def _write_symlink(self, number: int, name: bytes, directory: int) -> None:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            junction = self._junctions.get(self._descent.path(name))
            if junction is None:
                self._changed_type(number, name)
            else:
                inode = Inode.of(status, self._ctime_of(status))._replace(mode=_LINK_MODE, links=1)
                self._stream.whole(number, inode, junction, ())
            return
        target = os.readlink(name, dir_fd=directory)
        self._write_whole(number, name, directory, status, target)

    def _write_other(self, number: int, name: bytes, directory: int) -> None:
        """Append a device, a fifo or a socket."""
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_IFMT(status.st_mode) in _OTHERS:
            self._write_whole(number, name, directory, status, b"")
        else:
            self._changed_type(number, name)

    def _write_whole(
        self, number: int, name: bytes, directory: int, status: os.stat_result, data: bytes
    ) -> None:
        sets = self._attributes.of_name(directory, self._descent.path, name)
        self._stream.whole(number, Inode.of(status, self._ctime_of(status)), data, sets)

    def _lose(self, number: int, name: bytes, error: OSError) -> None:
        """Report one file, and append what stands for it."""
        path = readable(self._descent.path(name))
        if error.errno == errno.ENOENT:
            self._report.lose(CATALOGUE.error("file-vanished", path=path))
        elif error.errno in (errno.ELOOP, errno.ENXIO, errno.EINVAL):
            self._report.lose(CATALOGUE.error("file-changed-type", path=path))
        else:
            reason = error.strerror or str(error)
            self._report.lose(CATALOGUE.error("file-unreadable", path=path, reason=reason))
        self._stream.lost(number)

    def _changed_type(self, number: int, name: bytes) -> None:
        path = readable(self._descent.path(name))
        self._report.lose(CATALOGUE.error("file-changed-type", path=path))
        self._stream.lost(number)

    def _lose_all(self, step: Step, error: OSError) -> None:
        """Report a directory whose files cannot be reached any more."""
        self._report.lose(
            CATALOGUE.error(
                "directory-vanished",
                path=readable(self._descent.path()),
                count=len(step.names),
                reason=error.strerror or str(error),
            ),
            count=len(step.names),
        )
        for number in range(step.first, step.first + len(step.names)):
            self._stream.lost(number)
