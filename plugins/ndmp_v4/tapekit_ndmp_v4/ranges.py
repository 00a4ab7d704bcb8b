"""How a restore gets the ranges of the stream that it asks for.

Over TCP the data server tells the DMA (NOTIFY_DATA_READ), which asks the
mover; over a local connection it asks the session's mover itself. Either
way the bytes arrive in order on the one data connection. What is asked for may
be widened to whole records, since some movers send nothing else, and since
no tape has to go back for the rest of one; what is more than was wanted
waits for the next range. The one rule: nothing is asked for before
everything that was asked for has come (NDMP v4, MOVER_READ).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.mover import UNLIMITED
from tapekit.segments import Batch, piece_length, slice_piece

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.segments import DataSource, Piece

__all__ = ["AskedRanges"]


@final
class AskedRanges:
    """Ranges of a data connection, each asked for through ``ask``.

    For one thread, the job's.
    """

    def __init__(
        self, source: DataSource, ask: Callable[[int, int], None], record_bytes: int
    ) -> None:
        """:param ask: called with offset and length in bytes.
        :param record_bytes: what offsets and lengths are multiples of.
        """
        self._source: Final = source
        self._ask: Final = ask
        self._grain: Final = record_bytes
        self._at = 0
        """The offset of the next byte that comes."""
        self._asked = 0
        """Where that ends which was asked for."""
        self._rest: Batch | None = None
        """What has come and is not used."""
        self._has_ended = False

    def request(self, offset: int, length: int) -> DataSource:
        """Ask for bytes of the stream; see :class:`RangeSource`. What an
        earlier range has left unread is passed over.

        :raises ConnectionBroken: the connection is gone.
        """
        if not self._at <= offset <= self._asked:
            self._pass_over(self._asked)
            self._at = self._asked = offset - offset % self._grain
        stop = UNLIMITED if length == UNLIMITED else offset + length
        self._ask_up_to(stop)
        return _Range(self, offset, stop)

    def take(self, offset: int, stop: int) -> Batch | None:
        """The next batch from ``offset`` on, and nothing behind ``stop``;
        ``None`` if the stream ends.

        :raises ConnectionBroken: the connection is gone.
        """
        self._pass_over(offset)
        self._ask_up_to(stop)
        return self._next(stop)

    @property
    def has_ended(self) -> bool:
        """Whether the other end has closed the stream, and nothing of it is left."""
        return self._has_ended and self._rest is None

    def close(self) -> None:
        """Let go of what nobody has asked for."""
        rest, self._rest = self._rest, None
        if rest is not None:
            rest.release()

    def _ask_up_to(self, stop: int) -> None:
        """Ask for the bytes up to ``stop``, once all others have come."""
        if self._at < self._asked or self._asked >= stop or self._has_ended:
            return
        start, self._asked = self._asked, _whole(stop, self._grain)
        self._ask(start, UNLIMITED if stop == UNLIMITED else self._asked - start)

    def _pass_over(self, offset: int) -> None:
        """Drop what comes before an offset that has been asked for."""
        while self._at < offset and (batch := self._next(offset)) is not None:
            batch.release()

    def _next(self, stop: int) -> Batch | None:
        """What comes next, cut at ``stop``."""
        batch, self._rest = self._rest, None
        if batch is None and not self._has_ended:
            batch = self._source.get()
        if batch is None:
            self._has_ended = True
            return None
        wanted = stop - self._at
        if batch.length > wanted:
            batch, self._rest = _divided(batch, wanted)
        self._at += batch.length
        return batch


@final
class _Range:
    """The bytes of one request."""

    def __init__(self, ranges: AskedRanges, offset: int, stop: int) -> None:
        self._ranges: Final = ranges
        self._offset = offset
        self._stop: Final = stop

    def get(self) -> Batch | None:
        if self._offset >= self._stop:
            return None
        batch = self._ranges.take(self._offset, self._stop)
        if batch is None:
            self._offset = self._stop
        else:
            self._offset += batch.length
        return batch


def _whole(offset: int, grain: int) -> int:
    """The end of the record that the byte before ``offset`` lies in."""
    return UNLIMITED if offset == UNLIMITED else -(-offset // grain) * grain


def _divided(batch: Batch, at: int) -> tuple[Batch, Batch]:
    """Two batches of one, which is let go of when both have been used."""
    first: list[Piece] = []
    second: list[Piece] = []
    start = 0
    for piece in batch.pieces:
        length = piece_length(piece)
        inside = min(max(0, at - start), length)
        if inside:
            first.append(slice_piece(piece, 0, inside))
        if inside < length:
            second.append(slice_piece(piece, inside, length))
        start += length
    users = _Users(batch)
    return Batch.of(first, users.one_less), Batch.of(second, users.one_less)


@final
class _Users:
    """Two who use one batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch: Final = batch
        self._left = 2

    def one_less(self) -> None:
        self._left -= 1
        if not self._left:
            self._batch.release()
