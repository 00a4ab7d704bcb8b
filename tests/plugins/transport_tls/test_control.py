"""Secure control connections: the handshake, and what does not get that far."""

from __future__ import annotations

import functools
import logging
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from free_ports import free_port

from tapekit.errors import TapekitError
from tapekit_transport_tls.control import TlsControlTransport
from tapekit_transport_tls.key_files import server_context
from tapekit_transport_tls.secure_service import SecureService
from tapekit_transport_tls.settings import TransportTlsSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tapekit.hookspecs.transport import ControlStream, Endpoint


async def echo(stream: ControlStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


@asynccontextmanager
async def serving(
    certificate: Path,
    handler: Callable[[ControlStream], Awaitable[None]] = echo,
    **settings: object,
) -> AsyncIterator[Endpoint]:
    options = TransportTlsSettings(
        **{"listen": ("127.0.0.1:0",), "svms": ("*",)} | settings  # type: ignore[arg-type]  # as TOML gives them
    )
    service = SecureService(options.svms)
    transport = TlsControlTransport(options, lambda: server_context(certificate, None), service)
    assert transport.name == "tls"
    async with trio.open_nursery() as nursery:
        (endpoint,) = await nursery.start(transport.serve, handler)
        yield endpoint
        nursery.cancel_scope.cancel()


def client_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


@asynccontextmanager
async def secure(
    endpoint: Endpoint, context: ssl.SSLContext
) -> AsyncIterator[trio.SSLStream[trio.SocketStream]]:
    plain = await trio.open_tcp_stream(endpoint.host, endpoint.port)
    async with trio.SSLStream(
        plain, context, server_hostname="localhost", https_compatible=True
    ) as stream:
        yield stream


async def echoes(endpoint: Endpoint, context: ssl.SSLContext) -> bool:
    async with secure(endpoint, context) as stream:
        await stream.send_all(b"hello")
        return bytes(await stream.receive_some()) == b"hello"


@pytest.mark.requirement("R183")
async def test_bytes_go_both_ways_inside_tls(certificate: Path) -> None:
    seen: list[tuple[Endpoint, str, bool, frozenset[str]]] = []

    async def note(stream: ControlStream) -> None:
        seen.append((stream.local, stream.peer.host, stream.is_private, stream.svms))
        await echo(stream)

    async with (
        serving(certificate, note, svms=("vs1", "vs2")) as endpoint,
        secure(endpoint, client_context(certificate)) as stream,
    ):
        await stream.send_all(b"hello")
        assert bytes(await stream.receive_some()) == b"hello"
        assert stream.getpeercert()["subject"] == ((("commonName", "filer"),),)
        assert stream.version() == "TLSv1.3"
    assert seen == [(endpoint, "127.0.0.1", True, frozenset({"vs1", "vs2"}))]


async def test_all_svms_are_no_limit(certificate: Path) -> None:
    seen: list[frozenset[str]] = []

    async def note(stream: ControlStream) -> None:
        seen.append(stream.svms)
        await echo(stream)

    async with serving(certificate, note, svms=("vs1", "*")) as endpoint:
        assert await echoes(endpoint, client_context(certificate))
    assert seen == [frozenset()]


async def test_the_end_of_a_client_is_empty_bytes_with_a_farewell_or_without(
    certificate: Path,
) -> None:
    ends: list[bytes] = []
    ended = trio.Event()

    async def until_end(stream: ControlStream) -> None:
        ends.append(await stream.receive_some())
        await stream.aclose()
        await stream.aclose()
        if len(ends) == 2:
            ended.set()

    async with serving(certificate, until_end) as endpoint:
        for with_farewell in (True, False):
            async with secure(endpoint, client_context(certificate)) as stream:
                await stream.do_handshake()
                if not with_farewell:
                    await stream.transport_stream.aclose()
        with trio.fail_after(60):
            await ended.wait()
    assert ends == [b"", b""]


@pytest.mark.parametrize(
    ("version", "is_served"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)]
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_tls_is_modern(certificate: Path, version: str, *, is_served: bool) -> None:
    context = client_context(certificate)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    async with serving(certificate) as endpoint:
        if is_served:
            assert await echoes(endpoint, context)
            return
        with pytest.raises(trio.BrokenResourceError):
            await echoes(endpoint, context)


GREETING = bytes.fromhex("80000028 00000001 65000000 00000000 00000502")


@pytest.mark.parametrize(
    "data",
    [GREETING, b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(300), b"\0" * 9000],
)
async def test_what_is_not_tls_is_closed_with_a_line_and_harms_nobody(
    certificate: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        serving(certificate) as endpoint,
        secure(endpoint, client_context(certificate)) as stream,
    ):
        await stream.send_all(b"before")
        assert bytes(await stream.receive_some()) == b"before"
        async with await trio.open_tcp_stream(endpoint.host, endpoint.port) as stranger:
            await stranger.send_all(data)
            await stranger.send_eof()
            with trio.fail_after(60):
                assert await until_closed(stranger)
        await stream.send_all(b"after")
        assert bytes(await stream.receive_some()) == b"after"
    (line,) = [record.getMessage() for record in caplog.records]
    assert "the TLS handshake failed" in line


async def until_closed(stream: trio.SocketStream) -> bool:
    """Whether the other side closed, cleanly or not, saying no NDMP."""
    try:
        while data := await stream.receive_some():
            assert b"\x05\x02" not in data
    except trio.BrokenResourceError:
        pass
    return True


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01"])
async def test_a_client_that_says_nothing_is_closed_at_the_limit(
    certificate: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(certificate, handshake_timeout_s=0.05) as endpoint:
        async with await trio.open_tcp_stream(endpoint.host, endpoint.port) as silent:
            await silent.send_all(data)
            with trio.fail_after(60):
                assert await until_closed(silent)
        assert await echoes(endpoint, client_context(certificate))
    assert "no TLS within 0.05 s" in caplog.text


async def test_more_handshakes_than_the_limit_are_turned_away(
    certificate: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(certificate, handshakes=1) as endpoint:
        async with await trio.open_tcp_stream(endpoint.host, endpoint.port) as first:
            await trio.testing.wait_all_tasks_blocked(0.01)
            async with await trio.open_tcp_stream(endpoint.host, endpoint.port) as second:
                with trio.fail_after(60):
                    assert await until_closed(second)
            await first.aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await echoes(endpoint, client_context(certificate))
    assert "1 are in their handshake" in caplog.text


async def test_an_error_in_a_handler_ends_its_connection_alone(
    certificate: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail_on_x(stream: ControlStream) -> None:
        while data := await stream.receive_some():
            if data == b"x":
                raise RuntimeError("on cue")
            await stream.send_all(data)

    context = client_context(certificate)
    async with serving(certificate, fail_on_x) as endpoint, secure(endpoint, context) as other:
        await other.send_all(b"a")
        assert bytes(await other.receive_some()) == b"a"
        async with secure(endpoint, context) as stream:
            await stream.send_all(b"x")
            assert await stream.receive_some() == b""
        await other.send_all(b"b")
        assert bytes(await other.receive_some()) == b"b"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_nobody_listens_without_a_certificate_or_on_a_port_in_use(
    certificate: Path,
) -> None:
    async with serving(certificate) as endpoint:
        for listen, file, row in (
            ("127.0.0.1:0", certificate.with_name("absent"), "transport_tls.file-unreadable"),
            (str(endpoint), certificate, "transport_tcp.address-in-use"),
        ):
            transport = TlsControlTransport(
                TransportTlsSettings(listen=(listen,), svms=("*",)),
                lambda file=file: server_context(file, None),  # type: ignore[misc]  # a default binds the loop's value
                SecureService(("*",)),
            )
            with pytest.raises(TapekitError) as refused:
                await transport.serve(echo)
            assert refused.value.id == row
            if row.endswith("in-use"):
                assert "setting listen of transport_tls" in refused.value.action


async def test_switches_at_one_time_are_made_one_after_the_other(certificate: Path) -> None:
    port = free_port()
    options = TransportTlsSettings(listen=(f"127.0.0.1:{port}",))
    service = SecureService(())
    transport = TlsControlTransport(options, lambda: server_context(certificate, None), service)

    async def switch(*changes: tuple[str, bool]) -> None:
        async with trio.open_nursery() as nursery:
            for svm, is_on in changes:
                nursery.start_soon(functools.partial(transport.switch, svm, is_on=is_on))

    async with trio.open_nursery() as nursery:
        assert await nursery.start(transport.serve, echo) == ()
        for _ in range(5):
            await switch(("vs1", True), ("vs2", True))
            assert transport.addresses == [f"127.0.0.1:{port}"]
            await switch(("vs1", False), ("vs2", False), ("vs1", True))
            await switch(("vs1", False), ("vs2", False))
            assert transport.addresses == []
            with pytest.raises(OSError, match="all attempts to connect"):
                await trio.open_tcp_stream("127.0.0.1", port)
        nursery.cancel_scope.cancel()
