"""Errors are rows: each has an identifier, a text, a cause and an action.

A plugin keeps its rows in ``errors.toml`` beside its code and raises them
through a :class:`Catalogue`. Operators search for the texts and type the
identifiers into ``tapekit explain``, so neither is ever built on the fly:
a row that is not in a catalogue cannot be raised.
"""

from __future__ import annotations

import string
import tomllib
from importlib import resources
from typing import TYPE_CHECKING, Final, TypeVar, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["CORE", "Catalogue", "Fault", "StartErrors", "TapekitError"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a catalogue: what happened, why, and what to do.

    ``message`` is a :meth:`str.format` template whose placeholders are the
    facts that the error carries.
    """

    id: str
    message: str
    cause: str
    action: str

    @property
    def placeholders(self) -> frozenset[str]:
        """The names of the facts that ``message`` needs."""
        parsed = string.Formatter().parse(self.message)
        return frozenset(name for _, name, _, _ in parsed if name)


class TapekitError(Exception):
    """Something went wrong that an operator can read about.

    Plugins subclass it only where a caller reacts differently. ``str()``
    gives the text alone; :attr:`explained` adds the action.
    """

    def __init__(self, fault: Fault, facts: Mapping[str, object]) -> None:
        super().__init__(fault, facts)
        self.fault: Final = fault
        self.facts: Final = dict(facts)

    def __str__(self) -> str:
        return self.fault.message.format_map(self.facts)

    @property
    def id(self) -> str:
        """The identifier that ``tapekit explain`` takes."""
        return self.fault.id

    @property
    def action(self) -> str:
        """What to do."""
        return self.fault.action.format_map(_Lenient(self.facts))

    @property
    def advice(self) -> str:
        """The text and what to do in one line, for a log or a client."""
        return f"{self} [{self.id}: {self.action}]"

    @property
    def explained(self) -> str:
        """The text, what to do, and the identifier, for a terminal."""
        return f"{self}\n  {self.action}\n  (tapekit explain {self.id})"


class _Lenient(dict[str, object]):
    """Leaves a placeholder standing for which there is no fact."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


E = TypeVar("E", bound=TapekitError)


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    message: str
    cause: str
    action: str


@final
class StartErrors(Exception):
    """A stack was refused; ``errors`` tells every reason, all of them at once."""

    def __init__(self, errors: Iterable[TapekitError]) -> None:
        self.errors: Final = tuple(errors)
        super().__init__(*self.errors)

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))


@final
class Catalogue:
    """The errors of one plugin, read once from its ``errors.toml``."""

    def __init__(self, owner: str, rows: Mapping[str, Fault]) -> None:
        self.owner: Final = owner
        self._rows: Final = dict(rows)

    @classmethod
    def of(cls, owner: str, package: str) -> Catalogue:
        """Read ``errors.toml`` of ``package``; identifiers get ``owner.``.

        :raises FileNotFoundError: the package has no catalogue.
        :raises msgspec.ValidationError: a row lacks a field or has others.
        """
        text = resources.files(package).joinpath("errors.toml").read_text("utf-8")
        rows = msgspec.convert(tomllib.loads(text), dict[str, _Row])
        return cls(
            owner,
            {
                key: Fault(
                    id=f"{owner}.{key}", message=row.message, cause=row.cause, action=row.action
                )
                for key, row in rows.items()
            },
        )

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._rows.values())

    def __getitem__(self, key: str) -> Fault:
        return self._rows[key]

    def error(self, key: str, /, **facts: object) -> TapekitError:
        """Build the error of row ``key``; see :meth:`raised_as`."""
        return self.raised_as(TapekitError, key, **facts)

    def raised_as(self, kind: type[E], key: str, /, **facts: object) -> E:
        """Build the error of row ``key`` as the class a caller reacts to.

        :raises KeyError: no such row, or the facts differ from the
            placeholders of its text: a mistake in the code, never in input.
        """
        fault = self._rows[key]
        missing = fault.placeholders - facts.keys()
        if missing:
            raise KeyError(f"{fault.id} lacks the facts {sorted(missing)}")
        return kind(fault, facts)


CORE: Final = Catalogue.of("core", "tapekit")
