"""The first pass over trees of every shape."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.testing import MemoryServices
from tapekit_dump.backup_attributes import AttributeReader
from tapekit_dump.backup_report import BackupReport
from tapekit_dump.directories import EntryType, decode_entries
from tapekit_dump.directory_record import DirectoryRecord
from tapekit_dump.header_packing import HeaderPacker
from tapekit_dump.headers import RECORD_BYTES, DumpLabel, HeaderType, unpack_header
from tapekit_dump.maps import ROOT
from tapekit_dump.numbering import FullNumbering, _is_link
from tapekit_dump.plan import StepKind
from tapekit_dump.spool import Pending, SpoolRoom
from tapekit_dump.walk import SLICE, Place, Walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit_dump.directories import DecodedEntry
    from tapekit_dump.headers import Header
    from tapekit_dump.walk import TreeIndex

PACKER = HeaderPacker(DumpLabel(1_700_000_000, 0, b"/vs1/vol1", b"", b"node"))
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Walked:
    """What a walk found, decoded."""

    def __init__(self, index: TreeIndex, messages: list[str], losses: int) -> None:
        self.messages = messages
        self.losses = losses
        self.highest = index.highest
        self.count = index.directories
        self.steps = list(index.plan)
        self.headers: dict[int, Header] = {}
        self.entries: dict[int, list[DecodedEntry]] = {}
        at = 0
        contents: dict[int, bytes] = {}
        while at < index.records.length:
            header = unpack_header(bytes(index.records.read(at, RECORD_BYTES)))
            end = at + RECORD_BYTES * (1 + header.data_records)
            if not header.has_attributes:
                self.headers.setdefault(header.inode, header)
                data = bytes(index.records.read(at + RECORD_BYTES, end - at - RECORD_BYTES))
                contents[header.inode] = contents.get(header.inode, b"") + data
            at = end
        for number, content in contents.items():
            self.entries[number] = list(decode_entries(content[: self.headers[number].size]))

    def number(self, path: str) -> int:
        number = ROOT
        for name in path.encode().split(b"/"):
            number = next(e.inode for e in self.entries[number] if e.name == name)
        return number

    @property
    def planned(self) -> dict[int, bytes]:
        """Names to write by number, directories left out."""
        return {
            number: name
            for step in self.steps
            if step.kind is not StepKind.DIRECTORY
            for number, name in enumerate(step.names, step.first)
        }


def make_walk(root: int, services: MemoryServices) -> tuple[Walk, BackupReport]:
    report = BackupReport(services, verbose=False, debug=False)
    room = SpoolRoom(None, 65536)
    walk = Walk(
        root,
        room=room,
        packer=PACKER,
        attributes=AttributeReader(report, with_acls=True),
        ctime_of=lambda status: 1_234_567_890,
        report=report,
        numbering=FullNumbering(room, report),
    )
    return walk, report


@contextmanager
def acting_as(user: int) -> Iterator[None]:
    before = os.geteuid()
    os.seteuid(user)
    yield
    os.seteuid(before)


@contextmanager
def opened(directory: Path) -> Iterator[int]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    before = open_descriptors()
    yield fd
    assert open_descriptors() == before
    os.close(fd)


def walked(directory: Path, *, user: int = os.geteuid()) -> Walked:
    services = MemoryServices()
    with opened(directory) as root, acting_as(user):
        walk, report = make_walk(root, services)
        with closing(walk.run()) as index:
            return Walked(index, [text for _, text in services.messages], report.losses)


def test_empty_tree_is_its_root(tmp_path: Path) -> None:
    found = walked(tmp_path)
    assert (found.highest, found.count) == (ROOT, 1)
    assert [(e.inode, e.name) for e in found.entries[ROOT]] == [(2, b"."), (2, b"..")]
    header = found.headers[ROOT]
    assert (header.type, header.size) == (HeaderType.INODE, 512)
    assert header.mode == tmp_path.stat().st_mode
    assert header.ctime_s == 1_234_567_890


def test_numbers_are_dense_and_each_object_has_one(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "z").mkdir()
    for path in ("one", "a/two", "a/b/three", "a/b/c/four", "z/five"):
        (tmp_path / path).touch()
    (tmp_path / "z/link").symlink_to("five")
    os.mkfifo(tmp_path / "a/fifo")
    found = walked(tmp_path)
    assert found.count == 5
    assert sorted([*found.headers, *found.planned]) == list(range(ROOT, found.highest + 1))
    assert found.highest == ROOT + 11
    assert found.entries[found.number("a/b")][1].inode == found.number("a")
    kinds = {e.name: e.kind for entries in found.entries.values() for e in entries}
    assert (kinds[b"fifo"], kinds[b"link"]) == (EntryType.FIFO, EntryType.SYMLINK)
    assert (kinds[b"z"], kinds[b"one"]) == (EntryType.DIRECTORY, EntryType.REGULAR)


def test_files_are_planned_in_ascending_order_below_their_directory(tmp_path: Path) -> None:
    for directory in ("x/y", "x/z", "w"):
        (tmp_path / directory).mkdir(parents=True)
        for index in range(5):
            (tmp_path / directory / f"f{index}").touch()
            (tmp_path / directory / f"l{index}").symlink_to("f0")
    found = walked(tmp_path)
    numbers = list(found.planned)
    assert numbers == sorted(numbers)
    path: list[bytes] = []
    for step in found.steps:
        if step.kind is StepKind.DIRECTORY:
            path[max(0, step.depth - 1) :] = [step.names[0]] if step.depth else []
        else:
            directory = found.number(b"/".join(path).decode())
            names = {e.inode: e.name for e in found.entries[directory]}
            for number, name in enumerate(step.names, step.first):
                assert names[number] == name


def test_slice_is_in_the_order_of_the_inodes(tmp_path: Path) -> None:
    for index in range(200):
        (tmp_path / f"{index * 7919 % 1000}").touch()
    planned = walked(tmp_path).planned
    inodes = [(tmp_path / name.decode()).stat().st_ino for name in planned.values()]
    assert inodes == sorted(inodes)


def test_directory_larger_than_a_slice_and_a_span(tmp_path: Path) -> None:
    count = SLICE + 500
    for index in range(count):
        os.close(os.open(tmp_path / f"{index:050d}", os.O_CREAT | os.O_WRONLY))
    found = walked(tmp_path)
    assert found.highest == ROOT + count
    assert len(found.planned) == count
    names = {e.name: e.inode for e in found.entries[ROOT][2:]}
    assert {number: name for name, number in names.items()} == found.planned


def test_further_names_of_an_object_have_its_number(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a/first").write_text("x")
    for name in ("a/second", "b/third", "fourth"):
        os.link(tmp_path / "a/first", tmp_path / name)
    os.mkfifo(tmp_path / "fifo")
    os.link(tmp_path / "fifo", tmp_path / "b/fifo")
    (tmp_path / "b/alone").touch()
    found = walked(tmp_path)
    assert len({found.number(name) for name in ("a/first", "a/second", "b/third", "fourth")}) == 1
    assert found.number("fifo") == found.number("b/fifo")
    assert found.highest == ROOT + 5
    assert len(found.planned) == 3


def test_slice_of_nothing_but_links_is_no_step(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "only-links").mkdir()
    for index in range(3):
        os.link(tmp_path / "file", tmp_path / f"only-links/{index}")
    found = walked(tmp_path)
    assert list(found.planned.values()) == [b"file"]
    assert {found.number(f"only-links/{index}") for index in range(3)} == {found.number("file")}


def test_repeated_inode_number_is_a_link_only_if_the_kernel_says_so(tmp_path: Path) -> None:
    (tmp_path / "alone").touch()
    (tmp_path / "first").touch()
    os.link(tmp_path / "first", tmp_path / "second")
    with opened(tmp_path) as root:
        alone, first = ((tmp_path / name).stat().st_ino for name in ("alone", "first"))
        assert _is_link(b"second", first, root)
        assert not _is_link(b"alone", alone, root)
        assert not _is_link(b"second", 0xFFFFFFFF, root)
        assert not _is_link(b"gone", first, root)


def test_repeated_but_untrusted_inode_numbers_are_objects_of_their_own(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    services = MemoryServices()
    with opened(tmp_path) as root:
        walk, _ = make_walk(root, services)
        # As if these had been seen before, as on file systems without numbers.
        walk._numbering._links.seen_before(
            sorted((tmp_path / name).stat().st_ino for name in "abc")
        )
        with closing(walk.run()) as index:
            found = Walked(index, [], 0)
    assert len({found.number(name) for name in "abc"}) == 3
    assert sorted(found.planned.values()) == [b"a", b"b", b"c"]


@needs_root
def test_other_file_system_is_left_out_with_a_warning(tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "none", mounted], check=False)
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        (mounted / "inside").touch()
        (tmp_path / "outside").touch()
        found = walked(tmp_path)
    finally:
        subprocess.run(["umount", mounted], check=True)
    assert len(found.entries[found.number("mounted")]) == 2
    assert list(found.planned.values()) == [b"outside"]
    assert found.messages == [
        "mounted: another file system is mounted here; the backup has an empty directory"
    ]
    assert found.losses == 0


@needs_root
def test_directory_that_may_not_be_read_is_empty_and_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    secret = tmp_path / "secret"
    secret.mkdir(0o700)
    (secret / "file").touch()
    (tmp_path / "open").touch()
    found = walked(tmp_path, user=65534)
    assert found.messages == [
        "secret: the directory cannot be read (Permission denied); it is empty in the backup"
    ]
    assert found.losses == 1
    assert len(found.entries[found.number("secret")]) == 2
    assert found.headers[found.number("secret")].mode == 0o40700


def test_directory_that_cannot_be_listed_is_reported(tmp_path: Path) -> None:
    services = MemoryServices()
    no_directory = os.memfd_create("no directory")
    with opened(tmp_path) as root, closing(SpoolRoom(None, 1000).spool()) as spool:
        walk, report = make_walk(root, services)
        record = DirectoryRecord(spool, PACKER, ROOT, ROOT)
        walk._list(Place(Pending(0, ROOT, ROOT, b""), no_directory, record, bytes))
    os.close(no_directory)
    assert report.losses == 1
    assert [text for _, text in services.messages] == [
        (
            "/: reading the directory failed (Not a directory);"
            " some of its entries are not in the backup"
        )
    ]


def test_names_of_255_bytes_are_told_once(tmp_path: Path) -> None:
    (tmp_path / ("n" * 255)).touch()
    (tmp_path / ("m" * 255)).mkdir()
    (tmp_path / ("l" * 254)).touch()
    found = walked(tmp_path)
    assert len(found.messages) == 1
    assert "the name has 255 bytes" in found.messages[0]
    assert found.losses == 0
    assert {len(e.name) for e in found.entries[ROOT]} == {1, 2, 254, 255}


def test_more_objects_than_numbers_are_refused(tmp_path: Path) -> None:
    for index in range(5):
        (tmp_path / str(index)).touch()
    with opened(tmp_path) as root:
        walk, _ = make_walk(root, MemoryServices())
        walk._numbering._next = 2**32 - 5
        with pytest.raises(TapekitError, match="more than 4294967295 files") as refused:
            walk.run()
    assert refused.value.id == "dump.too-many-objects"
