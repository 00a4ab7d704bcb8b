"""The volume that a restore goes to: which one, and whether it may be written.

A DMA names it in the restore list, by the destination of its one entry, or
leaves the list empty and means the volume that FILESYSTEM names. The one
rule: only a whole volume is restored, and only one that nobody uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import VolumeState, VolumeStyle, VolumeType
from tapekit_smtape.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.data_engine import Selection
    from tapekit.hookspecs.volume_images import ImageStorage

__all__ = ["RestoreWish", "check_destination", "restore_wish"]

_VOLUME_PARTS = 2


class RestoreWish(NamedTuple):
    """What a DMA asks for."""

    volume: str
    """``/vserver/volume``"""
    label: str | None
    """What its entry of the restore list is called, if there is one."""


def restore_wish(selections: Sequence[Selection], filesystem: str | None) -> RestoreWish:
    """The volume that a restore list, or FILESYSTEM, names.

    :raises TapekitError: it names something else than one whole volume.
    """
    if not selections:
        return RestoreWish(_volume(filesystem or ""), None)
    if len(selections) > 1:
        raise CATALOGUE.error("one-volume-at-a-time", count=len(selections))
    selection = selections[0]
    if len(_parts(selection.original_path)) not in {0, _VOLUME_PARTS}:
        raise CATALOGUE.error("whole-volumes-only", path=selection.original_path)
    named = "/".join(filter(None, (selection.destination_path, selection.name)))
    return RestoreWish(_volume(named or filesystem or ""), selection.original_path)


def check_destination(storage: ImageStorage, volume: str) -> None:
    """Tell why a volume cannot be restored to, if it cannot.

    :raises TapekitError: there is none, or its state, type or style forbids it.
    """
    try:
        facts = storage.volume_facts(volume)
    except TapekitError as error:
        raise CATALOGUE.error("invalid-volume-path", path=volume) from error
    if facts.style is VolumeStyle.FLEXGROUP:
        raise CATALOGUE.error("flexgroup-volume", path=volume)
    if facts.state is VolumeState.OFFLINE:
        raise CATALOGUE.error("volume-offline", path=volume)
    if facts.type is not VolumeType.DP:
        raise CATALOGUE.error("not-a-dp-volume", path=volume)
    if facts.state is not VolumeState.RESTRICTED:
        raise CATALOGUE.error("volume-not-restricted", path=volume)


def _volume(path: str) -> str:
    parts = _parts(path)
    if len(parts) != _VOLUME_PARTS or ".." in parts:
        raise CATALOGUE.error("invalid-volume-path", path=path)
    return "/" + "/".join(parts)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]
