"""Everything that is no directory, one object after the other.

Most objects are small files with one name: they are read whole and go to the
crew. Other files and everything special is made here, where the stream is
read. The one rule: after each object the stream stands at the next header,
whatever has happened to the object.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final, final

from tapekit.streams import EndOfStream
from tapekit_dump.headers import RECORD_BYTES
from tapekit_dump.recover_attributes import Attributes
from tapekit_dump.recover_content import ObjectContent
from tapekit_dump.recover_files import Copy
from tapekit_dump.recover_names import SPECIAL_TYPES, forget_acl, new_special
from tapekit_dump.small_files import SmallFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekit_dump.headers import Header
    from tapekit_dump.reading import RecordReader
    from tapekit_dump.recover_attributes import AttributeSetter
    from tapekit_dump.recover_catalogue import Place
    from tapekit_dump.recover_crew import Crew
    from tapekit_dump.recover_files import FileMaker
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_losses import Losses
    from tapekit_dump.recover_places import Places

__all__ = ["ObjectMaker"]

_TYPE: Final = 0o170000
_SMALL: Final = 128 * 1024
"""Files up to this many bytes are read whole."""

_LINK_LIMIT: Final = 4095
"""Longest target of a symbolic link that Linux takes."""


@final
class ObjectMaker:
    """Makes objects in their places.

    :param old_format: whether users and groups have 16 bits.
    """

    def __init__(
        self,
        records: RecordReader,
        places: Places,
        setter: AttributeSetter,
        findings: Findings,
        losses: Losses,
        files: FileMaker,
        crew: Crew,
        *,
        old_format: bool,
    ) -> None:
        self._records: Final = records
        self._places: Final = places
        self._setter: Final = setter
        self._findings: Final = findings
        self._losses: Final = losses
        self._files: Final = files
        self._crew: Final = crew
        self._old_format: Final = old_format

    def make(self, header: Header, wanted: Sequence[Place]) -> Header | None:
        """Restore the object whose header was read last.

        :returns: the next header, or ``None`` at the end of the stream.
        :raises TapekitError: nothing more can be written to the destination.
        """
        if len(wanted) == 1 and _is_small(header):
            return self._make_small(header, wanted[0])
        content = ObjectContent(self._records, header, self._findings)
        if not wanted:
            content.pass_over()
        elif stat.S_ISREG(header.mode):
            self._files.make(content, _families(wanted))
        else:
            self._make_special(content, _families(wanted))
        return content.following

    def _make_small(self, header: Header, place: Place) -> Header | None:
        records, size, damages = self._records, header.size, self._records.damages
        try:
            data = bytes(records.stream.take(header.address_count * RECORD_BYTES)[:size])
        except EndOfStream:
            self._losses.missing((place,))
            return None
        sets: Sequence[bytes] = ()
        try:
            following: Header | None = records.next()
        except EndOfStream:
            following = None
        is_doubtful = records.damages != damages
        if following is not None and following.inode == header.inode:
            content = ObjectContent.behind(records, header, following, self._findings)
            sets, following = self._setter.wanted(content.take_sets()), content.following
        if is_doubtful:
            self._losses.doubtful(place)
        if sets:
            header, sets = self._places.judged(place, header, sets)
        self._crew.add(SmallFile(place, header, data, sets))
        return following

    def _make_special(self, content: ObjectContent, families: Iterable[Sequence[Place]]) -> None:
        data = content.take_all(_LINK_LIMIT)
        is_cut = content.is_cut and data is None
        sets = self._setter.wanted(content.take_sets())
        objection = _objection(content.header, data)
        for places in families:
            if self._is_junction(content.header, places[0]):
                continue
            if is_cut:
                self._losses.missing(places)
            elif objection is not None:
                self._losses.refused(places, objection)
            else:
                self._make_one(places, content.header, data or b"", sets)
                if content.is_doubtful and data:
                    self._losses.doubtful(places[0])

    def _is_junction(self, header: Header, place: Place) -> bool:
        """Whether a symbolic link stands for a volume that is mounted there:
        then what it stands for is there already.
        """
        rules = self._places.rules
        return (
            rules is not None
            and stat.S_ISLNK(header.mode)
            and rules.is_junction(place.view, place.directory, place.name)
        )

    def _make_one(
        self, places: Sequence[Place], header: Header, data: bytes, sets: Sequence[bytes]
    ) -> None:
        """Make a special object under the first name that can be had."""
        attributes = Attributes.of(header, old_format=self._old_format)
        for index, place in enumerate(places):
            try:
                directory = self._places.descriptor(place.view, place.directory)
                fd = new_special(place.name, directory, header, data)
            except OSError as error:
                self._losses.failed(place, error)
                continue
            if self._places.inherits(directory):
                forget_acl(fd)
            copy = Copy(fd, place, places[index + 1 :], self._losses)
            try:
                self._setter.finish_special(fd, attributes, sets, copy.path)
                self._findings.restored += copy.link_all(self._places)
            finally:
                copy.close()
            return


def _is_small(header: Header) -> bool:
    """Whether an object is a short file that its header describes whole."""
    count = header.address_count
    return (
        header.mode & _TYPE == stat.S_IFREG
        and header.size <= count * RECORD_BYTES <= _SMALL
        and not header.addresses.count(0, 0, count)
    )


def _families(wanted: Sequence[Place]) -> Iterable[Sequence[Place]]:
    """The places by the tree that they are in; within one they are links."""
    if len(wanted) == 1:
        return (wanted,)
    families: dict[int, dict[tuple[int, int, bytes], Place]] = {}
    for place in wanted:
        key = place.view.number, place.directory, place.name
        families.setdefault(place.view.family, {})[key] = place
    return [tuple(places.values()) for places in families.values()]


def _objection(header: Header, data: bytes | None) -> str | None:
    """Why a special object is not even made."""
    kind = stat.S_IFMT(header.mode)
    if kind not in SPECIAL_TYPES:
        return f"its type {kind:#o} is unknown"
    if kind != stat.S_IFLNK:
        return None
    if header.size > _LINK_LIMIT:
        return f"a symbolic link cannot have a target of {header.size} bytes"
    if data is None:
        return f"the target of the symbolic link has no {header.size} bytes"
    if not data or b"\0" in data:
        return "the target of the symbolic link is empty or contains a NUL"
    return None
