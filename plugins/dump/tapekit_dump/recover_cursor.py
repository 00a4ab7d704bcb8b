"""Going from object to object in a stream that is read here and there.

What stands a little ahead is reached by reading on, anything else by asking
for it. Every header is checked where it is expected. The one rule: an object
is taken or passed over whole, so that the header behind it is always known.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final, final

from tapekit.streams import EndOfStream
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import ADDRESSES, RECORD_BYTES, BadHeader, HeaderFlag, HeaderType
from tapekit_dump.reading import RecordReader
from tapekit_dump.recover_content import ObjectContent
from tapekit_dump.recover_crew import Crew
from tapekit_dump.recover_directories import DirectoryReader
from tapekit_dump.recover_files import FileMaker
from tapekit_dump.recover_objects import ObjectMaker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.streams import StreamReader
    from tapekit_dump.headers import Header
    from tapekit_dump.reading import Damage
    from tapekit_dump.recover_attributes import AttributeSetter
    from tapekit_dump.recover_catalogue import Catalogue, Place
    from tapekit_dump.recover_crew import Hands
    from tapekit_dump.recover_direct_stream import DirectStream
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_losses import Losses
    from tapekit_dump.recover_places import Places

__all__ = ["Cursor", "NotThere", "is_directory", "is_object"]

_WORTH_READING: Final = 8 << 20
"""A drive reads on over so many bytes faster than it goes anywhere."""


class NotThere(Exception):
    """No header of this dump stands where one was expected."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason


@final
class Cursor:
    """Stands at a header of the stream, or nowhere."""

    def __init__(
        self,
        stream: DirectStream,
        places: Places,
        setter: AttributeSetter,
        findings: Findings,
        losses: Losses,
        hands: Hands,
    ) -> None:
        self._stream: Final = stream
        self._places: Final = places
        self._setter: Final = setter
        self._findings: Final = findings
        self._losses: Final = losses
        self._hands: Final = hands
        self._crew: Crew | None = None
        self._reader: StreamReader | None = None
        self._records: RecordReader
        self._objects: ObjectMaker | None = None
        self._old_format = False
        self._at: Sequence[Place] = ()
        self.header: Header | None = None
        """The header that it stands at, which has been read."""
        self.position = 0
        """Where that header begins."""
        self.behind = 0
        """The number of the object right before that header, if it has been
        taken or passed over; else 0."""
        self.date: int | None = None
        """The date of the dump, once a header has told it."""
        self.base_date = 0
        """The date of the dump that this one builds on, 0 if on none."""

    def go_to(self, position: int) -> Header:
        """The header at a position.

        :raises NotThere: none stands there, or one of another dump.
        :raises ConnectionBroken: the connection is gone.
        """
        if self.header is None or self.position != position:
            self.header, self.behind = None, 0
            try:
                self._approach(position)
                self._stand_at(self._checked(self._records.here()))
            except BadHeader as bad:
                raise NotThere(f"no header stands there, its {bad.reason} is wrong") from bad
            except EndOfStream:
                raise NotThere("the stream ends before") from None
        assert self.header is not None
        return self.header

    def make(self, places: Sequence[Place]) -> None:
        """Restore the object that it stands at, and go behind it.

        :raises TapekitError: nothing more can be written to the destination.
        """
        header = self._expected()
        self._at, self.behind = places, header.inode
        if self._objects is None:
            self._objects = self._new_maker()
        self._stand_at(self._objects.make(header, places))

    def pass_over(self) -> None:
        """Go behind the object that it stands at."""
        header = self._expected()
        self.behind = header.inode
        content = ObjectContent(self._records, header, self._findings)
        content.pass_over()
        self._stand_at(content.following)

    def read_directory(self, catalogue: Catalogue) -> None:
        """Take the directory that it stands at into a catalogue.

        :raises TapekitError: a spool cannot be written.
        """
        reader = DirectoryReader(
            self._records, catalogue, self._findings, old_format=self._old_format
        )
        self._stand_at(reader.read_one(self._expected()))

    def leave(self, position: int) -> StreamReader:
        """A reader for something else than objects."""
        self.header = self._reader = None
        return self._stream.open_at(position)

    def close(self) -> None:
        """Wait until all objects have been made.

        :raises TapekitError: nothing more could be written.
        """
        if self._crew is not None:
            self._crew.close()

    def _approach(self, position: int) -> None:
        """Let the next record be that at a position."""
        reader = self._reader
        if reader is not None and 0 <= position - reader.position <= _WORTH_READING:
            self._stream.expect(position + RECORD_BYTES)
            reader.skip(position - reader.position)
        else:
            self._reader = self._stream.open_at(position)
            self._records = RecordReader(self._reader, self._tell_damage)
            self._objects = None

    def _new_maker(self) -> ObjectMaker:
        """What makes objects of the present reader's records."""
        old_format, losses = self._old_format, self._losses
        places, setter, findings = self._places, self._setter, self._findings
        if self._crew is None:
            self._crew = Crew(places, losses, findings, self._hands, old_format=old_format)
        files = FileMaker(
            self._records.stream, places, setter, losses, findings, old_format=old_format
        )
        return ObjectMaker(
            self._records,
            places,
            setter,
            findings,
            losses,
            files,
            self._crew,
            old_format=old_format,
        )

    def _checked(self, header: Header) -> Header:
        if header.flags & HeaderFlag.COMPRESSED:
            raise CATALOGUE.error("dump-compressed")
        if self.date is None:
            self.date, self.base_date = header.date, header.base_date
            self._old_format = _is_old_format(header)
        elif header.date != self.date:
            raise NotThere("a header of another dump stands there")
        return header

    def _stand_at(self, header: Header | None) -> None:
        self.header = header
        if header is not None:
            assert self._reader is not None
            self.position = self._reader.position - RECORD_BYTES

    def _expected(self) -> Header:
        """The present header, with as much of its object asked for as is
        sure to be there, and the header behind.
        """
        header = self.header
        assert header is not None
        self._stream.expect(self.position + _length(header) + RECORD_BYTES)
        return header

    def _tell_damage(self, damage: Damage) -> None:
        self._losses.damaged(damage, self._at)


def _is_old_format(header: Header) -> bool:
    """Whether users have 16 bits; only the stream's beginning tells for sure,
    and going there would cost more than all the rest.
    """
    return not header.flags & HeaderFlag.NEW_INODE_FORMAT and not (header.uid or header.gid)


def is_object(header: Header) -> bool:
    """Whether a header is the first of an object."""
    return header.type == HeaderType.INODE and not header.has_attributes


def is_directory(header: Header) -> bool:
    """Whether a header is the first of a directory."""
    return is_object(header) and stat.S_ISDIR(header.mode)


def _length(header: Header) -> int:
    """Bytes of an object from its first header on, without its attributes;
    those of its first span alone if that is not all data.
    """
    records = -(-header.size // RECORD_BYTES)
    if header.data_records < min(records, ADDRESSES):
        return RECORD_BYTES * (1 + header.data_records)
    headers = max(1, -(-records // ADDRESSES))
    return RECORD_BYTES * (headers + max(records, header.data_records))
