"""What is known of a drive beyond one opening: counts, errors, a trace.

All users of a drive go through :class:`WatchedDrive`, which counts calls, not
records, and looks once a call whether there is a trace. The one rule: what a
drive answers reaches its user as it came.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final, TypeVar, final

from tapekit.hookspecs.tape_driver import AlertingDrive, Condition, TapeError
from tapekit.scsi.door import Status
from tapekit.scsi.malformed import Malformed
from tapekit.scsi.sense import SenseKey, decode_sense
from tapekit_tape_devices.drive_operations import DriveCounts, DriveErrorRow
from tapekit_tape_devices.tape_trace import answer_words, command_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.tape_driver import DriveStatus, ReadRun, TapeDrive
    from tapekit.scsi.door import CdbDoor, CdbReply, ScsiAddress
    from tapekit.segments import Piece
    from tapekit_tape_devices.tape_trace import DriveTrace

__all__ = ["DriveWatch", "TracedDoor", "WatchedDrive"]

T = TypeVar("T")

_KEPT_ERRORS: Final = 32

_CARTRIDGE_CHANGED: Final = (SenseKey.UNIT_ATTENTION, 0x28, 0x00)

_NO_ERRORS: Final = frozenset(
    {
        Condition.FILEMARK,
        Condition.END_OF_DATA,
        Condition.BEGINNING_OF_MEDIUM,
        Condition.EARLY_WARNING,
        Condition.END_OF_MEDIUM,
        Condition.NO_TAPE,
    }
)
"""What a drive finds in the course of its work."""


@final
class DriveWatch:
    """The counts, errors and trace of one drive, for as long as the stack runs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """:param clock: tells the time in seconds since 1970."""
        self.clock: Final = clock
        self.counts = DriveCounts()
        self.since_s = clock()
        self.conditions: Final[Counter[str]] = Counter()
        self.recent: Final[deque[DriveErrorRow]] = deque(maxlen=_KEPT_ERRORS)
        self.cartridge_changes = 0
        """How often the drive has told that it may have another cartridge."""
        self.soft_errors = 0
        """Errors that the drive had corrected, as it has told last."""
        self.alerts: Final[dict[int, str]] = {}
        """What the drive wanted somebody to know (SSC, TapeAlert)."""
        self.trace: DriveTrace | None = None

    def zero(self) -> None:
        """Count anew."""
        self.counts = DriveCounts()
        self.since_s = self.clock()

    def failed(self, operation: str, error: TapeError) -> None:
        """Note what an operation ended with."""
        self.say(f"{operation}: {error.condition.value}: {error}")
        if error.condition in _NO_ERRORS:
            return
        self.counts.errors += 1
        self.conditions[error.condition.value] += 1
        self.recent.append(
            DriveErrorRow(
                time_s=self.clock(),
                operation=operation,
                condition=error.condition.value,
                message=str(error),
            )
        )

    def heard(self, reply: CdbReply) -> None:
        """Note what a drive tells besides of another cartridge, in sense data of
        either form (SPC, 28h/00h).
        """
        if reply.status == Status.CHECK_CONDITION and reply.sense:
            try:
                sense = decode_sense(reply.sense)
            except Malformed:
                # Whoever sent the command is told.
                return
            news = (sense.key, sense.asc, sense.ascq)
            self.cartridge_changes += news == _CARTRIDGE_CHANGED

    def say(self, text: str) -> None:
        """Write a line into the trace, if there is one."""
        trace = self.trace
        if trace is not None and not trace.say(self.clock(), text) and self.trace is trace:
            self.trace = None


@final
class WatchedDrive:
    """A :class:`tapekit.hookspecs.tape_driver.TapeDrive` before another."""

    def __init__(
        self,
        drive: TapeDrive,
        watch: DriveWatch,
        door: CdbDoor | None,
        release: Callable[[], object] | None = None,
    ) -> None:
        """:param door: the drive's own door, or what stands before it.
        :param release: to be called when the drive has done its work, before
            it is closed.
        """
        self.door: Final = door
        self._drive: Final = drive
        self._watch: Final = watch
        self._release: Final = release
        self._is_dirty = False
        """Whether something was written that may not be durable yet."""
        watch.counts.opened += 1
        watch.say("open")

    def status(self) -> DriveStatus:
        """See :meth:`TapeDrive.status`."""
        watch = self._watch
        try:
            status = self._drive.status()
        except TapeError as error:
            watch.failed("status", error)
            raise
        watch.soft_errors = status.soft_errors
        if watch.trace is not None:
            watch.say(f"status: {status}")
        return status

    def write_records(self, pieces: Sequence[Piece], record_size: int) -> int:
        """See :meth:`TapeDrive.write_records`.

        :raises OSError: the file of an extent cannot be read.
        """
        watch = self._watch
        started = watch.clock()
        self._is_dirty = True
        try:
            taken = self._drive.write_records(pieces, record_size)
        except TapeError as error:
            watch.failed("write", error)
            raise
        counts = watch.counts
        counts.writes += 1
        counts.written_records += taken
        counts.written_bytes += taken * record_size
        counts.write_s += watch.clock() - started
        if watch.trace is not None:
            watch.say(f"write: {taken} records of {record_size} bytes")
        return taken

    def read_records(self, into: memoryview, limit: int, record_size: int) -> ReadRun:
        """See :meth:`TapeDrive.read_records`."""
        watch = self._watch
        started = watch.clock()
        try:
            run = self._drive.read_records(into, limit, record_size)
        except TapeError as error:
            watch.failed("read", error)
            raise
        self._count_read(run.records, run.length, started)
        return run

    def read_record(self, size: int) -> bytes:
        """See :meth:`TapeDrive.read_record`."""
        started = self._watch.clock()
        try:
            record = self._drive.read_record(size)
        except TapeError as error:
            self._watch.failed("read", error)
            raise
        self._count_read(1, len(record), started)
        return record

    def _count_read(self, records: int, length: int, started: float) -> None:
        watch, counts = self._watch, self._watch.counts
        counts.reads += 1
        counts.read_records += records
        counts.read_bytes += length
        counts.read_s += watch.clock() - started
        if watch.trace is not None:
            watch.say(f"read: {records} records, {length} bytes")

    def write_filemarks(self, count: int) -> None:
        """See :meth:`TapeDrive.write_filemarks`."""
        self._timed(f"write {count} filemarks", lambda: self._drive.write_filemarks(count))
        self._watch.counts.filemarks += count
        self._is_dirty = False

    def space_records(self, count: int) -> int:
        """See :meth:`TapeDrive.space_records`."""
        return self._timed(f"pass {count} records", lambda: self._drive.space_records(count))

    def space_filemarks(self, count: int) -> int:
        """See :meth:`TapeDrive.space_filemarks`."""
        return self._timed(f"pass {count} filemarks", lambda: self._drive.space_filemarks(count))

    def rewind(self) -> None:
        """See :meth:`TapeDrive.rewind`."""
        self._timed("rewind", self._drive.rewind)
        self._is_dirty = False

    def unload(self) -> None:
        """See :meth:`TapeDrive.unload`."""
        self._timed("unload", self._drive.unload)
        self._is_dirty = False

    def load(self) -> None:
        """See :meth:`TapeDrive.load`."""
        self._timed("load", self._drive.load)

    def close(self) -> None:
        """See :meth:`TapeDrive.close`."""
        try:
            try:
                if self._release is not None:
                    self._give_back(self._release)
            finally:
                self._drive.close()
        except TapeError as error:
            self._watch.failed("close", error)
            raise
        if isinstance(self._drive, AlertingDrive):
            self._watch.alerts.update(self._drive.alerts)
        self._watch.say("close")

    def _give_back(self, release: Callable[[], object]) -> None:
        """Let others have the drive, once all that was written is on the tape."""
        try:
            if self._is_dirty:
                self._drive.write_filemarks(0)
        finally:
            release()

    def _timed(self, operation: str, work: Callable[[], T]) -> T:
        watch = self._watch
        started = watch.clock()
        try:
            answer = work()
        except TapeError as error:
            watch.failed(operation, error)
            raise
        watch.counts.movements += 1
        watch.counts.movement_s += watch.clock() - started
        watch.say(operation if answer is None else f"{operation}: {answer}")
        return answer


@final
class TracedDoor:
    """A :class:`tapekit.scsi.door.CdbDoor` before another: commands go into the trace."""

    def __init__(self, door: CdbDoor, watch: DriveWatch) -> None:
        self._door: Final = door
        self._watch: Final = watch

    @property
    def address(self) -> ScsiAddress:
        """See :meth:`CdbDoor.address`."""
        return self._door.address

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        """See :meth:`CdbDoor.execute`."""
        watch = self._watch
        if watch.trace is None:
            reply = self._door.execute(cdb, data_out=data_out, data_in=data_in, timeout_s=timeout_s)
            watch.heard(reply)
            return reply
        words = command_words(cdb)
        try:
            reply = self._door.execute(cdb, data_out=data_out, data_in=data_in, timeout_s=timeout_s)
        except TapeError as error:
            watch.say(f"  {words}: no answer: {error}")
            raise
        watch.say(f"  {words}: {answer_words(reply)}")
        watch.heard(reply)
        return reply

    def reset(self) -> None:
        """See :meth:`CdbDoor.reset`."""
        self._watch.say("  reset")
        self._door.reset()
