"""The targets of a stack by their numbers, which are part of drives' names.

Those of the settings come first, then those that portals have offered, in the
order in which they were heard of. The one rule: a number is given once, so
that a target that comes back has it again, and no other one ever has.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import TapeError
from tapekit_scsi_iscsi.settings import Target, parse_portal, parse_target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit_scsi_iscsi.discovery import Offer
    from tapekit_scsi_iscsi.settings import ScsiIscsiSettings

__all__ = ["KnownTargets"]

_LOG: Final = logging.getLogger("tapekit.scsi_iscsi")


@final
class KnownTargets:
    """All targets that have been heard of."""

    def __init__(self, settings: ScsiIscsiSettings, ask: Callable[[str], Sequence[Offer]]) -> None:
        """:param ask: tells what a portal offers; may raise :class:`TapeError`."""
        self._all: Final = [parse_target(text) for text in settings.targets]
        self._listed: Final = len(self._all)
        self._portals: Final = [parse_portal(text) for text in settings.portals]
        self._ask: Final = ask
        self._offered: Final[dict[str, Sequence[int]]] = {}
        """What each portal has offered when it answered last."""

    def __getitem__(self, number: int) -> Target:
        """A target by its number."""
        return self._all[number]

    def present(self) -> Sequence[int]:
        """The targets of the settings, and those that portals offer now.

        A portal that does not answer, but has done so before, counts as if it
        had offered the same: whether its targets answer is seen by asking them.

        :raises TapeError: a portal has never answered, so that nobody knows
            which of the others' numbers are due to its targets.
        """
        for portal in self._portals:
            try:
                self._offered[portal] = self._numbers(portal, self._ask(portal))
            except TapeError as error:
                if portal not in self._offered:
                    raise
                _LOG.info("its targets are taken to be the same: %s", error)
        offered = {number for each in self._offered.values() for number in each}
        return [*range(self._listed), *sorted(offered)]

    def _numbers(self, portal: str, offers: Sequence[Offer]) -> Sequence[int]:
        """The numbers of the targets that a portal offers. Those that the
        settings name are left to these, who know how they are to be reached.
        """
        listed = {target.name for target in self._all[: self._listed]}
        return [
            self._number(Target(_way(portal, offer), offer.name))
            for offer in sorted(offers)
            if offer.name not in listed
        ]

    def _number(self, target: Target) -> int:
        if target not in self._all:
            self._all.append(target)
        return self._all.index(target)


def _way(portal: str, offer: Offer) -> str:
    """Where a target is logged in to: where it was told of, if it is there."""
    return portal if portal in offer.portals or not offer.portals else offer.portals[0]
