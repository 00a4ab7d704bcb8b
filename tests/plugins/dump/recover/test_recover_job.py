"""Whole restores of streams made by hand."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import FileResult, LogLevel
from tapekit.hookspecs.environment import BadEnvironment, Environment
from tapekit.hookspecs.mover import UNLIMITED
from tapekit.segments import ConnectionBroken
from tapekit.testing.memory_connection import FailingSource, MemorySource
from tapekit.testing.memory_services import MemoryServices
from tapekit_dump.headers import UFS2_MAGIC, HeaderType
from tapekit_dump.recover_job import prepare
from tapekit_dump.variables import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Restore = Callable[..., Any]
    Select = Callable[..., Any]

OK = FileResult.SUCCESSFUL


def sample(dump: Any, order: str = "<", **options: Any) -> bytes:
    """A directory with a file, and one directory below with another."""
    return bytes(
        dump(order, **options)
        .begin()
        .directory(2, [(b"top", 3), (b"inner", 4)], mtime_s=1000)
        .directory(4, [(b"below", 5)], mode=0o2750, mtime_s=2000, mtime_us=250_000)
        .file(3, b"top of the tree", 0o4711, mtime_s=3000, mtime_us=123_456, atime_s=7, atime_us=8)
        .file(5, b"x" * 5000, 0o600)
        .end()
    )


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


WHOLE = {"top": b"top of the tree", "inner/below": b"x" * 5000}


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tree_comes_back_with_content_modes_and_times(
    dump: Any, restore: Restore, folder: Path, order: str
) -> None:
    outcome = restore(sample(dump, order))
    assert outcome.error is None
    top = (folder / "top").stat()
    assert content_of(folder) == WHOLE
    assert stat.S_IMODE(top.st_mode) == 0o4711
    assert (top.st_mtime_ns, top.st_atime_ns) == (3000_123_456_000, 7_000_008_000)
    inner = (folder / "inner").stat()
    assert stat.S_IMODE(inner.st_mode) == 0o2750
    assert inner.st_mtime_ns == 2000_250_000_000
    assert folder.stat().st_mtime == 1000


def test_the_stream_is_asked_for_once_and_left_behind_the_end(dump: Any, restore: Restore) -> None:
    outcome = restore(
        sample(dump) + b"\0" * 50_000, make=lambda _, part: MemorySource(part, cuts=[1024])
    )
    assert outcome.ranges.requests == [(0, UNLIMITED)]
    (source,) = outcome.ranges.sources
    assert not source.is_at_end
    assert source.taken == source.released
    assert outcome.job.progress.bytes_processed == len(sample(dump))


@pytest.mark.parametrize("cuts", [[1], [1023, 1025], [7, 10240, 1, 4096], [1 << 20]])
def test_it_does_not_matter_how_the_stream_is_cut(
    dump: Any, restore: Restore, folder: Path, cuts: list[int]
) -> None:
    outcome = restore(sample(dump), make=lambda _, part: MemorySource(part, cuts=cuts, per_batch=3))
    assert outcome.error is None
    assert content_of(folder) == WHOLE


@pytest.mark.requirement("R249")
def test_events_and_a_summary_tell_the_course(dump: Any, restore: Restore) -> None:
    outcome = restore(sample(dump))
    names = [event.name for event in outcome.kernel.events]
    assert names == [
        "dump.restore-started",
        "dump.restore-options",
        *["dump.restore-phase-started"] * 4,
        "dump.restore-finished",
    ]
    facts = outcome.kernel.events[-1].facts
    assert facts["objects"] == 2
    assert facts["losses"] == 0
    assert facts["path"] == "/vs1/vol1"
    assert any("Restored 2 files and 2 directories" in text for _, text in outcome.messages)


@pytest.mark.requirement("R128")
def test_what_is_restored_can_be_on_disk_before_success_is_told(
    dump: Any, restore: Restore, folder: Path
) -> None:
    assert restore(sample(dump), sync=True).error is None
    assert content_of(folder) == WHOLE


@pytest.mark.requirement("R128")
@pytest.mark.requirement("R128")
def test_verbose_tells_each_directory(dump: Any, restore: Restore) -> None:
    outcome = restore(sample(dump), environment=[("FILESYSTEM", "/vs1/vol1"), ("VERBOSE", "Y")])
    assert {"/", "/inner"} <= set(outcome.told(LogLevel.NORMAL))


@pytest.mark.requirement("R123")
def test_debugging_tells_what_a_restore_works_with(
    dump: Any, restore: Restore, select: Select
) -> None:
    environment = [("FILESYSTEM", "/vs1/vol1"), ("DEBUG", "Y"), ("EXTRACT", "E")]
    outcome = restore(sample(dump), [select("top", "/vs1/vol1/a")], environment=environment)
    told = outcome.told(LogLevel.DEBUG)
    assert told[0] == "/top goes to /vs1/vol1/a; node 0, position 0"
    assert any("directories with" in text for text in told)
    assert restore(sample(dump)).told(LogLevel.DEBUG) == []


# Where things go


@pytest.mark.parametrize("root", ["", "/", ".", "/.", "//", "./."])
def test_the_root_goes_into_its_destination(
    dump: Any, restore: Restore, select: Select, folder: Path, root: str
) -> None:
    outcome = restore(sample(dump), [select(root, "/vs1/vol1/new/place")])
    assert outcome.error is None
    assert outcome.results == [(root, OK)]
    assert content_of(folder / "new/place") == WHOLE
    assert (folder / "new/place").stat().st_mtime == 1000


@pytest.mark.parametrize(
    "path", ["inner/below", "/inner/below", "./inner//below", "/inner/below/."]
)
def test_a_file_goes_to_its_complete_target(
    dump: Any, restore: Restore, select: Select, folder: Path, path: str
) -> None:
    outcome = restore(sample(dump), [select(path, "/vs1/vol1/a/b/other")])
    assert outcome.results == [(path, OK)]
    assert content_of(folder) == {"a/b/other": b"x" * 5000}


def test_a_name_is_added_to_the_destination(
    dump: Any, restore: Restore, select: Select, folder: Path
) -> None:
    restore(sample(dump), [select("top", "/vs1/vol1/a", "renamed")])
    assert content_of(folder) == {"a/renamed": b"top of the tree"}


@pytest.mark.requirement("R136")
def test_a_directory_goes_with_all_that_is_in_it(
    dump: Any, restore: Restore, select: Select, folder: Path
) -> None:
    outcome = restore(sample(dump), [select("inner", "/vs1/vol1/copy")])
    assert outcome.results == [("inner", OK)]
    assert content_of(folder) == {"copy/below": b"x" * 5000}
    assert stat.S_IMODE((folder / "copy").stat().st_mode) == 0o2750


@pytest.mark.requirement("R136")
def test_several_entries_each_get_a_result(
    dump: Any, restore: Restore, select: Select, folder: Path
) -> None:
    outcome = restore(
        sample(dump),
        [
            select("top", "/vs1/vol1/one"),
            select("nowhere/at/all", "/vs1/vol1/two"),
            select("inner/below", "/vs1/vol1/three"),
            select("top/below", "/vs1/vol1/four"),
        ],
    )
    assert outcome.error is None
    assert [result for _, result in outcome.results] == [
        OK,
        FileResult.NOT_FOUND,
        OK,
        FileResult.NOT_FOUND,
    ]
    assert content_of(folder) == {"one": b"top of the tree", "three": b"x" * 5000}


def test_entries_within_entries_are_restored_once_where_that_is_the_same(
    dump: Any, restore: Restore, select: Select, folder: Path
) -> None:
    outcome = restore(
        sample(dump),
        [
            select("inner/below", "/vs1/vol1/x/inner/below"),
            select("", "/vs1/vol1/x"),
            select("inner", "/vs1/vol1/x/inner"),
        ],
    )
    assert [result for _, result in outcome.results] == [OK, OK, OK]
    assert content_of(folder / "x") == WHOLE
    assert any("Restored 2 files and 2 directories" in text for _, text in outcome.messages)


def test_one_object_may_go_to_several_places(
    dump: Any, restore: Restore, select: Select, folder: Path
) -> None:
    outcome = restore(
        sample(dump),
        [
            select("inner", "/vs1/vol1/a"),
            select("inner/below", "/vs1/vol1/b"),
            select("inner", "/vs1/vol1/c"),
        ],
    )
    assert [result for _, result in outcome.results] == [OK, OK, OK]
    assert content_of(folder) == dict.fromkeys(("a/below", "b", "c/below"), b"x" * 5000)
    inodes = {path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
    assert len(inodes) == 3


def test_an_empty_list_goes_where_prefix_says(dump: Any, restore: Restore, folder: Path) -> None:
    restore(
        sample(dump), environment=[("PREFIX", "/vs1/vol1/target"), ("FILESYSTEM", "/vs1/vol1/src")]
    )
    assert content_of(folder / "target") == WHOLE
    assert not (folder / "src").exists()


def test_without_a_destination_everything_goes_back_where_it_came_from(
    dump: Any, restore: Restore, select: Select, folder: Path
) -> None:
    outcome = restore(
        sample(dump),
        [select("inner/below"), select("top", "", "renamed")],
        [("FILESYSTEM", "/vs1/vol1/src"), ("EXTRACT", "E")],
    )
    assert [result for _, result in outcome.results] == [OK, OK]
    assert content_of(folder / "src") == {
        "inner/below": b"x" * 5000,
        "renamed": b"top of the tree",
    }


def test_reading_stops_when_nothing_more_is_wanted(
    dump: Any, restore: Restore, select: Select, folder: Path
) -> None:
    data = sample(dump)
    cut = data.index(b"top of the tree") + 2048
    outcome = restore(data[:cut], [select("top", "/vs1/vol1/top")])
    assert outcome.error is None
    assert outcome.results == [("top", OK)]


def test_names_in_bytes_that_are_no_text_are_found(
    dump: Any, restore: Restore, select: Select, folder: Path
) -> None:
    data = dump().begin().directory(2, [(b"\xff\xfe", 3)]).file(3, b"odd").end()
    outcome = restore(data, [select("\udcff\udcfe", "/vs1/vol1/\udcff")])
    assert [result for _, result in outcome.results] == [OK]
    assert [os.fsencode(path.name) for path in folder.iterdir()] == [b"\xff"]


# What is refused before the stream is read


def prepared(kernel: Any, selections: list[Any], *environment: tuple[str, str]) -> Any:
    return prepare(Environment(VARIABLES, environment), selections, "tests", kernel)


@pytest.mark.parametrize(
    ("selection", "fault"),
    [
        (("x", "/vs1/vol1/../../etc"), "dump.bad-destination"),
        (("x", "/vs1/vol1/a", "../b"), "dump.bad-destination"),
        (("x", "/vs1/vol1/\0"), "dump.bad-destination"),
        (("x", "/vs1/vol1/.snapshot/hourly/x"), "dump.bad-destination"),
        (("x", "/other/volume/x"), "dump.destination-unusable"),
        (("x", ""), "dump.no-destination"),
    ],
)
def test_destinations_that_cannot_be(
    restore: Restore, select: Select, selection: tuple[str, ...], fault: str
) -> None:
    with pytest.raises(TapekitError) as caught:
        restore(b"", [select(*selection)], ())
    assert caught.value.id == fault


def test_a_volume_is_checked_before_and_nothing_made_in_it(
    restore: Restore, select: Select, folder: Path
) -> None:
    with pytest.raises(TapekitError):
        restore(b"", [select("a", "/vs1/vol1/new/a"), select("b", "/vs1/none/b")])
    assert list(folder.iterdir()) == []


def test_a_stack_without_volumes_cannot_restore() -> None:
    class NoStorage:
        storage = None

    with pytest.raises(TapekitError) as caught:
        prepared(NoStorage(), [])
    assert caught.value.id == "dump.no-storage"


def test_a_bad_switch_is_refused_by_name(restore: Restore) -> None:
    with pytest.raises(BadEnvironment, match="VERBOSE"):
        restore(b"", environment=[("FILESYSTEM", "/vs1/vol1"), ("VERBOSE", "perhaps")])


# What the stream is


@pytest.mark.parametrize("data", [b"", b"\0" * 100_000, b"not a dump" * 1000])
def test_something_else_than_a_dump(restore: Restore, data: bytes) -> None:
    outcome = restore(data)
    assert outcome.error.id == "dump.not-a-dump"
    assert outcome.kernel.events[-1].name == "dump.restore-aborted"


def test_a_compressed_dump_is_refused(dump: Any, restore: Restore, folder: Path) -> None:
    outcome = restore(dump().begin(flags=0x83).directory(2).end())
    assert outcome.error.id == "dump.dump-compressed"
    assert list(folder.iterdir()) == []


def test_an_incremental_dump_is_refused_without_its_base(
    dump: Any, restore: Restore, select: Select, folder: Path
) -> None:
    data = dump(base_date=1_500_000_000, level=1).begin().directory(2).end()
    outcome = restore(data, [select("", "/vs1/vol1")], environment=())
    assert outcome.error.id == "dump.base-not-restored"
    assert "1500000000" in str(outcome.error)
    assert outcome.results == [("", FileResult.IO_ERROR)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_format_before_44bsd(dump: Any, restore: Restore, folder: Path, order: str) -> None:
    outcome = restore(sample(dump, order, new_format=False, low_uid=0))
    assert outcome.error is None
    assert content_of(folder) == WHOLE


@pytest.mark.parametrize("order", ["<", ">"])
def test_times_of_freebsd_are_64_bits_wide(
    dump: Any, restore: Restore, folder: Path, order: str
) -> None:
    def wide(date: int, record: int, mtime_s: int = 0) -> list[tuple[int, str, int]]:
        return [(896, "q", date), (912, "q", record), (96, "q", mtime_s), (60, "I", 5000)]

    stream = dump(order, magic=UFS2_MAGIC, date=0, extra=wide(7, 0))
    stream.header(HeaderType.TAPE, flags=3)
    stream.directory(2, [(b"file", 3)]).file(3, b"wide", extra=wide(7, 0, 2**33 + 1)).end()
    outcome = restore(stream.data)
    assert outcome.error is None
    assert (folder / "file").stat().st_mtime_ns == (2**33 + 1) * 10**9 + 5000


def test_a_dump_that_ends_too_early_restores_what_came(
    dump: Any, restore: Restore, select: Select, folder: Path
) -> None:
    data = sample(dump)
    cut = data[: data.index(b"x" * 100) + 2048]
    outcome = restore(cut, [select("", "/vs1/vol1"), select("top", "/vs1/vol1/top")])
    assert outcome.error.id == "dump.stream-ended-early"
    assert content_of(folder) == {"top": b"top of the tree"}
    assert outcome.results == [("", FileResult.IO_ERROR), ("top", OK)]
    assert any("/inner/below is missing" in text for text in outcome.told())
    assert stat.S_IMODE((folder / "inner").stat().st_mode) == 0o2750


def test_a_stream_without_its_end_header_says_so(dump: Any, restore: Restore, folder: Path) -> None:
    outcome = restore(sample(dump)[:-1024])
    assert outcome.error.id == "dump.stream-ended-early"
    assert content_of(folder) == WHOLE
    assert outcome.told() == []


def test_a_stream_that_ends_within_the_directories(
    dump: Any, restore: Restore, folder: Path
) -> None:
    data = sample(dump)
    outcome = restore(data[: data.index(b"inner") + 700])
    assert outcome.error.id == "dump.stream-ended-early"
    assert content_of(folder) == {}


def test_a_broken_connection_is_passed_on_and_the_tree_left_in_order(
    dump: Any, select: Select, folder: Path, restore_to: Restore
) -> None:
    data = sample(dump)
    large = (
        dump()
        .begin()
        .directory(2, [(b"large", 3), (b"top", 4)], mode=0o711)
        .file(3, b"y" * 400_000)
        .end()
    )
    for stream, cut in ((data, data.index(b"x" * 100)), (large, 300_000)):
        with pytest.raises(ConnectionBroken):
            restore_to(folder, stream, make=lambda _, part, cut=cut: FailingSource(part, cut))
    assert content_of(folder)["top"] == b"top of the tree"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o711
    assert stat.S_IMODE((folder / "large").stat().st_mode) == 0o600


def test_a_stream_that_cannot_be_read_is_an_error_with_its_place(
    dump: Any, restore: Restore, folder: Path
) -> None:
    class UnreadableSource(MemorySource):
        def get(self) -> Any:
            if self.taken == 3:
                raise OSError(5, "Input/output error")
            return super().get()

    outcome = restore(
        sample(dump), make=lambda _, part: UnreadableSource(part, cuts=[1024], per_batch=1)
    )
    assert outcome.error.id == "dump.stream-unreadable"
    assert "byte 3072" in str(outcome.error)


def test_closing_twice_and_without_a_run_is_harmless(
    dump: Any, restore: Restore, folder: Path
) -> None:
    outcome = restore(sample(dump))
    outcome.job.close()
    kernel = outcome.kernel
    prepared(kernel, [], ("FILESYSTEM", "/vs1/vol1")).close()


def test_services_hear_nothing_of_entries_that_nobody_named(dump: Any, restore: Restore) -> None:
    assert restore(sample(dump)).results == []
    assert MemoryServices().results == []
