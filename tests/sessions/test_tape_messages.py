"""What operators are told when a tape fails: each text provoked by a fault of a virtual drive."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from typer.testing import CliRunner

from administrator import asked
from session_stack import clock
from tape_faults import (
    PATIENCE_S,
    RECORD,
    VOLUME,
    arm,
    begin_backup,
    begin_restore,
    clear,
    fill,
    go_on,
    heard,
    in_two,
    next_tape,
    texts,
    written,
)
from tapekit.cli import execute
from tapekit.cli.shell import Shell
from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import NoRequest, OperationRefused, Privilege
from tapekit.kernel import installed
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.addresses import to_endpoint
from tapekit_ndmp_v4.client import tape
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    AddrType,
    DataHaltReason,
    DataState,
    MoverHaltReason,
    MoverPauseReason,
    MtioOp,
    NdmpError,
    TapeOpenMode,
    TapeUnsupported,
)
from tapekit_ndmp_v4.wire import Pair
from tapekit_vtape.fault_commands import fault_app
from tapekit_vtape.faults import DeviceFault, FaultKind
from tapekit_vtape.operations import FAULT_ADD, FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import NdmpClient


async def stopped(client: NdmpClient, told: list[str]) -> str:
    """What the operator is told when the mover halts by the tape."""
    with trio.fail_after(PATIENCE_S):
        halted = await client.wait_for(m.NotifyMoverHaltedPost)
        assert halted.reason is MoverHaltReason.MEDIA_ERROR
        await client.wait_for(m.NotifyDataHaltedPost)
        state = await client.call(m.MoverGetStateRequest())
    assert state.halt_reason is MoverHaltReason.MEDIA_ERROR
    ((text, advice),) = (
        (text, advice)
        for text, advice in map(in_two, told)
        if text in EXPLAINED and text != FIRST_RECORD
    )
    assert advice.startswith(f"{EXPLAINED[text]}: ")
    return text


FIRST_RECORD: Final = "Could not initialize media"


EXPLAINED: Final = {
    "Tape reservation preempted": "mover.reservation-preempted",
    "Media error on tape write": "mover.media-error-on-write",
    "Tape write failed": "mover.tape-write-failed",
    "Tape write failed - new tape encountered media error": "mover.new-tape-media-error",
    "Tape write failed - new tape is broken or write protected": (
        "mover.new-tape-broken-or-write-protected"
    ),
    "Tape write failed - new tape is already at the end of media": (
        "mover.new-tape-at-end-of-media"
    ),
    "Media error on tape read": "mover.media-error-on-read",
    "Tape read error": "mover.tape-read-error",
    "Tape record size is too small. Try a larger size.": "mover.record-size-too-small",
}
"""The texts with which this module sees a mover halt, and the rows that explain them."""

OTHERS: Final = {
    "Resource limitation: no available thread": "ndmp_v4.no-available-thread",
    "Could not initialize media": "ndmp_v4.could-not-initialize-media",
    "Maximum number of allowed dumps or restores ({max_sessions}) in progress": (
        "ndmp_v4.max-sessions-in-progress"
    ),
    "Tape write error - The previous tape had less than the required minimum capacity, "
    "{size} MB, for this tape operation, The operation should be restarted from the beginning": (
        "mover.tape-too-small"
    ),
    "Already at the end of tape": "mover.already-at-end-of-tape",
    "Tape record size should be {block_size1} and not {block_size2}": "mover.record-size-mismatch",
    "Tape record size must be in the range between 4KB and 256KB": (
        "ndmp_v4.record-size-out-of-range"
    ),
}
"""The guide's other texts about tapes, provoked here and in ``test_limits.py``."""


@pytest.mark.parametrize(("text", "row"), [*EXPLAINED.items(), *OTHERS.items()])
def test_each_text_is_explained(text: str, row: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["explain", row, "--json"], Shell(installed, {}, clock)) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["id"], found["message"]) == (row, text)
    assert found["cause"]
    assert found["action"]


# Backups.


@pytest.mark.requirement("R312")
@pytest.mark.requirement("R315")
@pytest.mark.requirement("R316")
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (DeviceFault(kind=FaultKind.WRITE_ERROR, record=5), "Media error on tape write"),
        (DeviceFault(kind=FaultKind.HARDWARE_ERROR, drive=0), "Media error on tape write"),
        (DeviceFault(kind=FaultKind.NOT_READY), "Tape write failed"),
        (DeviceFault(kind=FaultKind.OFFLINE), "Tape write failed"),
        (DeviceFault(kind=FaultKind.TORN_WRITE, byte=5 * RECORD + 77), "Tape write failed"),
        (DeviceFault(kind=FaultKind.RESERVED), "Tape reservation preempted"),
    ],
    ids=lambda value: value.kind.value if isinstance(value, DeviceFault) else "",
)
async def test_a_tape_that_fails_ends_a_backup(
    stack: ServedStack, fault: DeviceFault, text: str
) -> None:
    fill(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        await asked(stack, FAULT_ADD, fault)
        await begin_backup(client)
        assert await stopped(client, told) == text


@pytest.mark.requirement("R316")
async def test_a_tape_that_becomes_protected_ends_a_backup(stack: ServedStack) -> None:
    fill(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        await arm(stack, FaultKind.WRITE_PROTECTED, drive=0)
        await begin_backup(client)
        assert await stopped(client, told) == "Tape write failed"


@pytest.mark.requirement("R317")
@pytest.mark.requirement("R318")
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (
            DeviceFault(kind=FaultKind.WRITE_ERROR, drive=1),
            "Tape write failed - new tape encountered media error",
        ),
        (
            DeviceFault(kind=FaultKind.WRITE_PROTECTED, drive=1),
            "Tape write failed - new tape is broken or write protected",
        ),
        (
            DeviceFault(kind=FaultKind.HARDWARE_ERROR, drive=1),
            "Tape write failed - new tape is broken or write protected",
        ),
        (
            DeviceFault(kind=FaultKind.NOT_READY, drive=1, times=1),
            "Tape write failed - new tape is broken or write protected",
        ),
    ],
    ids=lambda value: value.kind.value if isinstance(value, DeviceFault) else "",
)
async def test_a_following_tape_that_fails_ends_a_backup(
    stack: ServedStack, fault: DeviceFault, text: str
) -> None:
    fill(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        await arm(stack, FaultKind.EARLY_WARNING, drive=0, byte=9 * RECORD)
        await begin_backup(client)
        await next_tape(client, stack)
        await tape.open_device(client, "nrst1a", TapeOpenMode.RDWR)
        await asked(stack, FAULT_ADD, fault)
        await go_on(client)
        assert await stopped(client, told) == text


@pytest.mark.requirement("R319")
async def test_a_following_tape_without_room_ends_a_backup(stack: ServedStack) -> None:
    fill(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        await arm(stack, FaultKind.EARLY_WARNING, drive=0, byte=9 * RECORD)
        await begin_backup(client)
        await next_tape(client, stack)
        await arm(stack, FaultKind.END_OF_MEDIUM, drive=1, byte=0)
        await tape.open_device(client, "nrst1a", TapeOpenMode.RDWR)
        await go_on(client)
        with trio.fail_after(PATIENCE_S):
            # The new tape, too, warns of its end first.
            paused = await client.wait_for(m.NotifyMoverPausedPost)
        assert paused.reason is MoverPauseReason.EOM
        await client.call(m.MoverContinueRequest())
        assert await stopped(client, told) == (
            "Tape write failed - new tape is already at the end of media"
        )


LEAST = "[mover]\nleast_tape_mib = 70000\n"


@pytest.mark.requirement("R320")
async def test_a_backup_does_not_go_on_after_a_tape_that_is_too_small(
    edited_stack: Callable[..., Any],
) -> None:
    async with edited_stack(lambda text: f"{text}\n{LEAST}") as stack:
        fill(stack)
        async with heard(stack) as (client, told):
            await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
            await arm(stack, FaultKind.EARLY_WARNING, drive=0, byte=9 * RECORD)
            await begin_backup(client)
            with trio.fail_after(PATIENCE_S):
                halted = await client.wait_for(m.NotifyMoverHaltedPost)
            assert halted.reason is MoverHaltReason.MEDIA_ERROR
        assert (
            "Tape write error - The previous tape had less than the required minimum capacity, "
            "70000 MB, for this tape operation, "
            "The operation should be restarted from the beginning"
        ) in texts(told)


async def test_the_cause_of_a_failure_is_told_before_it(stack: ServedStack) -> None:
    fill(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        await arm(stack, FaultKind.OFFLINE)
        await begin_backup(client)
        assert await stopped(client, told) == "Tape write failed"
    cause = next(entry for entry in told if "the way to it is down" in entry)
    assert told.index(cause) < texts(told).index("Tape write failed")


@pytest.mark.requirement("R326")
async def test_a_backup_in_records_that_are_too_small_is_refused(stack: ServedStack) -> None:
    fill(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        with pytest.raises(NdmpReplyError, match="DATA_START_BACKUP was refused: ILLEGAL_ARGS"):
            await begin_backup(client, 4095)
        await client.call(m.DataAbortRequest())
        with trio.fail_after(PATIENCE_S):
            await client.wait_for(m.NotifyMoverHaltedPost)
        await client.call(m.DataStopRequest())
        await client.call(m.MoverStopRequest())
        for size in (0, 262145):
            with pytest.raises(NdmpReplyError, match="ILLEGAL_ARGS"):
                await client.call(m.MoverSetRecordSizeRequest(len=size))
        text = "Tape record size must be in the range between 4KB and 256KB"
        assert sum(entry.startswith(text) for entry in told) == 3


async def test_what_was_written_before_a_fault_is_on_the_tape(stack: ServedStack) -> None:
    fill(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        await arm(stack, FaultKind.WRITE_ERROR, record=5)
        await begin_backup(client)
        assert await stopped(client, told) == "Media error on tape write"
        moved = (await client.call(m.MoverGetStateRequest())).bytes_moved
        await client.call(m.DataStopRequest())
        await client.call(m.MoverStopRequest())
        await tape.rewind(client)
        for _ in range(5):
            assert len((await client.call(m.TapeReadRequest(count=RECORD))).data_in) == RECORD
        with pytest.raises(NdmpReplyError, match="EOM_ERR"):
            await client.call(m.TapeReadRequest(count=RECORD))
    assert moved == 5 * RECORD


# Restores.


@pytest.mark.requirement("R312")
@pytest.mark.requirement("R321")
@pytest.mark.requirement("R322")
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (DeviceFault(kind=FaultKind.READ_ERROR, record=7), "Media error on tape read"),
        (DeviceFault(kind=FaultKind.HARDWARE_ERROR), "Tape read error"),
        (DeviceFault(kind=FaultKind.NOT_READY, times=1), "Tape read error"),
        (DeviceFault(kind=FaultKind.OFFLINE, times=1), "Tape read error"),
        (DeviceFault(kind=FaultKind.NO_TAPE), "Tape read error"),
        (DeviceFault(kind=FaultKind.RESERVED, times=1), "Tape reservation preempted"),
    ],
    ids=lambda value: value.kind.value if isinstance(value, DeviceFault) else "",
)
async def test_a_tape_that_fails_ends_a_restore(
    stack: ServedStack, fault: DeviceFault, text: str
) -> None:
    await written(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, "nrst0a", TapeOpenMode.READ)
        await tape.rewind(client)
        await asked(stack, FAULT_ADD, fault)
        await begin_restore(client)
        assert await stopped(client, told) == text


@pytest.mark.requirement("R324")
async def test_a_restore_with_too_small_records_says_so(stack: ServedStack) -> None:
    await written(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, "nrst0a", TapeOpenMode.READ)
        await tape.rewind(client)
        await begin_restore(client, RECORD // 2)
        assert await stopped(client, told) == "Tape record size is too small. Try a larger size."


@pytest.mark.requirement("R325")
async def test_a_restore_with_too_large_records_says_so_and_goes_on(stack: ServedStack) -> None:
    await written(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, "nrst0a", TapeOpenMode.READ)
        await tape.rewind(client)
        await begin_restore(client, 4 * RECORD)
        with trio.fail_after(PATIENCE_S):
            done = await client.wait_for(m.NotifyDataHaltedPost)
    assert done.reason is DataHaltReason.SUCCESSFUL
    assert texts(told).count("Tape record size should be 10240 and not 40960") == 1


@pytest.mark.requirement("R323")
async def test_a_restore_from_the_end_of_a_tape_says_so(stack: ServedStack) -> None:
    await written(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, "nrst0a", TapeOpenMode.READ)
        await client.call(m.TapeMtioRequest(tape_op=MtioOp.FSF, count=9))
        await begin_restore(client)
        with trio.fail_after(PATIENCE_S):
            paused = await client.wait_for(m.NotifyMoverPausedPost)
        assert paused.reason is MoverPauseReason.EOF
        await client.call(m.DataGetStateRequest())
        assert "Already at the end of tape" in texts(told)


@pytest.mark.requirement("R330")
async def test_a_remote_tape_that_ends_too_early_is_told(stack: ServedStack) -> None:
    fill(stack)
    async with heard(stack) as (client, told):
        listening = await client.call(m.DataListenRequest(addr_type=AddrType.TCP))
        endpoint = to_endpoint(listening.connect_addr)
        assert endpoint is not None
        async with await trio.open_tcp_stream(endpoint.host, endpoint.port) as connection:
            with trio.fail_after(PATIENCE_S):
                while (await client.call(m.DataGetStateRequest())).state == DataState.LISTEN:
                    await trio.lowlevel.checkpoint()
            name = m.Name(original_path="", destination_path=f"{VOLUME}/back")
            environment = (Pair("FILESYSTEM", VOLUME),)
            await client.call(
                m.DataStartRecoverRequest(env=environment, nlist=(name,), butype_name="dump")
            )
            await connection.send_all(bytes(1024))
            await connection.send_eof()
            with trio.fail_after(PATIENCE_S):
                halted = await client.wait_for(m.NotifyDataHaltedPost)
    assert halted.reason is DataHaltReason.INTERNAL_ERROR
    assert any(entry.startswith("Read Socket received EOF") for entry in told)


async def test_a_tape_is_restored_once_its_fault_has_gone(stack: ServedStack) -> None:
    await written(stack)
    async with heard(stack) as (client, told):
        await tape.open_device(client, "nrst0a", TapeOpenMode.READ)
        await tape.rewind(client)
        await arm(stack, FaultKind.READ_ERROR, record=7, times=1)
        await begin_restore(client)
        assert await stopped(client, told) == "Media error on tape read"
        await client.call(m.DataStopRequest())
        await client.call(m.MoverStopRequest())
        client.forget_notifications()
        await tape.rewind(client)
        await begin_restore(client)
        with trio.fail_after(PATIENCE_S):
            assert (await client.wait_for(m.NotifyDataHaltedPost)).reason is (
                DataHaltReason.SUCCESSFUL
            )
    (found,) = [path for path in (stack.volume / "back").rglob("large") if path.is_file()]
    assert found.read_bytes() == (stack.volume / "large").read_bytes()


# Requests for the tape itself.


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (DeviceFault(kind=FaultKind.NOT_READY, times=1), NdmpError.DEVICE_BUSY_ERR),
        (DeviceFault(kind=FaultKind.RESERVED, times=1), NdmpError.DEVICE_BUSY_ERR),
        (DeviceFault(kind=FaultKind.OFFLINE, times=1), NdmpError.TIMEOUT_ERR),
        (DeviceFault(kind=FaultKind.NO_TAPE), NdmpError.NO_TAPE_LOADED_ERR),
        (DeviceFault(kind=FaultKind.WRITE_PROTECTED), NdmpError.WRITE_PROTECT_ERR),
    ],
    ids=lambda value: value.kind.value if isinstance(value, DeviceFault) else value.name,
)
async def test_a_drive_that_cannot_be_opened_says_why(
    stack: ServedStack, fault: DeviceFault, error: NdmpError
) -> None:
    await asked(stack, FAULT_ADD, fault)
    async with stack.client() as client:
        with pytest.raises(NdmpReplyError, match=error.name):
            await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        await clear(stack)
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)


@pytest.mark.parametrize("op", [MtioOp.FSF, MtioOp.BSF, MtioOp.FSR, MtioOp.REW])
async def test_a_tape_that_cannot_be_moved_says_so(stack: ServedStack, op: MtioOp) -> None:
    await written(stack)
    async with stack.client() as client:
        await tape.open_device(client, "nrst0a", TapeOpenMode.READ)
        await arm(stack, FaultKind.HARDWARE_ERROR, times=1)
        with pytest.raises(NdmpReplyError, match="IO_ERR"):
            await client.call(m.TapeMtioRequest(tape_op=op, count=1))
        await tape.rewind(client)


async def test_a_drive_that_was_out_of_reach_does_not_know_its_tape_file(
    stack: ServedStack,
) -> None:
    await written(stack)
    async with stack.client() as client:
        await tape.open_device(client, "nrst0a", TapeOpenMode.READ)
        await tape.rewind(client)
        known = await client.call(m.TapeGetStateRequest())
        await arm(stack, FaultKind.OFFLINE, times=1)
        with pytest.raises(NdmpReplyError, match="TIMEOUT_ERR"):
            await client.call(m.TapeMtioRequest(tape_op=MtioOp.FSR, count=1))
        unknown = await client.call(m.TapeGetStateRequest())
    places = TapeUnsupported.FILE_NUM | TapeUnsupported.BLOCKNO
    assert (known.file_num, known.blockno, known.unsupported & places) == (0, 0, 0)
    assert (unknown.file_num, unknown.blockno) == (0xFFFF_FFFF, 0xFFFF_FFFF)
    assert unknown.unsupported & places == places


# How faults come.


async def test_faults_of_the_stack_file_strike(edited_stack: Callable[..., Any]) -> None:
    faults = 'faults = [{ kind = "no-tape", drive = 0 }]'
    async with edited_stack(
        lambda text: text.replace("[vtape]\n", f"[vtape]\n{faults}\n")
    ) as stack:
        async with stack.client() as client:
            with pytest.raises(NdmpReplyError, match="NO_TAPE_LOADED_ERR"):
                await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
            await tape.open_device(client, "nrst1a", TapeOpenMode.RDWR)
        (armed,) = (await asked(stack, FAULTS, NoRequest())).faults
    assert armed.fault == DeviceFault(kind=FaultKind.NO_TAPE, drive=0)


async def typed(stack: ServedStack, line: str) -> str:
    """What ``tapekit vtape fault ...`` prints.

    :raises TapekitError: what the command raised.
    """
    invoke = functools.partial(
        CliRunner().invoke, fault_app(lambda: stack.kernel.management), line.split()
    )
    with trio.fail_after(PATIENCE_S):
        result = await trio.to_thread.run_sync(invoke)
    if isinstance(result.exception, TapekitError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return str(result.output)


async def test_administrators_add_list_and_clear_faults(stack: ServedStack) -> None:
    told = await typed(stack, "add write-error --drive 1 --record 5 --times 2 --advanced")
    assert told == "fault 1 is armed: write-error drive=1 record=5 times=2\n"
    added = json.loads(await typed(stack, "add jam --advanced --json"))
    assert added == {"number": 2, "fault": {"kind": "jam"}, "struck": 0, "passed": 0}
    lines = (await typed(stack, "list")).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["1", "0", "write-error", "drive=1", "record=5", "times=2"],
        ["2", "0", "jam"],
    ]
    assert len(json.loads(await typed(stack, "list --json"))) == 2
    assert json.loads(await typed(stack, "clear 1 --json")) == [1]
    assert await typed(stack, "clear") == "cleared: 2\n"
    assert await typed(stack, "clear") == "cleared: none\n"
    with pytest.raises(OperationRefused, match="there is no fault 1"):
        await typed(stack, "clear 1")


async def test_faults_are_refused_with_a_reason(stack: ServedStack) -> None:
    with pytest.raises(TapekitError, match="the kind jam has no drive"):
        await typed(stack, "add jam --drive 0 --advanced")
    with pytest.raises(OperationRefused, match="there is no drive 7"):
        await typed(stack, "add not-ready --drive 7 --advanced")
    with pytest.raises(OperationRefused, match="advanced"):
        await typed(stack, "add jam")
    with pytest.raises(OperationRefused, match="advanced"):
        await asked(stack, FAULT_ADD, DeviceFault(kind=FaultKind.JAM), Privilege.ADMIN)
    assert (await asked(stack, FAULTS, NoRequest())).faults == ()
