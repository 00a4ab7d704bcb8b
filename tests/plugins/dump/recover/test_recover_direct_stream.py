"""What a direct restore asks for, and how much at once."""

from __future__ import annotations

import pytest

from tapekit.streams import EndOfStream
from tapekit.testing.memory_connection import MemoryRanges, MemorySource
from tapekit_dump.recover_direct_stream import DirectStream

KIB = 1024
MIB = 1 << 20
DATA = bytes(range(256)) * 4 * 1024


def ranges_of(data: bytes = DATA) -> MemoryRanges:
    return MemoryRanges(data, lambda _, part: MemorySource(part, cuts=(777, 5000)))


def test_steps_double_while_nobody_says_how_far_it_goes() -> None:
    ranges = ranges_of()
    stream = DirectStream(ranges)
    reader = stream.open_at(5 * KIB)
    assert reader.position == 5 * KIB
    assert bytes(reader.take(20 * KIB)) == DATA[5 * KIB : 25 * KIB]
    steps = [length for _, length in ranges.requests]
    assert steps == [KIB, 2 * KIB, 4 * KIB, 8 * KIB, 16 * KIB]
    stream.release()


def test_what_is_expected_is_asked_for_at_once() -> None:
    ranges = ranges_of()
    stream = DirectStream(ranges)
    reader = stream.open_at(KIB)
    stream.expect(401 * KIB)
    reader.skip(400 * KIB)
    assert ranges.requests == [(KIB, 400 * KIB)]
    stream.expect(300 * KIB)
    reader.take(KIB)
    assert ranges.requests[1:] == [(401 * KIB, KIB)]
    stream.release()


def test_very_long_ranges_are_asked_for_in_parts() -> None:
    ranges = ranges_of(bytes(40 * MIB))
    stream = DirectStream(ranges)
    reader = stream.open_at(0)
    stream.expect(40 * MIB)
    reader.skip(40 * MIB)
    assert ranges.requests == [(0, 32 * MIB), (32 * MIB, 8 * MIB)]
    stream.close()


def test_everything_asked_for_is_read_before_it_goes_elsewhere() -> None:
    ranges = ranges_of()
    stream = DirectStream(ranges)
    reader = stream.open_at(0)
    stream.expect(100 * KIB)
    reader.take(KIB)
    assert bytes(stream.open_at(500 * KIB).take(KIB)) == DATA[500 * KIB : 501 * KIB]
    assert ranges.sources[0].is_at_end
    assert stream.bytes_read == 101 * KIB
    stream.close()
    assert all(source.taken == source.released for source in ranges.sources)


def test_the_end_of_the_stream_is_the_end() -> None:
    stream = DirectStream(ranges_of(DATA[: 10 * KIB]))
    reader = stream.open_at(8 * KIB)
    with pytest.raises(EndOfStream):
        reader.take(3 * KIB)
    with pytest.raises(EndOfStream):
        stream.open_at(20 * KIB).take(1)
    stream.close()
