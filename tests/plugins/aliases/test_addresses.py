"""Serial numbers and physical path names are read and written in the guide's forms."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit_aliases.addresses import PhysicalPath, SerialNumber, addresses_of, parse_address


@pytest.mark.requirement("R080")
@pytest.mark.parametrize(
    ("text", "serial"),
    [
        ("SN[123456]L4", SerialNumber("123456", 4)),
        ("SN[65432]", SerialNumber("65432")),
        ("SN[HU19497WVR]", SerialNumber("HU19497WVR")),
        ("SN[XYZZY_A1]L12", SerialNumber("XYZZY_A1", 12)),
    ],
)
def test_a_serial_number_is_read_and_written_the_same(text: str, serial: SerialNumber) -> None:
    assert parse_address(text) == serial
    assert str(serial) == text


@pytest.mark.requirement("R074")
@pytest.mark.requirement("R075")
@pytest.mark.requirement("R076")
@pytest.mark.requirement("R077")
@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("8.6", PhysicalPath("8.6")),
        ("8.6L2", PhysicalPath("8.6", 2)),
        ("5c.4", PhysicalPath("5c.4")),
        ("MY_SWITCH:5.3L2", PhysicalPath("MY_SWITCH:5.3", 2)),
        ("fc202_6:2.126L1", PhysicalPath("fc202_6:2.126", 1)),
        ("v.0", PhysicalPath("v.0")),
    ],
)
def test_a_physical_path_is_read_and_written_the_same(text: str, path: PhysicalPath) -> None:
    assert parse_address(text) == path
    assert str(path) == text


@pytest.mark.requirement("R075")
@pytest.mark.requirement("R080")
@pytest.mark.parametrize(
    ("text", "shown"), [("SN[1]L0", "SN[1]"), ("sn[1]l4", "SN[1]L4"), ("8.6L0", "8.6")]
)
def test_logical_unit_0_is_not_written(text: str, shown: str) -> None:
    assert str(parse_address(text)) == shown


@pytest.mark.requirement("R081")
def test_a_serial_number_has_32_characters_at_most_and_no_case() -> None:
    longest = "a" * 32
    assert parse_address(f"SN[{longest}]L2").key == parse_address(f"sn[{longest.upper()}]l2").key
    with pytest.raises(TapekitError) as caught:
        parse_address(f"SN[{longest}a]")
    assert caught.value.id == "aliases.bad-serial"
    assert "1 to 32 letters and digits" in str(caught.value)


def test_the_case_of_a_switch_counts() -> None:
    assert parse_address("my_switch:5.3").key != parse_address("MY_SWITCH:5.3").key


@pytest.mark.parametrize("text", ["SN[]", "SN[a b]", "SN[a/b]L1", "SN[ä]"])
def test_other_characters_are_no_serial_number(text: str) -> None:
    with pytest.raises(TapekitError) as caught:
        parse_address(text)
    assert caught.value.id == "aliases.bad-serial"


@pytest.mark.parametrize(
    "text",
    ["", "SN", "SN[1", "SN1]", "SN[1]L", "SN[1]L04", "SN[[1]]", "8", "8.", ".6", "8.6L", "8.6 ",
     "8.6L02", "A:B:5.3", "8.6.7", "SN[1] "],
)  # fmt: skip
def test_anything_else_is_neither(text: str) -> None:
    with pytest.raises(TapekitError) as caught:
        parse_address(text)
    assert str(caught.value) == (f'"{text}" is neither a serial number nor a physical path name')


@given(st.text(alphabet="SN[]L.:0123456789abC_", max_size=20))
def test_what_is_written_is_read_again(text: str) -> None:
    with contextlib.suppress(TapekitError):
        address = parse_address(text)
        assert parse_address(str(address)) == address


@pytest.mark.requirement("R079")
def test_a_device_goes_by_its_serial_number_first(drive_of: Any) -> None:
    assert addresses_of(drive_of("MY_SWITCH:5.3L2", "HU1")) == (
        SerialNumber("HU1", 2),
        PhysicalPath("MY_SWITCH:5.3", 2),
    )


@pytest.mark.parametrize("serial", ["", "x" * 33, "a b"])
def test_a_device_without_a_usable_serial_number_goes_by_its_place(
    drive_of: Any, serial: str
) -> None:
    assert addresses_of(drive_of("8.6", serial)) == (PhysicalPath("8.6"),)
    assert addresses_of(drive_of("iqn.2026:x/1", serial)) == (PhysicalPath("iqn.2026:x/1"),)
