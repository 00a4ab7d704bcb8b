"""A node whose storage can move, and jobs on it that wait for their tape."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, final

import trio
from typer.testing import CliRunner

from lif_stacks import scoped
from session_stack import clock, new_site, serving
from tapekit.cli.groups import group_command
from tapekit.hookspecs.volume_images import VolumeState
from tapekit.kernel import assemble, installed
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, TapeAt, Watch, back_up, choose_extensions
from tapekit_ndmp_v4.numbers import AddrType, MoverMode, MtioOp, TapeOpenMode
from tapekit_ndmp_v4.wire import Pair
from tapekit_snapext import messages as s
from tapekit_volumes.storage import VolumeStorage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import BackupResult, NdmpClient
    from tapekit_ndmp_v4.numbers import DataHaltReason

SOURCE, BACK, OTHER, ROOT = "/vs1/vol1", "/vs1/back", "/vs1/other", "/vs1/root"
RECORD = 65536
WINDOW = 64 * RECORD
LIMIT_S = 60
_SNAPEXT = {0x2050: (3,)}


def with_storage_to_move(text: str) -> str:
    """An edit of a stack file: the node n1 with three aggregates."""
    text = scoped(text).replace("[transport_tcp]\n", "[transport_tcp]\nring_buffers = 2\n")
    for plugin in ("smtape", "snapext"):
        if f'"{plugin}"' not in text:
            text = text.replace('    "dump",\n', f'    "dump",\n    "{plugin}",\n')
    text = 'node = "n1"\n' + text.replace(
        f'path = "{SOURCE}"\n', f'path = "{SOURCE}"\naggregate = "aggr1"\n'
    )
    for path, aggregate, kind in (
        (BACK, "aggr1", "dp"),
        (OTHER, "aggr2", "rw"),
        (ROOT, "aggr0", "rw"),
    ):
        text += (
            f'\n[[volumes.volume]]\npath = "{path}"\ndirectory = "volumes{path}"\n'
            f'aggregate = "{aggregate}"\ntype = "{kind}"\nsnapshots = "copy"\n'
        )
    text += '\n[[volumes.aggregate]]\nname = "aggr0"\nha_policy = "cfo"\n'
    return text + "\n[dump]\nrestart_checkpoint_bytes = 65536\n"


def movement_stack(directory: Path) -> AbstractAsyncContextManager[ServedStack]:
    """The node, served, for the first time or again."""
    file = directory / "tapekit.toml"
    if not file.exists():
        for path in (BACK, OTHER, ROOT):
            directory.joinpath(f"volumes{path}").mkdir(parents=True)
        new_site(directory, with_storage_to_move)
        for path in (SOURCE, OTHER, ROOT):
            fill(directory.joinpath(f"volumes{path}"))
    return serving(directory, assemble(file, installed(), clock=clock))


def fill(volume: Path) -> None:
    """More than the window of a tape and a data connection hold, in files that
    are read rather than copied inside the kernel.
    """
    content = random.Random(7).randbytes(1 << 17)
    for index in range(96):
        (volume / f"file{index}").write_bytes(content)


def storage_of(stack: ServedStack) -> VolumeStorage:
    """The volumes of a stack."""
    storage = stack.kernel.storage
    assert isinstance(storage, VolumeStorage)
    return storage


async def restrict(stack: ServedStack) -> None:
    """Have the volume of type DP take images."""
    storage = storage_of(stack)
    await trio.to_thread.run_sync(
        storage.states.change, storage.volume(BACK), VolumeState.RESTRICTED
    )


async def typed(stack: ServedStack, line: str) -> str:
    """What a command line prints, in another kernel of the same stack file.

    :raises TapekitError: what the command raised.
    """

    def run() -> str:
        kernel = assemble(stack.directory / "tapekit.toml", installed(), clock=clock)
        words = line.split()
        groups = kernel.command_groups({}).values()
        app = group_command([one for one in groups if one.name.split()[0] == words[0]])
        # With one group typer would do without its name.
        app.callback()(lambda: None)
        done = CliRunner().invoke(app, words)
        if done.exception is not None:
            raise done.exception
        return done.output

    with trio.fail_after(LIMIT_S):
        return await trio.to_thread.run_sync(run)


@final
class Heard:
    """A session, and what the server tells it."""

    def __init__(self, client: NdmpClient) -> None:
        self.client = client
        self.lines: list[str] = []
        client.on_post(m.LogMessagePost, lambda post: self.lines.append(post.entry.strip()))

    async def mover_paused(self) -> None:
        with trio.fail_after(LIMIT_S):
            post = await self.client.wait_for(m.NotifyMoverPausedPost, m.NotifyDataHaltedPost)
        assert isinstance(post, m.NotifyMoverPausedPost), self.lines

    async def data_halted(self) -> DataHaltReason:
        """How the data server ends."""
        with trio.fail_after(LIMIT_S):
            return (await self.client.wait_for(m.NotifyDataHaltedPost)).reason

    async def go_on(self) -> DataHaltReason:
        """Let a waiting backup write the rest; how it ends."""
        await self.client.call(m.MoverSetWindowRequest(offset=WINDOW, length=1 << 40))
        await self.client.call(m.MoverContinueRequest())
        return await self.data_halted()


@asynccontextmanager
async def waiting_backup(
    stack: ServedStack, engine: str, volume: str = SOURCE, *more: tuple[str, str]
) -> AsyncIterator[Heard]:
    """A backup whose mover waits at the end of its window."""
    async with stack.client() as client:
        await choose_extensions(client, _SNAPEXT, s.EXCHANGES)
        await _open_tape(client, MoverMode.READ)
        env = tuple(Pair(*pair) for pair in (("FILESYSTEM", volume), *more))
        heard = Heard(client)
        await client.call(m.DataStartBackupRequest(butype_name=engine, env=env))
        await heard.mover_paused()
        yield heard


@asynccontextmanager
async def waiting_restore(
    stack: ServedStack, engine: str, made: BackupResult, volume: str
) -> AsyncIterator[Heard]:
    """A restore whose mover waits at the end of its window."""
    async with stack.client() as client:
        await _open_tape(client, MoverMode.WRITE)
        env = tuple(Pair(*pair) for pair in made.environment)
        name = m.Name(original_path="/", destination_path=volume)
        request = m.DataStartRecoverRequest(butype_name=engine, env=env, nlist=(name,))
        heard = Heard(client)
        await client.call(request)
        await heard.mover_paused()
        yield heard


async def _open_tape(client: NdmpClient, mode: MoverMode) -> None:
    """Join the data server with a mover that waits after one window."""
    await client.call(m.MoverSetRecordSizeRequest(len=RECORD))
    await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
    await client.call(m.TapeMtioRequest(tape_op=MtioOp.REW, count=1))
    await client.call(m.MoverSetWindowRequest(offset=0, length=WINDOW))
    await client.call(m.MoverListenRequest(mode=mode, addr_type=AddrType.LOCAL))
    await client.call(m.DataConnectRequest(addr=m.LocalAddr()))


async def backup(
    stack: ServedStack,
    engine: str,
    volume: str = SOURCE,
    more: Sequence[tuple[str, str]] = (),
    told: list[str] | None = None,
    device: str = "nrst0a",
) -> BackupResult:
    """A whole backup.

    :param told: takes what the server tells.
    """

    def hear(post: object) -> None:
        if isinstance(post, m.LogMessagePost) and told is not None:
            told.append(post.entry.strip())

    plan = BackupPlan(
        tape=TapeAt(device),
        environment=(("FILESYSTEM", volume), *more),
        butype=engine,
        record_size=RECORD,
    )
    async with stack.client() as client:
        await choose_extensions(client, _SNAPEXT, s.EXCHANGES)
        return await back_up(client, plan, watch=Watch(on_post=hear))
