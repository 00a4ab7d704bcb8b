"""What a session may not use here, it may not use on another node either, and
no node that hangs holds it for ever.
"""

from __future__ import annotations

import socket
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from administrator import typed
from cluster_stacks import HERE, THERE, cluster_client, first_node, second_node, two_nodes
from session_stack import clock, serving
from tapekit_cab import limiting as limits
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    CAB,
    PRIVATE_DATA,
    NdmpClient,
    choose_extensions,
    prepare_data_connection,
)
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AddrType, AuthType, MoverMode, NdmpError, TapeOpenMode
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from session_stack import ServedStack

SECOND, OF_VS2 = "/vs1/vol2", "/vs2/vol1"
OTHER_DRIVE = "node2:nrst0a"


def with_bob(text: str) -> str:
    """An edit that adds a user of vs1 alone, with the password of the first."""
    bob = '{ name = "bob", password_file = "ndmp-password", svms = ["vs1"] },'
    return text.replace("users = [", f"users = [{bob} ")


def with_vs2(directory: Path) -> Callable[[str], str]:
    """An edit that adds a volume of a second SVM."""

    def edit(text: str) -> str:
        (directory / "other").mkdir()
        folder = 'directory = "other"\nsnapshots = "none"\n'
        return f'{text}\n[[volumes.volume]]\npath = "{OF_VS2}"\n{folder}'

    return edit


def with_data_lif(text: str) -> str:
    """An edit that makes the address of the node that of a data LIF of vs1."""
    text = text.replace('    "cae",\n', '    "cae",\n    "cluster",\n')
    text = text.replace('svms = ["vs1"] }', 'svms = ["vs1"], roles = ["vsadmin"] }')
    lif = f'name = "data"\nrole = "data"\nsvm = "vs1"\naddresses = ["{HERE}"]\n'
    return f"{text}\n[[cluster.lif]]\n{lif}"


@asynccontextmanager
async def bob_at(stack: ServedStack, *more: int) -> AsyncIterator[NdmpClient]:
    """A session of bob that has chosen CAB, and classes of version 1."""
    async with NdmpClient.connect(HERE, stack.port, clock=clock) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "bob", stack.password)
        wanted = {**CAB, **dict.fromkeys(more, (1,))}
        assert await choose_extensions(client, wanted, limits.EXCHANGES) == dict.fromkeys(wanted, 1)
        yield client


async def volumes_of(client: NdmpClient) -> set[str]:
    rows = (await client.call(m.ConfigGetFsInfoRequest())).fs_info
    return {row.fs_logical_device for row in rows}


async def error_of(client: NdmpClient, request: Any) -> int:
    with pytest.raises(NdmpReplyError) as caught:
        await client.call(request)
    return caught.value.code


async def prepare(client: NdmpClient, kind: AddrType) -> None:
    assert await prepare_data_connection(client, kind, "dump", [("FILESYSTEM", SECOND)])


async def test_limits_without_anything_in_common_leave_nothing(tmp_path: Path) -> None:
    async with two_nodes(tmp_path, with_bob) as (first, _):
        async with bob_at(first, limits.LIMITING_CLASS) as client:
            assert await volumes_of(client) == {"/vs1/vol1", SECOND}
        async with bob_at(first, limits.LIMITING_CLASS) as client:
            await client.call(limits.NodeLimitRequest(svms=("vs9",)))
            assert await volumes_of(client) == set()
            with pytest.raises(NdmpReplyError) as caught:
                await client.authenticate(AuthType.MD5, "bob", first.password)
            assert caught.value.code == NdmpError.NOT_AUTHORIZED_ERR


async def test_what_is_closed_here_is_closed_there(tmp_path: Path) -> None:
    two, one = tmp_path / "node2", tmp_path / "node1"
    async with (
        serving(two, second_node(two, with_vs2(two))) as second,
        serving(one, first_node(one, second, with_vs2(one))) as first,
    ):
        async with cluster_client(first) as client:
            assert await volumes_of(client) == {"/vs1/vol1", SECOND, OF_VS2}
        outcome = await typed(first, "vserver services ndmp off -vserver vs2")
        assert outcome.status == 0
        async with cluster_client(first) as client:
            assert await volumes_of(client) == {"/vs1/vol1", SECOND}
            await prepare(client, AddrType.TCP)
            reply = await client.call(m.DataListenRequest(addr_type=AddrType.TCP))
            assert isinstance(reply.connect_addr, m.TcpAddrs)
            port = reply.connect_addr.tcp_addr[0].port
            with socket.create_connection((THERE, port)):
                for destination, name in (("/", "vs2/vol1"), ("//./", "/vs2"), (OF_VS2, "")):
                    entry = m.Name(
                        original_path="", destination_path=destination, name=name, other_name=""
                    )
                    recover = m.DataStartRecoverRequest(
                        butype_name="dump", env=(Pair("FILESYSTEM", SECOND),), nlist=(entry,)
                    )
                    assert await error_of(client, recover) == NdmpError.PERMISSION_ERR


async def test_connections_elsewhere_are_of_the_kinds_that_the_lif_permits(tmp_path: Path) -> None:
    async with (
        two_nodes(tmp_path, lambda text: with_data_lif(with_bob(text))) as (first, _),
        bob_at(first) as client,
    ):
        assert await volumes_of(client) == {"/vs1/vol1", SECOND}
        device = m.TapeOpenRequest(device=OTHER_DRIVE, mode=TapeOpenMode.READ)
        assert await error_of(client, device) == NdmpError.NO_DEVICE_ERR
        await prepare(client, AddrType.LOCAL)
        listen = m.DataListenRequest(addr_type=AddrType.LOCAL)
        assert await error_of(client, listen) == NdmpError.ILLEGAL_ARGS_ERR
        connect = m.DataConnectRequest(addr=m.LocalAddr())
        assert await error_of(client, connect) == NdmpError.ILLEGAL_ARGS_ERR
        await prepare(client, AddrType.TCP)
        await client.call(m.DataListenRequest(addr_type=AddrType.TCP))


async def test_private_connections_do_not_become_others_on_another_node(tmp_path: Path) -> None:
    def in_the_clear(text: str) -> str:
        return text.replace("[transport_tls]\n", "[transport_tls]\nprivate_data = false\n")

    two, one = tmp_path / "node2", tmp_path / "node1"
    async with (
        serving(two, second_node(two, in_the_clear)) as second,
        serving(one, first_node(one, second)) as first,
        first.client() as client,
    ):
        told: list[str] = []
        client.on_post(m.LogMessagePost, lambda post: told.append(post.entry))
        both = {**CAB, **PRIVATE_DATA}
        assert await choose_extensions(client, both) == dict.fromkeys(both, 1)
        await client.call(m.TapeOpenRequest(device=OTHER_DRIVE, mode=TapeOpenMode.READ))
        await prepare(client, AddrType.TCP)
        for request in (
            m.DataListenRequest(addr_type=AddrType.TCP),
            m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP),
        ):
            assert await error_of(client, request) == NdmpError.PERMISSION_ERR
            assert "node2 lacks the class 0x7a9e" in told.pop()
        await prepare(client, AddrType.LOCAL)
        await client.call(m.DataListenRequest(addr_type=AddrType.LOCAL))


# A node that hangs.


class HangingNode:
    """Stands before a node, and says nothing more once a request comes by that
    has ``word`` in it: neither to who waits nor to who comes. Or it only takes
    its time, turns those who come away, and goes on after ``turned_away``.
    """

    def __init__(self, port: int, word: bytes, turned_away: int | None = None) -> None:
        self._port = port
        self._word = word
        self._left = turned_away
        self._hangs = False
        self._goes_on = trio.Event()

    async def serve(self, task_status: trio.TaskStatus[int]) -> None:
        listeners = await trio.open_tcp_listeners(0, host=THERE)
        task_status.started(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(self._stand_between, listeners)

    async def _stand_between(self, client: trio.SocketStream) -> None:
        if self._hangs and self._left is not None:
            await client.aclose()
            self._left -= 1
            if self._left == 0:
                self._goes_on.set()
            return
        node = await trio.open_tcp_stream(THERE, self._port)
        async with aclosing(client), aclosing(node), trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on, node, client)
            await self._pass_on(client, node)
            nursery.cancel_scope.cancel()

    async def _pass_on(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            while data := await source.receive_some():
                self._hangs = self._hangs or self._word in data
                if self._hangs:
                    await self._goes_on.wait()
                await sink.send_all(data)
        except trio.BrokenResourceError:
            return


@asynccontextmanager
async def behind_hanging_node(
    tmp_path: Path, turned_away: int | None = None, word: bytes = b"nrst0a"
) -> AsyncIterator[NdmpClient]:
    two, one = tmp_path / "node2", tmp_path / "node1"
    async with serving(two, second_node(two)) as second, trio.open_nursery() as nursery:
        hanging = HangingNode(second.port, word, turned_away)
        port = await nursery.start(hanging.serve)

        def edit(text: str) -> str:
            text = text.replace(f'"{THERE}:{second.port}"', f'"{THERE}:{port}"')
            return text.replace("[[cab.node]]", "[cab]\nanswer_timeout_s = 0.5\n[[cab.node]]")

        async with (
            serving(one, first_node(one, second, edit)) as first,
            cluster_client(first) as client,
        ):
            yield client
        nursery.cancel_scope.cancel()


async def test_a_node_that_hangs_counts_as_lost(tmp_path: Path) -> None:
    async with behind_hanging_node(tmp_path) as client:
        told: list[str] = []
        client.on_post(m.LogMessagePost, lambda post: told.append(post.entry))
        open_there = m.TapeOpenRequest(device=OTHER_DRIVE, mode=TapeOpenMode.READ)
        with trio.fail_after(60):
            assert await error_of(client, open_there) == NdmpError.ILLEGAL_STATE_ERR
        assert "it hangs: no answer within 0.5 s" in told[-1]
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.READ))


LISTING: Final = bytes([0, 0, 0, 0, 0, 0, 1, 5])
"""A request, and its code: CONFIG_GET_FS_INFO."""


async def test_a_node_that_lists_its_volumes_slowly_is_not_lost(tmp_path: Path) -> None:
    async with behind_hanging_node(tmp_path, turned_away=2, word=LISTING) as client:
        with trio.fail_after(60):
            await client.call(m.TapeOpenRequest(device=OTHER_DRIVE, mode=TapeOpenMode.READ))


async def test_a_node_that_hangs_while_it_is_asked_for_volumes_is_found_out(
    tmp_path: Path,
) -> None:
    async with behind_hanging_node(tmp_path, word=LISTING) as client:
        told: list[str] = []
        client.on_post(m.LogMessagePost, lambda post: told.append(post.entry))
        open_there = m.TapeOpenRequest(device=OTHER_DRIVE, mode=TapeOpenMode.READ)
        with trio.fail_after(60):
            assert await error_of(client, open_there) == NdmpError.UNDEFINED_ERR
        assert "it hangs: no answer within 0.5 s" in told[-1]


async def test_a_node_that_takes_its_time_and_turns_others_away_is_not_lost(
    tmp_path: Path,
) -> None:
    async with behind_hanging_node(tmp_path, turned_away=2) as client:
        with trio.fail_after(60):
            await client.call(m.TapeOpenRequest(device=OTHER_DRIVE, mode=TapeOpenMode.READ))
