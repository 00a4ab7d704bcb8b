"""Changes between Snapshot copies that are easily taken for none, and files
whose blocks lie oddly: what comes back is compared byte by byte.
"""

from __future__ import annotations

import ctypes
import os
import random
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.plugins.smtape.backup_site import SOURCE, TARGET, BackupSite, InterruptedServices
from tests.plugins.smtape.test_backup_shares import BLOCK, clone

from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import VolumeState
from tapekit.testing import MemorySink
from tapekit.testing.memory_connection import MemoryRanges
from tapekit_smtape.backup_extents import extents_of
from tapekit_smtape.backup_index import CopyIndex, Signature
from tapekit_trees.btrfs import make_subvolume, mounted_btrfs
from tapekit_trees.comparing import compare_trees

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEEP_SIZE = 1
PUNCH_HOLE = 2
ZERO_RANGE = 0x10
MANY_EXTENTS = 300
SECOND_NS = 10**9


def fallocate(path: Path, mode: int, offset: int, length: int) -> None:
    """``fallocate(2)``, which Python has without modes."""
    call = ctypes.CDLL(None, use_errno=True).fallocate
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    with path.open("r+b") as file:
        if call(file.fileno(), mode, offset, length):
            pytest.skip(f"no fallocate here: {os.strerror(ctypes.get_errno())}")


@pytest.fixture(params=["copy", "btrfs"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[BackupSite]:
    if request.param == "copy":
        made = BackupSite(tmp_path)
        yield made
        made.close()
        return
    with mounted_btrfs(tmp_path) as place:
        for name in ("source", "target"):
            make_subvolume(place / name)
        made = BackupSite(place, "btrfs")
        yield made
        made.close()


def assert_same(site: BackupSite) -> None:
    assert compare_trees(site.source, site.target, mtime_granularity_ns=1) == []


def test_files_of_odd_shapes_and_what_becomes_of_them(site: BackupSite) -> None:
    chance, top = random.Random(7), site.source
    for size in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 8 * BLOCK - 1, 8 * BLOCK, 8 * BLOCK + 1):
        (top / f"size{size}").write_bytes(chance.randbytes(size))
    for name in ("punched", "zeroed", "reserved", "grown", "cut", "cut and grown"):
        (top / name).write_bytes(chance.randbytes(20 * BLOCK + 77))
    fallocate(top / "reserved", KEEP_SIZE, 30 * BLOCK, 10 * BLOCK)
    with (top / "sparse").open("wb") as file:
        for offset in (5, 1 << 32, (1 << 43) - 9):
            os.pwrite(file.fileno(), b"far away", offset)
    (top / os.fsdecode(bytes([255, 10, 9, 92, 39]))).write_bytes(b"any bytes")
    baseline = site.back_up()
    site.restore(baseline)
    assert_same(site)

    for path in sorted(top.glob("size*")):
        with path.open("ab") as file:
            file.write(chance.randbytes(chance.choice([1, BLOCK - 1, BLOCK, 3000])))
    fallocate(top / "punched", KEEP_SIZE | PUNCH_HOLE, 3 * BLOCK + 1, 9 * BLOCK)
    fallocate(top / "punched", KEEP_SIZE | PUNCH_HOLE, 18 * BLOCK, 3 * BLOCK)
    fallocate(top / "zeroed", ZERO_RANGE, 2 * BLOCK + 9, 15 * BLOCK)
    with (top / "reserved").open("r+b") as file:
        os.pwrite(file.fileno(), b"used now", 35 * BLOCK - 3)
    os.truncate(top / "grown", 50 * BLOCK + 3)
    os.truncate(top / "cut", 2 * BLOCK + 3)
    os.truncate(top / "cut and grown", 2 * BLOCK + 3)
    os.truncate(top / "cut and grown", 20 * BLOCK + 99)
    with (top / "sparse").open("r+b") as file:
        os.pwrite(file.fileno(), b"in between", 1 << 40)
    site.take("changed")
    site.restore(site.increment(baseline, "changed"))
    assert_same(site)


def test_names_that_change_places(site: BackupSite) -> None:
    top = site.source
    for name in ("one", "two/below", "three"):
        (top / name).mkdir(parents=True)
        (top / name / "file").write_text(name)
    (top / "linked").write_text("linked")
    (top / "linked again").hardlink_to(top / "linked")
    baseline = site.back_up()
    site.restore(baseline)

    (top / "one").rename(top / "aside")
    (top / "two").rename(top / "one")
    (top / "aside").rename(top / "two")
    (top / "one/below").rename(top / "below")
    (top / "one").rename(top / "below/one")
    (top / "linked").unlink()
    (top / "linked").write_text("another")
    (top / "third link").hardlink_to(top / "linked again")
    (top / "three/file").unlink()
    (top / "three").rmdir()
    for number in range(20):
        # File systems give numbers that are free to the next objects.
        (top / f"new{number}").mkdir()
        (top / f"new{number}/file").symlink_to("elsewhere")
    site.take("changed")
    second = site.increment(baseline, "changed")
    site.restore(second)
    assert_same(site)

    for number in range(20):
        (top / f"new{number}/file").unlink()
        (top / f"new{number}").rmdir()
        os.mkfifo(top / f"new{number}")
    site.take("changed_again")
    site.restore(site.increment(second, "changed_again"))
    assert_same(site)


@pytest.mark.requirement("R290")
def test_files_of_many_shared_extents_stay_shared(tmp_path: Path) -> None:
    with mounted_btrfs(tmp_path) as place:
        for name in ("source", "target"):
            make_subvolume(place / name)
        site, chance = BackupSite(place, "btrfs"), random.Random(3)
        first, second = site.source / "first", site.source / "second"
        first.write_bytes(chance.randbytes(2 * MANY_EXTENTS * BLOCK))
        second.touch()
        with first.open("rb") as one, second.open("r+b") as other:
            for number in range(MANY_EXTENTS):
                assert clone(
                    one.fileno(), other.fileno(), 2 * number * BLOCK, BLOCK, number * BLOCK
                )
        image = site.back_up()
        assert len(image.data) < 2.1 * MANY_EXTENTS * BLOCK
        site.restore(image)
        assert_same(site)
        with (site.target / "second").open("rb") as restored:
            extents = extents_of(restored.fileno())
        assert len(extents) == MANY_EXTENTS
        assert all(extent.is_shared for extent in extents)
        site.close()


def test_a_change_in_the_clock_step_of_the_copy_is_doubted() -> None:
    index = CopyIndex(None)
    now = 1_700_000_000 * SECOND_NS
    early = Signature(0o100644, now - 2 * SECOND_NS, now, 5)
    late = Signature(0o100644, now, now, 5)
    index.add_object(1, early)
    index.add_object(2, late)
    index.step()
    assert index.is_as_before(index.before(1), early)
    assert not index.is_as_before(index.before(2), late)
    assert not index.is_as_before(None, early)
    index.close()


FAILURES = pytest.mark.parametrize(
    ("failure", "message"),
    [(MemoryError(), "Failed to allocate memory"), (ZeroDivisionError(), "Internal assertion")],
)


@pytest.mark.requirement("R350")
@pytest.mark.requirement("R362")
@FAILURES
def test_a_restore_that_fails_by_itself_tells_so(
    tmp_path: Path, failure: Exception, message: str
) -> None:
    site = BackupSite(tmp_path)
    (site.source / "file").write_text("content")
    image = site.back_up()

    def fail() -> None:
        raise failure

    site.set_state(VolumeState.RESTRICTED, TARGET)
    pairs = (("FILESYSTEM", TARGET), ("VERBOSE", "Y"))
    services = InterruptedServices("Restored Snapshot copy", fail)
    with closing(site.engine.prepare_recover(pairs, (), "session 2")) as job:
        with pytest.raises(TapekitError, match=message):
            job.run(MemoryRanges(image.data), services)
        assert services.texts[-1] == f"{TARGET}: not restored, and stays restricted"
    site.restore(image)
    assert_same(site)
    site.close()


@pytest.mark.requirement("R350")
@pytest.mark.requirement("R362")
@FAILURES
def test_a_backup_that_fails_by_itself_tells_so(
    tmp_path: Path, failure: Exception, message: str
) -> None:
    site = BackupSite(tmp_path)

    def fail() -> None:
        raise failure

    pairs = (("FILESYSTEM", SOURCE), ("VERBOSE", "Y"))
    services = InterruptedServices("Backed up", fail)
    job = site.engine.prepare_backup(pairs, "session 1")
    with closing(job), pytest.raises(TapekitError, match=message):
        job.run(MemorySink(), services)
    assert site.copies() == []
    site.close()
