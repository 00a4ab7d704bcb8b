"""One pass: what has changed in a volume goes to where it is to be.

A pass makes a Snapshot copy of the volume and sends it, with all copies since
the last one that both places have, as an SMTape image. All calls block. The
one rule: the newest copy of both places is locked until a newer one is in
both, so that a pass that was cut is followed by a short one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import VolumeState
from tapekit_snapmirror.choices import common_copy
from tapekit_snapmirror.transfer import ImageWish

if TYPE_CHECKING:
    from tapekit.hookspecs.storage import KeepGoing
    from tapekit.hookspecs.volume_moves import MovableStorage
    from tapekit_volume_move.records import Move

__all__ = ["Passes"]

_LOG: Final = logging.getLogger("tapekit.volume_move")


@final
class Passes:
    """The passes of moves, on the volumes of a stack."""

    def __init__(self, storage: MovableStorage) -> None:
        self._storage: Final = storage

    def begin(self, move: Move, keep_going: KeepGoing) -> ImageWish:
        """Make the copy that is sent, and have its destination take it.

        :raises TapekitError: a copy cannot be made or locked.
        """
        storage, name = self._storage, f"{move.prefix}{move.passes}"
        storage.create_snapshot(move.volume, name, move.holder, keep_going)
        held = storage.hold_snapshot(move.volume, name, move.holder)
        try:
            storage.lock_snapshot(move.volume, name, move.holder)
        finally:
            held.close()
        if storage.volume_facts(move.arriving).state is not VolumeState.RESTRICTED:
            storage.change_state(move.arriving, VolumeState.RESTRICTED)
        base = common_copy(
            storage.snapshot_copies(move.volume), storage.snapshot_copies(move.arriving)
        )
        return ImageWish(
            source=move.volume,
            destination=move.arriving,
            newest=name,
            base=None if base is None else base.identifier,
            set_id=move.id,
            holder=move.holder,
        )

    def end(self, move: Move) -> None:
        """Delete the copies of earlier passes, and in the new place those that
        the volume has no more.

        :raises TapekitError: one of them cannot be deleted.
        """
        newest = f"{move.prefix}{move.passes}"
        self.clear(move, keep=newest)
        here = {copy.identifier for copy in self._storage.snapshot_copies(move.volume)}
        for copy in self._storage.snapshot_copies(move.arriving):
            if copy.identifier not in here:
                self._storage.delete_snapshot(move.arriving, copy.name, move.holder)

    def fail(self, move: Move) -> None:
        """Delete the copy of a pass that was cut, unless it arrived whole."""
        try:
            arrived = {copy.identifier for copy in self._storage.snapshot_copies(move.arriving)}
            for copy in self._storage.snapshot_copies(move.volume):
                if copy.name == f"{move.prefix}{move.passes}" and copy.identifier not in arrived:
                    self._delete(move, copy.name)
        except TapekitError as error:
            _LOG.warning("%s: %s", move.volume, error.advice)

    def clear(self, move: Move, keep: str | None = None) -> None:
        """Delete the move's own copies of the volume.

        :raises TapekitError: one of them cannot be deleted.
        """
        for copy in self._storage.snapshot_copies(move.volume):
            if copy.name.startswith(move.prefix) and copy.name != keep:
                self._delete(move, copy.name)

    def _delete(self, move: Move, name: str) -> None:
        self._storage.unlock_snapshot(move.volume, name, move.holder)
        self._storage.delete_snapshot(move.volume, name, move.holder)
