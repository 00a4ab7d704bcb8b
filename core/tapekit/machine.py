"""A walker for transition tables.

States and events are enumerations, the table is data that code, tests and
documents read alike. The walker holds nothing but the current state; an
event that the table does not have raises and changes nothing.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, Generic, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["IllegalTransition", "Machine"]

S = TypeVar("S", bound=enum.Enum)
E = TypeVar("E", bound=enum.Enum)


class IllegalTransition(Exception):
    """An event came in a state that has no row for it."""

    def __init__(self, machine: str, state: enum.Enum, event: enum.Enum) -> None:
        super().__init__(f"{machine}: {event.name} is not legal in state {state.name}")
        self.machine: Final = machine
        self.state: Final = state
        self.event: Final = event


@final
class Machine(Generic[S, E]):
    """Walks a transition table and holds nothing but the current state."""

    def __init__(self, name: str, table: Mapping[S, Mapping[E, S]], initial: S) -> None:
        self.name: Final = name
        self._table: Final = table
        self.state = initial

    def __repr__(self) -> str:
        return f"<Machine {self.name} {self.state.name}>"

    def allows(self, event: E) -> bool:
        """Whether :meth:`fire` would succeed now."""
        return event in self._table[self.state]

    def fire(self, event: E) -> S:
        """Move to the next state, or raise and stay where we are.

        :raises IllegalTransition: the table has no such row.
        """
        try:
            self.state = self._table[self.state][event]
        except KeyError:
            raise IllegalTransition(self.name, self.state, event) from None
        return self.state
