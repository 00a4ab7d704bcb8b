"""Moves of volumes: from one aggregate to another under running jobs.

The storage makes room for a volume that is to move, under a name that only
the mover knows. The mover brings it images as to any data protection volume,
and when nothing is missing the storage lets the volume's name lead there, at
one moment and durably. The one rule: what the name led to before is kept,
whatever happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tapekit.hookspecs.volume_images import MirrorStorage

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MovableStorage", "TreeFingerprint"]


class TreeFingerprint(Protocol):
    """What a volume was when it was walked; two are equal if nothing in the
    volume has changed in between, as far as change times tell.
    """

    def __eq__(self, other: object, /) -> bool: ...

    def __hash__(self) -> int: ...


@runtime_checkable
class MovableStorage(MirrorStorage, Protocol):
    """A storage whose volumes can move to other aggregates; calls block. All
    raise TapekitError for a volume that is not there.
    """

    def make_room(self, volume: str, aggregate: str) -> str:
        """Make room for a volume in an aggregate, or find that of a move there
        that was interrupted.

        :returns: the name of the volume that comes to be there: a restricted
            data protection volume for images, of which no listing tells.
        :raises TapekitError: there is no such aggregate, it takes no volumes,
            the volume is in it, cannot move, or is moving elsewhere.
        """
        ...

    def give_up_room(self, volume: str) -> str | None:
        """Forget the room that was made for a volume, if there is any. What
        lies there stays: nothing but an administrator removes it.

        :returns: the directory that is left.
        """
        ...

    def fingerprint(self, volume: str, keep_going: Callable[[], None]) -> TreeFingerprint:
        """Walk a volume.

        :raises TapekitError: it cannot be walked, or another file system is
            mounted in it, which would not move with it.
        """
        ...

    def move_in(
        self, volume: str, unchanged: TreeFingerprint, keep_going: Callable[[], None]
    ) -> str:
        """Let a volume's name lead to the room that was made for it. Before,
        the volume is walked beside what has arrived; durable on return.

        :param unchanged: what the volume was before the Snapshot copy was
            made that arrived last.
        :returns: the directory where the volume was, which stays as it is.
        :raises TapekitError: somebody uses the volume, it has changed, what
            arrived is not the same, or a lock keeps a Snapshot copy that did
            not arrive; the volume is where it was.
        """
        ...

    def is_unchanged(self, directory: str, unchanged: TreeFingerprint) -> bool:
        """Whether a directory that :meth:`move_in` has left is still what it
        was, so that nothing was written there too late.
        """
        ...
