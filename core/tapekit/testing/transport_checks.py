"""Whether a kind of data connection keeps the contracts of
:class:`DataConnection`, :class:`DataSink` and :class:`DataSource`.

Each check takes a fresh pair of joined connections, writes into one from a
thread and reads from the other. The one rule: a call that must return is
waited for with a limit, so that a lost wake-up is a failed claim and never
a test that hangs.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from tapekit.segments import BUFFER_BYTES, Batch, ConnectionBroken, Extent
from tapekit.testing.expecting import (
    PATIENCE_S,
    Background,
    expect,
    expect_equal,
    expect_raises,
    title,
)
from tapekit.testing.memory_tape import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.transport import DataConnection
    from tapekit.segments import DataSink, DataSource, Piece

__all__ = ["check_data_transport"]

T = TypeVar("T")

_MORE_THAN_ANY_RING: Final = 64 << 20
"""Bytes that no connection may take before its reader has begun."""


_STRIDE: Final = 61
_NOISE: Final = hashlib.shake_128(b"noise").digest(6 * BUFFER_BYTES)


class _Pair(NamedTuple):
    """Two joined connections, and how long a call on them may take."""

    writer: DataConnection
    reader: DataConnection
    patience_s: float

    def start(self, call: Callable[[], T], what: str) -> Background[T]:
        """Run a call in a thread of its own."""
        return Background(call, what, patience_s=self.patience_s)


def check_data_transport(
    make_pair: Callable[[], tuple[DataConnection, DataConnection]],
    *,
    patience_s: float = PATIENCE_S,
) -> None:
    """Claim everything that the contracts of a data connection promise.

    :param make_pair: two fresh connections, joined; what is written into
        the first comes out of the second.
    :param patience_s: after how many seconds a call counts as stuck.
    :raises AssertionError: naming the first claim that does not hold.
    """
    for check in _CHECKS:
        writer, reader = make_pair()
        try:
            check(_Pair(writer, reader, patience_s))
        except (AssertionError, ConnectionBroken) as error:
            told = str(error) or type(error).__name__
            raise AssertionError(f"{title(check)}: {told}") from error
        finally:
            writer.close()
            reader.close()


def _noise(length: int, number: int = 0) -> bytes:
    """Bytes without any repetition, others for each number."""
    return _NOISE[number * _STRIDE : number * _STRIDE + length]


def _read_all(source: DataSource) -> bytes:
    """The whole stream, each batch released once its bytes were used."""
    found = bytearray()
    while (batch := source.get()) is not None:
        data = bytes_of(batch.pieces)
        expect_equal(len(data), batch.length, "length of a batch's pieces")
        found += data
        batch.release()
    return bytes(found)


def _buffer_batch(sink: DataSink, data: bytes) -> Batch:
    """A batch in one buffer of the ring, which goes back with it."""
    buffer = sink.acquire()
    expect_equal(len(buffer), BUFFER_BYTES, "length of an acquired buffer")
    buffer[: len(data)] = data
    return Batch((buffer[: len(data)],), len(data), lambda: sink.recycle(buffer))


def _bytes_in_order(pair: _Pair) -> None:
    """More bytes than the ring holds arrive whole and in order."""
    parts = [_noise(size, n) for n, size in enumerate((BUFFER_BYTES, 1, 10240, 99_999) * 8)]

    def send() -> None:
        sink = pair.writer.sink()
        for part in parts:
            sink.put(_buffer_batch(sink, part))
        sink.finish()

    sending = pair.start(send, "put and finish while the other end reads")
    found = pair.start(lambda: _read_all(pair.reader.source()), "get up to the end").result()
    sending.result()
    expect_equal(len(found), sum(map(len, parts)), "bytes that arrived")
    expect(found == b"".join(parts), "other bytes arrived than were put")


def _extents(pair: _Pair) -> None:
    """Extents arrive as the file's bytes; what the file lacks is zeros."""
    content = _noise(5 * BUFFER_BYTES + 77)
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        fd = file.fileno()
        head, tail = b"head" * 256, b"tail"
        pieces: list[Piece] = [
            memoryview(head),
            Extent(fd, 5, len(content) - 5),
            memoryview(tail),
            Extent(fd, len(content) - 10, 3000),
        ]

        def send() -> None:
            sink = pair.writer.sink()
            sink.put(Batch.of(pieces))
            sink.finish()

        sending = pair.start(send, "put of a batch with extents")
        found = pair.start(lambda: _read_all(pair.reader.source()), "get of extents").result()
        sending.result()
    wanted = head + content[5:] + tail + content[-10:] + bytes(2990)
    expect_equal(len(found), len(wanted), "bytes that arrived from extents")
    expect(found == wanted, "other bytes arrived from extents than are in the file")


def _empty_stream(pair: _Pair) -> None:
    """A stream of no bytes is an end and no error, told as often as asked."""
    pair.start(pair.writer.sink().finish, "finish of an empty stream").result()
    source = pair.reader.source()
    for _ in range(2):
        got = pair.start(source.get, "get at the end of an empty stream").result()
        expect(got is None, "get at the end of an empty stream returned a batch")


def _batches_come_back(pair: _Pair) -> None:
    """Every batch is released once, after its bytes were used."""
    count = 40
    released: list[int] = []

    def send() -> None:
        sink = pair.writer.sink()
        for number in range(count):
            data = memoryview(_noise(5000, number))
            sink.put(Batch((data,), len(data), partial(released.append, number)))
        sink.drain()
        sink.finish()

    sending = pair.start(send, "put, drain and finish")
    pair.start(lambda: _read_all(pair.reader.source()), "get up to the end").result()
    sending.result()
    expect_equal(released, list(range(count)), "batches released once drained, in order")


def _writer_waits(pair: _Pair) -> None:
    """Memory is bounded: without a reader the writer is made to wait."""

    def send() -> None:
        sink = pair.writer.sink()
        for number in range(_MORE_THAN_ANY_RING // BUFFER_BYTES):
            sink.put(_buffer_batch(sink, _noise(BUFFER_BYTES, number)))
        sink.finish()

    sending = pair.start(send, "put of 64 MiB without a reader")
    sending.expect_blocked()
    found = pair.start(lambda: _read_all(pair.reader.source()), "get of 64 MiB").result()
    sending.result()
    expect_equal(len(found), _MORE_THAN_ANY_RING, "bytes that arrived late")


def _abort_wakes_reader(pair: _Pair) -> None:
    """A reader that waits hears of an abort of its own end."""
    reading = pair.start(pair.reader.source().get, "get after abort of its own end")
    reading.expect_blocked()
    pair.reader.abort()
    expect_raises(ConnectionBroken, reading.result, "get after abort of its own end")
    _expect_put_breaks(pair)


def _peer_abort_wakes_reader(pair: _Pair) -> None:
    """A reader that waits hears of an abort of the other end."""
    reading = pair.start(pair.reader.source().get, "get after abort of the other end")
    reading.expect_blocked()
    pair.writer.abort()
    expect_raises(ConnectionBroken, reading.result, "get after abort of the other end")


def _abort_wakes_writer(pair: _Pair) -> None:
    """A writer that waits hears of an abort of its own end."""
    sending = pair.start(lambda: _put_for_ever(pair.writer), "put after abort of its own end")
    sending.expect_blocked()
    pair.writer.abort()
    expect_raises(ConnectionBroken, sending.result, "put after abort of its own end")
    source = pair.reader.source()
    reading = pair.start(lambda: _read_all(source), "get after abort of the other end")
    expect_raises(ConnectionBroken, reading.result, "get after abort of the other end")


def _peer_abort_wakes_writer(pair: _Pair) -> None:
    """A writer that waits hears of an abort of the other end."""
    sending = pair.start(lambda: _put_for_ever(pair.writer), "put after abort of the other end")
    sending.expect_blocked()
    pair.reader.abort()
    expect_raises(ConnectionBroken, sending.result, "put after abort of the other end")


def _peer_close_breaks_writer(pair: _Pair) -> None:
    """A reader that closes before the end breaks the writer off."""
    sending = pair.start(lambda: _put_for_ever(pair.writer), "put after the reader closed")
    sending.expect_blocked()
    pair.reader.close()
    expect_raises(ConnectionBroken, sending.result, "put after the reader closed")


def _a_writer_sees_that_its_reader_left(pair: _Pair) -> None:
    """A writer that writes nothing can see whether its reader is still there."""
    pair.writer.sink()
    expect(not pair.writer.has_peer_left(), "has_peer_left while the reader is there")
    pair.reader.close()
    end = time.monotonic() + pair.patience_s
    while not (has_left := pair.writer.has_peer_left()) and time.monotonic() < end:
        os.sched_yield()
    expect(has_left, "has_peer_left after the reader closed")


def _close_before_finish_is_no_end(pair: _Pair) -> None:
    """A stream that was not finished must not look as if it had been."""
    sink = pair.writer.sink()
    sink.put(_buffer_batch(sink, _noise(1000)))
    pair.writer.close()
    reading = pair.start(
        lambda: _read_all(pair.reader.source()), "get after the writer closed early"
    )
    expect_raises(ConnectionBroken, reading.result, "get after the writer closed early")


def _ends_are_final(pair: _Pair) -> None:
    """Abort and close can come in any order and any number of times."""
    for connection in (pair.writer, pair.reader):
        for call in (connection.abort, connection.close, connection.close, connection.abort):
            pair.start(call, f"{call.__name__} again").result()
    expect_raises(
        ConnectionBroken,
        pair.start(pair.reader.source().get, "get after close").result,
        "get after close",
    )
    _expect_put_breaks(pair)


def _abort_releases(pair: _Pair) -> None:
    """What was put and never read is released by the time both are closed."""
    released: list[int] = []
    data = memoryview(_noise(1000))
    pair.writer.sink().put(Batch((data,), len(data), lambda: released.append(1)))
    pair.reader.abort()
    pair.reader.close()
    pair.writer.close()
    expect_equal(len(released), 1, "releases of a batch that nobody read, after close")


def _put_for_ever(writer: DataConnection) -> None:
    sink = writer.sink()
    while True:
        sink.put(_buffer_batch(sink, _noise(BUFFER_BYTES)))


def _expect_put_breaks(pair: _Pair) -> None:
    """Claim that a broken connection takes no bytes, if not at the first call."""
    putting = pair.start(lambda: _put_for_ever(pair.writer), "put on a broken connection")
    expect_raises(ConnectionBroken, putting.result, "put on a broken connection")


_CHECKS: Final[tuple[Callable[[_Pair], None], ...]] = (
    _bytes_in_order,
    _extents,
    _empty_stream,
    _batches_come_back,
    _writer_waits,
    _abort_wakes_reader,
    _peer_abort_wakes_reader,
    _abort_wakes_writer,
    _peer_abort_wakes_writer,
    _peer_close_breaks_writer,
    _a_writer_sees_that_its_reader_left,
    _close_before_finish_is_no_end,
    _ends_are_final,
    _abort_releases,
)
