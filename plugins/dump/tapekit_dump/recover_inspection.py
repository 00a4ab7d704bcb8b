"""Reading a stream as a restore does, and writing nothing.

A list (LIST) takes the directories and tells each name with its number; a
trial (NOWRITE) goes on through all objects and tells whether they are there.
The one rule: no descriptor of the destination ever comes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.streams import EndOfStream
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import HeaderFlag, HeaderType
from tapekit_dump.reading import RecordReader
from tapekit_dump.recover_content import ObjectContent
from tapekit_dump.recover_cursor import is_object
from tapekit_dump.recover_directories import DirectoryReader
from tapekit_dump.recover_losses import Losses
from tapekit_dump.recover_marks import qtree_line, qtrees_in
from tapekit_dump.recover_wishes import Manner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.streams import StreamReader
    from tapekit_dump.headers import Header
    from tapekit_dump.reading import Damage
    from tapekit_dump.recover_catalogue import Catalogue, Place
    from tapekit_dump.recover_findings import Findings

__all__ = ["Inspection"]


@final
class Inspection:
    """Reads one stream."""

    def __init__(self, reader: StreamReader, catalogue: Catalogue, findings: Findings) -> None:
        self._reader: Final = reader
        self._records: Final = RecordReader(reader, self._tell_damage)
        self._catalogue: Final = catalogue
        self._findings: Final = findings
        self._losses: Final = Losses(catalogue, findings)
        self._is_incremental = False
        self._at: Sequence[Place] = ()

    def run(self, manner: Manner) -> None:
        """Tell what there is.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: the stream is no dump, or has no root.
        :raises OSError: the stream cannot be read.
        """
        first = self._records.first()
        if first.flags & HeaderFlag.COMPRESSED:
            raise CATALOGUE.error("dump-compressed")
        self._is_incremental = first.base_date != 0
        old_format = first.type == HeaderType.TAPE and not (
            first.flags & HeaderFlag.NEW_INODE_FORMAT
        )
        header = DirectoryReader(
            self._records, self._catalogue, self._findings, old_format=old_format
        ).read(first)
        if manner is Manner.LIST_QTREES:
            self._list_qtrees()
            return
        tells = manner is Manner.LIST
        directories = self._take_directories(tells=tells)
        files = self._list_names() if tells else self._follow(header)
        self._findings.note(
            f"{files} files and {directories} directories; nothing has been restored"
        )

    def _list_qtrees(self) -> None:
        count = 0
        for name, mark in qtrees_in(self._catalogue):
            count += 1
            self._findings.note(qtree_line(name, mark))
        self._findings.note(f"{count} qtrees; nothing has been restored")

    def _take_directories(self, *, tells: bool) -> int:
        count = 0
        for directory in self._catalogue.arrange():
            count += 1
            if tells:
                self._tell(directory.inode, self._catalogue.path_of(directory.inode))
        return count

    def _list_names(self) -> int:
        count = 0
        names = self._catalogue.names(self._losses.missing)
        while (inode := names.next_inode) is not None:
            paths = dict.fromkeys(place.path for place in names.take(inode) or ())
            for path in paths:
                self._tell(inode, self._catalogue.path_of(*path))
            count += len(paths)
        return count

    def _tell(self, inode: int, path: str) -> None:
        self._findings.note(f"{inode:>10}  {path}")

    def _follow(self, header: Header | None) -> int:
        """Pass over all objects; how many names they have together."""
        count = 0
        names = self._catalogue.names(self._missing)
        while header is not None and not names.is_exhausted and header.type != HeaderType.END:
            if is_object(header):
                self._at = names.take(header.inode) or ()
                count += len(self._at)
                content = ObjectContent(self._records, header, self._findings)
                content.pass_over()
                header = content.following
            else:
                header = self._pass_over_remains(header)
        if not names.is_exhausted:
            names.lose_rest()
            if header is None:
                self._findings.end_early(self._reader.position)
        return count

    def _pass_over_remains(self, header: Header) -> Header | None:
        try:
            self._records.skip_content(header)
            return self._records.next()
        except EndOfStream:
            return None

    def _missing(self, places: Sequence[Place]) -> None:
        """An incremental dump names many objects that it does not have."""
        if not self._is_incremental:
            self._losses.missing(places)

    def _tell_damage(self, damage: Damage) -> None:
        self._losses.damaged(damage, self._at)
