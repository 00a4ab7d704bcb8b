"""Small ordinary files of one directory, on their way to and from the stream.

The loops over them are where a backup and a restore of small files spend
their time. Reading appends file after file to the ring buffer and stops where
somebody else must act: the buffer is full, a file has extended attributes, or
is anything but ordinary. A plugin may bring other loops that give the same
bytes (:class:`SmallFileLoops`); the one here needs nothing but Python. The one
rule: a file that stops a loop as unusual has left nothing behind.
"""

from __future__ import annotations

import enum
import os
from stat import S_ISREG
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, final

from tapekit_dump.headers import RECORD_BYTES, RUNS

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from tapekit.streams import StreamWriter
    from tapekit_dump.backup_stream import CtimeOf
    from tapekit_dump.file_fetching import Fetched
    from tapekit_dump.header_packing import HeaderTemplate
    from tapekit_dump.headers import Header
    from tapekit_dump.recover_catalogue import Place

__all__ = ["PlainReading", "ReadingSite", "SmallFile", "SmallFileLoops", "SmallFileReading", "Stop"]

_SECOND_NS: Final = 1_000_000_000
_ZEROS: Final = tuple(bytes(count) for count in range(RECORD_BYTES))


class Stop(enum.IntEnum):
    """Why the loop stopped."""

    DONE = 0
    """All files are in the stream."""
    FULL = 1
    """The next file does not fit into what is left of the buffer."""
    UNUSUAL = 2
    """The next file is large, has holes, is no regular file, has values that
    a header lacks, or gave an error."""
    ATTRIBUTES = 3
    """The last file is in the stream but for its extended attributes, and open."""


class ReadingSite(NamedTuple):
    """What all directories of a backup have in common."""

    writer: StreamWriter
    template: HeaderTemplate
    nodes: array[int] | None
    """Where the file history goes, if anybody wants it, as in a
    :class:`~tapekit.hookspecs.data_engine.NodeTable`."""
    small: int
    """Size of an ordinary file, at most, in bytes; less than a buffer."""
    ctime_of: CtimeOf


class SmallFileReading(Protocol):
    """Files of one directory on their way into the stream."""

    flags: int
    """What the files are opened with."""

    @property
    def taken(self) -> int:
        """How many names are done with."""
        ...

    @property
    def descriptor(self) -> int:
        """The open file after :attr:`Stop.ATTRIBUTES`, now the caller's."""
        ...

    def append(self) -> Stop:
        """Append files until something stops it."""
        ...

    def skip(self) -> None:
        """The caller has dealt with the next file."""
        ...


class SmallFile(NamedTuple):
    """A file to be made, with all that is to be known of it."""

    place: Place
    header: Header
    content: bytes
    sets: Sequence[bytes]
    """Its extended attributes as the stream has them."""


class SmallFileLoops(Protocol):
    """Loops over the small files of a directory; usable from any thread."""

    def reading(
        self,
        site: ReadingSite,
        directory: int,
        names: Sequence[bytes],
        numbers: Sequence[int],
        *,
        flags: int,
        with_attributes: bool,
    ) -> SmallFileReading:
        """Begin to append files to the stream; the arguments are those of
        :class:`PlainReading`, and so must be the
        bytes. ``site.ctime_of`` is the status's own change time.
        """
        ...

    def fetch(self, directory: int, names: Sequence[bytes]) -> Fetched:
        """See :func:`tapekit_dump.file_fetching.fetch_files`."""
        ...

    def make(
        self, directory: int, files: Sequence[SmallFile], *, old_format: bool, chmod_for: int
    ) -> int:
        """Make the first files of a batch that are ordinary.

        :param chmod_for: mode bits that have to be set after creation.
        :returns: how many are complete; of the next one nothing is left, and
            the caller makes it, error or not.
        """
        ...


@final
class PlainReading:
    """A :class:`SmallFileReading` in Python.

    It calls the kernel and the packer directly and keeps what it can in local
    variables. A file costs an open, a status, a list of attributes, a read
    and a close, and its bytes are copied once, into the ring buffer.
    """

    def __init__(
        self,
        site: ReadingSite,
        directory: int,
        names: Sequence[bytes],
        numbers: Sequence[int],
        *,
        flags: int,
        with_attributes: bool,
    ) -> None:
        """:param directory: open descriptor of the directory.
        :param numbers: of the objects in the dump, one for each name.
        :param with_attributes: whether files may have extended attributes.
        """
        self._site: Final = site
        self._directory: Final = directory
        self._names: Final = names
        self._numbers: Final = numbers
        self._with_attributes: Final = with_attributes
        self.flags = flags
        self.taken = 0
        self.descriptor = -1

    def skip(self) -> None:
        """See :class:`SmallFileReading`."""
        self.taken += 1

    def append(self) -> Stop:  # noqa: C901 - calls would cost more than they tell
        """See :class:`SmallFileReading`."""
        writer, template, nodes, small, ctime_of = self._site
        pack, directory, flags = template.pack_regular, self._directory, self.flags
        buffer, room, with_attributes = writer.buffer, len(writer.buffer), self._with_attributes
        names, numbers, at = self._names, self._numbers, writer.end
        base, done, fd, has_attributes = writer.position - at, self.taken, -1, False
        try:
            for name, number in zip(names[done:], numbers[done:], strict=True):
                fd = os.open(name, flags, dir_fd=directory)
                status = os.fstat(fd)
                mode, _, _, links, uid, gid, size, _, _, _ = status
                if size > small or size > status.st_blocks << 9 or not S_ISREG(mode):
                    return Stop.UNUSUAL
                if with_attributes:
                    has_attributes = bool(os.listxattr(fd))
                # A block of attributes counts among the file's, and could hide a hole.
                if has_attributes and size and os.lseek(fd, 0, os.SEEK_HOLE) < size:
                    return Stop.UNUSUAL
                run, data = RUNS[(size + 1023) >> 10], at + RECORD_BYTES
                end = data + (run.used << 10)
                if end > room:
                    return Stop.FULL
                ctime_s = ctime_of(status)
                atime_ns, mtime_ns = status.st_atime_ns, status.st_mtime_ns
                pack(
                    buffer, at, (base + at) >> 10, number, run, mode, links, uid, gid,
                    size, atime_ns, mtime_ns, ctime_s,
                )  # fmt: skip
                if os.preadv(fd, (buffer[data : data + size],), 0) != size:
                    return Stop.UNUSUAL
                buffer[data + size : end] = _ZEROS[-size & 1023]
                if nodes is not None:
                    times = mtime_ns // _SECOND_NS, atime_ns // _SECOND_NS, ctime_s
                    nodes.extend((number, mode, size, *times, uid, gid, links, base + at))
                at = end
                done += 1
                if has_attributes:
                    self.descriptor, fd = fd, -1
                    return Stop.ATTRIBUTES
                os.close(fd)
                fd = -1
        except OSError:
            # Who deals with it next meets the same error, or none.
            return Stop.UNUSUAL
        else:
            return Stop.DONE
        finally:
            self.taken, writer.end = done, at
            if fd >= 0:
                os.close(fd)
