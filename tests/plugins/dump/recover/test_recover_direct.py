"""Direct access restores of what the engine itself has backed up."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.plugins.dump.recover.direct_site import VOLUME, DirectSite

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import UNKNOWN_POSITION, FileResult, LogLevel
from tapekit.hookspecs.mover import UNLIMITED
from tapekit_dump.offset_map import MapHead

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OK = FileResult.SUCCESSFUL
MIB = 1 << 20


def fill(volume: Path) -> None:
    """Long files around short ones, three directories deep."""
    for name in ("a", "m", "z"):
        (volume / f"long-{name}").write_bytes(os.urandom(3 * MIB))
    below = volume / "dir" / "inner" / "deep"
    below.mkdir(parents=True)
    for number in range(20):
        (below / f"file{number}").write_bytes(b"%d." % number * 1000)
        (volume / "dir" / f"f{number}").write_bytes(os.urandom(40_000))
    (volume / "dir" / "long").write_bytes(os.urandom(9 * MIB))
    (volume / "dir" / "inner" / "link").symlink_to("nowhere")
    os.link(volume / "dir" / "f3", volume / "dir" / "inner" / "f3-again")
    with (volume / "dir" / "sparse").open("wb") as file:
        file.truncate(40 * MIB)
        file.seek(20 * MIB)
        file.write(b"in the middle")
    other = volume / "other"
    other.mkdir()
    (other / "single").write_text("single")
    (volume / "dir" / "inner").chmod(0o2751)
    (volume / "dir").chmod(0o700)


@pytest.fixture
def direct(site: Any, volume: Path) -> DirectSite:
    fill(volume)
    return DirectSite(site)


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


@pytest.mark.requirement("R131")
@pytest.mark.requirement("R009")
def test_one_file_costs_one_seek_and_little_more_than_itself(direct: DirectSite) -> None:
    path = "dir/inner/deep/file7"
    outcome = direct.restore([direct.select(path)])
    assert outcome.error is None
    assert outcome.services.results == [(path, OK)]
    assert content_of(direct.back) == {path: b"7." * 1000}
    offsets = [offset for offset, _ in outcome.ranges.requests]
    assert offsets[0] == direct.places[path][1]
    assert outcome.bytes_asked < 8 * 1024
    assert len(direct.data) > 18 * MIB


def test_a_long_file_is_asked_for_at_once(direct: DirectSite) -> None:
    outcome = direct.restore([direct.select("dir/long")])
    assert outcome.error is None
    assert len(outcome.ranges.requests) == 2
    assert outcome.bytes_asked < 9 * MIB + 30 * 1024
    assert (direct.back / "dir/long").read_bytes() == (direct.site.volume / "dir/long").read_bytes()


def test_holes_are_not_waited_for(direct: DirectSite) -> None:
    outcome = direct.restore([direct.select("dir/sparse")])
    assert outcome.error is None
    file = direct.back / "dir/sparse"
    assert file.read_bytes() == bytes(20 * MIB) + b"in the middle" + bytes(20 * MIB - 13)
    assert file.stat().st_blocks * 512 < 20 * MIB
    assert outcome.bytes_asked < 600 * 1024


@pytest.mark.requirement("R264")
def test_a_directory_with_more_files_than_inodes_is_told_and_tried(direct: DirectSite) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    direct.back.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "nr_inodes=16", "none", str(direct.back))
    subprocess.run(mount, check=True)
    try:
        chosen = [direct.select("dir/inner")]
        quiet = direct.restore(chosen, ENHANCED_DAR_ENABLED="Y", FORCE="Y")
        told = direct.restore(chosen, ENHANCED_DAR_ENABLED="Y")
    finally:
        subprocess.run(["umount", str(direct.back)], check=True)
    for outcome in (quiet, told):
        assert outcome.error is not None
        assert outcome.error.id == "dump.no-space-left"
    assert quiet.told(LogLevel.WARNING) == []
    (text,) = told.told(LogLevel.WARNING)
    assert text.startswith("/vs1/vol1/back/dir/inner has 0 inodes free; the restore needs ")


@pytest.mark.requirement("R131")
def test_files_are_taken_in_the_order_of_the_stream_and_neighbours_in_one_go(
    direct: DirectSite,
) -> None:
    paths = [f"dir/f{number}" for number in (9, 2, 17, 3, 4)] + ["other/single", "long-z", "long-a"]
    outcome = direct.restore([direct.select(path) for path in paths])
    assert outcome.error is None
    assert [label for label, result in outcome.services.results if result is OK] == paths
    offsets = [offset for offset, _ in outcome.ranges.requests]
    assert offsets == sorted(offsets)
    assert content_of(direct.back) == {
        path: (direct.site.volume / path).read_bytes() for path in paths
    }


@pytest.mark.parametrize("node", [0, UNKNOWN_POSITION])
def test_the_number_need_not_be_known(direct: DirectSite, node: int) -> None:
    outcome = direct.restore([direct.select("long-m", node=node)])
    assert outcome.error is None
    assert (direct.back / "long-m").stat().st_size == 3 * MIB


def test_one_object_goes_to_two_places(direct: DirectSite) -> None:
    targets = [f"{VOLUME}/back/one", f"{VOLUME}/back/two"]
    outcome = direct.restore([direct.select("other/single", target) for target in targets])
    assert outcome.error is None
    assert content_of(direct.back) == {"one": b"single", "two": b"single"}


_FILES = ("other/single", "dir/f3", "dir/inner/link", "long-a")


@pytest.mark.parametrize(
    ("path", "enhanced"),
    [*((path, "N") for path in _FILES), *((path, "Y") for path in (*_FILES, "dir/inner"))],
)
def test_what_is_named_twice_is_restored_once(direct: DirectSite, path: str, enhanced: str) -> None:
    chosen = [direct.select(each) for each in (path, "dir/f5", path)]
    for _ in range(2):
        outcome = direct.restore(chosen, ENHANCED_DAR_ENABLED=enhanced)
        assert outcome.error is None
        assert outcome.services.results == [(path, OK), ("dir/f5", OK), (path, OK)]
        assert os.path.lexists(direct.back / path)
    assert (direct.back / "dir/f5").is_file()


def test_what_is_no_file_comes_back_too(direct: DirectSite) -> None:
    assert direct.restore([direct.select("dir/inner/link")]).error is None
    assert (direct.back / "dir/inner/link").readlink().name == "nowhere"


@pytest.mark.requirement("R131")
@pytest.mark.parametrize("position", [0, UNKNOWN_POSITION])
def test_without_a_position_the_stream_is_read_from_its_beginning(
    direct: DirectSite, position: int
) -> None:
    outcome = direct.restore(
        [direct.select("other/single", position=position), direct.select("dir/f1")]
    )
    assert outcome.error is None
    assert outcome.ranges.requests == [(0, UNLIMITED)]
    assert any("/other/single has no position" in each for each in outcome.told(LogLevel.WARNING))
    assert set(content_of(direct.back)) == {"other/single", "dir/f1"}


def test_positions_do_not_count_without_direct(direct: DirectSite) -> None:
    outcome = direct.restore([direct.select("other/single", position=17)], DIRECT="N")
    assert outcome.error is None
    assert outcome.ranges.requests == [(0, UNLIMITED)]


@pytest.mark.parametrize(
    ("shift", "reason"),
    [
        (1024, "no header stands there"),
        (7, "no header stands there"),
        (1 << 40, "the stream ends before"),
    ],
)
def test_a_wrong_position_is_told_with_file_and_position(
    direct: DirectSite, shift: int, reason: str
) -> None:
    wrong = direct.places["dir/f5"][1] + shift
    outcome = direct.restore(
        [direct.select("dir/f5", position=wrong), direct.select("other/single")]
    )
    assert outcome.error is not None
    assert outcome.error.id == "dump.restore-incomplete"
    (told,) = outcome.told()
    assert f"/dir/f5 is not at byte {wrong}" in told
    assert reason in told
    assert dict(outcome.services.results) == {
        "dir/f5": FileResult.NOT_FOUND,
        "other/single": OK,
    }
    assert content_of(direct.back) == {"other/single": b"single"}


def test_a_position_of_another_object_is_refused(direct: DirectSite) -> None:
    other = direct.places["dir/f6"]
    outcome = direct.restore([direct.select("dir/f5", position=other[1])])
    (told,) = outcome.told()
    assert f"inode {other[0]} stands there, not {direct.places['dir/f5'][0]}" in told
    assert not content_of(direct.back)


def test_a_position_among_attributes_is_no_object(direct: DirectSite) -> None:
    outcome = direct.restore(
        [direct.select("dir/f5", position=len(direct.data) // 10240 * 10240 - 10240, node=0)]
    )
    assert outcome.error is not None
    assert outcome.services.results == [("dir/f5", FileResult.NOT_FOUND)]


def test_a_cut_stream_is_told(direct: DirectSite) -> None:
    cut = direct.places["dir/long"][1] + 5 * MIB
    outcome = direct.restore([direct.select("dir/long")], data=direct.data[:cut])
    assert outcome.error is not None
    assert any("/dir/long is incomplete" in text for text in outcome.told())
    assert outcome.services.results == [("dir/long", FileResult.IO_ERROR)]


# ACLs


@pytest.mark.requirement("R137")
@pytest.mark.parametrize(
    ("variables", "is_restored"),
    [
        ({}, False),
        ({"EXTRACT_ACL": "Y"}, True),
        ({"EXTRACT_ACL": "N"}, False),
        ({"DIRECT": "N"}, True),
        ({"DIRECT": "N", "EXTRACT_ACL": "N"}, False),
    ],
)
def test_acls_are_left_out_of_direct_restores_unless_asked_for(
    site: Any, volume: Path, variables: dict[str, str], is_restored: bool
) -> None:
    acl = bytes.fromhex(
        "02000000 01000600ffffffff 02000600d2040000 04000400ffffffff"
        "10000600ffffffff 20000400ffffffff"
    )
    for name, size in (("small", 10), ("large", MIB)):
        (volume / name).write_bytes(b"x" * size)
        os.setxattr(volume / name, "system.posix_acl_access", acl)
        os.setxattr(volume / name, "user.kept", b"1")
    direct = DirectSite(site)
    outcome = direct.restore([direct.select("small"), direct.select("large")], **variables)
    assert outcome.error is None
    for name in ("small", "large"):
        names = set(os.listxattr(direct.back / name))
        assert "user.kept" in names
        assert ("system.posix_acl_access" in names) is is_restored


# Directories


@pytest.mark.requirement("R134")
@pytest.mark.requirement("R342")
def test_a_directory_is_refused_without_enhanced_direct_access(direct: DirectSite) -> None:
    outcome = direct.restore([direct.select("dir")])
    assert outcome.error is not None
    assert str(outcome.error).startswith("No files were created")
    assert any("/dir is a directory" in text for text in outcome.told())
    assert outcome.services.results == [("dir", FileResult.UNDEFINED_ERROR)]
    assert not direct.back.exists() or not any(direct.back.iterdir())


@pytest.mark.requirement("R134")
@pytest.mark.requirement("R161")
@pytest.mark.requirement("R192")
def test_a_directory_comes_back_with_all_that_is_in_it(direct: DirectSite) -> None:
    outcome = direct.restore([direct.select("dir")], ENHANCED_DAR_ENABLED="Y")
    assert outcome.told() == []
    assert outcome.error is None
    assert outcome.services.results == [("dir", OK)]
    volume = direct.site.volume
    assert content_of(direct.back / "dir") == content_of(volume / "dir")
    assert (direct.back / "dir").stat().st_mode == (volume / "dir").stat().st_mode
    assert stat.S_IMODE((direct.back / "dir/inner").stat().st_mode) == 0o2751
    assert (direct.back / "dir/inner").stat().st_mtime == pytest.approx(
        (volume / "dir/inner").stat().st_mtime, abs=1e-5
    )
    link = (direct.back / "dir/inner/f3-again").stat()
    assert link.st_ino == (direct.back / "dir/f3").stat().st_ino


def test_a_directory_costs_its_own_tree_and_the_map(direct: DirectSite) -> None:
    outcome = direct.restore([direct.select("dir/inner/deep")], ENHANCED_DAR_ENABLED="Y")
    assert outcome.error is None
    assert len(content_of(direct.back)) == 20
    assert outcome.bytes_asked < 6 * MIB


def test_directories_and_files_are_restored_together(direct: DirectSite) -> None:
    paths = ["other/single", "dir/inner", "long-z", "dir/f2"]
    outcome = direct.restore([direct.select(path) for path in paths], ENHANCED_DAR_ENABLED="Y")
    assert outcome.error is None
    assert set(outcome.services.results) == {(path, OK) for path in paths}
    restored = content_of(direct.back)
    assert len(restored) == 20 + 1 + 3
    assert restored["dir/inner/f3-again"] == (direct.site.volume / "dir/f3").read_bytes()


def test_a_file_within_a_directory_of_the_list_is_restored_once(direct: DirectSite) -> None:
    outcome = direct.restore(
        [direct.select("dir/inner/deep/file1"), direct.select("dir/inner")],
        ENHANCED_DAR_ENABLED="Y",
    )
    assert outcome.error is None
    assert {result for _, result in outcome.services.results} == {OK}
    assert any("Restored 22 files and 2 dir" in text for text in outcome.told(LogLevel.NORMAL))


def test_a_directory_within_another_may_go_elsewhere(direct: DirectSite) -> None:
    outcome = direct.restore(
        [direct.select("dir"), direct.select("dir/inner/deep", f"{VOLUME}/back/apart")],
        ENHANCED_DAR_ENABLED="Y",
    )
    assert outcome.error is None
    assert len(content_of(direct.back / "apart")) == 20
    assert content_of(direct.back / "dir") == content_of(direct.site.volume / "dir")


@pytest.mark.requirement("R161")
@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"OFFSET_MAP_START": "0"}, "OFFSET_MAP_START does not say where it is"),
        ({"OFFSET_MAP_START": "10240"}, "no map stands there"),
        ({"OFFSET_MAP_START": str(1 << 45)}, "the stream ends before it"),
    ],
)
def test_without_a_map_the_stream_is_read_from_its_beginning(
    direct: DirectSite, variables: dict[str, str], reason: str
) -> None:
    outcome = direct.restore(
        [direct.select("dir"), direct.select("other/single")], ENHANCED_DAR_ENABLED="Y", **variables
    )
    assert outcome.error is None
    assert outcome.ranges.requests[-1] == (0, UNLIMITED)
    assert any(reason in text for text in outcome.told(LogLevel.WARNING))
    assert content_of(direct.back / "dir") == content_of(direct.site.volume / "dir")
    assert {result for _, result in outcome.services.results} == {OK}


def test_a_map_of_more_entries_than_the_dump_has_records_is_not_read(direct: DirectSite) -> None:
    start = int(direct.backup.environment["OFFSET_MAP_START"])
    data = bytearray(direct.data)
    head = MapHead.unpack(bytes(data[start : start + 1024]))
    data[start : start + 1024] = head._replace(directories=start // 1024 + 1).pack()
    outcome = direct.restore([direct.select("other")], data=bytes(data), ENHANCED_DAR_ENABLED="Y")
    assert outcome.error is None
    assert any("is said to have" in text for text in outcome.told(LogLevel.WARNING))
    assert content_of(direct.back) == {"other/single": b"single"}


@pytest.mark.requirement("R192")
def test_the_map_can_be_switched_off(make_site: Callable[..., Any], volume: Path) -> None:
    fill(volume)
    direct = DirectSite(make_site("[dump]\noffset_map = false"))
    assert "OFFSET_MAP_START" not in direct.backup.environment
    outcome = direct.restore([direct.select("other")], ENHANCED_DAR_ENABLED="Y")
    assert outcome.error is None
    assert content_of(direct.back) == {"other/single": b"single"}


def test_a_damaged_map_is_not_used(direct: DirectSite) -> None:
    start = int(direct.backup.environment["OFFSET_MAP_START"])
    for at, reason in ((start + 30, "its beginning"), (start + 1030, "a table")):
        data = bytearray(direct.data)
        data[at] ^= 1
        outcome = direct.restore(
            [direct.select("other")], data=bytes(data), ENHANCED_DAR_ENABLED="Y"
        )
        assert outcome.error is None
        assert any(f"checksum of {reason}" in text for text in outcome.told(LogLevel.WARNING))


def test_the_whole_backup_is_read_from_its_beginning(direct: DirectSite) -> None:
    entry = direct.select("other", f"{VOLUME}/back")._replace(original_path="/")
    outcome = direct.restore([entry], ENHANCED_DAR_ENABLED="Y")
    assert outcome.error is None
    assert outcome.ranges.requests == [(0, UNLIMITED)]
    assert (direct.back / "dir/long").exists()


# Paths and permissions alone


@pytest.mark.requirement("R150")
def test_directories_come_without_their_contents(direct: DirectSite) -> None:
    outcome = direct.restore(
        [direct.select(path) for path in ("dir", "dir/inner/deep", "dir/inner/deep/file1")],
        ENHANCED_DAR_ENABLED="Y",
        RECURSIVE="N",
    )
    assert outcome.error is None
    assert {result for _, result in outcome.services.results} == {OK}
    assert content_of(direct.back) == {"dir/inner/deep/file1": b"1." * 1000}
    assert stat.S_IMODE((direct.back / "dir").stat().st_mode) == 0o700
    assert stat.S_IMODE((direct.back / "dir/inner").stat().st_mode) == 0o755
    deep = (direct.back / "dir/inner/deep").stat()
    expected = (direct.site.volume / "dir/inner/deep").stat()
    assert deep.st_mtime == pytest.approx(expected.st_mtime, abs=1e-5)


@pytest.mark.requirement("R162")
def test_paths_beside_the_longest_are_refused(direct: DirectSite) -> None:
    paths = ("dir", "dir/inner/deep", "other")
    with pytest.raises(TapekitError, match="/other does not lie on /dir/inner/deep"):
        direct.restore(
            [direct.select(path) for path in paths], ENHANCED_DAR_ENABLED="Y", RECURSIVE="N"
        )


@pytest.mark.requirement("R163")
@pytest.mark.parametrize("variables", [{"RECURSIVE": "N"}, {"RECOVER_FULL_PATHS": "Y"}])
def test_the_destination_ends_with_the_original_path(
    direct: DirectSite, variables: dict[str, str]
) -> None:
    with pytest.raises(TapekitError, match="must end with the original path") as refused:
        direct.restore(
            [direct.select("dir/inner", f"{VOLUME}/back/inner")],
            ENHANCED_DAR_ENABLED="Y",
            **variables,
        )
    assert next(iter(variables)) in str(refused.value)


@pytest.mark.requirement("R151")
def test_directories_on_the_way_get_their_attributes_unless_they_exist(direct: DirectSite) -> None:
    direct.back.mkdir()
    (direct.back / "dir").mkdir(mode=0o755)
    outcome = direct.restore(
        [direct.select("dir/inner/deep/file4")], ENHANCED_DAR_ENABLED="Y", RECOVER_FULL_PATHS="Y"
    )
    assert outcome.error is None
    assert outcome.services.results == [("dir/inner/deep/file4", OK)]
    assert set(content_of(direct.back)) == {"dir/inner/deep/file4"}
    assert stat.S_IMODE((direct.back / "dir").stat().st_mode) == 0o755
    assert stat.S_IMODE((direct.back / "dir/inner").stat().st_mode) == 0o2751


@pytest.mark.requirement("R151")
def test_full_paths_work_for_directories_and_without_a_map(direct: DirectSite) -> None:
    for variables in ({}, {"OFFSET_MAP_START": "0"}):
        outcome = direct.restore(
            [direct.select("dir/inner/deep")],
            ENHANCED_DAR_ENABLED="Y",
            RECOVER_FULL_PATHS="Y",
            **variables,
        )
        assert outcome.error is None
        assert stat.S_IMODE((direct.back / "dir").stat().st_mode) == 0o700
        assert len(content_of(direct.back)) == 20
        direct.back.rename(direct.site.volume / f"done{len(variables)}")


@pytest.mark.requirement("R150")
@pytest.mark.requirement("R151")
@pytest.mark.parametrize("variables", [{"RECURSIVE": "N"}, {"RECOVER_FULL_PATHS": "Y"}])
def test_variables_of_enhanced_direct_access_are_refused_without_it(
    direct: DirectSite, variables: dict[str, str]
) -> None:
    with pytest.raises(TapekitError, match="needs DIRECT=Y and ENHANCED_DAR_ENABLED=Y"):
        direct.restore([direct.select("dir")], **variables)


# Incremental backups


@pytest.mark.requirement("R131")
def test_an_incremental_backup_gives_directly_what_is_in_it(site: Any, volume: Path) -> None:
    fill(volume)
    # The copy's change times lie 1000 s before those of the tree, so that
    # what was there at the base is old and what came after it is new.
    site.storage.now_s = int((volume / "dir").stat().st_ctime) - 500
    site.back_up()
    added = {f"dir/{place}new": place.encode() for place in ("", "inner/", "inner/deep/")}
    for path, content in added.items():
        (volume / path).write_bytes(content)
    site.storage.now_s, site.storage.snapshot_name = site.storage.now_s + 100, "copy"
    direct = DirectSite(site, LEVEL="1")
    assert len(direct.data) < MIB
    path = "dir/inner/new"
    assert direct.restore([direct.select(path)]).error is None
    assert content_of(direct.back) == {path: b"inner/"}
    (direct.back / path).unlink()
    outcome = direct.restore([direct.select("dir")], ENHANCED_DAR_ENABLED="Y")
    assert outcome.error is None
    assert outcome.services.results == [("dir", OK)]
    assert content_of(direct.back) == added
    assert len(outcome.ranges.requests) < 20


# Streams of others, and damaged ones


@pytest.mark.parametrize("order", ["<", ">"])
def test_streams_of_others_are_restored_directly(
    dump: Any, restore: Callable[..., Any], select: Any, folder: Path, order: str
) -> None:
    made = dump(order, flags=2).begin().directory(2, [(b"a", 3), (b"b", 4)]).file(3, b"a" * 3000)
    position = len(made.data)
    data = made.file(4, b"b" * 5000, 0o640, mtime_s=1234).end()
    outcome = restore(
        data,
        [select("b", "/vs1/vol1/b", node=4, position=position)],
        [("FILESYSTEM", "/vs1/vol1"), ("DIRECT", "Y")],
    )
    assert outcome.error is None
    assert content_of(folder) == {"b": b"b" * 5000}
    status = (folder / "b").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o640, 1234)


@pytest.mark.parametrize("enhanced", ["Y", "N"])
def test_a_header_of_another_dump_or_a_compressed_one_is_refused(
    dump: Any, restore: Callable[..., Any], select: Any, enhanced: str
) -> None:
    first = dump().file(3, b"one").data
    second = dump(date=1_600_000_001).file(4, b"two").data
    environment = [
        ("FILESYSTEM", "/vs1/vol1"),
        ("DIRECT", "Y"),
        ("ENHANCED_DAR_ENABLED", enhanced),
    ]
    entries = [select("a", "/vs1/vol1/a", position=1024), select("b", position=3072)]
    outcome = restore(bytes(1024) + first + second, entries, environment)
    assert any("another dump" in text for text in outcome.told())
    compressed = dump(flags=0x82).file(3, b"one").data
    outcome = restore(bytes(1024) + compressed, entries[:1], environment)
    assert outcome.error is not None
    assert outcome.error.id == "dump.dump-compressed"


@given(data=st.data())
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_damage_anywhere_raises_nothing_but_declared_errors(
    damaged: tuple[DirectSite, bytes], data: st.DataObject
) -> None:
    direct, whole = damaged
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.just(len(whole)) | st.integers(0, len(whole)))
    outcome = direct.restore(
        [direct.select("dir"), direct.select("other")],
        data=bytes(changed[:cut]),
        ENHANCED_DAR_ENABLED="Y",
        RECOVER_FULL_PATHS=data.draw(st.sampled_from("YN")),
    )
    names = {path.name for path in direct.site.volume.rglob("*")}
    assert len(outcome.services.results) == 2
    assert names >= {"dir", "other", "file"}


@pytest.fixture
def damaged(site: Any, volume: Path) -> tuple[DirectSite, bytes]:
    for name in ("dir/inner/deep", "other"):
        (volume / name).mkdir(parents=True)
    for name in ("dir/file", "dir/inner/file", "dir/inner/deep/file", "other/file"):
        (volume / name).write_bytes(name.encode() * 200)
    direct = DirectSite(site)
    return direct, direct.data
