from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from tests.plugins.volumes.conftest import MemoryKernel, MemoryMethod

from tapekit.kernel import StartErrors, assemble, installed
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree
from tapekit_volumes.plugin import VolumesPlugin
from tapekit_volumes.settings import VolumeSettings, VolumesSettings

if TYPE_CHECKING:
    from tests.plugins.volumes.conftest import Site

    from tapekit.kernel.stack_kernel import StackKernel

STACK = """
plugins = ["volumes", "snap_copy"]
[[volumes.volume]]
path = "/vs1/vol1"
directory = "vol1"
snapshots = "copy"
"""


def assembled(folder: Path, text: str = STACK) -> StackKernel:
    file = folder / "stack.toml"
    file.write_text(text)
    return assemble(file, installed(), clock=lambda: 1000.5)


def test_a_stack_backs_up_from_a_copy(tmp_path: Path) -> None:
    make_tree(tmp_path / "vol1", files=20, wide=20, deep=5)
    kernel = assembled(tmp_path)
    assert kernel.storage is not None
    tree = kernel.storage.open_backup("/vs1/vol1", "session 1")
    copy = tmp_path / "vol1.snapshots" / "snapshot_for_backup.0"
    assert compare_trees(tmp_path / "vol1", copy) == []
    original = (tmp_path / "vol1" / "plain" / "medium").stat()
    origin = tree.origin((copy / "plain" / "medium").stat())
    assert origin == (original.st_ino, original.st_ctime_ns)
    tree.close()
    assert {path.name for path in copy.parent.iterdir()} == {".locks"}


def test_a_wrong_table_keeps_the_stack_from_starting(tmp_path: Path) -> None:
    with pytest.raises(StartErrors, match="vol1 cannot be used: No such file") as caught:
        assembled(tmp_path)
    assert [error.id for error in caught.value.errors] == ["volumes.directory-missing"]


def test_a_method_that_is_not_enabled_keeps_the_stack_from_starting(tmp_path: Path) -> None:
    (tmp_path / "vol1").mkdir()
    with pytest.raises(StartErrors, match='snapshots = "copy": there is no such'):
        assembled(tmp_path, STACK.replace(', "snap_copy"', ""))


def test_the_command_group_works_on_the_stack(tmp_path: Path) -> None:
    (tmp_path / "vol1").mkdir()
    groups = assembled(tmp_path).command_groups({})
    assert groups["volume"].summary == "Volumes and their Snapshot copies"


async def test_running_begins_without_leftovers(site: Site) -> None:
    settings = VolumesSettings(
        volume=(VolumeSettings(path="/v/v", directory=Path("vol1"), snapshots="memory"),)
    )
    plugin = VolumesPlugin(settings)
    kernel = MemoryKernel(site.folder, MemoryMethod())
    plugin.tapekit_on_assembled(kernel)
    kernel.state.change("volumes.locks", {"/v/v/gone#1": LEFTOVER % str(site.snapshots).encode()})
    (site.snapshots / "gone").mkdir(parents=True)
    async with trio.open_nursery() as kernel.nursery, plugin.tapekit_run(kernel):
        assert site.copies() == []
        assert kernel.told() == [("volumes.leftover-removed", "gone")]


LEFTOVER = (
    b'{"volume": "/v/v", "snapshot": "gone", "holder": "session 1", "temporary": true,'
    b' "method": "memory", "folder": "%s"}'
)
