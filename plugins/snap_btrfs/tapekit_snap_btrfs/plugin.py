"""Snapshot copies by btrfs as a plugin: manifest and hooks.

Everything else stands in the modules beside this one, which know nothing of
plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import Manifest, NoSettings
from tapekit_snap_btrfs.method import BtrfsMethod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.storage import SnapshotMethod

__all__ = ["SnapBtrfsPlugin"]


@final
class SnapBtrfsPlugin:
    """Offers the Snapshot method ``btrfs``."""

    manifest: ClassVar[Manifest] = Manifest(
        name="snap_btrfs",
        summary="Snapshot copies as snapshots of btrfs subvolumes, made at once",
        requires=("volumes",),
    )

    def __init__(self, settings: NoSettings) -> None:
        """There is nothing to set."""

    @hookimpl
    def tapekit_register_snapshot_methods(self) -> Sequence[SnapshotMethod]:
        """Offer one method."""
        return (BtrfsMethod(),)
