"""Regular files that are long, have holes, or go to more than one place.

A file is opened new under its first name in each place, filled run by run
as the stream brings them, finished by descriptor and then linked to its other
names. The one rule: whatever happens to a file, the stream stands at the
next header afterwards.
"""

from __future__ import annotations

import errno
import itertools
import os
from typing import TYPE_CHECKING, Final, final

from tapekit.segments import ConnectionBroken
from tapekit.streams import EndOfStream
from tapekit_dump.headers import RECORD_BYTES
from tapekit_dump.recover_attributes import Attributes
from tapekit_dump.recover_names import forget_acl, link, new_file, write_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekit_dump.headers import Header
    from tapekit_dump.recover_attributes import AttributeSetter
    from tapekit_dump.recover_catalogue import Place
    from tapekit_dump.recover_content import ObjectContent
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_losses import Losses
    from tapekit_dump.recover_places import Places
    from tapekit_dump.recover_volumes import RecordStream

__all__ = ["Copy", "FileMaker"]

_UNTIL_FINISHED: Final = 0o600
_DELETED: Final = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
_COPY_FROM: Final = 128 * 1024
"""Longer runs are moved to the file without being gathered first."""


@final
class Copy:
    """An object being made in one place."""

    __slots__ = ("_losses", "fd", "links", "place")

    def __init__(self, fd: int, place: Place, links: Sequence[Place], losses: Losses) -> None:
        self.fd = fd
        """-1 once it is closed."""
        self.place = place
        self.links = links
        """The other names that it gets."""
        self._losses = losses

    def path(self) -> str:
        """Its path in the backup, for messages."""
        return self._losses.path_of(self.place)

    def fail(self, error: OSError) -> None:
        """Give it up.

        :raises TapekitError: nothing more can be written.
        """
        self.close()
        self._losses.failed(self.place, error, self.links)

    def link_all(self, places: Places) -> int:
        """Give it its other names; how many names it has then.

        :raises TapekitError: nothing more can be written.
        """
        count = 1
        for place in self.links:
            try:
                link(self.fd, place.name, places.descriptor(place.view, place.directory))
            except OSError as error:
                self._losses.failed(place, error)
            else:
                count += 1
        return count

    def close(self) -> None:
        """Close it; later calls do nothing.

        :raises TapekitError: nothing more can be written.
        """
        fd, self.fd = self.fd, -1
        if fd >= 0:
            try:
                os.close(fd)
            except OSError as error:
                # Network file systems tell here that data was not written.
                self._losses.failed(self.place, error)


@final
class FileMaker:
    """Makes regular files.

    :param old_format: whether users and groups have 16 bits.
    """

    def __init__(
        self,
        stream: RecordStream,
        places: Places,
        setter: AttributeSetter,
        losses: Losses,
        findings: Findings,
        *,
        old_format: bool,
    ) -> None:
        self._stream: Final = stream
        self._places: Final = places
        self._setter: Final = setter
        self._losses: Final = losses
        self._findings: Final = findings
        self._old_format: Final = old_format

    def make(self, content: ObjectContent, families: Iterable[Sequence[Place]]) -> None:
        """Restore the file whose header was read last.

        :param families: places that are links of each other, together.
        :raises TapekitError: nothing more can be written to the destination.
        """
        copies = [
            copy
            for places in families
            if (copy := self._begin(places, content.header.size)) is not None
        ]
        if not copies:
            content.pass_over()
            return
        try:
            self._make(content, copies)
        except ConnectionBroken:
            self._give_up(content, copies)
            raise
        finally:
            for copy in copies:
                copy.close()

    def _make(self, content: ObjectContent, copies: Sequence[Copy]) -> None:
        end = self._fill(content, copies)
        is_whole = content.offset >= content.header.size or not content.is_cut
        sets = self._setter.wanted(content.take_sets())
        if not is_whole:
            self._give_up(content, copies)
            return
        for copy in copies:
            if copy.fd >= 0:
                self._finish(copy, content.header, end, sets)
                if content.is_doubtful:
                    self._losses.doubtful(copy.place)

    def _give_up(self, content: ObjectContent, copies: Sequence[Copy]) -> None:
        """Tell that the stream has not all of a file."""
        for copy in copies:
            if copy.fd >= 0:
                self._losses.incomplete(copy.place, content.offset, copy.links)

    def _begin(self, places: Sequence[Place], size: int) -> Copy | None:
        """Open a new file under the first name that can be had."""
        for index, place in enumerate(places):
            try:
                directory = self._places.descriptor(place.view, place.directory)
                self._places.begin_file(place, directory, size)
                fd = new_file(place.name, directory, _UNTIL_FINISHED)
            except OSError as error:
                self._losses.failed(place, error)
                continue
            if self._places.inherits(directory):
                forget_acl(fd)
            return Copy(fd, place, places[index + 1 :], self._losses)
        return None

    def _fill(self, content: ObjectContent, copies: Sequence[Copy]) -> int:
        """Write the content; gives where its last data ends."""
        size, end = content.header.size, 0
        try:
            for present in content.spans():
                end = self._take_span(present, content.offset, size, copies) or end
        except EndOfStream:
            content.end_of_stream()
        return end

    def _take_span(self, present: bytes, offset: int, size: int, copies: Sequence[Copy]) -> int:
        """Write the records of one header; gives the end of its last data,
        or 0 if it has none.
        """
        end = 0
        for is_data, group in itertools.groupby(present, bool):
            count = sum(1 for _ in group)
            if is_data:
                end = self._take_run(count, offset, size, copies)
            offset += count * RECORD_BYTES
        return end

    def _take_run(self, count: int, offset: int, size: int, copies: Sequence[Copy]) -> int:
        """Write consecutive records, cut at the file's size."""
        length = count * RECORD_BYTES
        wanted = max(0, min(length, size - offset))
        if wanted >= _COPY_FROM and len(copies) == 1:
            self._move(copies[0], offset, wanted)
            self._stream.skip(length - wanted)
        else:
            data = self._stream.take(length)[:wanted]
            for copy in copies:
                self._write(copy, data, offset)
        return offset + wanted

    def _write(self, copy: Copy, data: memoryview, offset: int) -> None:
        if copy.fd >= 0:
            try:
                write_all(copy.fd, data, offset)
            except OSError as error:
                copy.fail(error)

    def _move(self, copy: Copy, offset: int, length: int) -> None:
        end = self._stream.position + length
        if copy.fd >= 0:
            try:
                self._stream.copy_to(copy.fd, offset, length)
            except OSError as error:
                copy.fail(error)
        self._stream.skip(end - self._stream.position)

    def _finish(self, copy: Copy, header: Header, end: int, sets: Sequence[bytes]) -> None:
        if end < header.size and not self._extend(copy, header):
            return
        header, sets = self._places.judged(copy.place, header, sets)
        if not os.fstat(copy.fd).st_nlink:
            copy.close()
            self._losses.truncated(copy.place, header.inode, _DELETED, copy.links)
            return
        attributes = Attributes.of(header, old_format=self._old_format)
        self._setter.finish(copy.fd, attributes, sets, copy.path)
        self._findings.restored += copy.link_all(self._places)
        self._setter.set_flags(copy.fd, attributes.flags, copy.path)
        self._places.file_written(copy.place, sets)

    def _extend(self, copy: Copy, header: Header) -> bool:
        """Let a file end in a hole; whether it does."""
        try:
            os.ftruncate(copy.fd, header.size)
        except OSError as error:
            copy.close()
            self._losses.truncated(copy.place, header.inode, error, copy.links)
            return False
        return True
