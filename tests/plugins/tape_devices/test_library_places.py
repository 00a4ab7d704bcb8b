"""Places of a library are found by their words."""

from __future__ import annotations

import pytest

from tapekit.hookspecs.media_changer import Element, ElementType
from tapekit.hookspecs.tape_driver import TapeError
from tapekit_tape_devices.library_places import (
    destination_of,
    empty_place,
    found,
    names_of,
    refuse_full,
)


def element(address: int, kind: ElementType, tag: str | None = None) -> Element:
    return Element(address=address, type=kind, is_full=tag is not None, volume_tag=tag or None)


LIBRARY = [
    element(500, ElementType.TRANSPORT),
    element(11, ElementType.STORAGE, "B"),
    element(10, ElementType.STORAGE, "A"),
    element(20, ElementType.DRIVE, "TWICE"),
    element(1, ElementType.IMPORT_EXPORT),
    element(12, ElementType.STORAGE, "TWICE"),
    element(13, ElementType.STORAGE, ""),
    element(14, ElementType.STORAGE),
]


def test_places_are_counted_by_their_addresses() -> None:
    names = names_of(LIBRARY)
    assert names == {
        1: "mail 0",
        10: "slot 0",
        11: "slot 1",
        12: "slot 2",
        13: "slot 3",
        14: "slot 4",
        20: "drive 0",
        500: "arm 0",
    }


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ("slot 1", 11),
        ("slot:1", 11),
        ("slot1", 11),
        ("mail 0", 1),
        ("drive 00", 20),
        ("#13", 13),
        ("A", 10),
    ],
)
def test_places_are_found(words: str, address: int) -> None:
    assert found(LIBRARY, words, "mc0").address == address


@pytest.mark.parametrize("words", ["slot 5", "C", "#9", "arm 0", "", "slot -1"])
def test_what_means_nothing_is_refused(words: str) -> None:
    with pytest.raises(TapeError, match=f'no cartridge that is called "{words}"'):
        found(LIBRARY, words, "mc0")


def test_a_barcode_that_is_there_twice_is_told_with_places() -> None:
    with pytest.raises(TapeError, match='barcode "TWICE": drive 0, slot 2'):
        found(LIBRARY, "TWICE", "mc0")


def test_a_full_place_is_told_with_what_is_in_it() -> None:
    with pytest.raises(TapeError, match="slot 1 in the library of mc0 is full: B is in it"):
        refuse_full(LIBRARY, found(LIBRARY, "slot 1", "mc0"), "mc0")
    with pytest.raises(TapeError, match="is full: a cartridge without a barcode"):
        refuse_full(LIBRARY, found(LIBRARY, "slot 3", "mc0"), "mc0")
    refuse_full(LIBRARY, found(LIBRARY, "slot 4", "mc0"), "mc0")


def test_a_cartridge_is_no_destination() -> None:
    assert destination_of(LIBRARY, "slot 0", "mc0").address == 10
    with pytest.raises(TapeError, match='"A" is a cartridge'):
        destination_of(LIBRARY, "A", "mc0")


def test_the_first_empty_place_is_by_its_address() -> None:
    assert empty_place(LIBRARY, ElementType.STORAGE, "mc0").address == 14
    with pytest.raises(TapeError, match="no empty drive place"):
        empty_place(LIBRARY, ElementType.DRIVE, "mc0")
