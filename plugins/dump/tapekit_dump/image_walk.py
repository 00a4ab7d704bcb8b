"""All that is in an image, in one pass from its beginning to its end.

Directories come first, then objects in the order of their numbers; each is
given once for each of its names when all of it has been passed. What is done
with content is the taker's: it passes over, reads, or compares. The one
rule: an object counts as complete by the same measure as in a restore.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, final

from tapekit.streams import EndOfStream
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import RECORD_BYTES, HeaderFlag, HeaderType
from tapekit_dump.image_attributes import PLAIN, ObjectAttributes, read_attributes
from tapekit_dump.maps import ROOT
from tapekit_dump.reading import RecordReader
from tapekit_dump.recover_attributes import Attributes
from tapekit_dump.recover_content import ObjectContent
from tapekit_dump.recover_cursor import is_object
from tapekit_dump.recover_directories import DirectoryReader
from tapekit_dump.recover_losses import Losses

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from tapekit.streams import StreamReader
    from tapekit_dump.headers import Header
    from tapekit_dump.reading import Damage
    from tapekit_dump.recover_catalogue import Catalogue, Names, Place
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_volumes import RecordStream

__all__ = ["ContentTaker", "ImageWalk", "Member", "PassOver", "ReadAll"]

_LINK_LIMIT: Final = 4095
"""Longest target of a symbolic link that Linux takes."""


class Member(NamedTuple):
    """One name of an image and what stands behind it."""

    path: bytes
    """From the image's root on, without a slash at the beginning; nothing
    for the root itself."""
    directory: int
    """The inode number of the directory that it is in; of a directory, its
    own."""
    inode: int
    attributes: Attributes
    size: int
    device: int
    """The number of a device as the header has it."""
    target: bytes | None
    """Of a symbolic link, if it is all there."""
    first_name: bytes | None
    """The path that it is a hard link to, if it is not the first name."""
    is_complete: bool
    extended: ObjectAttributes = PLAIN
    """ACLs, streams and other extended attributes, as people read them."""
    sets: Sequence[bytes] = ()
    """The same as the image has them."""


class ContentTaker(Protocol):
    """What is done with the content of objects, one after the other."""

    def begin(self, header: Header, places: Sequence[Place]) -> None:
        """A new object begins; it may have no place."""
        ...

    def take(self, stream: RecordStream, present: bytes, offset: int) -> None:
        """Take all records of one header from the stream.

        :param present: one byte for each kilobyte of content: 0 is a hole.
        :param offset: where in the content they begin.
        :raises EndOfStream: they are not all there.
        """
        ...


@final
class PassOver:
    """Reads no content."""

    def begin(self, header: Header, places: Sequence[Place]) -> None:
        """See :meth:`ContentTaker.begin`."""

    def take(self, stream: RecordStream, present: bytes, offset: int) -> None:  # noqa: ARG002 - nobody looks
        """See :meth:`ContentTaker.take`."""
        stream.skip((len(present) - present.count(0)) * RECORD_BYTES)


@final
class ReadAll:
    """Reads all content, so that what cannot be read is found."""

    def begin(self, header: Header, places: Sequence[Place]) -> None:
        """See :meth:`ContentTaker.begin`."""

    def take(self, stream: RecordStream, present: bytes, offset: int) -> None:  # noqa: ARG002 - nobody looks
        """See :meth:`ContentTaker.take`."""
        stream.take((len(present) - present.count(0)) * RECORD_BYTES)


@final
class ImageWalk:
    """One pass through an image; runs once."""

    def __init__(
        self, reader: StreamReader, catalogue: Catalogue, findings: Findings, taker: ContentTaker
    ) -> None:
        self._records: Final = RecordReader(reader, self._tell_damage)
        self._reader: Final = reader
        self._catalogue: Final = catalogue
        self._findings: Final = findings
        self._taker: Final = taker
        self._losses: Final = Losses(catalogue, findings)
        self._old_format = False
        self._at: Sequence[Place] = ()
        self.first: Header
        """The first header, once the walk has begun."""

    @property
    def position(self) -> int:
        """Bytes of the stream that have been passed."""
        return self._reader.position

    @property
    def old_format(self) -> bool:
        """Whether users, groups and names are in the form before 4.4BSD."""
        return self._old_format

    def members(self) -> Iterator[Member]:
        """Everything, directories first. Losses go to the findings.

        :raises TapekitError: it is no dump, has no root, or cannot be read on.
        """
        first = self.first = self._records.first()
        if first.flags & HeaderFlag.COMPRESSED:
            raise CATALOGUE.error("dump-compressed")
        is_tape = first.type == HeaderType.TAPE
        self._old_format = is_tape and not first.flags & HeaderFlag.NEW_INODE_FORMAT
        try:
            header = DirectoryReader(
                self._records, self._catalogue, self._findings, old_format=self._old_format
            ).read(first)
            yield from self._directories()
            yield from self._objects(header)
        except OSError as error:
            raise CATALOGUE.error(
                "stream-unreadable", offset=self.position, reason=error.strerror or str(error)
            ) from error

    def _directories(self) -> Iterator[Member]:
        for directory in self._catalogue.arrange():
            sets = self._catalogue.sets_of(directory)
            yield Member(
                path=self._path(directory.inode),
                directory=directory.inode,
                inode=directory.inode,
                attributes=Attributes.unpack(directory.attributes),
                size=0,
                device=0,
                target=None,
                first_name=None,
                is_complete=True,
                extended=read_attributes(sets),
                sets=sets,
            )

    def _objects(self, header: Header | None) -> Iterator[Member]:
        names = self._catalogue.names(self._missing)
        while header is not None and header.type != HeaderType.END:
            if not is_object(header):
                header = self._pass_over_remains(header)
            elif stat.S_ISDIR(header.mode):
                header = self._pass_over_directory(header)
            else:
                header = yield from self._object(header, names)
        names.lose_rest()
        if header is None:
            self._findings.end_early(self.position)

    def _object(self, header: Header, names: Names) -> Generator[Member, None, Header | None]:
        """Give an object by its names; the generator's value is the header
        behind it.
        """
        named = names.take(header.inode)
        if named is None:
            self._findings.lose(CATALOGUE.error("object-without-name", inode=header.inode))
        self._at = places = tuple(dict.fromkeys(named or ()))
        content = ObjectContent(self._records, header, self._findings)
        target: bytes | None = None
        if stat.S_ISLNK(header.mode):
            target = content.take_all(_LINK_LIMIT)
            is_complete = target is not None
        else:
            is_complete = self._take(content, places)
        sets = content.take_sets()
        extended = read_attributes(sets)
        if places:
            self._judge(content, places, is_complete=is_complete)
        for member in self._named(header, places, target, is_complete=is_complete):
            yield member._replace(extended=extended, sets=sets) if sets else member
        return content.following

    def _take(self, content: ObjectContent, places: Sequence[Place]) -> bool:
        """Have the content taken; whether all of it was there."""
        taker, stream = self._taker, self._records.stream
        taker.begin(content.header, places)
        try:
            for present in content.spans():
                taker.take(stream, present, content.offset)
        except EndOfStream:
            content.end_of_stream()
        return content.offset >= content.header.size or not content.is_cut

    def _judge(self, content: ObjectContent, places: Sequence[Place], *, is_complete: bool) -> None:
        if not is_complete:
            self._losses.incomplete(places[0], content.offset, places[1:])
        elif content.is_doubtful:
            self._losses.doubtful(places[0])

    def _named(
        self, header: Header, places: Sequence[Place], target: bytes | None, *, is_complete: bool
    ) -> Iterator[Member]:
        first: bytes | None = None
        for place in places:
            path = self._path(*place.path)
            yield Member(
                path=path,
                directory=place.path[0],
                inode=header.inode,
                attributes=Attributes.of(header, old_format=self._old_format),
                size=header.size,
                device=header.device or header.wide_device,
                target=target,
                first_name=first,
                is_complete=is_complete,
            )
            first = first or path

    def _pass_over_directory(self, header: Header) -> Header | None:
        self._findings.lose(CATALOGUE.error("directory-too-late", inode=header.inode))
        content = ObjectContent(self._records, header, self._findings)
        content.pass_over()
        return content.following

    def _pass_over_remains(self, header: Header) -> Header | None:
        """Step over records whose object was lost to damage."""
        try:
            self._records.skip_content(header)
            return self._records.next()
        except EndOfStream:
            return None

    def _path(self, inode: int, name: bytes = b"") -> bytes:
        parts = [name] if name else []
        directories = self._catalogue.directories
        while inode != ROOT:
            directory = directories[inode]
            parts.append(directory.name)
            inode = directory.parent
        return b"/".join(reversed(parts))

    def _missing(self, places: Sequence[Place]) -> None:
        """An incremental dump names objects that it does not have; which
        they are cannot be told without its map.
        """
        if not self.first.base_date or self._catalogue.dumped is not None:
            self._losses.missing(places)

    def _tell_damage(self, damage: Damage) -> None:
        self._losses.damaged(damage, self._at)
