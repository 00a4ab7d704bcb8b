"""Which backups a restore takes what from: decided by the catalogue alone.

A whole restore takes a full backup and each increment in turn. A file comes
from the newest backup of the chain that has it, a directory from every one
that has something of it. The one rule: all paths of a restore come from one
chain, so that they are of one time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit_dma.choosing import chain_of
from tapekit_dma.errors import CATALOGUE
from tapekit_dma.file_index import Found, open_index
from tapekit_dma.records import Backup, Part, State
from tapekit_dma.settings import listed
from tapekit_ndmp_v4.numbers import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_dma.catalogue import Catalogue

__all__ = ["RestoreOrder", "RestoreStep", "needed_parts", "plan_restore"]

_DATE_CHARACTERS: Final = len("2026-01-31")


@final
class RestoreOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A restore that somebody wants."""

    paths: tuple[str, ...]
    """Absolute, as they were when they were backed up."""
    to: str
    """The directory in which they come back, below their place in the backup."""
    source: str = ""
    """A media set, a number of a backup, or a time in ISO 8601: the last backup until then."""
    server: str = ""
    """The server that was backed up, if several have the paths."""
    onto: str = ""
    """The server to restore to; the one that was backed up if empty."""
    only: bool = False
    """Restore that backup alone, onto what has come back of those before."""
    whole_chain: bool = False
    """Restore everything, though paths lead to parts of it."""


@final
class RestoreStep(msgspec.Struct, frozen=True, kw_only=True):
    """What comes from one backup: everything if there is nothing in ``found``."""

    backup: Backup
    parts: tuple[Part, ...]
    found: tuple[Found, ...] = ()


def plan_restore(order: RestoreOrder, catalogue: Catalogue) -> list[RestoreStep]:
    """The steps of a restore, in their order.

    :raises TapekitError: there is no such backup or no such file.
    """
    good = {each.number: each for each in catalogue.backups() if each.state is State.GOOD}
    target = _target(order, list(good.values()))
    chain = [target] if order.only else chain_of(target, good)
    wanted = [path.rstrip("/")[len(target.path.rstrip("/")) :].strip("/") for path in order.paths]
    if order.whole_chain or "" in wanted:
        return [
            RestoreStep(backup=each, parts=tuple(catalogue.parts(each.number))) for each in chain
        ]
    return _by_files(wanted, chain, catalogue)


def needed_parts(step: RestoreStep) -> list[Part]:
    """The parts that a step is sure to read: all of them, unless it goes
    straight to files. Where a file ends on tape nobody knows before.
    """
    is_whole = not step.found
    if is_whole or any(each.is_directory or each.position == UNLIMITED for each in step.found):
        return list(step.parts)
    first, *later = step.parts
    read = [
        part
        for part in later
        if any(
            each.position < part.offset + part.length and part.offset < each.position + each.size
            for each in step.found
        )
    ]
    return [first, *read]


def _target(order: RestoreOrder, good: Sequence[Backup]) -> Backup:
    """The backup that the restore is to bring back the state of."""
    until = _until(order.source)
    matching = [
        each
        for each in good
        if all(_is_within(path, each.path) for path in order.paths)
        and order.server in ("", each.server)
        and (until is None or each.started_at <= until)
        and (until is not None or order.source in ("", each.media_set, str(each.number)))
    ]
    if not matching:
        raise CATALOGUE.error(
            "nothing-to-restore",
            paths=", ".join(order.paths),
            source=f" from {order.source}" if order.source else "",
        )
    servers = {each.server: each for each in matching}
    if len(servers) > 1 and not order.source.isdigit():
        raise CATALOGUE.error("which-one", kind="server", known=listed(servers))
    return matching[-1]


def _until(source: str) -> float | None:
    """The end of a date, or a time; ``None`` for what is neither."""
    if source.isdigit():
        return None
    try:
        moment = datetime.fromisoformat(source).astimezone()
    except ValueError:
        return None
    if len(source) == _DATE_CHARACTERS:
        moment += timedelta(days=1, microseconds=-1)
    return moment.timestamp()


def _is_within(path: str, root: str) -> bool:
    path, root = path.rstrip("/"), root.rstrip("/")
    return path == root or path.startswith(f"{root}/")


def _by_files(
    wanted: Sequence[str], chain: Sequence[Backup], catalogue: Catalogue
) -> list[RestoreStep]:
    steps: list[RestoreStep] = []
    done: set[str] = set()
    for backup in reversed(chain):
        with open_index(catalogue.index_of(backup.number)) as index:
            objects = [index.find(path) for path in wanted if path not in done]
        found = tuple(each for each in objects if each is not None)
        done.update(each.path for each in found if not each.is_directory)
        if found:
            parts = tuple(catalogue.parts(backup.number))
            steps.insert(0, RestoreStep(backup=backup, parts=parts, found=found))
    there = {each.path for step in steps for each in step.found}
    if missing := [path for path in wanted if path not in there]:
        raise CATALOGUE.error("no-such-file", paths=", ".join(missing), backup=chain[-1].name)
    return steps
