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

__all__ = [
    "base_for",
    "chain_of",
    "kept",
    "kept_everywhere",
    "level_of",
    "restorable",
    "with_increments",
]

_DAY_S: Final = 86400
_HIGHEST_LEVEL: Final = 9


def kept(backups: Iterable[Backup], settings: MediaSetSettings, now: float) -> frozenset[int]:
    """The numbers of a set's backups that may not be overwritten yet; those
    that failed are never kept, those that run always.
    """
    known = {each.number: each for each in backups if each.state is not State.FAILED}
    found: set[int] = set()
    latest = 0.0
    for number, each in sorted(known.items()):
        # A clock that went back has made none of them older than those before.
        latest = max(latest, each.started_at)
        if each.state is State.RUNNING or latest > now - settings.retention_days * _DAY_S:
            found.add(number)
    if settings.retention_copies:
        found |= _of_last_copies(known.values(), settings.retention_copies)
    for number in sorted(found, reverse=True):
        found.update(each.number for each in _bases(known[number], known))
    return frozenset(found)


def kept_everywhere(
    backups: Sequence[Backup], sets: Mapping[str, MediaSetSettings], now: float
) -> frozenset[int]:
    """The same over all media sets: an increment may be in another one than
    what it builds on. All of a set without settings is kept.
    """
    known = {each.number: each for each in backups if each.state is not State.FAILED}
    found: set[int] = set()
    for name in {each.media_set for each in known.values()}:
        mine = [each for each in known.values() if each.media_set == name]
        found |= kept(mine, sets[name], now) if name in sets else {each.number for each in mine}
    for number in sorted(found, reverse=True):
        found.update(each.number for each in _bases(known[number], known))
    return frozenset(found)


def restorable(backups: Iterable[Backup]) -> list[Backup]:
    """The good ones whose bases are all there, in their order."""
    good = {each.number: each for each in backups if each.state is State.GOOD}
    found: dict[int, Backup] = {}
    for number, each in sorted(good.items()):
        if each.base is None or each.base in found:
            found[number] = each
    return list(found.values())


def with_increments(numbers: Iterable[int], backups: Iterable[Backup]) -> list[int]:
    """Backups together with all that build on them, the oldest first."""
    found = set(numbers)
    for each in sorted(backups, key=lambda backup: backup.number):
        if each.base in found:
            found.add(each.number)
    return sorted(found)


def _of_last_copies(backups: Collection[Backup], copies: int) -> set[int]:
    """All since the oldest of a path's last full backups."""
    found: set[int] = set()
    for place in {_place(each) for each in backups}:
        here = sorted(
            (each for each in backups if _place(each) == place),
            key=lambda each: each.number,
        )
        fulls = [each.number for each in here if each.level == 0 and each.state is State.GOOD]
        oldest = fulls[-copies:][0] if fulls else 0
        found.update(each.number for each in here if each.number >= oldest)
    return found


def _place(backup: Backup) -> tuple[str, str, str]:
    return backup.server, backup.path, backup.butype


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
