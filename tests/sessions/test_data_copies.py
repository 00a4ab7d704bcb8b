"""Copies from stack to stack, and everything that cuts them short."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from administrator import asked
from session_stack import clock, new_site, serving
from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import NoRequest
from tapekit.marks import Marks, QtreeMark, SecurityStyle
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import operations as ops
from tapekit_ndmp_v4.client import CopyResult, NdmpClient, Side, copy_across
from tapekit_ndmp_v4.errors import OperationFailed
from tapekit_ndmp_v4.numbers import (
    AddrType,
    AuthType,
    DataHaltReason,
    DataState,
    MessageType,
)
from tapekit_ndmp_v4.wire import Pair
from tapekit_ndmpcopy.logins import Login
from tapekit_ndmpcopy.order import CopyOrder, plan_copy
from tapekit_ndmpcopy.places import Family, Place
from tapekit_ndmpcopy.run import Surroundings, run_copy
from tapekit_ndmpcopy.words import Hearing, Words
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from session_stack import ServedStack

VOLUME = "/vs1/vol1"
TCP = (AddrType.TCP,)
END_HEADER = (5).to_bytes(4, "little")
"""How the first of the headers begins that fill the last block (TS_END)."""


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[ServedStack]:
    """A second site that serves."""
    directory = tmp_path / "target"
    async with serving(directory, new_site(directory)) as served:
        yield served


def login(stack: ServedStack, **changes: Any) -> Login:
    options = {"user": "ndmp", "password": stack.password, "method": AuthType.MD5}
    return Login(**options | changes)


def order(stack: ServedStack, target: ServedStack, to: str = VOLUME, **changes: Any) -> CopyOrder:
    options: dict[str, Any] = {
        "source": Place(host="127.0.0.1", port=stack.port, path=VOLUME),
        "destination": Place(host="127.0.0.1", port=target.port, path=to),
        "source_login": login(stack),
        "destination_login": login(target),
    }
    return CopyOrder(**options | changes)


async def run(asked: CopyOrder, **changes: Any) -> CopyResult:
    options: dict[str, Any] = {
        "clock": clock,
        "hearing": Hearing(lambda _words: None),
        "on_state": lambda _state: None,
        "watchers": {},
    }
    return await run_copy(asked, Surroundings(**options | changes))


async def failure(asked: CopyOrder) -> TapekitError:
    with pytest.raises(TapekitError) as failed:
        await run(asked)
    return failed.value


def same(first: Path, second: Path) -> list[str]:
    return [str(each) for each in compare_trees(first, second)]


def small_tree(stack: ServedStack) -> None:
    make_tree(stack.volume, files=60, seed=3, wide=40, deep=5, far=1 << 20)


def large_files(stack: ServedStack) -> None:
    for number in range(6):
        (stack.volume / f"file{number}").write_bytes(os.urandom(8 << 20))


async def test_two_addresses_of_one_server_are_seen_to_be_one(
    edited_stack: Callable[..., Any],
) -> None:
    async with edited_stack(two_addresses) as stack:
        small_tree(stack)
        status = await asked(stack, ops.SERVICE, NoRequest())
        port = int(status.addresses[1].rpartition(":")[2])
        place = Place(host="127.0.0.2", port=port, path=VOLUME)
        assert (await failure(order(stack, stack, destination=place))).id == "ndmpcopy.same-place"
        within = msgspec.structs.replace(place, path=f"{VOLUME}/below")
        assert (await failure(order(stack, stack, destination=within))).id == (
            "ndmpcopy.place-within"
        )
        (stack.volume / "part").mkdir()
        (stack.volume / "part" / "file").touch()
        above = msgspec.structs.replace(place, path=f"{VOLUME}/part")
        await run(order(stack, stack, source=above, to="/vs1/vol1/copy"))
        assert (stack.volume / "copy" / "file").exists()


def two_addresses(text: str) -> str:
    return text.replace('listen = ["127.0.0.1:0"]', 'listen = ["127.0.0.1:0", "127.0.0.2:0"]')


# What works.


@pytest.mark.requirement("R084")
@pytest.mark.requirement("R087")
@pytest.mark.parametrize("to", [VOLUME, f"{VOLUME}/new/place"])
async def test_a_volume_arrives_equal(stack: ServedStack, target: ServedStack, to: str) -> None:
    small_tree(stack)
    result = await run(order(stack, target, to))
    assert result.kind is AddrType.TCP
    assert result.bytes_processed > 1 << 20
    assert same(stack.volume, target.volume / to.removeprefix(VOLUME).lstrip("/")) == []


@pytest.mark.requirement("R087")
async def test_a_directory_is_copied_alone(stack: ServedStack, target: ServedStack) -> None:
    small_tree(stack)
    inner = stack.volume / "inner"
    inner.mkdir()
    (inner / "file").write_text("inside")
    source = Place(host="127.0.0.1", port=stack.port, path=f"{VOLUME}/inner")
    await run(order(stack, target, f"{VOLUME}/copy", source=source))
    assert same(inner, target.volume / "copy") == []


@pytest.mark.requirement("R084")
@pytest.mark.requirement("R087")
async def test_a_qtree_is_copied_with_its_volume_and_alone(
    stack: ServedStack, target: ServedStack
) -> None:
    mark = QtreeMark(id=7, security_style=SecurityStyle.MIXED, oplocks=False)
    (stack.volume / "home/user").mkdir(parents=True)
    (stack.volume / "home/user/file").write_bytes(b"a file of a qtree")
    os.setxattr(stack.volume / "home", *Marks().attribute(mark))
    await run(order(stack, target))
    assert qtree_at(target.volume / "home") == mark
    place = Place(host="127.0.0.1", port=stack.port, path=f"{VOLUME}/home")
    await run(order(stack, target, f"{VOLUME}/alone", source=place))
    assert same(stack.volume / "home/user", target.volume / "alone/user") == []


def qtree_at(place: Path) -> QtreeMark | None:
    fd = os.open(place, os.O_RDONLY)
    try:
        return Marks().read(fd, QtreeMark)
    finally:
        os.close(fd)


@pytest.mark.requirement("R086")
@pytest.mark.requirement("R104")
async def test_one_server_can_be_both_ends(stack: ServedStack) -> None:
    (stack.volume / "from").mkdir()
    make_tree(stack.volume / "from", files=60, seed=3, wide=40, deep=5, far=1 << 20)
    source = Place(host="127.0.0.1", port=stack.port, path=f"{VOLUME}/from")
    await run(order(stack, stack, f"{VOLUME}/to", source=source))
    assert same(stack.volume / "from", stack.volume / "to") == []


async def test_what_is_there_stays_and_what_comes_replaces(
    stack: ServedStack, target: ServedStack
) -> None:
    (stack.volume / "file").write_text("new")
    (target.volume / "file").write_text("old and longer")
    (target.volume / "other").write_text("stays")
    await run(order(stack, target))
    assert (target.volume / "file").read_text() == "new"
    assert (target.volume / "other").read_text() == "stays"


@pytest.mark.requirement("R098")
@pytest.mark.parametrize("method", [AuthType.MD5, AuthType.TEXT])
async def test_each_end_has_its_own_login(
    tmp_path: Path, stack: ServedStack, method: AuthType
) -> None:
    def with_plaintext(text: str) -> str:
        return text.replace("[auth]\n", '[auth]\nmethods = ["plaintext", "challenge"]\n', 1)

    directory = tmp_path / "plain"
    async with serving(directory, new_site(directory, with_plaintext)) as target:
        (stack.volume / "file").write_text("content")
        await run(order(stack, target, destination_login=login(target, method=method)))
        assert (target.volume / "file").read_text() == "content"


async def test_servers_are_idle_after_a_copy(stack: ServedStack, target: ServedStack) -> None:
    (stack.volume / "file").write_text("content")
    async with stack.client() as source, target.client() as destination:
        plan = plan_copy(order(stack, target), TCP)
        for _ in range(2):
            await copy_across(source, destination, plan)
            for client in (source, destination):
                assert await state(client) is DataState.IDLE


# What fails.


async def state(client: NdmpClient) -> int:
    return (await client.call(m.DataGetStateRequest())).state


@pytest.mark.requirement("R089")
@pytest.mark.parametrize(
    ("user", "role"),
    [
        ("admin", "admin"),
        ("admin", "backup"),
        ("vsadmin", "vsadmin"),
        ("vsadmin", "vsadmin-backup"),
    ],
)
async def test_administrators_of_cluster_and_machine_copy_what_is_theirs(
    tmp_path: Path, target: ServedStack, user: str, role: str
) -> None:
    directory = tmp_path / "source"
    (directory / "other").mkdir(parents=True)
    (directory / "other" / "file").write_text("of vs2")

    def with_other(text: str) -> str:
        who = f'{{ name = "{user}", roles = ["{role}"],'
        who += ' svms = ["vs1"],' if user == "vsadmin" else ""
        volume = 'path = "/vs2/vol1"\ndirectory = "other"\nsnapshots = "none"\n'
        text = text.replace('{ name = "ndmp",', who)
        return f"{text}\n[[volumes.volume]]\n{volume}"

    async with serving(directory, new_site(directory, with_other)) as stack:
        (stack.volume / "file").write_text("of vs1")
        mine = login(stack, user=user)
        await run(order(stack, target, source_login=mine))
        assert (target.volume / "file").read_text() == "of vs1"
        place = Place(host="127.0.0.1", port=stack.port, path="/vs2/vol1")
        theirs = order(stack, target, f"{VOLUME}/back", source=place, source_login=mine)
        if user == "admin":
            await run(theirs)
            assert (target.volume / "back/file").read_text() == "of vs2"
        else:
            assert "/vs2/vol1" in str(await failure(theirs))
            assert not (target.volume / "back/file").exists()


async def test_a_wrong_password_is_told_with_its_side(
    stack: ServedStack, target: ServedStack
) -> None:
    error = await failure(order(stack, target, destination_login=login(target, password=b"wrong")))
    assert f"the destination at 127.0.0.1:{target.port} refuses ndmp with MD5" in str(error)
    assert "NOT_AUTHORIZED_ERR" in str(error)
    assert "the NDMP password that the server has generated" in error.action


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"path": f"{VOLUME}/nothing"}, "the source says: /vs1/vol1/nothing: no such directory"),
        ({"path": "/vs1/vol7"}, "the source says: there is no volume /vs1/vol7"),
    ],
)
async def test_a_source_that_is_not_there_is_told_in_its_words(
    stack: ServedStack, target: ServedStack, changes: dict[str, str], told: str
) -> None:
    source = Place(host="127.0.0.1", port=stack.port, **changes)
    error = await failure(order(stack, target, source=source))
    assert error.id == "ndmpcopy.copy-failed"
    assert told in str(error)
    assert list(target.volume.iterdir()) == []


async def test_a_destination_that_is_not_there_is_told_in_its_words(
    stack: ServedStack, target: ServedStack
) -> None:
    error = await failure(order(stack, target, "/vs1/vol7"))
    assert "the destination says: there is no volume /vs1/vol7" in str(error)


@pytest.mark.parametrize("side", list(Side))
async def test_a_side_that_is_aborted_ends_the_other(
    stack: ServedStack, target: ServedStack, side: Side
) -> None:
    """As an operator would who aborts one session."""
    large_files(stack)
    async with stack.client() as source, target.client() as destination:
        victim = {Side.SOURCE: source, Side.DESTINATION: destination}[side]

        async def abort_when_it_runs() -> None:
            while await state(source) is not DataState.ACTIVE:
                await trio.lowlevel.checkpoint()
            await victim.call(m.DataAbortRequest())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(abort_when_it_runs)
            with pytest.raises(OperationFailed) as failed:
                await copy_across(source, destination, plan_copy(order(stack, target), TCP))
        assert f"the {side} halted with ABORTED" in str(failed.value) or (
            f"{side} with ABORTED" in str(failed.value)
        )
        assert await state(source) is await state(destination) is DataState.IDLE
        # Nothing is left that a second copy could trip over.
        await copy_across(source, destination, plan_copy(order(stack, target), TCP))
    assert same(stack.volume, target.volume) == []


@pytest.mark.parametrize("side", list(Side))
async def test_a_lost_session_ends_the_other(
    stack: ServedStack, target: ServedStack, side: Side
) -> None:
    large_files(stack)
    async with target.client() as destination, stack.client() as source:
        kept = {Side.SOURCE: destination, Side.DESTINATION: source}[side]
        lost = source if kept is destination else destination

        async def cut_when_it_runs() -> None:
            while await state(source) is not DataState.ACTIVE:
                await trio.lowlevel.checkpoint()
            await trio.aclose_forcefully(lost._stream)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cut_when_it_runs)
            with pytest.raises(TapekitError, match="lost"):
                await copy_across(source, destination, plan_copy(order(stack, target), TCP))
        assert await state(kept) is DataState.IDLE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_both_servers_first(
    stack: ServedStack, target: ServedStack, number: signal.Signals
) -> None:
    large_files(stack)
    heard: list[str] = []

    def strike(_direction: Any, header: Any, exchange: Any, _body: Any) -> None:
        heard.append(exchange.name)
        if exchange.name == "DATA_START_BACKUP" and header.message_type == MessageType.REPLY:
            os.kill(os.getpid(), number)

    with pytest.raises(TapekitError, match=f"interrupted by {number.name}"):
        await run(order(stack, target), watchers={Side.SOURCE: strike, Side.DESTINATION: strike})
    assert heard.count("DATA_ABORT") >= 2
    assert heard.count("DATA_STOP") >= 2


async def test_what_servers_say_is_heard_as_they_say_it(
    stack: ServedStack, target: ServedStack
) -> None:
    (stack.volume / "file").write_text("content")
    told: list[Words] = []
    await run(order(stack, target), hearing=Hearing(told.append))
    assert {words.side for words in told} == {Side.SOURCE, Side.DESTINATION}
    assert not any(words.is_error for words in told)


# How the server does its part.


async def test_a_restore_hears_the_sender_out(stack: ServedStack, target: ServedStack) -> None:
    """The padding behind the last header may come late; closing before would
    make the sender's last words a failure.
    """
    (stack.volume / "file").write_text("content")
    (stack.volume / "other").write_text("content")
    image = await image_of(stack)
    end = end_of(image)
    assert end < len(image)
    async with target.client() as client:
        listening = await client.call(m.DataListenRequest(addr_type=AddrType.TCP))
        assert isinstance(listening.connect_addr, m.TcpAddrs)
        port = listening.connect_addr.tcp_addr[0].port
        sender = await trio.open_tcp_stream("127.0.0.1", port)
        while await state(client) is not DataState.CONNECTED:
            await trio.lowlevel.checkpoint()
        names = (m.Name(original_path="/", destination_path=VOLUME),)
        await client.call(m.DataStartRecoverRequest(env=(), nlist=names, butype_name="dump"))
        await sender.send_all(image[:end])
        with trio.fail_after(60):
            while (await client.call(m.DataGetStateRequest())).bytes_processed < end:
                await trio.lowlevel.checkpoint()
        await sender.send_all(image[end:] + bytes(64 << 10))
        await sender.send_eof()
        assert await sender.receive_some() == b""
        halted = await client.wait_for(m.NotifyDataHaltedPost)
        assert halted.reason == DataHaltReason.SUCCESSFUL
        await client.call(m.DataStopRequest())
        await sender.aclose()


async def test_a_restore_does_not_wait_for_a_sender_that_says_nothing_more(
    stack: ServedStack, target: ServedStack
) -> None:
    (stack.volume / "file").write_text("content")
    image = await image_of(stack)
    async with target.client() as client:
        listening = await client.call(m.DataListenRequest(addr_type=AddrType.TCP))
        assert isinstance(listening.connect_addr, m.TcpAddrs)
        port = listening.connect_addr.tcp_addr[0].port
        sender = await trio.open_tcp_stream("127.0.0.1", port)
        while await state(client) is not DataState.CONNECTED:
            await trio.lowlevel.checkpoint()
        names = (m.Name(original_path="/", destination_path=VOLUME),)
        await client.call(m.DataStartRecoverRequest(env=(), nlist=names, butype_name="dump"))
        await sender.send_all(image)
        with trio.fail_after(60):
            halted = await client.wait_for(m.NotifyDataHaltedPost)
        assert halted.reason == DataHaltReason.SUCCESSFUL
        await client.call(m.DataStopRequest())
        await sender.aclose()


def end_of(image: bytes) -> int:
    """Where the first TS_END ends; copies of it fill the last block."""
    starts = range(0, len(image), 1024)
    return next(start + 1024 for start in starts if image[start : start + 4] == END_HEADER)


async def image_of(stack: ServedStack) -> bytes:
    """The stream of a backup, taken in by a socket of the test."""
    image = bytearray()

    async def take(stream: trio.SocketStream) -> None:
        async for data in stream:
            image.extend(data)

    async with trio.open_nursery() as nursery, stack.client() as client:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, take, [listener])
        port = listener.socket.getsockname()[1]
        addr = m.TcpAddr(ip=0x7F00_0001, port=port, addr_env=())
        await client.call(m.DataConnectRequest(addr=m.TcpAddrs(tcp_addr=(addr,))))
        environment = (Pair("FILESYSTEM", VOLUME),)
        await client.call(m.DataStartBackupRequest(butype_name="dump", env=environment))
        await client.wait_for(m.NotifyDataHaltedPost)
        await client.call(m.DataStopRequest())
        nursery.cancel_scope.cancel()
    return bytes(image)


# Address modes.


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback address."""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
        return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


def over_ipv6(text: str) -> str:
    """A site that listens on IPv6 loopback."""
    return text.replace('listen = ["127.0.0.1:0"]', 'listen = ["[::1]:0"]')


def with_both(text: str) -> str:
    """A site whose data connections may be of either family."""
    interfaces = (
        '[transport_tcp]\npreferred_interface_role = ["data"]\n'
        'interfaces = { data = ["127.0.0.1", "::1"] }\n'
    )
    return text.replace("[transport_tcp]\n", interfaces) + "\n[cae]\nany_family = true\n"


def with_both_in_words_only(text: str) -> str:
    """A site that offers both families and can listen on one."""
    return text + "\n[cae]\nany_family = true\n"


def sites(tmp_path: Path, source: Any, target: Any) -> Any:
    """Two sites with these edits of their stack files."""
    return (
        serving(tmp_path / "from", new_site(tmp_path / "from", source)),
        serving(tmp_path / "to", new_site(tmp_path / "to", target)),
    )


async def copied(tmp_path: Path, source: Any, target: Any, **changes: Any) -> AddrType | str:
    """Copy a file between two sites; gives the kind of the data connection,
    or why there was none.
    """
    one, other = sites(tmp_path, source, target)
    hosts = ["::1" if edit is over_ipv6 else "127.0.0.1" for edit in (source, target)]
    async with one as stack, other as to:
        (stack.volume / "file").write_text("content")
        asked = order(stack, to, **changes)
        places = {
            "source": msgspec.structs.replace(asked.source, host=hosts[0]),
            "destination": msgspec.structs.replace(asked.destination, host=hosts[1]),
        }
        try:
            result = await run(msgspec.structs.replace(asked, **places))
        except TapekitError as error:
            return str(error)
        assert (to.volume / "file").read_text() == "content"
        return result.kind


@needs_ipv6
@pytest.mark.requirement("R091")
@pytest.mark.requirement("R092")
@pytest.mark.requirement("R093")
@pytest.mark.requirement("R094")
@pytest.mark.parametrize("family", [None, Family.INET6])
async def test_ipv6_control_connections_bring_ipv6_data(
    tmp_path: Path, family: Family | None
) -> None:
    kind = await copied(tmp_path, over_ipv6, over_ipv6, data_family=family)
    assert kind is AddrType.TCP_IPV6


@needs_ipv6
@pytest.mark.requirement("R094")
async def test_ipv6_is_tried_first_over_ipv4(tmp_path: Path) -> None:
    assert await copied(tmp_path, with_both, with_both) is AddrType.TCP_IPV6


@needs_ipv6
@pytest.mark.requirement("R094")
async def test_ipv4_is_tried_when_ipv6_fails(tmp_path: Path) -> None:
    assert await copied(tmp_path, with_both, with_both_in_words_only) is AddrType.TCP


@needs_ipv6
@pytest.mark.requirement("R093")
async def test_a_fixed_mode_is_the_only_one(tmp_path: Path) -> None:
    kind = await copied(tmp_path, with_both, with_both, data_family=Family.INET)
    assert kind is AddrType.TCP
    told = await copied(
        tmp_path / "x", with_both, with_both_in_words_only, data_family=Family.INET6
    )
    assert isinstance(told, str)
    assert "there is no data connection between source and destination (TCP_IPV6: " in told


@needs_ipv6
@pytest.mark.requirement("R094")
async def test_one_ipv6_address_makes_ipv6_the_only_mode(tmp_path: Path) -> None:
    assert await copied(tmp_path, over_ipv6, str) == (
        "the destination offers no data connection of type TCP_IPV6; it offers LOCAL, TCP"
    )
    assert await copied(tmp_path / "x", over_ipv6, with_both) is AddrType.TCP_IPV6
