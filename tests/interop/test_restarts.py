"""Backups that go on after the server was killed in the middle of phase IV."""

from __future__ import annotations

import contextlib
import enum
import io
import json
import random
import shutil
import time
from typing import TYPE_CHECKING

import pytest
import trio

from interop_peers import need, program
from running_stack import Stack, make_stack, run_checked
from tapekit.cli import execute
from tapekit.cli.shell import Shell
from tapekit.kernel import installed
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
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    AuthType,
    MoverMode,
    MoverState,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tapekit_ndmp_v4.client import BackupResult

SNAPEXT = {0x2050: (3,)}
RECORD = 65536
ASKED = (("FILESYSTEM", "/vs1/vol1"), ("HIST", "Y"))
SHOW = ("vserver", "services", "ndmp", "restartable-backup", "show")
SLOW = 8 << 20
"""Bytes in a second."""
MORE = """
[dump]
restart_checkpoint_bytes = 1048576

[mover]
run_bytes = 1048576
"""


class Kill(enum.Enum):
    """When the server is killed."""

    WHILE_WAITING = "while the mover waits for a new window"
    WHILE_WRITING = "while records go to a slow drive"


KILLS = (
    Kill.WHILE_WAITING,
    Kill.WHILE_WRITING,
    Kill.WHILE_WAITING,
    Kill.WHILE_WRITING,
    Kill.WHILE_WAITING,
)


class TypedStack(Stack):
    """Its command lines run in this process; many of them make most of the time."""

    def tapekit(self, *arguments: str) -> str:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            assert execute(arguments, Shell(installed, {}, time.time)) == 0
        return said.getvalue()


def restartable(directory: Path) -> Stack:
    """A stack whose backups can be restarted, some fifty MiB in its volume, and
    a drive for each part of an image; some of them are slow.
    """
    stack = TypedStack(directory, make_stack(directory).port)
    stack.edit(r"^plugins = \[\n", 'plugins = [\n    "snapext",\n')
    stack.edit(r"^drives = 2$", f"drives = {len(KILLS) + 1}")
    slow = ", ".join(
        f'{{ kind = "slow", drive = {drive}, bytes_per_second = {SLOW} }}'
        for drive, kill in enumerate(KILLS)
        if kill is Kill.WHILE_WRITING
    )
    stack.edit(r"^slots = 8$", f"slots = 8\nfaults = [{slow}]")
    stack.file.write_text(stack.file.read_text() + MORE)
    for drive in range(2, len(KILLS) + 1):
        stack.tapekit("vtape", "load", str(stack.file), str(drive), cartridge(drive))
    make_tree(stack.volume, files=300, seed=5, wide=60, deep=5, far=1 << 20)
    chance = random.Random(1)
    for number in range(250):
        (stack.volume / f"file{number}").write_bytes(chance.randbytes(200_000))
    return stack


def cartridge(drive: int) -> str:
    """What is in a drive."""
    return f"VT{drive + 1:04}"


@contextlib.asynccontextmanager
async def session(stack: Stack) -> AsyncIterator[NdmpClient]:
    async with NdmpClient.connect("127.0.0.1", stack.port, clock=time.time) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", stack.password.encode())
        assert await choose_extensions(client, SNAPEXT) == {0x2050: 3}
        yield client


async def until_killed(
    stack: Stack, kill: Kill, drive: int, wanted: int, *more: tuple[str, str]
) -> dict[str, str]:
    """Begin a part of a backup, and kill the server once about so many bytes of
    it are on tape; gives the backup's environment.
    """
    async with session(stack) as client:
        await client.call(m.MoverSetRecordSizeRequest(len=RECORD))
        await client.call(m.TapeOpenRequest(device=f"nrst{drive}a", mode=TapeOpenMode.RDWR))
        # At the end of its window the mover waits.
        length = wanted if kill is Kill.WHILE_WAITING else UNLIMITED
        await client.call(m.MoverSetWindowRequest(offset=0, length=length))
        await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL))
        await client.call(m.DataConnectRequest(addr=m.LocalAddr()))
        environment = tuple(Pair(*pair) for pair in (*ASKED, *more))
        await client.call(m.DataStartBackupRequest(butype_name="dump", env=environment))
        found = await client.call(m.DataGetEnvRequest())
        with trio.fail_after(60):
            if kill is Kill.WHILE_WAITING:
                await client.wait_for(m.NotifyMoverPausedPost)
                await until_restartable(stack)
            else:
                await until_moved(client, wanted)
        stack.kill()
        return {pair.name: pair.value for pair in found.env}


async def until_restartable(stack: Stack) -> None:
    """Wait for the first checkpoint, which the window's end may overtake."""
    while not any(row["is_restartable"] for row in await trio.to_thread.run_sync(contexts, stack)):
        pass


async def until_moved(client: NdmpClient, wanted: int) -> None:
    """Wait until the mover, which goes on writing, has written so much."""
    while True:
        state = await client.call(m.MoverGetStateRequest())
        assert state.state is MoverState.ACTIVE
        if state.bytes_moved >= wanted:
            return


async def go_on(stack: Stack, drive: int, *more: tuple[str, str]) -> BackupResult:
    async with session(stack) as client:
        plan = BackupPlan(
            tape=TapeAt(f"nrst{drive}a"), environment=(*ASKED, *more), record_size=RECORD
        )
        return await back_up(client, plan)


async def restore(stack: Stack, backup: BackupResult, cuts: list[int], target: str) -> None:
    """Restore the joined image from all tapes.

    :param cuts: where in the image the parts begin.
    """
    ends = (*cuts[1:], UNLIMITED)
    parts = tuple(
        ImagePart(TapeAt(f"nrst{drive}a"), start, end if end == UNLIMITED else end - start)
        for drive, (start, end) in enumerate(zip(cuts, ends, strict=True))
    )
    environment = tuple(pair for pair in backup.environment if pair[0] != "HIST")
    names = (m.Name(original_path="", destination_path=f"/vs1/vol1/{target}"),)
    plan = RecoverPlan(parts=parts, environment=environment, names=names, record_size=RECORD)

    async with session(stack) as client:
        await recover(client, plan)


def on_tape(stack: Stack, drive: int) -> int:
    """Bytes of the part on a drive's cartridge."""
    (row,) = [row for row in stack.cartridges() if row["barcode"] == cartridge(drive)]
    files = row["files"]
    assert isinstance(files, list)
    return int(files[0]["bytes"])


def contexts(stack: Stack) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(stack.tapekit(*SHOW, str(stack.file), "--json"))
    return rows


def copies(stack: Stack) -> list[str]:
    listed = stack.tapekit("volume", "snapshot", "list", str(stack.file), "/vs1/vol1", "--json")
    return [row["name"] for row in json.loads(listed)]


@pytest.mark.requirement("R191")
@pytest.mark.requirement("R244")
def test_a_server_killed_in_phase_iv_writes_on_after_each_start(tmp_path: Path) -> None:
    need("restore")
    stack = restartable(tmp_path / "stack")
    chance = random.Random(9)
    more: tuple[tuple[str, str], ...] = (("RESTARTABLE", "Y"),)
    cuts = [0]
    stack.start()
    for drive, kill in enumerate(KILLS):
        wanted = RECORD * chance.randrange(72, 112)
        told = trio.run(until_killed, stack, kill, drive, wanted, *more)
        assert told["RESTART_POSITION"] == str(cuts[-1])
        part = wanted if kill is Kill.WHILE_WAITING else on_tape(stack, drive)
        assert part >= wanted
        assert part % RECORD == 0
        cuts.append(cuts[-1] + part)
        context = told["RESTART_CONTEXT"]
        more = (("RESTART_CONTEXT", context), ("RESTART_OFFSET", str(cuts[-1])))
        stack.start()
    (row,) = contexts(stack)
    assert row["context_id"] == context
    assert row["is_restartable"], row
    assert copies(stack) == ["snapshot_for_backup.0"]
    backup = trio.run(go_on, stack, len(KILLS), *more)
    check(joined(stack, cuts, tmp_path / "image"), stack.volume, tmp_path / "compared")
    assert contexts(stack) == []
    assert copies(stack) == []
    trio.run(restore, stack, backup, cuts, "back")
    (stack.volume / "back").rename(tmp_path / "back")
    found = compare_trees(stack.volume, tmp_path / "back")
    assert [str(each) for each in found if each.path != "."] == []
    assert stack.stop() == 0


def joined(stack: Stack, cuts: list[int], image: Path) -> Path:
    """All parts of an image in one file."""
    part = image.with_suffix(".part")
    with image.open("wb") as whole:
        for drive, start in enumerate(cuts):
            assert whole.tell() == start
            whole.write(stack.export(cartridge(drive), 0, part).read_bytes())
    return image


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
