"""Backups of volumes with qtrees, junctions and files that are withheld."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.environment import Environment
from tapekit.hookspecs.storage import TreeTraits
from tapekit.marks import (
    LunMark,
    Marks,
    OriginMark,
    QtreeMark,
    SecurityStyle,
    WormMark,
    decode_mark,
    encode_mark,
)
from tapekit.testing import MemoryServices
from tapekit_dump.attributes import decode_set
from tapekit_dump.backup_report import BackupReport
from tapekit_dump.backup_scope import WHOLE
from tapekit_dump.headers import HeaderType
from tapekit_dump.tree_scope import origin_of, uses_ctime, with_origin
from tapekit_dump.variables import VARIABLES
from tapekit_trees.epochs import EpochStorage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.marks import Mark

RESTRICTED = "clients are kept from it"


def mark(place: Path, given: Mark) -> None:
    os.setxattr(place, *Marks().attribute(given))


@pytest.fixture
def tree(volume: Path) -> Path:
    """Two qtrees, a directory and files at the top."""
    for number, name in enumerate(("q1", "q2"), start=1):
        (volume / name / "below").mkdir(parents=True)
        (volume / name / "file").write_bytes(b"in a qtree")
        (volume / name / "below" / "deep").write_bytes(b"deep in a qtree")
        mark(volume / name, QtreeMark(id=number, oplocks=number == 1))
    (volume / "plain" / "inner").mkdir(parents=True)
    (volume / "plain" / "file").write_bytes(b"plain")
    (volume / "skipped.o").write_bytes(b"object")
    return volume


def marks_of(backup: Any, path: bytes) -> list[Mark | None]:
    """The marks that the stream has of an object."""
    return [
        decode_mark(name, value)
        for header, data, _ in backup.objects(backup.paths[path])
        if header.has_attributes
        for name, value in decode_set(data[: header.size])[0].items()
    ]


class Traited:
    """A storage whose trees have other traits than a directory's."""

    def __init__(self, storage: Any) -> None:
        self.storage = storage
        self.traits = TreeTraits()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)

    def open_backup(self, *how: Any, **may: bool) -> Any:
        opened = self.storage.open_backup(*how, **may)
        opened.traits = self.traits
        return opened


@pytest.fixture
def traited(make_site: Callable[..., Any], tree: Path) -> Any:
    return make_site(storage=Traited(EpochStorage(tree)))


@pytest.mark.requirement("R003", "R232")
def test_qtrees_are_in_the_stream_as_they_are(site: Any, tree: Path) -> None:
    backup = site.back_up()
    assert marks_of(backup, b"q1") == [QtreeMark(id=1)]
    assert marks_of(backup, b"q2") == [QtreeMark(id=2, oplocks=False)]
    assert marks_of(backup, b"plain") == []


@pytest.mark.requirement("R148")
def test_what_lies_in_qtrees_can_be_left_out(site: Any, tree: Path) -> None:
    backup = site.back_up(("NON_QUOTA_TREE", "Y"))
    assert set(backup.paths) == {
        b"", b"q1", b"q2", b"plain", b"plain/inner", b"plain/file", b"skipped.o",
    }  # fmt: skip
    assert marks_of(backup, b"q1") == [QtreeMark(id=1)]
    assert backup.warnings == []


@pytest.mark.requirement("R148")
@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ((("LEVEL", "1"),), "the level is 1"),
        ((("FILESYSTEM", "/vs1/vol1/q1"),), "not a whole volume"),
        (
            (("MULTI_SUBTREE_NAMES", "q1\nplain\n/vs1/vol1"), ("DMP_NAME", "both")),
            "MULTI_SUBTREE_NAMES is set",
        ),
    ],
)
def test_other_backups_have_qtrees_all_the_same(
    site: Any, tree: Path, variables: tuple[tuple[str, str], ...], reason: str
) -> None:
    backup = site.back_up(*variables, ("NON_QUOTA_TREE", "Y"))
    assert {b"file", b"q1/file"} & set(backup.paths)
    assert any(reason in warning for warning in backup.warnings)


@pytest.mark.requirement("R160")
def test_nothing_is_excluded_beside_non_quota_tree(site: Any, tree: Path) -> None:
    assert b"skipped.o" not in site.back_up(("EXCLUDE", "*.o")).paths
    backup = site.back_up(("EXCLUDE", "*.o"), ("NON_QUOTA_TREE", "Y"))
    assert b"skipped.o" in backup.paths
    assert any("EXCLUDE has no effect" in warning for warning in backup.warnings)


@pytest.mark.requirement("R165")
def test_a_file_that_moved_to_another_qtree_is_backed_up_again(epochs: Any, tree: Path) -> None:
    epochs.back_up()
    (tree / "q1/file").rename(tree / "q2/moved")
    increment = epochs.back_up(("LEVEL", "1"), ("IGNORE_CTIME", "Y"))
    assert b"q2/moved" in increment.dumped
    assert any("since the volume has qtrees" in warning for warning in increment.warnings)


@pytest.mark.requirement("R165")
@pytest.mark.parametrize(("path", "counts"), [("", True), ("/q1", False), ("/plain", False)])
def test_below_the_top_of_a_volume_change_times_can_be_ignored(
    site: Any, tree: Path, path: str, counts: bool
) -> None:
    services = MemoryServices()
    report = BackupReport(services, verbose=False, debug=False)
    with closing(site.storage.open_backup(f"/vs1/vol1{path}", "a test", int)) as opened:
        ignoring = Environment(VARIABLES, [("IGNORE_CTIME", "Y")])
        assert uses_ctime(ignoring, opened, report) is counts
        assert uses_ctime(Environment(VARIABLES, []), opened, report)
    assert len(services.messages) == counts


@pytest.mark.requirement("R233")
def test_a_junction_becomes_a_symbolic_link(traited: Any, tree: Path) -> None:
    (tree / "plain/inner/not-of-this-volume").write_bytes(b"of another")
    traited.storage.traits = TreeTraits(junctions={b"plain/inner": b"/vs1/vol2"})
    backup = traited.back_up(wants_history=True)
    assert backup.content(b"plain/inner") == b"/vs1/vol2"
    assert backup.header(b"plain/inner").mode == 0o120777
    assert b"plain/inner/not-of-this-volume" not in backup.paths
    assert backup.warnings == []


@pytest.mark.requirement("R233")
def test_each_level_has_its_junctions(traited: Any, tree: Path) -> None:
    traited.storage.traits = TreeTraits(junctions={b"plain/inner": b"/vs1/vol2"})
    first = traited.back_up()
    traited.storage.traits = TreeTraits(junctions={b"plain/inner": b"/vs1/vol3"})
    second = traited.back_up(("LEVEL", "1"))
    assert second.content(b"plain/inner") == b"/vs1/vol3"
    assert second.dumped == {b"", b"plain", b"plain/inner"}
    assert second.paths[b"plain/inner"] not in first.paths.values()


@pytest.mark.requirement("R234")
@pytest.mark.requirement("R235")
def test_withheld_files_are_left_out_and_told(traited: Any, tree: Path) -> None:
    left_out = {b"plain/file": RESTRICTED, b"gone": RESTRICTED, b"plain/inner": RESTRICTED}
    traited.storage.traits = TreeTraits(left_out=left_out)
    backup = traited.back_up()
    assert b"plain/file" not in backup.paths
    assert b"plain/inner" in backup.paths
    assert [warning for warning in backup.warnings if "left out" in warning] == [
        f"plain/file is left out of the backup: {RESTRICTED}"
    ]


@pytest.mark.requirement("R235")
def test_a_released_file_is_in_the_next_backup_whatever_its_level(traited: Any, tree: Path) -> None:
    traited.storage.traits = TreeTraits(left_out={b"plain/file": RESTRICTED})
    traited.back_up()
    traited.storage.traits = TreeTraits()
    increment = traited.back_up(("LEVEL", "1"))
    assert increment.dumped == {b"", b"plain", b"plain/file"}


@pytest.mark.requirement("R235")
def test_a_level_leaves_a_withheld_file_as_its_base_has_it(traited: Any, tree: Path) -> None:
    first = traited.back_up()
    number = first.paths[b"plain/file"]
    (tree / "plain/file").write_bytes(b"being changed")
    (tree / "plain/other").write_bytes(b"brings the directory")
    traited.storage.traits = TreeTraits(left_out={b"plain/file": RESTRICTED})
    second = traited.back_up(("LEVEL", "1"))
    assert second.paths[b"plain/file"] == number
    assert second.dumped == {b"", b"plain", b"plain/other"}
    assert number in second.map(HeaderType.CLRI)
    assert number not in second.map(HeaderType.BITS)
    traited.storage.traits = TreeTraits()
    third = traited.back_up(("LEVEL", "2"))
    assert third.content(b"plain/file") == b"being changed"
    assert third.paths[b"plain/file"] != number
    assert number not in third.map(HeaderType.CLRI)


@pytest.mark.requirement("R235")
def test_a_withheld_name_of_a_file_with_others_comes_back_with_its_release(
    traited: Any, tree: Path
) -> None:
    (tree / "alias").hardlink_to(tree / "plain/file")
    traited.storage.traits = TreeTraits(left_out={b"plain/file": RESTRICTED})
    assert b"alias" in traited.back_up().paths
    traited.storage.traits = TreeTraits()
    second = traited.back_up(("LEVEL", "1"))
    assert b"plain" in second.dumped
    assert second.paths[b"plain/file"] == second.paths[b"alias"]


@pytest.mark.requirement("R235")
def test_a_level_keeps_a_withheld_name_of_a_file_with_others(traited: Any, tree: Path) -> None:
    (tree / "alias").hardlink_to(tree / "plain/file")
    first = traited.back_up()
    (tree / "plain/other").write_bytes(b"brings the directory")
    traited.storage.traits = TreeTraits(left_out={b"plain/file": RESTRICTED})
    second = traited.back_up(("LEVEL", "1"))
    assert second.paths[b"plain/file"] == first.paths[b"plain/file"]
    traited.storage.traits = TreeTraits()
    third = traited.back_up(("LEVEL", "2"))
    assert b"plain" in third.dumped
    assert third.content(b"plain/file") == b"plain"
    assert third.paths[b"alias"] == third.paths[b"plain/file"]


@pytest.mark.requirement("R235")
def test_a_new_name_of_a_new_file_comes_back_with_its_release(traited: Any, tree: Path) -> None:
    traited.back_up()
    (tree / "plain/new").write_bytes(b"new")
    (tree / "alias").hardlink_to(tree / "plain/new")
    traited.storage.traits = TreeTraits(left_out={b"plain/new": RESTRICTED})
    second = traited.back_up(("LEVEL", "1"))
    assert b"plain/new" not in second.paths
    traited.storage.traits = TreeTraits()
    third = traited.back_up(("LEVEL", "2"))
    assert third.paths[b"plain/new"] == third.paths[b"alias"]


def test_a_withheld_file_stays_left_out_with_exclude(traited: Any, tree: Path) -> None:
    traited.storage.traits = TreeTraits(left_out={b"plain/file": RESTRICTED})
    backup = traited.back_up(("EXCLUDE", "inner"))
    assert not {b"plain/file", b"plain/inner"} & set(backup.paths)
    assert b"q1/file" in backup.paths


@pytest.mark.requirement("R213")
@pytest.mark.requirement("R234")
def test_luns_and_worm_files_go_along_with_their_marks(site: Any, tree: Path) -> None:
    lun, worm = LunMark(serial="abc", is_mapped=True), WormMark(retained_until_s=2_000_000_000)
    (tree / "q1/lun").write_bytes(b"blocks" * 1000)
    mark(tree / "q1/lun", lun)
    mark(tree / "plain/file", worm)
    backup = site.back_up()
    assert backup.content(b"q1/lun") == b"blocks" * 1000
    assert marks_of(backup, b"q1/lun") == [lun]
    assert marks_of(backup, b"plain/file") == [worm]


@pytest.mark.requirement("R237")
def test_the_root_tells_what_the_volume_was(traited: Any, tree: Path) -> None:
    traited.storage.traits = TreeTraits(security_style=SecurityStyle.NTFS, vm_align_sectors=8)
    os.setxattr(tree, "user.own", b"value")
    backup = traited.back_up()
    expected = OriginMark(security_style=SecurityStyle.NTFS, vm_align_sectors=8)
    assert expected in marks_of(backup, b"")
    names = {
        name
        for header, data, _ in backup.objects(2)
        if header.has_attributes
        for name in decode_set(data[: header.size])[0]
    }
    assert "user.own" in names


@pytest.mark.interop
@pytest.mark.skipif(os.geteuid() != 0, reason="only root restores trusted attributes")
@pytest.mark.skipif(shutil.which("restore") is None, reason="Debian's package dump is missing")
def test_debian_restore_reads_marks_and_junctions(traited: Any, tree: Path, tmp_path: Path) -> None:
    mark(tree / "q1/file", LunMark(serial="abc"))
    traited.storage.traits = TreeTraits(
        security_style=SecurityStyle.NTFS,
        junctions={b"plain/inner": b"/vs1/vol2"},
        left_out={b"plain/file": RESTRICTED},
    )
    (tmp_path / "image").write_bytes(traited.back_up().data)
    target = tmp_path / "target"
    target.mkdir()
    said = subprocess.run(
        ["restore", "-x", "-a", "-o", "-T", tmp_path, "-f", tmp_path / "image"],
        cwd=target,
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert not said.stderr.strip(), said.stderr
    assert (target / "plain/inner").readlink() == Path("/vs1/vol2")
    assert (target / "q1/below/deep").read_bytes() == b"deep in a qtree"
    for path, given in ((target / "q2", QtreeMark(id=2, oplocks=False)),
                        (target / "q1/file", LunMark(serial="abc"))):  # fmt: skip
        name, value = Marks().attribute(given)
        assert os.getxattr(path, name) == value
    assert not (target / "plain/file").exists()


def test_a_plain_volume_tells_nothing(site: Any, tree: Path) -> None:
    assert origin_of(TreeTraits()) is None
    assert not any(header.has_attributes for header, _, _ in site.back_up().objects(2))
    assert WHOLE.junctions() == ()


def test_what_is_no_mark_of_the_volume_is_left_out(site: Any, tree: Path) -> None:
    os.setxattr(tree, "user.tapekit.origin", encode_mark(OriginMark(vm_align_sectors=3)))
    (tree / "plain/inner/lun").touch()
    mark(tree / "plain/inner/lun", LunMark(serial="void"))
    os.setxattr(tree / "plain/inner/lun", "user.other", b"value")
    backup = site.back_up()
    assert marks_of(backup, b"") == []
    found = marks_of(backup, b"plain/inner/lun")
    assert [each for each in found if each is not None] == [LunMark(serial="void")]


def test_the_origin_stands_in_one_set_with_all_others() -> None:
    sets = with_origin((), OriginMark(vm_align_sectors=1))
    assert len(sets) == 1
    assert len(with_origin(sets, OriginMark(vm_align_sectors=2))) == 1
