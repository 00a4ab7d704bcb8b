"""Files made in C are those made in Python; what is not ordinary is left alone."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapekit_dump.header_packing import HeaderPacker
from tapekit_dump.headers import RUNS, DumpLabel, Inode, unpack_header
from tapekit_dump.recover_catalogue import Place
from tapekit_dump.recover_small import SmallFileMaker
from tapekit_dump.small_files import SmallFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tapekit_dump.recover_small import Outcome
    from tapekit_dump_native.loops import NativeLoops

LABEL = DumpLabel(
    date=1, level=0, filesystem=b"/", device_name=b"/", host=b"node1", records_per_block=10
)
PACKER = HeaderPacker(LABEL)
VIEW: Any = None


def small_file(
    name: str,
    content: bytes = b"",
    *,
    mode: int = 0o644,
    owner: tuple[int, int] | None = None,
    mtime_us: int = 0,
    flags: int = 0,
    sets: Sequence[bytes] = (),
) -> SmallFile:
    uid, gid = owner or (os.geteuid(), os.getegid())
    inode = Inode(
        mode=stat.S_IFREG | mode,
        links=1,
        uid=uid,
        gid=gid,
        atime_us=1_500_000,
        mtime_us=mtime_us,
        ctime_s=0,
        flags=flags,
    )
    packed = bytearray(1024)
    run = RUNS[-(-len(content) // 1024)]
    PACKER.inode.pack(packed, 0, 0, 5, inode=inode, size=len(content), run=run)
    encoded = os.fsencode(name)
    place = Place(VIEW, 2, encoded, (2, encoded))
    return SmallFile(place, unpack_header(bytes(packed)), content, sets)


def seen(directory: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for file in directory.iterdir():
        status = file.stat()
        attributes = status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns
        found[file.name] = (*attributes, status.st_atime_ns, file.read_bytes())
    return found


class Made(NamedTuple):
    """How many files are complete, and what went wrong."""

    complete: int
    outcomes: list[Outcome]


def make(directory: Path, files: Sequence[SmallFile], loops: NativeLoops | None) -> Made:
    directory.mkdir(exist_ok=True)
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    umask = os.umask(0)
    os.umask(umask)
    try:
        maker = SmallFileMaker(
            opened,
            inherits=False,
            umask=umask,
            old_format=False,
            path_of=lambda place: os.fsdecode(place.name),
            loops=loops,
        )
        outcomes = maker.make_all(files)
    finally:
        os.close(opened)
    return Made(maker.made, outcomes)


OWNERS = st.sampled_from([None, (12, 34), (0, 5)]) if os.geteuid() == 0 else st.none()
FILES = st.lists(
    st.tuples(st.binary(max_size=3000), st.integers(0, 0o7777), OWNERS, st.integers(0, 2**50)),
    max_size=12,
)


@given(asked=FILES)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_files_are_the_same(
    loops: NativeLoops, tmp_path_factory: pytest.TempPathFactory, asked: list[Any]
) -> None:
    base = tmp_path_factory.mktemp("made")
    files = [
        small_file(str(number), content, mode=mode | 0o400, owner=owner, mtime_us=mtime_us)
        for number, (content, mode, owner, mtime_us) in enumerate(asked)
    ]
    for name, native in (("plain", None), ("native", loops)):
        assert make(base / name, files, native).complete == len(files)
    assert seen(base / "native") == seen(base / "plain")


def call(loops: NativeLoops, directory: Path, files: Sequence[SmallFile]) -> int:
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return loops.make(opened, files, old_format=False, chmod_for=0o7022)
    finally:
        os.close(opened)


@pytest.mark.parametrize(
    "unusual",
    [
        small_file("there"),
        small_file("n" * 256),
        small_file("flagged", flags=0x40),
        small_file("attributed", sets=[b"set"]),
    ],
    ids=lambda file: os.fsdecode(file.place.name)[:10],
)
def test_it_stops_before_what_is_not_ordinary(
    loops: NativeLoops, tmp_path: Path, unusual: SmallFile
) -> None:
    (tmp_path / "there").write_bytes(b"as it was")
    assert call(loops, tmp_path, [small_file("a"), unusual, small_file("b")]) == 1
    assert {file.name for file in tmp_path.iterdir()} == {"a", "there"}
    assert (tmp_path / "there").read_bytes() == b"as it was"


def test_the_engine_goes_on_after_it(loops: NativeLoops, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"before")
    files = [small_file("a"), small_file("b", b"after"), small_file("n" * 256), small_file("c")]
    made = make(tmp_path, files, loops)
    assert made.complete == 3
    assert (tmp_path / "b").read_bytes() == b"after"
    [outcome] = made.outcomes
    assert isinstance(outcome, tuple)
    assert outcome[0].name == b"n" * 256


@pytest.mark.skipif(os.geteuid() == 0, reason="root may give files away")
def test_a_file_that_cannot_be_finished_does_not_stay(loops: NativeLoops, tmp_path: Path) -> None:
    assert call(loops, tmp_path, [small_file("a", owner=(0, 0))]) == 0
    assert list(tmp_path.iterdir()) == []
