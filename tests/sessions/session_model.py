"""What a session must do, in memory and in order: the oracle of random sessions.

The model walks the server's own tables of states, one event at a time; what
the tables do not say (how far a mover gets, what is then on the tape) it finds
out by moving whole records between a shadow drive and a stream. All records
have one size. The one rule: nothing here looks at the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from memory_stack import image
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.machine import Machine
from tapekit.testing import MemoryTape, MemoryTapeDrive
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.data_state import TRANSITIONS as DATA
from tapekit_ndmp_v4.data_state import DataEvent
from tapekit_ndmp_v4.joint_state import settle
from tapekit_ndmp_v4.mover_state import TRANSITIONS as MOVER
from tapekit_ndmp_v4.mover_state import MoverEvent
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    DataHaltReason,
    DataOperation,
    DataState,
    MoverHaltReason,
    MoverMode,
    MoverPauseReason,
    MoverState,
)

if TYPE_CHECKING:
    from tapekit_ndmp_v4.wire import Message

RECORD: Final = 1024


class Model:
    """A session, its tape, and the connection between its two servers."""

    def __init__(self) -> None:
        self.data: Final = Machine("data", DATA, DataState.IDLE)
        self.mover: Final = Machine("mover", MOVER, MoverState.IDLE)
        self.tape = MemoryTape()
        self.drive: MemoryTapeDrive | None = None
        self.is_writable = False
        self.posts: list[Message] = []
        """What the server must have told since the last look."""
        self.data_listens_locally = self.mover_listens_locally = False
        self.forget_data()
        self.forget_mover()

    def forget_data(self) -> None:
        self.operation = DataOperation.NOACTION
        self.data_halt = DataHaltReason.NA

    def forget_mover(self) -> None:
        self.mode = MoverMode.NOACTION
        self.pause = MoverPauseReason.NA
        self.mover_halt = MoverHaltReason.NA
        self.window = (0, UNLIMITED)
        self.since_window = 0
        self.position = 0
        self.moved = 0
        self.wanted = 0
        self.is_reading = False
        self.stream = b""
        """To tape: what is not written yet, in whole records."""
        self.is_joined = self.is_cut = False
        self.sent = b""
        """From tape: what a restore has received."""
        self.is_new_tape = False

    # The tape.

    def open_tape(self, *, is_writable: bool) -> None:
        self.drive, self.is_writable = MemoryTapeDrive(self.tape), is_writable

    def close_tape(self) -> None:
        self.drive = None

    def change_tape(self, tape: MemoryTape) -> None:
        self.tape = tape

    # Connecting.

    def data_listen(self, *, local: bool) -> None:
        self.data.fire(DataEvent.LISTEN)
        self.data_listens_locally = local

    def mover_listen(self, mode: MoverMode, *, local: bool) -> None:
        self.mover.fire(MoverEvent.LISTEN)
        self.mode, self.mover_listens_locally = mode, local

    def join_by_data(self) -> None:
        self.data.fire(DataEvent.CONNECT)
        self._joined()

    def join_by_mover(self, mode: MoverMode) -> None:
        self.mover.fire(MoverEvent.CONNECT)
        self.mode = mode
        self._joined()

    def _joined(self) -> None:
        settle(self.data, self.mover)
        self.is_joined = True
        self.data_listens_locally = self.mover_listens_locally = False

    def peer_joins_data(self) -> None:
        self.data.fire(DataEvent.ACCEPTED)

    def peer_sends_to_mover(self, length: int) -> None:
        """A peer connects, sends so much and closes."""
        self.mover.fire(MoverEvent.ACCEPTED)
        self._write(image(length))

    # Working.

    def start_backup(self, length: int) -> None:
        self.data.fire(DataEvent.START)
        self.operation = DataOperation.BACKUP
        self.halt_data(DataHaltReason.SUCCESSFUL)
        if self.is_joined:
            self._write(image(length))

    def start_recover(self) -> None:
        """A restore of everything from the image's beginning."""
        self.data.fire(DataEvent.START)
        self.operation = DataOperation.RECOVER
        self.is_reading = True
        self._send()

    def _write(self, data: bytes) -> None:
        self.stream = data.ljust(-(-len(data) // RECORD) * RECORD, b"\0")
        self._write_on()

    def _write_on(self) -> None:
        assert self.drive is not None
        while self.stream:
            if self._stop - self.position < RECORD:
                self.pause_mover(MoverPauseReason.EOW, self.position)
                return
            try:
                self.drive.write_records([memoryview(self.stream[:RECORD])], RECORD)
            except TapeError as error:
                self._tape_ended(error.condition)
                return
            self.is_new_tape = False
            self.stream = self.stream[RECORD:]
            self._count()
        self.halt_mover(MoverHaltReason.CONNECT_CLOSED)

    def _tape_ended(self, condition: Condition) -> None:
        if condition is Condition.END_OF_MEDIUM and self.is_new_tape:
            self.halt_mover(MoverHaltReason.MEDIA_ERROR)
            return
        self.is_new_tape = True
        self.pause_mover(MoverPauseReason.EOM, self.position)

    def _send(self) -> None:
        """Send from the wanted byte on, as far as window and tape file go."""
        assert self.drive is not None
        while True:
            if not self.window[0] <= self.wanted < self._stop:
                self.pause_mover(MoverPauseReason.SEEK, self.wanted)
                return
            target = (self.wanted - self.window[0]) // RECORD
            distance = target - self.since_window
            passed = self.drive.space_records(distance) if distance else 0
            self.since_window += passed if distance > 0 else -passed
            self.position = self.window[0] + self.since_window * RECORD
            if passed != abs(distance):
                self.pause_mover(MoverPauseReason.EOF, self.wanted)
                return
            try:
                record = self.drive.read_record(RECORD)
            except TapeError:
                self.pause_mover(MoverPauseReason.EOF, self.wanted)
                return
            self._count()
            self.wanted += RECORD
            self.sent += record

    @property
    def _stop(self) -> int:
        return min(self.window[0] + self.window[1], UNLIMITED)

    def _count(self) -> None:
        self.position += RECORD
        self.moved += RECORD
        self.since_window += 1

    def set_window(self, offset: int, length: int) -> None:
        self.window, self.since_window, self.position = (offset, length), 0, offset

    def resume_into_nothing(self, moved: int) -> None:
        """Go on sending to a data server that has gone; how far the tape went
        is the mover's affair.
        """
        self.mover.fire(MoverEvent.CONTINUE)
        self.pause, self.moved = MoverPauseReason.NA, moved
        self.halt_mover(MoverHaltReason.CONNECT_CLOSED)

    def resume(self) -> None:
        self.mover.fire(MoverEvent.CONTINUE)
        self.pause = MoverPauseReason.NA
        if self.mode is MoverMode.READ:
            self._write_on()
        elif self.is_reading:
            self._send()

    # Ending.

    def abort_data(self) -> None:
        self.data.fire(DataEvent.ABORT)
        self._tell_data_halt(DataHaltReason.ABORTED)
        self._data_end_breaks()

    def abort_mover(self) -> None:
        self._end_mover(MoverEvent.ABORT, MoverHaltReason.ABORTED)

    def close_mover(self) -> None:
        if self.mover.state is not MoverState.HALTED:
            self._end_mover(MoverEvent.CLOSE, MoverHaltReason.CONNECT_CLOSED)

    def _end_mover(self, event: MoverEvent, reason: MoverHaltReason) -> None:
        self.mover.fire(event)
        self._tell_mover_halt(reason)
        if settle(self.data, self.mover) is DataEvent.HALT:
            self._tell_data_halt(DataHaltReason.CONNECT_ERROR)
        elif self.is_joined and self.data.state is DataState.ACTIVE:
            is_good = event is MoverEvent.CLOSE
            self.halt_data(DataHaltReason.SUCCESSFUL if is_good else DataHaltReason.CONNECT_ERROR)

    def _data_end_breaks(self) -> None:
        """A mover that waits for data sees its connection go; one that is
        paused, or waits to be asked, looks when it goes on.
        """
        self.is_cut = self.is_joined
        waits_for_data = self.mover.state is MoverState.ACTIVE and self.mode is MoverMode.READ
        if self.is_joined and waits_for_data:
            self.halt_mover(MoverHaltReason.CONNECT_ERROR)

    def halt_data(self, reason: DataHaltReason) -> None:
        self.data.fire(DataEvent.HALT)
        self._tell_data_halt(reason)

    def _tell_data_halt(self, reason: DataHaltReason) -> None:
        self.data_halt = reason
        self.data_listens_locally = False
        self.posts.append(m.NotifyDataHaltedPost(reason=reason))

    def halt_mover(self, reason: MoverHaltReason) -> None:
        self.mover.fire(MoverEvent.HALT)
        self._tell_mover_halt(reason)
        if settle(self.data, self.mover) is DataEvent.HALT:
            self._tell_data_halt(DataHaltReason.CONNECT_ERROR)

    def _tell_mover_halt(self, reason: MoverHaltReason) -> None:
        self.pause, self.mover_halt = MoverPauseReason.NA, reason
        self.mover_listens_locally = False
        self.posts.append(m.NotifyMoverHaltedPost(reason=reason))

    def pause_mover(self, reason: MoverPauseReason, position: int) -> None:
        self.mover.fire(MoverEvent.PAUSE)
        self.pause = reason
        self.posts.append(m.NotifyMoverPausedPost(reason=reason, seek_position=position))

    def stop_data(self) -> None:
        self.data.fire(DataEvent.STOP)
        self.forget_data()

    def stop_mover(self) -> None:
        self.mover.fire(MoverEvent.STOP)
        self.forget_mover()
