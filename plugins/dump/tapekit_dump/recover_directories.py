"""The directories of a backup: read, made, and at the end finished.

They stand before all files in the stream. Those that are wanted are made
open to their maker alone, filled, and get their attributes when nothing in
them changes any more. The one rule: a directory that cannot be made takes
all that is in it along, and says so once.
"""

from __future__ import annotations

import stat
from array import array
from typing import TYPE_CHECKING, Final, final

from tapekit.streams import EndOfStream
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import RECORD_BYTES, HeaderType
from tapekit_dump.maps import BITS_PER_RECORD, NumberSet
from tapekit_dump.recover_attributes import Attributes
from tapekit_dump.recover_content import ObjectContent
from tapekit_dump.recover_findings import fatal_error, is_fatal, result_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_dump.headers import Header
    from tapekit_dump.reading import RecordReader
    from tapekit_dump.recover_attributes import AttributeSetter
    from tapekit_dump.recover_catalogue import Catalogue, Directory
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_places import Places
    from tapekit_dump.recover_selection import View
    from tapekit_dump.recover_succession import Succession

__all__ = ["DirectoryMaker", "DirectoryReader"]

_MAPS: Final = frozenset({HeaderType.CLRI, HeaderType.BITS})
_LARGEST_MAP: Final = 2**32 // BITS_PER_RECORD


@final
class DirectoryReader:
    """Reads the maps and directories of a stream into a catalogue.

    :param old_format: whether the TAPE header lacks ``NEW_INODE_FORMAT``.
    """

    def __init__(
        self,
        records: RecordReader,
        catalogue: Catalogue,
        findings: Findings,
        *,
        old_format: bool,
    ) -> None:
        self._records: Final = records
        self._catalogue: Final = catalogue
        self._findings: Final = findings
        self._old_format: Final = old_format

    def read(self, first: Header) -> Header | None:
        """Read up to the first object that is no directory.

        :param first: the stream's first header.
        :returns: that object's header, the END header, or ``None`` if the
            stream ends before.
        :raises TapekitError: a spool cannot be written.
        """
        header: Header | None = first
        while header is not None and header.type != HeaderType.END:
            if first.base_date and header.type in _MAPS:
                header = self._read_map(header)
            elif header.type != HeaderType.INODE or header.has_attributes:
                header = self._pass_over(header)
            elif stat.S_ISDIR(header.mode):
                header = self.read_one(header)
            else:
                break
        return header

    def _read_map(self, header: Header) -> Header | None:
        """Take in a map of an incremental dump, if all of it is there."""
        numbers, damages = NumberSet(), self._records.damages
        try:
            for _ in range(min(header.data_records, _LARGEST_MAP)):
                numbers.extend(self._records.stream.take(RECORD_BYTES))
            following = self._records.next()
        except EndOfStream:
            return None
        if self._records.damages == damages:
            if header.type == HeaderType.CLRI:
                self._catalogue.used = numbers
            else:
                self._catalogue.dumped = numbers
        return following

    def _pass_over(self, header: Header) -> Header | None:
        """Step over a map, or over what has lost its object to damage."""
        try:
            self._records.skip_content(header)
            return self._records.next()
        except EndOfStream:
            return None

    def read_one(self, header: Header) -> Header | None:
        """Read one directory; gives the header behind it, or ``None`` at the
        end of the stream.

        :raises TapekitError: a spool cannot be written.
        """
        content = ObjectContent(self._records, header, self._findings)
        attributes = Attributes.of(header, old_format=self._old_format)
        directory = self._catalogue.add_directory(header.inode, attributes.pack())
        if directory is None:
            content.pass_over()
            return content.following
        offset = self._read_entries(content, directory)
        if offset < header.size:
            self._findings.lose(CATALOGUE.error("directory-cut", inode=header.inode, offset=offset))
        for blob in content.take_sets():
            self._catalogue.add_set(directory, blob)
        return content.following

    def _read_entries(self, content: ObjectContent, directory: Directory) -> int:
        """Take in the names; gives how far the stream has them, in bytes."""
        header, offset = content.header, 0
        try:
            for present in content.spans():
                count = (len(present) - present.count(0)) * RECORD_BYTES
                data = bytes(self._records.stream.take(count))
                self._catalogue.add_content(
                    directory,
                    data[: max(0, header.size - offset)],
                    offset,
                    header.byte_order,
                    old_format=self._old_format,
                )
                offset += count
        except EndOfStream:
            content.end_of_stream()
        return offset


@final
class DirectoryMaker:
    """Makes the directories that are wanted, and finishes them.

    :param keep_existing: whether directories that are there already keep
        their attributes.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        places: Places,
        setter: AttributeSetter,
        findings: Findings,
        *,
        verbose: bool,
        succession: Succession | None = None,
        keep_existing: bool = False,
    ) -> None:
        self._catalogue: Final = catalogue
        self._keep_existing: Final = keep_existing
        self._kept: Final[set[tuple[int, int]]] = set()
        self._succession: Final = succession
        self._places: Final = places
        self._setter: Final = setter
        self._findings: Final = findings
        self._verbose: Final = verbose
        self._made: Final = array("I")

    @property
    def made(self) -> int:
        """How many directories there are."""
        return len(self._made)

    def make_all(self) -> None:
        """Make all directories that are wanted.

        :raises TapekitError: the backup has no root directory, or nothing
            more can be written to the destination.
        """
        for directory in self._catalogue.arrange():
            for view in directory.views or ():
                self._make(view, directory)
            if directory.views:
                self._made.append(directory.inode)

    def finish_all(self) -> None:
        """Set the attributes of all directories, the deepest first."""
        for inode in reversed(self._made):
            directory = self._catalogue.directories[inode]
            attributes = Attributes.unpack(directory.attributes)
            sets = self._setter.wanted(self._catalogue.sets_of(directory))
            for view in directory.views or ():
                self._finish(view, directory, attributes, sets)

    def _make(self, view: View, directory: Directory) -> None:
        rules = self._places.rules
        if rules is not None and rules.refuses(view, directory):
            _drop(directory, view)
            return
        try:
            if self._succession is not None:
                self._succession.bring(directory, self._places)
            is_new = self._places.make(view, directory)
        except OSError as error:
            path = self._catalogue.path_of(directory.inode)
            if is_fatal(error):
                raise fatal_error(error, path) from error
            view.fail(result_of(error))
            _drop(directory, view)
            self._findings.lose(
                CATALOGUE.error("directory-not-made", path=path, reason=error.strerror)
            )
        else:
            if view.only_if_new and not is_new:
                _drop(directory, view)
            if self._keep_existing and not is_new:
                self._kept.add((view.number, directory.inode))
            if self._verbose:
                self._findings.note(self._catalogue.path_of(directory.inode))

    def _finish(
        self, view: View, directory: Directory, attributes: Attributes, sets: Sequence[bytes]
    ) -> None:
        def path() -> str:
            return self._catalogue.path_of(directory.inode)

        if (view.number, directory.inode) in self._kept:
            return
        try:
            fd = self._places.descriptor(view, directory.inode)
        except OSError as error:
            view.fail(result_of(error))
            self._findings.lose(
                CATALOGUE.error("directory-not-made", path=path(), reason=error.strerror)
            )
            return
        if sets and (rules := self._places.rules) is not None:
            mode, _, sets = rules.judge(view, directory.inode, b"", attributes.mode, sets)
            attributes = attributes._replace(mode=mode)
        if self._succession is not None:
            self._succession.forget_attributes(directory, fd, sets)
        self._setter.finish(fd, attributes, sets, path)
        self._setter.set_flags(fd, attributes.flags, path)


def _drop(directory: Directory, view: View) -> None:
    """A directory is not wanted in a view any more, nor what is in it."""
    directory.views = tuple(other for other in directory.views or () if other is not view)
