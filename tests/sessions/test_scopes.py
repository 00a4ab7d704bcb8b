"""The node-scoped and the SVM-scoped NDMP mode, in whole sessions."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
from typer.testing import CliRunner

from administrator import asked
from cluster_stacks import with_cab
from lif_stacks import scoped, volumes_of
from session_stack import clock, new_site, serving
from tapekit.cli.groups import group_command
from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import NoRequest
from tapekit.kernel import assemble, installed
from tapekit_cluster import operations as cluster_ops
from tapekit_cluster.commands import command_groups
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    CAE,
    BackupPlan,
    CopyPlan,
    NdmpClient,
    TapeAt,
    back_up,
    choose_extensions,
    copy_across,
)
from tapekit_ndmp_v4.commands import command_groups as ndmp_groups
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AddrType, AuthType, NdmpError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from session_stack import ServedStack

    EditedStack = Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]]

LOCAL, TCP, TCP_IPV6 = AddrType.LOCAL, AddrType.TCP, AddrType.TCP_IPV6
NODE_PASSWORD = b"of the node alone"
needs_ipv6 = pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")


def with_root(text: str) -> str:
    """An edit that adds the plugin, and a user ``root`` of the node."""
    user = '{ name = "root", password_file = "root-password", roles = ["node-scope"] }'
    ndmp = 'password_file = "ndmp-password" }'
    return scoped(text).replace(ndmp, f"{ndmp}, {user}")


def new_node(directory: Path, edit: Callable[[str], str] = str) -> Any:
    def edited(text: str) -> str:
        password = directory / "root-password"
        password.touch(0o600)
        password.write_bytes(NODE_PASSWORD)
        return edit(with_root(text))

    return new_site(directory, edited)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ServedStack]:
    """A node that is SVM-scoped, as all are at first."""
    directory = tmp_path / "node"
    async with serving(directory, new_node(directory)) as stack:
        yield stack


async def set_scope(stack: ServedStack, *, is_node_scoped: bool) -> None:
    change = cluster_ops.ScopeChange(is_node_scoped=is_node_scoped)
    await asked(stack, cluster_ops.SET_SCOPE, change)


@contextlib.asynccontextmanager
async def logged_in(
    stack: ServedStack, user: str, host: str = "127.0.0.1", method: AuthType = AuthType.MD5
) -> AsyncIterator[NdmpClient]:
    password = NODE_PASSWORD if user == "root" else stack.password
    async with NdmpClient.connect(host, stack.port, clock=clock) as client:
        await client.open()
        await client.authenticate(method, user, password)
        yield client


async def may_log_in(stack: ServedStack, user: str, method: AuthType = AuthType.MD5) -> bool:
    try:
        async with logged_in(stack, user, method=method):
            return True
    except NdmpReplyError as error:
        if error.code not in {NdmpError.NOT_AUTHORIZED_ERR, NdmpError.ILLEGAL_ARGS_ERR}:
            raise
        return False


def commanded(stack: ServedStack, line: str) -> str:
    """What a command of the plugin prints.

    :raises TapekitError: what it raised.
    """
    words = line.split()
    offered = (*command_groups(lambda: stack.kernel), *ndmp_groups(lambda: stack.kernel))
    groups = [group for group in offered if group.name.split()[0] == words[0]]
    app = group_command(groups)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, words)
    if isinstance(result.exception, TapekitError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


async def typed(stack: ServedStack, line: str) -> str:
    with trio.fail_after(60):
        return await trio.to_thread.run_sync(commanded, stack, line)


@pytest.mark.requirement("R218")
@pytest.mark.requirement("R107")
async def test_commands_switch_the_mode_and_it_is_remembered(tmp_path: Path) -> None:
    directory = tmp_path / "node"
    mode = "system services ndmp node-scope-mode"
    async with serving(directory, new_node(directory)) as stack:
        assert "disabled" in await typed(stack, f"{mode} status")
        assert "enabled" in await typed(stack, f"{mode} on")
        shown = json.loads(await typed(stack, f"{mode} status --json"))
        assert shown["is_node_scoped"] is True
    again = assemble(directory / "tapekit.toml", installed(), clock=clock)
    async with serving(directory, again) as stack:
        assert await may_log_in(stack, "root")
        assert not await may_log_in(stack, "ndmp")
        assert "disabled" in await typed(stack, f"{mode} off")
        assert await may_log_in(stack, "ndmp")


@pytest.mark.requirement("R107")
async def test_a_new_node_is_svm_scoped(node: ServedStack) -> None:
    assert not (await asked(node, cluster_ops.SCOPE, NoRequest())).is_node_scoped
    assert await may_log_in(node, "ndmp")


@pytest.mark.requirement("R174")
async def test_each_mode_has_credentials_of_its_own(node: ServedStack) -> None:
    assert [await may_log_in(node, user) for user in ("ndmp", "root")] == [True, False]
    async with logged_in(node, "ndmp") as before:
        await set_scope(node, is_node_scoped=True)
        assert [await may_log_in(node, user) for user in ("ndmp", "root")] == [False, True]
        # A session keeps the mode that it began with.
        assert await volumes_of(before) == {"/vs1/vol1"}


@pytest.mark.requirement("R172")
async def test_node_scope_takes_both_at_first(node: ServedStack) -> None:
    assert not await may_log_in(node, "ndmp", AuthType.TEXT)
    await set_scope(node, is_node_scoped=True)
    for method in (AuthType.MD5, AuthType.TEXT):
        assert await may_log_in(node, "root", method)


@pytest.mark.requirement("R172")
async def test_challenge_cannot_be_switched_off_in_node_scope(tmp_path: Path) -> None:
    directory = tmp_path / "node"

    def plaintext_alone(text: str) -> str:
        return text.replace("[auth]\n", '[auth]\nmethods = ["plaintext"]\n')

    async with serving(directory, new_node(directory, plaintext_alone)) as stack:
        assert not await may_log_in(stack, "ndmp", AuthType.MD5)
        await set_scope(stack, is_node_scoped=True)
        for method in (AuthType.MD5, AuthType.TEXT):
            assert await may_log_in(stack, "root", method)
        assert not await may_log_in(stack, "ndmp", AuthType.MD5)


@pytest.mark.requirement("R108")
@pytest.mark.requirement("R115")
async def test_a_session_of_the_node_backs_its_volumes_up_on_its_drives(
    node: ServedStack,
) -> None:
    (node.volume / "mine").write_text("planted")
    await set_scope(node, is_node_scoped=True)
    async with logged_in(node, "root") as client:
        plan = BackupPlan(tape=TapeAt("nrst0a"), environment=(("FILESYSTEM", "/vs1/vol1"),))
        result = await back_up(client, plan)
    assert result.bytes_processed > 0


@pytest.mark.requirement("R279")
async def test_smtape_is_for_the_svm_scoped_mode(node: ServedStack) -> None:
    assert "smtape" in await butypes(node, "ndmp")
    await set_scope(node, is_node_scoped=True)
    assert await butypes(node, "root") == {"dump"}
    plan = BackupPlan(
        tape=TapeAt("nrst0a"),
        environment=(("FILESYSTEM", "/vs1/vol1"),),
        butype="smtape",
        record_size=65536,
    )
    told: list[str] = []
    async with logged_in(node, "root") as client:
        client.on_post(m.LogMessagePost, lambda post: told.append(post.entry))
        with pytest.raises(TapekitError, match="DATA_START_BACKUP"):
            await back_up(client, plan)
    assert told[0].startswith("butype smtape works in the SVM-scoped NDMP mode only")


async def butypes(stack: ServedStack, user: str) -> set[str]:
    async with logged_in(stack, user) as client:
        info = (await client.call(m.ConfigGetButypeInfoRequest())).butype_info
        return {row.butype_name for row in info}


@pytest.mark.requirement("R188")
async def test_cluster_aware_backup_is_for_the_svm_scoped_mode(tmp_path: Path) -> None:
    directory = tmp_path / "node"
    async with serving(directory, new_node(directory, with_cab)) as stack:
        assert 0x2052 in await classes(stack, "ndmp")
        await set_scope(stack, is_node_scoped=True)
        assert 0x2052 not in await classes(stack, "root")


async def classes(stack: ServedStack, user: str) -> set[int]:
    async with logged_in(stack, user) as client:
        rows = (await client.call(m.ConfigGetExtListRequest())).class_list
        return {row.ext_class_id for row in rows}


def both_families(text: str) -> str:
    """IPv4 and IPv6 for data, whichever the control connection has."""
    table = (
        '[transport_tcp]\npreferred_interface_role = ["data"]\n'
        'interfaces = { data = ["127.0.0.1", "::1"] }\n'
    )
    return text.replace("[transport_tcp]\n", table)


async def kinds(client: NdmpClient) -> Sequence[int]:
    return (await client.call(m.ConfigGetConnectionTypeRequest())).addr_types


@needs_ipv6
@pytest.mark.requirement("R334")
@pytest.mark.parametrize("any_family", ["", "\n[cae]\nany_family = true\n"])
async def test_families_are_mixed_in_svm_scope_and_not_in_node_scope(
    tmp_path: Path, any_family: str
) -> None:
    directory = tmp_path / "node"
    kernel = new_node(directory, lambda text: both_families(text) + any_family)
    async with serving(directory, kernel) as stack:
        async with logged_in(stack, "ndmp") as client:
            await choose_extensions(client, CAE)
            assert tuple(await kinds(client)) == (LOCAL, TCP, TCP_IPV6)
            six = await client.call(m.DataListenRequest(addr_type=TCP_IPV6))
            assert isinstance(six.connect_addr, m.TcpIpv6Addrs)
        await set_scope(stack, is_node_scoped=True)
        async with logged_in(stack, "root") as client:
            told: list[str] = []
            client.on_post(m.LogMessagePost, lambda post: told.append(post.entry))
            await choose_extensions(client, CAE)
            assert tuple(await kinds(client)) == (LOCAL, TCP)
            with pytest.raises(NdmpReplyError, match="ILLEGAL_ARGS_ERR"):
                await client.call(m.DataListenRequest(addr_type=TCP_IPV6))
        assert told[0].startswith(
            "Data connection type NDMP4_ADDR_TCP_IPv6 not supported for IPv4 control connections"
        )


@pytest.mark.requirement("R095")
@pytest.mark.parametrize(("user", "is_node_scoped"), [("ndmp", False), ("root", True)])
async def test_an_address_leads_to_volumes_in_the_mode_of_the_time(
    node: ServedStack, user: str, is_node_scoped: bool
) -> None:
    (node.volume / "from").mkdir()
    (node.volume / "from" / "mine").write_text("planted")
    await set_scope(node, is_node_scoped=is_node_scoped)
    plan = CopyPlan(
        backup=(("FILESYSTEM", "/vs1/vol1/from"),),
        recover=(("FILESYSTEM", "/vs1/vol1"),),
        names=(m.Name(original_path="", destination_path="/vs1/vol1/to"),),
    )
    async with logged_in(node, user) as source, logged_in(node, user) as destination:
        await copy_across(source, destination, plan)
    assert (node.volume / "to" / "mine").read_text() == "planted"
