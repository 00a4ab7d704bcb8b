"""What the copies of two volumes say about a transfer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import SnapshotCopy
from tapekit_snapmirror.choices import (
    base_of_transfer,
    common_copy,
    lost_by_baseline,
    refuse_losses,
    surplus,
)
from tapekit_snapmirror.relationships import MirrorState, Relationship, RelationshipKind, Step


def a_copy(name: str, *holders: str) -> SnapshotCopy:
    return SnapshotCopy(name, f"identifier of {name}", 0, holders)


def relationship(
    kind: RelationshipKind = RelationshipKind.MIRROR,
    state: MirrorState = MirrorState.SNAPMIRRORED,
) -> Relationship:
    return Relationship(
        id="1", source="/vs1/source", destination="/vs1/copy", kind=kind, state=state
    )


NAMES = st.sampled_from(["a", "b", "c", "snapmirror.1.1", "snapmirror.2.9"])
COPIES = st.lists(NAMES, unique=True).map(lambda names: [a_copy(name) for name in names])


@given(COPIES, COPIES)
def test_the_common_copy_is_the_destinations_newest_and_the_sources(
    source: list[SnapshotCopy], destination: list[SnapshotCopy]
) -> None:
    found = common_copy(source, destination)
    if found is None:
        assert not destination or destination[-1] not in source
    else:
        assert found == destination[-1]
        assert found in source


@given(COPIES, COPIES, st.sampled_from(RelationshipKind))
def test_only_what_the_source_lacks_goes(
    source: list[SnapshotCopy], destination: list[SnapshotCopy], kind: RelationshipKind
) -> None:
    gone = set(surplus(relationship(kind), source, destination))
    lacking = {copy.name for copy in destination} - {copy.name for copy in source}
    own = {name for name in lacking if name.startswith("snapmirror.")}
    assert gone == (lacking if kind is RelationshipKind.MIRROR else own)
    assert set(lost_by_baseline(source, destination)) == lacking - own


@pytest.mark.parametrize(
    ("step", "state", "seeded", "follows"),
    [
        (Step.INITIALIZE, MirrorState.UNINITIALIZED, False, False),
        (Step.INITIALIZE, MirrorState.UNINITIALIZED, True, True),
        (Step.UPDATE, MirrorState.SNAPMIRRORED, False, True),
        (Step.RESYNC, MirrorState.SNAPMIRRORED, False, True),
        (Step.RESYNC, MirrorState.UNINITIALIZED, False, True),
        (Step.RESYNC, MirrorState.BROKEN_OFF, False, False),
    ],
)
def test_what_a_transfer_follows(
    step: Step, state: MirrorState, seeded: bool, follows: bool
) -> None:
    common = a_copy("a")
    found = base_of_transfer(relationship(state=state), step, common, seeded=seeded)
    assert found == (common if follows else None)


def test_an_update_must_follow_something() -> None:
    with pytest.raises(TapekitError, match="its newest Snapshot copy is none of /vs1/source"):
        base_of_transfer(relationship(), Step.UPDATE, None)
    assert base_of_transfer(relationship(), Step.RESYNC, None) is None


def test_a_vault_does_not_lose_copies_unless_told_so() -> None:
    here = [a_copy("old"), a_copy("snapmirror.1.1", "snapmirror of /vs1/copy")]
    refuse_losses(relationship(), [], here, may_discard=False)
    vault = relationship(RelationshipKind.VAULT)
    with pytest.raises(TapekitError, match=r"has no more: old$"):
        refuse_losses(vault, [], here, may_discard=False)
    refuse_losses(vault, [], here, may_discard=True)
    refuse_losses(vault, [here[0]], here, may_discard=False)


def test_nobody_else_may_hold_what_a_baseline_replaces() -> None:
    held = [a_copy("old", "session 7")]
    with pytest.raises(TapekitError, match=r"old \(session 7\)"):
        refuse_losses(relationship(), held, held, may_discard=True)
