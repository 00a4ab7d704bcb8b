"""What is in an incremental dump, and under which numbers."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit_dump.headers import HeaderType
from tapekit_dump.maps import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def fill(volume: Path) -> None:
    """Three directories with a file each, and one with a file and a link to it."""
    for name in ("a", "a/deep", "b"):
        (volume / name).mkdir()
        (volume / name / "file").write_text(name)
    (volume / "links").mkdir()
    (volume / "links/one").write_text("one")
    os.link(volume / "links/one", volume / "a/deep/other")


def backed_up(epochs: Any, level: int, **variables: str) -> Any:
    return epochs.back_up(("LEVEL", str(level)), *variables.items())


@pytest.mark.requirement("R142")
def test_a_level_without_changes_is_its_root(epochs: Any) -> None:
    fill(epochs.volume)
    full, level1 = backed_up(epochs, 0), backed_up(epochs, 1)
    assert level1.map(HeaderType.CLRI) == full.map(HeaderType.CLRI)
    assert level1.map(HeaderType.BITS) == {ROOT}
    assert level1.dumped == {b""}
    header = level1.records[0].header
    assert (header.level, header.base_date) == (1, full.records[0].header.date)


@pytest.mark.requirement("R142")
def test_a_changed_file_brings_the_directories_above_it(epochs: Any) -> None:
    fill(epochs.volume)
    full = backed_up(epochs, 0)
    (epochs.volume / "a/deep/file").write_text("changed")
    level1 = backed_up(epochs, 1)
    assert level1.dumped == {b"", b"a", b"a/deep", b"a/deep/file"}
    assert level1.content(b"a/deep/file") == b"changed"
    assert {path: full.paths[path] for path in level1.paths} == level1.paths
    assert level1.map(HeaderType.BITS) == {level1.paths[path] for path in level1.dumped}


def test_a_changed_file_brings_all_directories_that_name_it(epochs: Any) -> None:
    fill(epochs.volume)
    backed_up(epochs, 0)
    (epochs.volume / "links/one").write_text("two")
    level1 = backed_up(epochs, 1)
    linked = {b"links", b"links/one", b"a", b"a/deep", b"a/deep/other"}
    assert level1.dumped == {b"", *linked}
    assert level1.paths[b"links/one"] == level1.paths[b"a/deep/other"]
    assert len([r for r in level1.records if r.header.inode == level1.paths[b"links/one"]]) == 1


def test_what_is_gone_is_not_in_use(epochs: Any) -> None:
    fill(epochs.volume)
    full = backed_up(epochs, 0)
    shutil.rmtree(epochs.volume / "a")
    level1 = backed_up(epochs, 1)
    gone = {full.paths[path] for path in (b"a", b"a/file", b"a/deep", b"a/deep/file")}
    assert full.map(HeaderType.CLRI) - level1.map(HeaderType.CLRI) == gone
    assert b"a" not in level1.paths


def test_a_renamed_directory_keeps_its_number_and_brings_nothing_below_it(epochs: Any) -> None:
    fill(epochs.volume)
    full = backed_up(epochs, 0)
    (epochs.volume / "a").rename(epochs.volume / "b/moved")
    level1 = backed_up(epochs, 1)
    assert level1.dumped == {b"", b"b", b"b/moved"}
    assert level1.paths[b"b/moved"] == full.paths[b"a"]


def test_new_objects_get_numbers_of_their_own(epochs: Any) -> None:
    fill(epochs.volume)
    full = backed_up(epochs, 0)
    (epochs.volume / "new").mkdir()
    (epochs.volume / "new/file").write_text("new")
    os.link(epochs.volume / "new/file", epochs.volume / "new/link")
    (epochs.volume / "symlink").symlink_to("somewhere")
    os.mkfifo(epochs.volume / "fifo")
    level1 = backed_up(epochs, 1)
    new = {b"new", b"new/file", b"new/link", b"symlink", b"fifo"}
    assert level1.dumped == {b"", *new}
    assert min(level1.paths[path] for path in new) == max(full.paths.values()) + 1
    assert level1.paths[b"new/file"] == level1.paths[b"new/link"]
    again = backed_up(epochs, 2)
    assert again.map(HeaderType.CLRI) == level1.map(HeaderType.CLRI)
    assert again.dumped == {b""}


@pytest.mark.requirement("R239")
def test_a_level_has_what_levels_of_another_chain_had(epochs: Any) -> None:
    names = []
    for at, level in enumerate((0, 2, 3, 1, 4)):
        (epochs.volume / f"file{at}").touch()
        names.append(backed_up(epochs, level).dumped - {b""})
    assert names == [
        {b"file0"},
        {b"file1"},
        {b"file2"},
        {b"file1", b"file2", b"file3"},
        {b"file4"},
    ]


def test_what_came_in_with_old_times_is_in_the_dump(epochs: Any, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").touch()
    fill(epochs.volume)
    backed_up(epochs, 0)
    (tmp_path / "outside").rename(epochs.volume / "inside")
    assert backed_up(epochs, 1).dumped == {b"", b"inside", b"inside/file"}


def test_a_file_that_could_not_be_backed_up_is_in_the_next_dump(epochs: Any) -> None:
    fill(epochs.volume)
    taken = epochs.volume.with_name("taken")
    epochs.at_phase["IV"] = lambda: (epochs.volume / "b").rename(taken)
    full = backed_up(epochs, 0)
    assert any("can no longer be opened" in text for text in full.warnings)
    epochs.at_phase.clear()
    taken.rename(epochs.volume / "b")
    level1 = backed_up(epochs, 1)
    assert level1.content(b"b/file") == b"b"


def unreadable(monkeypatch: pytest.MonkeyPatch, *directories: Path) -> None:
    """From now on these directories cannot be listed."""
    places, scandir = [directory.stat() for directory in directories], os.scandir

    def failing(place: int) -> Any:
        if any(os.path.samestat(os.fstat(place), each) for each in places):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", failing)


def test_a_level_ends_at_a_directory_of_its_base_that_cannot_be_read(
    epochs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(epochs.volume)
    backed_up(epochs, 0)
    with monkeypatch.context() as patch:
        unreadable(patch, epochs.volume / "a")
        with pytest.raises(TapekitError, match="a: the directory cannot be read") as refused:
            backed_up(epochs, 1)
    assert refused.value.id == "dump.directory-of-base-unreadable"
    assert backed_up(epochs, 1).dumped == {b""}


def test_a_directory_that_no_level_could_read_ends_none(
    epochs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(epochs.volume)
    with monkeypatch.context() as patch:
        unreadable(patch, epochs.volume / "a")
        for level in range(3):
            done = backed_up(epochs, level)
            assert any("a: reading the directory failed" in text for text in done.warnings)
    level3 = backed_up(epochs, 3)
    assert {b"a/file", b"a/deep", b"a/deep/file"} <= level3.dumped


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
@pytest.mark.parametrize("is_old", [True, False])
def test_what_is_mounted_over_ends_a_level_unless_it_was_before(site: Any, *, is_old: bool) -> None:
    fill(site.volume)
    place = site.volume / "b"
    if not is_old:
        backed_up(site, 0)
    done = subprocess.run(["mount", "-t", "tmpfs", "none", place], check=False)
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        if is_old:
            backed_up(site, 0)
            level1 = backed_up(site, 1)
            assert any("b: another file system" in text for text in level1.warnings)
            assert b"b/file" not in level1.paths
        else:
            with pytest.raises(TapekitError, match="another file system is mounted there"):
                backed_up(site, 1)
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user takes root")
@pytest.mark.parametrize("is_old", [True, False])
def test_a_directory_that_gives_its_name_alone_ends_a_level_unless_it_did_before(
    site: Any, *, is_old: bool
) -> None:
    (site.volume / "a/deep").mkdir(parents=True)
    (site.volume / "a/deep/file").touch()
    (site.volume / "a").chmod(0o744)
    site.volume.chmod(0o755)
    try:
        site.at_phase.update(I=lambda: os.seteuid(65534 if is_old else 0), V=lambda: os.seteuid(0))
        backed_up(site, 0)
        site.at_phase["I"] = lambda: os.seteuid(65534)
        if is_old:
            level1 = backed_up(site, 1)
            assert b"a/deep" in level1.paths
            assert any("a/deep: the directory cannot be read" in text for text in level1.warnings)
        else:
            with pytest.raises(TapekitError, match="a/deep: the directory cannot be read") as ended:
                backed_up(site, 1)
            assert ended.value.id == "dump.directory-of-base-unreadable"
    finally:
        os.seteuid(0)


def test_history_names_what_the_directories_of_a_level_name(epochs: Any) -> None:
    fill(epochs.volume)
    full = backed_up(epochs, 0)
    (epochs.volume / "a/file").write_text("changed")
    level1 = epochs.back_up(("LEVEL", "1"), ("HIST", "Y"), wants_history=True)
    history = level1.services.collected
    numbers = {name: node for name, node, _ in history.directories if name not in {b".", b".."}}
    assert numbers == {
        name: full.paths[path] for name, path in ((b"a", b"a"), (b"b", b"b"), (b"links", b"links"))
    } | {b"deep": full.paths[b"a/deep"], b"file": full.paths[b"a/file"]}
    assert {node.node for node in history.nodes} == {
        level1.paths[path] for path in (b"", b"a", b"a/file")
    }


def test_debugging_level_says_how_it_numbered(epochs: Any) -> None:
    fill(epochs.volume)
    backed_up(epochs, 0)
    (epochs.volume / "new").touch()
    messages = [text for _, text in backed_up(epochs, 1, DEBUG="Y").services.messages]
    assert "Numbers 2 to 11; 1 of them are new; 5 directories" in messages


def test_spools_hold_a_large_level(make_site: Any, volume: Path) -> None:
    from tapekit_trees.epochs import EpochStorage

    table = "[dump]\nspool_memory_bytes = 65536\n"
    epochs = make_site(table, storage=EpochStorage(volume))
    for directory in range(30):
        (volume / f"d{directory:0100}").mkdir()
        for name in range(40):
            (volume / f"d{directory:0100}" / f"f{name:0100}").touch()
    full = backed_up(epochs, 0)
    for path in volume.rglob("f*"):
        path.write_text(path.name)
    level1 = backed_up(epochs, 1)
    assert level1.paths == full.paths
    assert level1.dumped == set(full.paths)
    for path in list(level1.paths)[:100]:
        if b"/" in path:
            assert level1.content(path) == path.rpartition(b"/")[2]
