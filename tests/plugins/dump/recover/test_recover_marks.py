"""What qtrees, LUNs, WORM files and permissions are where they are restored to."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.plugins.dump.recover.conftest import (
    FILESYSTEM,
    FolderStorage,
    MemoryKernel,
    Outcome,
    selection_of,
)
from tests.plugins.dump.recover.direct_site import DirectSite

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import FileResult, LogLevel
from tapekit.hookspecs.environment import Environment
from tapekit.hookspecs.storage import TreeTraits
from tapekit.marks import (
    AlignMark,
    LunMark,
    Mark,
    Marks,
    OriginMark,
    QtreeMark,
    SecurityStyle,
    SnapLock,
    WormMark,
)
from tapekit.testing.memory_connection import MemoryRanges, MemorySource
from tapekit.testing.memory_services import MemoryServices
from tapekit_dump.attributes import encode_sets
from tapekit_dump.nt_acl import NT_ACL, NtAcl, default_nt_acl, encode_nt_acl
from tapekit_dump.recover_job import DEFAULTS, prepare
from tapekit_dump.recover_marks import DestinationVolume, is_lun
from tapekit_dump.security_descriptor import SecurityDescriptor
from tapekit_dump.variables import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit.hookspecs.data_engine import Selection

MARKS = Marks()
LATER = 2_000_000_000
NT_ACL_VALUE = encode_nt_acl(
    default_nt_acl(NtAcl(1, b"", SecurityDescriptor(0, None, None, None, None)))
)
LUN = LunMark(serial="abc", is_mapped=True)


def blob(*marks: Mark, prefix: str = MARKS.prefix, **others: bytes) -> bytes:
    """A set of marks and other attributes."""
    found = dict(Marks(prefix).attribute(mark) for mark in marks)
    found.update({name.replace("_", ".", 1): value for name, value in others.items()})
    ((only,), unfit) = encode_sets(found, directory=True)
    assert not unfit
    return only


def mark_on(place: Path, kind: type[Mark]) -> Any:
    fd = os.open(place, os.O_RDONLY)
    try:
        return MARKS.read(fd, kind)
    finally:
        os.close(fd)


def put(place: Path, mark: Mark) -> None:
    os.setxattr(place, *MARKS.attribute(mark))


class Restoring:
    """Restores streams to a folder with the traits of a volume."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = FolderStorage(folder)

    def traits(self, **traits: Any) -> None:
        self.storage.traits = TreeTraits(**traits)

    def __call__(
        self,
        data: bytes,
        *selections: Selection,
        environment: Sequence[tuple[str, str]] = FILESYSTEM,
    ) -> Outcome:
        kernel, services = MemoryKernel(self.storage), MemoryServices()
        ranges = MemoryRanges(data, lambda _, part: MemorySource(part))
        options = DEFAULTS._replace(sync_at_end=False)
        job = prepare(Environment(VARIABLES, environment), selections, "tests", kernel, options)
        error = None
        try:
            job.run(ranges, services)
        except TapekitError as raised:
            error = raised
        finally:
            job.close()
        messages, results = services.messages, services.results
        return Outcome(self.folder, error, messages, results, kernel, ranges, job)


@pytest.fixture
def restoring(folder: Path) -> Iterator[Restoring]:
    yield Restoring(folder)
    if (folder / "kept").exists():
        let_go(folder / "kept")


def let_go(path: Path) -> None:
    """Make a file changeable again, so that it can be removed."""
    fd = os.open(path, os.O_RDONLY)
    try:
        word = bytearray(8)
        fcntl.ioctl(fd, 0x80086601, word)
        (present,) = struct.unpack("=I4x", word)
        fcntl.ioctl(fd, 0x40086602, struct.pack("=I4x", present & ~0x10))
    finally:
        os.close(fd)


QTREE = QtreeMark(id=3, oplocks=False)


def with_qtree(dump: Any, mark: Mark = QTREE) -> Any:
    """A qtree with a LUN in it, a directory with another, and one at the top."""
    return (
        dump()
        .begin()
        .directory(2, [(b"q", 3), (b"d", 4), (b"lun", 6)])
        .directory(3, [(b"lun", 7), (b"sub", 5)])
        .attributes(3, blob(mark, user_own=b"x"))
        .directory(4, [(b"lun", 8)])
        .directory(5, [(b"lun", 9)], parent=3)
        .file(6, b"at the top")
        .attributes(6, blob(LUN))
        .file(7, b"in a qtree")
        .attributes(7, blob(LUN))
        .file(8, b"in a directory")
        .attributes(8, blob(LUN))
        .file(9, b"deep in a qtree")
        .attributes(9, blob(LUN))
        .end()
    )


@pytest.mark.requirement("R250")
@pytest.mark.requirement("R253")
@pytest.mark.requirement("R254")
def test_qtrees_and_luns_come_back_at_the_top_of_a_volume(dump: Any, restoring: Restoring) -> None:
    outcome = restoring(with_qtree(dump))
    assert outcome.error is None
    folder = restoring.folder
    assert mark_on(folder / "q", QtreeMark) == QtreeMark(id=3, oplocks=False)
    assert os.getxattr(folder / "q", "user.own") == b"x"
    assert mark_on(folder / "d", QtreeMark) is None
    assert mark_on(folder / "lun", LunMark) == LUN
    assert mark_on(folder / "q/lun", LunMark) == LUN
    assert mark_on(folder / "d/lun", LunMark) is None
    assert mark_on(folder / "q/sub/lun", LunMark) is None
    assert (folder / "d/lun").read_bytes() == b"in a directory"


@pytest.mark.requirement("R253")
@pytest.mark.requirement("R254")
def test_below_a_directory_qtrees_and_luns_are_ordinary(dump: Any, restoring: Restoring) -> None:
    data = with_qtree(dump)
    outcome = restoring(data, environment=[("FILESYSTEM", "/vs1/vol1/subdir/lowerdir")])
    assert outcome.error is None
    below = restoring.folder / "subdir/lowerdir"
    assert mark_on(below / "q", QtreeMark) is None
    assert os.getxattr(below / "q", "user.own") == b"x"
    for path in ("lun", "q/lun", "d/lun"):
        assert mark_on(below / path, LunMark) is None
        assert (below / path).stat().st_size


@pytest.mark.requirement("R253")
def test_a_qtree_can_get_another_name_at_the_top(dump: Any, restoring: Restoring) -> None:
    outcome = restoring(with_qtree(dump), selection_of("/q", "/vs1/vol1/renamed"))
    assert outcome.error is None
    assert mark_on(restoring.folder / "renamed", QtreeMark) == QtreeMark(id=3, oplocks=False)
    assert mark_on(restoring.folder / "renamed/lun", LunMark) == LUN


@pytest.mark.requirement("R253")
def test_the_backup_of_a_qtree_is_a_qtree_where_it_becomes_one(
    dump: Any, restoring: Restoring
) -> None:
    data = (
        dump().begin().directory(2, [(b"f", 3)]).attributes(2, blob(QtreeMark(id=9)))
        .file(3, b"content").end()
    )  # fmt: skip
    assert restoring(data, environment=[("FILESYSTEM", "/vs1/vol1/new")]).error is None
    assert mark_on(restoring.folder / "new", QtreeMark) == QtreeMark(id=9)
    assert restoring(data, environment=[("FILESYSTEM", "/vs1/vol1")]).error is None
    assert mark_on(restoring.folder, QtreeMark) is None
    assert (restoring.folder / "f").read_bytes() == b"content"


@pytest.mark.requirement("R141")
def test_qtree_information_can_be_left_out(dump: Any, restoring: Restoring) -> None:
    outcome = restoring(with_qtree(dump), environment=(*FILESYSTEM, ("IGNORE_QTREES", "Y")))
    assert outcome.error is None
    assert mark_on(restoring.folder / "q", QtreeMark) is None
    assert mark_on(restoring.folder / "q/lun", LunMark) is None
    assert mark_on(restoring.folder / "lun", LunMark) == LUN
    assert os.getxattr(restoring.folder / "q", "user.own") == b"x"


@pytest.mark.requirement("R144")
def test_qtrees_are_listed_and_nothing_is_restored(dump: Any, restoring: Restoring) -> None:
    outcome = restoring(with_qtree(dump), environment=(*FILESYSTEM, ("LIST_QTREES", "Y")))
    assert outcome.told(LogLevel.NORMAL) == [
        "         3  /q  security style unix, oplocks disabled, status normal",
        "1 qtrees; nothing has been restored",
    ]
    assert list(restoring.folder.iterdir()) == []


def test_numbers_of_qtrees_stay_unique(dump: Any, restoring: Restoring) -> None:
    for name, number in (("there", 3), ("other", 1)):
        (restoring.folder / name).mkdir()
        put(restoring.folder / name, QtreeMark(id=number))
    assert restoring(with_qtree(dump)).error is None
    assert mark_on(restoring.folder / "q", QtreeMark).id == 2
    assert restoring(with_qtree(dump, QtreeMark(id=1))).error is None
    assert mark_on(restoring.folder / "q", QtreeMark) == QtreeMark(id=2)


@pytest.mark.parametrize("spare", [0, 1])
def test_only_a_free_number_makes_a_qtree(dump: Any, restoring: Restoring, spare: int) -> None:
    for number in range(1, 4995 - spare):
        (restoring.folder / f"present{number}").mkdir()
        put(restoring.folder / f"present{number}", QtreeMark(id=number))
    outcome = restoring(with_qtree(dump))
    assert outcome.error is None
    assert (mark_on(restoring.folder / "q", QtreeMark) is None) is not bool(spare)
    assert len(outcome.told(LogLevel.WARNING)) == 1 - spare


def test_marks_of_the_other_namespace_are_understood(dump: Any, restoring: Restoring) -> None:
    data = (
        dump().begin().directory(2, [(b"q", 3)]).directory(3)
        .attributes(3, blob(QtreeMark(id=4), prefix="user.tapekit.")).end()
    )  # fmt: skip
    assert restoring(data).error is None
    assert mark_on(restoring.folder / "q", QtreeMark) == QtreeMark(id=4)


def test_what_is_no_mark_is_told_and_left_out(dump: Any, restoring: Restoring) -> None:
    data = (
        dump().begin().directory(2, [(b"q", 3)]).directory(3)
        .attributes(3, blob(user_tapekit=b"", **{"user_tapekit.qtree": b"?"})).end()
    )  # fmt: skip
    outcome = restoring(data)
    assert outcome.error is None
    expected = "/vs1/vol1/q: the attribute user.tapekit.qtree is not a mark"
    assert any(expected in warning for warning in outcome.told(LogLevel.WARNING))
    assert "user.tapekit.qtree" not in os.listxattr(restoring.folder / "q")


def test_a_mark_beside_what_is_damaged_is_judged_like_others(
    dump: Any, restoring: Restoring
) -> None:
    whole = blob(LUN, user_own=b"kept", trusted_odd=b"")
    damaged = whole.replace(b"odd", b"o\0d")
    assert damaged != whole
    data = (
        dump().begin().directory(2, [(b"d", 3)]).directory(3, [(b"lun", 4)])
        .file(4, b"deep").attributes(4, damaged).end()
    )  # fmt: skip
    outcome = restoring(data)
    assert outcome.error is None
    place = restoring.folder / "d/lun"
    assert mark_on(place, LunMark) is None
    assert os.getxattr(place, "user.own") == b"kept"
    (warning,) = outcome.told(LogLevel.WARNING)
    assert "/vs1/vol1/d/lun: some extended attributes are lost" in warning


@pytest.mark.requirement("R339")
@pytest.mark.parametrize("target", ["/vs1/vol1/q", "/vs1/vol1/q/below"])
def test_nothing_goes_into_a_read_only_qtree(dump: Any, restoring: Restoring, target: str) -> None:
    (restoring.folder / "q").mkdir()
    put(restoring.folder / "q", QtreeMark(id=1, is_read_only=True))
    with pytest.raises(TapekitError) as refused:
        restoring(with_qtree(dump), environment=[("FILESYSTEM", target)])
    assert str(refused.value) == "Destination qtree is read-only"
    assert list((restoring.folder / "q").iterdir()) == []


@pytest.mark.requirement("R339")
def test_a_read_only_qtree_is_spared_and_the_rest_comes_back(
    dump: Any, restoring: Restoring
) -> None:
    (restoring.folder / "q").mkdir()
    put(restoring.folder / "q", QtreeMark(id=1, is_read_only=True))
    outcome = restoring(with_qtree(dump))
    assert outcome.told() == ["Destination qtree is read-only"]
    assert outcome.error is not None
    assert list((restoring.folder / "q").iterdir()) == []
    assert (restoring.folder / "d/lun").read_bytes() == b"in a directory"


@pytest.mark.requirement("R343")
@pytest.mark.parametrize("path", ["lun", "q/lun"])
def test_a_direct_restore_does_not_take_the_name_of_a_lun(
    dump: Any, restoring: Restoring, path: str
) -> None:
    (restoring.folder / "q").mkdir()
    put(restoring.folder / "q", QtreeMark(id=1))
    (restoring.folder / path).write_bytes(b"blocks")
    put(restoring.folder / path, LUN)
    selected = selection_of("/d/lun", f"/vs1/vol1/{path}", position=1024)
    outcome = restoring(with_qtree(dump), selected, environment=(*FILESYSTEM, ("DIRECT", "Y")))
    assert outcome.told() == ["Restore of the file lun failed"]
    assert outcome.results == [("/d/lun", FileResult.FILE_PATH_EXISTS)]
    assert outcome.error is not None
    assert (restoring.folder / path).read_bytes() == b"blocks"


@pytest.mark.requirement("R255")
def test_a_lun_is_replaced_by_one_that_is_restored(dump: Any, restoring: Restoring) -> None:
    (lun := restoring.folder / "lun").write_bytes(b"blocks")
    put(lun, LunMark(serial="before", is_mapped=True))
    outcome = restoring(with_qtree(dump))
    assert (outcome.error, lun.read_bytes(), mark_on(lun, LunMark)) == (None, b"at the top", LUN)
    assert "/lun is restored, and was mapped to hosts" in str(outcome.messages)


def test_only_a_marked_file_in_its_place_is_a_lun(folder: Path) -> None:
    (folder / "d").mkdir()
    for name in ("file", "d/lun"):
        (folder / name).touch()
    put(folder / "d/lun", LUN)
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    volume = DestinationVolume(top, TreeTraits())
    assert not is_lun(volume, (b"file",))
    assert not is_lun(volume, (b"d", b"lun"))
    put(folder / "d", QtreeMark(id=1))
    assert is_lun(volume, (b"d", b"lun"))
    assert not is_lun(volume, (b"d", b"lun", b"below"))
    os.close(top)


def with_worm(dump: Any, until_s: int = LATER) -> Any:
    return (
        dump().begin().directory(2, [(b"kept", 3)])
        .file(3, b"record", 0o444, atime_s=until_s)
        .attributes(3, blob(WormMark(retained_until_s=until_s))).end()
    )  # fmt: skip


@pytest.mark.requirement("R213")
@pytest.mark.parametrize("kind", [SnapLock.ENTERPRISE, SnapLock.COMPLIANCE])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files immutable")
def test_worm_files_bind_on_a_snaplock_volume(
    dump: Any, restoring: Restoring, kind: SnapLock
) -> None:
    restoring.traits(snaplock=kind)
    outcome = restoring(with_worm(dump))
    assert outcome.error is None
    if outcome.told(LogLevel.WARNING):
        pytest.skip("files cannot be made immutable here")
    with pytest.raises(PermissionError):
        (restoring.folder / "kept").unlink()
    assert (restoring.folder / "kept").stat().st_atime == LATER


@pytest.mark.requirement("R213")
def test_elsewhere_worm_marks_are_kept_and_bind_nobody(dump: Any, restoring: Restoring) -> None:
    assert restoring(with_worm(dump)).error is None
    assert mark_on(restoring.folder / "kept", WormMark) == WormMark(retained_until_s=LATER)
    (restoring.folder / "kept").unlink()


@pytest.mark.requirement("R213")
def test_a_retention_that_has_ended_binds_nobody(dump: Any, restoring: Restoring) -> None:
    restoring.traits(snaplock=SnapLock.COMPLIANCE)
    assert restoring(with_worm(dump, 1_000_000_000)).error is None
    (restoring.folder / "kept").unlink()


@pytest.mark.requirement("R256")
@pytest.mark.parametrize(("sectors", "mark"), [(0, None), (7, AlignMark(sectors=7))])
def test_alignment_is_that_of_the_destination(
    dump: Any, restoring: Restoring, sectors: int, mark: Mark | None
) -> None:
    restoring.traits(vm_align_sectors=sectors)
    data = (
        dump().begin().directory(2, [(b"machine", 3)]).file(3, b"content")
        .attributes(3, blob(AlignMark(sectors=1))).end()
    )  # fmt: skip
    assert restoring(data).error is None
    assert mark_on(restoring.folder / "machine", AlignMark) == mark


@pytest.mark.requirement("R233")
def test_a_link_for_a_volume_that_is_mounted_there_is_not_made(
    dump: Any, restoring: Restoring
) -> None:
    data = (
        dump().begin().directory(2, [(b"mounted", 3), (b"elsewhere", 4)])
        .object(3, stat.S_IFLNK | 0o777, b"/vs1/vol2")
        .object(4, stat.S_IFLNK | 0o777, b"/vs1/vol3").end()
    )  # fmt: skip
    (restoring.folder / "mounted").mkdir()
    restoring.traits(junctions={b"mounted": b"/vs1/vol2"})
    assert restoring(data).error is None
    assert (restoring.folder / "mounted").is_dir()
    assert (restoring.folder / "elsewhere").readlink() == Path("/vs1/vol3")


# Security styles


@pytest.mark.requirement("R233")
def test_a_directory_does_not_go_into_a_volume_that_is_mounted_there(
    dump: Any, restoring: Restoring
) -> None:
    (restoring.folder / "plain/mounted").mkdir(parents=True)
    restoring.traits(junctions={b"plain/mounted": b"/vs1/vol2"})
    data = (
        dump().begin().directory(2, [(b"plain", 3)]).directory(3, [(b"mounted", 4), (b"own", 6)])
        .directory(4, [(b"file", 5)], parent=3).file(5, b"astray").file(6, b"own").end()
    )  # fmt: skip
    outcome = restoring(data)
    assert not list((restoring.folder / "plain/mounted").iterdir())
    assert (restoring.folder / "plain/own").read_bytes() == b"own"
    expected = "/vs1/vol1/plain/mounted is not restored: another volume is mounted there"
    assert expected in outcome.told(LogLevel.ERROR)[0]


@pytest.mark.requirement("R233")
@pytest.mark.parametrize("below", ["", "/deeper"])
def test_no_target_leads_into_a_volume_that_is_mounted_there(
    dump: Any, restoring: Restoring, below: str
) -> None:
    restoring.traits(junctions={b"mounted": b"/vs1/vol2"})
    data = dump().begin().directory(2, [(b"file", 3)]).file(3, b"astray").end()
    with pytest.raises(TapekitError) as refused:
        restoring(data, environment=[("FILESYSTEM", f"/vs1/vol1/mounted{below}")])
    assert refused.value.id == "dump.volume-mounted-there"


def nt_sets() -> bytes:
    ((only,), _) = encode_sets({NT_ACL: NT_ACL_VALUE}, directory=True)
    return only


def with_nt_acl(dump: Any, *marks_of_root: Mark, qtree: Mark | None = None) -> Any:
    """A directory and files with and without NT ACLs, as of a volume."""
    made = dump().begin().directory(2, [(b"d", 3), (b"unix", 5)])
    if marks_of_root:
        made.attributes(2, blob(*marks_of_root))
    made.directory(3, [(b"nt", 4)], mode=0o777)
    if qtree is not None:
        made.attributes(3, blob(qtree))
    return (
        made.file(4, b"of windows", 0o700).attributes(4, nt_sets())
        .file(5, b"of unix", 0o640).end()
    )  # fmt: skip


NTFS = OriginMark(security_style=SecurityStyle.NTFS)


def permissions(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def has_nt_acl(path: Path) -> bool:
    return NT_ACL in os.listxattr(path)


@pytest.mark.requirement("R236")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can set security attributes")
def test_nt_permissions_become_the_default_of_a_unix_volume(
    dump: Any, restoring: Restoring
) -> None:
    restoring.traits(unix_permissions=0o751)
    outcome = restoring(with_nt_acl(dump, NTFS))
    assert outcome.error is None
    assert permissions(restoring.folder / "d/nt") == 0o640
    assert not has_nt_acl(restoring.folder / "d/nt")
    assert permissions(restoring.folder / "unix") == 0o640
    assert [text for text in outcome.told(LogLevel.WARNING) if "/d/nt" in text]
    assert not any("origin" in name for name in os.listxattr(restoring.folder))


@pytest.mark.requirement("R236")
@pytest.mark.requirement("R251")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can set security attributes")
@pytest.mark.parametrize("style", [SecurityStyle.NTFS, SecurityStyle.MIXED])
def test_all_other_permissions_stay(dump: Any, restoring: Restoring, style: SecurityStyle) -> None:
    restoring.traits(security_style=style)
    assert restoring(with_nt_acl(dump, NTFS)).error is None
    assert permissions(restoring.folder / "d/nt") == 0o700
    assert has_nt_acl(restoring.folder / "d/nt")
    assert permissions(restoring.folder / "unix") == 0o640
    assert not has_nt_acl(restoring.folder / "unix")


@pytest.mark.requirement("R236")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can set security attributes")
def test_a_backup_that_tells_no_style_keeps_its_permissions(
    dump: Any, restoring: Restoring
) -> None:
    assert restoring(with_nt_acl(dump)).error is None
    assert permissions(restoring.folder / "d/nt") == 0o700
    assert has_nt_acl(restoring.folder / "d/nt")


@pytest.mark.requirement("R236")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can set security attributes")
@pytest.mark.parametrize(("ignore", "keeps"), [("N", True), ("Y", False)])
def test_the_style_of_a_qtree_counts_in_it(
    dump: Any, restoring: Restoring, ignore: str, keeps: bool
) -> None:
    qtree = QtreeMark(id=1, security_style=SecurityStyle.NTFS)
    environment = (*FILESYSTEM, ("IGNORE_QTREES", ignore))
    outcome = restoring(with_nt_acl(dump, qtree=qtree), environment=environment)
    assert outcome.error is None
    assert has_nt_acl(restoring.folder / "d/nt") is keeps
    assert permissions(restoring.folder / "d/nt") == (0o700 if keeps else 0o644)


@pytest.mark.requirement("R236")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can set security attributes")
def test_the_style_of_a_qtree_that_is_there_counts(dump: Any, restoring: Restoring) -> None:
    (restoring.folder / "nt").mkdir()
    put(restoring.folder / "nt", QtreeMark(id=1, security_style=SecurityStyle.NTFS))
    data = with_nt_acl(dump, NTFS)
    assert restoring(data, selection_of("/d/nt", "/vs1/vol1/nt/file")).error is None
    assert has_nt_acl(restoring.folder / "nt/file")
    assert restoring(data, selection_of("/d/nt", "/vs1/vol1/file")).error is None
    assert not has_nt_acl(restoring.folder / "file")


def test_only_the_root_tells_where_a_backup_is_from(dump: Any, restoring: Restoring) -> None:
    data = (
        dump().begin().directory(2, [(b"d", 3)])
        .directory(3, [(b"nt", 4)]).attributes(3, blob(NTFS))
        .file(4, b"of windows", 0o700).attributes(4, nt_sets()).end()
    )  # fmt: skip
    assert restoring(data).error is None
    assert permissions(restoring.folder / "d/nt") == 0o700
    assert not any("origin" in name for name in os.listxattr(restoring.folder / "d"))


# Direct access


@pytest.fixture
def direct(site: Any, volume: Path) -> DirectSite:
    """A backup of a qtree with a LUN and of a directory with a marked file."""
    for number, name in enumerate(("q", "d"), start=1):
        (volume / name / "sub").mkdir(parents=True)
        for path in ("lun", "sub/lun"):
            (volume / name / path).write_bytes(b"blocks" * 100_000)
            put(volume / name / path, LUN)
        put(volume / name, QtreeMark(id=number))
    return DirectSite(site)


@pytest.mark.requirement("R253")
@pytest.mark.requirement("R254")
@pytest.mark.parametrize(
    ("target", "is_qtree"), [("new", True), ("new/below", False), ("made/on/the/way", False)]
)
def test_a_qtree_is_restored_directly(direct: DirectSite, target: str, is_qtree: bool) -> None:
    selected = direct.select("q", f"/vs1/vol1/{target}")
    outcome = direct.restore([selected], ENHANCED_DAR_ENABLED="Y")
    assert outcome.error is None
    assert outcome.told() == []
    place = direct.site.volume / target
    assert mark_on(place, QtreeMark) == (QtreeMark(id=3) if is_qtree else None)
    assert mark_on(place / "lun", LunMark) == (LUN if is_qtree else None)
    assert mark_on(place / "sub/lun", LunMark) is None
    assert (place / "sub/lun").stat().st_size == 600_000


@pytest.mark.requirement("R254")
def test_a_lun_is_restored_directly_with_the_directories_on_its_way(direct: DirectSite) -> None:
    selected = direct.select("q/lun", "/vs1/vol1/back/q/lun")
    full = direct.restore([selected], ENHANCED_DAR_ENABLED="Y", RECOVER_FULL_PATHS="Y")
    assert full.error is None
    assert mark_on(direct.back / "q/lun", LunMark) is None
    named = direct.restore([direct.select("q/lun", "/vs1/vol1/another")])
    assert named.error is None
    assert mark_on(direct.site.volume / "another", LunMark) == LUN
