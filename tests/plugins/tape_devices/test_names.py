"""Device names are read strictly and listed completely."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_tape_devices.names import DeviceName, device_rows, parse_name


@pytest.mark.requirement("R058")
def test_a_name_is_rewind_type_drive_and_compression() -> None:
    assert parse_name("nrst0a") == DeviceName("nr", 0, "a")
    assert parse_name("rst12l") == DeviceName("r", 12, "l")
    assert parse_name("urst63m") == DeviceName("ur", 63, "m")


@pytest.mark.requirement("R065")
@pytest.mark.parametrize(
    "name", ["nrst00a", "rst01l", "st0", "st00", "nrst0", "xst0a", "nrst0x", "nrst-1a"]
)
def test_a_number_has_one_spelling(name: str) -> None:
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
    rows = device_rows(7)
    assert [row.name for row in rows] == [
        f"{rewind}st7{letter}" for letter in "lmha" for rewind in ("r", "nr", "ur")
    ]
    assert {(row.rewinds, row.unloads) for row in rows} == {
        (True, False),
        (False, False),
        (False, True),
    }
