"""What the Snapshot copies of two volumes say about a transfer between them.

A transfer follows the destination's newest copy if the source has it too, by
its identifier; else it must replace all that the destination holds. The one
rule: nothing here reads or writes a volume, so that each decision can be
tested alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit_snapmirror.errors import CATALOGUE
from tapekit_snapmirror.relationships import PREFIX, MirrorState, RelationshipKind, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.volume_images import SnapshotCopy
    from tapekit_snapmirror.relationships import Relationship

__all__ = ["base_of_transfer", "common_copy", "lost_by_baseline", "refuse_losses", "surplus"]


def common_copy(
    source: Sequence[SnapshotCopy], destination: Sequence[SnapshotCopy]
) -> SnapshotCopy | None:
    """The destination's newest copy, if the source has it too: an increment
    can follow no other one.

    :param source: the copies of the source, oldest first; likewise the destination's.
    """
    known = {copy.identifier for copy in source}
    newest = destination[-1] if destination else None
    return newest if newest is not None and newest.identifier in known else None


def base_of_transfer(
    relationship: Relationship,
    step: Step,
    common: SnapshotCopy | None,
    *,
    seeded: bool = False,
) -> SnapshotCopy | None:
    """The copy that a transfer follows; none for a baseline.

    :param common: see :func:`common_copy`.
    :param seeded: whether the first transfer is to follow a restored copy.
    :raises TapekitError: it must follow one, and the volumes have none in common.
    """
    if step is Step.UPDATE or (step is Step.INITIALIZE and seeded):
        if common is None:
            raise CATALOGUE.error(
                "no-common-copy", source=relationship.source, destination=relationship.destination
            )
        return common
    if step is Step.INITIALIZE or relationship.state is MirrorState.BROKEN_OFF:
        # A volume that was read/write has been changed, and engines have
        # forgotten what they knew of it.
        return None
    return common


def lost_by_baseline(
    source: Sequence[SnapshotCopy], destination: Sequence[SnapshotCopy]
) -> Sequence[str]:
    """The destination's copies that a baseline would take away for good; not
    those that relationships have made for themselves.
    """
    known = {copy.identifier for copy in source}
    return [
        copy.name
        for copy in destination
        if copy.identifier not in known and not copy.name.startswith(PREFIX)
    ]


def refuse_losses(
    relationship: Relationship,
    source: Sequence[SnapshotCopy],
    destination: Sequence[SnapshotCopy],
    *,
    may_discard: bool,
) -> None:
    """Refuse a baseline that somebody would miss something after, or that
    would fail halfway.

    :raises TapekitError: a vault would lose copies, or somebody holds one.
    """
    others = [
        f"{copy.name} ({', '.join(held)})"
        for copy in destination
        if (held := [each for each in copy.holders if each != relationship.holder])
    ]
    if others:
        raise CATALOGUE.error(
            "copies-held", destination=relationship.destination, copies=", ".join(others)
        )
    lost = lost_by_baseline(source, destination)
    if lost and relationship.kind is RelationshipKind.VAULT and not may_discard:
        raise CATALOGUE.error(
            "vault-would-lose", destination=relationship.destination, copies=", ".join(lost)
        )


def surplus(
    relationship: Relationship,
    source: Sequence[SnapshotCopy],
    destination: Sequence[SnapshotCopy],
) -> Sequence[str]:
    """The destination's copies that are to go after a transfer: of a mirror
    all that the source has no more, of a vault those that relationships have
    made for themselves.
    """
    known = {copy.identifier for copy in source}
    is_mirror = relationship.kind is RelationshipKind.MIRROR
    return [
        copy.name
        for copy in destination
        if copy.identifier not in known and (is_mirror or copy.name.startswith(PREFIX))
    ]
