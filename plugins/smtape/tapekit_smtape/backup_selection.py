"""Which Snapshot copies an image has, and what it builds on.

A baseline has the named copy and all older ones; without a name a read/write
volume gets a copy of its own for that, and a read-only one gives all up to
the newest that no relationship deletes. An increment has what is newer than
its base, up to the named copy. The one rule: all copies are held before the
first byte is sent, and until the last.
"""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.errors import TapekitError
from tapekit.hookspecs.environment import BadEnvironment
from tapekit.hookspecs.volume_images import VolumeState, VolumeStyle, VolumeType
from tapekit_smtape.errors import CATALOGUE
from tapekit_smtape.format_header import MOST_COPIES
from tapekit_smtape.variables import base_of, set_id_of, snapshot_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.environment import Environment
    from tapekit.hookspecs.storage import KeepGoing
    from tapekit.hookspecs.volume_images import HeldSnapshot, ImageStorage, SnapshotCopy

__all__ = ["HeldCopies", "Wish", "check_source", "choose", "hold_copies", "is_temporary", "wish_of"]

_VOLUME_PARTS: Final = 2
_SET_ID_BYTES: Final = 16
_OWN_COPY: Final = "snapshot_for_smtape."
"""Begins the names of Snapshot copies that a backup makes for itself."""
_OF_RELATIONSHIP: Final = "snapmirror."
"""Begins the names of those that a relationship makes for its next update."""


class Wish(NamedTuple):
    """What a DMA asks for."""

    volume: str
    """``/vserver/volume``"""
    snapshot: str | None
    """The newest copy that shall be in the image, if it is said."""
    base: str | None
    """Identifier of the copy that an increment builds on."""
    set_id: bytes


@final
class HeldCopies:
    """The Snapshot copies of one image, open until closed."""

    def __init__(self, own: str | None) -> None:
        self._undo: Final = contextlib.ExitStack()
        self.own: Final = own
        """Name of the copy that was made for this backup, if one was."""
        self.base: HeldSnapshot | None = None
        """What an increment builds on."""
        self.copies: Final[list[HeldSnapshot]] = []
        """Oldest first, one or more."""

    def hold(self, storage: ImageStorage, volume: str, name: str, holder: str) -> HeldSnapshot:
        """Hold one copy more.

        :raises TapekitError: it is being removed, or is gone.
        """
        try:
            held = storage.hold_snapshot(volume, name, holder)
        except TapekitError as error:
            reason = error.advice
            raise CATALOGUE.error(
                "failed-to-lock-snapshot", path=volume, snapshot=name, reason=reason
            ) from error
        self._undo.callback(held.close)
        return held

    def close(self) -> None:
        """Let go of all; later calls do nothing."""
        self._undo.close()


def wish_of(environment: Environment) -> Wish:
    """What the variables of a backup ask for.

    :raises BadEnvironment: one is missing or makes no sense with another.
    :raises TapekitError: FILESYSTEM is no volume.
    """
    path = environment.text("FILESYSTEM") or ""
    parts = [part for part in path.split("/") if part]
    if not parts:
        raise CATALOGUE.raised_as(BadEnvironment, "filesystem-missing")
    if len(parts) > _VOLUME_PARTS:
        raise CATALOGUE.error("subtree-path", path=path)
    return Wish(
        volume="/" + "/".join(parts),
        snapshot=snapshot_of(environment),
        base=base_of(environment),
        set_id=set_id_of(environment) or secrets.token_bytes(_SET_ID_BYTES),
    )


def check_source(storage: ImageStorage, wish: Wish) -> None:
    """Tell why a volume cannot be backed up as was asked, if it cannot.

    :raises TapekitError: there is none, its state or style forbids it, or
        the Snapshot copies are not there.
    """
    try:
        facts = storage.volume_facts(wish.volume)
    except TapekitError as error:
        raise CATALOGUE.error("invalid-volume-path", path=wish.volume) from error
    if facts.style is VolumeStyle.FLEXGROUP:
        raise CATALOGUE.error("flexgroup-volume", path=wish.volume)
    if facts.state is VolumeState.OFFLINE:
        raise CATALOGUE.error("volume-offline", path=wish.volume)
    if facts.state is VolumeState.RESTRICTED:
        if facts.type is VolumeType.DP and not storage.snapshot_copies(wish.volume):
            raise CATALOGUE.error("failed-to-get-latest-snapshot", path=wish.volume)
        raise CATALOGUE.error("volume-restricted", path=wish.volume)
    if wish.snapshot is not None or facts.type is not VolumeType.RW:
        choose(storage.snapshot_copies(wish.volume), wish, wish.snapshot)


def is_temporary(name: str) -> bool:
    """Whether a copy is one that the next update of a relationship deletes,
    so that no increment could follow it.
    """
    return name.startswith(_OF_RELATIONSHIP)


def hold_copies(
    storage: ImageStorage, wish: Wish, holder: str, keep_going: KeepGoing
) -> HeldCopies:
    """Choose the copies, make one if the wish needs it, and hold them all.

    :raises TapekitError: there is no such copy, it cannot be made, or it
        cannot be held.
    """
    newest, own = wish.snapshot, None
    if newest is None and storage.volume_facts(wish.volume).type is VolumeType.RW:
        newest = own = _create(storage, wish, holder, keep_going)
    with contextlib.ExitStack() as undo:
        if own is not None:
            undo.callback(storage.delete_snapshot, wish.volume, own, holder)
        rows = storage.snapshot_copies(wish.volume)
        base, copies = choose(rows, wish, newest)
        held = undo.enter_context(contextlib.closing(HeldCopies(own)))
        if base is not None:
            held.base = held.hold(storage, wish.volume, base.name, holder)
        for copy in copies:
            held.copies.append(held.hold(storage, wish.volume, copy.name, holder))
        undo.pop_all()
    return held


def choose(
    rows: Sequence[SnapshotCopy], wish: Wish, newest: str | None
) -> tuple[SnapshotCopy | None, Sequence[SnapshotCopy]]:
    """The base of an image, and the copies in it, oldest first.

    :param rows: all copies of the volume, oldest first.
    :param newest: the copy that ends the image; if none is named the latest
        that is not temporary, and if all are, the latest.
    :raises TapekitError: there is no such copy, no such base, or there are
        more copies than an image may have.
    """
    names = [row.name for row in rows]
    if newest is None and not rows:
        raise CATALOGUE.error("failed-to-get-latest-snapshot", path=wish.volume)
    if newest is not None and newest not in names:
        raise CATALOGUE.error("failed-to-find-snapshot", path=wish.volume, snapshot=newest)
    if newest is None:
        newest = next((name for name in reversed(names) if not is_temporary(name)), names[-1])
    stop = names.index(newest) + 1
    start, base = 0, None
    if wish.base is not None:
        identifiers = [row.identifier for row in rows]
        if wish.base not in identifiers:
            raise CATALOGUE.error("base-copy-gone", path=wish.volume, base=wish.base)
        start = identifiers.index(wish.base) + 1
        base = rows[start - 1]
    chosen = rows[start:stop]
    if not chosen:
        raise CATALOGUE.error(
            "nothing-newer", path=wish.volume, snapshot=newest, base=names[start - 1]
        )
    if len(chosen) > MOST_COPIES:
        raise CATALOGUE.error(
            "too-many-copies", path=wish.volume, count=len(chosen), most=MOST_COPIES
        )
    return base, chosen


def _create(storage: ImageStorage, wish: Wish, holder: str, keep_going: KeepGoing) -> str:
    name = _OWN_COPY + wish.set_id.hex()
    try:
        return storage.create_snapshot(wish.volume, name, holder, keep_going).name
    except TapekitError as error:
        reason = error.advice
        raise CATALOGUE.error(
            "failed-to-create-snapshot", path=wish.volume, reason=reason
        ) from error
