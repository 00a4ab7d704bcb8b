from __future__ import annotations

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit_smtape.format_chunks import (
    HEADER_BYTES,
    LONGEST_PAYLOAD,
    MAGIC,
    Chunk,
    ChunkKind,
    check_payload,
    pack_chunk_header,
    parse_chunk_header,
)

CHUNKS = st.builds(
    Chunk,
    kind=st.sampled_from(ChunkKind),
    length=st.integers(0, LONGEST_PAYLOAD),
    set_id=st.binary(min_size=16, max_size=16),
    stamp_ns=st.integers(0, 2**64 - 1),
    sequence=st.integers(0, 2**64 - 1),
    checksum=st.integers(0, 2**32 - 1),
)
PLAIN = Chunk(ChunkKind.RECORDS, 3, bytes(range(16)), 5, 7, crc32c(b"abc"))


def resealed(packed: bytes) -> bytes:
    """A header whose own checksum is right again."""
    return packed[:60] + crc32c(packed[:60]).to_bytes(4, "big")


def test_checksums_are_those_of_the_documents() -> None:
    # RFC 3720, B.4
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


def test_layout() -> None:
    packed = pack_chunk_header(PLAIN)
    assert len(packed) == HEADER_BYTES == 64
    assert packed[:8] == MAGIC
    assert packed[8:16] == bytes.fromhex("0001 0002 00000003".replace(" ", ""))
    assert packed[16:32] == PLAIN.set_id
    assert packed[32:48] == bytes(7) + b"\5" + bytes(7) + b"\7"
    assert packed[48:52] == crc32c(b"abc").to_bytes(4, "big")
    assert packed[52:60] == bytes(8)


@given(CHUNKS)
def test_headers_come_back(chunk: Chunk) -> None:
    assert parse_chunk_header(pack_chunk_header(chunk)) == chunk


@pytest.mark.requirement("R363")
@given(CHUNKS, st.binary(min_size=8, max_size=8).filter(lambda magic: magic != MAGIC))
def test_another_magic_number_is_told(chunk: Chunk, magic: bytes) -> None:
    with pytest.raises(TapekitError, match="Invalid backup image magic number"):
        parse_chunk_header(magic + pack_chunk_header(chunk)[8:])


@pytest.mark.requirement("R364")
@given(CHUNKS, st.integers(8, HEADER_BYTES - 1), st.integers(1, 255))
def test_damage_of_a_header_is_told(chunk: Chunk, at: int, change: int) -> None:
    packed = bytearray(pack_chunk_header(chunk))
    packed[at] ^= change
    with pytest.raises(TapekitError, match="Invalid backup image checksum"):
        parse_chunk_header(bytes(packed))


@pytest.mark.requirement("R349")
@pytest.mark.requirement("R292")
@pytest.mark.parametrize(
    ("start", "stop", "value"), [(8, 10, 2), (8, 10, 0), (10, 12, 9), (12, 16, LONGEST_PAYLOAD + 1)]
)
def test_another_format_is_told(start: int, stop: int, value: int) -> None:
    packed = pack_chunk_header(PLAIN)
    changed = packed[:start] + value.to_bytes(stop - start, "big") + packed[stop:]
    with pytest.raises(TapekitError, match="Chunk format not supported"):
        parse_chunk_header(resealed(changed))


@pytest.mark.requirement("R364")
def test_damage_of_a_payload_is_told() -> None:
    check_payload(PLAIN, b"abc")
    with pytest.raises(TapekitError, match="Invalid backup image checksum"):
        check_payload(PLAIN, b"abd")
