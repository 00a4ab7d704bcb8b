"""Whether the destination has room for what is restored, before it is filled.

How long the stream of a whole backup is stands in its environment, how many
objects are restored in its directories; of parts of one nothing tells how
long they are but the header of each file. The one rule: a file system that does
not tell how much is free is never the reason to refuse.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias, final

from tapekit_dump.errors import CATALOGUE
from tapekit_dump.recover_selection import join_path
from tapekit_dump.recover_wanted import Wanted, status_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from tapekit.errors import TapekitError
    from tapekit_dump.recover_catalogue import Catalogue, Place
    from tapekit_dump.recover_findings import Findings
    from tapekit_dump.recover_selection import Branch, Path, View

__all__ = ["FileRoom", "check_inodes", "check_space", "missing_inodes"]

_Tops: TypeAlias = "Mapping[int, tuple[int, Path]]"
"""See :meth:`Destination.tops`."""

_WORTH_A_LOOK: Final = 4 << 20
"""Files from this many bytes on are compared with what is free."""

_BLOCK: Final = 512
"""Bytes that ``st_blocks`` counts in."""

_RESERVE: Final = 100 * 1000 * 1000
"""Bytes that a destination needs beside the data."""


def check_space(descriptor: int, path: str, wanted: int) -> None:
    """Refuse a restore of so many bytes if they do not fit.

    :param descriptor: an open directory of the destination.
    :param path: the destination, for the message.
    :raises TapekitError: there is less room.
    """
    status = os.fstatvfs(descriptor)
    free = status.f_bavail * status.f_frsize
    if wanted + _RESERVE > free:
        raise CATALOGUE.error(
            "space-missing", path=path, wanted=wanted, reserve=_RESERVE, free=free
        )


def check_inodes(descriptor: int, path: str, wanted: int) -> None:
    """Refuse a restore of so many objects if they do not fit.

    :raises TapekitError: there are fewer inodes.
    """
    status = os.fstatvfs(descriptor)
    # Some file systems have no fixed number of inodes, and tell 0 of 0.
    if status.f_files and wanted > status.f_favail:
        raise CATALOGUE.error("inodes-missing", path=path, wanted=wanted, free=status.f_favail)


def missing_inodes(
    views: Sequence[View], tops: _Tops, catalogue: Catalogue, branch: Branch
) -> TapekitError | None:
    """What to say if there are fewer inodes than what is selected takes;
    what replaces something takes none.

    :param catalogue: with all directories that were read.
    :param branch: the tops of all views.
    :raises TapekitError: a spool cannot be read.
    """
    short = {
        device: those
        for device, those in _by_file_system(views, tops).items()
        if (free := _free_inodes(those, tops)) is not None
        # Nothing is counted where even all there is would fit.
        and free < catalogue.names_count * _copies(those)
    }
    if not short:
        return None
    wanted = Wanted(catalogue, branch)
    counts = Counter(place.view.number for place in wanted.objects())
    for those in short.values():
        needed = sum(counts[view.number] for view in those)
        free = _free_inodes(those, tops)
        if free is not None and needed > free:
            needed -= _replaced(wanted, those, tops, needed - free)
            if needed > free:
                return CATALOGUE.error(
                    "inodes-missing", path=_shown(those), wanted=needed, free=free
                )
    return None


@final
class FileRoom:
    """Looks at each long file's header whether the file fits."""

    def __init__(self, catalogue: Catalogue, findings: Findings, stream_bytes: int) -> None:
        """:param stream_bytes: how long the stream is; 0 if that is unknown."""
        self._catalogue: Final = catalogue
        self._findings: Final = findings
        self._stream_bytes: Final = stream_bytes

    def look(self, place: Place, directory: int, size: int) -> None:
        """Warn of a file that may be too long; it may have holes that its first
        header does not show.

        :param directory: open descriptor of the place's directory.
        """
        wanted = min(size, self._stream_bytes or size)
        if wanted < _WORTH_A_LOOK:
            return
        system = os.fstatvfs(directory)
        free = system.f_bavail * system.f_frsize
        if not system.f_blocks or wanted <= free + _freed(place.name, directory):
            return
        self._findings.warn(
            CATALOGUE.error(
                "file-may-not-fit",
                path=self._catalogue.path_of(*place.path),
                wanted=wanted,
                destination=join_path(place.view.volume),
                free=free,
            )
        )


def _freed(name: bytes, directory: int) -> int:
    """Bytes that are free once a file replaces what has its name."""
    status = status_of(name, directory)
    if status is None or not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        return 0
    return status.st_blocks * _BLOCK


def _by_file_system(views: Iterable[View], tops: _Tops) -> Mapping[int, Sequence[View]]:
    found: dict[int, list[View]] = {}
    for view in views:
        found.setdefault(os.fstat(tops[view.number][0]).st_dev, []).append(view)
    return found


def _free_inodes(views: Sequence[View], tops: _Tops) -> int | None:
    """``None`` where they have no fixed number."""
    status = os.fstatvfs(tops[views[0].number][0])
    return status.f_favail if status.f_files else None


def _copies(views: Iterable[View]) -> int:
    """How many copies of one name the views can make at most."""
    return len(
        {
            view.target[: len(view.target) - len(view.source)] if view.keeps_path else view.number
            for view in views
        }
    )


def _replaced(wanted: Wanted, views: Collection[View], tops: _Tops, enough: int) -> int:
    """How many of the objects take the place of another one, or of a name of
    it; counts no farther than ``enough``.
    """
    seen: set[int] = set()
    for place, status in wanted.existing(tops):
        if place.view in views:
            seen.add(status.st_ino)
            if len(seen) >= enough:
                break
    return len(seen)


def _shown(views: Sequence[View]) -> str:
    return join_path(views[0].target if len(views) == 1 else views[0].volume)
