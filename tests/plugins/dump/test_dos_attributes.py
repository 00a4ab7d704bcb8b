"""DOS attributes, byte for byte as Samba packs them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.dos_attributes import BadDosAttributes, DosAttributes, decode_dos, encode_dos

CREATED = 1_437_185_863_591_965_000
"""0x01d0c0ffee001122 in nanoseconds since 1970."""

SAMBA = {
    "hex digits": (b"0x22\0", DosAttributes(0x22, None)),
    "hex digits alone": (b"0x3", DosAttributes(3, None)),
    "1": (
        ("3078323000000100010000002000000001000000" "05000000000000000010000000000000"
        "221100eeffc0d001231100eeffc0d001"),
        DosAttributes(0x20, None),
    ),
    "2": (
        ("307832320000020002000000" "01000000" "22000000" "01000000"
        "05000000000000000010000000000000" "221100eeffc0d001231100eeffc0d001241100eeffc0d0017800"),
        DosAttributes(0x22, None),
    ),
    "3": (
        ("307832320000030003000000" "11000000" "22000000" "00000000"
        "05000000000000000010000000000000" "221100eeffc0d001231100eeffc0d001"),
        DosAttributes(0x22, None),
    ),
    "4": (
        ("0000040004000000" "51000000" "22000000" "221100eeffc0d001" "221100eeffc0d001"),
        DosAttributes(0x22, None),
    ),
    "5": (("0000050005000000" "11000000" "22000000" "221100eeffc0d001"), DosAttributes(0x22, None)),
}  # fmt: skip


def value_of(name: str) -> bytes:
    value = SAMBA[name][0]
    return bytes.fromhex(value) if isinstance(value, str) else value


@pytest.mark.parametrize("name", SAMBA)
def test_each_version_of_samba_is_read(name: str) -> None:
    created = CREATED if len(name) == 1 else None
    assert decode_dos(value_of(name)) == SAMBA[name][1]._replace(created_ns=created)


def test_what_is_not_valid_is_not_told() -> None:
    value = bytearray(value_of("4"))
    value[8] = 0x40
    assert decode_dos(bytes(value)) == DosAttributes(None, None)
    value[8] = 0x41
    assert decode_dos(bytes(value)) == DosAttributes(0x22, None)


@given(
    st.none() | st.integers(0, 2**32 - 1),
    st.none() | st.integers(-(10**18), 4 * 10**18).map(lambda ns: ns // 100 * 100),
)
def test_what_is_encoded_is_decoded(attributes: int | None, created_ns: int | None) -> None:
    dos = DosAttributes(attributes, created_ns)
    assert decode_dos(encode_dos(dos)) == dos


def test_the_newest_version_is_written_as_samba_does() -> None:
    assert encode_dos(DosAttributes(0x22, CREATED)) == value_of("5")
    with pytest.raises(BadDosAttributes, match="no such time or attributes"):
        encode_dos(DosAttributes(-1, None))


def test_letters_are_those_of_windows() -> None:
    assert DosAttributes(0x1827, None).letters == "RHSACO"
    assert DosAttributes(None, None).letters == ""


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "hex digits"),
        (b"zebra\0", "hex digits"),
        (b"0x123456789\0", "too many"),
        (b"\0\0\x09\0\x09\0\0\0" + bytes(60), "version 9, arm 9"),
        (b"\0\0\4\0\5\0\0\0" + bytes(60), "version 4, arm 5"),
        (b"\0\0\4\0\4\0\0\0" + bytes(20), "too short for version 4"),
    ],
)
def test_what_is_wrong_is_told(value: bytes, reason: str) -> None:
    with pytest.raises(BadDosAttributes, match=reason):
        decode_dos(value)


@given(st.binary(max_size=80))
def test_hostile_bytes_are_read_or_refused(value: bytes) -> None:
    try:
        found = decode_dos(value)
    except BadDosAttributes:
        return
    assert found.letters == "".join(letter for letter in "RHSACO" if letter in found.letters)
