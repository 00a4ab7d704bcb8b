"""Whole stacks in the test's own process: the plugins of a new site, served."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from tapekit.cli.site import set_up_site
from tapekit.kernel import assemble, installed, run
from tapekit_ndmp_v4.client import NdmpClient
from tapekit_ndmp_v4.numbers import AuthType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tapekit.kernel import StackKernel

NOW_S = 1_700_000_000.0


def clock() -> float:
    return NOW_S


class ServedStack:
    """A stack that listens on a port of loopback."""

    def __init__(
        self,
        directory: Path,
        kernel: StackKernel,
        port: int,
        stop: trio.MemorySendChannel[object],
    ) -> None:
        self.directory = directory
        self.kernel = kernel
        self.port = port
        self._stop = stop

    async def hurry(self) -> None:
        """Ask the stack to end at once, as a second signal would."""
        await self._stop.send("stop")

    @property
    def volume(self) -> Path:
        return self.directory / "volumes" / "vs1" / "vol1"

    @property
    def password(self) -> bytes:
        return (self.directory / "ndmp-password").read_bytes().strip()

    @asynccontextmanager
    async def stranger(self) -> AsyncIterator[NdmpClient]:
        """A session that has not logged in."""
        async with NdmpClient.connect("127.0.0.1", self.port, clock=clock) as client:
            yield client

    @asynccontextmanager
    async def client(self) -> AsyncIterator[NdmpClient]:
        """A session that is logged in."""
        async with self.stranger() as client:
            await client.open()
            await client.authenticate(AuthType.MD5, "ndmp", self.password)
            yield client


def new_site(
    directory: Path, edit: Callable[[str], str] = str, now: Callable[[], float] = clock
) -> StackKernel:
    """``tapekit init`` on any free port, its file edited, and the kernel of it."""
    available = installed()
    plugins = {each.name: each.load() for each in available}
    site = set_up_site(directory, "127.0.0.1", 0, available, plugins)
    site.stack_file.write_text(edit(site.stack_file.read_text()))
    return assemble(site.stack_file, available, clock=now)


@asynccontextmanager
async def serving(directory: Path, kernel: StackKernel) -> AsyncIterator[ServedStack]:
    """Run a kernel inside the block, and drain it at its end."""
    stop, stopping = trio.open_memory_channel[object](3)
    told, addresses = trio.open_memory_channel[str](4)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, kernel, stopping, told.send_nowait)
        with trio.fail_after(60):
            address = await addresses.receive()
        yield ServedStack(directory, kernel, int(address.rpartition(":")[2]), stop)
        await stop.send("stop")


def without(*names: str) -> Callable[[str], str]:
    """An edit of a stack file that leaves plugins out, with their tables."""

    def edit(text: str) -> str:
        tables = re.split(r"(?m)^(?=\[[a-z_0-9]+\]$)", text)
        kept = [table for table in tables if not table.startswith(tuple(f"[{n}]" for n in names))]
        text = "".join(kept)
        for name in names:
            text = text.replace(f'    "{name}",\n', "")
        if "snap_copy" in names:
            text = text.replace('snapshots = "copy"', 'snapshots = "none"')
        return text

    return edit
