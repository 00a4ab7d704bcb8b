"""READ and SPACE, which bring the tape elsewhere and change nothing on it.

If the way to the drive is lost meanwhile, they go on over another one where
the place of the head proves where the tape stands: from where it stood before
the command they are sent again, where it came to in full its answer is made
up. The one rule: what was sent over the lost way may come late, so from then
on each place is compared with the one that is counted, before anybody gets
what was read.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi_devices.conditions import condition_of
from tapekit.scsi_devices.lost_answers import is_path_lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.scsi.position import Position
    from tapekit.scsi.sense import Sense

__all__ = [
    "BLOCKS",
    "FILEMARKS",
    "MOTION_S",
    "TRANSFER_S",
    "Arrival",
    "Motions",
    "Steering",
    "arrival_at",
]

_LOG: Final = logging.getLogger("tapekit.scsi_devices")

TRANSFER_S: Final = 25 * 60.0
"""How long one record may take."""

MOTION_S: Final = 2 * 60 * 60.0
"""How long the tape may move; some drives spend two hours on a new cartridge."""

BLOCKS: Final = 0
"""SPACE counts records, and stops at filemarks."""

FILEMARKS: Final = 1
"""SPACE counts filemarks."""

_READ: Final = "READ(6)"
_SPACE_6_LIMIT: Final = 1 << 23
_ENDS: Final = frozenset({Condition.FILEMARK, Condition.END_OF_DATA, Condition.BEGINNING_OF_MEDIUM})
"""What stops SPACE."""

_PASSED: Final = frozenset({None, Condition.RECORD_TOO_LONG, Condition.FILEMARK})
"""After what READ has passed an object."""

_AT_AN_END: Final = frozenset({Condition.END_OF_DATA, Condition.BEGINNING_OF_MEDIUM})
"""Where a late command of the same direction moves nothing any more."""

Arrival: TypeAlias = tuple[int, Condition | None]
"""What SPACE came to: how many were not passed, and what stopped it."""


class Steering(NamedTuple):
    """What a drive does for those who move its tape."""

    send: Callable[..., tuple[bytes, Sense | None]]
    """Sends a command that means something else at another place; raises
    :class:`TapeError` if it is not sent, or not answered."""
    known_place: Callable[[], Position | None]
    """Where the head stands; ``None`` where the drive does not know, or has
    news after which the tape may stand elsewhere than before."""
    found_place: Callable[[], Position | None]
    """The same after a way was lost, with the drive set up anew; ``None`` if
    more has happened than that."""
    trust_place: Callable[[], object]
    """Is told that the tape stands where it should."""
    strayed: Callable[[str], TapeError]
    """Is told that the tape may be anywhere; the error that tells so of the
    command after which that was seen."""
    error: Callable[[str, Sense | None, Condition], TapeError]
    """The error of a command that was not carried out in full."""


@final
class Motions:
    """READ and SPACE of one drive."""

    def __init__(self, drive: Steering, device: str) -> None:
        """:param device: the drive's physical path name, for messages."""
        self._drive: Final = drive
        self._device: Final = device
        self._place: Position | None = None
        """Where the head stands, counted along; ``None`` if nobody knows."""
        self._is_doubted = False
        """Whether a way was lost, so that a command may come late."""

    def begin(self) -> None:
        """Another tape, or the drive anew: no command of before may come."""
        self._place, self._is_doubted = None, False

    def lose(self) -> None:
        """The tape is brought elsewhere by another command."""
        self._place = None

    @property
    def objects(self) -> int | None:
        """Objects before the head, counted along; ``None`` if nobody knows."""
        return None if self._place is None else self._place.object_id

    def read(self, count: int) -> tuple[bytes, Sense | None]:
        """READ of a record of at most so many bytes.

        :returns: what was read, and the sense data unless it simply succeeded.
        :raises TapeError: no answer came, or where the tape stands is not known.
        """
        drive, before = self._drive, self._before()
        data, sense = drive.send(_READ, room=count, timeout_s=TRANSFER_S, count=count)
        if before is not None and is_path_lost(sense) and self._has_turned_back(before):
            data, sense = drive.send(_READ, room=count, timeout_s=TRANSFER_S, count=count)
        condition = condition_of(sense) if sense else None
        if before is not None and condition in _PASSED:
            self._place = _behind(before, is_mark=condition is Condition.FILEMARK)
        elif condition is not Condition.END_OF_DATA:
            self._place = None
        self._compare(_READ)
        return data, sense

    def _before(self) -> Position | None:
        """Where the head stands before a command that moves it."""
        if self._place is None:
            self._place = _if_known(self._drive.known_place())
        return self._place

    def _has_turned_back(self, before: Position) -> bool:
        """Whether the tape stands again before what was not read."""
        place = self._drive.found_place()
        if place is None or not before.object_id:
            return False
        is_done = place.object_id == before.object_id + 1
        if not is_done and not _is_unmoved(before, place):
            return False
        self._trust(_READ)
        if is_done:
            # Over a record, or over a filemark.
            self._drive.send("SPACE(6)", timeout_s=MOTION_S, code=BLOCKS, count=-1)
        self._compare(_READ)
        return True

    def _trust(self, name: str) -> None:
        self._drive.trust_place()
        self._is_doubted = True
        _LOG.warning("%s: %s goes on where it stood when a path was lost", self._device, name)

    def _compare(self, name: str) -> None:
        """Refuse to go on, after a way was lost, where the drive counts otherwise.

        :raises TapeError: it does.
        """
        if not self._is_doubted or self._place is None:
            return
        place = self._drive.known_place()
        if place is None or place.object_id != self._place.object_id:
            raise self._strayed(name)

    def _strayed(self, name: str) -> TapeError:
        self._place = None
        return self._drive.strayed(name)

    def space(self, code: int, count: int) -> Arrival:
        """SPACE over so many, backwards if negative.

        :param code: :data:`BLOCKS` or :data:`FILEMARKS`.
        :raises TapeError: no answer came, or one that does not say how far it went.
        """
        name = "SPACE(6)" if abs(count) < _SPACE_6_LIMIT else "SPACE(16)"
        before, self._place = self._before(), None
        _, sense = self._drive.send(name, timeout_s=MOTION_S, code=code, count=count)
        if before is not None and is_path_lost(sense):
            place = self._drive.found_place()
            arrival = _arrival_or_none(code, count, before, place)
            if place is not None and (arrival or _is_unmoved(before, place)):
                self._trust(name)
                if arrival:
                    self._place = place
                    return arrival
                _, sense = self._drive.send(name, timeout_s=MOTION_S, code=code, count=count)
        arrival = self._arrival(name, count, sense)
        if before is not None:
            self._arrive(name, code, count, before, arrival)
        return arrival

    def _arrival(self, name: str, count: int, sense: Sense | None) -> Arrival:
        condition = condition_of(sense) if sense else None
        if sense is None or condition is None:
            return 0, None
        left = sense.information
        if left is None and abs(count) == 1:
            left = 1
        if condition not in _ENDS or left is None:
            raise self._drive.error(name, sense, condition)
        return left, condition

    def _arrive(self, name: str, code: int, count: int, before: Position, arrival: Arrival) -> None:
        """Note where SPACE came to, which nobody else may have moved since.

        :raises TapeError: the drive counts otherwise after a way was lost.
        """
        self._place = _if_known(self._drive.known_place())
        if (
            self._is_doubted
            and arrival[1] not in _AT_AN_END
            and arrival != _arrival_or_none(code, count, before, self._place)
        ):
            raise self._strayed(name)


def _if_known(place: Position | None) -> Position | None:
    return place if place is not None and place.object_id is not None else None


def _behind(place: Position, *, is_mark: bool) -> Position:
    """The place behind one object more."""
    objects = None if place.object_id is None else place.object_id + 1
    files = None if place.file_id is None else place.file_id + is_mark
    return place._replace(object_id=objects, file_id=files)


def _is_unmoved(before: Position, now: Position) -> bool:
    """Whether the head stands where it stood; the beginning of a tape proves
    nothing, since every tape has one.
    """
    return bool(before.object_id) and before[:3] == now[:3]


def _arrival_or_none(
    code: int, count: int, before: Position, now: Position | None
) -> Arrival | None:
    return arrival_at(code, count, before, now) if now is not None else None


def arrival_at(code: int, count: int, before: Position, now: Position) -> Arrival | None:
    """What SPACE came to that has brought the head from one place to another;
    ``None`` if it does not lead there.
    """
    if None in (*before[:2], *now[:2]) or before.partition != now.partition:
        return None
    objects = (now.object_id or 0) - (before.object_id or 0)
    files = (now.file_id or 0) - (before.file_id or 0)
    direction = 1 if count > 0 else -1
    if code == FILEMARKS:
        return (0, None) if files == count and objects * direction > 0 else None
    if not files:
        return (0, None) if objects == count else None
    records = objects * direction - 1
    if files == direction and 0 <= records < abs(count):
        return abs(count) - records, Condition.FILEMARK
    return None
