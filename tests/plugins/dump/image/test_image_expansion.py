"""Dumps with compressed blocks."""

from __future__ import annotations

import bz2
import struct
import zlib
from typing import Any

import pytest

BLOCK = 10 * 1024


def compressed(data: bytes, method: int = 0, flag: int = 0x80) -> bytes:
    """A plain dump as ``dump -z`` (method 0) or ``-j`` (1) would have made it."""
    data += bytes(-len(data) % BLOCK)
    out = bytearray(data[:BLOCK])
    for offset in range(BLOCK, len(data), BLOCK):
        block = data[offset : offset + BLOCK]
        packed = zlib.compress(block) if method == 0 else bz2.compress(block)
        # Blocks that do not become smaller stay as they are.
        if offset % (2 * BLOCK):
            out += struct.pack("<I", BLOCK << 4) + block
        else:
            out += struct.pack("<I", len(packed) << 4 | method << 1 | 1) + packed
    return bytes(out)


@pytest.fixture
def plain(dump: Any) -> bytes:
    """A plain dump of fifty files whose first header says that it is compressed."""
    stream = dump(records_per_block=10)
    stream.begin(flags=0x83)
    stream.directory(2, [(b"file %d" % number, number, 8) for number in range(3, 53)])
    for number in range(3, 53):
        stream.file(number, b"%d" % number * 1000)
    data: bytes = stream.end()
    return data


@pytest.mark.parametrize("method", [0, 1])
@pytest.mark.parametrize("piped", [True, False])
def test_compressed_dumps_read_like_plain_ones(
    tapekit_dump: Any, image: Any, plain: bytes, tmp_path: Any, *, method: int, piped: bool
) -> None:
    data = compressed(plain, method)
    out = tmp_path / "out"
    if piped:
        outcome = tapekit_dump("extract", "-", "-C", str(out), piped=data)
    else:
        outcome = tapekit_dump("extract", image(data), "-C", str(out))
    assert outcome.status == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        f"file {number}": b"%d" % number * 1000 for number in range(3, 53)
    }


def test_info_says_that_blocks_are_compressed(tapekit_dump: Any, image: Any, plain: bytes) -> None:
    outcome = tapekit_dump("info", "--json", image(compressed(plain)))
    assert (outcome.json["compressed"], outcome.json["complete"]) == (True, True)


def test_a_block_that_cannot_be_expanded_costs_no_more_than_itself(
    tapekit_dump: Any, image: Any, plain: bytes
) -> None:
    data = bytearray(compressed(plain))
    second = BLOCK + 4 + BLOCK
    data[second + 8 : second + 16] = b"\xff" * 8
    outcome = tapekit_dump("verify", image(bytes(data)))
    assert outcome.status == 1
    assert outcome.losses()[0].startswith(
        f"The compressed block at byte {second} cannot be expanded: "
    )
    missing = [line for line in outcome.losses() if "is missing" in line]
    assert 0 < len(missing) <= 10


def test_a_block_never_becomes_longer_than_the_blocking(
    tapekit_dump: Any, image: Any, plain: bytes
) -> None:
    bomb = zlib.compress(bytes(50 << 20))
    data = plain[:BLOCK] + struct.pack("<I", len(bomb) << 4 | 1) + bomb
    outcome = tapekit_dump("verify", image(data))
    assert outcome.status == 1
    assert f"The image ends at byte {2 * BLOCK}" in outcome.err


def test_a_length_that_is_impossible_ends_the_image(
    tapekit_dump: Any, image: Any, plain: bytes
) -> None:
    outcome = tapekit_dump("verify", image(plain[:BLOCK] + b"\xff" * 4 + bytes(1 << 20)))
    assert outcome.status == 1
    assert "is impossible; all behind it is lost" in outcome.err


def test_what_only_looks_like_a_volume_is_damaged(
    tapekit_dump: Any, image: Any, plain: bytes
) -> None:
    outcome = tapekit_dump("verify", image(plain[:BLOCK] + struct.pack("<I", 1) + bytes(BLOCK)))
    assert outcome.status == 1
    assert "it is neither a block nor the first one of a volume" in outcome.err


def test_a_later_volume_begins_with_a_plain_block(tapekit_dump: Any, image: Any, dump: Any) -> None:
    """The header of the second volume is dropped, and the file goes on behind it."""
    stream = dump(records_per_block=10)
    stream.begin(flags=0x83, address_count=1).directory(2, [(b"file", 3, 8)])
    stream.file(3, b"1" * 20 * 1024)
    first = stream.data[: 2 * BLOCK]
    second = dump(records_per_block=10, volume=2)
    second.raw(bytes(2 * BLOCK)).header(1, flags=0x83, first_record=20)
    rest = second.data[2 * BLOCK :] + stream.end()[2 * BLOCK :]
    rest = dump.renumbered(first + rest)[2 * BLOCK :]
    data = compressed(first) + rest.ljust(BLOCK, b"\0")
    outcome = tapekit_dump("verify", image(data))
    assert (outcome.status, outcome.err) == (0, "")


def test_a_short_block_is_damaged(tapekit_dump: Any, image: Any, plain: bytes) -> None:
    short = zlib.compress(bytes(100))
    data = plain[:BLOCK] + struct.pack("<I", len(short) << 4 | 1) + short
    outcome = tapekit_dump("verify", image(data))
    assert f"it has 100 bytes instead of {BLOCK}" in outcome.err


def test_other_methods_are_refused(tapekit_dump: Any, image: Any, plain: bytes) -> None:
    outcome = tapekit_dump(
        "list", image(plain[:BLOCK] + struct.pack("<I", 99 << 4 | 5) + b"x" * 99)
    )
    assert outcome.status == 1
    assert f"The block at byte {BLOCK} is compressed by method 2" in outcome.err


@pytest.mark.parametrize("values", [{"records_per_block": 0}, {"records_per_block": 5000}])
def test_without_a_blocking_nothing_can_be_expanded(
    tapekit_dump: Any, image: Any, dump: Any, values: dict[str, int]
) -> None:
    data = dump(**values).begin(flags=0x83).directory(2).end()
    outcome = tapekit_dump("list", image(data))
    assert outcome.status == 1
    assert "The dump is compressed, which is not supported" in outcome.err
