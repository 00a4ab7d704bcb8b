from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tapekit_volumes.filesystems import filesystem_info, is_writable

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugins.volumes.conftest import Site

    from tapekit.hookspecs.storage import FilesystemInfo

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


def info_of(site: Site, path: str) -> FilesystemInfo:
    return filesystem_info(site.storage.volume(path), site.storage.volume_facts(path))


def test_sizes_are_those_of_the_file_system(site: Site) -> None:
    info = info_of(site, "/vs1/vol1")
    sizes = os.statvfs(site.folder)
    assert info.total_bytes == sizes.f_blocks * sizes.f_frsize
    assert info.total_inodes == sizes.f_files
    assert 0 < info.used_bytes <= info.total_bytes
    assert 0 <= info.available_bytes <= info.total_bytes - info.used_bytes
    assert (info.path, info.status, info.writable) == ("/vs1/vol1", "online", True)
    assert info.kind


@ROOT_ONLY
def test_kind_and_device_are_those_of_the_mount(site: Site) -> None:
    place = site.folder / "live"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,ro", "odd\tname", place], check=True)
    try:
        info = info_of(site, "/vs1/live")
        writable = is_writable(site.storage.volume("/vs1/live"))
    finally:
        subprocess.run(["umount", place], check=True)
    assert (info.kind, info.device, info.total_bytes) == ("tmpfs", "odd\tname", 1 << 20)
    assert (info.writable, writable) == (False, False)


def test_a_read_only_volume_is_not_writable(site: Site) -> None:
    site.settle(read_only=True)
    volume = site.storage.volume("/vs1/vol1")
    assert not info_of(site, "/vs1/vol1").writable
    assert not is_writable(volume)


def test_a_volume_that_is_gone_is_offline(site: Site, tmp_path: Path) -> None:
    (tmp_path / "vol1").rename(tmp_path / "away")
    info = info_of(site, "/vs1/vol1")
    assert (info.status, info.writable, info.total_bytes) == ("offline", False, 0)
    assert is_writable(site.storage.volume("/vs1/vol1"))
