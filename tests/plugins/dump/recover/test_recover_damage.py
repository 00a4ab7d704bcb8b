"""Restores of dumps that are damaged, or were made to mislead."""

from __future__ import annotations

import os
import stat
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekit.hookspecs.data_engine import FileResult, LogLevel
from tapekit_dump.attributes import encode_sets
from tapekit_dump.headers import RECORD_BYTES
from tapekit_dump.recover_job import RecoverOptions
from tapekit_dump.spool import SpoolRoom

if TYPE_CHECKING:
    from collections.abc import Callable

    Restore = Callable[..., Any]


def damaged(data: bytes, at: int, change: bytes = b"\xa5\x5a") -> bytes:
    return data[:at] + change + data[at + len(change) :]


def three_files(dump: Any) -> Any:
    stream = dump().begin().directory(2, [(b"a", 3), (b"b", 4), (b"c", 5)])
    stream.file(3, b"A" * 2000)
    stream.at_b = len(stream.data)
    return stream.file(4, b"B" * 3000).file(5, b"C" * 1000)


def test_a_damaged_header_loses_its_file_and_no_other(
    dump: Any, restore: Restore, select: Any, folder: Path
) -> None:
    stream = three_files(dump)
    entries = [select(name, f"/vs1/vol1/{name}") for name in "abc"]
    outcome = restore(damaged(stream.end(), stream.at_b + 20), entries)
    assert outcome.error.id == "dump.restore-incomplete"
    assert outcome.error.facts == {"losses": 2, "damages": 1}
    assert (folder / "a").read_bytes() == b"A" * 2000
    assert (folder / "c").read_bytes() == b"C" * 1000
    assert not (folder / "b").exists()
    assert [result for _, result in outcome.results] == [
        FileResult.IO_ERROR,
        FileResult.IO_ERROR,
        FileResult.SUCCESSFUL,
    ]
    told = outcome.told()
    assert f"4096 bytes of the stream at byte {stream.at_b} are unreadable" in told[0]
    assert "near /a" in told[0]
    assert "/a was restored, but the stream is unreadable right behind it" in told[1]
    assert "/b is missing" in told[2]


@pytest.mark.parametrize("cut", [1024, 2048, 5120])
def test_records_that_a_tape_swallowed(dump: Any, restore: Restore, folder: Path, cut: int) -> None:
    stream = three_files(dump)
    data = stream.end()
    outcome = restore(data[: stream.at_b - 1024] + data[stream.at_b - 1024 + cut :])
    assert outcome.error.id == "dump.restore-incomplete"
    told = "\n".join(outcome.told())
    for name, content in (("a", b"A" * 2000), ("b", b"B" * 3000), ("c", b"C" * 1000)):
        path = folder / name
        is_right = path.exists() and path.read_bytes() == content
        assert is_right or f"/{name} is missing" in told or f"/{name} was restored, but" in told


def test_attributes_that_a_tape_swallowed_leave_a_file_doubtful(
    dump: Any, restore: Restore, folder: Path
) -> None:
    ((blob,), _) = encode_sets({"user.a": b"1"}, directory=False)
    stream = dump().begin().directory(2, [(b"a", 3), (b"b", 4)]).file(3, b"A" * 2000)
    start = len(stream.data)
    end = len(stream.attributes(3, blob).data)
    data = stream.file(4, b"B").end()
    outcome = restore(data[:start] + data[end:])
    assert outcome.error.facts == {"losses": 1, "damages": 1}
    assert "(records are missing here), near /a" in outcome.told()[0]
    assert "/a was restored, but the stream is unreadable right behind it" in outcome.told()[1]
    assert outcome.names() == {"a", "b"}


def test_damage_behind_a_link_makes_it_doubtful(dump: Any, restore: Restore, folder: Path) -> None:
    stream = dump().begin().directory(2, [(b"link", 3), (b"pipe", 4), (b"f", 5)])
    stream.object(3, stat.S_IFLNK | 0o777, b"target").raw(b"\xaa" * 1024)
    data = stream.object(4, stat.S_IFIFO | 0o600).raw(b"\xaa" * 1024).file(5, b"x").end()
    outcome = restore(data)
    assert outcome.error.facts == {"losses": 1, "damages": 2}
    assert any("/link was restored, but" in text for text in outcome.told())
    assert outcome.names() == {"link", "pipe", "f"}


def test_damage_within_a_long_file_keeps_what_came_before(
    dump: Any, restore: Restore, folder: Path
) -> None:
    half = 512 * 1024
    stream = dump().begin().directory(2, [(b"long", 3), (b"after", 4)])
    stream.file(3, b"1" * half, 0o644, size=3 * half)
    at = len(stream.data)
    stream.more(3, b"2" * half, b"\1" * 512).more(3, b"3" * half, b"\1" * 512)
    data = stream.file(4, b"fine").end()
    outcome = restore(damaged(data, at))
    assert outcome.error.facts == {"losses": 1, "damages": 1}
    assert (
        f"/long is incomplete: its content is certain only up to byte {half}" in outcome.told()[1]
    )
    assert (folder / "long").read_bytes() == b"1" * half
    assert stat.S_IMODE((folder / "long").stat().st_mode) == 0o600
    assert (folder / "after").read_bytes() == b"fine"


@pytest.mark.parametrize("size", [3000, 300_000])
def test_a_stream_that_ends_within_a_file(
    dump: Any, restore: Restore, folder: Path, size: int
) -> None:
    stream = dump().begin().directory(2, [(b"f", 3), (b"twin", 3), (b"g", 4)])
    data = stream.file(4, b"y" * size).end() if size < 5000 else stream.file(3, b"x" * size).end()
    outcome = restore(data[: -1024 - 1024])
    assert outcome.error.id == "dump.stream-ended-early"
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert any(f"/{path.name} is incomplete" in text for text in outcome.told())


def test_a_damaged_directory_loses_what_is_in_it(dump: Any, restore: Restore, folder: Path) -> None:
    stream = dump().begin().directory(2, [(b"d", 3), (b"ok", 6)])
    at = len(stream.data)
    stream.directory(3, [(b"sub", 4), (b"f", 5)]).directory(4, [(b"g", 7)], parent=3)
    stream.file(5, b"lost").file(6, b"fine").file(7, b"lost")
    outcome = restore(damaged(stream.end(), at + 40))
    assert outcome.error.id == "dump.restore-incomplete"
    told = "\n".join(outcome.told())
    assert "near the directories" in told
    assert "directory with inode number 4 cannot be restored, and nothing in it" in told
    assert "object with inode number 5 cannot be restored: no directory names it" in told
    assert (folder / "ok").read_bytes() == b"fine"


def test_a_damaged_root_is_the_end(dump: Any, restore: Restore, folder: Path) -> None:
    stream = dump().begin()
    at = len(stream.data)
    data = stream.directory(2, [(b"d", 3)]).directory(3).end()
    outcome = restore(damaged(data, at + 40))
    assert outcome.error.id == "dump.no-root-directory"
    assert list(folder.iterdir()) == []


def test_sets_and_continuations_without_their_object_are_passed_over(
    dump: Any, restore: Restore, folder: Path
) -> None:
    ((blob,), _) = encode_sets({"user.a": b"1"}, directory=False)
    stream = dump().begin().attributes(9, blob).more(9, b"x" * 2000, b"\1\1")
    stream.directory(2, [(b"f", 3)]).attributes(9, blob).more(9, b"x" * 2000, b"\1\1")
    stream.file(3, b"content").attributes(9, blob).more(9, b"x" * 2000, b"\1\1")
    assert restore(stream.end()).error is None
    assert (folder / "f").read_bytes() == b"content"


def test_objects_out_of_order_are_told(dump: Any, restore: Restore, folder: Path) -> None:
    stream = dump().begin().directory(2, [(b"a", 3), (b"b", 4)])
    outcome = restore(stream.file(4, b"B").file(3, b"A").end())
    assert outcome.error.facts == {"losses": 2, "damages": 0}
    assert (folder / "b").read_bytes() == b"B"
    told = "\n".join(outcome.told())
    assert "/a is missing" in told
    assert "object with inode number 3 cannot be restored" in told


def test_an_object_that_comes_twice_is_restored_once(
    dump: Any, restore: Restore, folder: Path
) -> None:
    stream = dump().begin().directory(2, [(b"a", 3)])
    outcome = restore(stream.file(3, b"first").file(3, b"second").end())
    assert outcome.error.facts["losses"] == 1
    assert (folder / "a").read_bytes() == b"first"


def test_a_directory_behind_the_files_is_refused(dump: Any, restore: Restore, folder: Path) -> None:
    stream = dump().begin().directory(2, [(b"a", 3), (b"d", 4)])
    outcome = restore(stream.file(3, b"A").directory(4, [(b"x", 5)]).file(5, b"x").end())
    told = "\n".join(outcome.told())
    assert "directory with inode number 4 comes after the first file" in told
    assert (folder / "a").read_bytes() == b"A"


def test_a_second_record_of_a_directory_is_refused(
    dump: Any, restore: Restore, folder: Path
) -> None:
    stream = dump().begin().directory(2, [(b"d", 3)]).directory(3, [(b"good", 4)])
    outcome = restore(stream.directory(3, [(b"evil", 5)]).file(4, b"x").end())
    assert any("second directory with inode number 3" in text for text in outcome.told())
    assert (folder / "d/good").exists()
    assert not (folder / "d/evil").exists()


# Made to mislead


BAD_NAMES = [b"", b"..", b".", b"a/b", b"/etc/passwd", b"../escape", b"nul\0nul", b"/"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_names_that_lead_elsewhere_are_refused(
    dump: Any, restore: Restore, folder: Path, name: bytes, kind: str
) -> None:
    stream = dump().begin().directory(2, [(b"good", 3), (name, 4)])
    if kind == "directory":
        stream.directory(4, [(b"inner", 5)])
    stream.file(3, b"fine")
    stream.file(4 if kind == "file" else 5, b"evil")
    outcome = restore(stream.end())
    assert outcome.error.id == "dump.restore-incomplete"
    assert any("is refused" in text and "of directory 2" in text for text in outcome.told())
    assert outcome.names() == {"good"}
    assert {path.name for path in folder.parent.iterdir()} == {"restored"}


def test_a_restored_link_is_never_followed(
    dump: Any, restore: Restore, folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_bytes(b"untouched")
    target = os.fsencode(outside)
    # The same name as a link and as a directory, and files below it.
    stream = dump().begin().directory(2, [(b"d", 3), (b"d", 4), (b"e", 5)])
    stream.directory(4, [(b"victim", 6), (b"new", 7)])
    stream.object(3, stat.S_IFLNK | 0o777, target)
    stream.object(5, stat.S_IFLNK | 0o777, target + b"/victim")
    restore(stream.file(6, b"evil").file(7, b"evil").end())
    assert (outside / "victim").read_bytes() == b"untouched"
    assert [path.name for path in outside.iterdir()] == ["victim"]


def test_a_name_that_is_first_a_link_and_then_a_file(
    dump: Any, restore: Restore, folder: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    stream = dump().begin().directory(2, [(b"x", 3), (b"x", 4), (b"y", 5), (b"y", 6)])
    stream.object(3, stat.S_IFLNK | 0o777, os.fsencode(victim)).file(4, b"new" * 50_000)
    stream.object(5, stat.S_IFLNK | 0o777, os.fsencode(victim)).file(6, b"small")
    restore(stream.end())
    assert victim.read_bytes() == b"untouched"
    assert not (folder / "x").is_symlink()
    assert (folder / "y").read_bytes() == b"small"


def test_directories_in_a_circle_are_refused(dump: Any, restore: Restore, folder: Path) -> None:
    stream = dump().begin().directory(2, [(b"ok", 9)])
    stream.directory(3, [(b"four", 4)]).directory(4, [(b"three", 3), (b"f", 8)], parent=3)
    stream.directory(5, [(b"self", 5)], parent=5)
    outcome = restore(stream.file(8, b"lost").file(9, b"fine").end())
    told = "\n".join(outcome.told())
    for inode in (3, 4, 5):
        assert f"directory with inode number {inode} cannot be restored" in told
    assert outcome.names() == {"ok"}


def test_a_directory_with_two_names_has_one(dump: Any, restore: Restore, folder: Path) -> None:
    stream = dump().begin().directory(2, [(b"a", 3, 4), (b"b", 3, 4), (b"root", 2, 4)])
    stream.directory(3, [(b"up", 2, 4), (b"f", 4, 8)])
    outcome = restore(stream.file(4, b"x").end())
    assert outcome.error.facts == {"losses": 3, "damages": 0}
    assert outcome.names() == {"a", "a/f"}


@pytest.mark.parametrize("kind", [0, 4, 8])
def test_types_in_entries_are_only_hints(
    dump: Any, restore: Restore, folder: Path, kind: int
) -> None:
    stream = dump().begin().directory(2, [(b"d", 3, kind), (b"f", 4, kind)])
    outcome = restore(stream.directory(3, [(b"g", 5, kind)]).file(4, b"F").file(5, b"G").end())
    assert outcome.error is None
    assert (folder / "d/g").read_bytes() == b"G"
    assert (folder / "f").read_bytes() == b"F"


def entry(inode: int, length: int, kind: int, count: int, name: bytes) -> bytes:
    return (struct.pack("<IHBB", inode, length, kind, count) + name).ljust(length, b"\0")


DOTS = entry(2, 12, 4, 1, b".") + entry(2, 12, 4, 2, b"..")


def test_a_name_of_255_bytes_that_debian_damages_is_restored_under_another(
    dump: Any, restore: Restore, folder: Path
) -> None:
    content = DOTS + entry(3, 8, 8, 255, b"") + entry(4, 480, 8, 4, b"next")
    stream = dump().begin().object(2, stat.S_IFDIR | 0o755, content)
    outcome = restore(stream.file(3, b"long").file(4, b"next").end())
    assert outcome.error is None
    assert (folder / "INODE-3").read_bytes() == b"long"
    assert (folder / "next").read_bytes() == b"next"
    assert any("INODE-3" in text for text in outcome.told(LogLevel.WARNING))


def test_a_whole_name_of_255_bytes_is_fine(dump: Any, restore: Restore, folder: Path) -> None:
    stream = dump().begin().directory(2, [(b"n" * 255, 3)])
    assert restore(stream.file(3, b"x").end()).error is None
    assert (folder / ("n" * 255)).read_bytes() == b"x"


@pytest.mark.parametrize("length", [0, 4, 7, 9, 13, 1004, 65532])
def test_lengths_of_entries_that_cannot_be(
    dump: Any, restore: Restore, folder: Path, length: int
) -> None:
    bad = struct.pack("<IHBB", 3, length, 8, 1) + b"x\0\0\0"
    content = (DOTS + bad).ljust(512, b"\xee") + entry(4, 512, 8, 4, b"good")
    stream = dump().begin().object(2, stat.S_IFDIR | 0o755, content)
    outcome = restore(stream.file(4, b"good").end())
    assert (folder / "good").read_bytes() == b"good"
    assert outcome.error is not None


def test_types_that_do_not_exist_are_refused(dump: Any, restore: Restore, folder: Path) -> None:
    stream = dump().begin().directory(2, [(b"odd", 3), (b"white", 4), (b"ok", 5)])
    stream.object(3, 0o644).object(4, 0o170000 | 0o644, b"x" * 3000).file(5, b"ok")
    outcome = restore(stream.end())
    assert [text for text in outcome.told() if "is unknown" in text] == outcome.told()
    assert outcome.names() == {"ok"}


@pytest.mark.parametrize(
    ("target", "values"),
    [
        (b"", {}),
        (b"a\0b", {}),
        (b"x" * 4096, {}),
        (b"x", {"size": 100_000}),
        (b"x" * 100, {"size": 2**62}),
    ],
)
def test_links_without_a_sound_target_are_refused(
    dump: Any, restore: Restore, folder: Path, target: bytes, values: dict[str, int]
) -> None:
    stream = dump().begin().directory(2, [(b"link", 3), (b"ok", 4)])
    stream.object(3, stat.S_IFLNK | 0o777, target, **values).file(4, b"ok")
    outcome = restore(stream.end())
    assert any("/link is refused" in text for text in outcome.told())
    assert outcome.names() == {"ok"}


def test_messages_of_a_kind_have_a_limit_and_losses_have_none(
    dump: Any, restore: Restore, folder: Path
) -> None:
    stream = dump().begin(2000).directory(2, [(b"f%d" % n, 3 + n) for n in range(500)])
    outcome = restore(stream.end(), options=RecoverOptions(messages=10))
    assert outcome.error.facts["losses"] == 500
    assert len(outcome.told()) == 11
    assert "more are only counted" in outcome.told()[-1]


def test_odd_names_are_one_line_in_messages(dump: Any, restore: Restore) -> None:
    stream = dump().begin().directory(2, [(b"new\nline\x1b[0m\xff", 3)])
    (told,) = restore(stream.end()).told()
    assert told.isprintable()
    assert "new\\x0aline" in told


def test_a_deep_tree_needs_few_descriptors(dump: Any, restore: Restore, folder: Path) -> None:
    depth = 300
    stream = dump().begin(2000).directory(2, [(b"d", 3)])
    for inode in range(3, 3 + depth):
        stream.directory(inode, [(b"d", inode + 1), (b"f", inode + 1000)], parent=inode - 1)
    stream.directory(3 + depth, [], parent=2 + depth)
    for inode in range(1003, 1003 + depth):
        stream.file(inode, b"%d" % inode)
    before = len(list(Path("/proc/self/fd").iterdir()))
    outcome = restore(stream.end(), options=RecoverOptions(open_directories=4, threads=0))
    assert outcome.error is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert outcome.kernel.events[-1].facts["objects"] == depth
    deepest = folder.joinpath(*["d"] * depth)
    assert (deepest / "f").read_bytes() == b"%d" % (1002 + depth)


def test_names_go_to_a_spool_when_there_are_many(
    dump: Any, restore: Restore, folder: Path, tmp_path: Path
) -> None:
    stream = dump().begin(2000).directory(2, [(b"f%d" % n, 1000 - n) for n in range(900)])
    for inode in range(101, 1001):
        stream.file(inode, b"%d" % inode)
    room = SpoolRoom(tmp_path, 1)
    outcome = restore(stream.end(), options=RecoverOptions(names_in_memory=7, room=room))
    assert outcome.error is None
    assert all((folder / f"f{n}").read_bytes() == b"%d" % (1000 - n) for n in range(900))


def test_a_spool_that_fails_ends_the_restore(
    dump: Any, restore: Restore, folder: Path, tmp_path: Path
) -> None:
    stream = dump().begin().directory(2, [(b"f%d" % n, 3 + n) for n in range(30)])
    room = SpoolRoom(tmp_path / "missing", 1)
    outcome = restore(stream.end(), options=RecoverOptions(names_in_memory=7, room=room))
    assert outcome.error.id == "dump.spool-failed"


# Bytes changed and cut at random


def good_stream(dump: Any) -> bytes:
    ((blob,), _) = encode_sets({"user.a": b"1", "user.b": b"2" * 200}, directory=False)
    stream = dump().begin()
    stream.directory(2, [(b"file", 5), (b"dir", 3), (b"link", 6), (b"hard", 5), (b"pipe", 8)])
    stream.directory(3, [(b"sub", 4), (b"sparse", 7)]).attributes(3, blob)
    stream.directory(4, [(b"deep", 9)], parent=3)
    stream.file(5, b"content" * 300, links=2).attributes(5, blob)
    stream.object(6, stat.S_IFLNK | 0o777, b"../outside/victim")
    stream.file(7, b"s" * 2048, present=b"\1\0\0\1", size=4096).object(8, stat.S_IFIFO | 0o600)
    stream.file(9, b"deep" * 60_000)
    return bytes(stream.end())


changes = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=12)),
    max_size=6,
)


@settings(deadline=None, max_examples=150)
@given(
    changes=changes,
    cut=st.one_of(st.just(1.0), st.floats(0, 1)),
    drop=st.one_of(st.none(), st.tuples(st.floats(0, 1), st.integers(1, 5000))),
    seals=st.booleans(),
)
def test_no_stream_reaches_outside_and_none_raises_anything_undeclared(
    dump: Any,
    restore_to: Restore,
    changes: list[tuple[float, bytes]],
    cut: float,
    drop: tuple[float, int] | None,
    seals: bool,
) -> None:
    data = bytearray(good_stream(dump))
    headers = [at for at in range(0, len(data), RECORD_BYTES) if is_header(data, at)]
    for where, change in changes:
        if seals:
            # A change within a header whose checksum is then made to fit.
            at = headers[int(where * len(headers))]
            inner = at + 32 + int(where * 100_003) % 700
            data[inner : inner + len(change)] = change
            # No immutable files: nobody could remove them afterwards.
            data[at + 132 : at + 136] = bytes(4)
            data[at : at + RECORD_BYTES] = dump.sealed(data[at : at + RECORD_BYTES])
        else:
            at = int(where * (len(data) - len(change)))
            data[at : at + len(change)] = change
    if drop is not None:
        del data[int(drop[0] * len(data)) :][: drop[1]]
        start = int(drop[0] * len(data))
        data = data[:start] + data[start + drop[1] :]
    data = data[: int(cut * len(data))]
    with tempfile.TemporaryDirectory() as place:
        folder, outside = Path(place) / "in", Path(place) / "outside"
        folder.mkdir()
        outside.mkdir()
        (outside / "victim").write_bytes(b"untouched")
        restore_to(folder, bytes(data))
        assert {path.name for path in Path(place).iterdir()} == {"in", "outside"}
        assert (outside / "victim").read_bytes() == b"untouched"
        assert [path.name for path in outside.iterdir()] == ["victim"]


def is_header(data: bytes | bytearray, at: int) -> bool:
    return struct.unpack_from("<I", data, at + 24)[0] == 60012


def test_more_attribute_sets_than_an_object_can_have_are_passed_over(
    dump: Any, restore: Restore, folder: Path
) -> None:
    stream = dump().begin().directory(2, [(b"a", 3), (b"b", 4)])
    stream.file(3, b"A")
    for _ in range(9_400):
        stream.attributes(3, b"")
    stream.file(4, b"B" * 3000)
    outcome = restore(stream.end())
    assert (folder / "a").read_bytes() == b"A"
    assert (folder / "b").read_bytes() == b"B" * 3000
    assert any("no object has so many" in text for text in outcome.told(LogLevel.WARNING))
