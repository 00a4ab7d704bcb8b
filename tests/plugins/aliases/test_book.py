"""Aliases stay with serial numbers and places, whatever happens to devices."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.errors import TapekitError
from tapekit_aliases.addresses import parse_address
from tapekit_aliases.book import AliasBook, Kind, check_name, kind_of


def book_of(**aliases: str) -> AliasBook:
    return AliasBook({name: parse_address(text) for name, text in aliases.items()})


def shown(book: AliasBook) -> dict[str, str]:
    return {name: str(address) for name, address in book.aliases.items()}


def refusal(book: AliasBook, name: str, mapping: str, *devices: Any) -> TapekitError:
    with pytest.raises(TapekitError) as caught:
        book.with_alias(name, parse_address(mapping), devices)
    return caught.value


@pytest.mark.requirement("R079")
def test_new_devices_get_aliases_by_serial_number(drive_of: Any, changer_of: Any) -> None:
    book = book_of().with_new(
        [drive_of("8.6", "A"), drive_of("8.7L1", "B"), changer_of("8.8", "C")]
    )
    assert shown(book) == {"mc0": "SN[C]", "st0": "SN[A]", "st1": "SN[B]L1"}


@pytest.mark.requirement("R079")
def test_all_paths_of_a_drive_share_its_alias(drive_of: Any) -> None:
    first, second = drive_of("8.6", "A"), drive_of("9.6", "A")
    book = book_of().with_new([first, second])
    assert shown(book) == {"st0": "SN[A]"}
    assert book.names(first) == book.names(second) == ("st0",)


def test_a_new_device_gets_the_first_number_that_is_free(drive_of: Any) -> None:
    book = book_of(st0="SN[A]", st00="SN[B]", st2="SN[C]").with_new([drive_of("8.6", "D")])
    assert shown(book)["st1"] == "SN[D]"


@pytest.mark.requirement("R082")
def test_renaming_a_switch_leaves_the_alias_of_a_serial_number_alone(drive_of: Any) -> None:
    book = book_of().with_new([drive_of("OLD:5.3", "A")])
    renamed = drive_of("NEW:5.3", "A")
    assert book.with_new([renamed]).names(renamed) == ("st0",)


@pytest.mark.requirement("R082")
@pytest.mark.parametrize(("path", "serial"), [("8.6", "B"), ("8.6L1", "A")])
def test_another_drive_or_another_logical_unit_gets_another_alias(
    drive_of: Any, path: str, serial: str
) -> None:
    book = book_of().with_new([drive_of("8.6", "A")])
    changed = drive_of(path, serial)
    assert book.with_new([changed]).names(changed) == ("st1",)


@pytest.mark.requirement("R078")
def test_the_successor_in_a_place_takes_over_the_alias_of_the_place(drive_of: Any) -> None:
    book = book_of(st5="MY_SWITCH:5.3L2")
    for serial in ("A", "B"):
        drive = drive_of("MY_SWITCH:5.3L2", serial)
        assert book.with_new([drive]).aliases == book.aliases
        assert book.names(drive) == ("st5",)
    assert book.names(drive_of("MY_SWITCH:5.3", "A")) == ()


@pytest.mark.requirement("R043")
def test_a_changer_that_an_alias_already_names_gets_no_other(changer_of: Any) -> None:
    book = book_of(mc3="SN[65432]")
    known, new = changer_of("8.8", "65432"), changer_of("8.9", "65433")
    book = book.with_new([known, new])
    assert (book.names(known), book.names(new)) == (("mc3",), ("mc0",))


@pytest.mark.requirement("R024")
@pytest.mark.requirement("R069")
def test_an_alias_is_bound_to_a_serial_number(drive_of: Any, changer_of: Any) -> None:
    drive, changer = drive_of("8.6L4", "123456"), changer_of("8.7", "65432")
    devices = (drive, changer)
    book = book_of().with_new(devices)
    book = book.with_alias("st3", parse_address("SN[123456]L4"), devices)
    book = book.with_alias("mc1", parse_address("SN[65432]"), devices)
    assert shown(book) == {"mc1": "SN[65432]", "st3": "SN[123456]L4"}
    assert (book.names(drive), book.names(changer)) == (("st3",), ("mc1",))


@pytest.mark.requirement("R081")
def test_the_case_of_a_serial_number_does_not_matter(drive_of: Any) -> None:
    drive = drive_of("8.6", "Hu1")
    book = book_of(st3="SN[hU1]")
    assert book.names(drive) == ("st3",)
    assert book.with_new([drive]).aliases == book.aliases


@pytest.mark.requirement("R065")
def test_leading_zeros_make_another_alias(drive_of: Any) -> None:
    first, second = drive_of("8.6", "A"), drive_of("8.7", "B")
    book = book_of(st0="SN[A]", st00="SN[B]")
    assert (book.names(first), book.names(second)) == (("st0",), ("st00",))


@pytest.mark.requirement("R071")
def test_an_alias_is_pointed_at_the_new_address_of_a_device(drive_of: Any) -> None:
    moved = drive_of("9.1", "A")
    book = book_of(st5="8.6").with_alias("st5", parse_address("9.1"), [moved])
    assert shown(book) == {"st5": "9.1"}
    assert book.names(moved) == ("st5",)


@pytest.mark.requirement("R072")
def test_two_systems_can_give_a_device_the_same_alias(drive_of: Any) -> None:
    first, second = drive_of("8.6", "A"), drive_of("MY_SWITCH:5.3", "A")
    for drive, others in ((first, [drive_of("8.7", "B")]), (second, [])):
        devices = [*others, drive]
        book = book_of().with_new(devices).with_alias("st9", parse_address("SN[A]"), devices)
        assert book.names(drive) == ("st9",)


def test_an_alias_can_be_bound_to_what_is_not_attached(drive_of: Any) -> None:
    book = book_of().with_alias("st9", parse_address("SN[A]"), [])
    assert book.with_new([drive_of("8.6", "A")]).aliases == book.aliases


def test_an_address_has_one_alias() -> None:
    book = book_of(st1="SN[A]").with_alias("st2", parse_address("SN[a]"), [])
    assert shown(book) == {"st2": "SN[a]"}


def test_an_alias_of_another_attached_device_is_refused(drive_of: Any) -> None:
    devices = drive_of("8.6", "A"), drive_of("8.7", "B")
    book = book_of().with_new(devices)
    error = refusal(book, "st0", "SN[B]", *devices)
    assert str(error) == "st0 is the alias of SN[A], which is device 8.6"
    assert "clear -name st0" in error.action
    assert shown(book.with_alias("st0", parse_address("8.6"), devices))["st0"] == "8.6"


def test_an_alias_of_the_wrong_kind_is_refused(drive_of: Any, changer_of: Any) -> None:
    devices = drive_of("8.6", "A"), changer_of("8.7", "B")
    assert str(refusal(book_of(), "mc1", "SN[A]", *devices)) == (
        "mc1 cannot be bound to SN[A], which is a tape device"
    )
    assert "which is a media-changer device" in str(refusal(book_of(), "st1", "8.7", *devices))


@pytest.mark.requirement("R027")
def test_a_device_whose_alias_was_cleared_gets_none_by_itself(drive_of: Any) -> None:
    devices = drive_of("8.6", "A"), drive_of("8.7", "B")
    book = book_of().with_new(devices).without(["st0"], devices).with_new(devices)
    assert (book.names(devices[0]), book.names(devices[1])) == ((), ("st1",))
    book = book.with_alias("st0", parse_address("sn[a]"), devices)
    assert book.names(devices[0]) == ("st0",)
    assert book.cleared == frozenset()


def test_when_the_alias_of_a_place_was_cleared_its_successor_is_new(drive_of: Any) -> None:
    there, successor = drive_of("8.6", "A"), drive_of("8.6", "B")
    book = book_of(st5="8.6").without(["st5"], [there])
    assert book.with_new([there]).names(there) == ()
    assert book.with_new([successor]).names(successor) == ("st0",)


def test_an_alias_that_is_not_there_cannot_be_cleared() -> None:
    with pytest.raises(TapekitError, match="there is no alias st1"):
        book_of(st0="SN[A]").without(["st1"], [])


def test_aliases_are_listed_as_one_counts() -> None:
    book = book_of(st10="8.1", st2="8.2", mc1="8.3", st02="8.4")
    assert list(book.aliases) == ["mc1", "st02", "st2", "st10"]


@pytest.mark.parametrize("name", ["", "st", "mc", "st-1", "ST0", "nrst0a", "xx1", "st1234567890"])
def test_other_words_are_no_aliases(name: str) -> None:
    with pytest.raises(TapekitError) as caught:
        check_name(name)
    assert str(caught.value) == f'"{name}" is no alias'


def test_a_letter_for_the_digit_is_understood() -> None:
    assert check_name("mcl") == check_name("mc1") == "mc1"


def test_kinds_are_told_apart(drive_of: Any, changer_of: Any) -> None:
    assert kind_of(drive_of("8.6", "A")) is Kind.TAPE is Kind.of_name("st00")
    assert kind_of(changer_of("8.6", "A")) is Kind.MEDIA_CHANGER is Kind.of_name("mc0")
