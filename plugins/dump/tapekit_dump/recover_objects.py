"""Making the files of a backup, one after the other as the stream brings them.

A file is opened new under its name, filled run by run, finished by
descriptor and then linked to its other names; whatever fails for one file
is told and the stream is read on behind it. The one rule: after each object
the stream stands at the next header, whatever has happened to the object.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.data_engine import FileResult
from tapekit.streams import EndOfStream
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import RECORD_BYTES, HeaderType
from tapekit_dump.recover_attributes import Attributes
from tapekit_dump.recover_findings import fatal_error, is_fatal, result_of
from tapekit_dump.recover_places import ACCESS_ACL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tapekit_dump.headers import Header
    from tapekit_dump.reading import RecordReader
    from tapekit_dump.recover_attributes import AttributeSetter
    from tapekit_dump.recover_catalogue import Catalogue, Place
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_places import Places

__all__ = ["ObjectMaker"]

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNTIL_FINISHED: Final = 0o600
_LINK_LIMIT: Final = 4095
"""Longest target of a symbolic link that Linux takes."""

_COPY_FROM: Final = 128 * 1024
"""Longer runs are moved to the file without being gathered first."""


@final
class _Copy:
    """A file being made under one name."""

    __slots__ = ("fd", "links", "place")

    def __init__(self, fd: int, place: Place, links: Sequence[Place]) -> None:
        self.fd = fd
        """-1 once it has failed."""
        self.place = place
        self.links = links
        """The other names that it gets."""


@final
class ObjectMaker:
    """Makes objects in their places.

    :param old_format: whether users and groups have 16 bits.
    """

    def __init__(
        self,
        records: RecordReader,
        catalogue: Catalogue,
        places: Places,
        setter: AttributeSetter,
        findings: Findings,
        *,
        old_format: bool,
    ) -> None:
        self._records: Final = records
        self._stream: Final = records.stream
        self._catalogue: Final = catalogue
        self._places: Final = places
        self._setter: Final = setter
        self._findings: Final = findings
        self._old_format: Final = old_format
        self.made = 0
        """Objects that are complete in all their places."""

    def make(self, header: Header, wanted: Sequence[Place]) -> Header | None:
        """Restore the object whose header was read last.

        :returns: the next header, or ``None`` at the end of the stream.
        :raises TapekitError: nothing more can be written to the destination.
        """
        content = ObjectContent(self._records, header, self._findings)
        if not wanted:
            content.pass_over()
        elif stat.S_ISREG(header.mode):
            self._make_file(content, _families(wanted))
        else:
            self._make_special(content, _families(wanted))
        return content.following

    # Regular files

    def _make_file(self, content: ObjectContent, families: Sequence[Sequence[Place]]) -> None:
        copies = [copy for places in families if (copy := self._begin(places)) is not None]
        if not copies:
            content.pass_over()
            return
        try:
            offset = self._fill(content, copies)
            is_whole = offset >= content.header.size or not content.is_cut
            sets = content.take_sets()
            attributes = Attributes.of(content.header, old_format=self._old_format)
            for copy in copies:
                if copy.fd >= 0:
                    self._finish(copy, attributes, sets, offset, is_whole)
        finally:
            for copy in copies:
                if copy.fd >= 0:
                    os.close(copy.fd)
