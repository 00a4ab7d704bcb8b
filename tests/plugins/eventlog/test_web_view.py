"""The backup log in a browser."""

from __future__ import annotations

import base64
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from free_ports import free_port

from tapekit.errors import CORE, StartErrors, TapekitError
from tapekit.hookspecs.authentication import AuthMethod, LoginRefused, Principal
from tapekit.kernel import run
from tapekit_eventlog.plugin import EventlogPlugin
from tapekit_eventlog.web_view import WebView, open_listeners

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tapekit.kernel import StackKernel

REFUSED = CORE.raised_as(LoginRefused, "unknown-command", file="", word="", known="", similar="")


class MemoryAuthenticator:
    """Knows an administrator, and the administrator of one virtual machine."""

    methods = svm_methods = frozenset({AuthMethod.PLAINTEXT})

    async def login_plaintext(self, user: str, password: bytes, peer: str) -> Principal:
        assert peer == "127.0.0.1"
        svms = {"admin": frozenset[str](), "vsadmin": frozenset({"vs1"})}.get(user)
        if svms is None or password != b"secret":
            raise REFUSED
        return Principal(name=user, svms=svms)

    async def login_challenge(self, user: str, answers: object, peer: str) -> Principal:
        raise AssertionError(user, answers, peer)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two weeks of a log."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log/backup").write_bytes(b"this week\xff\n")
    (tmp_path / "log/backup.0").write_bytes(b"last week\n")
    return tmp_path / "log/backup"


def request(path: str, user: str | None = "admin", password: str = "secret") -> bytes:
    field = ""
    if user is not None:
        text = base64.b64encode(f"{user}:{password}".encode()).decode()
        field = f"Authorization: Basic {text}\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: here\r\n{field}\r\n".encode()


async def asked(log: Path, sent: bytes, *, closes: bool = False) -> bytes:
    """All that is answered."""
    ours, theirs = trio.testing.memory_stream_pair()
    received = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(WebView(log, MemoryAuthenticator()).serve, theirs)
        await ours.send_all(sent)
        if closes:
            await ours.send_eof()
        while piece := await ours.receive_some():
            received += piece
    return bytes(received)


@pytest.mark.requirement("R303")
async def test_a_browser_reads_the_log(log: Path) -> None:
    for path, body in (("backup", b"this week\xff\n"), ("backup.0", b"last week\n")):
        answer = await asked(log, request(f"/etc/log/{path}"))
        head, _, text = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain")
        assert text == body


async def test_the_first_page_names_the_weeks_that_are_there(log: Path) -> None:
    answer = await asked(log, request("/"))
    assert b"Content-Type: text/html" in answer
    assert answer.count(b"<li>") == 2
    assert b'href="/etc/log/backup.0"' in answer


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("/etc/log/backup", None), b"401 "),
        (request("/etc/log/backup", "admin", "wrong"), b"401 "),
        (request("/etc/log/backup", "nobody"), b"401 "),
        (request("/etc/log/backup", "vsadmin"), b"403 "),
        (request("/etc/log/backup.3"), b"404 "),
        (request("/etc/passwd"), b"404 "),
        (request("/etc/log/../passwd"), b"404 "),
        (request("/x", None), b"401 "),
        (b"DELETE / HTTP/1.1\r\n\r\n", b"405 "),
        (b"x" * 20000, b"400 "),
    ],
)
async def test_others_read_nothing(log: Path, sent: bytes, status: bytes) -> None:
    answer = await asked(log, sent)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"week" not in answer


@pytest.fixture
def unreadable(log: Path) -> Path:
    """A log that is none."""
    log.unlink()
    log.mkdir()
    return log


async def test_a_log_that_cannot_be_read_is_told(unreadable: Path) -> None:
    answer = await asked(unreadable, request("/etc/log/backup"))
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"cannot be read" in answer


async def test_half_a_request_is_refused(log: Path) -> None:
    assert (await asked(log, b"GET / HT", closes=True)).startswith(b"HTTP/1.1 400 ")


async def test_a_browser_that_says_nothing_is_let_go(log: Path, autojump_clock: object) -> None:
    assert await asked(log, b"") == b""


async def test_a_browser_that_goes_hurts_nobody(log: Path) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await ours.send_all(request("/etc/log/backup"))
    await ours.aclose()
    await WebView(log, MemoryAuthenticator()).serve(theirs)


async def test_a_stack_serves_it_while_it_runs(
    assembled: Callable[..., StackKernel], plugin: Callable[..., Any], log: Path
) -> None:
    users = plugin("users", tapekit_provide_authenticator=lambda self: MemoryAuthenticator())
    port = free_port()
    kernel = assembled(EventlogPlugin, users, tables=f"[eventlog]\nhttp_port = {port}\n")
    received = bytearray()

    async def stop() -> AsyncIterator[None]:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(request("/etc/log/backup.0"))
            while piece := await stream.receive_some():
                received.extend(piece)
        yield

    await run(kernel, stop(), lambda _address: None)
    assert received.endswith(b"\r\n\r\nlast week\n")
    with pytest.raises(OSError, match="connect"):
        await trio.open_tcp_stream("127.0.0.1", port)


async def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TapekitError, match=f"http_port: {port} of 127.0.0.1 cannot be used"):
            await open_listeners(port)


def test_a_stack_without_users_shows_it_to_nobody(assembled: Callable[..., StackKernel]) -> None:
    with pytest.raises(StartErrors) as stopped:
        assembled(EventlogPlugin, tables="[eventlog]\nhttp_port = 8080\n")
    assert [error.id for error in stopped.value.errors] == ["eventlog.http-needs-users"]
