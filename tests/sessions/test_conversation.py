"""What a session answers before and besides any transfer."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pytest
import trio

from session_stack import clock
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import NdmpClient
from tapekit_ndmp_v4.dispatch import HANDLERS
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    AddrType,
    AuthType,
    DataState,
    MoverMode,
    MoverState,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from session_stack import ServedStack


def record(sequence: int, code: int, body: bytes = b"") -> bytes:
    """A request as bytes, one fragment."""
    header = struct.pack(">6I", sequence, 0, 0, code, 0, 0)
    return struct.pack(">I", 1 << 31 | len(header) + len(body)) + header + body


async def raw_replies(port: int, *requests: bytes, count: int) -> list[tuple[int, int, bytes]]:
    """Send bytes; gives code, header error and body of so many messages."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    replies = []
    async with stream:
        for request in requests:
            await stream.send_all(request)
        data = b""
        with trio.fail_after(60):
            while len(replies) < count:
                data += await stream.receive_some()
                while len(data) >= 4 and len(data) >= 4 + (
                    length := struct.unpack_from(">I", data)[0] & 0x7FFF_FFFF
                ):
                    _, _, _, code, _, error = struct.unpack_from(">6I", data, 4)
                    replies.append((code, error, data[28 : 4 + length]))
                    data = data[4 + length :]
    return replies


async def refused(call: Awaitable[object]) -> int:
    """The error code of a call that must be refused."""
    with pytest.raises(NdmpReplyError) as caught:
        await call
    return caught.value.code


async def test_first_message_is_the_connection_status(stack: ServedStack) -> None:
    ((code, error, body),) = await raw_replies(stack.port, count=1)
    assert (code, error) == (0x502, 0)
    assert struct.unpack_from(">2I", body) == (0, 4)


@pytest.mark.requirement("R331")
@pytest.mark.requirement("R001")
@pytest.mark.parametrize("version", [0, 1, 2, 3, 5, 65535])
async def test_any_version_but_4_is_refused(stack: ServedStack, version: int) -> None:
    async with stack.stranger() as client:
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        request = m.ConnectOpenRequest(protocol_version=version)
        assert await refused(client.call(request)) == NdmpError.ILLEGAL_ARGS_ERR
        await client.open()
        assert f"ndmpd invalid version number: {version}" in told[0].entry


@pytest.mark.parametrize(
    "request_",
    [
        m.ConfigGetHostInfoRequest(),
        m.ConfigGetFsInfoRequest(),
        m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.READ),
        m.DataGetStateRequest(),
        m.MoverGetStateRequest(),
        m.DataStartBackupRequest(butype_name="dump", env=()),
    ],
    ids=lambda request: type(request).__name__,
)
async def test_requests_before_the_login_get_a_header_error(
    stack: ServedStack, request_: Any
) -> None:
    async with stack.stranger() as client:
        with pytest.raises(NdmpReplyError) as caught:
            await client.call(request_)
        assert caught.value.code == NdmpError.NOT_AUTHORIZED_ERR


async def test_server_info_is_given_before_the_login(stack: ServedStack) -> None:
    async with stack.stranger() as client:
        reply = await client.call(m.ConfigGetServerInfoRequest())
        assert reply.auth_type == (AuthType.MD5,)
        assert reply.vendor_name == "tapekit"


async def test_a_wrong_password_is_refused_and_takes_an_earlier_login_away(
    stack: ServedStack,
) -> None:
    async with stack.client() as client:
        with pytest.raises(NdmpReplyError) as caught:
            await client.authenticate(AuthType.MD5, "ndmp", b"wrong")
        assert caught.value.code == NdmpError.NOT_AUTHORIZED_ERR
        with pytest.raises(NdmpReplyError) as caught:
            await client.call(m.ConfigGetHostInfoRequest())
        assert caught.value.code == NdmpError.NOT_AUTHORIZED_ERR


async def test_an_unknown_code_is_not_supported(stack: ServedStack) -> None:
    replies = await raw_replies(stack.port, record(1, 0x777), record(2, 0x203), count=2)
    assert [(code, error) for code, error, _ in replies[1:]] == [(0x203, 1)]


async def test_a_body_that_ends_early_is_a_decode_error_and_the_session_goes_on(
    stack: ServedStack,
) -> None:
    replies = await raw_replies(
        stack.port, record(1, 0x901, b"\0\0\0\2"), record(2, 0x108), count=3
    )
    assert [(code, error) for code, error, _ in replies[1:]] == [(0x901, 18), (0x108, 0)]


async def test_an_endless_record_closes_only_its_own_session(stack: ServedStack) -> None:
    async with stack.client() as client:
        stream = await trio.open_tcp_stream("127.0.0.1", stack.port)
        async with stream:
            await stream.receive_some()
            await stream.send_all(struct.pack(">I", 0x7FFF_FFFF) + bytes(100))
            with trio.fail_after(60):
                while await stream.receive_some():
                    pass
        assert (await client.call(m.DataGetStateRequest())).state == DataState.IDLE


async def test_connect_close_ends_with_a_shutdown_post(stack: ServedStack) -> None:
    replies = await raw_replies(stack.port, record(1, 0x902), count=2)
    code, _, body = replies[1]
    assert code == 0x502
    assert struct.unpack_from(">I", body) == (1,)


@pytest.mark.requirement("R207")
async def test_more_sessions_than_the_limit_are_turned_away(
    edited_stack: Callable[[Callable[[str], str]], Any],
) -> None:
    async with edited_stack(lambda text: text + "\n[ndmp_v4]\nsessions = 1\n") as stack:
        async with stack.client() as client:
            ((code, _, body),) = await raw_replies(stack.port, count=1)
            assert code == 0x502
            assert struct.unpack_from(">I", body) == (2,)
            await client.call(m.DataGetStateRequest())
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.requirement("R242")
@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (m.DataStopRequest(), NdmpError.ILLEGAL_STATE_ERR),
        (m.DataAbortRequest(), NdmpError.ILLEGAL_STATE_ERR),
        (m.DataGetEnvRequest(), NdmpError.ILLEGAL_STATE_ERR),
        (m.MoverContinueRequest(), NdmpError.ILLEGAL_STATE_ERR),
        (m.MoverReadRequest(offset=0, length=1), NdmpError.ILLEGAL_STATE_ERR),
        (m.MoverSetRecordSizeRequest(len=0), NdmpError.ILLEGAL_ARGS_ERR),
        (m.MoverSetRecordSizeRequest(len=262145), NdmpError.ILLEGAL_ARGS_ERR),
        (m.MoverSetWindowRequest(offset=1, length=0), NdmpError.ILLEGAL_ARGS_ERR),
        (m.MoverListenRequest(mode=0, addr_type=0), NdmpError.DEV_NOT_OPEN_ERR),
        (m.MoverListenRequest(mode=123, addr_type=0), NdmpError.ILLEGAL_ARGS_ERR),
        (m.MoverListenRequest(mode=0, addr_type=123), NdmpError.ILLEGAL_ARGS_ERR),
        (m.DataListenRequest(addr_type=AddrType.TCP_IPV6), NdmpError.ILLEGAL_ARGS_ERR),
        (m.DataConnectRequest(addr=m.LocalAddr()), NdmpError.ILLEGAL_STATE_ERR),
        (m.TapeCloseRequest(), NdmpError.DEV_NOT_OPEN_ERR),
        (m.TapeOpenRequest(device="nrst99a", mode=0), NdmpError.NO_DEVICE_ERR),
        (m.TapeOpenRequest(device="nrst0a", mode=7), NdmpError.ILLEGAL_ARGS_ERR),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, m.Message) else value.name,
)
async def test_an_idle_session_refuses(stack: ServedStack, request_: Any, error: int) -> None:
    async with stack.client() as client:
        assert await refused(client.call(request_)) == error
        assert (await client.call(m.DataGetStateRequest())).state == DataState.IDLE
        assert (await client.call(m.MoverGetStateRequest())).state == MoverState.IDLE


async def test_a_reply_that_no_message_holds_ends_one_request_and_not_the_session(
    stack: ServedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_many(*_: object) -> m.ConfigGetExtListReply:
        some = m.ClassVersions(ext_class_id=1, ext_version=(1,))
        return m.ConfigGetExtListReply(error=NdmpError.NO_ERR, class_list=(some,) * 257)

    monkeypatch.setitem(cast("Any", HANDLERS), m.ConfigGetExtListRequest, too_many)
    async with stack.client() as client:
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        assert await refused(client.call(m.ConfigGetExtListRequest())) == NdmpError.UNDEFINED_ERR
        assert (await client.call(m.DataGetStateRequest())).state == DataState.IDLE
    assert "257 entries, at most 256 are allowed" in told[0].entry


async def test_a_defect_ends_one_request_and_not_the_session(
    stack: ServedStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setitem(cast("Any", HANDLERS), m.ConfigGetHostInfoRequest, broken)
    async with stack.client() as client:
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        assert await refused(client.call(m.ConfigGetHostInfoRequest())) == NdmpError.UNDEFINED_ERR
        assert (await client.call(m.DataGetStateRequest())).state == DataState.IDLE
    assert "an internal error ended the operation" in told[0].entry
    assert "ZeroDivisionError" in caplog.text


async def test_a_device_of_another_session_is_busy(stack: ServedStack) -> None:
    request = m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.READ)
    async with stack.client() as first, stack.client() as second:
        await first.call(request)
        assert await refused(second.call(request)) == NdmpError.DEVICE_BUSY_ERR
        assert await refused(first.call(request)) == NdmpError.DEVICE_OPENED_ERR
        await first.close()
        with trio.fail_after(60):
            while stack.kernel.tape_inventory.drives()[0].holder is not None:
                await trio.lowlevel.checkpoint()
        await second.call(request)


async def test_a_listener_that_nobody_joins_is_aborted(stack: ServedStack) -> None:
    async with stack.client() as client:
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        for kind in (AddrType.LOCAL, AddrType.TCP):
            await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=kind))
            assert (await client.call(m.MoverGetStateRequest())).state == MoverState.LISTEN
            await client.call(m.MoverAbortRequest())
            halted = await client.call(m.MoverGetStateRequest())
            assert (halted.state, halted.halt_reason) == (MoverState.HALTED, 2)
            await client.call(m.MoverStopRequest())


async def test_the_stack_without_auth_serves_loopback_without_a_password(
    edited_stack: Callable[[Callable[[str], str]], Any], tmp_path: Path
) -> None:
    def without_auth(text: str) -> str:
        start = text.index("\n[auth]")
        end = text.find("\n[", start + 1)
        kept = text[:start] + (text[end:] if end > 0 else "")
        return kept.replace('"auth",', "").replace('    "auth"\n', "")

    async with edited_stack(without_auth) as stack:
        assert "auth" not in stack.kernel.plugin_names
        async with stack.stranger() as client:
            await client.open()
            assert await refused(
                client.call(
                    m.ConnectClientAuthRequest(
                        auth_data=m.AuthText(auth_id="ndmp", auth_password="x")
                    )
                )
            ) in {NdmpError.ILLEGAL_ARGS_ERR, NdmpError.NOT_AUTHORIZED_ERR}
            await client.authenticate(AuthType.NONE)
            assert (await client.call(m.ConfigGetHostInfoRequest())).os_type == "Linux"


async def test_a_user_of_one_svm_may_not_touch_another(
    edited_stack: Callable[[Callable[[str], str]], Any],
) -> None:
    def limit(text: str) -> str:
        return text.replace('{ name = "ndmp",', '{ name = "ndmp", svms = ["vs2"],')

    async with edited_stack(limit) as stack, stack.client() as client, stack.client() as tape:
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        assert (await client.call(m.ConfigGetFsInfoRequest())).fs_info == ()
        await tape.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        listening = m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP)
        address = (await tape.call(listening)).connect_addr
        await client.call(m.DataConnectRequest(addr=address))
        environment = (Pair("FILESYSTEM", "/vs1/vol1"),)
        request = m.DataStartBackupRequest(butype_name="dump", env=environment)
        assert await refused(client.call(request)) == NdmpError.PERMISSION_ERR
        assert "ndmp may not use /vs1/vol1" in told[-1].entry


async def test_data_connections_of_another_family_are_refused(
    edited_stack: Callable[[Callable[[str], str]], Any],
) -> None:
    def over_ipv6(text: str) -> str:
        return text.replace('"127.0.0.1:0"', '"[::1]:0"')

    async with (
        edited_stack(over_ipv6) as stack,
        NdmpClient.connect("::1", stack.port, clock=clock) as client,
    ):
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", stack.password)
        request = m.DataListenRequest(addr_type=AddrType.TCP)
        assert await refused(client.call(request)) == NdmpError.ILLEGAL_ARGS_ERR
        text = "Data connection type NDMP4_ADDR_TCP not supported for IPv6 control connections"
        assert text in told[-1].entry
        kinds = (await client.call(m.ConfigGetConnectionTypeRequest())).addr_types
        assert kinds == (AddrType.LOCAL,)
