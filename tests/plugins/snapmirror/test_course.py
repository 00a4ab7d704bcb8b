"""Transfers from their beginning to their end, and those that end before."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.plugins.snapmirror.mirror_site import COPY, SOURCE, MirrorSite

from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import VolumeState, VolumeType
from tapekit.segments import ConnectionBroken
from tapekit_snapmirror.course import require_flexvol
from tapekit_snapmirror.relationships import MirrorState, RelationshipKind, Step, TransferStatus
from tapekit_trees.comparing import compare_trees
from tapekit_trees.editing import edit_tree
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from pathlib import Path


def same(first: Path, second: Path) -> None:
    assert [str(each) for each in compare_trees(first, second, mtime_granularity_ns=1)] == []


@pytest.mark.parametrize(
    ("breaks_after", "arrived"),
    [(0, ["1"]), (5_000, ["1"]), (400_000, ["1"]), (5_000_000, ["1", "between"])],
)
async def test_an_update_that_breaks_is_repeated(
    site: MirrorSite, breaks_after: int, arrived: list[str]
) -> None:
    make_tree(site.source, files=30, seed=2, wide=10, deep=3, far=1 << 20)
    site.make()
    await site.transfer(Step.INITIALIZE)
    edit_tree(site.source, 1, edits=20)
    (site.source / "large").write_bytes(bytes(range(256)) * 4096)
    site.storage.create_snapshot(SOURCE, "between", "the administrator")
    (site.source / "larger").write_bytes(bytes(range(255, -1, -1)) * 32768)
    with pytest.raises(ConnectionBroken):
        await site.transfer(Step.UPDATE, breaks_after)
    assert site.copies(COPY) == arrived
    broken = site.relationships.get(COPY)
    assert (broken.state, broken.status) == (MirrorState.SNAPMIRRORED, TransferStatus.IDLE)
    assert broken.last is not None
    assert broken.last.error == "the connection broke"
    await site.transfer(Step.UPDATE)
    same(site.source, site.copy)
    assert site.copies(COPY) == site.copies(SOURCE) == ["between", "3"]


async def test_an_initialization_that_breaks_is_repeated(site: MirrorSite) -> None:
    make_tree(site.source, files=30, seed=2, wide=10, deep=3, far=1 << 20)
    site.make()
    with pytest.raises(ConnectionBroken):
        await site.transfer(Step.INITIALIZE, 5_000)
    assert site.copies(SOURCE) == []
    await site.transfer(Step.INITIALIZE)
    same(site.source, site.copy)
    facts = site.storage.volume_facts(COPY)
    assert (facts.state, facts.type, facts.is_whole) == (VolumeState.ONLINE, VolumeType.DP, True)


async def test_a_destination_that_was_not_changed_goes_online_again(site: MirrorSite) -> None:
    site.make()
    with pytest.raises(ConnectionBroken):
        await site.transfer(Step.INITIALIZE, 0)
    assert site.storage.volume_facts(COPY).state is VolumeState.ONLINE


async def test_a_copy_that_arrived_before_a_crash_is_followed(tmp_path: Path) -> None:
    with closing(MirrorSite(tmp_path)) as site:
        (site.source / "file").write_bytes(b"first")
        site.make()
        await site.transfer(Step.INITIALIZE)
        (site.source / "file").write_bytes(b"second")
        plan = site.course.plan(COPY, Step.UPDATE)
        site.course.begin(plan)
        assert site.relationships.get(COPY).status is TransferStatus.TRANSFERRING
    with closing(MirrorSite(tmp_path)) as site:
        site.course.settle_interrupted()
        cut = site.relationships.get(COPY)
        assert cut.status is TransferStatus.IDLE
        assert cut.last is not None
        assert cut.last.error is not None
        assert "was interrupted" in cut.last.error
        assert (cut.last.step, cut.step) == (Step.UPDATE, None)
        assert site.storage.volume_facts(COPY).state is VolumeState.RESTRICTED
        await site.transfer(Step.UPDATE)
        assert (site.copy / "file").read_bytes() == b"second"
        assert site.copies(COPY) == ["2", "3"] or site.copies(COPY) == ["3"]
        assert site.copies(SOURCE) == ["3"]


async def test_only_what_ran_is_told_as_interrupted(site: MirrorSite) -> None:
    before = site.make()
    site.course.settle_interrupted()
    assert site.relationships.get(COPY) == before


async def test_a_baseline_spares_copies_that_others_hold(site: MirrorSite) -> None:
    site.make()
    await site.transfer(Step.INITIALIZE)
    site.course.break_off(COPY)
    site.storage.create_snapshot(COPY, "own", "the administrator")
    with (
        closing(site.storage.hold_snapshot(COPY, "own", "session 7")),
        pytest.raises(TapekitError, match=r"others hold: own \(session 7\)"),
    ):
        site.course.plan(COPY, Step.RESYNC)
    await site.transfer(Step.RESYNC)
    assert site.copies(COPY) == ["2"]


async def test_a_source_copy_in_use_goes_after_a_later_update(site: MirrorSite) -> None:
    site.make(RelationshipKind.VAULT)
    first = await site.transfer(Step.INITIALIZE)
    with closing(site.storage.hold_snapshot(SOURCE, first.newest, "session 7")):
        await site.transfer(Step.UPDATE)
        assert site.copies(SOURCE) == ["1", "2"]
    await site.transfer(Step.UPDATE)
    assert site.copies(SOURCE) == site.copies(COPY) == ["3"]


async def test_a_source_that_is_none_is_refused(site: MirrorSite) -> None:
    site.make()
    site.set_state(VolumeState.OFFLINE, SOURCE)
    with pytest.raises(TapekitError, match="it is offline and of type RW"):
        site.course.plan(COPY, Step.INITIALIZE)
    site.set_state(VolumeState.ONLINE, SOURCE)
    site.storage.change_type(SOURCE, VolumeType.DP)
    with pytest.raises(TapekitError, match="it is online and of type DP"):
        site.course.plan(COPY, Step.INITIALIZE)


async def test_a_destination_that_is_read_write_is_refused(site: MirrorSite) -> None:
    site.make()
    site.storage.change_type(COPY, VolumeType.RW)
    with pytest.raises(TapekitError, match="the destination is a read/write volume"):
        site.course.plan(COPY, Step.INITIALIZE)


async def test_a_relationship_of_a_volume_in_the_way_can_be_deleted(site: MirrorSite) -> None:
    site.make()
    await site.transfer(Step.INITIALIZE)
    site.set_state(VolumeState.OFFLINE, SOURCE)
    site.course.delete(COPY)
    assert site.relationships.find(COPY) is None


async def test_a_broken_off_destination_is_online(site: MirrorSite) -> None:
    site.make()
    await site.transfer(Step.INITIALIZE)
    site.set_state(VolumeState.RESTRICTED)
    assert site.course.break_off(COPY).state is MirrorState.BROKEN_OFF
    facts = site.storage.volume_facts(COPY)
    assert (facts.state, facts.type) == (VolumeState.ONLINE, VolumeType.RW)


def test_a_flexgroup_volume_is_refused(site: MirrorSite) -> None:
    with pytest.raises(TapekitError, match="/vs1/spread: a FlexGroup volume"):
        require_flexvol(site.storage.volume_facts("/vs1/spread"))
    require_flexvol(site.storage.volume_facts(SOURCE))
