"""Places of a library in words: ``slot 3``, ``mail 0``, ``drive 1``, or a barcode.

Slots, mail slots and drives are counted from 0 in the order of their element
addresses, which are the library's own. The one rule: what could mean two
places, or none, is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.media_changer import Element, ElementType
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_tape_devices.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["destination_of", "empty_place", "found", "names_of", "refuse_full", "source_of"]

_WORDS: Final = {
    ElementType.TRANSPORT: "arm",
    ElementType.STORAGE: "slot",
    ElementType.IMPORT_EXPORT: "mail",
    ElementType.DRIVE: "drive",
}
_PLACE: Final = re.compile(r"(slot|mail|drive)[ :]?([0-9]{1,5})|#([0-9]{1,5})")


def names_of(elements: Iterable[Element]) -> Mapping[int, str]:
    """What elements are called, by their addresses."""
    counts = dict.fromkeys(ElementType, 0)
    names: dict[int, str] = {}
    for element in sorted(elements, key=lambda one: one.address):
        names[element.address] = f"{_WORDS[element.type]} {counts[element.type]}"
        counts[element.type] += 1
    return names


def found(elements: Sequence[Element], words: str, changer: str) -> Element:
    """The element that is called so, or that holds the cartridge of that barcode.

    :param words: a place such as ``slot 3`` or ``drive:1``, an element address
        such as ``#1024``, or a barcode.
    :param changer: the changer's name, for messages.
    :raises TapeError: ``BAD_REQUEST``: there is none, or several.
    """
    place = _PLACE.fullmatch(words)
    if place is None:
        matches = [one for one in elements if one.is_full and one.volume_tag == words]
    elif place[3] is not None:
        matches = [one for one in elements if one.address == int(place[3])]
    else:
        name = f"{place[1]} {int(place[2])}"
        addresses = {at for at, known in names_of(elements).items() if known == name}
        matches = [one for one in elements if one.address in addresses]
    if not matches:
        raise _no_such_place(words, changer)
    if len(matches) > 1:
        names = names_of(elements)
        raise CATALOGUE.raised_as(
            TapeError,
            "same-barcode",
            condition=Condition.BAD_REQUEST,
            words=words,
            changer=changer,
            places=", ".join(names[one.address] for one in matches),
        )
    return matches[0]


def _no_such_place(words: str, changer: str) -> TapeError:
    return CATALOGUE.raised_as(
        TapeError,
        "no-such-place",
        condition=Condition.BAD_REQUEST,
        words=words,
        changer=changer,
    )


def destination_of(elements: Sequence[Element], words: str, changer: str) -> Element:
    """The element to which a cartridge is to go: a place, not a barcode.

    :raises TapeError: ``BAD_REQUEST``: there is none.
    """
    place = found(elements, words, changer)
    if _PLACE.fullmatch(words) is None:
        raise CATALOGUE.raised_as(
            TapeError,
            "no-destination",
            condition=Condition.BAD_REQUEST,
            words=words,
            changer=changer,
        )
    return place


def source_of(elements: Sequence[Element], words: str, changer: str) -> Element:
    """The element from which a cartridge is to go.

    :raises TapeError: as :func:`found`; ``SOURCE_EMPTY``: there is nothing in it.
    """
    place = found(elements, words, changer)
    if not place.is_full:
        raise CATALOGUE.raised_as(
            TapeError,
            "place-empty",
            condition=Condition.SOURCE_EMPTY,
            place=names_of(elements)[place.address],
            changer=changer,
        )
    return place


def refuse_full(elements: Sequence[Element], destination: Element, changer: str) -> None:
    """Refuse a place with a cartridge in it before anything has moved.

    :raises TapeError: ``DESTINATION_FULL``.
    """
    if destination.is_full:
        raise CATALOGUE.raised_as(
            TapeError,
            "place-full",
            condition=Condition.DESTINATION_FULL,
            place=names_of(elements)[destination.address],
            changer=changer,
            cartridge=destination.volume_tag or "a cartridge without a barcode",
        )


def empty_place(elements: Sequence[Element], kind: ElementType, changer: str) -> Element:
    """The first empty slot, or mail slot.

    :raises TapeError: ``DESTINATION_FULL``: there is none.
    """
    for one in sorted(elements, key=lambda one: one.address):
        if one.type is kind and not one.is_full:
            return one
    raise CATALOGUE.raised_as(
        TapeError,
        "no-empty-place",
        condition=Condition.DESTINATION_FULL,
        kind=_WORDS[kind],
        changer=changer,
    )
