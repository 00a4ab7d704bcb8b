"""Extensions of the protocol in live sessions: choosing, messages, IPv6 data."""

from __future__ import annotations

import re
import socket
import sys
import types
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from counting_extension import ROWS, CountedPost, CountRequest, counting_site
from session_stack import clock, serving
from tapekit.hookspecs.lifecycle import NoSettings
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    CAE,
    BackupPlan,
    Connecting,
    NdmpClient,
    RecoverPlan,
    TapeAt,
    back_up,
    choose_extensions,
    recover,
)
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AddrType, AuthType, DataState, NdmpError
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from session_stack import ServedStack

LOCAL, TCP, TCP_IPV6 = AddrType.LOCAL, AddrType.TCP, AddrType.TCP_IPV6


GUIDE = Path(__file__).parents[2] / "docs" / "writing-a-plugin.md"
GUIDE_EXTENSION = re.compile(
    r"^## An extension of NDMP\n.*?^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


async def test_the_extension_of_the_guide_works(tmp_path: Path) -> None:
    (source,) = GUIDE_EXTENSION.findall(GUIDE.read_text("utf-8"))
    guide = types.ModuleType("guide_extension")
    sys.modules[guide.__name__] = guide
    try:
        exec(compile(source, str(GUIDE), "exec"), vars(guide))
        (extension,) = guide.CountingPlugin(NoSettings()).tapekit_register_ndmp_extensions()
        directory = tmp_path / "site"
        async with (
            serving(directory, counting_site(directory, guide.CountingPlugin)) as stack,
            stack.client() as client,
        ):
            assert await choose_extensions(client, {0x3333: (1,)}, extension.exchanges)
            for count in (1, 2):
                reply: Any = await client.call(guide.CountRequest(what="sheep"))
                assert reply.count == count
            empty = guide.CountRequest(what="")
            assert await error_of(client, empty) == NdmpError.ILLEGAL_ARGS_ERR
    finally:
        del sys.modules[guide.__name__]


def selection(*pairs: tuple[int, int]) -> m.ConfigSetExtListRequest:
    return m.ConfigSetExtListRequest(
        ndmp_selected_ext=tuple(
            m.ClassVersion(ext_class_id=class_id, ext_version=version)
            for class_id, version in pairs
        )
    )


async def error_of(client: NdmpClient, request: Any) -> int:
    with pytest.raises(NdmpReplyError) as caught:
        await client.call(request)
    return caught.value.code


async def kinds_of(client: NdmpClient) -> tuple[int, ...]:
    return (await client.call(m.ConfigGetConnectionTypeRequest())).addr_types


@pytest.mark.requirement("R188")
async def test_an_extension_brings_messages_to_sessions_that_chose_it(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    async with serving(directory, counting_site(directory)) as stack:
        async with stack.client() as client, stack.client() as other:
            chosen = await choose_extensions(client, {0x3333: (2, 1), 0x2050: (3,)}, ROWS)
            assert chosen == {0x3333: 1}
            other.wire.exchanges = client.wire.exchanges
            for count in (1, 2):
                reply = await client.call(CountRequest(what="sheep"))
                assert reply.count == count
                assert (await client.wait_for(CountedPost)).what == "sheep"
            assert await error_of(client, CountRequest(what="")) == NdmpError.ILLEGAL_ARGS_ERR
            unread = CountRequest(what="goats")
            assert await error_of(other, unread) == NdmpError.NOT_SUPPORTED_ERR
            await client.call(m.DataListenRequest(addr_type=TCP))
            assert await error_of(client, unread) == NdmpError.ILLEGAL_STATE_ERR
        async with stack.stranger() as stranger:
            await stranger.open()
            assert await error_of(stranger, m.ConfigGetExtListRequest()) == (
                NdmpError.NOT_AUTHORIZED_ERR
            )


@pytest.mark.requirement("R188")
async def test_the_listing_names_classes_with_all_versions(stack: ServedStack) -> None:
    async with stack.client() as client:
        listing = (await client.call(m.ConfigGetExtListRequest())).class_list
        assert m.ClassVersions(ext_class_id=0x2051, ext_version=(1,)) in listing
        await choose_extensions(client, CAE)
        assert (await client.call(m.ConfigGetExtListRequest())).class_list == listing


@pytest.mark.requirement("R188")
async def test_a_choice_is_made_once_before_work_and_whole_or_not_at_all(
    stack: ServedStack,
) -> None:
    async with stack.client() as client:
        for pairs, error in (
            (((0x2099, 3), (0x2051, 1)), NdmpError.CLASS_NOT_SUPPORTED_ERR),
            (((0x2051, 2),), NdmpError.VERSION_NOT_SUPPORTED_ERR),
            (((0x2051, 1), (0x2051, 1)), NdmpError.EXT_DUPL_CLASSES_ERR),
        ):
            assert await error_of(client, selection(*pairs)) == error
            assert TCP_IPV6 not in await kinds_of(client)
        await client.call(selection((0x2051, 1)))
        assert await error_of(client, selection((0x2051, 1))) == NdmpError.EXT_DN_ILLEGAL_ERR
    async with stack.client() as client:
        await client.call(m.DataListenRequest(addr_type=TCP))
        await client.call(m.DataAbortRequest())
        await client.call(m.DataStopRequest())
        assert await error_of(client, selection((0x2051, 1))) == NdmpError.EXT_DN_ILLEGAL_ERR


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


def over_ipv6(text: str) -> str:
    return text.replace('"127.0.0.1:0"', '"[::1]:0"')


@asynccontextmanager
async def session6(stack: ServedStack, host: str = "::1") -> AsyncIterator[NdmpClient]:
    """A session that has logged in and chosen IPv6."""
    async with NdmpClient.connect(host, stack.port, clock=clock) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", stack.password)
        assert await choose_extensions(client, CAE) == {0x2051: 1}
        yield client


@needs_ipv6
@pytest.mark.requirement("R106")
@pytest.mark.requirement("R168")
@pytest.mark.parametrize("data_listens", [False, True], ids=["mover listens", "data listens"])
async def test_a_three_way_backup_over_ipv6_comes_back_equal(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
    tmp_path: Path,
    *,
    data_listens: bool,
) -> None:
    connecting = Connecting(kind=TCP_IPV6, data_listens=data_listens)
    async with edited_stack(over_ipv6) as stack, session6(stack) as data, session6(stack) as tape:
        make_tree(stack.volume, files=40, seed=5, wide=20, deep=4, far=1 << 20)
        assert await kinds_of(data) == (LOCAL, TCP_IPV6)
        plan = BackupPlan(
            tape=TapeAt("nrst0a"), environment=(("FILESYSTEM", "/vs1/vol1"),), connecting=connecting
        )
        backup = await back_up(data, plan, tape=tape)
        restore = RecoverPlan(
            parts=backup.parts,
            environment=backup.environment,
            names=(m.Name(original_path="", destination_path="/vs1/vol1/back"),),
            connecting=connecting,
        )
        await recover(data, restore, tape=tape)
        (stack.volume / "back").rename(tmp_path / "kept")
        found = compare_trees(stack.volume, tmp_path / "kept")
    assert [str(each) for each in found if each.path != "."] == []


@needs_ipv6
@pytest.mark.requirement("R117")
async def test_an_ipv6_listener_tells_the_address_of_the_control_connection(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
) -> None:
    async with edited_stack(over_ipv6) as stack, session6(stack) as client:
        reply = await client.call(m.DataListenRequest(addr_type=TCP_IPV6))
        assert isinstance(reply.connect_addr, m.TcpIpv6Addrs)
        (address,) = reply.connect_addr.tcp_ipv6_addr
        assert address.ip == socket.inet_pton(socket.AF_INET6, "::1")
        state = await client.call(m.DataGetStateRequest())
        assert state.data_connection_addr == reply.connect_addr


@needs_ipv6
@pytest.mark.requirement("R334")
@pytest.mark.parametrize(
    ("host", "kind", "text"),
    [
        (
            "127.0.0.1",
            TCP_IPV6,
            "Data connection type NDMP4_ADDR_TCP_IPv6 not supported for IPv4 control connections",
        ),
        (
            "::1",
            TCP,
            "Data connection type NDMP4_ADDR_TCP not supported for IPv6 control connections",
        ),
    ],
)
async def test_another_family_than_that_of_the_control_connection_is_refused(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
    host: str,
    kind: AddrType,
    text: str,
) -> None:
    def edit(stack: str) -> str:
        return stack if host == "127.0.0.1" else over_ipv6(stack)

    async with edited_stack(edit) as stack, session6(stack, host) as client:
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        listen = m.DataListenRequest(addr_type=kind)
        assert await error_of(client, listen) == NdmpError.ILLEGAL_ARGS_ERR
        assert told[-1].entry.startswith(text)


@needs_ipv6
async def test_ipv6_that_was_not_chosen_is_refused_with_the_reason(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
) -> None:
    async with (
        edited_stack(over_ipv6) as stack,
        NdmpClient.connect("::1", stack.port, clock=clock) as client,
    ):
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", stack.password)
        ip = socket.inet_pton(socket.AF_INET6, "::1")
        addresses = m.TcpIpv6Addrs(tcp_ipv6_addr=(m.TcpIpv6Addr(ip=ip, port=9, addr_env=()),))
        request = m.DataConnectRequest(addr=addresses)
        assert await error_of(client, request) == NdmpError.ILLEGAL_ARGS_ERR
        assert "need the extension class 0x2051" in told[-1].entry


@needs_ipv6
@pytest.mark.requirement("R187")
async def test_either_family_may_be_chosen_where_the_settings_say_so(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
) -> None:
    interfaces = (
        "[transport_tcp]\n"
        'preferred_interface_role = ["intercluster", "data"]\n'
        'interfaces = { data = ["127.0.0.2", "::1"] }\n'
    )

    def edit(text: str) -> str:
        return text.replace("[transport_tcp]\n", interfaces) + "\n[cae]\nany_family = true\n"

    async with edited_stack(edit) as stack, session6(stack, "127.0.0.1") as client:
        assert await kinds_of(client) == (LOCAL, TCP, TCP_IPV6)
        six = await client.call(m.DataListenRequest(addr_type=TCP_IPV6))
        assert isinstance(six.connect_addr, m.TcpIpv6Addrs)
        await client.call(m.DataAbortRequest())
        await client.call(m.DataStopRequest())
        four = await client.call(m.DataListenRequest(addr_type=TCP))
        assert isinstance(four.connect_addr, m.TcpAddrs)
        assert four.connect_addr.tcp_addr[0].ip == 0x7F00_0002


@pytest.mark.requirement("R187")
async def test_without_an_address_of_a_preferred_role_there_is_no_data_connection(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
) -> None:
    def edit(text: str) -> str:
        table = '[transport_tcp]\npreferred_interface_role = ["intercluster"]\n'
        return text.replace("[transport_tcp]\n", table)

    async with edited_stack(edit) as stack, stack.client() as client:
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        listen = m.DataListenRequest(addr_type=TCP)
        assert await error_of(client, listen) == NdmpError.CONNECT_ERR
        assert "no interface with a preferred role (intercluster)" in told[-1].entry
        state = await client.call(m.DataGetStateRequest())
        assert state.state == DataState.IDLE
