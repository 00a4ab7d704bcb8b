"""Volume images: whole volumes with their Snapshot copies, for engines that
move volumes rather than files.

A volume is read from Snapshot copies that stay while they are held, and
written while it is restricted: the engine changes the tree and asks for a
Snapshot copy wherever the source had one. The one rule: a volume whose image
is not whole never goes online.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import msgspec

from tapekit.hookspecs.storage import KeepGoing, LockingStorage, for_ever

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tapekit.hookspecs.storage import SnapshotTree, TreeTraits

__all__ = [
    "HeldSnapshot",
    "ImageStorage",
    "MirrorStorage",
    "SnapshotCopy",
    "VolumeFacts",
    "VolumeImage",
    "VolumeState",
    "VolumeStyle",
    "VolumeType",
]


class VolumeState(enum.Enum):
    """Whether a volume serves data."""

    ONLINE = "online"
    RESTRICTED = "restricted"
    """Nobody reads or writes its files; an image may be restored to it."""
    OFFLINE = "offline"
    """Nothing may be done with it but to bring it back."""


class VolumeType(enum.Enum):
    """What a volume is for."""

    RW = "rw"
    DP = "dp"
    """Data protection: read-only for everybody but what replicates to it."""


class VolumeStyle(enum.Enum):
    """How a volume is laid out."""

    FLEXVOL = "flexvol"
    FLEXGROUP = "flexgroup"
    """One name space over many members."""


class VolumeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A volume as it is now."""

    path: str
    """``/vserver/volume``"""
    state: VolumeState
    type: VolumeType
    style: VolumeStyle
    is_whole: bool = True
    """Whether no restore of an image has ended before its end; until another
    image has made it so, it stays restricted."""


class SnapshotCopy(NamedTuple):
    """A whole Snapshot copy of a volume."""

    name: str
    identifier: str
    """Of this copy and of those that were restored from an image of it,
    whatever they are called; no other copy ever has it."""
    created_at_s: int
    """The time that its data stands for, in seconds since 1970."""
    holders: tuple[str, ...]
    """Who reads it or has locked it."""


class HeldSnapshot(Protocol):
    """A Snapshot copy that is open, and stays until it is let go."""

    @property
    def copy(self) -> SnapshotCopy:
        """Which one."""
        ...

    @property
    def tree(self) -> SnapshotTree:
        """Its objects."""
        ...

    @property
    def traits(self) -> TreeTraits:
        """What the volume is besides a directory."""
        ...

    def close(self) -> None:
        """Let it go; later calls do nothing. The copy stays."""
        ...


class VolumeImage(Protocol):
    """A restricted volume that is being written, which its holder has alone."""

    @property
    def root(self) -> Path:
        """The volume's directory, for whoever is going to change it: before
        it is told, it is remembered durably that the volume is not whole, as
        it is by :meth:`take` and :meth:`forget`. So ask for it only once the
        image has proved to be the right one.

        :raises TapekitError: it cannot be remembered.
        """
        ...

    @property
    def memory(self) -> Path:
        """A folder beside the volume, of mode 0700, in which the engine keeps
        what it must know of the volume for the next increment. It exists. It
        is emptied when the volume becomes read/write or a data protection
        volume: then only a baseline can be restored.
        """
        ...

    def copies(self) -> Sequence[SnapshotCopy]:
        """The Snapshot copies, oldest first."""
        ...

    def take(
        self, name: str, identifier: str, created_at_s: int, keep_going: KeepGoing = for_ever
    ) -> None:
        """Make a Snapshot copy of what the volume is now, to stand for one of
        the source.

        :raises TapekitError: the name or the identifier is in use, or the
            method refuses.
        """
        ...

    def forget(self, name: str) -> None:
        """Delete a Snapshot copy.

        :raises TapekitError: there is none, or somebody holds it.
        """
        ...

    def go_online(self, *, writable: bool) -> None:
        """The image is whole: bring the volume online, durably, after the
        file system has written everything to its disk.

        :param writable: end its protection, so that it becomes a read/write
            volume (SMTAPE_BREAK_MIRROR); else its type stays as it is.
        :raises TapekitError: the state cannot be written.
        """
        ...

    def close(self) -> None:
        """Give the volume back. Unless :meth:`go_online` was called, it stays
        restricted; if anything in it may have been changed, it is remembered
        that it is not whole, and only another image makes it so.
        """
        ...


@runtime_checkable
class ImageStorage(LockingStorage, Protocol):
    """A storage that reads and writes volumes as images; calls block.

    ``volume`` is ``/vserver/volume`` throughout. All raise TapekitError for a
    volume that is not there.
    """

    def volume_facts(self, volume: str) -> VolumeFacts:
        """What a volume is now."""
        ...

    def snapshot_copies(self, volume: str) -> Sequence[SnapshotCopy]:
        """The whole Snapshot copies of a volume, oldest first. None are
        among them that another backup has made for itself.
        """
        ...

    def create_snapshot(
        self, volume: str, name: str, holder: str, keep_going: KeepGoing = for_ever
    ) -> SnapshotCopy:
        """Make a Snapshot copy that stays until it is deleted.

        :raises TapekitError: the name is in use, the volume is read-only or
            has as many copies as it may, or the method refuses.
        """
        ...

    def delete_snapshot(self, volume: str, name: str, holder: str) -> None:
        """Delete a Snapshot copy.

        :raises TapekitError: there is none, somebody holds it, or it cannot
            be removed.
        """
        ...

    def hold_snapshot(self, volume: str, name: str, holder: str) -> HeldSnapshot:
        """Open a Snapshot copy, so that nothing removes it until it is let go.

        :raises TapekitError: there is none, or it is being made or removed.
        """
        ...

    def open_image(self, volume: str, holder: str) -> VolumeImage:
        """Open a volume for a restore of an image.

        :raises TapekitError: it is not restricted, not a data protection
            volume, a FlexGroup volume, or another restore has it.
        """
        ...


@runtime_checkable
class MirrorStorage(ImageStorage, Protocol):
    """A storage whose volumes can be copies of other ones; calls block. All
    raise TapekitError for a volume that is not there.
    """

    def change_state(self, volume: str, state: VolumeState) -> None:
        """Bring a volume into another state.

        :raises TapekitError: somebody uses it, or it is to go online and its
            image is not whole.
        """
        ...

    def change_type(self, volume: str, kind: VolumeType) -> None:
        """Begin or end the protection of a volume; see
        :attr:`TreeTraits.type_changes` and :attr:`VolumeImage.memory` for what
        is forgotten then.

        :raises TapekitError: somebody uses it, or its image is not whole.
        """
        ...

    def dumps_suspended(self, volume: str) -> AbstractContextManager[None]:
        """While the context lasts no backup of files of the volume begins;
        one that runs goes on.
        """
        ...
