"""Backups that go on after the server was killed in the middle of phase IV."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import time
from typing import TYPE_CHECKING

import pytest
import trio

from interop_peers import need, program
from running_stack import make_stack, run_checked
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    BackupPlan,
    ImagePart,
    NdmpClient,
    RecoverPlan,
    TapeAt,
    back_up,
    choose_extensions,
    recover,
)
from tapekit_ndmp_v4.numbers import AddrType, AuthType, MoverMode, TapeOpenMode
from tapekit_ndmp_v4.wire import Pair
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from running_stack import Stack
    from tapekit_ndmp_v4.client import BackupResult

SNAPEXT = {0x2050: (3,)}
RECORD = 65536
ASKED = (("FILESYSTEM", "/vs1/vol1"), ("HIST", "Y"))
SHOW = ("vserver", "services", "ndmp", "restartable-backup", "show")


def restartable(directory: Path) -> Stack:
    """A stack whose backups can be restarted, and some forty MiB in its volume."""
    stack = make_stack(directory)
    stack.edit(r"^plugins = \[\n", 'plugins = [\n    "snapext",\n')
    stack.file.write_text(stack.file.read_text() + "\n[dump]\nrestart_checkpoint_bytes = 1048576\n")
    make_tree(stack.volume, files=300, seed=5, wide=60, deep=5, far=1 << 20)
    chance = random.Random(1)
    for number in range(200):
        (stack.volume / f"file{number}").write_bytes(chance.randbytes(200_000))
    return stack


@contextlib.asynccontextmanager
async def session(stack: Stack) -> AsyncIterator[NdmpClient]:
    async with NdmpClient.connect("127.0.0.1", stack.port, clock=time.time) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", stack.password.encode())
        assert await choose_extensions(client, SNAPEXT) == {0x2050: 3}
        yield client


async def until_on_tape(stack: Stack, wanted: int) -> str:
    """Begin a restartable backup, and kill the server once so many bytes are
    on tape; gives the context's identifier.
    """
    async with session(stack) as client:
        await client.call(m.MoverSetRecordSizeRequest(len=RECORD))
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        # The window ends there, so that the server is killed while it waits.
        await client.call(m.MoverSetWindowRequest(offset=0, length=wanted))
        await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL))
        await client.call(m.DataConnectRequest(addr=m.LocalAddr()))
        environment = tuple(Pair(*pair) for pair in (*ASKED, ("RESTARTABLE", "Y")))
        await client.call(m.DataStartBackupRequest(butype_name="dump", env=environment))
        found = await client.call(m.DataGetEnvRequest())
        with trio.fail_after(60):
            await client.wait_for(m.NotifyMoverPausedPost)
        stack.kill()
        return {pair.name: pair.value for pair in found.env}["RESTART_CONTEXT"]


async def go_on(stack: Stack, context: str, offset: int) -> BackupResult:
    async with session(stack) as client:
        more = (("RESTART_CONTEXT", context), ("RESTART_OFFSET", str(offset)))
        plan = BackupPlan(tape=TapeAt("nrst1a"), environment=(*ASKED, *more), record_size=RECORD)
        return await back_up(client, plan)


async def restore(stack: Stack, backup: BackupResult, offset: int, target: str) -> None:
    """Restore the joined image from both tapes."""
    first = ImagePart(TapeAt("nrst0a"), 0, offset)
    second = ImagePart(TapeAt("nrst1a"), offset)
    environment = tuple(pair for pair in backup.environment if pair[0] != "HIST")
    names = (m.Name(original_path="", destination_path=f"/vs1/vol1/{target}"),)
    plan = RecoverPlan(
        parts=(first, second), environment=environment, names=names, record_size=RECORD
    )

    async def next_tape(wanted: object) -> TapeAt:
        return TapeAt("nrst1a")

    async with session(stack) as client:
        await recover(client, plan, next_tape=next_tape)


def on_tape(stack: Stack, barcode: str) -> int:
    (row,) = [row for row in stack.cartridges() if row["barcode"] == barcode]
    files = row["files"]
    assert isinstance(files, list)
    return int(files[0]["bytes"])


def contexts(stack: Stack) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(
        stack.tapekit(*SHOW[:1], *SHOW[1:], str(stack.file), "--json")
    )
    return rows


def copies(stack: Stack) -> list[str]:
    listed = stack.tapekit("volume", "snapshot", "list", str(stack.file), "/vs1/vol1", "--json")
    return [row["name"] for row in json.loads(listed)]


@pytest.mark.requirement("R191")
@pytest.mark.requirement("R244")
def test_a_server_killed_in_phase_iv_writes_on_after_its_start(tmp_path: Path) -> None:
    need("restore")
    stack = restartable(tmp_path / "stack")
    chance = random.Random(9)
    stack.start()
    for attempt in range(5):
        offset = RECORD * chance.randrange(128, 560)
        context = trio.run(until_on_tape, stack, offset)
        stack.start()
        if attempt == 0:
            (row,) = contexts(stack)
            assert row["context_id"] == context
            assert row["is_restartable"], row
            assert copies(stack) == ["snapshot_for_backup.0"]
        backup = trio.run(go_on, stack, context, offset)
        image = stack.export("VT0001", 0, tmp_path / "image")
        assert image.stat().st_size == offset
        with image.open("ab") as joined:
            rest = stack.export("VT0002", 0, tmp_path / "rest")
            joined.write(rest.read_bytes())
        check(tmp_path / "image", stack.volume, tmp_path / f"back{attempt}")
    assert contexts(stack) == []
    assert copies(stack) == []
    trio.run(restore, stack, backup, offset, "back")
    (stack.volume / "back").rename(tmp_path / "back")
    found = compare_trees(stack.volume, tmp_path / "back")
    assert [str(each) for each in found if each.path != "."] == []
    assert stack.stop() == 0


def check(image: Path, volume: Path, target: Path) -> None:
    """Debian's restore compares every file of the image with the volume."""
    target.mkdir()
    said = run_checked([program("restore"), "-r", "-f", image], cwd=target)
    assert said == ""
    (target / "restoresymtable").unlink()
    differing = {each.path for each in compare_trees(volume, target)}
    files = {path.name for path in volume.glob("file*")}
    assert not differing & files, differing & files
    assert files <= {path.name for path in target.iterdir()}
    shutil.rmtree(target)
