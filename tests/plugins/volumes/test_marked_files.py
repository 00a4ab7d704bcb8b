from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.storage import TreeTraits
from tapekit.marks import AlignMark, LunMark, Mark, Marks, QtreeMark, SnapLock
from tapekit_volumes.marked_files import MarkedFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.plugins.volumes.conftest import Site

IN_TIME = 2_000_000_000


class Marking:
    """The files of a volume that a test marks."""

    def __init__(self, site: Site, **traits: object) -> None:
        self.folder = site.folder / "live"
        self.site = site
        volume = site.storage.volume("/vs1/live")
        self.volume = volume._replace(traits=TreeTraits(**traits))
        self.marks = Marks()
        self.top = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        self.files = MarkedFiles(self.top, self.volume, self.marks)

    def file(self, path: str, content: bytes = b"content") -> Path:
        place = self.folder / path
        place.write_bytes(content)
        return place

    def close(self) -> None:
        os.close(self.top)


class FailingMarks(Marks):  # type: ignore[misc]  # final for the project's own code
    """Marks on a file system that is full."""

    def write(self, target: int, mark: Mark) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def marking(site: Site) -> Iterator[Marking]:
    made = Marking(site, vm_align_sectors=1)
    yield made
    made.close()


def refusal(action: object, *arguments: object) -> str:
    assert callable(action)
    with pytest.raises(TapekitError) as refused:
        action(*arguments)
    return refused.value.id


def test_luns_are_files_at_the_top_of_volume_and_qtree(marking: Marking) -> None:
    marking.file("lun0")
    (marking.folder / "q").mkdir()
    os.setxattr(marking.folder / "q", *marking.marks.attribute(QtreeMark(id=1)))
    marking.file("q/lun1")
    marking.file("inner/no-lun")
    marking.files.set_lun((b"lun0",), LunMark(serial="a"))
    marking.files.set_lun((b"q", b"lun1"), LunMark(serial="b", is_mapped=True))
    assert (
        refusal(marking.files.set_lun, (b"inner", b"no-lun"), LunMark(serial="c"))
        == "volumes.lun-too-deep"
    )
    os.setxattr(marking.folder / "inner/no-lun", *marking.marks.attribute(LunMark(serial="void")))
    assert dict(marking.files.luns()) == {
        b"lun0": LunMark(serial="a"),
        b"q/lun1": LunMark(serial="b", is_mapped=True),
    }
    marking.files.unset_lun((b"lun0",))
    assert refusal(marking.files.lun, (b"lun0",)) == "volumes.no-lun"


def test_only_regular_files_are_marked(marking: Marking) -> None:
    (marking.folder / "link").symlink_to("inner")
    os.mkfifo(marking.folder / "fifo")
    for parts in ((b"inner",), (b"fifo",), ()):
        assert refusal(marking.files.align, parts) == "volumes.no-regular-file"
    for parts in ((b"link",), (b"missing",)):
        assert refusal(marking.files.align, parts) == "volumes.marking-failed"


def test_files_are_aligned_where_the_volume_aligns(site: Site, marking: Marking) -> None:
    place = marking.file("machine")
    marking.files.align((b"machine",))
    fd = os.open(place, os.O_RDONLY)
    assert marking.marks.read(fd, AlignMark) == AlignMark(sectors=1)
    os.close(fd)
    other = Marking(site)
    assert refusal(other.files.align, (b"machine",)) == "volumes.volume-not-aligning"
    other.close()


def test_nothing_is_committed_on_a_plain_volume(marking: Marking) -> None:
    marking.file("kept")
    assert refusal(marking.files.commit, (b"kept",), IN_TIME) == "volumes.no-snaplock-volume"
    assert refusal(marking.files.let_go, (b"kept",), 0) == "volumes.no-snaplock-volume"


@pytest.fixture
def worm(site: Site, request: pytest.FixtureRequest) -> Iterator[Marking]:
    made = Marking(site, snaplock=request.param)
    made.file("kept")
    try:
        made.files.commit((b"kept",), IN_TIME)
    except TapekitError as error:
        assert refusal(made.files.worm, (b"kept",)) == "volumes.no-worm-file"
        assert (made.folder / "kept").stat().st_mode & 0o200
        made.close()
        pytest.skip(f"files cannot be made immutable here: {error}")
    yield made
    MarkedFiles(made.top, made.volume, made.marks).let_go((b"kept",), IN_TIME)
    made.close()


@pytest.mark.requirement("R213")
@pytest.mark.parametrize("worm", [SnapLock.COMPLIANCE], indirect=True)
def test_a_committed_file_cannot_be_changed_before_its_time(worm: Marking) -> None:
    place = worm.folder / "kept"
    with pytest.raises(PermissionError) as refused:
        place.unlink()
    assert refused.value.errno == errno.EPERM
    status = place.stat()
    assert status.st_atime == IN_TIME
    assert not status.st_mode & 0o222
    assert worm.files.worm((b"kept",)).retained_until_s == IN_TIME
    assert refusal(worm.files.let_go, (b"kept",), IN_TIME - 1) == "volumes.file-retained"
    assert refusal(worm.files.commit, (b"kept",), IN_TIME - 1) == "volumes.retention-shortened"
    worm.files.commit((b"kept",), IN_TIME)


@pytest.mark.requirement("R213")
@pytest.mark.parametrize("worm", [SnapLock.COMPLIANCE], indirect=True)
def test_a_retention_that_cannot_be_prolonged_stays(worm: Marking) -> None:
    failing = MarkedFiles(worm.top, worm.volume, FailingMarks())
    assert refusal(failing.commit, (b"kept",), IN_TIME + 1) == "volumes.marking-failed"
    with pytest.raises(PermissionError):
        (worm.folder / "kept").unlink()
    assert worm.files.worm((b"kept",)).retained_until_s == IN_TIME


@pytest.mark.parametrize("worm", [SnapLock.ENTERPRISE], indirect=True)
def test_an_enterprise_volume_lets_go_of_files_early(worm: Marking) -> None:
    worm.files.let_go((b"kept",), 0)
    (worm.folder / "kept").write_bytes(b"changed")
    assert refusal(worm.files.worm, (b"kept",)) == "volumes.no-worm-file"
    worm.files.commit((b"kept",), IN_TIME)
