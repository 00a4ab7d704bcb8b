"""What administrators see and do of sessions: status, kill, switches, traces, replays."""

from __future__ import annotations

import json
import re
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from administrator import asked, typed
from session_stack import new_site, serving
from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import NoRequest, OperationRefused, Privilege
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import operations as ops
from tapekit_ndmp_v4.client import BackupPlan, NdmpClient, TapeAt, back_up
from tapekit_ndmp_v4.errors import ConnectionLost, NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    AuthType,
    ConnectionStatusReason,
    DataState,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from session_stack import ServedStack

VOLUME = "/vs1/vol1"


def fill(stack: ServedStack, files: int = 3) -> None:
    for number in range(files):
        (stack.volume / f"large-{number}").write_bytes(bytes(range(256)) * 16384)


@asynccontextmanager
async def stuck_backup(client: NdmpClient) -> AsyncIterator[None]:
    """A backup with an open tape, over TCP, whose other end nobody reads."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        port = listener.socket.getsockname()[1]
        address = m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=0x7F00_0001, port=port, addr_env=()),))
        await client.call(m.DataConnectRequest(addr=address))
        environment = (Pair("FILESYSTEM", VOLUME), Pair("HIST", "Y"))
        await client.call(m.DataStartBackupRequest(butype_name="dump", env=environment))
        with trio.fail_after(60):
            while (await client.call(m.DataGetStateRequest())).bytes_processed == 0:
                await trio.lowlevel.checkpoint()
        yield


def holders(stack: ServedStack) -> list[str | None]:
    inventory = stack.kernel.tape_inventory
    assert inventory is not None
    return [row.holder for row in inventory.drives() if row.holder is not None]


def snapshots(stack: ServedStack) -> list[str]:
    folder = stack.volume.with_name(stack.volume.name + ".snapshots")
    method = stack.kernel.snapshot_methods["copy"]
    return list(method.names(folder)) if folder.is_dir() else []


# Sessions.


@pytest.mark.requirement("R216")
@pytest.mark.requirement("R220")
async def test_status_lists_what_sessions_do(stack: ServedStack) -> None:
    fill(stack)
    async with stack.stranger() as stranger, stack.client() as client:
        await stranger.open()
        async with stuck_backup(client):
            idle, busy = (await asked(stack, ops.SESSIONS, ops.SessionChoice())).sessions
            node = await typed(stack, "system services ndmp status")
            svm = await typed(stack, "vserver services ndmp status -vserver vs1")
            rows = json.loads((await typed(stack, "ndmp status --json")).out)
    assert (idle.session, idle.is_authorized, idle.user, idle.data.state) == (1, False, "", "IDLE")
    assert (busy.session, busy.user, busy.tape_device) == (2, "ndmp", "nrst0a")
    assert (busy.data.state, busy.data.operation) == ("ACTIVE", "BACKUP")
    assert (busy.data.backup_format, busy.data.path) == ("dump", VOLUME)
    assert busy.data.bytes_processed > 0
    assert [row["session"] for row in rows] == [1, 2]
    heading, first, second = node.out.splitlines()
    assert heading.split()[:5] == ["Node", "Session", "Client", "User", "Data"]
    assert first.split()[1:5] == ["1", "127.0.0.1", "-", "IDLE"]
    assert second.split()[1:6] == ["2", "127.0.0.1", "ndmp", "ACTIVE", "BACKUP"]
    assert second.endswith(VOLUME)
    assert len(svm.out.splitlines()) == 2, "the session whose job works there, and a heading"


@pytest.mark.requirement("R216")
@pytest.mark.requirement("R220")
async def test_probe_shows_sessions_in_full(stack: ServedStack) -> None:
    fill(stack)
    async with stack.client() as client, stack.client(), stuck_backup(client):
        one = (await typed(stack, "vserver services ndmp probe 1")).out
        every = (await typed(stack, "system services ndmp probe")).out
        assert len(json.loads((await typed(stack, "ndmp probe 2 --json")).out)) == 1
    fields = dict(re.findall(r"(?m)^ *([\w ]+): ?(.*)$", one))
    assert fields["Session Identifier"] == "1"
    assert fields["NDMP Version"] == "4"
    assert fields["Session Authorized"] == "true"
    assert fields["Data State"] == "ACTIVE"
    assert fields["Data Server Connect Type"] == "TCP"
    assert fields["Data Backup Format"] == "dump"
    assert fields["Mover State"] == "IDLE"
    assert fields["Tape Device"] == "nrst0a"
    assert fields["Tape Mode"] == "Read/Write"
    assert every.count("Session Identifier:") == 2
    assert "Node: " in every


@pytest.mark.requirement("R216")
@pytest.mark.requirement("R220")
async def test_a_killed_session_is_told_why_and_leaves_nothing(stack: ServedStack) -> None:
    fill(stack)
    async with stack.client() as client, stack.client() as other, stuck_backup(client):
        assert holders(stack) == ["session 1"]
        begun = trio.current_time()
        assert (await typed(stack, "system services ndmp kill 1")).out == "Session 1 is ended.\n"
        assert trio.current_time() - begun < 1.5
        assert (holders(stack), snapshots(stack)) == ([], [])
        status = await client.wait_for(m.NotifyConnectionStatusPost)
        assert status.reason == ConnectionStatusReason.SHUTDOWN
        assert status.text_reason == "An administrator ended the session"
        with pytest.raises(ConnectionLost):
            await client.call(m.DataGetStateRequest())
        assert (await other.call(m.DataGetStateRequest())).state == DataState.IDLE


async def test_a_client_that_does_not_read_cannot_delay_its_end(stack: ServedStack) -> None:
    with socket.create_connection(("127.0.0.1", stack.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        async with stack.client() as asking:
            wire = asking.wire.send_request(m.ConfigGetServerInfoRequest())
            waiting = 0
            with trio.fail_after(60):
                while waiting == 0:
                    try:
                        client.send(wire * 1000)
                    except BlockingIOError:
                        await trio.lowlevel.checkpoint()
                    rows = (await asked(stack, ops.SESSIONS, ops.SessionChoice(session=1))).sessions
                    waiting = rows[0].queued_bytes
        begun = trio.current_time()
        assert (await asked(stack, ops.KILL, ops.SessionChoice(session=1))).sessions == (1,)
        assert trio.current_time() - begun < 1.5


@pytest.mark.requirement("R219")
@pytest.mark.requirement("R220")
@pytest.mark.requirement("R216")
async def test_all_sessions_are_ended_at_once(stack: ServedStack) -> None:
    for line in (
        "system services ndmp kill-all",
        "ndmp kill-all",
        "system services ndmp service terminate --advanced",
    ):
        async with stack.stranger() as one, stack.stranger() as two:
            await one.open()
            await two.open()
            assert re.fullmatch(r"Ended the sessions \d+, \d+\.\n", (await typed(stack, line)).out)
            for client in (one, two):
                with pytest.raises(ConnectionLost):
                    await client.call(m.ConfigGetServerInfoRequest())
    with pytest.raises(OperationRefused, match="for the advanced privilege level only"):
        await typed(stack, "system services ndmp service terminate")
    assert (await typed(stack, "ndmp kill-all")).out == "No session was open.\n"


@pytest.mark.requirement("R220")
@pytest.mark.requirement("R332")
async def test_sessions_of_one_storage_virtual_machine_are_ended_alone(stack: ServedStack) -> None:
    fill(stack)
    async with stack.client() as client, stack.client() as other, stuck_backup(client):
        killed = (await typed(stack, "vserver services ndmp kill-all -vserver vs1")).out
        assert killed == "Ended the sessions 1.\n"
        with pytest.raises(OperationRefused, match="ndmpd session 2 not active"):
            await typed(stack, "vserver services ndmp kill 2 --vserver vs1")
        assert (await other.call(m.DataGetStateRequest())).state == DataState.IDLE


@pytest.mark.requirement("R332")
@pytest.mark.parametrize(
    "line",
    [
        "ndmp kill 77",
        "ndmp probe 77",
        "vserver services ndmp kill 77",
        "system services ndmp log start 77 --advanced",
        "ndmp trace 77",
    ],
)
async def test_a_session_that_is_not_open_is_named(stack: ServedStack, line: str) -> None:
    with pytest.raises(OperationRefused) as refused:
        await typed(stack, line)
    assert str(refused.value) == "ndmpd session 77 not active"


# The service.


@pytest.mark.requirement("R214")
@pytest.mark.requirement("R222")
@pytest.mark.requirement("R008")
async def test_a_node_is_switched_off_and_on_for_new_sessions(tmp_path: Path) -> None:
    async with serving(tmp_path, new_site(tmp_path)) as stack, stack.client() as present:
        shown = (await typed(stack, "system services ndmp show")).out
        assert "Enabled: true\n" in shown, "as it is by default"
        assert (await typed(stack, "system services ndmp off")).out == "NDMP is off.\n"
        async with stack.stranger() as client:
            with pytest.raises(TapekitError, match="NDMP is off on this node"):
                await client.open()
        assert (await present.call(m.DataGetStateRequest())).state == DataState.IDLE
    async with serving(tmp_path, new_kernel(tmp_path)) as stack:
        async with stack.stranger() as client:
            with pytest.raises(TapekitError, match="NDMP is off on this node"):
                await client.open()
        await typed(stack, "system services ndmp modify -enable true")
        async with stack.client() as client:
            assert (await client.call(m.DataGetStateRequest())).state == DataState.IDLE
        await typed(stack, "system services ndmp modify --enable false")
        await typed(stack, "system services ndmp on")
        assert (await asked(stack, ops.SERVICE, NoRequest())).is_enabled
        assert (await typed(stack, "system services ndmp version")).out == "4\n"


def new_kernel(directory: Path) -> Any:
    """The stack of a site once more, as after a restart."""
    from session_stack import clock
    from tapekit.kernel import assemble, installed

    return assemble(directory / "tapekit.toml", installed(), clock=clock)


@pytest.mark.requirement("R219")
async def test_a_stopped_service_takes_no_sessions_until_started(stack: ServedStack) -> None:
    with pytest.raises(OperationRefused, match="advanced privilege level only"):
        await typed(stack, "system services ndmp service stop")
    await typed(stack, "system services ndmp service stop --advanced")
    assert "Running: false\n" in (await typed(stack, "system services ndmp service show")).out
    async with stack.stranger() as client:
        with pytest.raises(TapekitError, match="the NDMP service is stopped"):
            await client.open()
    await typed(stack, "system services ndmp service start --advanced")
    async with stack.stranger() as client:
        await client.open()


@pytest.mark.requirement("R215")
async def test_the_limit_of_sessions_can_be_changed(stack: ServedStack) -> None:
    before = (await asked(stack, ops.SERVICE, NoRequest())).sessions_limit
    shown = (await typed(stack, "system services ndmp service modify -common-sessions 1")).out
    assert "Common Sessions: 1\n" in shown
    async with stack.stranger() as first, stack.stranger() as second:
        await first.open()
        with pytest.raises(TapekitError, match="the limit of 1 NDMP sessions is reached"):
            await second.open()
    await typed(stack, "system services ndmp service modify --common-sessions 0")
    assert (await asked(stack, ops.SERVICE, NoRequest())).sessions_limit == before


@pytest.mark.requirement("R220")
@pytest.mark.requirement("R008")
async def test_a_storage_virtual_machine_is_switched_off(stack: ServedStack) -> None:
    environment = (("FILESYSTEM", VOLUME), ("HIST", "N"))
    plan = BackupPlan(tape=TapeAt("nrst0a"), environment=environment, record_size=10240)
    assert (await typed(stack, "vserver services ndmp off -vserver vs1")).status == 0
    shown = json.loads((await typed(stack, "vserver services ndmp show --json")).out)
    assert shown == [
        {
            "vserver": "vs1",
            "is_enabled": False,
            "version": 4,
            "auth_methods": ["challenge"],
            "is_secure": False,
        }
    ]
    told: list[m.LogMessagePost] = []
    async with stack.client() as client:
        client.on_post(m.LogMessagePost, told.append)
        with pytest.raises(NdmpReplyError) as refused:
            await back_up(client, plan)
        assert refused.value.code == NdmpError.PERMISSION_ERR
        assert "NDMP is off for the storage virtual machine vs1" in told[0].entry
        assert (await client.call(m.ConfigGetFsInfoRequest())).fs_info == ()
        await typed(stack, "vserver services ndmp modify -vserver vs1 -enable true")
        await back_up(client, plan)
    assert (await typed(stack, "vserver services ndmp version")).out.split()[-2:] == ["vs1", "4"]
    with pytest.raises(OperationRefused, match="no storage virtual machine vs9 with volumes here"):
        await typed(stack, "vserver services ndmp on -vserver vs9")


async def offered_classes(stack: ServedStack) -> list[int]:
    async with stack.client() as client:
        offered = (await client.call(m.ConfigGetExtListRequest())).class_list
    return [each.ext_class_id for each in offered]


@pytest.mark.requirement("R221")
async def test_an_extension_is_offered_or_not(stack: ServedStack) -> None:
    with pytest.raises(OperationRefused, match="advanced privilege level only"):
        await typed(stack, "vserver services ndmp extensions show")
    line = "vserver services ndmp extensions modify 0x2051 -enable false --advanced"
    assert (await typed(stack, line)).out.splitlines()[1].split() == ["0x2051", "CAE", "1", "false"]
    assert 0x2051 not in await offered_classes(stack)
    await typed(stack, line.replace("false", "true"))
    assert 0x2051 in await offered_classes(stack)
    with pytest.raises(OperationRefused, match="no extension of class 0x9999 in this stack"):
        await typed(stack, line.replace("0x2051", "0x9999"))
    assert (await typed(stack, line.replace("0x2051", "cae"))).status == 2


# Traces, logs and replays.


async def backed_up(stack: ServedStack, method: AuthType = AuthType.MD5) -> None:
    """One session from its beginning to its end."""
    environment = (("FILESYSTEM", VOLUME), ("LEVEL", "0"), ("HIST", "Y"))
    async with stack.stranger() as client:
        await client.open()
        await client.authenticate(method, "ndmp", stack.password)
        await client.call(m.ConfigGetHostInfoRequest())
        plan = BackupPlan(tape=TapeAt("nrst0a"), environment=environment, record_size=10240)
        await back_up(client, plan)
        with pytest.raises(NdmpReplyError):
            await client.call(m.DataStopRequest())


async def test_a_trace_shows_messages_as_they_come_and_no_secret(stack: ServedStack) -> None:
    fill(stack, 1)
    await typed(stack, "vserver services ndmp modify -vserver vs1 -authtype plaintext,challenge")
    lines: list[str] = []
    seen = trio.Event()

    def read() -> None:
        feed: Any = stack.kernel.management.follow(ops.TRACE, ops.TraceRequest())
        for item in feed:
            lines.extend(bytes(line).decode() for line in item.lines)
            if any('"CONNECT_CLOSE"' in line for line in lines):
                feed.close()
                break
        trio.from_thread.run_sync(seen.set)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, read)
        while not stack_is_traced(stack):
            await trio.lowlevel.checkpoint()
        await backed_up(stack, AuthType.TEXT)
        with trio.fail_after(60):
            await seen.wait()
    rows = [json.loads(line) for line in lines]
    assert {row["session"] for row in rows} == {1}
    kinds = [(row["kind"], row["message"]) for row in rows]
    assert kinds[0] == ("post", "NOTIFY_CONNECTION_STATUS")
    assert kinds[1:3] == [("request", "CONNECT_OPEN"), ("reply", "CONNECT_OPEN")]
    assert ("post", "FH_ADD_NODE") in kinds
    assert ("post", "NOTIFY_DATA_HALTED") in kinds
    assert stack.password.decode() not in "".join(lines)
    (login,) = (row for row in rows if (row["kind"], row["message"]) == (
        "request", "CONNECT_CLIENT_AUTH",
    ))  # fmt: skip
    assert login["body"]["auth_data"]["auth_password"] == "***"


def stack_is_traced(stack: ServedStack) -> bool:
    """Whether somebody reads all sessions."""
    offered = stack.kernel.operations[ops.TRACE.name]
    method: Any = offered.perform
    return bool(method.__self__._serving.server.traces._of_all)


async def recorded(stack: ServedStack) -> Path:
    """The log of one backup, and of nothing else."""
    started = (await typed(stack, "system services ndmp log start --advanced")).out
    await backed_up(stack)
    stopped = (await typed(stack, "system services ndmp log stop --advanced")).out
    assert started.startswith("Logging to ")
    assert stopped == started.replace("Logging", "Logged")
    return stack.directory / "logs" / started.strip().rpartition("/")[2]


@pytest.mark.requirement("R219")
@pytest.mark.requirement("R221")
async def test_a_session_is_logged_to_a_file_for_its_owner_alone(stack: ServedStack) -> None:
    with pytest.raises(OperationRefused, match="advanced privilege level only"):
        await typed(stack, "vserver services ndmp log start")
    async with stack.client() as client:
        started = await typed(stack, "vserver services ndmp log start 1 --advanced")
        with pytest.raises(OperationRefused, match="the log is being written to"):
            await typed(stack, "vserver services ndmp log start 1 --advanced")
        await client.call(m.MoverGetStateRequest())
        await typed(stack, "vserver services ndmp log stop 1 --advanced")
        await client.call(m.DataGetStateRequest())
    (file,) = (stack.directory / "logs").iterdir()
    assert started.out == f"Logging to {file}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["kind"], row["message"]) for row in rows] == [
        ("request", "MOVER_GET_STATE"),
        ("reply", "MOVER_GET_STATE"),
    ]
    with pytest.raises(OperationRefused, match="there is no log of session 1"):
        await typed(stack, "vserver services ndmp log stop 1 --advanced")


async def test_the_log_of_a_session_ends_with_it(stack: ServedStack) -> None:
    async with stack.client():
        await asked(stack, ops.LOG_START, ops.LogRequest(session=1))
        with trio.fail_after(60):
            await asked(stack, ops.KILL, ops.SessionChoice())
            with pytest.raises(OperationRefused, match="there is no log of session 1"):
                await until_refused(stack, ops.LogRequest(session=1))
    (file,) = (stack.directory / "logs").iterdir()
    assert '"NOTIFY_CONNECTION_STATUS"' in file.read_text()


async def until_refused(stack: ServedStack, request: ops.LogRequest) -> None:
    """Stop a log that may be just ending, until there is none."""
    while True:
        await asked(stack, ops.LOG_STOP, request)


async def test_a_log_that_cannot_be_made_is_told(stack: ServedStack) -> None:
    (stack.directory / "logs").touch()
    with pytest.raises(OperationRefused, match="the log cannot be made"):
        await asked(stack, ops.LOG_START, ops.LogRequest())


async def replayed(stack: ServedStack, file: Path, options: str = "") -> Any:
    secret = stack.directory / "ndmp-password"
    line = f"ndmp replay {file} --port {stack.port} --password-file {secret} {options}"
    return await typed(stack, line)


async def test_a_logged_session_is_replayed_as_it_was(stack: ServedStack) -> None:
    fill(stack, 1)
    file = await recorded(stack)
    assert stack.password.decode() not in file.read_text()
    outcome = await replayed(stack, file)
    assert outcome.status == 0, outcome.out
    assert re.fullmatch(r"\d+ requests, \d+ answers as recorded\n", outcome.out)
    as_json = json.loads((await replayed(stack, file, "--json")).out)
    requests = sum('"kind":"request"' in line for line in file.read_text().splitlines())
    assert as_json[0] == requests


async def test_the_first_difference_is_told_by_line_and_field(stack: ServedStack) -> None:
    fill(stack, 1)
    file = await recorded(stack)
    lines = file.read_text().splitlines(keepends=True)
    number = next(n for n, line in enumerate(lines) if "NOTIFY_DATA_HALTED" in line)
    lines[number] = lines[number].replace("SUCCESSFUL", "ABORTED")
    file.write_text("".join(lines))
    outcome = await replayed(stack, file)
    assert outcome.status == 1
    assert outcome.out.splitlines()[1] == (
        f"line {number + 1}: NOTIFY_DATA_HALTED: reason: recorded ABORTED, replayed SUCCESSFUL"
    )


async def test_a_server_that_refuses_is_a_difference(stack: ServedStack) -> None:
    file = await recorded(stack)
    await asked(stack, ops.MODIFY_SERVICE, ops.ServiceChange(is_enabled=False))
    outcome = await replayed(stack, file)
    assert outcome.status == 1
    assert "NOTIFY_CONNECTION_STATUS: reason: recorded CONNECTED, replayed REFUSED" in outcome.out


async def test_another_user_or_password_is_a_difference(stack: ServedStack) -> None:
    file = await recorded(stack)
    outcome = await replayed(stack, file, "--user nobody")
    assert outcome.status == 1
    assert "not recorded: LOG_MESSAGE: Login of user nobody from 127.0.0.1 refused" in outcome.out
    with pytest.raises(TapekitError, match="the recorded client logged in as ndmp"):
        await typed(stack, f"ndmp replay {file} --port {stack.port}")


async def test_operations_are_refused_before_the_server_serves(tmp_path: Path) -> None:
    kernel = new_site(tmp_path)
    with pytest.raises(TapekitError, match="has not begun to serve"):
        await kernel.operations[ops.SERVICE.name].perform(NoRequest())
    assert kernel.operations[ops.TERMINATE.name].operation.privilege is Privilege.ADVANCED
