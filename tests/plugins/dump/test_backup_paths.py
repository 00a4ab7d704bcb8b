"""File history with whole paths."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.data_engine import LONGEST_PATH
from tapekit_dump.maps import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.hookspecs.data_engine import FileEntry, NodeEntry


def make_odd_tree(volume: Path) -> None:
    """Directories, links, odd names, everything that is not a file."""
    below = volume / "d" / "e"
    below.mkdir(parents=True)
    (volume / "empty").mkdir()
    for name in (b"a", b"d/\xff\xfe\n", b"d/e/ last", "d/é".encode()):
        (volume / os.fsdecode(name)).write_bytes(name * 700)
    (volume / "large").write_bytes(b"x" * 2_000_000)
    with (volume / "holes").open("wb") as file:
        file.truncate(5_000_000)
    (volume / "d/link").symlink_to("a")
    os.mkfifo(below / "fifo")
    for name in ("d/hard", "d/e/hard", "z"):
        os.link(volume / "a", volume / name)
    os.link(volume / "d/link", volume / "symlink with two names", follow_symlinks=False)


def by_path(files: list[FileEntry]) -> dict[bytes, NodeEntry]:
    found = dict(files)
    assert len(found) == len(files), "no path comes twice"
    return found


def expected(backup: Any) -> dict[bytes, NodeEntry]:
    """What the directories in the stream and the other form of history say."""
    nodes = {node.node: node for node in backup.services.collected.nodes}
    return {b"/" + path: nodes[number] for path, number in backup.paths.items() if number in nodes}


def test_paths_and_nodes_tell_the_same(site: Any) -> None:
    make_odd_tree(site.volume)
    nodes = site.back_up(wants_history=True)
    paths = site.back_up(wants_history=True, wants_paths=True)
    collected = paths.services.collected
    assert (collected.directories, collected.nodes) == ([], [])
    found = by_path(collected.files)
    assert found == expected(nodes)
    assert len(found) == len(nodes.paths)
    assert found[b"/"].node == ROOT
    assert found[b"/z"] == found[b"/d/hard"] == found[b"/d/e/hard"] == found[b"/a"]
    assert found[b"/d/\xff\xfe\n"].size == 5 * 700
    assert paths.warnings == []


def test_positions_are_those_of_the_headers(site: Any) -> None:
    make_odd_tree(site.volume)
    backup = site.back_up(wants_history=True, wants_paths=True)
    for path, node in backup.services.collected.files:
        header, _, position = backup.objects(node.node)[0]
        assert backup.paths[path[1:]] == node.node
        assert (position, header.mode, header.size) == (node.position, node.mode, node.size)


def test_a_part_of_the_tree_has_paths_below_that_part(site: Any) -> None:
    make_odd_tree(site.volume)
    backup = site.back_up(("FILESYSTEM", "/vs1/vol1/d"), wants_history=True, wants_paths=True)
    found = by_path(backup.services.collected.files)
    assert set(found) == {b"/" + path for path in backup.paths}
    assert b"/e/ last" in found


def test_what_is_written_first_is_what_leads_to_files(site: Any) -> None:
    make_odd_tree(site.volume)
    files = site.back_up(wants_history=True, wants_paths=True).services.collected.files
    modes = [stat.S_ISDIR(node.mode) for _, node in files]
    assert modes == sorted(modes, reverse=True)
    assert files[0][0] == b"/"
    linked = [node.links > 1 and not stat.S_ISDIR(node.mode) for _, node in files]
    assert linked == sorted(linked), "files with several names come at the end"


def test_an_incremental_backup_names_what_is_in_it(epochs: Any) -> None:
    make_odd_tree(epochs.volume)
    epochs.back_up()
    (epochs.volume / "d/e/ last").write_bytes(b"new")
    (epochs.volume / "d/new").mkdir()
    os.link(epochs.volume / "a", epochs.volume / "d/new/name")
    backup = epochs.back_up(("LEVEL", "1"), wants_history=True, wants_paths=True)
    found = by_path(backup.services.collected.files)
    assert set(found) == {b"/" + path for path in backup.dumped}
    for path, node in found.items():
        assert backup.paths[path[1:]] == node.node
        assert backup.objects(node.node)[0].position == node.position
    assert {b"/d/e/ last", b"/d/new/name", b"/a", b"/z"} < set(found)
    assert b"/large" not in found


def test_a_directory_of_many_pieces_has_all_its_links(site: Any) -> None:
    count = 12_000
    first = site.volume / "first"
    first.mkdir()
    (site.volume / "second").mkdir()
    (first / f"{0:060d}").touch()
    for number in range(1, count):
        os.link(first / f"{0:060d}", first / f"{number:060d}")
    os.link(first / f"{0:060d}", site.volume / "second" / "other")
    backup = site.back_up(wants_history=True, wants_paths=True)
    found = by_path(backup.services.collected.files)
    assert set(found) == {b"/" + path for path in backup.paths}
    assert len({node.node for node in found.values()}) == 4


def test_lost_files_are_named_too(site: Any) -> None:
    (site.volume / "d").mkdir()
    (site.volume / "d/gone").touch()
    (site.volume / "kept").touch()
    site.at_phase["IV"] = (site.volume / "d/gone").unlink
    found = by_path(site.back_up(wants_history=True, wants_paths=True).services.collected.files)
    assert found[b"/d/gone"].mode == stat.S_IFREG
    assert b"/kept" in found


def test_a_directory_that_vanishes_still_names_its_files(site: Any) -> None:
    (site.volume / "d").mkdir()
    for name in ("one", "two"):
        (site.volume / "d" / name).write_bytes(b"x")
    site.at_phase["IV"] = lambda: (site.volume / "d").rename(site.volume / "moved")
    found = by_path(site.back_up(wants_history=True, wants_paths=True).services.collected.files)
    assert {b"/d/one", b"/d/two"} < set(found)


def test_paths_beyond_the_longest_are_left_out_with_a_warning(site: Any) -> None:
    depth, here = LONGEST_PATH // 201 + 2, os.open(site.volume, os.O_RDONLY)
    name = "n" * 200
    for level in range(depth):
        file = os.open(f"file{level}", os.O_CREAT | os.O_WRONLY, dir_fd=here)
        os.close(file)
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    backup = site.back_up(wants_history=True, wants_paths=True)
    found = by_path(backup.services.collected.files)
    short = {b"/" + path for path in backup.paths if len(path) + 1 <= LONGEST_PATH}
    assert set(found) == short
    assert len(short) < len(backup.paths)
    (warning,) = backup.warnings
    assert "the file history leaves it out" in warning


@pytest.mark.parametrize("asked", [("HIST", "F"), ("HIST", "f"), ("HIST", "d"), ("HIST", "TRUE")])
def test_forms_are_values_of_hist(site: Any, asked: tuple[str, str]) -> None:
    assert asked in site.back_up(asked).environment.items()
