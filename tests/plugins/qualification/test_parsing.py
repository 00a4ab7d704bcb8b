"""Tape configuration files are read as the guide describes them, and every
mistake is told with its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_qualification.configuration import TapeFormat
from tapekit_qualification.parsing import read_configuration

if TYPE_CHECKING:
    from tapekit.errors import TapekitError
    from tapekit_qualification.configuration import TapeConfiguration


def read(text: str) -> TapeConfiguration:
    configuration, mistakes = read_configuration(text, "x.tcf")
    assert mistakes == ()
    assert configuration is not None
    return configuration


def mistakes_of(text: str) -> list[TapekitError]:
    configuration, mistakes = read_configuration(text, "x.tcf")
    assert configuration is None
    assert mistakes
    return list(mistakes)


def only_mistake(text: str) -> TapekitError:
    (mistake,) = mistakes_of(text)
    return mistake


@pytest.mark.requirement("R045")
@pytest.mark.requirement("R046")
@pytest.mark.requirement("R049")
@pytest.mark.requirement("R052")
def test_the_example_of_the_guide_is_read(guide_file: str) -> None:
    found = read(guide_file)
    assert (found.vendor_id, found.product_id, found.id_match_size) == ("HP", "Ultrium 5-SCSI", 9)
    assert (found.vendor_pretty, found.product_pretty) == ("Hewlett-Packard", "LTO-5")
    assert found.formats == {
        "l": TapeFormat(description="LTO-3(ro)/4 4/800GB", density=0, algorithm=0),
        "m": TapeFormat(description="LTO-3(ro)/4 8/1600GB cmp", density=0, algorithm=1),
        "h": TapeFormat(description="LTO-5 1600GB", density=0x58, algorithm=0),
        "a": TapeFormat(description="LTO-5 3200GB cmp", density=0x58, algorithm=1),
    }
    assert found.autoload
    assert found.timeouts_s == {}
    assert found.name == "Hewlett-Packard LTO-5"


def test_comments_and_blanks_do_not_matter(guide_file: str) -> None:
    spread = guide_file.replace("id_match_size=9", "  id_match_size =\t9   # bytes")
    assert read(f"# LTO-5\n   # more\n{spread}".replace("\n", "\r\n")) == read(guide_file)


@pytest.mark.requirement("R050")
@pytest.mark.parametrize(
    ("line", "autoload"),
    [("", False), ("autoload=no", False), ("autoload=yes", True), ('autoload="no"', False)],
)
def test_autoload_is_no_unless_it_is_yes(guide_file: str, line: str, autoload: bool) -> None:
    assert read(guide_file.replace('autoload="yes"', line)).autoload is autoload


@pytest.mark.requirement("R051")
def test_time_limits_are_minutes_seconds_or_milliseconds(guide_file: str) -> None:
    lines = 'cmd_timeout_0x01="5m"\ncmd_timeout_0x1B=300s\ncmd_timeout_0x00=1500ms\n'
    assert read(guide_file + lines).timeouts_s == {0x01: 300.0, 0x1B: 300.0, 0x00: 1.5}


@pytest.mark.requirement("R047")
def test_pretty_names_are_optional(guide_file: str) -> None:
    lines = [line for line in guide_file.splitlines() if "pretty" not in line]
    plain = read("\n".join(lines))
    assert (plain.vendor_pretty, plain.product_pretty) == (None, None)
    assert plain.name_of("HP", "Ultrium 5-SCSI") == "HP Ultrium 5-SCSI"
    empty = guide_file.replace('"Hewlett-Packard"', '""').replace('"LTO-5"', '""')
    assert read(empty) == plain


@pytest.mark.requirement("R048")
@pytest.mark.parametrize(
    ("field", "other", "place"),
    [
        ("vendor_pretty", "product_pretty", "x.tcf:7:1"),
        ("product_pretty", "vendor_pretty", "x.tcf:9:1"),
    ],
)
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_one_pretty_name_without_the_other_is_a_mistake(
    guide_file: str, field: str, other: str, place: str, how: str
) -> None:
    value = {"vendor_pretty": '"Hewlett-Packard"', "product_pretty": '"LTO-5"'}[other]
    left = "" if how == "missing" else f'{other}=""'
    mistake = only_mistake(guide_file.replace(f"{other}={value}", left))
    assert mistake.id == "qualification.lone-pretty-name"
    assert str(mistake) == f"{place}: {field} has a value, but {other} has none"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('vendor_id="HP', "x.tcf:3:11: the value of vendor_id begins with a quotation mark"),
        ("vendor_id=", "x.tcf:3:11: vendor_id has no value"),
        ('vendor_id=""', "x.tcf:3:11: vendor_id has no value"),
        ('vendor_id="HEWLETT-P"', "x.tcf:3:11: the value of vendor_id has 9 bytes, but 8"),
        ('vendor_id="H\tP"', "x.tcf:3:11: the value of vendor_id has characters that cannot"),
        ("vendor_id", 'x.tcf:3:1: "vendor_id" is no field with a value'),
        ('  vendor_id="HP" HP', 'x.tcf:3:18: "HP" stands behind the value of vendor_id'),
    ],
)
def test_a_broken_line_is_told_with_its_column(guide_file: str, line: str, text: str) -> None:
    broken = mistakes_of("\n\n" + guide_file.replace('vendor_id="HP"', line))
    assert str(broken[0]).startswith(text)
    told_missing = [str(one) for one in broken[1:]]
    assert told_missing in ([], ["x.tcf: the field vendor_id is missing"])


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("size=9", "size=0", 'x.tcf:5:15: id_match_size is "0", not a number from 1 to 16'),
        ("size=9", "size=17", 'x.tcf:5:15: id_match_size is "17", not a number from 1 to 16'),
        ("size=9", "size=nine", 'x.tcf:5:15: id_match_size is "nine", not a number from 1 to 16'),
        ("h_density=0x58", "h_density=58", 'h_density is "58", not a hex code'),
        ("h_density=0x58", "h_density=0x158", 'h_density is "0x158", not a hex code'),
        ("m_algorithm=0x01", "m_algorithm=one", 'm_algorithm is "one", not a hex code'),
        ('autoload="yes"', 'autoload="true"', 'autoload is "true", neither yes nor no'),
        ('autoload="yes"', "cmd_timeout_0x01=5", 'cmd_timeout_0x01 is "5", not a time'),
        ('autoload="yes"', "cmd_timeout_0x01=0s", 'cmd_timeout_0x01 is "0s", not a time'),
        (
            '"LTO-5 1600GB"',
            '"LTO-5 1600GB without compression"',
            "h_description has 32 bytes, but 24 is the limit",
        ),
    ],
)
def test_a_wrong_value_is_told(guide_file: str, before: str, after: str, text: str) -> None:
    assert before in guide_file
    assert text in str(only_mistake(guide_file.replace(before, after)))


def test_an_unknown_field_is_told_with_one_that_is_like_it(guide_file: str) -> None:
    mistake = only_mistake(guide_file + "vendor_prety=x\n")
    assert 'there is no field "vendor_prety"; did you mean "vendor_pretty"?' in str(mistake)
    assert str(only_mistake(guide_file + "cmd_timeout_0x1=5m")).endswith(
        'there is no field "cmd_timeout_0x1"'
    )


def test_a_field_that_stands_twice_is_told_with_both_places(guide_file: str) -> None:
    mistake = only_mistake(guide_file + "autoload=no\n")
    assert str(mistake) == "x.tcf:36:1: autoload has a value already at x.tcf:35:1"


def test_all_mistakes_are_told_at_once() -> None:
    mistakes = mistakes_of("vendor_id=HP\nhello\nid_match_size=0\n")
    assert [one.id.partition(".")[2] for one in mistakes] == [
        "no-field",
        "bad-match-size",
        *["missing-field"] * 13,
    ]
    assert "product_id" in str(mistakes[2])


@given(st.text(max_size=200))
def test_any_text_is_read_or_told(text: str) -> None:
    configuration, mistakes = read_configuration(text, "x.tcf")
    assert (configuration is None) == bool(mistakes)
    assert all(str(one).startswith("x.tcf:") for one in mistakes)
