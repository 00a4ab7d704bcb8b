"""Restores of images, baselines and increments, to volumes."""

from __future__ import annotations

import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.plugins.smtape.image_maker import SET_ID, Copy, capture, make_image
from tests.plugins.smtape.restore_site import TARGET, RestoreSite

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import Selection
from tapekit.hookspecs.movements import Abort
from tapekit.hookspecs.volume_images import VolumeState
from tapekit.testing import MemoryServices
from tapekit.testing.memory_connection import FailingSource, MemoryRanges
from tapekit_smtape.errors import CATALOGUE
from tapekit_trees.btrfs import make_subvolume, mounted_btrfs
from tapekit_trees.comparing import compare_trees
from tapekit_trees.editing import edit_tree
from tapekit_trees.making import make_tree, random_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> RestoreSite:
    return RestoreSite(tmp_path)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    live = tmp_path / "live"
    random_tree(live, 1, objects=20)
    return live


def same(first: Path, second: Path) -> None:
    assert [str(found) for found in compare_trees(first, second, mtime_granularity_ns=1)] == []


def refused(site: RestoreSite, image: bytes, **environment: str) -> str:
    with pytest.raises(TapekitError) as caught:
        site.restore(image, tuple(environment.items()))
    return str(caught.value)


@pytest.mark.requirement("R010", "R282", "R294")
def test_a_baseline_makes_the_volume_what_the_source_was(site: RestoreSite, tmp_path: Path) -> None:
    live = tmp_path / "live"
    make_tree(live, files=60, seed=3, wide=40, deep=5, far=1 << 20)
    (site.back / "before").write_bytes(b"to be replaced")
    site.restore(make_image(None, [Copy("one", capture(live))]))
    same(live, site.back)
    assert site.state() == ("online", "dp", True)
    assert site.copies() == ["one"]
    same(live, site.copy_place("one"))


def test_a_restore_that_is_aborted_before_its_work_lets_go_of_the_volume(
    site: RestoreSite, live: Path
) -> None:
    jobs, reason = site.kernel.volume_jobs, CATALOGUE.error("job-aborted-shutdown")
    image = make_image(None, [Copy("one", capture(live))])
    site.set_state(VolumeState.RESTRICTED)
    with closing(site.prepare()) as job:
        jobs.abort(lambda job: Abort(reason))
        with pytest.raises(TapekitError) as caught:
            job.run(MemoryRanges(image), MemoryServices())
        assert caught.value is reason
        assert jobs.running() == []
        # Nobody changes the state of a volume that is in use.
        site.set_state(VolumeState.OFFLINE)


@pytest.mark.requirement("R283")
def test_each_snapshot_copy_comes_back(site: RestoreSite, live: Path, tmp_path: Path) -> None:
    copies = []
    for number in range(4):
        copies.append(Copy(f"copy{number}", capture(live)))
        subprocess.run(["cp", "-a", live, tmp_path / f"kept{number}"], check=True)
        edit_tree(live, number, edits=12)
    site.restore(make_image(None, copies[:2]))
    site.restore(make_image(copies[1], copies[2:]))
    assert site.copies() == ["copy0", "copy1", "copy2", "copy3"]
    for number in range(4):
        same(tmp_path / f"kept{number}", site.copy_place(f"copy{number}"))


@pytest.mark.parametrize("seed", range(8))
def test_increments_follow_any_edits(site: RestoreSite, live: Path, seed: int) -> None:
    before = Copy("base", capture(live))
    site.restore(make_image(None, [before]))
    for number in range(3):
        done = edit_tree(live, 100 * seed + number, edits=25)
        after = Copy(f"copy{number}", capture(live))
        site.restore(make_image(before, [after]))
        assert compare_trees(live, site.back, mtime_granularity_ns=1) == [], done
        before = after


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with mounted_btrfs(tmp_path) as place:
        yield place


def test_increments_on_btrfs(place: Path) -> None:
    make_subvolume(place / "back")
    site = RestoreSite(place, "btrfs")
    live = place / "live"
    random_tree(live, 1, objects=30)
    before = Copy("base", capture(live))
    site.restore(make_image(None, [before]))
    for number in range(4):
        edit_tree(live, number)
        after = Copy(f"copy{number}", capture(live))
        site.restore(make_image(before, [after]))
        same(live, site.back)
        same(live, site.copy_place(after.name))
        before = after
    site.close()


@pytest.mark.requirement("R158")
def test_a_mirror_is_broken_when_asked_for(site: RestoreSite, live: Path) -> None:
    image = make_image(None, [Copy("one", capture(live))])
    site.restore(image, (("SMTAPE_BREAK_MIRROR", "Y"),))
    assert site.state() == ("online", "rw", True)


@pytest.mark.requirement("R283")
def test_an_image_that_does_not_follow_is_refused_untouched(site: RestoreSite, live: Path) -> None:
    base = Copy("one", capture(live))
    (live / "more").write_bytes(b"more")
    second = Copy("two", capture(live))
    (live / "third").write_bytes(b"third")
    third = Copy("three", capture(live))
    site.restore(make_image(None, [base]))
    assert "which the volume does not have" in refused(site, make_image(second, [third]))
    assert site.state() == ("restricted", "dp", True)
    site.restore(make_image(base, [second, third]))
    other = Copy("other", second.state)
    assert "does not follow the volume's newest" in refused(site, make_image(base, [other]))
    site.set_state(VolumeState.ONLINE)
    same(live, site.back)


def test_a_differential_passes_over_what_is_there(site: RestoreSite, live: Path) -> None:
    base = Copy("one", capture(live))
    edit_tree(live, 1)
    second = Copy("two", capture(live))
    edit_tree(live, 2)
    third = Copy("three", capture(live))
    for image in ((None, [base]), (base, [second]), (base, [second, third])):
        site.restore(make_image(*image))
    same(live, site.back)
    assert site.copies() == ["one", "two", "three"]


def test_a_baseline_replaces_copies_and_all(site: RestoreSite, live: Path) -> None:
    site.restore(make_image(None, [Copy("one", capture(live))]))
    edit_tree(live, 5)
    site.restore(make_image(None, [Copy("two", capture(live))]))
    assert site.copies() == ["two"]
    same(live, site.back)


@pytest.mark.parametrize("parts", [(0.2,), (0.13, 0.85, 0.76), (0.5, 0.97, 0.6), (0.99,)])
def test_an_increment_that_was_cut_is_repeated(
    site: RestoreSite, live: Path, parts: tuple[float, ...]
) -> None:
    base = Copy("base", capture(live))
    edit_tree(live, 1001, edits=40)
    second = Copy("two", capture(live))
    edit_tree(live, 2001, edits=40)
    image = make_image(base, [second, Copy("three", capture(live))], payload=2000)
    site.restore(make_image(None, [base]))
    for part in parts:
        assert refused(site, image[: int(part * len(image))]) == "Failed to read backup image"
        assert site.state() == ("restricted", "dp", False)
    site.restore(image)
    same(live, site.back)
    assert site.state() == ("online", "dp", True)


def test_a_baseline_that_was_cut_is_repaired_by_another(site: RestoreSite, live: Path) -> None:
    copies = [Copy("one", capture(live))]
    edit_tree(live, 1)
    copies.append(Copy("two", capture(live)))
    image = make_image(None, copies, payload=2000)
    refused(site, image[: len(image) // 2])
    assert site.state() == ("restricted", "dp", False)
    site.restore(image)
    same(live, site.back)


def test_what_is_known_of_the_objects_must_be_there(site: RestoreSite, live: Path) -> None:
    base = Copy("one", capture(live))
    site.restore(make_image(None, [base]))
    (live / "more").write_bytes(b"more")
    image = make_image(base, [Copy("two", capture(live))])
    (objects,) = site.folder.rglob("smtape-objects")
    objects.unlink()
    assert "only a baseline" in refused(site, image)


def test_images_of_another_set_are_refused(site: RestoreSite, live: Path) -> None:
    image = make_image(None, [Copy("one", capture(live))])
    assert refused(site, image, SMTAPE_BACKUP_SET_ID="0" * 32) == "Mismatch in backup set ID"
    assert site.state() == ("restricted", "dp", True)
    site.restore(image, (("SMTAPE_BACKUP_SET_ID", SET_ID.hex()),))


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (("/vs1/vol1", TARGET, ""), None),
        (("/", TARGET, ""), None),
        (("", "/vs1", "back"), None),
        (("/vs1/vol1/inner", TARGET, ""), "whole volume"),
        (("", f"{TARGET}/inner", ""), "Invalid volume path"),
        (("", "/vs1/none", ""), "Invalid volume path"),
        (("", "/vs1/../back", ""), "Invalid volume path"),
        (("", "/vs1/ordinary", ""), "type DP"),
    ],
)
@pytest.mark.requirement("R366")
def test_the_restore_list_names_a_whole_volume(
    site: RestoreSite, live: Path, selection: tuple[str, str, str], message: str | None
) -> None:
    original, destination, name = selection
    wanted = Selection(original, destination, name, "", 0, 0)
    image = make_image(None, [Copy("one", capture(live))])
    if message is None:
        services = site.restore(image, selections=[wanted])
        assert [result.value for _, result in services.results] == [0]
        same(live, site.back)
        return
    with pytest.raises(TapekitError, match=message):
        site.restore(image, selections=[wanted])


def test_one_volume_at_a_time(site: RestoreSite) -> None:
    wanted = Selection("", TARGET, "", "", 0, 0)
    with pytest.raises(TapekitError, match="2 entries"):
        site.prepare(selections=[wanted, wanted])


@pytest.mark.parametrize(
    ("state", "message"),
    [(VolumeState.ONLINE, "Volume not restricted"), (VolumeState.OFFLINE, "Volume offline")],
)
@pytest.mark.requirement("R379", "R380")
def test_the_volume_must_be_restricted(site: RestoreSite, state: VolumeState, message: str) -> None:
    if state is not VolumeState.ONLINE:
        site.set_state(state)
    with pytest.raises(TapekitError) as caught:
        site.prepare()
    assert str(caught.value) == message


def test_two_restores_do_not_meet(site: RestoreSite) -> None:
    site.set_state(VolumeState.RESTRICTED)
    first = site.prepare()
    with pytest.raises(TapekitError):
        site.prepare()
    first.close()
    site.prepare().close()


@pytest.mark.requirement("R369")
def test_a_shutdown_says_so(site: RestoreSite, live: Path) -> None:
    image = make_image(None, [Copy("one", capture(live))], payload=2000)
    ranges = MemoryRanges(image, lambda _, part: FailingSource(part, after=len(part) // 2))
    site.set_state(VolumeState.RESTRICTED)
    job = site.prepare()
    site.kernel.draining.set()
    with pytest.raises(TapekitError) as caught:
        job.run(ranges, MemoryServices())
    job.close()
    assert str(caught.value) == "Job aborted due to shutdown"
    assert site.state() == ("restricted", "dp", False)
