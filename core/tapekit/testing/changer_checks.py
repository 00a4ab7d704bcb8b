"""Whether a media changer keeps the contract of :class:`MediaChanger`.

Small scripts of moves, each on a fresh library, that compare what the changer
tells of its elements with what has been moved. The one rule: a move that was
refused must have changed nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.media_changer import Element, ElementType
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.testing.expecting import expect, expect_equal, expect_raises, title

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.media_changer import MediaChanger

__all__ = ["check_media_changer"]


def check_media_changer(make_changer: Callable[[], MediaChanger]) -> None:
    """Claim everything that the contract of :class:`MediaChanger` promises.

    :param make_changer: a fresh changer at each call, whose library has at
        least two cartridges with barcodes in slots, one empty slot, and one
        empty drive; the one before has been closed.
    :raises AssertionError: naming the first claim that does not hold.
    """
    for check in _CHECKS:
        changer = make_changer()
        try:
            check(changer)
        except (AssertionError, TapeError) as error:
            raise AssertionError(f"{title(check)}: {error}") from error
        finally:
            changer.close()


def _check_elements(changer: MediaChanger) -> None:
    elements = changer.elements()
    order = [(element.type, element.address) for element in elements]
    expect_equal(order, sorted(order), "elements by type and address")
    addresses = [element.address for element in elements]
    expect_equal(len(set(addresses)), len(addresses), "different addresses")
    for kind in (ElementType.TRANSPORT, ElementType.STORAGE, ElementType.DRIVE):
        expect(any(element.type is kind for element in elements), f"elements: no {kind.name}")
    for element in elements:
        expect(
            element.is_full or element.volume_tag is None,
            f"element {element.address} is empty and has the barcode {element.volume_tag}",
        )
    expect(len(_full(changer)) >= 2, "elements: fewer than two full slots with barcodes")


def _check_initialize(changer: MediaChanger) -> None:
    before = changer.elements()
    changer.initialize()
    expect_equal(changer.elements(), before, "elements after initialize")


def _check_move_between_slots(changer: MediaChanger) -> None:
    source, destination = _full(changer)[0], _empty(changer, ElementType.STORAGE)
    changer.move(source.address, destination.address)
    _expect_tag(changer, source.address, None)
    _expect_tag(changer, destination.address, source.volume_tag)
    changer.move(destination.address, source.address)
    _expect_tag(changer, source.address, source.volume_tag)


def _check_move_to_a_drive_and_back(changer: MediaChanger) -> None:
    source, drive = _full(changer)[0], _empty(changer, ElementType.DRIVE)
    changer.move(source.address, drive.address)
    _expect_tag(changer, source.address, None)
    _expect_tag(changer, drive.address, source.volume_tag)
    came_from = _at(changer, drive.address).source
    expect(
        came_from in (None, source.address),
        f"source of drive {drive.address}: {came_from}, expected {source.address}",
    )
    elsewhere = _empty(changer, ElementType.STORAGE)
    changer.move(drive.address, elsewhere.address)
    _expect_tag(changer, drive.address, None)
    _expect_tag(changer, elsewhere.address, source.volume_tag)


def _check_refusals(changer: MediaChanger) -> None:
    full, other = _full(changer)[:2]
    empty, drive = _empty(changer, ElementType.STORAGE), _empty(changer, ElementType.DRIVE)
    taken = {element.address for element in changer.elements()}
    nowhere = next(address for address in range(0xFFFF, 0, -1) if address not in taken)
    before = changer.elements()
    for source, destination, condition in (
        (empty.address, drive.address, Condition.SOURCE_EMPTY),
        (drive.address, empty.address, Condition.SOURCE_EMPTY),
        (full.address, other.address, Condition.DESTINATION_FULL),
        (nowhere, empty.address, Condition.BAD_REQUEST),
        (full.address, nowhere, Condition.BAD_REQUEST),
    ):
        what = f"move({source}, {destination})"
        error = expect_raises(TapeError, partial(changer.move, source, destination), what)
        expect_equal(error.condition, condition, f"{what}: condition")
        expect_equal(changer.elements(), before, f"elements after {what} was refused")


def _check_exchange(changer: MediaChanger) -> None:
    coming, going = _full(changer)[:2]
    second = _empty(changer, ElementType.STORAGE)
    before = changer.elements()
    try:
        changer.exchange(coming.address, going.address, second.address)
    except TapeError as error:
        expect_equal(error.condition, Condition.BAD_REQUEST, "exchange that is refused: condition")
        expect_equal(changer.elements(), before, "elements after exchange was refused")
        return
    _expect_tag(changer, coming.address, None)
    _expect_tag(changer, going.address, coming.volume_tag)
    _expect_tag(changer, second.address, going.volume_tag)


_CHECKS: Final = (
    _check_elements,
    _check_initialize,
    _check_move_between_slots,
    _check_move_to_a_drive_and_back,
    _check_refusals,
    _check_exchange,
)


def _full(changer: MediaChanger) -> Sequence[Element]:
    """Full slots with barcodes."""
    return [
        element
        for element in changer.elements()
        if element.type is ElementType.STORAGE and element.volume_tag is not None
    ]


def _empty(changer: MediaChanger, kind: ElementType) -> Element:
    for element in changer.elements():
        if element.type is kind and not element.is_full:
            return element
    raise AssertionError(f"make_changer: no empty element of type {kind.name}")


def _at(changer: MediaChanger, address: int) -> Element:
    return next(element for element in changer.elements() if element.address == address)


def _expect_tag(changer: MediaChanger, address: int, tag: str | None) -> None:
    found = _at(changer, address)
    expect_equal(found.is_full, tag is not None, f"element {address}: is_full")
    expect_equal(found.volume_tag, tag, f"element {address}: barcode")
