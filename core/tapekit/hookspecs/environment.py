"""Environment variables: the DMA's switches for a data engine, as rows.

NDMP passes them as text pairs with DATA_START_BACKUP and DATA_START_RECOVER.
An engine declares rows; :class:`Environment` reads pairs by them, so that a
bad value is refused by name before any data moves. Unknown names are kept
and echoed (NDMP v4, DATA_GET_ENV).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit.errors import CORE, TapekitError
from tapekit.hookspecs._markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "BadEnvironment",
    "Direction",
    "Environment",
    "Kind",
    "Variable",
    "tapekit_register_environment_variables",
]


class Kind(enum.Enum):
    """How the text of a value is read."""

    SWITCH = "Y or N"
    TEXT = "text"
    NUMBER = "whole number"
    CHOICE = "one of a list"


class Direction(enum.Enum):
    """Who gives the value."""

    SET_BY_DMA = "set by the DMA"
    RETURNED = "returned by the server"
    RETURNED_AND_PASSED_BACK = "returned by the server, passed back later"


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """One row: a variable, what it may say, and what it means."""

    name: str
    engine: str
    kind: Kind
    summary: str
    default: str | None = None
    direction: Direction = Direction.SET_BY_DMA
    choices: tuple[str, ...] = ()
    lowest: int = 0
    highest: int = 2**63 - 1

    @property
    def allowed(self) -> str:
        """What a value may be, in words."""
        if self.kind is Kind.CHOICE:
            return "one of " + ", ".join(self.choices)
        if self.kind is Kind.NUMBER:
            return f"a whole number from {self.lowest} to {self.highest}"
        return str(self.kind.value)


class BadEnvironment(TapekitError):
    """A variable has a value that its row does not allow, or lacks one."""


_LONGEST_NUMBER: Final = 32
"""Characters; a longer text costs more to read than any number is worth."""

_YES: Final = frozenset({"y", "yes", "t", "true", "1"})
_NO: Final = frozenset({"n", "no", "f", "false", "0", ""})


@final
class Environment:
    """The pairs of one operation, read by the rows of its engine.

    Names are compared exactly; of a name that comes twice the last value
    counts, as :meth:`all` tells.
    """

    def __init__(self, rows: Iterable[Variable], pairs: Sequence[tuple[str, str]]) -> None:
        self._rows: Final = {row.name: row for row in rows}
        self.pairs: Final = tuple(pairs)
        self._last: Final[Mapping[str, str]] = dict(pairs)

    def check(self) -> None:
        """Read every declared variable once.

        :raises BadEnvironment: for the first bad value, naming the variable,
            the value and what is allowed.
        """
        for name, row in self._rows.items():
            match row.kind:
                case Kind.SWITCH:
                    self.switch(name)
                case Kind.NUMBER:
                    self.number(name)
                case Kind.CHOICE:
                    self.choice(name)
                case Kind.TEXT:
                    self.text(name)

    def is_set(self, name: str) -> bool:
        """Whether the DMA gave the variable at all."""
        return name in self._last

    def text(self, name: str) -> str | None:
        """The value as it came, or the default."""
        return self._last.get(name, self._rows[name].default)

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a name that may be given several times."""
        return tuple(value for key, value in self.pairs if key == name)

    def switch(self, name: str) -> bool:
        """Y or N; T and F, yes, no and the like are taken in any case.

        :raises BadEnvironment: anything else.
        """
        text = (self.text(name) or "").strip().lower()
        if text in _YES:
            return True
        if text in _NO:
            return False
        raise self._bad(name)

    def number(self, name: str) -> int | None:
        """A whole number within the row's limits, or ``None`` without one.

        :raises BadEnvironment: no number, or out of the limits.
        """
        text = self.text(name)
        if text is None:
            return None
        row = self._rows[name]
        digits = text.strip()
        if not digits.removeprefix("-").isdecimal() or not digits.isascii():
            raise self._bad(name)
        if len(digits) > _LONGEST_NUMBER:
            raise self._bad(name)
        value = int(digits)
        if not row.lowest <= value <= row.highest:
            raise self._bad(name)
        return value

    def choice(self, name: str) -> str | None:
        """One of the row's choices in its spelling, or ``None`` without one.
        An empty value is the default, as it is N for a switch.

        :raises BadEnvironment: none of them.
        """
        text = (self.text(name) or "").strip() or self._rows[name].default
        if text is None:
            return None
        for choice in self._rows[name].choices:
            if choice.lower() == text.lower():
                return choice
        raise self._bad(name)

    def _bad(self, name: str) -> BadEnvironment:
        row = self._rows[name]
        return CORE.raised_as(
            BadEnvironment,
            "bad-environment-value",
            name=name,
            value=self.text(name),
            allowed=row.allowed,
        )


@hookspec
def tapekit_register_environment_variables() -> Sequence[Variable]:
    """Declare variables for an engine, one's own or another's.

    Called once. All results are joined; a name declared twice for one
    engine stops the start with ``core.duplicate-name``.
    """
    ...
