"""The host's libzstd: what goes in comes out, and damage is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_vtape.zstd import ZstdError, ZstdLibrary, find_zstd

FOUND = find_zstd()

pytestmark = pytest.mark.skipif(FOUND is None, reason="this host has no libzstd")


@pytest.fixture
def zstd() -> ZstdLibrary:
    assert FOUND is not None
    return FOUND


def frame_of(zstd: ZstdLibrary, data: bytes) -> bytes:
    into = bytearray(zstd.bound(len(data)))
    return bytes(into[: zstd.compress(bytearray(data), len(data), into)])


@given(st.binary(min_size=1, max_size=5000))
def test_frames_round_trip(data: bytes) -> None:
    assert FOUND is not None
    frame = frame_of(FOUND, data)
    assert FOUND.content_size(frame) == len(data)
    assert FOUND.decompress(frame, len(data)) == data


def test_what_repeats_gets_smaller(zstd: ZstdLibrary) -> None:
    assert len(frame_of(zstd, b"tape" * 10000)) < 100


def test_any_flipped_bit_is_found(zstd: ZstdLibrary) -> None:
    data = bytes(range(256)) * 8
    frame = frame_of(zstd, data)
    for at in range(5, len(frame)):
        damaged = frame[:at] + bytes((frame[at] ^ 0x10,)) + frame[at + 1 :]
        try:
            found = zstd.decompress(damaged, len(data))
        except ZstdError:
            continue
        assert found == data, at


def test_another_size_is_refused(zstd: ZstdLibrary) -> None:
    frame = frame_of(zstd, b"x" * 100)
    with pytest.raises(ZstdError):
        zstd.decompress(frame, 99)
    with pytest.raises(ZstdError, match="100 bytes instead of 101"):
        zstd.decompress(frame, 101)
    with pytest.raises(ZstdError, match="no frame"):
        zstd.content_size(b"no frame at all")


def test_room_that_is_too_little_is_told(zstd: ZstdLibrary) -> None:
    with pytest.raises(ZstdError):
        zstd.compress(bytearray(b"abcdefgh"), 8, bytearray(2))


def test_a_level_that_there_is_not(zstd: ZstdLibrary) -> None:
    assert frame_of(zstd, b"x")
    assert find_zstd(level=19) is not None
