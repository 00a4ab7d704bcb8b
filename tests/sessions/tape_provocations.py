"""What provokes each message about tapes: a table by the message's identifier.

A provocation brings a message about on a stack that serves, and tells all that
the operator has been told since: by LOG_MESSAGE in a session, or by a command
on the terminal.
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
import trio

from administrator import asked
from session_stack import clock
from tape_faults import (
    PATIENCE_S,
    RECORD,
    arm,
    begin_backup,
    begin_restore,
    fill,
    go_on,
    heard,
    next_tape,
    written,
)
from tapekit.cli import execute
from tapekit.cli.shell import Shell
from tapekit.kernel import installed
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import tape
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AddrType, MoverMode, MtioOp, TapeOpenMode
from tapekit_tape_devices.settings import TapeDevicesSettings
from tapekit_vtape.faults import DeviceFault, FaultKind
from tapekit_vtape.operations import FAULT_ADD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import NdmpClient

DEVICE: Final = "nrst0a"


class Told(NamedTuple):
    """A message as an operator reads it."""

    text: str
    identifier: str
    action: str


class Provocation(NamedTuple):
    """How to bring a message about."""

    provoke: Callable[[ServedStack], Awaitable[Iterable[Told]]]
    """Does it; what the operator has been told since."""
    facts: Mapping[str, object]
    edit: Callable[[str], str]
    """What the stack file needs for it."""


PROVOCATIONS: Final[dict[str, Provocation]] = {}


def provokes(
    row: str, edit: Callable[[str], str] = str, **facts: object
) -> Callable[[Callable[[ServedStack], Awaitable[Iterable[Told]]]], object]:
    """Enter a provocation into the table."""

    def enter(provoke: Callable[[ServedStack], Awaitable[Iterable[Told]]]) -> object:
        assert row not in PROVOCATIONS
        PROVOCATIONS[row] = Provocation(provoke, facts, edit)
        return provoke

    return enter


def read_posts(entries: Iterable[str]) -> list[Told]:
    """LOG_MESSAGE: ``text [identifier: action]``."""
    found = []
    for entry in entries:
        text, bracket, rest = entry.partition(" [")
        if bracket:
            identifier, _, action = rest.removesuffix("]").partition(": ")
            found.append(Told(text, identifier, action))
    return found


async def ran(stack: ServedStack, line: str) -> tuple[int, str, str]:
    """How ``tapekit ...`` ends, and what it prints, as from a process of its own."""
    file = str(stack.directory / "tapekit.toml")
    out, err = io.StringIO(), io.StringIO()

    def run() -> int:
        with redirect_stdout(out), redirect_stderr(err):
            return execute(line.split(), Shell(installed, {"TAPEKIT_STACK": file}, clock))

    with trio.fail_after(PATIENCE_S):
        status = await trio.to_thread.run_sync(run)
    return status, out.getvalue(), err.getvalue()


async def typed(stack: ServedStack, line: str) -> list[Told]:
    """What a command prints about an error."""
    status, out, err = await ran(stack, line)
    assert status == 1, (out, err)
    text, action, explain = err.splitlines()
    identifier = explain.strip().removeprefix("(tapekit explain ").removesuffix(")")
    return [Told(text.removeprefix("error: "), identifier, action.strip())]


async def halted(client: NdmpClient) -> None:
    """The mover has halted, and all that it had to say has come."""
    with trio.fail_after(PATIENCE_S):
        await client.wait_for(m.NotifyMoverHaltedPost)
        await client.call(m.MoverGetStateRequest())


async def failing_backup(stack: ServedStack, fault: DeviceFault) -> list[Told]:
    """What a backup tells whose tape fails."""
    fill(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, DEVICE, TapeOpenMode.RDWR)
        await asked(stack, FAULT_ADD, fault)
        await begin_backup(client)
        await halted(client)
    return read_posts(told)


async def failing_second_tape(stack: ServedStack, *faults: DeviceFault) -> list[Told]:
    """What a backup tells that cannot go on to its second tape."""
    fill(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, DEVICE, TapeOpenMode.RDWR)
        await arm(stack, FaultKind.EARLY_WARNING, drive=0, byte=9 * RECORD)
        await begin_backup(client)
        await next_tape(client, stack)
        client.forget_notifications()
        await tape.open_device(client, "nrst1a", TapeOpenMode.RDWR)
        for fault in faults:
            await asked(stack, FAULT_ADD, fault)
        await go_on(client)
        if faults[0].kind is FaultKind.END_OF_MEDIUM:
            with trio.fail_after(PATIENCE_S):
                # It warns of its end first, as any tape.
                await client.wait_for(m.NotifyMoverPausedPost)
            await client.call(m.MoverContinueRequest())
        await halted(client)
    return read_posts(told)


async def failing_restore(
    stack: ServedStack, fault: DeviceFault | None, record: int = RECORD
) -> list[Told]:
    """What a restore tells whose tape fails, or has other records than asked for."""
    await written(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, DEVICE, TapeOpenMode.READ)
        await tape.rewind(client)
        if fault is not None:
            await asked(stack, FAULT_ADD, fault)
        await begin_restore(client, record)
        if record > RECORD:
            with trio.fail_after(PATIENCE_S):
                await client.wait_for(m.NotifyDataHaltedPost)
        else:
            await halted(client)
    return read_posts(told)


async def refused(stack: ServedStack, *requests: m.Message) -> list[Told]:
    """What a session tells about its last request, which is refused."""
    async with heard(stack) as (client, told):
        for request in requests[:-1]:
            await client.call(request)
        with pytest.raises(NdmpReplyError):
            await client.call(requests[-1])
    return read_posts(told)


def opening(device: str = DEVICE, mode: TapeOpenMode = TapeOpenMode.RDWR) -> m.TapeOpenRequest:
    return m.TapeOpenRequest(device=device, mode=mode)


LISTEN: Final = m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL)

# The messages of the guide.


@provokes("ndmp_v4.no-available-thread", lambda text: f"{text}\n[ndmp_v4]\nlocal_tape_jobs = 1\n")
async def _(stack: ServedStack) -> list[Told]:
    async with stack.client() as busy:
        await tape.open_device(busy, DEVICE, TapeOpenMode.RDWR)
        await busy.call(LISTEN)
        return await refused(stack, opening("nrst1a"), LISTEN)


@provokes("ndmp_v4.could-not-initialize-media")
async def _(stack: ServedStack) -> list[Told]:
    await written(stack)
    (index,) = (stack.directory / "vtape").glob("cartridges/VT0001/index")
    index.write_bytes(b"damaged")
    return await refused(stack, opening())


@provokes("mover.could-not-initialize-media")
async def _(stack: ServedStack) -> list[Told]:
    return await failing_restore(stack, DeviceFault(kind=FaultKind.READ_ERROR, record=0))


@provokes(
    "ndmp_v4.max-sessions-in-progress",
    lambda text: f"{text}\n[ndmp_v4]\ndump_sessions = 1\n",
    max_sessions=1,
)
async def _(stack: ServedStack) -> list[Told]:
    fill(stack)
    async with stack.client() as busy, heard(stack) as (client, told):
        await tape.open_device(busy, DEVICE, TapeOpenMode.RDWR)
        await arm(stack, FaultKind.EARLY_WARNING, drive=0, byte=9 * RECORD)
        await begin_backup(busy)
        with trio.fail_after(PATIENCE_S):
            # A backup that waits for its next tape is in progress.
            await busy.wait_for(m.NotifyMoverPausedPost)
        await tape.open_device(client, "nrst1a", TapeOpenMode.RDWR)
        with pytest.raises(NdmpReplyError):
            await begin_backup(client)
    return read_posts(told)


@provokes("mover.reservation-preempted")
async def _(stack: ServedStack) -> list[Told]:
    return await failing_backup(stack, DeviceFault(kind=FaultKind.RESERVED))


@provokes("mover.media-error-on-write")
async def _(stack: ServedStack) -> list[Told]:
    return await failing_backup(stack, DeviceFault(kind=FaultKind.WRITE_ERROR, record=5))


@provokes("mover.tape-write-failed")
async def _(stack: ServedStack) -> list[Told]:
    return await failing_backup(stack, DeviceFault(kind=FaultKind.NOT_READY))


@provokes("mover.new-tape-media-error")
async def _(stack: ServedStack) -> list[Told]:
    return await failing_second_tape(stack, DeviceFault(kind=FaultKind.WRITE_ERROR, drive=1))


@provokes("mover.new-tape-broken-or-write-protected")
async def _(stack: ServedStack) -> list[Told]:
    return await failing_second_tape(stack, DeviceFault(kind=FaultKind.WRITE_PROTECTED, drive=1))


@provokes("mover.new-tape-at-end-of-media")
async def _(stack: ServedStack) -> list[Told]:
    end = DeviceFault(kind=FaultKind.END_OF_MEDIUM, drive=1, byte=0)
    return await failing_second_tape(stack, end)


@provokes(
    "mover.tape-too-small", lambda text: f"{text}\n[mover]\nleast_tape_mib = 70000\n", size=70000
)
async def _(stack: ServedStack) -> list[Told]:
    warning = DeviceFault(kind=FaultKind.EARLY_WARNING, drive=0, byte=9 * RECORD)
    return await failing_backup(stack, warning)


@provokes("mover.media-error-on-read")
async def _(stack: ServedStack) -> list[Told]:
    return await failing_restore(stack, DeviceFault(kind=FaultKind.READ_ERROR, record=7))


@provokes("mover.tape-read-error")
async def _(stack: ServedStack) -> list[Told]:
    return await failing_restore(stack, DeviceFault(kind=FaultKind.HARDWARE_ERROR))


@provokes("mover.already-at-end-of-tape")
async def _(stack: ServedStack) -> list[Told]:
    await written(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, DEVICE, TapeOpenMode.READ)
        await client.call(m.TapeMtioRequest(tape_op=MtioOp.FSF, count=9))
        await begin_restore(client)
        with trio.fail_after(PATIENCE_S):
            await client.wait_for(m.NotifyMoverPausedPost)
        await client.call(m.DataGetStateRequest())
    return read_posts(told)


@provokes("mover.record-size-too-small")
async def _(stack: ServedStack) -> list[Told]:
    return await failing_restore(stack, None, RECORD // 2)


@provokes("mover.record-size-mismatch", block_size1=RECORD, block_size2=4 * RECORD)
async def _(stack: ServedStack) -> list[Told]:
    return await failing_restore(stack, None, 4 * RECORD)


@provokes("ndmp_v4.record-size-out-of-range")
async def _(stack: ServedStack) -> list[Told]:
    return await refused(stack, m.MoverSetRecordSizeRequest(len=256 * 1024 + 1))


# What the mover has to say besides.


@provokes("mover.connection-broken")
async def _(stack: ServedStack) -> list[Told]:
    # So much that it is still being written when it is aborted, however late.
    fill(stack, 1500 * RECORD)
    async with heard(stack) as (client, told):
        await tape.open_device(client, DEVICE, TapeOpenMode.RDWR)
        await arm(stack, FaultKind.SLOW, drive=0, bytes_per_second=262144)
        await begin_backup(client)
        await client.call(m.DataAbortRequest())
        await halted(client)
    return read_posts(told)


# What devices and libraries have to say.


@provokes("tape_devices.no-such-device", device="nrst9a")
async def _(stack: ServedStack) -> list[Told]:
    return await refused(stack, opening("nrst9a"))


@provokes("tape_devices.device-in-use", drive="v.0")
async def _(stack: ServedStack) -> list[Told]:
    async with stack.client() as holder:
        await holder.call(opening())
        return await refused(stack, opening())


@provokes("tape_devices.no-such-changer", device="mc9")
async def _(stack: ServedStack) -> list[Told]:
    return await refused(stack, m.ScsiOpenRequest(device="mc9"))


@provokes("tape_devices.changer-in-use")
async def _(stack: ServedStack) -> list[Told]:
    async with stack.client() as holder:
        await holder.call(m.ScsiOpenRequest(device="mc0"))
        return await refused(stack, m.ScsiOpenRequest(device="mc0"))


@provokes("tape_devices.no-tape", drive="v.1")
async def _(stack: ServedStack) -> list[Told]:
    assert (await ran(stack, "library unload 1"))[0] == 0
    return await refused(stack, opening("nrst1a"))


@provokes("tape_devices.write-protected", drive="v.0")
async def _(stack: ServedStack) -> list[Told]:
    await arm(stack, FaultKind.WRITE_PROTECTED, drive=0)
    return await refused(stack, opening())


@provokes("tape_devices.erase-is-advanced", drive="st0")
async def _(stack: ServedStack) -> list[Told]:
    return await typed(stack, "storage tape position -name st0 -operation erase")


@provokes("tape_devices.tape-not-empty", device=DEVICE)
async def _(stack: ServedStack) -> list[Told]:
    await written(stack)
    return await typed(stack, f"tape check {DEVICE}")


@provokes(
    "tape_devices.check-failed",
    lambda text: text.replace(
        "[vtape]\n", '[vtape]\nfaults = [{ kind = "write-error", drive = 0, record = 3 }]\n'
    ),
    device=DEVICE,
)
async def _(stack: ServedStack) -> list[Told]:
    return await typed(stack, f"tape check {DEVICE}")


@provokes("tape_devices.other-node", node="elsewhere")
async def _(stack: ServedStack) -> list[Told]:
    return await typed(stack, "storage tape show -node elsewhere")


@provokes("tape_devices.no-such-drive", drive="st9")
async def _(stack: ServedStack) -> list[Told]:
    return await typed(stack, "storage tape online -name st9")


@provokes("tape_devices.drive-offline", drive="v.0")
async def _(stack: ServedStack) -> list[Told]:
    assert (await ran(stack, "storage tape offline -name st0"))[0] == 0
    return await refused(stack, opening())


@provokes("tape_devices.trace-not-made")
async def _(stack: ServedStack) -> list[Told]:
    folder = stack.directory / TapeDevicesSettings().trace_directory
    folder.parent.mkdir(exist_ok=True)
    folder.write_bytes(b"no folder")
    return await typed(stack, "storage tape trace -name st0 -is-trace-enabled true")


@provokes("tape_devices.no-destination", words="VT0004", changer="mc0")
async def _(stack: ServedStack) -> list[Told]:
    return await typed(stack, "library move VT0003 VT0004")


@provokes("tape_devices.place-full", place="drive 1", cartridge="VT0002", changer="mc0")
async def _(stack: ServedStack) -> list[Told]:
    return await typed(stack, "library load VT0001 1")


@provokes("tape_devices.place-empty", place="slot 0", changer="mc0")
async def _(stack: ServedStack) -> list[Told]:
    return await typed(stack, "library export slot:0")


@provokes("tape_devices.no-such-place", words="nowhere", changer="mc0")
async def _(stack: ServedStack) -> list[Told]:
    return await typed(stack, "library move VT0001 nowhere")


@provokes("tape_devices.no-empty-place", kind="mail", changer="mc0")
async def _(stack: ServedStack) -> list[Told]:
    return await typed(stack, "library export VT0003")


@provokes("tape_devices.nothing-to-import", changer="mc0")
async def _(stack: ServedStack) -> list[Told]:
    return await typed(stack, "library import VT0003")
