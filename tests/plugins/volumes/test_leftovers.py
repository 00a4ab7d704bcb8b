from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from tapekit_volumes.leftovers import LeftoverRemover, removing_leftovers

if TYPE_CHECKING:
    from tests.plugins.volumes.conftest import Site

    from tapekit_volumes.snapshots import HeldCopy


def made(site: Site, holder: str = "session 1") -> HeldCopy:
    volume = site.storage.volume("/vs1/vol1")
    return site.keeper.make_for_backup(volume, site.method, holder)


def crash(site: Site, *copies: HeldCopy) -> None:
    """End all locks, as a crash does, and leave everything else."""
    for copy in copies:
        copy._undo.pop_all()
    for place in Path("/proc/self/fd").iterdir():
        if place.is_symlink() and "/.locks/" in str(place.readlink()):
            os.close(int(place.name))
    site.settle()


def test_copies_of_ended_backups_go(site: Site) -> None:
    crash(site, made(site, "session 1"), made(site, "session 2"))
    (site.snapshots / "snapshot_for_backup.1").rename(site.snapshots / ".snapshot_for_backup.1.new")
    LeftoverRemover(site.kernel).remove_all()
    assert (site.copies(), site.holders()) == ([], [])
    assert [event.facts for event in site.kernel.events if "leftover" in event.name] == [
        {
            "volume": "/vs1/vol1",
            "snapshot": f"snapshot_for_backup.{number}",
            "holder": f"session {number + 1}",
        }
        for number in range(2)
    ]
    assert not site.kernel.state.items("volumes.snapshots")


def test_copies_in_use_stay(site: Site) -> None:
    copy = made(site)
    LeftoverRemover(site.kernel).remove_all()
    assert site.copies() == [copy.name]
    assert len(site.holders()) == 1
    copy.let_go()


def test_readers_that_are_gone_leave_the_copy(site: Site) -> None:
    volume = site.storage.volume("/vs1/vol1")
    site.keeper.create(volume, "daily")
    crash(site, site.keeper.hold(volume, "daily", "session 1"))
    LeftoverRemover(site.kernel).remove_all()
    assert (site.copies(), site.holders()) == (["daily"], [])


def test_a_copy_that_cannot_be_removed_is_tried_again_at_the_next_start(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    crash(site, made(site))
    site.method.fail_delete = True
    LeftoverRemover(site.kernel).remove_all()
    assert "broken [test.broken: Wait.]" in caplog.text
    assert len(site.holders()) == 1
    site.method.fail_delete = False
    LeftoverRemover(site.kernel).remove_all()
    assert (site.copies(), site.holders()) == ([], [])


def test_a_copy_without_its_method_stays_and_is_told(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    crash(site, made(site))
    site.kernel.snapshot_methods.clear()
    LeftoverRemover(site.kernel).remove_all()
    assert 'Enable the plugin that has the method "memory"' in caplog.text
    assert len(site.holders()) == 1
    assert site.copies() == ["snapshot_for_backup.0"]


def test_a_folder_out_of_reach_is_told_until_there_is_one(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    crash(site, made(site))
    site.snapshots.rename(site.folder / "unmounted")
    LeftoverRemover(site.kernel).remove_all()
    assert f"mkdir -p {site.snapshots}" in caplog.text
    assert len(site.holders()) == 1
    site.snapshots.mkdir()
    LeftoverRemover(site.kernel).remove_all()
    assert site.holders() == []


def test_a_folder_that_cannot_be_locked_is_told(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    crash(site, made(site))
    locks = site.snapshots / ".locks"
    for path in locks.iterdir():
        path.unlink()
    locks.rmdir()
    locks.write_bytes(b"in the way")
    LeftoverRemover(site.kernel).remove_all()
    assert "cannot be used: File exists" in caplog.text
    assert len(site.holders()) == 1


async def test_the_context_is_entered_once_leftovers_are_gone(site: Site) -> None:
    crash(site, made(site))
    async with trio.open_nursery() as nursery:
        site.kernel.nursery = nursery
        async with removing_leftovers(site.kernel):
            assert (site.copies(), site.holders()) == ([], [])


async def test_the_start_does_not_wait_for_ever(site: Site, autojump_clock: trio.abc.Clock) -> None:
    crash(site, made(site))
    release = threading.Event()
    delete = site.method.delete
    begun = threading.Event()

    def delete_slowly(snapshots: Path, name: str) -> None:
        begun.set()
        assert release.wait(60)
        delete(snapshots, name)

    site.method.delete = delete_slowly
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        site.kernel.nursery = nursery
        async with removing_leftovers(site.kernel):
            assert trio.current_time() - start == pytest.approx(10)
            assert begun.wait(60)
            assert site.copies() == ["snapshot_for_backup.0"]
            release.set()
    assert site.copies() == []


BACKING_UP = """
import os, signal, sys
from pathlib import Path
from tapekit.kernel import assemble, installed
from tapekit_snap_copy.content import ContentCopier

if sys.argv[2] == "while copying":
    ContentCopier.copy = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
kernel = assemble(Path(sys.argv[1]), installed(), clock=lambda: 1000.5)
tree = kernel.storage.open_backup("/vs1/vol1", "session 1")
os.kill(os.getpid(), signal.SIGKILL)
"""

STACK = """
plugins = ["volumes", "snap_copy", "state_sqlite"]
[state_sqlite]
path = "state.sqlite"
[[volumes.volume]]
path = "/vs1/vol1"
directory = "vol1"
snapshots = "copy"
"""


@pytest.mark.parametrize(
    ("moment", "left"),
    [("while copying", ".snapshot_for_backup.0.partial"), ("reading", "snapshot_for_backup.0")],
)
def test_what_a_killed_process_left_goes_at_the_next_start(
    site: Site, moment: str, left: str
) -> None:
    from tapekit.kernel import assemble, installed

    stack = site.folder / "stack.toml"
    stack.write_text(STACK)
    killed = subprocess.run([sys.executable, "-c", BACKING_UP, stack, moment], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert left in site.copies()
    kernel = assemble(stack, installed(), clock=lambda: 2000.5)
    [value] = kernel.state.items("volumes.locks").values()
    assert msgspec.json.decode(value)["holder"] == "session 1"
    LeftoverRemover(kernel).remove_all()
    assert site.copies() == []
    assert not kernel.state.items("volumes.locks")
