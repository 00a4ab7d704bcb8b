"""Whether a whole backup fits, looked at before anything is made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit_dump.recover_room import check_inodes, check_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HERE = ("FILESYSTEM", "/vs1/vol1")
RESERVE = 100 * 1000 * 1000


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.requirement("R263")
@pytest.mark.requirement("R264")
def test_space_includes_a_reserve(descriptor: int) -> None:
    status = os.fstatvfs(descriptor)
    free = status.f_bavail * status.f_frsize
    check_space(descriptor, "/vs1/vol1", free - RESERVE - (64 << 20))
    with pytest.raises(TapekitError, match=r"/vs1/vol1 has .* bytes free") as refused:
        check_space(descriptor, "/vs1/vol1", free - RESERVE + (64 << 20))
    assert refused.value.facts["reserve"] == RESERVE


@pytest.mark.requirement("R264")
def test_inodes_are_counted_where_the_file_system_does(descriptor: int) -> None:
    status = os.fstatvfs(descriptor)
    check_inodes(descriptor, "/vs1/vol1", 1)
    if status.f_files:
        with pytest.raises(TapekitError, match="inodes free; the restore needs"):
            check_inodes(descriptor, "/vs1/vol1", status.f_favail + 100_000)


def test_no_inodes_of_no_inodes_is_no_limit(tmp_path: Path) -> None:
    fd = os.open("/proc", os.O_RDONLY)
    try:
        assert os.fstatvfs(fd).f_files == 0
        check_inodes(fd, "/vs1/vol1", 10**9)
    finally:
        os.close(fd)


@pytest.mark.requirement("R264")
@pytest.mark.requirement("R138")
def test_a_backup_that_does_not_fit_is_refused_unless_forced(
    dump: Any, restore: Callable[..., Any], select: Any, folder: Path
) -> None:
    data = dump().begin().directory(2, [(b"file", 3)]).file(3, b"small").end()
    huge = ("ACL_START", str(1 << 60))
    outcome = restore(data, environment=[HERE, huge])
    assert outcome.error is not None
    assert outcome.error.id == "dump.space-missing"
    assert not any(folder.iterdir())
    forced = restore(data, environment=[HERE, huge, ("FORCE", "Y")])
    assert forced.error is None
    assert (folder / "file").read_bytes() == b"small"
    part = restore(data, [select("file", "/vs1/vol1/part/file")], [HERE, huge])
    assert part.error is None
