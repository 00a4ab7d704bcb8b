"""The ring between two threads, and the connections made of two of them."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit.hookspecs.transport import Endpoint
from tapekit.segments import BUFFER_BYTES, Batch, ConnectionBroken, DataSink, DataSource, Extent
from tapekit_transport_tcp.ring import LocalTransport, Ring

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 60


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def assert_blocked(future: Future[object]) -> None:
    with pytest.raises(StillRunning):
        future.result(timeout=0.05)


class Released:
    """Counts the releases of the batches it makes."""

    def __init__(self) -> None:
        self.count = 0

    def batch(self, data: bytes = b"x") -> Batch:
        return Batch.of([memoryview(data)], self._release)

    def _release(self) -> None:
        self.count += 1


def put_buffer(ring: Ring, data: bytes) -> None:
    buffer = ring.acquire()
    buffer[: len(data)] = data
    ring.put(Batch.of([buffer[: len(data)]], lambda: ring.recycle(buffer)))


def read_all(source: DataSource) -> bytes:
    data = bytearray()
    while (batch := source.get()) is not None:
        for piece in batch.pieces:
            assert not isinstance(piece, Extent)
            data += piece
        batch.release()
    return bytes(data)


def write_all(sink: DataSink, chunks: list[bytes]) -> None:
    for chunk in chunks:
        buffer = sink.acquire()
        buffer[: len(chunk)] = chunk
        sink.put(Batch.of([buffer[: len(chunk)]], lambda buffer=buffer: sink.recycle(buffer)))
    sink.finish()


@given(st.lists(st.binary(max_size=40), max_size=40), st.integers(2, 5))
def test_ring_gives_bytes_in_order(chunks: list[bytes], size: int) -> None:
    ring = Ring(size)
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write_all, ring, chunks)
        assert read_all(ring) == b"".join(chunks)
        writer.result(PATIENCE_S)


def test_ring_passes_extents_as_they_are() -> None:
    ring = Ring(2)
    ring.put(Batch.of([Extent(7, 4096, 10**12)]))
    batch = ring.get()
    assert batch is not None
    assert batch.pieces == (Extent(7, 4096, 10**12),)
    assert batch.length == 10**12


def test_buffers_are_of_the_agreed_size_and_go_round() -> None:
    ring = Ring(2)
    first = ring.acquire()
    assert len(first) == BUFFER_BYTES
    assert not first.readonly
    ring.recycle(first)
    assert ring.acquire() is first


def test_a_part_of_a_buffer_gives_all_of_it_back() -> None:
    ring = Ring(2)
    whole = ring.acquire()
    ring.recycle(whole[10:20])
    assert ring.acquire() is whole


def test_acquire_waits_while_all_buffers_are_out(threads: ThreadPoolExecutor) -> None:
    ring = Ring(2)
    held = [ring.acquire(), ring.acquire()]
    third = threads.submit(ring.acquire)
    assert_blocked(third)
    ring.recycle(held[0])
    assert third.result(PATIENCE_S) is held[0]


def test_a_buffer_that_comes_back_twice_is_refused() -> None:
    ring = Ring(2)
    buffer = ring.acquire()
    ring.recycle(buffer)
    with pytest.raises(ValueError, match="twice"):
        ring.recycle(buffer)


def test_a_stranger_buffer_is_refused() -> None:
    with pytest.raises(ValueError, match="not lent"):
        Ring(2).recycle(memoryview(bytearray(BUFFER_BYTES)))


def test_a_reader_that_holds_all_buffers_and_waits_gets_more(threads: ThreadPoolExecutor) -> None:
    ring = Ring(2)
    put_buffer(ring, b"one")
    put_buffer(ring, b"two")
    held = [ring.get(), ring.get()]
    third = threads.submit(ring.get)
    put_buffer(ring, b"three")
    batch = third.result(PATIENCE_S)
    assert batch is not None
    assert [bytes(piece) for piece in batch.pieces] == [b"three"]
    for held_batch in (*held, batch):
        assert held_batch is not None
        held_batch.release()
    assert len(ring._free) == 2


def test_a_writer_that_waited_first_is_told_that_the_reader_waits(
    threads: ThreadPoolExecutor,
) -> None:
    ring = Ring(2)
    put_buffer(ring, b"one")
    put_buffer(ring, b"two")
    assert ring.get() is not None
    assert ring.get() is not None
    waiting = threads.submit(ring.acquire)
    assert_blocked(waiting)
    reader = threads.submit(ring.get)
    assert len(waiting.result(PATIENCE_S)) == BUFFER_BYTES
    ring.finish()
    assert reader.result(PATIENCE_S) is None


def test_put_waits_while_the_queue_is_full(threads: ThreadPoolExecutor) -> None:
    ring, released = Ring(2), Released()
    ring.put(released.batch())
    ring.put(released.batch())
    third = threads.submit(ring.put, released.batch())
    assert_blocked(third)
    assert ring.get() is not None
    third.result(PATIENCE_S)


def test_get_waits_for_a_batch(threads: ThreadPoolExecutor) -> None:
    ring, released = Ring(2), Released()
    reader = threads.submit(ring.get)
    assert_blocked(reader)
    ring.put(released.batch())
    assert reader.result(PATIENCE_S) is not None


def test_finish_returns_at_once_and_the_reader_gets_the_rest_then_the_end() -> None:
    ring, released = Ring(4), Released()
    ring.put(released.batch(b"a"))
    ring.put(released.batch(b"b"))
    ring.finish()
    ring.finish()
    assert read_all(ring) == b"ab"
    assert released.count == 2
    assert ring.get() is None


def test_put_after_finish_is_a_mistake_that_shows() -> None:
    ring, released = Ring(2), Released()
    ring.finish()
    with pytest.raises(ValueError, match="finished"):
        ring.put(released.batch())
    assert released.count == 1
    assert ring.get() is None


def test_drain_waits_for_the_last_release(threads: ThreadPoolExecutor) -> None:
    ring, released = Ring(4), Released()
    ring.put(released.batch())
    ring.put(released.batch())
    drained = threads.submit(ring.drain)
    first, second = ring.get(), ring.get()
    assert first is not None
    assert second is not None
    second.release()
    assert_blocked(drained)
    first.release()
    drained.result(PATIENCE_S)
    assert released.count == 2


def test_drain_returns_at_once_when_nothing_is_out() -> None:
    Ring(2).drain()


def test_abort_wakes_a_reader(threads: ThreadPoolExecutor) -> None:
    ring = Ring(2)
    reader = threads.submit(ring.get)
    assert_blocked(reader)
    ring.abort()
    with pytest.raises(ConnectionBroken):
        reader.result(PATIENCE_S)


def test_abort_wakes_every_waiting_call_of_a_writer(threads: ThreadPoolExecutor) -> None:
    ring, released = Ring(2), Released()
    buffers = [ring.acquire(), ring.acquire()]
    ring.put(released.batch())
    ring.put(released.batch())
    calls = [
        threads.submit(ring.put, released.batch()),
        threads.submit(ring.acquire),
        threads.submit(ring.drain),
    ]
    for call in calls:
        assert_blocked(call)
    ring.abort()
    for call in calls:
        with pytest.raises(ConnectionBroken):
            call.result(PATIENCE_S)
    assert released.count == 3
    for buffer in buffers:
        ring.recycle(buffer)


def test_abort_releases_what_was_not_delivered_once() -> None:
    ring, released = Ring(4), Released()
    ring.put(released.batch())
    ring.put(released.batch())
    held = ring.get()
    assert held is not None
    ring.abort()
    ring.abort()
    assert released.count == 1
    held.release()
    assert released.count == 2


def test_abort_releases_the_rest_when_one_release_fails() -> None:
    def fail() -> None:
        raise OSError("cannot close")

    ring, released = Ring(4), Released()
    ring.put(Batch.of([memoryview(b"x")], fail))
    ring.put(released.batch())
    with pytest.raises(OSError, match="cannot close"):
        ring.abort()
    assert released.count == 1
    assert ring._unreleased == 0


def test_a_broken_ring_refuses_every_call() -> None:
    ring, released = Ring(2), Released()
    ring.abort()
    for call in (ring.acquire, ring.get, ring.drain, ring.finish):
        with pytest.raises(ConnectionBroken):
            call()
    with pytest.raises(ConnectionBroken):
        ring.put(released.batch())
    assert released.count == 1


def test_abort_after_finish_drops_what_was_not_read() -> None:
    ring, released = Ring(2), Released()
    ring.put(released.batch())
    ring.finish()
    ring.abort()
    assert released.count == 1
    with pytest.raises(ConnectionBroken):
        ring.get()


def test_abort_after_the_end_changes_nothing() -> None:
    ring = Ring(2)
    ring.finish()
    assert ring.get() is None
    ring.abort()
    assert ring.get() is None
    ring.drain()


def test_pair_carries_both_ways() -> None:
    near, far = LocalTransport(4).pair()
    for one, other in ((near, far), (far, near)):
        sink, source = one.sink(), other.source()
        write_all(sink, [b"to ", b"you"])
        assert read_all(source) == b"to you"
    assert near.peer is None


def test_closing_after_finish_leaves_the_rest_to_the_reader() -> None:
    near, far = LocalTransport(4).pair()
    write_all(near.sink(), [b"all ", b"of it"])
    near.close()
    assert read_all(far.source()) == b"all of it"
    far.close()


def test_closing_before_finish_breaks_the_reader() -> None:
    near, far = LocalTransport(4).pair()
    released = Released()
    near.sink().put(released.batch())
    near.close()
    assert released.count == 1
    with pytest.raises(ConnectionBroken):
        far.source().get()


def test_a_reader_that_closes_breaks_the_writer() -> None:
    near, far = LocalTransport(4).pair()
    released = Released()
    near.sink().put(released.batch())
    far.close()
    assert released.count == 1
    with pytest.raises(ConnectionBroken):
        near.sink().put(released.batch())
    assert released.count == 2


@pytest.mark.parametrize("side", [0, 1])
def test_abort_of_either_end_wakes_the_other(side: int, threads: ThreadPoolExecutor) -> None:
    pair = LocalTransport(2).pair()
    reader = threads.submit(pair[1].source().get)
    assert_blocked(reader)
    pair[side].abort()
    pair[side].abort()
    with pytest.raises(ConnectionBroken):
        reader.result(PATIENCE_S)
    with pytest.raises(ConnectionBroken):
        pair[0].sink().acquire()
    for connection in pair:
        connection.close()
        connection.close()


async def test_local_has_no_address() -> None:
    transport = LocalTransport(2)
    assert transport.kind == "LOCAL"
    with pytest.raises(TapekitError) as listening:
        await transport.listen("127.0.0.1")
    with pytest.raises(TapekitError) as connecting:
        await transport.connect(Endpoint("127.0.0.1", 10000))
    assert listening.value.id == connecting.value.id == "transport_tcp.local-only"


def put_for_ever(ring: Ring, made: Released, put: list[Batch]) -> None:
    while True:
        put.append(made.batch())
        ring.put(put[-1])


def read_some_then_abort(ring: Ring, count: int) -> None:
    for _ in range(count):
        batch = ring.get()
        assert batch is not None
        batch.release()
    ring.abort()


@pytest.mark.slow
def test_many_threads_that_break_many_rings_lose_no_batch() -> None:
    for count in range(200):
        ring, released = Ring(2), Released()
        put: list[Batch] = []
        with ThreadPoolExecutor(2) as pool:
            writer = pool.submit(put_for_ever, ring, released, put)
            pool.submit(read_some_then_abort, ring, count).result(PATIENCE_S)
            with pytest.raises(ConnectionBroken):
                writer.result(PATIENCE_S)
        assert released.count == len(put)
