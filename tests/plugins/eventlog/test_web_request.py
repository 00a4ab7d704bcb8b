"""Requests of browsers, and answers."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_eventlog.web_request import BadRequest, Request, Status, parse_request, reply


def with_credentials(text: bytes, scheme: str = "Basic") -> bytes:
    encoded = base64.b64encode(text).decode()
    return f"GET / HTTP/1.1\r\nHost: x\r\nauthorization: {scheme} {encoded}\r\n\r\n".encode()


def test_a_request_is_taken_apart() -> None:
    assert parse_request(b"GET /etc/log/backup?x=1 HTTP/1.1\r\n\r\n") == Request(
        "/etc/log/backup", is_head=False
    )
    assert parse_request(b"HEAD / HTTP/1.0\r\nA: b\r\n\r\n").is_head


@pytest.mark.parametrize(
    ("head", "user", "password"),
    [
        (with_credentials("ürsula:pass:word".encode()), "ürsula", b"pass:word"),
        (with_credentials(b"root:", scheme="bAsIc"), "root", b""),
        (with_credentials(b"root"), None, b""),
        (with_credentials(b"root:x", scheme="Digest"), None, b""),
        (with_credentials(b"\xff:x"), None, b""),
        (b"GET / HTTP/1.1\r\nAuthorization: Basic !\r\n\r\n", None, b""),
        (b"GET / HTTP/1.1\r\nAuthorization: Basic \xe9\r\n\r\n", None, b""),
    ],
)
def test_credentials_are_found(head: bytes, user: str | None, password: bytes) -> None:
    request = parse_request(head)
    assert (request.user, request.password) == (user, password)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST / HTTP/1.1\r\n\r\n", Status.NOT_ALLOWED),
        (b"GET /\r\n\r\n", Status.BAD_REQUEST),
        (b"GET / HTTP/2\r\n\r\n", Status.BAD_REQUEST),
        (b"GET http://x/ HTTP/1.1\r\n\r\n", Status.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\nno field\r\n\r\n", Status.BAD_REQUEST),
    ],
)
def test_what_is_not_served_is_refused(head: bytes, status: Status) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_request(head)
    assert refused.value.status is status


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(head: bytes) -> None:
    found: Any
    try:
        found = parse_request(head)
    except BadRequest as refused:
        found = refused.status
    assert found in {Status.BAD_REQUEST, Status.NOT_ALLOWED} or found[0].startswith("/")


def test_an_answer_tells_its_length_and_asks_for_a_password() -> None:
    answer = reply(Status.UNAUTHORIZED, b"no\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"\r\nContent-Length: 3\r\n" in head
    assert b"\r\nWWW-Authenticate: Basic " in head
    assert body == b"no\n"
    assert reply(Status.OK, b"body", is_head=True).endswith(b"\r\n\r\n")
