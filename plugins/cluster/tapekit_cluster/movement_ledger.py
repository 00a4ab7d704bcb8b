"""Which movements are on, and at which nodes aggregates are.

A movement outlives the server: a script that moves storage may stop it, and
what begins again must keep jobs out until it is told that all is over. The
one rule: a change is durable before it is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit_cluster.errors import CATALOGUE
from tapekit_cluster.movement_operations import Domain, Movement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tapekit.hookspecs.state import StateStore

__all__ = ["MovementLedger"]

_NAMESPACE: Final = "cluster.movements"
_ON: Final = "on/"
_AT: Final = "at/"


@final
class MovementLedger:
    """What is remembered; calls block for a flush of the disk."""

    def __init__(self, state: StateStore) -> None:
        """Read what is remembered.

        :raises TapekitError: it cannot be read.
        """
        self._state: Final = state
        values = state.items(_NAMESPACE)
        try:
            self._on: Final = {
                Domain(key.removeprefix(_ON)): msgspec.json.decode(value, type=Movement)
                for key, value in values.items()
                if key.startswith(_ON)
            }
            self._places: Final = {
                key.removeprefix(_AT): value.decode()
                for key, value in values.items()
                if key.startswith(_AT)
            }
        except (msgspec.DecodeError, ValueError) as error:
            raise CATALOGUE.error("movement-not-understood", reason=error) from error

    @property
    def on(self) -> Sequence[Movement]:
        """The movements that are on."""
        return tuple(self._on.values())

    def movement(self, domain: Domain) -> Movement | None:
        """The movement that is on in a domain."""
        return self._on.get(domain)

    @property
    def places(self) -> Mapping[str, str]:
        """The nodes to which aggregates have moved, by their names."""
        return self._places

    def begin(self, movement: Movement) -> None:
        """A movement is on.

        :raises TapekitError: it cannot be remembered.
        """
        domain = movement.kind.domain
        self._state.change(_NAMESPACE, {_ON + domain.value: msgspec.json.encode(movement)})
        self._on[domain] = movement

    def end(self, movement: Movement, places: Mapping[str, str]) -> None:
        """A movement is over.

        :param places: the nodes at which aggregates are now that were elsewhere.
        :raises TapekitError: it cannot be remembered.
        """
        domain = movement.kind.domain
        changes: dict[str, bytes | None] = {_ON + domain.value: None}
        for name, node in places.items():
            changes[_AT + name] = node.encode()
        self._state.change(_NAMESPACE, changes)
        # In this order, or a job would be let in to what is elsewhere.
        self._places.update(places)
        del self._on[domain]
