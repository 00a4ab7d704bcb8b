"""What a backup is made of, and what is refused before any data moves."""

from __future__ import annotations

import contextlib
import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.plugins.smtape.backup_site import SOURCE, TARGET, BackupSite, InterruptedServices

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import LogLevel
from tapekit.hookspecs.environment import BadEnvironment
from tapekit.hookspecs.volume_images import SnapshotCopy, VolumeState
from tapekit.segments import ConnectionBroken
from tapekit.testing import FailingSink, MemoryServices, MemorySink
from tapekit.testing.memory_connection import MemoryRanges
from tapekit_smtape.backup_selection import HeldCopies, Wish, choose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tapekit.hookspecs.volume_images import HeldSnapshot


@pytest.fixture
def site(tmp_path: Path) -> Iterator[BackupSite]:
    site = BackupSite(tmp_path)
    (site.source / "file").write_bytes(b"content")
    yield site
    site.close()


def refusal(site: BackupSite, filesystem: str = SOURCE, **variables: str) -> TapekitError:
    with pytest.raises(TapekitError) as caught:
        site.back_up(filesystem, **variables)
    return caught.value


def refused_with(site: BackupSite, filesystem: str = SOURCE, **variables: str) -> str:
    return str(refusal(site, filesystem, **variables))


@pytest.mark.requirement("R366")
@pytest.mark.parametrize("path", ["/vs1/nowhere", "/vs1", "/other/source"])
def test_a_volume_that_is_not_there_is_told(site: BackupSite, path: str) -> None:
    assert refused_with(site, path) == "Invalid volume path"


def test_filesystem_is_needed(site: BackupSite) -> None:
    assert isinstance(refusal(site, "/"), BadEnvironment)


@pytest.mark.requirement("R005")
@pytest.mark.parametrize("path", ["/vs1/source/qtree", "/vs1/source/.snapshot/copy"])
def test_a_part_of_a_volume_is_refused(site: BackupSite, path: str) -> None:
    (site.source / "qtree").mkdir()
    assert refusal(site, path).id == "smtape.subtree-path"


def test_a_flexgroup_volume_is_refused(site: BackupSite) -> None:
    assert refusal(site, "/vs1/spread").id == "smtape.flexgroup-volume"


@pytest.mark.requirement("R379")
def test_a_volume_that_is_offline_is_told(site: BackupSite) -> None:
    site.set_state(VolumeState.OFFLINE)
    assert refused_with(site) == "Volume offline"


def test_a_restricted_volume_is_refused(site: BackupSite) -> None:
    site.set_state(VolumeState.RESTRICTED)
    assert refusal(site).id == "smtape.volume-restricted"


@pytest.mark.requirement("R352")
def test_a_snapshot_copy_that_is_not_there_is_told(site: BackupSite) -> None:
    assert refused_with(site, SMTAPE_SNAPSHOT_NAME="nothing") == "Failed to find snapshot"


@pytest.mark.requirement("R356")
def test_a_read_only_volume_without_copies_is_told(site: BackupSite) -> None:
    assert refused_with(site, TARGET) == "Failed to get latest snapshot"


@pytest.mark.requirement("R286")
def test_a_read_only_volume_gives_all_its_copies(site: BackupSite) -> None:
    for name in ("one", "two"):
        site.take(name)
    site.restore(site.back_up(SMTAPE_SNAPSHOT_NAME="two"))
    image = site.back_up(TARGET)
    newest = site.storage.snapshot_copies(TARGET)[-1]
    assert image.variables["DUMP_DATE"] == newest.identifier
    assert site.copies(TARGET) == ["one", "two"]


@pytest.mark.requirement("R156")
@pytest.mark.parametrize("name", ["", "Invalid"])
def test_no_name_and_invalid_are_the_same(site: BackupSite, name: str) -> None:
    site.back_up(SMTAPE_SNAPSHOT_NAME=name)
    assert [copy.startswith("snapshot_for_smtape.") for copy in site.copies()] == [True]


@pytest.mark.requirement("R157")
def test_the_copy_that_a_backup_made_goes_if_that_is_wanted(site: BackupSite) -> None:
    site.back_up(SMTAPE_DELETE_SNAPSHOT="Y")
    assert site.copies() == []


@pytest.mark.requirement("R157")
def test_a_copy_of_the_application_stays(site: BackupSite) -> None:
    site.take("own")
    site.back_up(SMTAPE_DELETE_SNAPSHOT="Y", SMTAPE_SNAPSHOT_NAME="own")
    assert site.copies() == ["own"]


@pytest.mark.requirement("R355")
def test_a_copy_that_cannot_be_deleted_is_told_and_the_image_is_whole(site: BackupSite) -> None:
    held: list[HeldSnapshot] = []

    def hold() -> None:
        held.append(site.storage.hold_snapshot(SOURCE, site.copies()[0], "somebody else"))

    sink, services = MemorySink(), InterruptedServices("Backed up", hold)
    pairs = (("FILESYSTEM", SOURCE), ("SMTAPE_DELETE_SNAPSHOT", "Y"), ("VERBOSE", "Y"))
    with closing(site.engine.prepare_backup(pairs, "session 1")) as job:
        job.run(sink, services)
    assert sink.is_finished
    assert any("Failed to delete snapshot" in text for text in services.texts)
    held[0].close()
    assert len(site.copies()) == 1


@pytest.mark.requirement("R353")
def test_a_copy_that_cannot_be_made_is_told(site: BackupSite) -> None:
    site.take("x")
    (site.folder / "source.snapshots").rename(site.folder / "moved")
    (site.folder / "source.snapshots").write_bytes(b"a file is in the way")
    assert refused_with(site) == "Failed to create snapshot"


@pytest.mark.requirement("R354")
def test_a_copy_that_cannot_be_held_is_told(site: BackupSite) -> None:
    with closing(HeldCopies(None)) as held, pytest.raises(TapekitError) as caught:
        held.hold(site.storage, SOURCE, "gone", "session 1")
    assert str(caught.value) == "Failed to lock snapshot"
    assert "gone" in caught.value.action


def test_a_copy_that_goes_before_the_run_is_told(site: BackupSite) -> None:
    site.take("one")
    pairs = (("FILESYSTEM", SOURCE), ("SMTAPE_SNAPSHOT_NAME", "one"))
    with closing(site.engine.prepare_backup(pairs, "session 1")) as job:
        site.storage.delete_snapshot(SOURCE, "one", "somebody else")
        with pytest.raises(TapekitError, match="Failed to find snapshot"):
            job.run(MemorySink(), MemoryServices())


@pytest.mark.requirement("R289")
def test_a_copy_that_is_backed_up_cannot_be_deleted(site: BackupSite) -> None:
    def delete() -> None:
        with pytest.raises(TapekitError, match="session 1"):
            site.storage.delete_snapshot(SOURCE, "one", "somebody else")

    site.take("one")
    services = InterruptedServices("Backed up", delete)
    pairs = (("FILESYSTEM", SOURCE), ("SMTAPE_SNAPSHOT_NAME", "one"), ("VERBOSE", "Y"))
    with closing(site.engine.prepare_backup(pairs, "session 1")) as job:
        job.run(MemorySink(), services)
    assert services.texts == ["Backed up Snapshot copy one"]
    site.storage.delete_snapshot(SOURCE, "one", "somebody else")
    assert site.copies() == []


# Increments.


@pytest.mark.requirement("R287")
def test_an_increment_must_name_its_copy(site: BackupSite) -> None:
    base = site.back_up()
    fault = refusal(
        site,
        BASE_DATE=base.variables["DUMP_DATE"],
        SMTAPE_BACKUP_SET_ID=base.variables["SMTAPE_BACKUP_SET_ID"],
    )
    assert fault.id == "smtape.increment-needs-snapshot"


@pytest.mark.requirement("R155")
@pytest.mark.parametrize("set_id", ["", "nonsense", "1234"])
def test_an_increment_must_say_its_set(site: BackupSite, set_id: str) -> None:
    base = site.back_up()
    site.take("later")
    fault = refusal(
        site,
        BASE_DATE=base.variables["DUMP_DATE"],
        SMTAPE_BACKUP_SET_ID=set_id,
        SMTAPE_SNAPSHOT_NAME="later",
    )
    assert fault.id == "smtape.increment-needs-set-id"


@pytest.mark.requirement("R287")
def test_the_copy_of_the_backup_before_must_be_there(site: BackupSite) -> None:
    site.take("one")
    base = site.back_up(SMTAPE_SNAPSHOT_NAME="one")
    site.take("two")
    site.storage.delete_snapshot(SOURCE, "one", "an administrator")
    with pytest.raises(TapekitError) as caught:
        site.increment(base, "two")
    assert caught.value.id == "smtape.base-copy-gone"


def test_an_increment_needs_something_newer(site: BackupSite) -> None:
    site.take("one")
    base = site.back_up(SMTAPE_SNAPSHOT_NAME="one")
    with pytest.raises(TapekitError) as caught:
        site.increment(base, "one")
    assert caught.value.id == "smtape.nothing-newer"


@pytest.mark.requirement("R153")
@pytest.mark.requirement("R154")
@pytest.mark.requirement("R155")
def test_an_increment_has_the_set_of_its_baseline(site: BackupSite) -> None:
    base = site.back_up()
    site.take("later")
    image = site.increment(base, "later")
    assert image.variables["SMTAPE_BACKUP_SET_ID"] == base.variables["SMTAPE_BACKUP_SET_ID"]
    assert image.variables["DUMP_DATE"] == site.storage.snapshot_copies(SOURCE)[-1].identifier
    other = site.back_up()
    assert other.variables["SMTAPE_BACKUP_SET_ID"] != base.variables["SMTAPE_BACKUP_SET_ID"]


def test_a_volume_that_was_replaced_needs_a_baseline(site: BackupSite) -> None:
    base = site.back_up()
    site.source.rename(site.folder / "old")
    site.source.mkdir()
    site.take("later")
    with pytest.raises(TapekitError) as caught:
        site.increment(base, "later")
    assert caught.value.id == "smtape.other-volume"


# Ends.


def test_a_backup_that_breaks_off_leaves_no_copy(site: BackupSite) -> None:
    (site.source / "large").write_bytes(bytes(1 << 22))
    job = site.engine.prepare_backup((("FILESYSTEM", SOURCE),), "session 1")
    with pytest.raises(ConnectionBroken):
        job.run(FailingSink(1), MemoryServices())
    job.close()
    job.close()
    assert site.copies() == []


@pytest.mark.requirement("R369")
def test_a_shutdown_is_told(site: BackupSite) -> None:
    job = site.engine.prepare_backup((("FILESYSTEM", SOURCE),), "session 1")
    site.kernel.draining.set()
    with closing(job), pytest.raises(TapekitError, match="Job aborted due to shutdown"):
        job.run(FailingSink(0), MemoryServices())


def test_what_has_no_effect_is_told(site: BackupSite) -> None:
    image = site.back_up(HIST="Y", LEVEL="3", EXCLUDE="")
    told = [text for _, text in image.log]
    assert told == [
        "HIST has no effect on an SMTape backup",
        "LEVEL has no effect on an SMTape backup",
    ]


@pytest.mark.requirement("R113")
def test_there_is_no_file_history(site: BackupSite) -> None:
    services = MemoryServices(wants_history=True)
    with closing(site.engine.prepare_backup((("FILESYSTEM", SOURCE),), "session 1")) as job:
        job.run(MemorySink(), services)
    assert services.collected.nodes == []


@pytest.mark.requirement("R124")
@pytest.mark.requirement("R125")
@pytest.mark.requirement("R126")
def test_variables_are_returned_with_the_engines_own(site: BackupSite) -> None:
    told = site.back_up(VERBOSE="N", SOMETHING="else", NDMP_VERSION="3").variables
    own = {name: told.pop(name) for name in ("SMTAPE_BACKUP_SET_ID", "DUMP_DATE")}
    assert all(own.values())
    assert told == {
        "FILESYSTEM": SOURCE,
        "VERBOSE": "N",
        "SOMETHING": "else",
        "TYPE": "smtape",
        "NDMP_VERSION": "4",
        "PATHNAME_SEPARATOR": "/",
    }


@pytest.mark.requirement("R127")
def test_another_type_is_refused(site: BackupSite) -> None:
    assert isinstance(refusal(site, TYPE="dump"), BadEnvironment)


@pytest.mark.requirement("R128")
def test_verbose_tells_each_copy(site: BackupSite) -> None:
    for name in ("one", "two"):
        site.take(name)
    image = site.back_up(SMTAPE_SNAPSHOT_NAME="two", VERBOSE="Y")
    assert [text for _, text in image.log] == [
        "Backed up Snapshot copy one",
        "Backed up Snapshot copy two",
    ]


@pytest.mark.requirement("R123")
def test_debugging_tells_identifiers_and_where_copies_end(site: BackupSite) -> None:
    site.take("one")
    (taken,) = site.storage.snapshot_copies(SOURCE)
    image = site.back_up(SMTAPE_SNAPSHOT_NAME="one", DEBUG="Y")
    (_, copies), (level, end) = image.log
    assert copies.endswith(f": one {taken.identifier}")
    assert image.variables["SMTAPE_BACKUP_SET_ID"].replace("-", "") in copies
    assert level is LogLevel.DEBUG
    at = int(end.removeprefix("one ends at byte ").removesuffix(" of the image"))
    assert 0 < at < len(image.data)


@pytest.mark.requirement("R350")
def test_memory_that_is_lacking_is_told(site: BackupSite) -> None:
    def fail() -> None:
        raise MemoryError

    pairs = (("FILESYSTEM", SOURCE), ("VERBOSE", "Y"))
    job = site.engine.prepare_backup(pairs, "session 1")
    with closing(job), pytest.raises(TapekitError, match="Failed to allocate memory"):
        job.run(MemorySink(), InterruptedServices("Backed up", fail))
    assert site.copies() == []


@pytest.mark.requirement("R370")
def test_copies_that_vanish_are_told(site: BackupSite) -> None:
    for name in ("one", "two"):
        site.take(name)

    def lose() -> None:
        shutil.rmtree(site.copy_place("two"), ignore_errors=True)

    pairs = (("FILESYSTEM", SOURCE), ("SMTAPE_SNAPSHOT_NAME", "two"), ("VERBOSE", "Y"))
    job = site.engine.prepare_backup(pairs, "session 1")
    with closing(job), pytest.raises(TapekitError, match="Job aborted due to Snapshot autodelete"):
        job.run(MemorySink(), InterruptedServices("Backed up", lose))


@pytest.mark.requirement("R281")
def test_an_image_has_255_copies_at_most() -> None:
    rows = [SnapshotCopy(f"copy{n}", f"id{n}", n, ()) for n in range(256)]
    wish = Wish(SOURCE, None, None, bytes(16))
    with pytest.raises(TapekitError) as caught:
        choose(rows, wish, None)
    assert caught.value.id == "smtape.too-many-copies"
    assert choose(rows[1:], wish, None) == (None, rows[1:])
    assert choose(rows, wish._replace(base="id0"), "copy255") == (rows[0], rows[1:])


@pytest.mark.parametrize("wanted", ["Y", "N"])
def test_a_job_stays_until_its_copy_has_gone(
    site: BackupSite, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    jobs, delete = site.kernel.volume_jobs, site.storage.delete_snapshot
    there: list[int] = []

    def watched(volume: str, name: str, holder: str) -> None:
        there.append(len(jobs.running(SOURCE)))
        delete(volume, name, holder)

    monkeypatch.setattr(site.storage, "delete_snapshot", watched)
    sink = MemorySink() if wanted == "Y" else FailingSink(100)
    pairs = (("FILESYSTEM", SOURCE), ("SMTAPE_DELETE_SNAPSHOT", wanted))
    with closing(site.engine.prepare_backup(pairs, "session 1")) as job:
        with contextlib.suppress(ConnectionBroken):
            job.run(sink, MemoryServices())
        assert there == [1]
        assert jobs.running() == []
        assert site.copies() == []


def test_a_restore_that_failed_lets_go_of_the_volume_at_once(site: BackupSite) -> None:
    image = site.back_up()
    site.set_state(VolumeState.RESTRICTED, TARGET)
    with closing(site.engine.prepare_recover((("FILESYSTEM", TARGET),), (), "session 2")) as job:
        with pytest.raises(TapekitError):
            job.run(MemoryRanges(image.data[:-5000]), MemoryServices())
        site.storage.open_image(TARGET, "session 3").close()
