"""Batches of file history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit.hookspecs.data_engine import NodeEntry
from tapekit.testing import MemoryHistory
from tapekit_dump.backup_history import BATCH, NodeHistory
from tapekit_dump.directories import DirectoryEncoder, EntryType
from tapekit_dump.headers import Inode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.data_engine import DirectoryEntry, FileEntry

INODE = Inode(
    mode=0o100644, links=2, uid=3, gid=4, atime_us=5_000_001, mtime_us=6_999_999, ctime_s=7
)


class BatchSizes:
    """A history that notes how much comes at once, and in which order."""

    wants_paths = False

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def add_directories(self, entries: Sequence[DirectoryEntry]) -> None:
        self.calls.append(("names", len(entries)))

    def add_nodes(self, entries: Sequence[NodeEntry]) -> None:
        self.calls.append(("nodes", len(entries)))

    def add_files(self, entries: Sequence[FileEntry]) -> None:
        self.calls.append(("files", len(entries)))

    def await_sent(self) -> None:
        self.calls.append(("sent", 0))


def content(names: list[bytes]) -> bytes:
    encoder = DirectoryEncoder(9, 2)
    encoder.add((n, EntryType.REGULAR, name) for n, name in enumerate(names, 10))
    return encoder.finish()


def test_root_comes_first_by_the_convention_of_the_protocol() -> None:
    history = MemoryHistory()
    NodeHistory(history, 2).flush()
    assert history.directories == [(b".", 2, 2), (b"..", 2, 2)]


def test_names_are_those_of_the_content() -> None:
    history = MemoryHistory()
    batches = NodeHistory(history, 2)
    names = [b"n%d" % n for n in range(100)]
    blocks = content(names)
    batches.add_names(blocks[:512], 9, skip=2)
    batches.add_names(blocks[512:], 9)
    batches.flush()
    assert history.directories[2:] == [(name, n, 9) for n, name in enumerate(names, 10)]


def test_directory_without_names_adds_none() -> None:
    history = MemoryHistory()
    batches = NodeHistory(history, 2)
    batches.add_names(content([]), 9, skip=2)
    batches.add_names(b"", 9, skip=2)
    batches.flush()
    assert len(history.directories) == 2


def test_node_has_the_attributes_in_whole_seconds() -> None:
    history = MemoryHistory()
    batches = NodeHistory(history, 2)
    batches.add_inode(11, INODE, 1234, 56789)
    batches.flush()
    assert history.nodes == [
        NodeEntry(
            node=11,
            mode=0o100644,
            size=1234,
            mtime_s=6,
            atime_s=5,
            ctime_s=7,
            uid=3,
            gid=4,
            links=2,
            position=56789,
        )
    ]


def test_batches_are_of_one_size_and_names_go_first() -> None:
    sizes = BatchSizes()
    batches = NodeHistory(sizes, 2)
    batches.add_names(content([b"%d" % n for n in range(2500)]), 9, skip=2)
    for number in range(1500):
        batches.add_inode(number, INODE, 0, 0)
    batches.add_names(content([b"last"]), 9, skip=2)
    batches.flush()
    batches.flush()
    assert sizes.calls == [
        ("names", BATCH),
        ("names", BATCH),
        ("names", 2502 - 2 * BATCH),
        ("nodes", BATCH),
        ("names", 1),
        ("nodes", 1500 - BATCH),
    ]
