"""One transfer between a tape and a data connection.

A worker thread runs the transfer from its beginning to its halt; requests
come from other threads, change what stands under one lock, and return at
once. The worker holds that lock to look and to count, never while a drive or
a connection keeps it waiting: whoever stops a mover that waits for its
connection breaks the connection too. The one rule: a record is let go of
only after the drive has taken it, so a pause loses nothing and writes
nothing twice.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, final

from tapekit.errors import TapekitError
from tapekit.hookspecs.mover import MoverHalt, MoverPause, MoverProgress, Window
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.segments import ConnectionBroken
from tapekit_mover.backlog import Backlog
from tapekit_mover.errors import CATALOGUE, DEFECTS, read_failure, write_failure
from tapekit_mover.record_sizes import RecordSizes
from tapekit_mover.sending import RecordSender
from tapekit_mover.window import TapeCount, cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.mover import MoverObserver
    from tapekit.hookspecs.tape_driver import OpenTape
    from tapekit.segments import DataSink, DataSource

__all__ = ["TapeMover"]

_LOG: Final = logging.getLogger("tapekit.mover")

_FILE_ENDS: Final = frozenset({Condition.FILEMARK, Condition.END_OF_DATA})


class _Stopped(Exception):
    """The transfer was closed or aborted."""

    def __init__(self, reason: MoverHalt) -> None:
        super().__init__(reason)
        self.reason: Final = reason


@final
class TapeMover:
    """A :class:`tapekit.hookspecs.mover.Mover`."""

    def __init__(
        self,
        tape: OpenTape,
        record_size: int,
        run_bytes: int,
        observer: MoverObserver,
        least_bytes: int = 0,
    ) -> None:
        """:param run_bytes: what is written or read in one call, at most.
        :param least_bytes: capacity that a tape must have if another one is
        to follow it.
        """
        self._least_bytes: Final = least_bytes
        self._record_sizes: Final = RecordSizes(record_size)
        self._cause: TapeError | None = None
        self._record_size: Final = record_size
        self._run_records: Final = max(1, run_bytes // record_size)
        self._observer: Final = observer
        self._changed: Final = threading.Condition()
        self._tape = tape
        self._count = TapeCount(Window(), record_size)
        self._stop: MoverHalt | None = None
        self._is_paused = False
        self._is_cut_off = False
        self._is_new_tape = False
        self._wanted = 0
        self._left = 0
        self._seek_position = 0
        self._bytes_moved = 0

    @property
    def progress(self) -> MoverProgress:
        """See :attr:`Mover.progress`."""
        with self._changed:
            return MoverProgress(
                record_number=self._count.record_number,
                bytes_moved=self._bytes_moved,
                seek_position=self._seek_position,
                bytes_left_to_read=self._left,
            )

    # Requests, from other threads.

    def set_window(self, window: Window) -> None:
        """See :meth:`Mover.set_window`."""
        with self._changed:
            self._count = TapeCount(window, self._record_size)
        self._record_sizes.forget()

    def read(self, offset: int, length: int) -> None:
        """See :meth:`Mover.read`."""
        with self._changed:
            self._wanted = self._seek_position = offset
            self._left = length
            self._changed.notify_all()

    def resume(self, tape: OpenTape) -> None:
        """See :meth:`Mover.resume`."""
        with self._changed:
            self._tape = tape
            self._is_paused = False
            self._changed.notify_all()

    def close(self) -> None:
        """See :meth:`Mover.close`."""
        self._ask_to_stop(MoverHalt.CONNECT_CLOSED)

    def abort(self) -> None:
        """See :meth:`Mover.abort`."""
        self._ask_to_stop(MoverHalt.ABORTED)

    def let_go(self) -> None:
        """See :meth:`Mover.let_go`."""
        with self._changed:
            self._is_cut_off = True
            self._changed.notify_all()

    def _ask_to_stop(self, reason: MoverHalt) -> None:
        with self._changed:
            if self._stop is not MoverHalt.ABORTED:
                self._stop = reason
            self._changed.notify_all()

    # The worker: to tape.

    def run_to_tape(self, source: DataSource) -> None:
        """See :meth:`Mover.run_to_tape`."""
        self._run(
            partial(self._write_stream, source), self._writing_failed, MoverHalt.CONNECT_ERROR
        )

    def _write_stream(self, source: DataSource) -> None:
        backlog = Backlog(self._record_size)
        try:
            while (batch := source.get()) is not None:
                backlog.add(batch)
                self._write_records(backlog)
            backlog.pad()
            self._write_records(backlog)
        finally:
            backlog.release()

    def _write_records(self, backlog: Backlog) -> None:
        """Write all whole records of the backlog, through any pauses."""
        size = self._record_size
        while backlog.length >= size:
            self._refuse_stopped()
            room = self._count.room
            if not room:
                self._pause(MoverPause.EOW, self._count.position)
                continue
            records = min(backlog.length // size, room, self._run_records)
            try:
                taken = self._tape.drive.write_records(backlog.first(records * size), size)
            except TapeError as error:
                if not self._is_tape_end(error.condition):
                    raise
                self._need_capacity()
                self._pause(MoverPause.EOM, self._count.position)
                self._is_new_tape = True
                continue
            backlog.take(taken * size)
            self._is_new_tape = False
            with self._changed:
                self._count.moved(taken, taken * size)
                self._bytes_moved += taken * size

    def _is_tape_end(self, condition: Condition) -> bool:
        """Whether another tape can help; one that is full at once does not."""
        if condition is Condition.END_OF_MEDIUM:
            return not self._is_new_tape
        return condition is Condition.EARLY_WARNING

    def _need_capacity(self) -> None:
        """Refuse to go on to another tape after one that is too small.

        :raises TapekitError: with the text of the guide.
        """
        if not self._least_bytes:
            return
        total = self._tape.drive.status().total_bytes
        if total is not None and total < self._least_bytes:
            raise CATALOGUE.error("tape-too-small", size=self._least_bytes >> 20)

    def _writing_failed(self, condition: Condition) -> TapekitError:
        return write_failure(condition, is_new_tape=self._is_new_tape)

    # The worker: from tape.

    def run_from_tape(self, sink: DataSink) -> None:
        """See :meth:`Mover.run_from_tape`."""
        self._run(partial(self._send_ranges, sink), read_failure, MoverHalt.CONNECT_CLOSED)

    def _send_ranges(self, sink: DataSink) -> None:
        sender = RecordSender(sink)
        try:
            while True:
                self._await_read()
                ended = self._send_next(sender)
                if ended is not None:
                    sink.drain()
                    self._pause(ended, self._wanted)
        except _Stopped as stopped:
            if stopped.reason is MoverHalt.CONNECT_CLOSED:
                # A peer that has gone already does not need to be told.
                with suppress(ConnectionBroken):
                    sink.finish()
            raise
        finally:
            sender.close()

    def _send_next(self, sender: RecordSender) -> MoverPause | None:
        """Send the next part of the range, or say why the tape does not have it."""
        count, wanted = self._count, self._wanted
        if not count.contains(wanted):
            return MoverPause.SEEK
        drop = self._seek(wanted)
        if drop is None:
            return MoverPause.EOF
        need = count.within(wanted, self._left)
        size = self._record_size
        records = min(-(-(drop + need) // size), self._run_records)
        try:
            run = sender.read(self._tape.drive, records * size, size)
        except TapeError as error:
            if error.condition not in _FILE_ENDS:
                raise
            if error.condition is Condition.END_OF_DATA and count.position == count.window.offset:
                self._observer.explained(CATALOGUE.error("already-at-end-of-tape").advice)
            return MoverPause.EOF
        mismatch = self._record_sizes.of_run(run)
        if mismatch is not None:
            self._observer.explained(mismatch.advice)
        sent = max(0, min(run.length - drop, need))
        # Counted first: whoever has received a range may ask for the next.
        with self._changed:
            count.moved(run.records, run.length)
            self._wanted += sent
            self._left -= sent
            self._bytes_moved += sent
        if not sent:
            # A record that ends before the offset wanted is the last there is.
            return MoverPause.EOF
        sender.put(cut(run.pieces, drop, drop + sent))
        return None

    def _seek(self, wanted: int) -> int | None:
        """Go to the record that has an offset; ``None`` if the tape file does
        not, else the bytes of the record before the offset.
        """
        seek = self._count.seek(wanted)
        if not seek.records:
            return seek.drop
        self._record_sizes.forget()
        passed = self._tape.drive.space_records(seek.records)
        with self._changed:
            self._count.sought(passed if seek.records > 0 else -passed)
        return seek.drop if passed == abs(seek.records) else None

    def _await_read(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._left or self._stop is not None)
        self._refuse_stopped()

    # The worker: pauses and the end.

    def _pause(self, reason: MoverPause, position: int) -> None:
        """Wait for :meth:`resume`; the connection stays as it is."""
        self._refuse_stopped()
        with self._changed:
            self._is_paused = True
            self._seek_position = position
        self._observer.paused(reason, position)
        with self._changed:
            self._changed.wait_for(lambda: self._has_ended_pause or self._is_cut_off)
        self._refuse_stopped()
        if self._is_cut_off:
            raise ConnectionBroken

    @property
    def _has_ended_pause(self) -> bool:
        return not self._is_paused or self._stop is not None

    def _await_end_of_pause(self) -> None:
        """Nothing is left of the stream, but only its client ends a pause."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_ended_pause)

    def _refuse_stopped(self) -> None:
        if self._stop is not None:
            raise _Stopped(self._stop)

    def _run(
        self,
        transfer: Callable[[], None],
        failure: Callable[[Condition], TapekitError],
        broken: MoverHalt,
    ) -> None:
        """Run a transfer and tell how it ended, whatever happens.

        :param broken: the reason when the other end of the connection goes.
        """
        reason, error = self._outcome(transfer, failure, broken)
        if self._stop is MoverHalt.ABORTED:
            reason, error = MoverHalt.ABORTED, None
        elif self._cause is not None:
            self._observer.explained(self._cause.advice)
            if not self._bytes_moved and self._cause.condition in DEFECTS:
                self._observer.explained(CATALOGUE.error("could-not-initialize-media").advice)
        self._observer.halted(reason, None if error is None else error.advice)

    def _outcome(
        self,
        transfer: Callable[[], None],
        failure: Callable[[Condition], TapekitError],
        broken: MoverHalt,
    ) -> tuple[MoverHalt, TapekitError | None]:
        try:
            transfer()
        except _Stopped as stopped:
            return stopped.reason, None
        except ConnectionBroken:
            self._await_end_of_pause()
            if self._stop is not None:
                return self._stop, None
            told = broken is MoverHalt.CONNECT_ERROR
            return broken, CATALOGUE.error("connection-broken") if told else None
        except TapeError as error:
            _LOG.error("the tape stopped a transfer: %s", error)
            self._cause = error
            return MoverHalt.MEDIA_ERROR, failure(error.condition)
        except TapekitError as error:
            return MoverHalt.MEDIA_ERROR, error
        except OSError as error:
            _LOG.exception("a file of the stream cannot be read")
            reason = error.strerror or str(error)
            return MoverHalt.INTERNAL_ERROR, CATALOGUE.error("data-unreadable", reason=reason)
        except Exception as error:  # noqa: BLE001 - whoever waits for the end must hear of it
            _LOG.exception("a transfer failed")
            return MoverHalt.INTERNAL_ERROR, CATALOGUE.error("mover-failed", reason=repr(error))
        return MoverHalt.CONNECT_CLOSED, None
