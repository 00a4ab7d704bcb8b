"""Restores of whole backups, level by level onto one destination.

A full dump begins anew; an incremental one is taken only by a destination
that holds its base, as the last restore there has told, or something that
was built on it: a level may come again, since it has all that the one before
had. The one rule: the destination holds what is remembered of it, or nothing
is remembered.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final, final

from tapekit.marks import PREFIXES
from tapekit_dump.attributes import decode_set
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.recover_increment import DumpedNames, Increment
from tapekit_dump.recover_memory import KnownName
from tapekit_dump.recover_selection import join_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tapekit_dump.headers import Header
    from tapekit_dump.recover_catalogue import Catalogue, Directory
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_memory import Restored, RestoreMemory
    from tapekit_dump.recover_places import Places
    from tapekit_dump.recover_selection import Path, View

__all__ = ["Succession"]

_LEFT_ALONE: Final = ("security.", "system.nfs4", *PREFIXES)
"""Attributes that a system gives by itself, and what a volume's administrator
has made of a directory."""


@final
class Succession:
    """One restore among those that make a chain; each step once, in order.

    :param tops: see :class:`tapekit_dump.recover_places.Places`.
    """

    def __init__(
        self,
        memory: RestoreMemory,
        view: View,
        tops: Mapping[int, tuple[int, Path]],
        findings: Findings,
    ) -> None:
        self._memory: Final = memory
        self._view: Final = view
        self._tops: Final = tops
        self._findings: Final = findings
        self._date = self._base_date = 0
        self._base: Restored | None = None
        self._increment: Increment | None = None

    def begin(self, first: Header) -> None:
        """Check that the dump fits the destination.

        :param first: the dump's first header.
        :raises TapekitError: the destination does not hold the dump's base, or
            is half on its way to another dump; or the state store failed.
        """
        self._date, self._base_date = first.date, first.base_date
        if not first.base_date:
            self._memory.forget()
            return
        self._base = self._memory.restored
        if self._base is None or not self._base.holds(first.base_date):
            raise CATALOGUE.error(
                "base-not-restored",
                level=first.level,
                base_date=first.base_date,
                path=join_path(self._view.target),
                holds="nothing known" if self._base is None else f"that of {self._base.date}",
            )
        if self._base.under_way not in (0, first.date):
            raise CATALOGUE.error(
                "increment-under-way",
                path=join_path(self._view.target),
                date=self._base.under_way,
            )

    def apply(self, catalogue: Catalogue) -> None:
        """Let the destination's names follow those of the dump.

        :raises TapekitError: the dump's directories are damaged, so that
            nothing has been changed; or nothing can be written.
        """
        if self._base is None:
            return
        findings, used, dumped = self._findings, catalogue.used, catalogue.dumped
        if used is None or dumped is None or findings.losses or findings.damages:
            raise CATALOGUE.error("increment-damaged", path=join_path(self._view.target))
        dump = DumpedNames(used, dumped, catalogue.directories)
        self._memory.begin(self._date)
        self._increment = Increment(
            self._date, self._known(), dump, self._view, self._tops, findings
        )
        is_next = self._base.date == self._base_date
        self._increment.apply(self._known(), catalogue.all_names(), is_next=is_next)

    def bring(self, directory: Directory, places: Places) -> None:
        """Take a directory to its place before it is made.

        :raises OSError: it cannot be given its name.
        """
        if self._increment is not None:
            self._increment.bring(directory, places)

    def place_rest(self, places: Places) -> None:
        """Give their names to what the dump has not, once its directories
        have been made.

        :raises TapekitError: nothing more can be written.
        """
        if self._increment is not None:
            self._increment.place_rest(places)

    def forget_attributes(self, directory: Directory, fd: int, sets: Sequence[bytes]) -> None:
        """Remove attributes that a directory does not have any more."""
        if self._increment is None or not self._increment.is_known_directory(directory.inode):
            return
        present = {name for blob in sets for name in decode_set(blob)[0]}
        # A file system without attributes has none to remove.
        with contextlib.suppress(OSError):
            for name in os.listxattr(fd):
                if name not in present and not name.startswith(_LEFT_ALONE):
                    os.removexattr(fd, name)

    def conclude(self, catalogue: Catalogue) -> None:
        """Remember what the destination holds now.

        :raises TapekitError: the state store failed.
        """
        if self._findings.has_ended_early:
            return
        if self._increment is None:
            self._memory.keep(self._date, _names_of(catalogue))
            return
        assert self._base is not None
        names = self._increment.names_after(self._known(), catalogue.all_names())
        self._memory.keep(self._date, names, self._base.bases_with(self._base_date))

    def close(self) -> None:
        """Close what is open."""
        if self._increment is not None:
            self._increment.close()

    def _known(self) -> Iterator[KnownName]:
        assert self._base is not None
        return self._memory.names(self._base)


def _names_of(catalogue: Catalogue) -> Iterator[KnownName]:
    """All names of a full dump."""
    directories = catalogue.directories
    for number, directory, name in catalogue.all_names():
        yield KnownName(number, directory, name, number in directories)
