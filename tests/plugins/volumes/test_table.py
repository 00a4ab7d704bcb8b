from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.plugins.volumes.conftest import MemoryMethod

from tapekit.errors import TapekitError
from tapekit.hookspecs.storage import TreeTraits
from tapekit.marks import SecurityStyle, SnapLock
from tapekit_volumes.settings import VolumeSettings
from tapekit_volumes.table import volume_table


def row(path: str, directory: str, **more: object) -> VolumeSettings:
    return VolumeSettings(path=path, directory=Path(directory), **more)


def copying(path: str, directory: str, copies: str) -> VolumeSettings:
    return row(path, directory, snapshots="memory", snapshot_directory=Path(copies))


def refused(base: Path, *rows: VolumeSettings) -> TapekitError:
    with pytest.raises(TapekitError) as caught:
        volume_table(rows, base, {"memory": MemoryMethod()})
    assert caught.value.explained
    return caught.value


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        (tmp_path / name / "inner").mkdir(parents=True)
    return tmp_path


def test_rows_become_volumes_in_their_order(base: Path) -> None:
    method = MemoryMethod()
    rows = [
        row("/vs1/b", "b", snapshots="memory"),
        row("/vs1/a", str(base / "a"), read_only=True, snapshot_directory=Path("elsewhere")),
    ]
    table = volume_table(rows, base, {"memory": method})
    assert list(table) == ["/vs1/b", "/vs1/a"]
    first, second = table.values()
    assert (first.directory, first.method, first.read_only) == (base / "b", method, False)
    assert first.snapshots == base / "b.snapshots"
    assert (second.directory, second.method, second.read_only) == (base / "a", None, True)
    assert second.snapshots == base / "elsewhere"
    assert {path.name for path in base.iterdir()} == {"a", "b", "c"}


@pytest.mark.parametrize(
    "path", ["", "vs1/vol1", "/vs1", "/vs1/vol1/", "/vs1/.vol", "/v/v/v", "/é/v"]
)
def test_odd_names_are_refused(base: Path, path: str) -> None:
    assert refused(base, row(path, "a")).id == "volumes.bad-volume-name"


def test_a_path_comes_once(base: Path) -> None:
    assert refused(base, row("/v/v", "a"), row("/v/v", "b")).id == "volumes.volume-twice"


def test_a_missing_directory_is_refused_with_the_command_that_makes_it(base: Path) -> None:
    error = refused(base, row("/v/v", "missing/deep"))
    assert error.id == "volumes.directory-missing"
    assert f"mkdir -p {base}/missing/deep" in error.explained


def test_a_file_is_no_volume(base: Path) -> None:
    (base / "file").write_bytes(b"")
    assert refused(base, row("/v/v", "file")).id == "volumes.not-a-directory"


def test_an_unknown_method_is_refused_with_those_there_are(base: Path) -> None:
    error = refused(base, row("/v/v", "a", snapshots="memry"))
    assert error.id == "volumes.no-such-method"
    assert 'there are: "memory", "none"' in str(error)


@pytest.mark.parametrize(
    "rows",
    [
        (row("/v/1", "a"), row("/v/2", "a")),
        (row("/v/1", "a"), row("/v/2", "a/inner")),
        (row("/v/1", "a/inner"), row("/v/2", "b"), row("/v/3", "a")),
        (copying("/v/1", "a", "a/inner/copies"),),
        (copying("/v/1", "a", "a"),),
        (
            copying("/v/1", "a", "b/copies"),
            row("/v/2", "b"),
        ),
        (copying("/v/1", "a", ""), row("/v/2", "b")),
        (
            copying("/v/1", "a", "copies"),
            copying("/v/2", "b", "copies"),
        ),
    ],
)
def test_nothing_may_lie_in_anything_else(base: Path, rows: tuple[VolumeSettings, ...]) -> None:
    assert refused(base, *rows).id == "volumes.directories-overlap"


def test_symbolic_links_do_not_hide_an_overlap(base: Path) -> None:
    (base / "link").symlink_to("a")
    assert (
        refused(base, row("/v/1", "a"), row("/v/2", "link/inner")).id
        == "volumes.directories-overlap"
    )


def test_names_that_only_begin_alike_are_no_overlap(base: Path) -> None:
    (base / "a-more").mkdir()
    (base / "a.snapshots").mkdir()
    rows = (row("/v/1", "a"), row("/v/2", "a-more"), row("/v/3", "a.snapshots"))
    assert len(volume_table(rows, base, {})) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_mounts_are_seen_and_one_directory_in_two_places_is_refused(base: Path) -> None:
    subprocess.run(["mount", "--bind", base / "a", base / "b"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", base / "c"], check=True)
    try:
        error = refused(base, row("/v/1", "a"), row("/v/2", "b"))
        [volume] = volume_table([row("/v/1", "c")], base, {}).values()
    finally:
        subprocess.run(["umount", base / "b", base / "c"], check=True)
    assert error.id == "volumes.directory-twice"
    assert volume.is_mount_point


def test_a_volume_is_more_than_a_directory(base: Path) -> None:
    told = row(
        "/vs1/a",
        "a",
        security_style=SecurityStyle.NTFS,
        unix_permissions="0750",
        snaplock=SnapLock.ENTERPRISE,
        vm_align_sectors=8,
    )
    traits = volume_table((told,), base, {})["/vs1/a"].traits
    assert traits == TreeTraits(
        security_style=SecurityStyle.NTFS,
        unix_permissions=0o750,
        snaplock=SnapLock.ENTERPRISE,
        vm_align_sectors=8,
    )


@pytest.mark.parametrize("permissions", ["", "rwxr-xr-x", "0o755", "1755", "758"])
def test_permissions_are_three_octal_digits(base: Path, permissions: str) -> None:
    error = refused(base, row("/vs1/a", "a", unix_permissions=permissions))
    assert error.id == "volumes.bad-permissions"


def test_a_shift_is_not_negative(base: Path) -> None:
    assert refused(base, row("/vs1/a", "a", vm_align_sectors=-1)).id == "volumes.bad-alignment"


def test_junctions_are_known_to_the_volume_above(base: Path) -> None:
    rows = (row("/vs1/a", "a"), row("/vs1/b", "b", junction_path="/vs1/a/inner/b"))
    table = volume_table(rows, base, {})
    assert dict(table["/vs1/a"].junctions) == {(b"inner", b"b"): "/vs1/b"}
    assert dict(table["/vs1/b"].junctions) == {}


@pytest.mark.parametrize(
    "path", ["/vs1/a", "/vs1/b/in-itself", "/vs1/none/b", "/vs2/c/b", "relative", "/vs1/a/../b"]
)
def test_a_junction_is_below_another_volume_of_the_same_machine(base: Path, path: str) -> None:
    rows = (
        row("/vs1/a", "a"),
        row("/vs1/b", "b", junction_path=path),
        row("/vs2/c", "c"),
    )
    assert refused(base, *rows).id == "volumes.bad-junction"


def test_a_junction_has_one_volume(base: Path) -> None:
    rows = (
        row("/vs1/a", "a"),
        row("/vs1/b", "b", junction_path="/vs1/a/x"),
        row("/vs1/c", "c", junction_path="/vs1/a/x"),
    )
    assert refused(base, *rows).id == "volumes.junction-twice"
