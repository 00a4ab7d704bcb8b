"""Backups that stop anywhere in phase IV, and the streams that join them."""

from __future__ import annotations

import contextlib
import json
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import PathNotPermitted
from tapekit.hookspecs.movements import Abort
from tapekit.segments import ConnectionBroken
from tapekit.testing import MemoryServices
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.restart_contexts import ContextState
from tapekit_snapext.variables import RESTART_ROWS
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree
from tapekit_trees.restarts import VOLUME, RestartSite, UsedSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.hookspecs.data_engine import LogLevel

RESTARTABLE = ("RESTARTABLE", "Y")


def fill(volume: Path, files: int) -> None:
    """More than twelve MiB: small files, and some that leave as extents."""
    make_tree(volume, files=files, seed=7, wide=40, deep=6, far=1 << 20)
    chance = random.Random(11)
    for index in range(60):
        (volume / f"small-{index}").write_bytes(chance.randbytes(180_000 + index * 999))
    for index in range(3):
        (volume / f"large-{index}").write_bytes(chance.randbytes(300_000 + index * 77_777))


@pytest.fixture
def site(tmp_path: Path) -> RestartSite:
    site = RestartSite(tmp_path)
    fill(site.volume, 900)
    return site


def restarted(site: RestartSite, context: str, offset: int | None) -> tuple[bytes, int]:
    """What a restart writes, and where in the stream that begins."""
    more = () if offset is None else (("RESTART_OFFSET", str(offset)),)
    rest = site.back_up(("RESTART_CONTEXT", context), *more)
    assert rest.is_complete
    return rest.data, rest.position


@pytest.mark.requirement("R191")
@pytest.mark.requirement("R243")
@pytest.mark.requirement("R245")
def test_a_backup_cut_at_95_random_places_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    site = RestartSite(tmp_path)
    fill(site.volume, 100)
    site.keep_copy()
    whole = site.back_up(RESTARTABLE)
    assert whole.is_complete
    start = 5 << 20
    chance = random.Random(3)
    for _ in range(95):
        cut = chance.randrange(start, len(whole.data))
        first = site.back_up(RESTARTABLE, breaks_after=cut)
        assert not first.is_complete
        assert first.data == whole.data[:cut]
        site.start()
        assert [view.is_restartable for view in site.contexts().views()] == [True]
        whole_records = cut - cut % 1024
        rest, position = restarted(site, first.context, whole_records)
        assert position == whole_records
        joined = first.data[:position] + rest
        assert joined == whole.data
        assert site.contexts().views() == []


@pytest.mark.requirement("R191")
def test_the_joined_stream_has_the_bytes_of_one_that_was_never_cut(site: RestartSite) -> None:
    first = site.back_up(RESTARTABLE, breaks_after=9 << 20)
    again = site.back_up(("RESTART_CONTEXT", first.context), breaks_after=3 << 20)
    assert 0 < again.position < 9 << 20
    joined = first.data[: again.position] + again.data
    site.start()
    rest, position = restarted(site, first.context, len(joined))
    assert position > again.position
    joined = joined[:position] + rest
    target = site.restore(joined, again.environment, "back")
    target.rename(site.folder / "back")
    assert site.copies() == []
    found = compare_trees(site.volume, site.folder / "back")
    assert [str(each) for each in found if each.path != "."] == []


@pytest.mark.requirement("R129")
def test_no_restart_begins_behind_acl_start(site: RestartSite) -> None:
    site.keep_copy()
    whole = site.back_up(RESTARTABLE)
    end = int(whole.environment["ACL_START"])
    assert end < len(whole.data)
    first = site.back_up(RESTARTABLE, breaks_after=len(whole.data) - 1)
    positions = [each.position for each in site.contexts().checkpoints(first.context)]
    assert 0 < max(positions) <= end
    rest, position = restarted(site, first.context, len(whole.data) - 1024)
    assert whole.data[:position] + rest == whole.data


@pytest.mark.requirement("R243")
def test_a_backup_cut_before_its_client_has_anything_of_phase_iv_leaves_nothing(
    site: RestartSite,
) -> None:
    first = site.back_up(RESTARTABLE, breaks_after=1000)
    assert site.contexts().views() == []
    assert site.copies() == []
    with pytest.raises(TapekitError, match="There is no restartable context"):
        site.back_up(("RESTART_CONTEXT", first.context))


def test_file_history_goes_on_where_the_checkpoint_is(site: RestartSite) -> None:
    site.keep_copy()
    whole = site.back_up(RESTARTABLE)
    first = site.back_up(RESTARTABLE, breaks_after=9 << 20)
    rest = site.back_up(("RESTART_CONTEXT", first.context))
    assert rest.services.collected.directories == []
    before = [node for node in first.nodes if node.position < rest.position]
    after = [node for node in rest.nodes if node.position >= rest.position]
    assert after == rest.nodes
    assert {node.node: node for node in before + after} == {n.node: n for n in whole.nodes}
    assert rest.environment["ACL_START"] == whole.environment["ACL_START"]
    assert rest.environment["OFFSET_MAP_START"] == whole.environment["OFFSET_MAP_START"]


def test_a_checkpoint_waits_until_the_history_before_it_is_sent(site: RestartSite) -> None:
    first = site.back_up(RESTARTABLE, breaks_after=9 << 20)
    (view,) = site.contexts().views()
    last = site.contexts().checkpoints(view.context.id)[-1]
    unsent = first.nodes[first.services.collected.sent_nodes :]
    assert first.services.collected.sent_nodes
    assert [node for node in unsent if node.position < last.position] == []


class Meddling:
    """Services that hear a backup enter phase IV, and do something then."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        services = MemoryServices(wants_history=True)
        self._meddle = meddle
        self.history = services.history
        self.file_result = services.file_result
        self.break_off = services.break_off

    def log(self, level: LogLevel, text: str) -> None:
        if text.startswith("Phase IV"):
            self._meddle()


def test_what_cannot_be_read_again_is_not_taken_for_what_is_on_tape(site: RestartSite) -> None:
    verbose = ("VERBOSE", "Y")
    first = site.back_up(RESTARTABLE, verbose, breaks_after=9 << 20)
    (view,) = site.contexts().views()
    last = site.contexts().checkpoints(view.context.id)[-1]
    copy = site.folder / "volume.snapshots" / site.copies()[0]
    between = [node.node for node in first.nodes if last.position <= node.position < 8900 << 10]
    assert between
    pairs = (
        ("FILESYSTEM", VOLUME),
        ("HIST", "Y"),
        ("RESTART_CONTEXT", first.context),
        ("RESTART_OFFSET", str(9 << 20)),
    )
    job = site.kernel.engines["dump"].prepare_backup(pairs, "a test")
    names = {number: name for name, number, _ in first.services.collected.directories}
    victims = [next(copy.rglob(os.fsdecode(names[number]))) for number in between]
    sink = UsedSink()
    with contextlib.closing(job), pytest.raises(TapekitError, match="cannot go on at byte 9437184"):
        job.run(sink, Meddling(lambda: [victim.unlink() for victim in victims]))
    assert sink.data == b""


def test_what_can_be_read_after_all_is_not_taken_for_what_is_on_tape(site: RestartSite) -> None:
    """Something else has another length on tape than it has now."""
    site.keep_copy()
    whole = site.back_up(RESTARTABLE)
    before = site.back_up(RESTARTABLE, breaks_after=9 << 20)
    last = site.contexts().checkpoints(before.context)[-1].position
    named = {number: name for name, number, _ in before.services.collected.directories}
    victim = next(
        os.fsdecode(named[node.node]) for node in before.nodes if last < node.position < 8900 << 10
    )
    aside = site.folder / "aside"
    places: list[Path] = []

    def hide() -> None:
        (place,) = (site.folder / "volume.snapshots/kept").rglob(victim)
        places.append(place)
        move(place, aside, place.parent)

    asked = (("FILESYSTEM", f"{VOLUME}/.snapshot/kept"), ("HIST", "Y"))
    sink = UsedSink(9 << 20)
    # The streams that are compared have one date.
    site.kernel.state.change("dump.dates", {VOLUME: None})
    job = site.kernel.engines["dump"].prepare_backup(
        (*asked, RESTARTABLE, ("VERBOSE", "Y")), "a test"
    )
    with contextlib.closing(job), pytest.raises(ConnectionBroken):
        job.run(sink, Meddling(hide))
    context = dict(job.environment())["RESTART_CONTEXT"]
    move(aside, places[0], places[0].parent)
    end = len(sink.data) // 1024 * 1024
    with pytest.raises(TapekitError, match=f"cannot go on at byte {end}"):
        restarted(site, context, end)
    rest, position = restarted(site, context, None)
    assert position <= last
    assert sink.data[:position] + rest == whole.data


def move(place: Path, goal: Path, directory: Path) -> None:
    """Move something without its being seen by the directory's times."""
    status = directory.stat()
    place.rename(goal)
    os.utime(directory, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.requirement("R346")
def test_another_copy_of_the_same_name_is_not_gone_on_with(site: RestartSite) -> None:
    first = site.back_up(RESTARTABLE, breaks_after=9 << 20)
    (copy,) = site.copies()
    site.kernel.state.change("volumes.snapshots", {f"{VOLUME}/{copy}": b"1600000000"})
    with pytest.raises(TapekitError, match="Unable to locate bitmap files"):
        site.back_up(("RESTART_CONTEXT", first.context))


def test_a_restart_has_the_settings_of_the_first_run(site: RestartSite) -> None:
    site.keep_copy()
    whole = site.back_up(RESTARTABLE)
    first = site.back_up(RESTARTABLE, breaks_after=6 << 20)
    site.set("extent_threshold_bytes = 4096\nrecords_per_block = 32\noffset_map = false")
    rest, position = restarted(site, first.context, None)
    assert first.data[:position] + rest == whole.data


@pytest.mark.requirement("R346")
def test_a_copy_that_is_not_what_it_was_is_not_gone_on_with(site: RestartSite) -> None:
    first = site.back_up(RESTARTABLE, breaks_after=9 << 20)
    (site.folder / "volume.snapshots" / site.copies()[0] / "another").touch()
    with pytest.raises(TapekitError) as caught:
        site.back_up(("RESTART_CONTEXT", first.context))
    assert str(caught.value) == "Unable to locate bitmap files"
    assert [view.is_busy for view in site.contexts().views()] == [False]


@pytest.mark.requirement("R346")
def test_an_increment_whose_base_is_forgotten_is_not_gone_on_with(site: RestartSite) -> None:
    assert site.back_up().is_complete
    change(site)
    first = site.back_up(RESTARTABLE, ("LEVEL", "1"), breaks_after=9 << 20, forget=False)
    site.kernel.state.change("dump.numbers", dict.fromkeys(site.kernel.state.items("dump.numbers")))
    with pytest.raises(TapekitError) as caught:
        site.back_up(("RESTART_CONTEXT", first.context))
    assert str(caught.value) == "Unable to locate bitmap files"


def change(site: RestartSite) -> None:
    """Give all small files a new content, in the future of the fixed clock."""
    for index, path in enumerate(sorted(site.volume.glob("small-*"))):
        path.write_bytes(random.Random(index).randbytes(200_000))


@pytest.mark.requirement("R191")
def test_an_increment_goes_on_and_is_a_base_like_any_other(site: RestartSite) -> None:
    zero = site.back_up()
    change(site)
    first = site.back_up(RESTARTABLE, ("LEVEL", "1"), breaks_after=9 << 20, forget=False)
    site.start()
    rest = site.back_up(("RESTART_CONTEXT", first.context), ("RESTART_OFFSET", str(8 << 20)))
    assert rest.is_complete
    joined = first.data[: 8 << 20] + rest.data
    (site.volume / "small-0").write_bytes(b"third")
    two = site.back_up(("LEVEL", "2"), forget=False)
    assert not any("full backup of level 0" in text for _, text in two.services.messages)
    for data, environment in (
        (zero.data, zero.environment),
        (joined, rest.environment),
        (two.data, two.environment),
    ):
        site.restore(data, environment, "back")
    (site.volume / "back").rename(site.folder / "back")
    found = compare_trees(site.volume, site.folder / "back")
    assert [str(each) for each in found if each.path != "."] == []


def test_what_an_earlier_release_did_not_note_is_not_taken_for_nothing_lost(
    site: RestartSite,
) -> None:
    first = site.back_up(RESTARTABLE, breaks_after=9 << 20)
    kept = json.loads(site.kernel.state.get("dump.restarts", first.context))
    assert kept.pop("losses_noted_from") == 0
    site.kernel.state.change("dump.restarts", {first.context: json.dumps(kept).encode()})
    last = site.contexts().checkpoints(first.context)[-1].position
    context = ("RESTART_CONTEXT", first.context)
    with pytest.raises(TapekitError, match="was not noted when that was written"):
        site.back_up(context, ("RESTART_OFFSET", str(last + 1024)))
    rest = site.back_up(context, ("RESTART_OFFSET", str(last)), breaks_after=3 << 20)
    site.start()
    assert last + 1024 < rest.position + len(rest.data)
    assert site.back_up(context, ("RESTART_OFFSET", str(last + 1024))).is_complete


def test_what_a_restart_cannot_be_asked_for(site: RestartSite) -> None:
    first = site.back_up(RESTARTABLE, breaks_after=9 << 20)
    context = ("RESTART_CONTEXT", first.context)
    for variables, words in (
        ([RESTARTABLE, ("HIST", "N")], "only with file history by directory and node; HIST is N"),
        ([RESTARTABLE, ("HIST", "F")], "HIST is F"),
        ([context, ("FILESYSTEM", "/vs1/vol1/links")], "FILESYSTEM=/vs1/vol1, not"),
        ([context, ("RESTART_OFFSET", "4096")], "its first checkpoint is at byte"),
        ([context, ("RESTART_OFFSET", f"{(8 << 20) + 512}")], "is not a multiple of 1024"),
        ([("RESTART_CONTEXT", "none")], "There is no restartable context none"),
    ):
        with pytest.raises(TapekitError, match=words):
            site.back_up(*variables)
    with pytest.raises(TapekitError, match="RESTART_OFFSET is 99999744, but the stream ends"):
        site.back_up(context, ("RESTART_OFFSET", "99999744"))
    engine = site.kernel.engines["dump"]
    pairs = (("FILESYSTEM", VOLUME), ("HIST", "Y"), context)
    job = engine.prepare_backup(pairs, "a test")
    with pytest.raises(TapekitError, match="is in use by a running backup"):
        engine.prepare_backup(pairs, "another")
    job.close()
    assert site.back_up(context).is_complete


def test_a_job_that_is_aborted_before_its_work_gives_its_context_back(site: RestartSite) -> None:
    first = site.back_up(RESTARTABLE, breaks_after=9 << 20)
    pairs = (("FILESYSTEM", VOLUME), ("HIST", "Y"), ("RESTART_CONTEXT", first.context))
    jobs, reason = site.kernel.volume_jobs, CATALOGUE.error("no-storage")
    engine = site.kernel.engines["dump"]
    with contextlib.closing(engine.prepare_backup(pairs, "a test")) as job:
        jobs.abort(lambda job: Abort(reason))
        with pytest.raises(TapekitError) as caught:
            job.run(UsedSink(), MemoryServices())
        assert caught.value is reason
        assert jobs.running() == []
        # The client may take its time to stop the data server.
        engine.prepare_backup(pairs, "another").close()


def test_a_context_of_another_path_is_neither_used_nor_told_of(site: RestartSite) -> None:
    first = site.back_up(RESTARTABLE, breaks_after=9 << 20)
    pairs = (("FILESYSTEM", "/vs2/vol"), ("HIST", "Y"), ("RESTART_CONTEXT", first.context))

    def permit(path: str) -> None:
        raise CATALOGUE.raised_as(PathNotPermitted, "no-restart-context", context="yours")

    with pytest.raises(PathNotPermitted):
        site.kernel.engines["dump"].prepare_backup(pairs, "a test", permit)
    assert [view.is_busy for view in site.contexts().views()] == [False]


def test_a_volume_that_is_read_live_is_backed_up_with_a_warning(tmp_path: Path) -> None:
    site = RestartSite(tmp_path, snapshots="none")
    (site.volume / "file").write_bytes(b"x" * 5000)
    done = site.back_up(RESTARTABLE)
    assert done.is_complete
    assert "RESTART_CONTEXT" not in done.environment
    assert any("is not restartable" in text for _, text in done.services.messages)


def test_a_finished_backup_whose_copy_cannot_go_is_cleaned_up_later(site: RestartSite) -> None:
    first = site.back_up(RESTARTABLE, breaks_after=9 << 20)
    (copy,) = site.copies()
    reader = site.kernel.storage.open_backup(f"{VOLUME}/.snapshot/{copy}", "a reader")
    assert site.back_up(("RESTART_CONTEXT", first.context)).is_complete
    (view,) = site.contexts().views()
    assert view.context.is_cleanup_pending
    assert view.state is ContextState.TO_BE_CLEANED_UP
    assert [str(error) for error in site.contexts().clean_up()] != []
    with pytest.raises(TapekitError, match="cannot be restarted"):
        site.back_up(("RESTART_CONTEXT", first.context))
    reader.close()
    assert site.contexts().clean_up() == []
    assert site.contexts().views() == []
    assert site.copies() == []


def test_a_storage_without_locks_cannot_restart(make_site: Any, plugin: Any, volume: Path) -> None:
    rows = plugin("rows", tapekit_register_environment_variables=lambda self: RESTART_ROWS)
    stack = make_site("", rows)
    with pytest.raises(TapekitError, match="cannot lock Snapshot copies"):
        stack.back_up(RESTARTABLE, ("HIST", "Y"), wants_history=True)


def test_nothing_is_restartable_in_a_stack_that_has_no_variables_for_it(make_site: Any) -> None:
    stack = make_site()
    assert stack.back_up(("RESTARTABLE", "N")).data
    for variable in (RESTARTABLE, ("RESTART_CONTEXT", "some")):
        with pytest.raises(TapekitError, match=f"{variable[0]}={variable[1]}"):
            stack.back_up(variable)
