"""Where a backup stands among others: what it builds on, and what it leaves.

Chains go by LEVEL and the dates that UPDATE keeps, or by tokens that the
backup application passes on: BASE_DATE=0 begins such a chain and each
DUMP_DATE is the BASE_DATE of a next backup. The one rule: the two ways know
nothing of each other, so that an application that uses tokens never moves
the base of one that uses levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.hookspecs.environment import BadEnvironment
from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tapekit.hookspecs.environment import Environment
    from tapekit_dump.dates import Dump, DumpDates

__all__ = ["HIGHEST_LEVEL", "NO_BASE", "ChainStep", "chain_step"]

NO_BASE: Final = -1
"""BASE_DATE of a backup that goes by LEVEL."""

HIGHEST_LEVEL: Final = 31

_LEVEL_SHIFT: Final = 32
_DATE: Final = (1 << _LEVEL_SHIFT) - 1


class ChainStep(NamedTuple):
    """What a backup asks for."""

    level: int
    token: int | None
    """The date in BASE_DATE, 0 to begin a chain; ``None`` to go by LEVEL."""
    is_kept: bool
    """Whether a backup by LEVEL is to be built on (UPDATE)."""

    def base(self, path: str, dates: DumpDates) -> Dump | None:
        """What it builds on; ``None`` if that is not remembered."""
        if self.token is None:
            return dates.base_of(path, self.level)
        return dates.token(path, self.token)

    def dump_date(self, date: int) -> int | None:
        """DUMP_DATE for a backup with this date: the level of the next one,
        then the date; ``None`` for a backup by LEVEL.
        """
        return None if self.token is None else (self.level + 1) << _LEVEL_SHIFT | date

    @property
    def is_remembered(self) -> bool:
        """Whether something may build on it."""
        return self.is_kept or self.token is not None

    def remember(self, path: str, dump: Dump, pages: Iterable[bytes], dates: DumpDates) -> None:
        """Keep what those need that build on it.

        :raises TapekitError: the store cannot be written.
        """
        if self.token is not None:
            dates.gave_token(path, dump, pages)
        elif self.is_kept:
            dates.succeeded(path, dump, pages)


def chain_step(environment: Environment) -> ChainStep:
    """Where a backup stands, by its variables.

    :raises BadEnvironment: BASE_DATE is no DUMP_DATE, or begins a chain at
        another level than 0.
    """
    level, base = environment.number("LEVEL"), environment.number("BASE_DATE")
    assert level is not None
    assert base is not None
    if base == NO_BASE:
        return ChainStep(level, None, environment.switch("UPDATE"))
    token_level, date = base >> _LEVEL_SHIFT, base & _DATE
    if base == 0:
        if level:
            raise CATALOGUE.raised_as(BadEnvironment, "token-chain-begins-at-zero", level=level)
        return ChainStep(0, 0, is_kept=False)
    if not date or not token_level:
        raise CATALOGUE.raised_as(BadEnvironment, "base-date-unusable", base_date=base)
    if token_level > HIGHEST_LEVEL:
        raise CATALOGUE.raised_as(
            BadEnvironment, "token-chain-too-long", base_date=base, limit=HIGHEST_LEVEL
        )
    return ChainStep(token_level, date, is_kept=False)
