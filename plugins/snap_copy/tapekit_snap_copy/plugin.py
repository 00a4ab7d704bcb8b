"""Snapshot copies by copying as a plugin: manifest and hooks.

Everything else stands in the modules beside this one, which know nothing of
plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import InitPart, Manifest, NoSettings
from tapekit_snap_copy.method import CopyMethod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.lifecycle import InitSite
    from tapekit.hookspecs.storage import SnapshotMethod

__all__ = ["SnapCopyPlugin"]


@final
class SnapCopyPlugin:
    """Offers the Snapshot method ``copy``."""

    manifest: ClassVar[Manifest] = Manifest(
        name="snap_copy",
        summary="Snapshot copies by copying, on every file system",
        requires=("volumes",),
    )

    def __init__(self, settings: NoSettings) -> None:
        """There is nothing to set."""

    @classmethod
    def init_part(cls, site: InitSite) -> InitPart:  # noqa: ARG003 - as specified
        """Be part of a new site, whose first volume uses the method."""
        return InitPart()

    @hookimpl
    def tapekit_register_snapshot_methods(self) -> Sequence[SnapshotMethod]:
        """Offer one method."""
        return (CopyMethod(),)
