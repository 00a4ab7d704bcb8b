"""Chains of dumps restored level by level onto one destination."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import FileResult, Selection
from tapekit.testing import MemoryServices, MemorySink
from tapekit.testing.memory_connection import MemoryRanges
from tapekit_dump.plugin import DumpPlugin
from tapekit_dump.recover_memory import NAMESPACE, PAGES_NAMESPACE
from tapekit_trees.btrfs import mounted_btrfs
from tapekit_trees.comparing import Aspect, Difference, compare_trees
from tapekit_trees.editing import edit_tree
from tapekit_trees.epochs import VOLUME, EpochStorage
from tapekit_trees.making import random_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tapekit.hookspecs.data_engine import DataEngine
    from tapekit.hookspecs.lifecycle import Kernel

BACK = "/vs1/back"


class Chain(NamedTuple):
    """An engine between the tree of a volume and a destination."""

    engine: DataEngine
    kernel: Kernel
    tree: Path
    back: Path

    def dump(self, level: int, *variables: tuple[str, str]) -> bytes:
        sink = MemorySink()
        pairs = [("FILESYSTEM", VOLUME), ("LEVEL", str(level)), *variables]
        with closing(self.engine.prepare_backup(pairs, "a test")) as job:
            job.run(sink, MemoryServices())
        return sink.data

    def restore(self, stream: bytes, *variables: tuple[str, str]) -> list[str]:
        """What the restore had to say."""
        services = MemoryServices()
        pairs = [("FILESYSTEM", BACK), *variables]
        with closing(self.engine.prepare_recover(pairs, (), "a test")) as job:
            job.run(MemoryRanges(stream), services)
        return [text for _, text in services.messages]

    def copy(self, level: int) -> None:
        self.restore(self.dump(level))

    def differences(self, *passed_over: Aspect) -> Sequence[Difference]:
        """Holes aside: those of small files with attributes may be filled."""
        return [
            each
            for each in compare_trees(self.tree, self.back)
            if each.aspect not in {Aspect.HOLES, *passed_over}
        ]


@pytest.fixture
def make_chain(
    assembled: Callable[..., Any], plugin: Callable[..., Any], tmp_path: Path
) -> Callable[..., Chain]:
    """Makes a chain; ``by_content`` as :class:`EpochStorage` has it."""

    def make(*, by_content: bool = False, folder: Path = tmp_path) -> Chain:
        tree = folder / "tree"
        tree.mkdir()
        storage = EpochStorage(tree, by_content=by_content)
        directories = plugin("directories", tapekit_provide_storage=lambda self: storage)
        tables = "[dump]\nsync_at_end = false\n"
        kernel = assembled(DumpPlugin, directories, tables=tables)
        return Chain(kernel.engines["dump"], kernel, tree, folder / "back")

    return make


@pytest.fixture
def chain(make_chain: Callable[..., Chain]) -> Chain:
    """A chain as on most file systems."""
    return make_chain()


@pytest.mark.requirement("R142")
@pytest.mark.requirement("R240")
@pytest.mark.parametrize(
    "levels", [(0, 1, 2, 3), (0, 5, 31), (0, 1, 1, 1), (0, 1, 2, 1, 2), (0, 3, 2, 1, 4)]
)
@pytest.mark.parametrize("seed", range(10))
def test_edited_trees_come_back_level_by_level(
    chain: Chain, levels: tuple[int, ...], seed: int
) -> None:
    random_tree(chain.tree, seed, objects=40)
    for step, level in enumerate(levels):
        done = edit_tree(chain.tree, seed * 100 + step, edits=40) if level else []
        chain.copy(level)
        assert chain.differences() == [], done


@pytest.mark.parametrize("seed", range(10))
def test_names_that_move_without_their_objects_come_back(
    make_chain: Callable[..., Chain], seed: int
) -> None:
    chain = make_chain(by_content=True)
    random_tree(chain.tree, seed, objects=40)
    for level in range(4):
        done = edit_tree(chain.tree, seed * 100 + level, edits=40) if level else []
        chain.copy(level)
        assert chain.differences(Aspect.MODE, Aspect.MTIME, Aspect.ACL) == [], done


def test_nothing_is_left_aside_on_btrfs(make_chain: Callable[..., Chain], tmp_path: Path) -> None:
    """There a descriptor lists no more than there was when it was opened."""
    (tmp_path / "btrfs").mkdir()
    with mounted_btrfs(tmp_path / "btrfs") as place:
        chain = make_chain(folder=place)
        for name in ("gone/below", "moved/below"):
            (chain.tree / name).mkdir(parents=True)
            (chain.tree / name / "file").write_text(name)
        chain.copy(0)
        shutil.rmtree(chain.tree / "gone")
        (chain.tree / "moved").rename(chain.tree / "elsewhere")
        chain.copy(1)
        assert chain.differences() == []
        assert list(chain.back.glob(".restored*")) == []


def test_what_others_put_into_the_destination_stays(chain: Chain) -> None:
    (chain.tree / "gone/below").mkdir(parents=True)
    (chain.tree / "stays").mkdir()
    (chain.tree / "gone/file").touch()
    chain.copy(0)
    (chain.back / "stays/mine").write_text("mine")
    (chain.back / "gone/below/mine").write_text("mine")
    shutil.rmtree(chain.tree / "gone")
    (chain.tree / "stays/new").touch()
    messages = chain.restore(chain.dump(1))
    assert (chain.back / "stays/mine").read_text() == "mine"
    (aside,) = chain.back.glob(".restored-aside-*")
    assert [path.read_text() for path in aside.rglob("mine")] == ["mine"]
    assert [text for text in messages if "below could not be removed and stays as" in text]
    assert not (chain.back / "gone").exists()


def test_directories_that_swap_and_nest_come_back(chain: Chain) -> None:
    for path in ("a/x", "b/y", "c/d/e"):
        (chain.tree / path).mkdir(parents=True)
        (chain.tree / path / "file").write_text(path)
    chain.copy(0)
    inodes = {path: (chain.back / path / "file").stat().st_ino for path in ("a/x", "c/d/e")}
    (chain.tree / "a").rename(chain.tree / "aside")
    (chain.tree / "b").rename(chain.tree / "a")
    (chain.tree / "aside").rename(chain.tree / "b")
    (chain.tree / "c/d/e").rename(chain.tree / "e")
    (chain.tree / "c").rename(chain.tree / "e/c")
    chain.copy(1)
    assert chain.differences() == []
    assert (chain.back / "b/x/file").stat().st_ino == inodes["a/x"]
    assert (chain.back / "e/file").stat().st_ino == inodes["c/d/e"]


def test_attributes_that_a_directory_has_lost_are_removed(chain: Chain) -> None:
    (chain.tree / "directory").mkdir()
    os.setxattr(chain.tree / "directory", "user.old", b"1")
    os.setxattr(chain.tree / "directory", "user.kept", b"2")
    chain.copy(0)
    os.removexattr(chain.tree / "directory", "user.old")
    chain.copy(1)
    assert chain.differences() == []


def test_a_restore_that_failed_can_be_repeated(chain: Chain) -> None:
    for number in range(20):
        (chain.tree / f"d{number}").mkdir()
        (chain.tree / f"d{number}/file").write_text("x" * 5000)
    chain.copy(0)
    for number in range(19):
        (chain.tree / f"d{number}").rename(chain.tree / f"d{number + 1}/moved")
    for path in chain.tree.rglob("file"):
        path.write_text("y" * 5000)
    stream = chain.dump(1)
    with pytest.raises(TapekitError, match="ended at byte"):
        chain.restore(stream[: len(stream) - 50 * 1024])
    chain.restore(stream)
    assert chain.differences() == []
    chain.copy(2)
    assert chain.differences() == []


def test_after_an_unfinished_increment_only_the_same_one_goes_on(chain: Chain) -> None:
    for number in range(8):
        (chain.tree / f"d{number}").mkdir()
        (chain.tree / f"d{number}/file").write_text("x" * 5000)
    chain.copy(0)
    for number in range(8):
        (chain.tree / f"d{number}").rename(chain.tree / f"moved{number}")
        (chain.tree / f"moved{number}/file").write_text("y" * 5000)
    first = chain.dump(1)
    (chain.tree / "moved0").rename(chain.tree / "again")
    second = chain.dump(1)
    with pytest.raises(TapekitError, match="ended at byte"):
        chain.restore(first[: len(first) - 20 * 1024])
    with pytest.raises(TapekitError, match="was not finished") as refused:
        chain.restore(second)
    assert refused.value.id == "dump.increment-under-way"
    chain.restore(first)
    chain.restore(second)
    assert chain.differences() == []
    assert list(chain.back.glob(".restored*")) == []


@pytest.mark.parametrize("restored", [(), (0, 2)])
def test_an_increment_goes_only_onto_its_base(chain: Chain, restored: Sequence[int]) -> None:
    streams = {}
    for level in (0, 1, 2):
        (chain.tree / f"level{level}").touch()
        streams[level] = chain.dump(level)
    chain.restore(streams[0])
    if restored:
        with pytest.raises(TapekitError, match="builds on the dump of") as refused:
            chain.restore(streams[2])
        assert refused.value.id == "dump.base-not-restored"
    else:
        shutil.rmtree(chain.back)
        chain.restore(streams[0], ("FILESYSTEM", "/vs1/elsewhere"))
        with pytest.raises(TapekitError, match="holds nothing known"):
            chain.restore(streams[1], ("FILESYSTEM", "/vs1/third"))
        return
    assert sorted(path.name for path in chain.back.iterdir()) == ["level0"]


def test_what_an_increment_has_can_be_extracted_anywhere(chain: Chain) -> None:
    (chain.tree / "old").write_text("old")
    chain.dump(0)
    (chain.tree / "new").write_text("new")
    chain.restore(chain.dump(1), ("EXTRACT", "Y"))
    assert [path.name for path in chain.back.iterdir()] == ["new"]


def test_a_damaged_increment_changes_nothing(chain: Chain) -> None:
    (chain.tree / "d").mkdir()
    (chain.tree / "file").touch()
    chain.copy(0)
    (chain.tree / "file").unlink()
    stream = bytearray(chain.dump(1))
    at = stream.index(b"..\0\0")
    stream[at - 20 : at - 16] = b"\xff\xff\xff\xff"
    stream[at - 4 : at - 2] = b"\x03\0"
    with pytest.raises(TapekitError, match="nothing in /vs1/back has been changed") as refused:
        chain.restore(bytes(stream))
    assert refused.value.id == "dump.increment-damaged"
    assert (chain.back / "file").exists()
    assert list(chain.back.glob(".restored*")) == []


def test_one_destination_has_one_memory(chain: Chain) -> None:
    for level in range(3):
        (chain.tree / f"file{level}").touch()
        chain.copy(level)
        state = chain.kernel.state
        assert list(state.items(NAMESPACE)) == [BACK]
        assert len(state.items(PAGES_NAMESPACE)) == 1


def test_a_lost_memory_asks_for_the_whole_chain(chain: Chain) -> None:
    (chain.tree / "file").touch()
    chain.copy(0)
    state = chain.kernel.state
    state.change(PAGES_NAMESPACE, dict.fromkeys(state.items(PAGES_NAMESPACE)))
    with pytest.raises(TapekitError, match="is remembered of the restore") as refused:
        chain.copy(1)
    assert refused.value.id == "dump.restore-memory-damaged"


def test_a_directory_missing_from_the_destination_is_told(chain: Chain) -> None:
    (chain.tree / "above/moved").mkdir(parents=True)
    (chain.tree / "above/moved/file").touch()
    chain.copy(0)
    shutil.rmtree(chain.back / "above")
    (chain.tree / "above/moved").rename(chain.tree / "moved")
    with pytest.raises(TapekitError, match="restore is incomplete"):
        chain.copy(1)


def test_names_of_a_restore_list_come_from_an_increment_if_it_has_them(chain: Chain) -> None:
    (chain.tree / "old").write_text("old")
    chain.dump(0)
    (chain.tree / "below").mkdir()
    (chain.tree / "below/new").write_text("new")
    services = MemoryServices()
    wanted = [Selection(path, "", "", "", 0, 0) for path in ("/below/new", "/old")]
    pairs = [("FILESYSTEM", BACK)]
    with closing(chain.engine.prepare_recover(pairs, wanted, "a test")) as job:
        job.run(MemoryRanges(chain.dump(1)), services)
    assert services.results == [
        ("/below/new", FileResult.SUCCESSFUL),
        ("/old", FileResult.NOT_FOUND),
    ]
    assert [path.name for path in chain.back.rglob("*") if path.is_file()] == ["new"]


def test_another_full_dump_begins_anew(chain: Chain) -> None:
    (chain.tree / "first").touch()
    chain.copy(0)
    (chain.tree / "second").touch()
    chain.copy(1)
    chain.copy(0)
    (chain.tree / "first").unlink()
    chain.copy(1)
    assert chain.differences() == []


def excluding(*names: str) -> tuple[str, str]:
    return "EXCLUDE", ",".join(names)


def test_names_that_are_left_out_later_go_with_their_directories_times(chain: Chain) -> None:
    (chain.tree / "inner/deep").mkdir(parents=True)
    (chain.tree / "inner/deep/object.o").touch()
    (chain.tree / "inner/one").write_text("one file")
    (chain.tree / "two.o").hardlink_to(chain.tree / "inner/one")
    os.utime(chain.tree / "inner/deep", (0, 1_600_000_000))
    chain.restore(chain.dump(0))
    chain.restore(chain.dump(1, excluding("*.o")))
    assert (chain.back / "inner/deep").stat().st_mtime == 1_600_000_000
    (chain.tree / "inner/deep/object.o").unlink()
    (chain.tree / "two.o").unlink()
    assert chain.differences(Aspect.MTIME) == []


def test_names_that_are_no_longer_left_out_come_with_their_directories(chain: Chain) -> None:
    (chain.tree / "inner").mkdir()
    (chain.tree / "inner/one").write_text("one file")
    (chain.tree / "two.o").hardlink_to(chain.tree / "inner/one")
    (chain.tree / "inner/three.o").write_text("three")
    chain.restore(chain.dump(0, excluding("*.o")))
    chain.restore(chain.dump(1, excluding("other")))
    assert chain.differences() == []
    chain.restore(chain.dump(2))
    assert chain.differences() == []


@pytest.mark.parametrize("is_named", [True, False])
def test_what_a_dump_between_has_removed_is_told(chain: Chain, is_named: bool) -> None:
    (chain.tree / "inner").mkdir()
    for number in range(20):
        (chain.tree / f"inner/file{number}").touch()
    (chain.tree / "inner/object.o").write_text("unchanged")
    base = chain.dump(0)
    between = chain.dump(1, excluding("*.o"))
    if is_named:
        (chain.tree / "inner/new").touch()
    last = chain.dump(1)
    chain.restore(base)
    chain.restore(between)
    services = MemoryServices()
    job = chain.engine.prepare_recover([("FILESYSTEM", BACK)], (), "a test")
    with closing(job), pytest.raises(TapekitError, match="restore is incomplete"):
        job.run(MemoryRanges(last), services)
    subject = "/inner/object.o is missing" if is_named else "1 objects are missing"
    told = [text for _, text in services.messages]
    assert [text for text in told if text.startswith(subject)], told
    chain.restore(base)
    assert not [text for text in chain.restore(last) if "in between" in text]
    assert chain.differences() == []
