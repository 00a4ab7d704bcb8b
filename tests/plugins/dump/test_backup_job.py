"""A whole backup: the stream's frame, its variables, what is announced and told."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import LogLevel
from tapekit.hookspecs.movements import Abort
from tapekit.segments import ConnectionBroken
from tapekit.testing import FailingSink, MemoryServices, MemorySink
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import HeaderType
from tapekit_dump.maps import numbers_in

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = (("FILESYSTEM", "/vs1/vol1"),)


class EndingSink(MemorySink):
    """Something happens when the stream has ended."""

    def __init__(self, happen: Callable[[], object]) -> None:
        super().__init__()
        self._happen = happen

    def finish(self) -> None:
        super().finish()
        self._happen()


@pytest.mark.requirement("R230")
def test_stream_has_the_grammar_of_the_format(site: Any) -> None:
    for name in ("a", "d/b", "d/e/c"):
        (site.volume / name).parent.mkdir(parents=True, exist_ok=True)
        (site.volume / name).write_text(name)
    backup = site.back_up()
    types = [record.header.type for record in backup.records]
    assert types[:3] == [HeaderType.TAPE, HeaderType.CLRI, HeaderType.BITS]
    assert types[3:9] == [HeaderType.INODE] * 6
    assert set(types[9:]) == {HeaderType.END}
    assert len(backup.data) % (10 * 1024) == 0
    for record in backup.records:
        assert record.header.record * 1024 == record.position
        assert record.header.date == 1_700_000_000
        assert record.header.base_date == 0
        assert record.header.volume == 1


def test_both_maps_have_a_bit_for_every_number(site: Any) -> None:
    for number in range(20):
        (site.volume / f"{number}").touch()
    (site.volume / "d").mkdir()
    backup = site.back_up()
    maps = [r for r in backup.records if r.header.type in {HeaderType.CLRI, HeaderType.BITS}]
    inodes = {r.header.inode for r in backup.records if r.header.type == HeaderType.INODE}
    for record in maps:
        assert set(numbers_in(record.data)) == inodes == set(range(2, 24))


def test_label_says_what_was_backed_up_and_where(site: Any) -> None:
    header = site.back_up().records[0].header
    assert (header.filesystem, header.device_name) == (b"/vs1/vol1", b"/vs1/vol1")
    assert header.host == os.fsencode(os.uname().nodename)[:63]
    assert (header.level, header.records_per_block, header.label) == (0, 10, b"none")


@pytest.mark.requirement("R228")
@pytest.mark.requirement("R003")
def test_subtree_is_a_backup_of_its_own(site: Any) -> None:
    (site.volume / "d/e").mkdir(parents=True)
    (site.volume / "d/e/inside").touch()
    (site.volume / "outside").touch()
    backup = site.back_up(("FILESYSTEM", "/vs1/vol1/d"))
    assert set(backup.paths) == {b"", b"e", b"e/inside"}
    assert backup.records[0].header.filesystem == b"/vs1/vol1/d"


@pytest.mark.requirement("R241")
def test_blocking_is_a_setting(make_site: Callable[..., Any]) -> None:
    backup = make_site("[dump]\nrecords_per_block = 64\n").back_up()
    assert len(backup.data) == 64 * 1024
    assert backup.records[0].header.records_per_block == 64


def test_stream_is_the_same_whatever_the_settings_of_its_making(
    make_site: Callable[..., Any],
) -> None:
    site = make_site()
    (site.volume / "large").write_bytes(b"x" * 700_000)
    for number in range(3000):
        (site.volume / f"{number:0100d}").touch()
    expected = site.back_up().data
    small = "[dump]\nspool_memory_bytes = 65536\nextent_threshold_bytes = 4096\n"
    assert make_site(small).back_up().data == expected


@pytest.mark.requirement("R126")
@pytest.mark.requirement("R125")
def test_variables_are_returned_with_the_engines_own(site: Any) -> None:
    backup = site.back_up(("HIST", "n"), ("USER", "root"), ("LEVEL", "0"))
    assert backup.environment == {
        "FILESYSTEM": "/vs1/vol1",
        "HIST": "n",
        "USER": "root",
        "LEVEL": "0",
        "TYPE": "dump",
        "NDMP_VERSION": "4",
        "PATHNAME_SEPARATOR": "/",
        "ACL_START": backup.environment["ACL_START"],
    }


@pytest.mark.requirement("R129")
def test_acl_start_is_where_the_files_have_ended(site: Any) -> None:
    (site.volume / "file").write_text("x")
    backup = site.back_up()
    first_end = next(r for r in backup.records if r.header.type == HeaderType.END)
    assert backup.environment["ACL_START"] == str(first_end.position)


@pytest.mark.requirement("R130")
@pytest.mark.requirement("R164")
@pytest.mark.requirement("R133")
def test_dump_date_comes_if_a_base_date_was_given(site: Any) -> None:
    assert "DUMP_DATE" not in site.back_up(("BASE_DATE", "-1")).environment
    token = int(site.back_up(("BASE_DATE", "0")).environment["DUMP_DATE"])
    assert (token >> 32, token & 0xFFFF_FFFF) == (1, 1_700_000_001)


def test_variables_of_an_earlier_backup_are_replaced(site: Any) -> None:
    stale = (("ACL_START", "5"), ("DUMP_DATE", "6"), ("NDMP_VERSION", "3"))
    environment = site.back_up(*stale).environment
    assert environment["ACL_START"] != "5"
    assert environment["NDMP_VERSION"] == "4"
    assert "DUMP_DATE" not in environment


def test_dates_of_one_path_ascend_strictly(site: Any) -> None:
    dates = [site.back_up().records[0].header.date for _ in range(3)]
    assert dates == [1_700_000_000, 1_700_000_001, 1_700_000_002]


def test_change_times_of_a_snapshot_copy_are_those_of_the_volume(site: Any) -> None:
    (site.volume / "file").touch()
    (site.volume / "link").symlink_to("x")
    (site.volume / "large").write_bytes(b"x" * 300_000)
    site.storage.snapshot_name = "hourly.0"
    backup = site.back_up()
    assert backup.records[0].header.device_name == b"hourly.0"
    for name in ("", "file", "link", "large"):
        changed = (site.volume / name).lstat().st_ctime_ns
        assert backup.header(name.encode()).ctime_s == changed // 10**9 - 1000


@pytest.mark.requirement("R228")
@pytest.mark.requirement("R229")
def test_phases_are_announced_in_order(site: Any) -> None:
    (site.volume / "file").touch()
    backup = site.back_up()
    phases = [e.facts["phase"] for e in site.events if e.name == "dump.phase-started"]
    assert phases == ["I", "II", "III", "IV", "V"]
    names = [event.name for event in site.events]
    assert (names[0], names[-1]) == ("dump.backup-started", "dump.backup-finished")
    for event in site.events:
        assert (event.facts["path"], event.facts["level"]) == ("/vs1/vol1", 0)
        assert event.facts["holder"] == "a test"
    assert site.events[-1].facts["bytes"] == len(backup.data)
    assert site.events[-1].facts["objects"] == 2


@pytest.mark.requirement("R128")
def test_verbose_backup_tells_its_phases_and_directories(site: Any) -> None:
    (site.volume / "d/e").mkdir(parents=True)
    quiet = [text for _, text in site.back_up().services.messages]
    assert len(quiet) == 1
    assert quiet[0].startswith("Backup of /vs1/vol1: 3 objects, ")
    verbose = [text for _, text in site.back_up(("VERBOSE", "Y")).services.messages]
    assert [text for text in verbose if text.startswith("Directory")] == [
        "Directory /",
        "Directory d",
        "Directory d/e",
    ]
    assert [text[:9] for text in verbose if text.startswith("Phase")] == [
        "Phase I: ",
        "Phase II:",
        "Phase III",
        "Phase IV:",
        "Phase V: ",
    ]


@pytest.mark.requirement("R123")
def test_debugging_backup_says_how_it_numbered(site: Any) -> None:
    (site.volume / "a").touch()
    os.link(site.volume / "a", site.volume / "b")
    debug = [
        text
        for level, text in site.back_up(("DEBUG", "Y")).services.messages
        if level is LogLevel.DEBUG
    ]
    assert debug == ["Numbers 2 to 3; 1 directories, 1 further names of files"]


def test_progress_follows_the_stream(site: Any) -> None:
    for number in range(300):
        (site.volume / f"{number}").write_bytes(b"x" * 20_000)
    seen: list[int] = []
    with closing(site.engine.prepare_backup(REQUEST, "a test")) as job:
        assert job.progress == (0, None, None)
        sink = MemorySink(watch=lambda _: seen.append(job.progress.bytes_processed))
        job.run(sink, MemoryServices())
        assert job.progress.bytes_processed == sink.length
    assert seen == sorted(seen)
    assert seen[-1] > 5_000_000


def test_tree_is_opened_by_the_run_and_let_go_once(site: Any) -> None:
    job = site.engine.prepare_backup(REQUEST, "a test")
    assert site.storage.trees == []
    job.run(MemorySink(), MemoryServices())
    job.close()
    job.close()
    assert [tree.is_closed for tree in site.storage.trees] == [True]


def test_job_that_never_ran_has_nothing_to_let_go(site: Any) -> None:
    site.engine.prepare_backup(REQUEST, "a test").close()
    assert site.storage.trees == []


def test_failed_tree_is_a_failed_backup(site: Any) -> None:
    opened = site.storage.open_backup

    def open_backup(*how: Any, **may: bool) -> Any:
        tree = opened(*how, **may)
        os.close(tree.descriptor)
        return tree

    site.storage.open_backup = open_backup
    with closing(site.engine.prepare_backup(REQUEST, "a test")) as job:
        with pytest.raises(TapekitError, match="The backup of /vs1/vol1 cannot go on") as failed:
            job.run(MemorySink(), MemoryServices())
        site.storage.trees[-1].descriptor = os.open(site.volume, os.O_RDONLY)
    assert failed.value.id == "dump.backup-failed"
    assert site.events[-1].name == "dump.backup-failed"
    assert site.events[-1].facts["reason"] == str(failed.value)


def test_broken_stream_is_announced_as_a_failure(site: Any) -> None:
    (site.volume / "large").write_bytes(b"x" * 9_000_000)
    with pytest.raises(ConnectionBroken):
        site.back_up(sink=FailingSink(0))
    assert site.events[-1].name == "dump.backup-failed"
    assert site.events[-1].facts["reason"] == "the data connection broke off"


class BrokenWhileWaiting(MemorySink):
    """A sink that is aborted before anything has been sent."""

    def __init__(self, acquisitions: int) -> None:
        super().__init__()
        self.left = acquisitions

    def acquire(self) -> memoryview:
        self.left -= 1
        if self.left < 0:
            raise ConnectionBroken
        return super().acquire()


def test_abort_ends_the_walk_over_the_tree(site: Any) -> None:
    for number in range(20):
        (site.volume / f"directory {number}").mkdir()
    sink = BrokenWhileWaiting(5)
    with pytest.raises(ConnectionBroken):
        site.back_up(sink=sink)
    assert sink.length == 0
    phases = [event.facts.get("phase") for event in site.events]
    assert "III" not in phases


def test_events_tell_what_a_backup_is_made_of(epochs: Any) -> None:
    epochs.back_up()
    epochs.events.clear()
    epochs.back_up(("LEVEL", "1"), ("HIST", "N"))
    facts = {event.name: event.facts for event in epochs.events}
    assert facts["dump.backup-options"]["options"] == "FILESYSTEM=/vs1/vol1, LEVEL=1, HIST=N"
    snapshot = facts["dump.snapshot-located"]
    assert (snapshot["snapshot"], snapshot["taken_at_s"]) == ("epochs", 1_700_002_000)
    base = facts["dump.base-located"]
    assert (base["base_level"], base["base_date_s"]) == (0, 1_700_001_000)


def test_a_backup_that_was_aborted_at_the_end_of_its_stream_is_no_base(site: Any) -> None:
    jobs, reason = site.engine.kernel().volume_jobs, CATALOGUE.error("no-storage")
    sink = EndingSink(lambda: jobs.abort(lambda job: Abort(reason)))
    with closing(site.engine.prepare_backup(REQUEST, "a test")) as job:
        with pytest.raises(TapekitError) as caught:
            job.run(sink, MemoryServices())
        assert caught.value is reason
        assert jobs.running() == []
    assert site.back_up(("LEVEL", "1")).records[0].header.level == 0


def test_an_abort_leaves_a_backup_alone_that_is_remembered(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, reason = site.engine.kernel().volume_jobs, CATALOGUE.error("no-storage")
    services, met = MemoryServices(), list[Any]()
    services.breaking = lambda: pytest.fail("the stream was complete")
    log = services.log

    def abort_at_the_end(level: LogLevel, text: str) -> None:
        log(level, text)
        if text.startswith("Backup of"):
            met.extend(jobs.abort(lambda job: Abort(reason)))

    monkeypatch.setattr(services, "log", abort_at_the_end)
    with closing(site.engine.prepare_backup(REQUEST, "a test")) as job:
        job.run(MemorySink(), services)
    assert [job.is_complete for job in met] == [True]
    assert site.back_up(("LEVEL", "1")).records[0].header.level == 1
