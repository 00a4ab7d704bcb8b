"""Backups through drives that compress, over as many cartridges as it takes."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from session_stack import new_site, serving
from tapekit.cli.groups import group_command
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, RecoverPlan, TapeAt, back_up, recover
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree
from tapekit_vtape.zstd import find_zstd

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.kernel import StackKernel

pytestmark = pytest.mark.skipif(find_zstd() is None, reason="this host has no libzstd")

VOLUME = "/vs1/vol1"
RECORD = 65536


def packing(text: str) -> str:
    return text.replace("slots = 8", 'slots = 12\ncompression = "zstd"')


def tapekit(kernel: StackKernel, *words: str) -> str:
    app = group_command(list(kernel.command_groups({}).values()))
    done = CliRunner().invoke(app, words)
    if done.exception is not None:
        raise done.exception
    return done.output


def load(kernel: StackKernel, barcode: str) -> TapeAt:
    tapekit(kernel, "vtape", "unload", "0")
    tapekit(kernel, "vtape", "load", "0", barcode)
    return TapeAt("nrst0a")


def used(kernel: StackKernel, barcode: str) -> int:
    rows = json.loads(tapekit(kernel, "vtape", "list", "--json"))
    return next(int(row["used_bytes"]) for row in rows if row["barcode"] == barcode)


@pytest.mark.requirement("R012")
async def test_a_volume_comes_back_through_drives_that_compress(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    kernel = new_site(directory, packing)
    for number in range(4):
        size = ("--capacity-bytes", str(4 << 20), "--early-warning-bytes", str(1 << 20))
        tapekit(kernel, "vtape", "create", f"SMALL{number}", *size)
    load(kernel, "SMALL0")
    changes: list[int] = []

    async def next_to_write(wanted: Any) -> TapeAt:
        changes.append(wanted.position)
        return load(kernel, f"SMALL{len(changes)}")

    async def next_to_read(wanted: Any) -> TapeAt:
        return load(kernel, f"SMALL{offsets.index(wanted.part.offset)}")

    async with serving(directory, kernel) as stack:
        make_tree(stack.volume, files=60, seed=3, wide=40, deep=5, far=1 << 20)
        (stack.volume / "words").write_bytes(b"words that repeat themselves, " * 400_000)
        (stack.volume / "noise").write_bytes(os.urandom(6 << 20))
        (stack.volume / "more words").write_bytes(b"and others that do, " * 400_000)
        environment = (("FILESYSTEM", VOLUME), ("LEVEL", "0"), ("HIST", "Y"))
        plan = BackupPlan(tape=TapeAt("nrst0a"), environment=environment, record_size=RECORD)
        async with stack.client() as client:
            backup = await back_up(client, plan, next_tape=next_to_write)
            assert 1 <= len(changes) <= 3, "26 MB, of which 6 MB are noise"
            offsets = [part.offset for part in backup.parts]
            load(kernel, "SMALL0")
            restore = RecoverPlan(
                parts=backup.parts,
                environment=backup.environment,
                names=(m.Name(original_path="", destination_path=f"{VOLUME}/back"),),
                record_size=RECORD,
            )
            await recover(client, restore, next_tape=next_to_read)
        (stack.volume / "back").rename(tmp_path / "kept")
        assert [
            str(each) for each in compare_trees(stack.volume, tmp_path / "kept") if each.path != "."
        ] == []


@pytest.mark.requirement("R063")
@pytest.mark.parametrize(("device", "is_smaller"), [("nrst0l", False), ("nrst0a", True)])
async def test_the_name_of_the_device_chooses(
    tmp_path: Path, device: str, is_smaller: bool
) -> None:
    directory = tmp_path / "site"
    kernel = new_site(directory, packing)
    async with serving(directory, kernel) as stack:
        (stack.volume / "words").write_bytes(b"words that repeat themselves, " * 100_000)
        environment = (("FILESYSTEM", VOLUME), ("LEVEL", "0"))
        plan = BackupPlan(tape=TapeAt(device), environment=environment, record_size=RECORD)
        async with stack.client() as client:
            await back_up(client, plan)
    assert (used(kernel, "VT0001") < 1_000_000) is is_smaller
