"""Checkpoints of a running backup: noted, and kept once they are safe.

While phase IV goes on, places between two objects are noted. Such a place
becomes a checkpoint when the other end of the data connection has used
everything before it and a little more, since what was used last may be what
it fails at. The one rule: nothing becomes a checkpoint after the connection
has broken, because a broken one gives back buffers that nobody has used.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, final

from tapekit.hookspecs.environment import BadEnvironment
from tapekit.segments import Batch, piece_length, slice_piece
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.restart_contexts import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tapekit.segments import DataSink, Piece
    from tapekit_dump.backup_stream import ObjectStream

__all__ = ["Checkpoints", "CountingSink", "LossNotes", "Places"]

_DOUBTFUL: Final = 2
"""Batches that the other end may have let go of because it failed at them."""


class Places(Protocol):
    """Hears of the places between objects."""

    def reached(self, number: int) -> None:
        """Everything before this number is in the stream.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: a checkpoint cannot be kept.
        """
        ...


@final
class LossNotes:
    """Has losses noted before anything leaves that stands for them, the
    first time behind each checkpoint.

    :param count: tells how much has been lost so far.
    :param keep: makes a note durable: a place in the stream from which on
        something is lost, and the count.
    """

    def __init__(self, count: Callable[[], int], keep: Callable[[int, int], None]) -> None:
        self._count: Final = count
        self._keep: Final = keep
        self._left = 0
        self._known = 0
        self._is_noted = False

    def begin(self) -> None:
        """Nothing that is lost so far needs a note."""
        self._known = self._count()
        self._is_noted = False

    def checkpoint(self) -> int:
        """Everything lost so far is before a place that may become a
        checkpoint, or not; gives how much that is.

        :raises TapekitError: a note cannot be kept.
        """
        self._note()
        self.begin()
        return self._known

    def leaving(self, position: int, length: int) -> None:
        """What begins at a place of the stream is about to leave.

        :raises TapekitError: a note cannot be kept.
        """
        self._left = position
        self._note()
        self._left += length

    def _note(self) -> None:
        count = self._count()
        if count > self._known and not self._is_noted:
            self._keep(self._left, count)
            self._is_noted = True


@final
class CountingSink:
    """A sink that knows how much of the stream the other end has used.

    What is put begins at a checkpoint; what the other end wants begins there
    or a little later.
    """

    def __init__(
        self,
        sink: DataSink,
        position: int,
        wanted_from: int,
        check_repeated: Callable[[], None],
        leaving: Callable[[int, int], None],
    ) -> None:
        """:param position: where in the stream begins what is going to be put.
        :param wanted_from: bytes of the stream that the other end has already.
        :param check_repeated: called once before the first byte that the other
            end lacks leaves, if some that it has were put: raises unless they
            are surely the same.
        :param leaving: hears before each batch where in the stream it begins,
            and how long it is; what it raises ends the backup.
        """
        self._check_repeated: Final = check_repeated
        self._leaving: Final = leaving
        self._put = position
        self._sink: Final = sink
        self._wanted_from: Final = wanted_from
        self._unwanted = wanted_from - position
        self._is_repeating = self._unwanted > 0
        self._released = position
        self._ends: Final[deque[int]] = deque([position], maxlen=_DOUBTFUL + 1)

    @property
    def used(self) -> int:
        """Bytes of the stream that the other end has surely used."""
        return self._ends[0]

    def check(self) -> None:
        """Meet the end of the connection, if it has ended.

        :raises ConnectionBroken: it has.
        """
        self._sink.recycle(self._sink.acquire())

    def acquire(self) -> memoryview:
        """See :meth:`DataSink.acquire`."""
        return self._sink.acquire()

    def recycle(self, buffer: memoryview) -> None:
        """See :meth:`DataSink.recycle`."""
        self._sink.recycle(buffer)

    def put(self, batch: Batch) -> None:
        """See :meth:`DataSink.put`."""
        try:
            self._leaving(self._put, batch.length)
        except BaseException:
            batch.release()
            raise
        self._put += batch.length

        def release() -> None:
            batch.release()
            self._released += batch.length
            self._ends.append(self._released)

        unwanted = min(self._unwanted, batch.length)
        self._unwanted -= unwanted
        if unwanted == batch.length:
            release()
        else:
            self._check_before_first(batch)
            pieces = _without(batch.pieces, unwanted) if unwanted else batch.pieces
            self._sink.put(Batch(pieces, batch.length - unwanted, release))

    def _check_before_first(self, batch: Batch) -> None:
        if self._is_repeating:
            self._is_repeating = False
            try:
                self._check_repeated()
            except BaseException:
                batch.release()
                raise

    def drain(self) -> None:
        """See :meth:`DataSink.drain`."""
        self._sink.drain()

    def finish(self) -> None:
        """See :meth:`DataSink.finish`.

        :raises TapekitError: the stream ended before what the other end wants.
        """
        if self._unwanted:
            end = self._wanted_from - self._unwanted
            raise CATALOGUE.raised_as(
                BadEnvironment, "restart-offset-too-late", offset=self._wanted_from, end=end
            )
        self._sink.drain()
        self._sink.finish()


def _without(pieces: Iterable[Piece], count: int) -> Sequence[Piece]:
    """The pieces without their first bytes."""
    kept = []
    for piece in pieces:
        length = piece_length(piece)
        skipped = min(count, length)
        count -= skipped
        if skipped < length:
            kept.append(slice_piece(piece, skipped, length))
    return kept


@final
class Checkpoints:
    """Implements :class:`Places`."""

    def __init__(
        self,
        sink: CountingSink,
        stream: ObjectStream,
        keep: Callable[[Sequence[Checkpoint]], None],
        every_bytes: int,
        losses: LossNotes,
    ) -> None:
        """:param keep: makes checkpoints durable.
        :param every_bytes: how far they are apart, at least.
        """
        self._losses: Final = losses
        self._sink: Final = sink
        self._stream: Final = stream
        self._keep: Final = keep
        self._every: Final = every_bytes
        self._due = 0
        self._noted: Final[deque[Checkpoint]] = deque()
        offsets = None if stream.history is None else stream.history.offsets
        self._offsets: Final = offsets
        self._offsets_noted = 0 if offsets is None else offsets.file_bytes
        self._lost_noted = len(stream.lost_numbers)

    def reached(self, number: int) -> None:
        """See :class:`Places`."""
        position = self._stream.writer.position
        if position >= self._due:
            self._due = position + self._every
            self._note(position, number)
        if self._noted and self._noted[0].position <= self._sink.used:
            self._keep_used()

    def _note(self, position: int, number: int) -> None:
        history, offsets = self._stream.history, b""
        if history is not None:
            # What is before a checkpoint is never told again.
            history.flush()
        if self._offsets is not None:
            offsets = self._offsets.file_entries(self._offsets_noted)
            self._offsets_noted += len(offsets)
        lost = tuple(self._stream.lost_numbers[self._lost_noted :])
        self._lost_noted += len(lost)
        self._noted.append(Checkpoint(position, number, offsets, lost, self._losses.checkpoint()))

    def _keep_used(self) -> None:
        used, safe = self._sink.used, []
        # Buffers that came back after the end of the connection prove nothing.
        self._sink.check()
        while self._noted and self._noted[0].position <= used:
            safe.append(self._noted.popleft())
        if self._stream.history is not None:
            # A restart begins behind what the checkpoint has been told of.
            self._stream.history.await_sent()
        self._keep(safe)
