"""Names and lengths of NT streams."""

from __future__ import annotations

import pytest

from tapekit_dump.nt_streams import stream_length, stream_name


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("user.DosStream.Zone.Identifier:$DATA", "Zone.Identifier"),
        ("user.DosStream.bare", "bare"),
        ("user.DosStream.:$DATA", None),
        ("user.DosStreams", None),
        ("security.DosStream.a", None),
    ],
)
def test_streams_are_known_by_their_attributes(attribute: str, name: str | None) -> None:
    assert stream_name(attribute) == name


@pytest.mark.parametrize(("value", "length"), [(b"", 0), (b"\0", 0), (b"abc\0", 3)])
def test_a_value_is_one_byte_longer_than_its_stream(value: bytes, length: int) -> None:
    assert stream_length(value) == length
