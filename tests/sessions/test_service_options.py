"""Options of the NDMP service that are changed while it runs, and remembered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
from typer.testing import CliRunner

from administrator import asked, typed
from session_stack import clock, new_site, serving, without
from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import (
    NoRequest,
    Operation,
    OperationRefused,
    OptionRequest,
    OptionState,
)
from tapekit.kernel import assemble, installed
from tapekit_admin.option_commands import options_app
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import operations as ops
from tapekit_ndmp_v4.client import BackupPlan, NdmpClient, ServerTrust, TapeAt, back_up, tape
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    AddrType,
    AuthType,
    DataState,
    MoverMode,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.settings import limits_for_memory
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from click.testing import Result

    from session_stack import ServedStack

SECURE = "vserver services ndmp modify -vserver vs1 -is-secure-control-connection-enabled"
AUTHTYPE = "vserver services ndmp modify -vserver vs1 -authtype"
UNVERIFIED = ServerTrust(unverified=True)


def any_port(text: str) -> str:
    return text.replace('"127.0.0.1:30000"', '"127.0.0.1:0"')


async def secure_port(stack: ServedStack) -> int:
    status = await asked(stack, ops.SERVICE, NoRequest())
    ports = [int(address.rpartition(":")[2]) for address in status.addresses]
    assert ports[0] == stack.port
    return ports[1]


async def rows(stack: ServedStack) -> list[dict[str, Any]]:
    shown = (await typed(stack, "vserver services ndmp show --json")).out
    found: list[dict[str, Any]] = json.loads(shown)
    return found


@pytest.mark.requirement("R185")
@pytest.mark.requirement("R008")
async def test_secure_connections_are_switched_while_the_server_runs(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    async with serving(directory, new_site(directory, any_port)) as stack:
        assert [row["is_secure"] for row in await rows(stack)] == [False]
        shown = (await typed(stack, f"{SECURE} true")).out
        assert shown.splitlines()[1].split() == ["vs1", "4", "true", "challenge", "true"]
        port = await secure_port(stack)
        async with NdmpClient.connect("127.0.0.1", port, clock=clock, tls=UNVERIFIED) as client:
            await client.open()
            await client.authenticate(AuthType.MD5, "ndmp", stack.password)
            assert (await typed(stack, f"{SECURE} false")).status == 0
            with pytest.raises(TapekitError, match="no NDMP server answers"):
                async with NdmpClient.connect("127.0.0.1", port, clock=clock, tls=UNVERIFIED):
                    raise AssertionError("nobody listens")
            # A session that is open goes on.
            state = await client.call(m.DataGetStateRequest())
            assert state.state == DataState.IDLE
        assert len((await asked(stack, ops.SERVICE, NoRequest())).addresses) == 1
        await typed(stack, f"{SECURE} true")
        port = await secure_port(stack)
        async with NdmpClient.connect("127.0.0.1", port, clock=clock, tls=UNVERIFIED) as client:
            await client.open()


@pytest.mark.requirement("R185")
async def test_what_was_switched_is_remembered_over_a_restart(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    async with serving(directory, new_site(directory, any_port)) as stack:
        await typed(stack, f"{SECURE} true")
    async with again(directory) as stack:
        assert [row["is_secure"] for row in await rows(stack)] == [True]


def again(directory: Path) -> AbstractAsyncContextManager[ServedStack]:
    """The same site, started once more."""
    return serving(directory, assemble(directory / "tapekit.toml", installed(), clock=clock))


async def test_what_cannot_listen_is_refused_and_stays_off(stack: ServedStack) -> None:
    (stack.directory / "ndmps.pem").unlink()
    with pytest.raises(OperationRefused, match=r"ndmps\.pem"):
        await typed(stack, f"{SECURE} true")
    assert [row["is_secure"] for row in await rows(stack)] == [False]


async def test_a_stack_without_secure_connections_has_none_to_switch(
    edited_stack: Callable[..., Any],
) -> None:
    async with edited_stack(without("transport_tls")) as stack:
        with pytest.raises(OperationRefused, match="no secure control connections to switch"):
            await typed(stack, f"{SECURE} true")
        assert [row["is_secure"] for row in await rows(stack)] == [None]


async def test_a_change_says_what_is_to_change(stack: ServedStack) -> None:
    for line in ("system services ndmp modify", "vserver services ndmp modify -vserver vs1"):
        outcome = await typed(stack, line)
        assert outcome.status == 2
        assert "what is to change" in outcome.out
    assert (await typed(stack, f"{AUTHTYPE} kerberos")).status == 2


async def offered(client: NdmpClient) -> tuple[int, ...]:
    await client.open()
    return (await client.call(m.ConfigGetServerInfoRequest())).auth_type


@pytest.mark.requirement("R172")
@pytest.mark.requirement("R214")
async def test_plaintext_logins_are_switched_off_for_the_node(stack: ServedStack) -> None:
    await typed(stack, f"{AUTHTYPE} plaintext,challenge")
    shown = (await typed(stack, "system services ndmp modify -clear-text false")).out
    assert "Clear Text: false\n" in shown
    async with stack.stranger() as client:
        assert await offered(client) == (AuthType.MD5,)
        with pytest.raises(NdmpReplyError, match="ILLEGAL_ARGS_ERR"):
            await client.authenticate(AuthType.TEXT, "ndmp", stack.password)
        await client.authenticate(AuthType.MD5, "ndmp", stack.password)
    await typed(stack, "system services ndmp modify -clear-text true")
    async with stack.stranger() as client:
        assert await offered(client) == (AuthType.TEXT, AuthType.MD5)


@pytest.mark.requirement("R173")
@pytest.mark.parametrize(
    ("switched", "expected"),
    [
        (None, {AuthType.MD5}),
        ("plaintext", {AuthType.TEXT, AuthType.MD5}),
        ("plaintext,challenge", {AuthType.TEXT, AuthType.MD5}),
    ],
)
async def test_storage_virtual_machines_take_the_challenge_alone_at_first(
    stack: ServedStack, switched: str | None, expected: set[AuthType]
) -> None:
    if switched is not None:
        await typed(stack, f"{AUTHTYPE} {switched}")
    async with stack.stranger() as client:
        # Of an SVM that nobody has switched one may log in by challenge.
        assert set(await offered(client)) == expected
        if AuthType.TEXT not in expected:
            told: list[str] = []
            client.on_post(m.LogMessagePost, lambda post: told.append(post.entry))
            with pytest.raises(NdmpReplyError, match="ILLEGAL_ARGS_ERR"):
                await client.authenticate(AuthType.TEXT, "ndmp", stack.password)
            assert "not offered here; offered: challenge" in told[0]
            assert "-authtype plaintext,challenge" in told[0]
            return
        await client.authenticate(AuthType.TEXT, "ndmp", stack.password)
        assert await volumes(client) == 1
        await client.authenticate(AuthType.MD5, "ndmp", stack.password)
        assert await volumes(client) == (0 if switched == "plaintext" else 1)


def with_both(text: str) -> str:
    return text.replace("[auth]\n", '[auth]\nmethods = ["plaintext", "challenge"]\n')


@pytest.mark.requirement("R173")
async def test_what_the_stack_file_says_of_methods_holds_for_every_svm(
    edited_stack: Callable[..., Any],
) -> None:
    async with edited_stack(with_both) as stack, stack.stranger() as client:
        assert [row["auth_methods"] for row in await rows(stack)] == [["challenge", "plaintext"]]
        assert await offered(client) == (AuthType.TEXT, AuthType.MD5)
        await client.authenticate(AuthType.TEXT, "ndmp", stack.password)
        assert await volumes(client) == 1


@pytest.mark.requirement("R173")
async def test_a_storage_virtual_machine_says_how_its_users_log_in(
    edited_stack: Callable[..., Any],
) -> None:
    async with edited_stack(with_both) as stack:
        await typed(stack, f"{AUTHTYPE} challenge")
        assert [row["auth_methods"] for row in await rows(stack)] == [["challenge"]]
        told: list[m.LogMessagePost] = []
        async with stack.stranger() as client:
            client.on_post(m.LogMessagePost, told.append)
            await client.open()
            await client.authenticate(AuthType.TEXT, "ndmp", stack.password)
            assert await volumes(client) == 0
            await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
            await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL))
            await client.call(m.DataConnectRequest(addr=m.LocalAddr()))
            start = m.DataStartBackupRequest(
                butype_name="dump", env=(Pair("FILESYSTEM", "/vs1/vol1"),)
            )
            with pytest.raises(NdmpReplyError, match="PERMISSION_ERR"):
                await client.call(start)
            assert "vs1 is closed to sessions that logged in by plaintext" in told[0].entry
            await client.authenticate(AuthType.MD5, "ndmp", stack.password)
            assert await volumes(client) == 1
        await typed(stack, f"{AUTHTYPE} plaintext,challenge")
        async with stack.stranger() as client:
            await client.open()
            await client.authenticate(AuthType.TEXT, "ndmp", stack.password)
            assert await volumes(client) == 1


def bound_to_vs1(text: str) -> str:
    return text.replace('{ name = "ndmp",', '{ name = "ndmp", svms = ["vs1"],')


@pytest.mark.requirement("R173")
async def test_whom_every_storage_virtual_machine_is_closed_to_cannot_log_in(
    edited_stack: Callable[..., Any],
) -> None:
    async with edited_stack(lambda text: with_both(bound_to_vs1(text))) as stack:
        await typed(stack, f"{AUTHTYPE} challenge")
        told: list[m.LogMessagePost] = []
        async with stack.stranger() as client:
            client.on_post(m.LogMessagePost, told.append)
            await client.open()
            with pytest.raises(NdmpReplyError) as refused:
                await client.authenticate(AuthType.TEXT, "ndmp", stack.password)
            assert refused.value.code == NdmpError.NOT_AUTHORIZED_ERR
            assert "ndmp cannot log in by plaintext" in told[0].entry
            await client.authenticate(AuthType.MD5, "ndmp", stack.password)


async def host_id(stack: ServedStack) -> str:
    async with stack.client() as client:
        return (await client.call(m.ConfigGetHostInfoRequest())).hostid


async def test_a_stack_keeps_a_host_identity_of_its_own(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    async with serving(one, new_site(one)) as stack, serving(other, new_site(other)) as second:
        first = await host_id(stack)
        assert len(first) == 32
        assert first != await host_id(second)
    async with again(one) as stack:
        assert await host_id(stack) == first


@pytest.mark.requirement("R210")
@pytest.mark.requirement("R209")
async def test_sysconfig_shows_the_memory_and_what_follows_from_it(stack: ServedStack) -> None:
    shown = (await typed(stack, "sysconfig -a")).out
    facts = await asked(stack, ops.SYSCONFIG, NoRequest())
    assert f"Memory Size: {facts.memory_bytes >> 20} MB\n" in shown
    limits = limits_for_memory(facts.memory_bytes)
    assert f"NDMP Sessions: {limits.ndmp}\n" in shown
    assert f"Dump Sessions: {limits.dump}\n" in shown
    assert f"SMTape Sessions: {limits.smtape}\n" in shown
    assert "Local Tape Jobs: 16\n" in shown
    assert "Tape drive (" in shown
    tapes = (await typed(stack, "sysconfig -t")).out.splitlines()
    assert tapes[0].startswith("    Tape drive (v.0)  ")
    assert any(
        line.startswith("    nrst0a   -  no rewind device,      format is: ") for line in tapes
    )
    assert any(
        line.startswith("    urst0a   -  unload/reload device,  format is: ") for line in tapes
    )
    as_json = json.loads((await typed(stack, "sysconfig --json")).out)
    assert as_json["memory_bytes"] == facts.memory_bytes
    assert "Tape drive" not in (await typed(stack, "sysconfig")).out


@pytest.mark.requirement("R068")
async def test_many_drives_raise_no_limit(edited_stack: Callable[..., Any]) -> None:
    async with edited_stack(lambda text: text.replace("drives = 2", "drives = 64")) as stack:
        facts = await asked(stack, ops.SYSCONFIG, NoRequest())
    assert len(facts.drives) == 64
    assert (facts.sessions_limit, facts.dump_sessions_limit, facts.smtape_sessions_limit) == (
        limits_for_memory(facts.memory_bytes)
    )


def optioned(stack: ServedStack, line: str) -> Result:
    return CliRunner().invoke(options_app(lambda: stack.kernel), line.split())


@pytest.mark.requirement("R310")
async def test_the_option_of_the_guide_turns_the_backup_log_off_and_on(stack: ServedStack) -> None:
    for value in ("off", "on"):
        for line in (
            f"-option_name backup.log.enable -option-value {value}",
            "-option-name backup.log.enable",
        ):
            shown = await trio.to_thread.run_sync(optioned, stack, line)
            last = shown.output.splitlines()[-1].split()
            assert last[:2] == ["backup.log.enable", value]
    refused = await trio.to_thread.run_sync(optioned, stack, "backup.log.enable perhaps")
    assert str(refused.exception) == "backup.log.enable cannot be perhaps"


async def volumes(client: NdmpClient) -> int:
    return len((await client.call(m.ConfigGetFsInfoRequest())).fs_info)


async def asked_option(stack: ServedStack, value: str) -> OptionState:
    option = stack.kernel.operations["options.ndmpd.offset_map.enable"].operation
    assert isinstance(option, Operation)
    state: OptionState = await asked(stack, option, OptionRequest(value=value))
    return state


@pytest.mark.requirement("R192")
async def test_the_offset_map_is_switched_and_stays_so(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    plan = BackupPlan(
        tape=TapeAt("nrst0a"), environment=(("FILESYSTEM", "/vs1/vol1"), ("HIST", "Y"))
    )
    async with serving(directory, new_site(directory)) as stack, stack.client() as client:
        assert "OFFSET_MAP_START" in dict((await back_up(client, plan)).environment)
        with pytest.raises(OperationRefused, match="cannot be perhaps"):
            await asked_option(stack, "perhaps")
        assert (await asked_option(stack, "off")).value == "off"
        assert "OFFSET_MAP_START" not in dict((await back_up(client, plan)).environment)
    async with again(directory) as stack, stack.client() as client:
        assert "OFFSET_MAP_START" not in dict((await back_up(client, plan)).environment)
