"""The fakes in memory work, and find what misuses them."""

from __future__ import annotations

import tempfile
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.data_engine import FileResult, LogLevel, NodeEntry
from tapekit.segments import BUFFER_BYTES, Batch, ConnectionBroken, Extent
from tapekit.streams import EndOfStream, StreamReader, StreamWriter
from tapekit.testing import (
    FailingSink,
    FailingSource,
    MemoryRanges,
    MemoryServices,
    MemorySink,
    MemorySource,
    bytes_of,
)
from tapekit.testing.expecting import Background, expect_equal, expect_raises

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.segments import DataSink


def view_batch(data: bytes, release: Callable[[], None] | None = None) -> Batch:
    return Batch.of([memoryview(data)], release)


def test_sink_keeps_batches_until_it_needs_their_buffers() -> None:
    sink = MemorySink(buffers=2)
    released: list[str] = []
    for name in ("a", "b"):
        buffer = sink.acquire()
        buffer[:1] = name.encode()

        def release(name: str = name, buffer: memoryview = buffer) -> None:
            released.append(name)
            sink.recycle(buffer)

        sink.put(Batch((buffer[:1],), 1, release))
    assert (released, sink.data, sink.length) == ([], b"", 2)
    sink.acquire()
    assert (released, sink.data) == (["a"], b"a")
    sink.drain()
    assert (released, sink.data) == (["a", "b"], b"ab")


def test_sink_uses_the_oldest_batch_when_it_holds_too_many() -> None:
    sink = MemorySink(buffers=2)
    released: list[int] = []
    for number in range(4):
        sink.put(view_batch(b"x", lambda number=number: released.append(number)))  # type: ignore[misc]
    assert released == [0, 1]


def test_sink_tells_whoever_watches() -> None:
    seen: list[int] = []
    sink = MemorySink(watch=seen.append)
    for length in (3, 4):
        sink.put(view_batch(bytes(length)))
    sink.finish()
    assert seen == [3, 7]
    assert sink.is_finished


def test_sink_finds_misuse() -> None:
    sink = MemorySink(buffers=1)
    buffer = sink.acquire()
    assert len(buffer) == BUFFER_BYTES
    with pytest.raises(AssertionError, match="all 1 buffers were acquired"):
        sink.acquire()
    sink.recycle(buffer)
    with pytest.raises(AssertionError, match="recycled twice"):
        sink.recycle(buffer)
    sink.finish()
    with pytest.raises(AssertionError, match="finish came twice"):
        sink.finish()
    with pytest.raises(AssertionError, match="put after finish"):
        sink.put(view_batch(b"x"))


@pytest.mark.parametrize("use", ["acquire", "drain", "finish"])
def test_failing_sink_breaks_after_so_many_bytes(use: str) -> None:
    sink = FailingSink(10)
    released: list[int] = []
    sink.put(view_batch(bytes(10), lambda: released.append(1)))
    with pytest.raises(ConnectionBroken):
        sink.put(view_batch(bytes(1), lambda: released.append(2)))
    with pytest.raises(ConnectionBroken):
        sink.put(view_batch(bytes(1), lambda: released.append(3)))
    assert sorted(released) == [1, 2, 3]
    with pytest.raises(ConnectionBroken):
        getattr(sink, use)()


@given(
    data=st.binary(max_size=5000),
    cuts=st.lists(st.integers(1, 700), min_size=1, max_size=5),
    per_batch=st.integers(1, 5),
)
def test_source_gives_all_bytes_however_they_are_cut(
    data: bytes, cuts: list[int], per_batch: int
) -> None:
    source = MemorySource(data, cuts=cuts, per_batch=per_batch)
    found = b""
    while (batch := source.get()) is not None:
        assert 1 <= len(batch.pieces) <= per_batch
        found += bytes_of(batch.pieces)
        batch.release()
    assert found == data
    assert source.is_at_end
    assert source.taken == source.released


def test_source_spoils_what_was_released() -> None:
    batch = MemorySource(b"abc").get()
    assert batch is not None
    (piece,) = batch.pieces
    assert bytes_of([piece]) == b"abc"
    batch.release()
    assert bytes_of([piece]) == b"\xee" * 3


def test_source_gives_extents_of_a_file() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"....0123456789")
        file.flush()
        fd = file.fileno()
        batch = MemorySource(b"0123456789", cuts=(4,), file=fd, start=4).get()
        assert batch is not None
        assert batch.pieces == (Extent(fd, 4, 4), Extent(fd, 8, 4), Extent(fd, 12, 2))
        assert bytes_of(batch.pieces) == b"0123456789"


def test_failing_source_breaks_where_it_should() -> None:
    reader = StreamReader(FailingSource(bytes(range(100)), 60, cuts=(25,)))
    assert bytes(reader.take(60)) == bytes(range(60))
    with pytest.raises(ConnectionBroken):
        reader.take(1)


def test_ranges_give_parts_one_after_the_other() -> None:
    ranges = MemoryRanges(b"0123456789")
    reader = StreamReader(ranges.request(2, 3))
    assert bytes(reader.take(3)) == b"234"
    with pytest.raises(AssertionError, match="before the last one was read"):
        ranges.request(7, 1)
    with pytest.raises(EndOfStream):
        reader.take(1)
    assert bytes(StreamReader(ranges.request(7, 2**64 - 1)).take(3)) == b"789"
    assert ranges.requests == [(2, 3), (7, 2**64 - 1)]


def test_what_a_writer_puts_a_reader_gets() -> None:
    sink: DataSink = MemorySink(buffers=2)
    writer = StreamWriter(sink)
    data = bytes(range(256)) * 20_000
    writer.write(data)
    writer.finish()
    assert isinstance(sink, MemorySink)
    reader = StreamReader(MemorySource(sink.data, cuts=(10240, 7)))
    assert bytes(reader.take(len(data))) == data


def test_services_keep_what_they_are_told() -> None:
    services = MemoryServices()
    assert services.history is None
    services.log(LogLevel.WARNING, "text")
    services.file_result("a/b", FileResult.NOT_FOUND)
    assert services.messages == [(LogLevel.WARNING, "text")]
    assert services.results == [("a/b", FileResult.NOT_FOUND)]


def test_history_finds_attributes_before_names() -> None:
    services = MemoryServices(wants_history=True)
    assert services.history is not None
    services.history.add_directories([(b"a", 3, 2)])
    services.history.add_nodes([NodeEntry(n, 0, 0, 0, 0, 0, 0, 0, 1, 0) for n in (3, 4)])
    assert services.collected.unnamed_nodes == [4]
    assert [entry.node for entry in services.collected.nodes] == [3, 4]
    assert services.collected.directories == [(b"a", 3, 2)]
    assert not services.history.wants_paths


def test_history_keeps_paths() -> None:
    services = MemoryServices(wants_history=True, wants_paths=True)
    assert services.history is not None
    assert services.history.wants_paths
    entry = (b"/a", NodeEntry(3, 0, 0, 0, 0, 0, 0, 0, 1, 0))
    services.history.add_files([entry])
    assert services.collected.files == [entry]


def test_background_gives_results_and_errors() -> None:
    assert Background(lambda: 5, "five").result() == 5
    with pytest.raises(ZeroDivisionError):
        Background(lambda: 1 // 0, "zero").result()


def test_background_finds_what_does_not_wait_and_what_never_ends() -> None:
    gate = threading.Event()
    waiting = Background(gate.wait, "the gate", patience_s=0.1)
    waiting.expect_blocked()
    with pytest.raises(AssertionError, match=r"the gate: stuck for 0\.1 s"):
        waiting.result()
    gate.set()
    done = Background(lambda: None, "nothing")
    done.result()
    with pytest.raises(AssertionError, match="nothing: did not wait"):
        done.expect_blocked()


def test_claims_tell_what_was_seen() -> None:
    with pytest.raises(AssertionError, match="the answer: 41, expected 42"):
        expect_equal(41, 42, "the answer")
    with pytest.raises(AssertionError, match="100 bytes beginning b'aaa"):
        expect_equal(b"a" * 100, b"", "long")
    with pytest.raises(AssertionError, match="a call: returned 1, expected KeyError"):
        expect_raises(KeyError, lambda: 1, "a call")
    with pytest.raises(AssertionError, match="a call: raised ZeroDivisionError"):
        expect_raises(KeyError, lambda: 1 // 0, "a call")
