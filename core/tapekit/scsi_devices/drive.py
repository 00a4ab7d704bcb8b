"""A tape drive over its raw door, whatever carries the commands.

Each record is a command (SSC, variable block mode), and what sense data says
about it becomes what :class:`TapeDrive` promises. Where the head is, the
drive is asked, as long as it knows. The one rule: after a unit
attention, or any answer that leaves the head's place in doubt, nothing that
depends on the place is sent again, by whomever, until the tape has been
rewound or changed.
"""

from __future__ import annotations

import logging
from itertools import repeat
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import (
    Condition,
    DriveStatus,
    ReadRun,
    TapeError,
    TapePosition,
)
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.malformed import at_least
from tapekit.scsi.position import LONG, POSITION_BYTES, SHORT, decode_position
from tapekit.scsi_devices.capacity import capacity_of
from tapekit.scsi_devices.conditions import condition_of
from tapekit.scsi_devices.conversation import Conversation
from tapekit.scsi_devices.durability import END_WARNINGS, UnsureData
from tapekit.scsi_devices.footing import Footing
from tapekit.scsi_devices.head import AskedHead, CountedHead
from tapekit.scsi_devices.health import corrected_errors, tell_alerts
from tapekit.scsi_devices.loading import finish_loading
from tapekit.scsi_devices.lost_answers import ObjectCount, is_path_lost
from tapekit.scsi_devices.modes import DriveModes
from tapekit.scsi_devices.motions import BLOCKS, FILEMARKS, MOTION_S, TRANSFER_S, Motions, Steering
from tapekit.scsi_devices.raw_door import RawDoor
from tapekit.scsi_devices.record_bytes import LIMITS_BYTES, longest_record, records_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tapekit.hookspecs.tape_driver import DriveSetup
    from tapekit.scsi.door import CdbDoor
    from tapekit.scsi.position import Position
    from tapekit.scsi.sense import Sense
    from tapekit.scsi_devices.head import Head
    from tapekit.segments import Piece

__all__ = ["CdbDrive"]

_LOG: Final = logging.getLogger("tapekit.scsi_devices")

_NO_TAPE: Final = frozenset({Condition.NO_TAPE, Condition.NOT_READY})
_NOT_CARRIED_OUT: Final = frozenset({Condition.BUSY, Condition.RESERVED})
"""What a device says of a command that it has not begun."""

_IN_DOUBT: Final = frozenset({Condition.MEDIUM_ERROR, Condition.HARDWARE_ERROR})
"""Where a drive that does not know its place may be anywhere."""

_KEPT_BY_MARKS: Final = frozenset({Condition.EARLY_WARNING})
"""What filemarks never tell; the next write does."""


@final
class CdbDrive:
    """A :class:`tapekit.hookspecs.tape_driver.TapeDrive` over a door."""

    def __init__(self, door: CdbDoor, device: str, let_go: Callable[[], object]) -> None:
        """:param device: the drive's physical path name, for messages.
        :param let_go: closes whatever is behind the door.
        :raises TapeError: the drive does not answer.
        """
        self.door: Final[CdbDoor | None] = RawDoor(door, self._give_mark_back, self._doubt_place)
        self._talk: Final = Conversation(door, device, TAPE_COMMANDS)
        self._modes: Final = DriveModes(self._talk, device)
        self._device: Final = device
        self._let_go: Final = let_go
        self._setup: DriveSetup | None = None
        self._footing: Final = Footing(self._talk, device)
        self._longest = 0
        """Bytes of the longest record that the drive takes; 0 until it is known."""
        self._head: Head = AskedHead(self._position)
        self._written: Final = ObjectCount()
        self._motions: Final = Motions(self._steering(), device)
        self._mark: Sense | None = None
        """Of a filemark that a read has met: the drive is behind it, its user
        before it. Most go on behind it, and a tape is slow to turn round."""
        self._unsure: Final = UnsureData(device, lambda: self._talk.attentions)
        self._soft_errors: int | None = 0
        """As the drive has last told; ``None`` if it does not count them."""
        self.alerts: Mapping[int, str] = {}
        """See :attr:`AlertingDrive.alerts`."""
        self._is_ready()

    def adjust(self, setup: DriveSetup) -> None:
        """See :meth:`AdjustableDrive.adjust`; a tape that is being loaded is
        waited for.
        """
        self._setup = setup
        self._talk.timeouts_s = setup.timeouts_s
        finish_loading(self._talk, loads_itself=setup.loads_itself, timeout_s=MOTION_S)
        # What has just been loaded has not been prepared.
        self._longest = 0
        self._is_ready()

    def status(self) -> DriveStatus:
        """See :meth:`TapeDrive.status`."""
        has_tape = self._is_ready()
        if self._head.is_known:
            self._give_mark_back()
        modes = self._modes.current()
        remaining, total = capacity_of(self._talk) if has_tape else (None, None)
        if has_tape and self._soft_errors is not None:
            self._soft_errors = corrected_errors(self._talk)
        return DriveStatus(
            has_tape=has_tape,
            write_protected=has_tape and modes.is_protected,
            position=self._head.position() if has_tape else TapePosition(0, 0),
            block_size=modes.descriptor.block_length if modes.descriptor else 0,
            soft_errors=self._soft_errors or 0,
            total_bytes=total,
            remaining_bytes=remaining,
        )

    # Writing.

    def write_records(self, pieces: Sequence[Piece], record_size: int) -> int:
        """See :meth:`TapeDrive.write_records`.

        :raises OSError: the file of an extent cannot be read.
        """
        self._unsure.raise_due(is_loss=self._footing.is_displaced)
        self._begin_writing("WRITE(6)")
        taken, mark = 0, self._unsure.mark()
        try:
            for record in records_of(pieces, record_size):
                error = self._write(record)
                if error is None:
                    taken += 1
                    continue
                if error.condition is Condition.EARLY_WARNING:
                    # The drive has taken this record and tells that it is the
                    # first one behind the mark; the contract tells it before the next.
                    taken += 1
                    if self._unsure.has_warned:
                        continue
                if not taken:
                    raise error
                self._unsure.postpone(error, mark)
                break
        finally:
            self._head.passed_records(taken)
        return taken

    def _write(self, record: bytes) -> TapeError | None:
        """Write a record; what the drive, or the way to it, has to say."""
        name = "WRITE(6)"
        try:
            sense, condition = self._send_writing(
                name, record, objects=1, timeout_s=TRANSFER_S, count=len(record)
            )
        except TapeError as error:
            # Records before it may have been taken.
            return error
        if sense is None or condition is None:
            return None
        if condition is Condition.END_OF_MEDIUM and (sense.information or 0) > len(record):
            # More was not written than this record: some that had been taken (SSC).
            condition = Condition.MEDIUM_ERROR
            self._written.lose()
        return self._talk.error(name, sense, condition)

    def _send_writing(
        self, name: str, data: bytes = b"", *, objects: int, timeout_s: float, count: int
    ) -> tuple[Sense | None, Condition | None]:
        """Send what writes so many objects. If the way to the drive is lost
        meanwhile, it is sent over another one, unless it was carried out.
        """
        before, mark = self._talk.attentions, self._unsure.mark()
        _, sense = self._send(name, data, timeout_s=timeout_s, count=count)
        if is_path_lost(sense):
            is_done = self._is_carried_out(objects)
            if is_done is not None:
                self._unsure.excuse(mark, before)
                _LOG.warning(
                    "%s: %s goes on where it stood when a path was lost", self._device, name
                )
                sense = None
            if is_done is False:
                _, sense = self._send(name, data, timeout_s=timeout_s, count=count)
        condition = condition_of(sense) if sense else None
        if condition in (None, Condition.EARLY_WARNING):
            self._written.passed(objects)
        elif condition is not Condition.END_OF_MEDIUM:
            self._written.lose()
        return sense, condition

    def _is_carried_out(self, objects: int) -> bool | None:
        """Whether the place of the head proves that what was sent last has
        been carried out, or that it has not; the drive is set up anew.
        """
        place = self._place_after_loss()
        is_done = self._written.is_carried_out(objects, place) if place is not None else None
        if is_done is not None:
            self._footing.trust()
        return is_done

    def _place_after_loss(self) -> Position | None:
        """Where the head stands; ``None`` if there was other news. The drive
        is set up anew.
        """
        self._set_up()
        # Last of all: whatever news there was, the answer is from after it.
        place = self._position()
        return place if self._footing.has_lost_path_alone else None

    def _has_kept_place(self) -> bool:
        """Whether a path was lost and nothing else has happened, as what moves no
        tape has heard, and the head stands where it is counted.
        """
        before, mark = self._footing.placed, self._unsure.mark()
        counted = self._motions.objects or self._written.objects
        # The beginning of a tape proves nothing, since every tape has one.
        if self._footing.is_displaced or not counted or not self._footing.has_lost_path_alone:
            return False
        place = self._place_after_loss()
        if place is None or place.object_id != counted:
            return False
        self._unsure.excuse(mark, before)
        self._footing.trust()
        _LOG.warning("%s stands where it stood when a path was lost", self._device)
        return True

    def _begin_writing(self, name: str) -> None:
        """What lies behind the head is lost, and so is what was known of it."""
        if not self._unsure.is_there:
            self._give_mark_back()
            objects = self._head.begin_writing()
            self._refuse_displaced(name)
            self._motions.lose()
            self._written.begin(objects)
            self._unsure.begin()

    def write_filemarks(self, count: int) -> None:
        """See :meth:`TapeDrive.write_filemarks`; none at all makes durable."""
        self._unsure.raise_due(is_loss=self._footing.is_displaced, but=_KEPT_BY_MARKS)
        if count:
            name = "WRITE FILEMARKS(6)"
            self._begin_writing(name)
            sense, condition = self._send_writing(
                name, objects=count, timeout_s=MOTION_S, count=count
            )
            self._refuse_unmarked(name, sense, condition)
        if not count or (self._written.is_doubted and not self._unsure.has_news):
            # Filemarks that count may still be in the memory of the drive.
            self._synchronize()
        self._compare_count()
        self._unsure.settle()
        self._head.passed_filemarks(count)

    def _synchronize(self) -> None:
        """Have the drive bring to the tape what it has taken."""
        name = "WRITE FILEMARKS(6)"
        _, sense = self._talk.send(name, timeout_s=MOTION_S, count=0)
        if is_path_lost(sense) and self._has_kept_place():
            _, sense = self._talk.send(name, timeout_s=MOTION_S, count=0)
        self._refuse_unmarked(name, sense, condition_of(sense) if sense else None)

    def _refuse_unmarked(self, name: str, sense: Sense | None, condition: Condition | None) -> None:
        if condition is not None and condition is not Condition.EARLY_WARNING:
            self._unsure.tell()
            raise self._talk.error(name, sense, condition)

    def _compare_count(self) -> None:
        """After a path was lost: doubt what was written if the drive counts
        otherwise, since what was sent over that path may have come late.
        """
        if not self._unsure.is_there or not self._written.is_doubted or self._unsure.has_news:
            return
        try:
            is_kept = self._written.is_kept(self._position())
        except TapeError as error:
            _LOG.warning("%s cannot tell what was written: %s", self._device, error)
            is_kept = False
        if not is_kept:
            self._footing.displace()
            self._unsure.doubt()

    def _end_writing(self) -> None:
        """All that was written is on the tape before its user goes elsewhere on it."""
        if self._unsure.is_there and not self._unsure.is_told:
            self._unsure.raise_due(is_loss=self._footing.is_displaced, but=END_WARNINGS)
            if not self._unsure.has_news:
                self._synchronize()
            self._compare_count()
            self._unsure.settle()
        self._written.lose()
        self._unsure.forget()

    def _leave(self) -> None:
        """The tape is about to go to its beginning, which makes all durable."""
        self._compare_count()
        self._written.lose()
        self._motions.lose()
        self._unsure.forget_warning()

    # Reading.

    def read_records(self, into: memoryview, limit: int, record_size: int) -> ReadRun:
        """See :meth:`TapeDrive.read_records`; a run is in ``into``, or one record."""
        filled = records = 0
        while not records or filled + record_size <= min(limit, len(into)):
            try:
                record = self._read(record_size, is_rest_lost=False)
            except TapeError as error:
                ends_run = error.condition in (
                    Condition.FILEMARK,
                    Condition.END_OF_DATA,
                    Condition.RECORD_TOO_LONG,
                )
                if not records or not ends_run:
                    raise
                break
            into[filled : filled + len(record)] = record
            filled, records = filled + len(record), records + 1
            if len(record) < record_size:
                break
        return ReadRun((into[:filled],), records, filled)

    def read_record(self, size: int) -> bytes:
        """See :meth:`TapeDrive.read_record`."""
        return self._read(max(size, 1), is_rest_lost=True)[:size]

    def _read(self, size: int, *, is_rest_lost: bool) -> bytes:
        """Read a record; the head is before it if this raises."""
        self._end_writing()
        name = "READ(6)"
        if self._mark is not None:
            raise self._talk.error(name, self._mark, Condition.FILEMARK)
        count = min(size, self._longest or size)
        data, sense = self._motions.read(count)
        condition = condition_of(sense) if sense else None
        if condition is None or (condition is Condition.RECORD_TOO_LONG and is_rest_lost):
            data = self._complete(data, count, sense)
            self._head.passed_records(1)
            return data
        if condition is Condition.FILEMARK:
            self._mark = sense
        elif condition is Condition.RECORD_TOO_LONG:
            self._motions.space(BLOCKS, -1)
        raise self._talk.error(name, sense, condition)

    def _complete(self, data: bytes, count: int, sense: Sense | None) -> bytes:
        """At most ``count`` bytes of the record that was just read. The sense
        data is right about its length, the transport may not be: some devices
        send too little of a record whose length is not the one asked for.
        """
        if sense is None or not sense.wrong_length or sense.information is None:
            return data[:count]
        length = count - sense.information
        if len(data) < min(length, count):
            self._motions.space(BLOCKS, -1)
            data, sense = self._motions.read(length)
            condition = condition_of(sense) if sense else None
            if condition is not None:
                raise self._talk.error("READ(6)", sense, condition)
            self._talk.decoded("READ(6)", lambda: at_least(data, length, "the record"))
        return data[: min(length, count)]

    def _give_mark_back(self) -> None:
        """Bring the head to where the user of the drive believes it."""
        if self._mark is not None:
            self._mark = None
            self._motions.space(FILEMARKS, -1)

    def _doubt_place(self, may_ask: bool) -> None:
        """A user's own command may have moved the tape; where to is the user's affair."""
        self._footing.leave()
        self._written.begin(None)
        self._motions.lose()
        self._head.moved_unseen(may_ask)

    # Motion.

    def _steering(self) -> Steering:
        return Steering(
            send=self._send,
            known_place=self._known_place,
            found_place=self._place_after_loss,
            trust_place=self._footing.trust,
            strayed=self._strayed,
            error=self._talk.error,
        )

    def _send(
        self, name: str, data: bytes = b"", *, room: int = 0, timeout_s: float, **values: int
    ) -> tuple[bytes, Sense | None]:
        """Send a command that means something else at another place."""
        self._refuse_displaced(name)
        before = self._talk.attentions
        try:
            data, sense = self._talk.send(name, data, room=room, timeout_s=timeout_s, **values)
        except TapeError as error:
            if error.condition not in _NOT_CARRIED_OUT:
                self._displace()
            self._doubt_count()
            raise
        if self._talk.attentions != before:
            self._displace()
        if sense is not None and condition_of(sense) in _IN_DOUBT:
            self._doubt_count()
        return data, sense

    def _refuse_displaced(self, name: str) -> None:
        is_sure = not self._footing.has_news or self._has_kept_place()
        if self._footing.is_displaced or not is_sure:
            # Also if a question has heard the news, whose answer was all that counted.
            self._unsure.tell()
            raise self._footing.refusal(name)

    def _known_place(self) -> Position | None:
        place = self._position() if self._head.is_known else None
        return None if self._footing.has_news else place

    def _strayed(self, name: str) -> TapeError:
        """The error of a command after which the tape stands elsewhere."""
        self._displace()
        return self._footing.strayed(name)

    def _displace(self) -> None:
        """The tape may be anywhere, as its user is told at once."""
        self._footing.displace()
        self._unsure.tell()

    def _doubt_count(self) -> None:
        if not self._head.is_known:
            self._head.moved_unseen(False)

    def space_records(self, count: int) -> int:
        """See :meth:`TapeDrive.space_records`."""
        self._end_writing()
        if self._mark is not None and count >= 0:
            return 0
        self._give_mark_back()
        passed, condition = self._travel(BLOCKS, count)
        self._head.passed_records(passed if count > 0 else -passed)
        if condition is Condition.FILEMARK:
            # The drive is on the far side of the mark.
            self._motions.space(FILEMARKS, -1 if count > 0 else 1)
            if count < 0:
                self._head.passed_filemarks(-1)
                self._head.passed_filemarks(1)
        self._note_beginning(condition)
        return passed

    def space_filemarks(self, count: int) -> int:
        """See :meth:`TapeDrive.space_filemarks`."""
        self._end_writing()
        if self._mark is not None and count > 0:
            self._mark = None
            self._head.passed_filemarks(1)
            return 1 + (self.space_filemarks(count - 1) if count > 1 else 0)
        if count < 0:
            self._give_mark_back()
        passed, condition = self._travel(FILEMARKS, count)
        if condition is Condition.END_OF_DATA:
            self._head.at_end_of_data(passed)
        else:
            self._head.passed_filemarks(passed if count > 0 else -passed)
        self._note_beginning(condition)
        return passed

    def _travel(self, code: int, count: int) -> tuple[int, Condition | None]:
        """How many were passed, and what stopped it."""
        # A drive that does not know its place may not say either how far it came.
        direction = 1 if count > 0 else -1
        steps = (count,) if self._head.is_known else repeat(direction, abs(count))
        passed, condition = 0, None
        for step in steps:
            left, condition = self._motions.space(code, step)
            passed += abs(step) - left
            if condition is not None:
                break
        return passed, condition

    def _note_beginning(self, condition: Condition | None) -> None:
        if condition is Condition.BEGINNING_OF_MEDIUM:
            self._head.at_beginning()

    def rewind(self) -> None:
        """See :meth:`TapeDrive.rewind`."""
        self._leave()
        self._mark = None
        self._talk.run("REWIND", timeout_s=MOTION_S)
        self._footing.is_displaced = False
        if not self._footing.is_prepared:
            # News from before the tape came here says nothing of its place.
            self._prepare()
        self._head.at_beginning()
        self._choose_density()
        self._unsure.settle()

    def unload(self) -> None:
        """See :meth:`TapeDrive.unload`."""
        self._leave()
        self._mark = None
        self._talk.run("LOAD UNLOAD", timeout_s=MOTION_S)
        self._footing.leave()
        # The next tape is another one.
        self._longest = 0
        self._unsure.settle()

    def load(self) -> None:
        """See :meth:`TapeDrive.load`."""
        self._leave()
        self._talk.run("LOAD UNLOAD", timeout_s=MOTION_S, load=1)
        self._footing.is_displaced = False
        self._talk.run("TEST UNIT READY")
        self._prepare()
        self._head.at_beginning()
        self._unsure.settle()

    def close(self) -> None:
        """See :meth:`TapeDrive.close`."""
        try:
            self._give_mark_back()
            if self._unsure.is_there:
                self.write_filemarks(0)
            self._tell_alerts()
        finally:
            self._let_go()

    def _tell_alerts(self) -> None:
        if self._footing.is_displaced or not self._longest:
            return
        try:
            self.alerts = tell_alerts(self._talk, self._device)
        except TapeError as error:
            # All data is on the tape by now.
            _LOG.info("%s was not asked for alerts: %s", self._device, error)

    # What the drive knows.

    def _is_ready(self) -> bool:
        """Whether a tape is loaded; hears unit attentions, and prepares what
        they made unsure.
        """
        try:
            self._talk.run("TEST UNIT READY")
        except TapeError as error:
            if error.condition not in _NO_TAPE:
                raise
            # News from before says nothing of a tape that is still to come.
            self._footing.placed = self._talk.attentions
            return False
        if self._longest and self._has_kept_place():
            return True
        if not self._footing.is_prepared or not self._longest:
            # Who has used this tape before does not know where it is now.
            self._footing.is_displaced = self._footing.is_displaced or bool(self._longest)
            self._prepare()
        return True

    def _prepare(self) -> None:
        """Records of any length, from a tape of which nothing is known."""
        self._footing.prepare()
        self._mark = None
        self._motions.begin()
        self._unsure.forget_warning()
        name = "READ BLOCK LIMITS"
        limits = self._talk.run(name, room=LIMITS_BYTES)
        self._longest = self._talk.decoded(name, lambda: longest_record(limits))
        self._set_up()
        place = self._position(SHORT)
        if place.is_beginning:
            self._choose_density()
        is_known = place.object_id is not None
        self._head = (
            AskedHead(self._position)
            if is_known
            else CountedHead(lambda: self._position(SHORT), is_beginning=place.is_beginning)
        )

    def _set_up(self) -> None:
        """What holds for all records, and what a drive forgets with its user."""
        self._modes.take_any_length()
        if self._setup is not None and self._setup.algorithm is not None:
            self._modes.compress(self._setup.algorithm)

    def _choose_density(self) -> None:
        """A drive takes another density at the beginning of a tape alone."""
        if self._setup is not None and self._setup.density:
            self._modes.write_density(self._setup.density)

    def _position(self, form: int = LONG) -> Position:
        name = "READ POSITION"
        data = self._talk.run(name, room=POSITION_BYTES[form], service_action=form)
        return self._talk.decoded(name, lambda: decode_position(data, form))
