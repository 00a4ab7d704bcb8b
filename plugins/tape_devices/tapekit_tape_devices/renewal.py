"""The numbers of devices that are found again, and of those that are new.

A device is the same if it has the serial number that it had, wherever it is
plugged in now; of several with one serial number, and of devices without,
the one in the same place. The one rule: a number that a device has had is
not given to another one, unless that has taken its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from tapekit_tape_devices.hookspecs import Device

__all__ = ["Seen", "numbers_of"]


class Seen(NamedTuple):
    """A device, and the scheme of the driver that has found it."""

    scheme: str
    device: Device


def _place_and_serial(seen: Seen) -> Hashable:
    return seen.scheme, seen.device.serial, seen.device.physical_path


def _serial(seen: Seen) -> Hashable:
    return (seen.scheme, seen.device.serial) if seen.device.serial else None


def _place(seen: Seen) -> Hashable:
    return seen.scheme, seen.device.physical_path


_LIKENESSES: Sequence[Callable[[Seen], Hashable]] = (_place_and_serial, _serial, _place)
"""What makes a device the one before, the surest first."""


def numbers_of(known: Sequence[Seen], found: Sequence[Seen]) -> list[int]:
    """The numbers of the devices that were found now.

    :param known: all devices that have numbers, in their order; also those
        that are gone.
    """
    numbers: dict[int, int] = {}
    free = dict(enumerate(known))
    for likeness in _LIKENESSES:
        places: dict[Hashable, list[int]] = {}
        for number, seen in free.items():
            places.setdefault(likeness(seen), []).append(number)
        for index, seen in enumerate(found):
            like = likeness(seen)
            if index not in numbers and like is not None and places.get(like):
                numbers[index] = places[like].pop(0)
                del free[numbers[index]]
    following = len(known)
    for index in range(len(found)):
        if index not in numbers:
            numbers[index] = following
            following += 1
    return [numbers[index] for index in range(len(found))]
