"""What the robot of a library does to its state: moves and exchanges.

A real robot puts a cartridge into any empty slot, whereas a cartridge here
owns a slot also while it is in a drive. So whoever owns the slot that gets a
cartridge takes over the one that this cartridge gives up. The one rule: after
every move each cartridge owns a slot of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.library_state import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tapekit_vtape.library_state import LibraryState

__all__ = ["Spot", "exchanged", "moved", "occupant", "occupants"]


class Spot(NamedTuple):
    """Where a cartridge can lie: in a drive, or else in a slot."""

    number: int
    """Of the drive or of the slot, from 0."""
    is_drive: bool = False

    def __str__(self) -> str:
        """The spot in words, for messages."""
        return f"drive {self.number}" if self.is_drive else f"slot {self.number}"


def occupants(state: LibraryState) -> Mapping[Spot, str]:
    """Which cartridge lies where."""
    return {
        Spot(place.slot) if place.drive is None else Spot(place.drive, is_drive=True): barcode
        for barcode, place in state.cartridges.items()
    }


def occupant(state: LibraryState, spot: Spot) -> str | None:
    """The cartridge that lies in a spot."""
    return occupants(state).get(spot)


def moved(state: LibraryState, source: Spot, destination: Spot) -> LibraryState:
    """The state after a move (SMC, MOVE MEDIUM).

    :raises TapeError: ``SOURCE_EMPTY``, ``DESTINATION_FULL``.
    """
    barcode = _taken(state, source)
    _require_empty(state, destination)
    given_up = state.cartridges[barcode].slot
    return _put(state.with_place(barcode, None), barcode, destination, (given_up,))


def exchanged(state: LibraryState, source: Spot, destination: Spot, second: Spot) -> LibraryState:
    """The state after an exchange (SMC, EXCHANGE MEDIUM).

    :raises TapeError: ``SOURCE_EMPTY``, ``DESTINATION_FULL``.
    """
    coming, going = _taken(state, source), _taken(state, destination)
    if source == destination:
        _require_empty(state, destination)
    if second != source:
        _require_empty(state, second)
    given_up = (state.cartridges[going].slot, state.cartridges[coming].slot)
    state = state.with_place(coming, None).with_place(going, None)
    state = _put(state, coming, destination, given_up[::-1])
    return _put(state, going, second, given_up)


def _put(state: LibraryState, barcode: str, spot: Spot, slots: Iterable[int]) -> LibraryState:
    """Put a cartridge that is nowhere into an empty spot.

    :param slots: those that were given up, the preferred one first.
    """
    free = [slot for slot in slots if state.owner(slot) is None]
    if spot.is_drive:
        return state.with_place(barcode, Place(slot=free[0], drive=spot.number))
    owner = state.owner(spot.number)
    if owner is not None:
        place = state.cartridges[owner]
        state = state.with_place(owner, msgspec.structs.replace(place, slot=free[0]))
    return state.with_place(barcode, Place(slot=spot.number))


def _taken(state: LibraryState, spot: Spot) -> str:
    barcode = occupant(state, spot)
    if barcode is None:
        raise CATALOGUE.raised_as(
            TapeError, "source-empty", condition=Condition.SOURCE_EMPTY, spot=spot
        )
    return barcode


def _require_empty(state: LibraryState, spot: Spot) -> None:
    barcode = occupant(state, spot)
    if barcode is not None:
        raise CATALOGUE.raised_as(
            TapeError,
            "destination-full",
            condition=Condition.DESTINATION_FULL,
            spot=spot,
            barcode=barcode,
        )
