"""Backups and restores over tapes that fail on cue, and what their operators are told."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from administrator import asked
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, TapeAt, back_up, tape
from tapekit_ndmp_v4.numbers import UNLIMITED, AddrType, MoverMode, MoverPauseReason
from tapekit_ndmp_v4.wire import Pair
from tapekit_vtape.faults import DeviceFault, FaultKind
from tapekit_vtape.operations import FAULT_ADD, FAULT_CLEAR, FaultChoice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import NdmpClient

VOLUME: Final = "/vs1/vol1"
RECORD: Final = 10240
PATIENCE_S: Final = 60


def fill(stack: ServedStack, size: int = 60 * RECORD) -> None:
    (stack.volume / "large").write_bytes(bytes(range(256)) * (size // 256))


async def arm(stack: ServedStack, kind: FaultKind, **fields: Any) -> None:
    await asked(stack, FAULT_ADD, DeviceFault(kind=kind, **fields))


async def clear(stack: ServedStack) -> None:
    await asked(stack, FAULT_CLEAR, FaultChoice())


async def begin_backup(client: NdmpClient, record: int = RECORD) -> None:
    """A dump over the session's own mover to the tape that is open."""
    await client.call(m.MoverSetRecordSizeRequest(len=record))
    await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL))
    await client.call(m.DataConnectRequest(addr=m.LocalAddr()))
    environment = (Pair("FILESYSTEM", VOLUME), Pair("HIST", "N"))
    await client.call(m.DataStartBackupRequest(butype_name="dump", env=environment))


async def begin_restore(client: NdmpClient, record: int = RECORD) -> None:
    """The restore of an image at the tape's position, into the volume."""
    await client.call(m.MoverSetRecordSizeRequest(len=record))
    await client.call(m.MoverSetWindowRequest(offset=0, length=UNLIMITED))
    await client.call(m.MoverListenRequest(mode=MoverMode.WRITE, addr_type=AddrType.LOCAL))
    await client.call(m.DataConnectRequest(addr=m.LocalAddr()))
    environment = (Pair("FILESYSTEM", VOLUME), Pair("HIST", "N"))
    name = m.Name(original_path="", destination_path=f"{VOLUME}/back")
    await client.call(m.DataStartRecoverRequest(env=environment, nlist=(name,), butype_name="dump"))


@asynccontextmanager
async def heard(stack: ServedStack) -> AsyncIterator[tuple[NdmpClient, list[str]]]:
    """A session, and what its operator has been told."""
    told: list[str] = []
    async with stack.client() as client:
        client.on_post(m.LogMessagePost, lambda post: told.append(post.entry))
        yield client, told


async def next_tape(client: NdmpClient, stack: ServedStack) -> None:
    """At the end of the first tape: change it, with whatever faults are armed then."""
    with trio.fail_after(PATIENCE_S):
        paused = await client.wait_for(m.NotifyMoverPausedPost)
    assert paused.reason is MoverPauseReason.EOM
    await tape.close(client)
    await clear(stack)


async def go_on(client: NdmpClient) -> None:
    await client.call(m.MoverSetWindowRequest(offset=0, length=UNLIMITED))
    await client.call(m.MoverContinueRequest())


async def written(stack: ServedStack) -> None:
    fill(stack)
    async with stack.client() as client:
        plan = BackupPlan(
            tape=TapeAt("nrst0a"), environment=(("FILESYSTEM", VOLUME),), record_size=RECORD
        )
        await back_up(client, plan)


def in_two(entry: str) -> tuple[str, str]:
    """The text of a message, and its identifier with what to do."""
    text, _, advice = entry.partition(" [")
    return text, advice


def texts(told: list[str]) -> list[str]:
    """The messages without what to do."""
    return [in_two(entry)[0] for entry in told]
