"""A stack with a plugin whose operations these tests call, served in this process."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from tapekit.errors import CORE
from tapekit.hookspecs.operations import (
    Feed,
    NoReply,
    NoRequest,
    Operation,
    Privilege,
)
from tapekit.kernel import run
from tapekit_admin.plugin import AdminPlugin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tapekit.hookspecs.operations import OfferedOperation, Tell
    from tapekit.kernel import StackKernel


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far to count."""

    to: int


class Number(msgspec.Struct, frozen=True):
    """A number that was counted."""

    value: int


DOUBLE = Operation(name="sums.double", summary="Double it", request=Count, reply=Number)
FAIL = Operation(name="sums.fail", summary="Fail in a way", request=Count, reply=NoReply)
HARM = Operation(
    name="sums.harm",
    summary="Do harm",
    request=NoRequest,
    reply=NoReply,
    privilege=Privilege.ADVANCED,
)
COUNT = Feed(name="sums.count", summary="Count on and on", request=Count, reply=Number)


class Sums:
    """Performs operations, and remembers what became of the endless one."""

    def __init__(self) -> None:
        self.harmed = 0
        self.cancelled = trio.Event()

    def offered(self) -> tuple[OfferedOperation, ...]:
        return (
            DOUBLE.performed_by(self.double),
            FAIL.performed_by(self.fail),
            HARM.performed_by(self.harm),
            COUNT.performed_by(self.count),
        )

    async def double(self, request: Count) -> Number:
        return Number(2 * request.to)

    async def fail(self, request: Count) -> NoReply:
        if request.to == 0:
            raise CORE.error("site-exists", file="a {brace}")
        if request.to == 1:
            raise RuntimeError("a defect")
        return NoReply()

    async def harm(self, _request: NoRequest) -> NoReply:
        self.harmed += 1
        return NoReply()

    async def count(self, request: Count, tell: Tell[Number]) -> None:
        """Count to a number, or, if it is negative, wait until cancelled."""
        for value in range(abs(request.to)):
            await tell(Number(value))
        if request.to < 0:
            try:
                await trio.sleep_forever()
            finally:
                self.cancelled.set()


@pytest.fixture
def sums() -> Sums:
    return Sums()


@pytest.fixture
def managed(plugin: Callable[..., Any], assembled: Callable[..., StackKernel], sums: Sums) -> Any:
    """Assembles a stack of admin and the operations of ``sums``."""

    def build(tables: str = "") -> StackKernel:
        offering = plugin("sums", tapekit_register_operations=lambda self: sums.offered())
        return assembled(AdminPlugin, offering, tables=tables)

    return build


@asynccontextmanager
async def running(kernel: StackKernel) -> AsyncIterator[Callable[[], None]]:
    """Run a kernel inside the block; what is yielded begins to drain it."""
    send, stop = trio.open_memory_channel[object](2)
    ready = trio.Event()

    async def signals() -> AsyncIterator[object]:
        ready.set()
        async for each in stop:
            yield each

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, kernel, signals(), lambda _: None)
        with trio.fail_after(60):
            while not kernel.is_ready:
                await trio.lowlevel.checkpoint()
        yield lambda: send.send_nowait("stop")
        send.send_nowait("stop")


@pytest.fixture
def serving() -> Callable[[StackKernel], Any]:
    return running
