"""All media changers of a stack, numbered, named, each held by one at a time.

Changers get their numbers as drives do: once, in the order of schemes and of
each driver; they are called by these, unless something else names them. The
one rule: a changer's place in the table of holders is taken before the
changer is touched and given back after it was closed.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.hookspecs.media_changer import ChangerRow
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.holds import Holds
from tapekit_tape_devices.hookspecs import FoundChanger
from tapekit_tape_devices.names import changer_name, known, number_in
from tapekit_tape_devices.opening import open_changer
from tapekit_tape_devices.operations import DeviceLine
from tapekit_tape_devices.renewal import Seen, numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tapekit.hookspecs.media_changer import (
        ChangerDescription,
        ChangerDriver,
        MediaChanger,
        OpenChanger,
    )
    from tapekit_tape_devices.hookspecs import DeviceNames, PathJoiner, Reservations

__all__ = ["MOST_CHANGERS", "Changers", "HeldChanger", "NumberedChanger"]

_LOG: Final = logging.getLogger("tapekit.tape_devices")

_PATIENCE_S: Final = 10.0
"""How long a changer is waited for that somebody else is closing, such as the
session of a client that ended a moment ago: a logout may take that long."""

MOST_CHANGERS: Final = 16
"""Media changers that one node may have, however they are attached."""


class NumberedChanger(NamedTuple):
    """A changer under its number."""

    number: int
    driver: ChangerDriver
    description: ChangerDescription


@final
class HeldChanger:
    """A :class:`tapekit.hookspecs.media_changer.OpenChanger` of the inventory."""

    def __init__(
        self,
        name: str,
        changer: MediaChanger,
        release: Callable[[], object],
        leave: Callable[[], object],
        let_go: Callable[[], object],
    ) -> None:
        """:param release: called once, before the changer is closed.
        :param leave: called once, before that.
        :param let_go: called once, when the changer has been closed.
        """
        self.name: Final = name
        self.changer: Final = changer
        self._release: Final = release
        self._leave: Final = leave
        self._let_go: Final = let_go
        self._is_closed = False

    def close(self) -> None:
        """See :meth:`OpenChanger.close`; later calls do nothing.

        :raises TapeError: closing failed; the changer is free all the same.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._leave()
        try:
            try:
                self._release()
            finally:
                self.changer.close()
        finally:
            self._let_go()


@final
class Changers:
    """The changers of all drivers. Calls may come from several threads at once."""

    def __init__(self) -> None:
        self._drivers: Mapping[str, ChangerDriver] = {}
        self._naming: DeviceNames | None = None
        self._reservations: Reservations | None = None
        self._joiner: PathJoiner | None = None
        self._found: Sequence[NumberedChanger] | None = None
        self._connected = 0
        self._holds: Final = Holds()

    def settle(
        self,
        drivers: Mapping[str, ChangerDriver],
        naming: DeviceNames | None,
        *,
        reservations: Reservations | None = None,
        joiner: PathJoiner | None = None,
    ) -> None:
        """Take the stack's drivers, by scheme, and what other plugins offer;
        called once, before all else.
        """
        self._drivers = drivers
        self._naming = naming
        self._reservations = reservations
        self._joiner = joiner

    def discover(self) -> Sequence[ChangerDescription]:
        """Find and number the changers, unless that has been done.

        :raises TapekitError: a driver cannot look; nothing is numbered.
        """
        return [changer.description for changer in self._changers()]

    def rows(self) -> Sequence[ChangerRow]:
        """See :meth:`TapeInventory.changers`: a row a name.

        :raises TapekitError: a driver cannot look.
        """
        return [
            ChangerRow(
                name=name,
                description=changer.description,
                scheme=changer.driver.scheme,
                holder=self._holds.holder(changer.number),
            )
            for changer in self._changers()
            for name in self._names(changer)
        ]

    def lines(self) -> tuple[DeviceLine, ...]:
        """The changers as administrators see them, named or not.

        :raises TapekitError: a driver cannot look.
        """
        return tuple(self._line(changer) for changer in self._changers())

    def _line(self, changer: NumberedChanger) -> DeviceLine:
        found, names = changer.description, tuple(self._names(changer))
        return DeviceLine(
            physical_path=found.physical_path,
            description=f"{found.vendor} {found.product}",
            aliases=names,
            device_names=names,
            serial=found.serial,
            revision=found.revision,
            holder=self._holds.holder(changer.number),
        )

    def openers(self, holder: str) -> Sequence[Callable[[], OpenChanger]]:
        """For each changer, named or not, what opens it.

        :raises TapekitError: a driver cannot look.
        """
        return [partial(self._open, found, None, holder) for found in self._changers()]

    def open(self, name: str, holder: str) -> OpenChanger:
        """See :meth:`TapeInventory.open_changer`.

        :raises TapekitError: a driver cannot look.
        """
        return self._open(self._named(name), name, holder)

    def _open(self, found: NumberedChanger, name: str | None, holder: str) -> OpenChanger:
        address, path = found.description.address, found.description.physical_path
        self.take(found, holder)
        try:
            opened, release = open_changer(found.driver, address, path, self._reservations)
        except BaseException:
            self.give_back(found)
            raise
        return HeldChanger(
            name or path,
            opened,
            release,
            leave=lambda: self._holds.leave(found.number),
            let_go=lambda: self.give_back(found),
        )

    # For what serves an administrator.

    def numbered(self) -> Sequence[NumberedChanger]:
        """The changers by their numbers, named or not.

        :raises TapekitError: a driver cannot look.
        """
        return self._changers()

    def names(self, changer: NumberedChanger) -> Sequence[str]:
        """The names of a changer, such as ``mc0``."""
        return self._names(changer)

    def holder(self, changer: NumberedChanger) -> str | None:
        """Who has a changer open."""
        return self._holds.holder(changer.number)

    def take(self, changer: NumberedChanger, holder: str) -> None:
        """Take the place of a changer's holder; one that is leaving is waited for.

        :raises TapeError: ``BUSY`` with the holder's name.
        """
        present = self._holds.take(changer.number, holder, _PATIENCE_S)
        if present is not None:
            raise CATALOGUE.raised_as(
                TapeError,
                "changer-in-use",
                condition=Condition.BUSY,
                changer=changer.description.physical_path,
                holder=present,
            )

    def give_back(self, changer: NumberedChanger) -> None:
        """Make the place free that was taken."""
        self._holds.give_back(changer.number)

    def _named(self, name: str) -> NumberedChanger:
        changers = self._changers()
        for changer in changers:
            if name in self._names(changer):
                return changer
        number = number_in(name) if name.startswith("mc") else None
        if number is not None and MOST_CHANGERS <= number < self._connected:
            raise CATALOGUE.raised_as(
                TapeError,
                "changer-beyond-limit",
                condition=Condition.NO_DEVICE,
                device=name,
                number=number,
                limit=MOST_CHANGERS,
            )
        raise CATALOGUE.raised_as(
            TapeError,
            "no-such-changer",
            condition=Condition.NO_DEVICE,
            device=name,
            known=self._known(changers),
        )

    def _names(self, changer: NumberedChanger) -> Sequence[str]:
        if self._naming is None:
            return (changer_name(changer.number),)
        return self._naming.names(changer.description)

    def _known(self, changers: Sequence[NumberedChanger]) -> str:
        """The names that there are, for a message."""
        if not changers:
            return "no media changer is connected"
        return known([name for changer in changers for name in self._names(changer)], "changer")

    def _changers(self) -> Sequence[NumberedChanger]:
        found = self._found
        if found is None:
            # Two threads that come first find the same; either may win.
            found = self._numbered(_look(self._drivers, self._joiner))
        return found

    def renew(self) -> None:
        """Look again, as :meth:`Inventory.renew` does.

        :raises TapekitError: a driver cannot look; all is as it was.
        """
        known, looked = self._changers(), _look(self._drivers, self._joiner)
        numbers = numbers_of(
            [Seen(one.driver.scheme, one.description) for one in known],
            [Seen(one.driver.scheme, one.description) for one in looked],
        )
        changers = {one.number: one for one in known}
        for number, one in zip(numbers, looked, strict=True):
            changers[number] = one._replace(number=number)
        self._numbered([changers[number] for number in sorted(changers)])

    def _numbered(self, changers: Sequence[NumberedChanger]) -> Sequence[NumberedChanger]:
        self._connected = len(changers)
        if len(changers) > MOST_CHANGERS:
            _LOG.warning(
                "%d media changers are connected; those beyond %d have no names",
                len(changers),
                MOST_CHANGERS,
            )
        found = self._found = changers[:MOST_CHANGERS]
        return found


def _look(
    drivers: Mapping[str, ChangerDriver], joiner: PathJoiner | None
) -> Sequence[NumberedChanger]:
    found: Sequence[FoundChanger] = [
        FoundChanger(driver, description)
        for _, driver in sorted(drivers.items())
        for description in driver.discover_changers()
    ]
    joined = found if joiner is None else joiner.joined_changers(found)
    return [NumberedChanger(number, *pair) for number, pair in enumerate(joined)]
