"""What passes through a data connection: batches of views and extents.

The unit of work between two threads is a :class:`Batch`: up to some MiB of
the stream, in order, as pieces that are either bytes in memory or an
:class:`Extent` of a file that nobody has read yet. An end that can take
extents (a virtual cartridge) copies them inside the kernel; any other reads
them. The one rule: whoever takes a batch calls ``release`` exactly once,
after its last byte has been used and not before.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "BUFFER_BYTES",
    "Batch",
    "ConnectionBroken",
    "DataSink",
    "DataSource",
    "Extent",
    "Piece",
    "piece_length",
    "pread_exactly",
    "slice_piece",
]

BUFFER_BYTES: Final = 1 << 20
"""Size of a ring buffer. Larger ones leave the processor's cache, smaller
ones make the hand-over between threads visible."""


_UNREADABLE_BYTES: Final = 4096
"""What is given up together where a file cannot be read."""


class Extent(NamedTuple):
    """Bytes of an open file that have not been read.

    If the file turns out to be shorter, the missing bytes are zeros: the
    stream has already promised its length. Nothing may be read beyond.
    """

    fd: int
    offset: int
    length: int
    lost: Callable[[int, int, OSError], None] | None = None
    """Hears of bytes that cannot be read (offset in the file, length, why),
    in the thread that meets them; the stream has zeros for them. Without it
    an unreadable file ends the stream."""

    def part(self, start: int, stop: int) -> Extent:
        """The bytes ``start`` to ``stop`` of it."""
        return Extent(self.fd, self.offset + start, stop - start, self.lost)


Piece: TypeAlias = "memoryview | Extent"
"""Some bytes of the stream: in memory (one byte per item) or in a file."""


def piece_length(piece: Piece) -> int:
    """Number of stream bytes that the piece stands for."""
    return piece.length if isinstance(piece, Extent) else len(piece)


def slice_piece(piece: Piece, start: int, stop: int) -> Piece:
    """The bytes ``start`` to ``stop`` of a piece, without copying."""
    if isinstance(piece, Extent):
        return piece.part(start, stop)
    return piece[start:stop]


def pread_exactly(extent: Extent, into: memoryview) -> None:
    """Read a whole extent; bytes that the file no longer has become zeros,
    and so do those that cannot be read if ``extent.lost`` is to hear of them.

    :raises OSError: the file cannot be read, and nobody hears of that.
    """
    done, most = 0, extent.length
    while done < extent.length:
        stop = min(done + most, extent.length)
        try:
            count = os.preadv(extent.fd, [into[done:stop]], extent.offset + done)
        except OSError as error:
            if extent.lost is None:
                raise
            if stop - done > _UNREADABLE_BYTES:
                # Somewhere in there: the rest goes in small pieces.
                most = _UNREADABLE_BYTES
                continue
            extent.lost(extent.offset + done, stop - done, error)
            into[done:stop] = bytes(stop - done)
            done = stop
            continue
        if count == 0:
            into[done : extent.length] = bytes(extent.length - done)
            return
        done += count


@final
class Batch:
    """Consecutive pieces of the stream that change hands together."""

    __slots__ = ("_release", "length", "pieces")

    def __init__(
        self, pieces: Sequence[Piece], length: int, release: Callable[[], None] | None = None
    ) -> None:
        self.pieces: Final = pieces
        self.length: Final = length
        self._release = release

    @classmethod
    def of(cls, pieces: Iterable[Piece], release: Callable[[], None] | None = None) -> Batch:
        """Build a batch and count its length."""
        kept = tuple(pieces)
        return cls(kept, sum(map(piece_length, kept)), release)

    def release(self) -> None:
        """Give buffers and descriptors back; later calls do nothing."""
        release, self._release = self._release, None
        if release is not None:
            release()


class ConnectionBroken(Exception):
    """The data connection ended before the stream did.

    Raised out of a blocking call when the other end broke off or when this
    end was aborted from another thread; the stream cannot go on.
    """


class DataSink(Protocol):
    """The writing end of a data connection: blocking, for one thread."""

    def acquire(self) -> memoryview:
        """Take a free buffer of :data:`BUFFER_BYTES`, waiting for one.

        The buffer comes back to the ring when the batch whose ``release``
        calls :meth:`recycle` with it has been used.

        :raises ConnectionBroken: the connection was aborted.
        """
        ...

    def recycle(self, buffer: memoryview) -> None:
        """Return a buffer that :meth:`acquire` gave; callable from any thread."""
        ...

    def put(self, batch: Batch) -> None:
        """Hand a batch over, waiting while the ring is full.

        The batch is owned by the connection from here on, also on error.

        :raises ConnectionBroken: the other end broke off.
        """
        ...

    def drain(self) -> None:
        """Wait until the other end has used everything handed over, as far
        as this kind of connection can know: for ``LOCAL``, every batch was
        released; for ``TCP``, everything is with the kernel.

        :raises ConnectionBroken: the connection was aborted, or the other
            end broke off before.
        """
        ...

    def finish(self) -> None:
        """End the stream cleanly; the other end gets all, then the end."""
        ...


class DataSource(Protocol):
    """The reading end of a data connection: blocking, for one thread."""

    def get(self) -> Batch | None:
        """Take the next batch, waiting for it; ``None`` at the clean end.

        :raises ConnectionBroken: the other end broke off.
        """
        ...
