"""The course of a restore through a dump stream, from its first header on.

First come the directories, which are made as soon as all of them are known,
then the files, and at the end the directories once more to get their
attributes. What cannot be restored is told and counted, and the rest goes
on. The one rule: the stream is only ever read forwards.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final, final

from tapekit.streams import EndOfStream
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import HeaderFlag, HeaderType
from tapekit_dump.reading import RecordReader
from tapekit_dump.recover_content import ObjectContent
from tapekit_dump.recover_crew import Crew
from tapekit_dump.recover_directories import DirectoryMaker, DirectoryReader
from tapekit_dump.recover_files import FileMaker
from tapekit_dump.recover_losses import Losses
from tapekit_dump.recover_objects import ObjectMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.streams import StreamReader
    from tapekit_dump.headers import Header
    from tapekit_dump.reading import Damage
    from tapekit_dump.recover_attributes import AttributeSetter
    from tapekit_dump.recover_catalogue import Catalogue, Names, Place
    from tapekit_dump.recover_crew import Hands
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_places import Places
    from tapekit_dump.recover_succession import Succession

__all__ = ["Course"]

_INODE: Final = int(HeaderType.INODE)
_HAS_ATTRIBUTES: Final = int(HeaderFlag.EXTENDED_ATTRIBUTES)


@final
class Course:
    """One restore, which runs once.

    :param enter: hears of each phase that begins.
    :param check_room: called with the number of names before anything is made.
    :param verbose: whether each directory is told.
    :param succession: what lets the destination follow level by level, if
        all of the dump is restored.
    :param may_make: asked of each place right before an object is made in it.
    :param keep_existing: whether directories that are there already keep
        their attributes.
    """

    def __init__(
        self,
        reader: StreamReader,
        catalogue: Catalogue,
        places: Places,
        findings: Findings,
        hands: Hands,
        enter: Callable[[str], None],
        *,
        setter: AttributeSetter,
        check_room: Callable[[int], None],
        verbose: bool,
        succession: Succession | None = None,
        may_make: Callable[[Place], bool] | None = None,
        keep_existing: bool = False,
    ) -> None:
        self._reader: Final = reader
        self._records: Final = RecordReader(reader, self._tell_damage)
        self._catalogue: Final = catalogue
        self._places: Final = places
        self._findings: Final = findings
        self._hands: Final = hands
        self._enter: Final = enter
        self._verbose: Final = verbose
        self._setter: Final = setter
        self._check_room: Final = check_room
        self._succession: Final = succession
        self._may_make: Final = may_make
        self._keep_existing: Final = keep_existing
        self._losses: Final = Losses(catalogue, findings)
        self._at: Sequence[Place] = ()

    def run(self) -> None:
        """Restore everything; what remains undone stands in the findings.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: it cannot go on.
        :raises OSError: the stream cannot be read.
        """
        first = self._records.first()
        old_format, succession = _is_old_format(first), self._succession
        if succession is not None:
            succession.begin(first)
        self._enter("reading directories")
        header = DirectoryReader(
            self._records, self._catalogue, self._findings, old_format=old_format
        ).read(first)
        dumped = self._catalogue.dumped
        self._check_room(self._catalogue.names_count if dumped is None else len(dumped))
        directories = DirectoryMaker(
            self._catalogue,
            self._places,
            self._setter,
            self._findings,
            verbose=self._verbose,
            succession=succession,
            keep_existing=self._keep_existing,
        )
        try:
            self._enter("making directories")
            if succession is not None:
                succession.apply(self._catalogue)
            directories.make_all()
            if succession is not None:
                succession.place_rest(self._places)
            self._enter("restoring files")
            self._make_objects(header, old_format=old_format)
        finally:
            self._enter("finishing directories")
            directories.finish_all()
        self._tell_summary(directories.made)

    def _make_objects(self, header: Header | None, *, old_format: bool) -> None:
        stream, places, losses = self._records.stream, self._places, self._losses
        setter, findings = self._setter, self._findings
        crew = Crew(places, losses, findings, self._hands, old_format=old_format)
        files = FileMaker(stream, places, setter, losses, findings, old_format=old_format)
        objects = ObjectMaker(
            self._records, places, setter, findings, losses, files, crew, old_format=old_format
        )
        try:
            self._follow(header, objects)
        finally:
            crew.close()

    def _follow(self, header: Header | None, objects: ObjectMaker) -> None:
        """Take objects up to the end, or to the last that is wanted."""
        names = self._catalogue.names(self._losses.missing)
        while header is not None and not names.is_exhausted:
            if header.type == _INODE and not header.flags & _HAS_ATTRIBUTES:
                header = self._make_object(header, names, objects)
            elif header.type == HeaderType.END:
                break
            else:
                header = self._pass_over_remains(header)
        if names.is_exhausted:
            return
        names.lose_rest()
        if header is None:
            self._findings.end_early(self._reader.position)

    def _make_object(self, header: Header, names: Names, objects: ObjectMaker) -> Header | None:
        if stat.S_ISDIR(header.mode):
            return self._pass_over_directory(header)
        places = names.take(header.inode)
        if places is None:
            self._findings.lose(CATALOGUE.error("object-without-name", inode=header.inode))
        elif self._may_make is not None:
            places = [place for place in places if self._may_make(place)]
        self._at = places or ()
        return objects.make(header, self._at)

    def _pass_over_remains(self, header: Header) -> Header | None:
        """Step over records whose object was lost to damage."""
        try:
            self._records.skip_content(header)
            return self._records.next()
        except EndOfStream:
            return None

    def _pass_over_directory(self, header: Header) -> Header | None:
        self._findings.lose(CATALOGUE.error("directory-too-late", inode=header.inode))
        content = ObjectContent(self._records, header, self._findings)
        content.pass_over()
        return content.following

    def _tell_damage(self, damage: Damage) -> None:
        self._losses.damaged(damage, self._at)

    def _tell_summary(self, directories: int) -> None:
        findings = self._findings
        text = f"Restored {findings.restored} files and {directories} directories"
        if findings.losses:
            text += f"; {findings.losses} are missing or incomplete"
        findings.note(f"{text}; {self._reader.position} bytes were read")


def _is_old_format(header: Header) -> bool:
    """Whether the dump has users and names in the form before 4.4BSD.

    :raises TapekitError: the dump is one that cannot be restored.
    """
    if header.flags & HeaderFlag.COMPRESSED:
        raise CATALOGUE.error("dump-compressed")
    is_first = header.type == HeaderType.TAPE
    return is_first and not header.flags & HeaderFlag.NEW_INODE_FORMAT
