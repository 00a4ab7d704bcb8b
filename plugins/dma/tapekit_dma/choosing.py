"""Which backups are kept, built on and restored: decisions without any I/O.

The one rule: a backup is kept as long as one that is kept builds on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit_dma.errors import CATALOGUE
from tapekit_dma.records import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from tapekit_dma.records import Backup
    from tapekit_dma.settings import MediaSetSettings

__all__ = ["base_for", "chain_of", "kept", "level_of"]

_DAY_S: Final = 86400
_HIGHEST_LEVEL: Final = 9


def kept(backups: Iterable[Backup], settings: MediaSetSettings, now: float) -> frozenset[int]:
    """The numbers of a set's backups that may not be overwritten yet; those
    that failed are never kept, those that run always.
    """
    known = {each.number: each for each in backups if each.state is not State.FAILED}
    found = {
        each.number
        for each in known.values()
        if each.state is State.RUNNING or each.started_at > now - settings.retention_days * _DAY_S
    }
    if settings.retention_copies:
        found |= _of_last_copies(known.values(), settings.retention_copies)
    for number in sorted(found, reverse=True):
        found.update(each.number for each in _bases(known[number], known))
    return frozenset(found)


def _of_last_copies(backups: Collection[Backup], copies: int) -> set[int]:
    """All since the oldest of a path's last full backups."""
    found: set[int] = set()
    for place in {(each.server, each.path) for each in backups}:
        here = sorted(
            (each for each in backups if (each.server, each.path) == place),
            key=lambda each: each.number,
        )
        fulls = [each.number for each in here if each.level == 0 and each.state is State.GOOD]
        oldest = fulls[-copies:][0] if fulls else 0
        found.update(each.number for each in here if each.number >= oldest)
    return found


def _bases(backup: Backup, known: Mapping[int, Backup]) -> Iterable[Backup]:
    while backup.base is not None and backup.base in known:
        backup = known[backup.base]
        yield backup


def level_of(word: str, earlier: Sequence[Backup]) -> int:
    """The level that a word or a digit asks for.

    :param earlier: good backups of the same path, the oldest first.
    :raises TapekitError: it is neither.
    """
    match word:
        case "full":
            return 0
        case "differential":
            return 1
        case "incremental":
            return min(earlier[-1].level + 1, _HIGHEST_LEVEL) if earlier else 0
    if len(word) == 1 and word in "0123456789":
        return int(word)
    raise CATALOGUE.error("bad-level", level=word)


def base_for(level: int, path: str, earlier: Sequence[Backup]) -> Backup | None:
    """The backup that one of a level builds on: the last of a lower one.

    :raises TapekitError: there is none, and the level is not 0.
    """
    if level == 0:
        return None
    lower = [each for each in earlier if each.level < level]
    if not lower:
        raise CATALOGUE.error("no-base", path=path, level=level)
    return lower[-1]


def chain_of(backup: Backup, known: Mapping[int, Backup]) -> list[Backup]:
    """A backup with all that it builds on, in the order of a restore.

    :raises TapekitError: one of them is not in the catalogue any more.
    """
    chain = [backup]
    while (base := chain[0].base) is not None:
        if base not in known:
            raise CATALOGUE.error("chain-broken", backup=chain[0].name, base=base)
        chain.insert(0, known[base])
    return chain
