"""Writes whose answer was lost with the way to the drive.

A drive counts the objects before its head, those in its memory included (SSC,
READ POSITION). So the count tells whether a write was carried out that nobody
has answered, and that all before it is still there. The one rule: only the
count from before the write, or that from behind it, proves anything; and what
was sent over the lost way may come late, so the count is taken once more when
all has been written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.scsi.sense import SenseKey

if TYPE_CHECKING:
    from tapekit.scsi.position import Position
    from tapekit.scsi.sense import Sense

__all__ = ["ObjectCount", "is_path_lost"]

_PATH_LOST: Final = (SenseKey.UNIT_ATTENTION, 0x29, 0x07)
"""I_T nexus loss occurred (SPC, sense key, ASC and ASCQ)."""


def is_path_lost(sense: Sense | None) -> bool:
    """Whether the answer to a command was lost with the way to the drive."""
    return sense is not None and (sense.key, sense.asc, sense.ascq) == _PATH_LOST


@final
class ObjectCount:
    """The objects before the head of a drive that is being written to."""

    def __init__(self) -> None:
        self._before: int | None = None
        self.is_doubted = False
        """Whether a way was lost since writing began, so that the count is to
        be compared once more."""

    def begin(self, before: int | None) -> None:
        """Writing begins behind so many objects; ``None`` if nobody knows."""
        self._before = before
        self.is_doubted = False

    def lose(self) -> None:
        """Nobody knows any more how many there are."""
        self._before = None

    @property
    def objects(self) -> int | None:
        """How many there are; ``None`` if nobody knows."""
        return self._before

    def passed(self, objects: int) -> None:
        """So many more were written."""
        if self._before is not None:
            self._before += objects

    def is_carried_out(self, objects: int, place: Position) -> bool | None:
        """Whether a command that was to write so many objects was carried out;
        ``None`` where that is not certain. The beginning of a tape proves
        nothing, since every tape has one.

        :param place: where the head stands now.
        """
        before, now = self._before, place.object_id
        if not before or now is None:
            return None
        is_done = {before: False, before + objects: True}.get(now)
        self.is_doubted = self.is_doubted or is_done is not None
        return is_done

    def is_kept(self, place: Position) -> bool:
        """Whether exactly what was counted is before the head.

        :param place: where the head stands now.
        """
        return self._before is not None and place.object_id == self._before
