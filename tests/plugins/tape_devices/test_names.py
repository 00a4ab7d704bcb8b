"""Device names are read strictly and listed completely."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_tape_devices.names import (
    DeviceName,
    changer_name,
    device_rows,
    drive_name,
    known,
    number_in,
    parse_name,
)


@pytest.mark.requirement("R058")
def test_a_name_is_rewind_type_drive_and_compression() -> None:
    assert parse_name("nrst0a") == DeviceName("nr", "st0", "a")
    assert parse_name("rst12l") == DeviceName("r", "st12", "l")
    assert parse_name("urst63m") == DeviceName("ur", "st63", "m")


@pytest.mark.requirement("R065")
def test_leading_zeros_make_another_name() -> None:
    name, other = parse_name("nrst0a"), parse_name("nrst00a")
    assert name is not None
    assert other is not None
    assert (name.drive, other.drive) == ("st0", "st00")
    assert (number_in("st0"), number_in("st00")) == (0, None)


@pytest.mark.parametrize("name", ["st0", "st00", "nrst0", "xst0a", "nrst0x", "nrst-1a"])
def test_a_part_of_a_name_is_no_name(name: str) -> None:
    assert parse_name(name) is None


@given(st.text(max_size=12))
def test_a_name_that_is_read_is_written_the_same(text: str) -> None:
    name = parse_name(text)
    assert name is None or str(name) == text


@pytest.mark.parametrize(
    "name", ["", "bogus", "nrst0a ", "nrst0a\n", "NRST0A", "nrst0aa", "nrst٣a", "nrst0000000000a"]
)
def test_anything_else_is_no_name(name: str) -> None:
    assert parse_name(name) is None


@pytest.mark.requirement("R056")
def test_a_drive_has_twelve_devices() -> None:
    rows = device_rows("st7")
    assert [row.name for row in rows] == [
        f"{rewind}st7{letter}" for letter in "lmha" for rewind in ("r", "nr", "ur")
    ]
    assert {(row.rewinds, row.unloads) for row in rows} == {
        (True, False),
        (False, False),
        (False, True),
    }


@given(st.integers(0, 10**9 - 1))
def test_a_name_made_of_a_number_tells_the_number(number: int) -> None:
    assert number_in(changer_name(number)) == number
    assert number_in(drive_name(number)) == number


@pytest.mark.parametrize("name", ["", "mc", "mc00", "mc01", "mc-1", "MC0", "mc0 ", "mc\u0663"])
def test_anything_else_is_made_of_no_number(name: str) -> None:
    assert number_in(name) is None


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "no drive has a name"),
        (["st3"], "the drive is st3"),
        (["st0", "st1", "st2"], "the drives are st0 to st2"),
        (["st0", "st2", "st00"], "the drives are st0, st2, st00"),
    ],
)
def test_messages_tell_the_names_that_there_are(names: list[str], text: str) -> None:
    assert known(names, "drive") == text
