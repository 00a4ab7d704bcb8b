"""The connection: what each end hears, answers and says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapekit_ndmp_v4 import file_history, xdr
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.connection import (
    BadRequest,
    Direction,
    HeaderError,
    Ignored,
    Limits,
    NdmpConnection,
    Post,
    Reply,
    Request,
    Role,
    Undecodable,
)
from tapekit_ndmp_v4.errors import LocalProtocolError, RemoteProtocolError
from tapekit_ndmp_v4.exchanges import EXCHANGES, Exchange, refusal
from tapekit_ndmp_v4.numbers import MessageType, MoverMode, NdmpError
from tapekit_ndmp_v4.records import marked
from tapekit_ndmp_v4.wire import ErrorCode, Message, RequestBody

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

Strategies: TypeAlias = "Callable[[type[Message]], st.SearchStrategy[Message]]"

NOW_S = 0x6500_0000
HELLO = m.NotifyConnectionStatusPost(reason=0, protocol_version=4, text_reason="hi")
OPEN = m.ConnectOpenRequest(protocol_version=4)


def end(role: Role, **options: Any) -> NdmpConnection:
    return NdmpConnection(role, clock=lambda: NOW_S + 0.9, **options)


def hear(connection: NdmpConnection, data: bytes) -> list[Any]:
    connection.receive_data(data)
    events = []
    while (event := connection.next_event()) is not None:
        events.append(event)
    return events


def message(code: int, body: bytes = b"", **header: int) -> bytes:
    """A message out of numbers."""
    numbers = {
        "sequence": 1,
        "time_stamp": NOW_S,
        "message_type": MessageType.REQUEST,
        "message_code": code,
        "reply_sequence": 0,
        "error_code": 0,
    }
    return marked(xdr.encode(m.Header(**(numbers | header))) + body)


def test_the_first_words_are_those_of_the_document() -> None:
    server, client = end(Role.SERVER), end(Role.CLIENT)
    hello = server.send_post(HELLO)
    assert hello.hex(" ", 4) == (
        "80000028 00000001 65000000 00000000 00000502 00000000 00000000"
        " 00000000 00000004 00000002 68690000"
    )
    asked = client.send_request(OPEN)
    assert asked.hex(" ", 4) == (
        "8000001c 00000001 65000000 00000000 00000900 00000000 00000000 00000004"
    )
    [request] = hear(server, asked)
    replied = server.send_reply(request, m.ConnectOpenReply(error=NdmpError.NO_ERR))
    assert replied.hex(" ", 4) == (
        "8000001c 00000002 65000000 00000001 00000900 00000001 00000000 00000000"
    )
    post, reply = hear(client, hello + replied)
    assert post == Post(post.header, EXCHANGES.of(type(HELLO)), HELLO)
    assert isinstance(reply, Reply)
    assert reply.header.reply_sequence == client.sequence


def test_sequence_numbers_count_everything_that_is_sent() -> None:
    server = end(Role.SERVER)
    server.send_post(HELLO)
    server.send_encoded_post(m.FhAddDirPost, bytes(4))
    [request] = hear(server, message(0x900, b"\0\0\0\4"))
    server.send_reply(request, m.ConnectOpenReply(error=0))
    server.send_header_error(request, NdmpError.NO_MEM_ERR)
    assert server.sequence == 4


def test_sequence_numbers_begin_anew_at_their_end() -> None:
    server = end(Role.SERVER)
    server.sequence = 2**32 - 1
    server.send_post(HELLO)
    assert server.sequence == 1


def test_every_request_and_reply_passes() -> None:
    client, server = end(Role.CLIENT), end(Role.SERVER)
    for row in EXCHANGES:
        if row.is_post:
            sent = xdr.zero(row.request)
            [post] = hear(client, server.send_post(sent))
            assert post.body == sent
            continue
        asked = xdr.zero(row.request)
        [request] = hear(server, client.send_request(asked))
        assert request == Request(request.header, row, asked)
        if row.reply is not None:
            answer = refusal(row, NdmpError.ILLEGAL_STATE_ERR)
            [reply] = hear(client, server.send_reply(request, answer))
            assert reply == Reply(reply.header, row, answer)


def test_an_encoded_post_is_the_post() -> None:
    entries = [(b".", 2, 2), (b"name", 3, 2)]
    [body] = file_history.encode_directories(entries)
    encoded = end(Role.SERVER).send_encoded_post(m.FhAddDirPost, body)
    [post] = hear(end(Role.CLIENT), encoded)
    assert encoded == end(Role.SERVER).send_post(post.body)
    assert [entry.node for entry in post.body.dirs] == [2, 3]


# What a server hears.


@pytest.mark.parametrize("code", [0x101, 0x203, 0x205, 0x306, 0x405, 0x777 + 0x1000, 0x2052_0001])
def test_an_unknown_code_is_not_supported(code: int) -> None:
    server, client = end(Role.SERVER), end(Role.CLIENT)
    [event] = hear(server, message(code, b"whatever"))
    assert isinstance(event, BadRequest)
    assert event.error is NdmpError.NOT_SUPPORTED_ERR
    assert event.exchange is None
    assert f"{code:#x}" in event.reason
    answer = server.send_header_error(event, event.error)
    assert len(answer) == 28
    assert hear(client, answer)[0].header.error_code == NdmpError.NOT_SUPPORTED_ERR


def test_a_body_that_does_not_decode_names_its_answer() -> None:
    [event] = hear(end(Role.SERVER), message(0x900))
    assert isinstance(event, BadRequest)
    assert event.error is NdmpError.XDR_DECODE_ERR
    assert event.exchange is EXCHANGES.of(m.ConnectOpenRequest)
    assert event.reason == "the data ends early"


def test_an_unknown_number_is_left_to_the_handler() -> None:
    [event] = hear(end(Role.SERVER), message(0xA01, bytes([0, 0, 0, 123]) + bytes(4)))
    assert isinstance(event, Request)
    assert isinstance(event.body, m.MoverListenRequest)
    assert event.body.mode == 123
    assert not isinstance(event.body.mode, MoverMode)


def test_surplus_bytes_do_not_matter() -> None:
    [event] = hear(end(Role.SERVER), message(0x900, b"\0\0\0\4" + b"a tail of version 3"))
    assert event.body == OPEN


@pytest.mark.parametrize(
    "data",
    [
        message(0x502, xdr.encode(HELLO)),
        message(0x7FF, b"an unknown post"),
        message(0x600),
        message(0x900, b"\0\0\0\4", error_code=9),
        message(0x777, error_code=1),
        message(0x900, bytes(4), message_type=MessageType.REPLY, reply_sequence=1),
    ],
    ids=["post", "unknown-post", "old-post", "error", "unknown-post-with-error", "reply"],
)
def test_a_server_does_not_answer_what_is_no_request(data: bytes) -> None:
    [event] = hear(end(Role.SERVER), data)
    assert isinstance(event, Ignored)
    assert event.reason


# What a client hears.


def asked(request: Message = OPEN) -> NdmpConnection:
    client = end(Role.CLIENT)
    client.send_request(request)
    return client


def test_a_header_error_is_the_answer() -> None:
    data = message(0x900, message_type=MessageType.REPLY, reply_sequence=1, error_code=4)
    [event] = hear(asked(), data)
    assert event == HeaderError(
        event.header, EXCHANGES.of(m.ConnectOpenRequest), NdmpError.NOT_AUTHORIZED_ERR
    )


def test_a_reply_is_taken_once() -> None:
    data = message(0x900, bytes(4), message_type=MessageType.REPLY, reply_sequence=1)
    first, second = hear(asked(), data * 2)
    assert isinstance(first, Reply)
    assert isinstance(second, Ignored)


@pytest.mark.parametrize("reply_sequence", [0, 2])
def test_a_reply_to_no_request_is_ignored(reply_sequence: int) -> None:
    data = message(0x900, bytes(4), message_type=1, reply_sequence=reply_sequence)
    [event] = hear(asked(), data)
    assert isinstance(event, Ignored)


def test_a_reply_of_another_kind_is_an_error() -> None:
    data = message(0x901, bytes(4), message_type=MessageType.REPLY, reply_sequence=1)
    [event] = hear(asked(), data)
    assert isinstance(event, Undecodable)
    assert str(event.error) == "the peer answers CONNECT_OPEN with a message of code 0x901"


def test_a_reply_that_does_not_decode_is_an_error() -> None:
    data = message(0x900, message_type=MessageType.REPLY, reply_sequence=1)
    [event] = hear(asked(), data)
    assert isinstance(event, Undecodable)
    assert event.error.id == "ndmp_v4.body-does-not-decode"


def test_a_post_that_does_not_decode_is_an_error_of_its_own() -> None:
    first, second = hear(asked(), message(0x501) + message(0x501, bytes(4)))
    assert isinstance(first, Undecodable)
    assert isinstance(second, Post)


@pytest.mark.parametrize("code", [0x900, 0x7FF])
def test_a_client_ignores_what_is_for_servers_or_unknown(code: int) -> None:
    [event] = hear(end(Role.CLIENT), message(code, bytes(4)))
    assert isinstance(event, Ignored)


def test_closing_has_no_reply_to_wait_for() -> None:
    data = message(0x902, message_type=MessageType.REPLY, reply_sequence=1)
    [event] = hear(asked(m.ConnectCloseRequest()), data)
    assert isinstance(event, Ignored)


def test_unwanted_posts_are_not_even_decoded() -> None:
    client = asked()
    client.unwanted.add(m.FhAddDirPost)
    first, second = hear(client, message(0x704, b"no list") + message(0x704, bytes(4)))
    assert isinstance(first, Ignored)
    assert isinstance(second, Ignored)
    client.watch = lambda *_: None
    [watched] = hear(client, message(0x704, bytes(4)))
    assert isinstance(watched, Post)


# Streams in which no message can be found.


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "record-too-large"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60), "record-too-large"),
        (marked(b""), "header-does-not-decode"),
        (marked(bytes(23)), "header-does-not-decode"),
        (message(0x900, message_type=2), "header-does-not-decode"),
    ],
    ids=["http", "tls", "empty", "short", "neither-request-nor-reply"],
)
@pytest.mark.parametrize("role", Role)
def test_a_hopeless_stream_raises_and_stays_hopeless(role: Role, data: bytes, fault: str) -> None:
    connection = end(role)
    for _ in range(2):
        with pytest.raises(RemoteProtocolError) as hopeless:
            hear(connection, data)
        assert hopeless.value.id == f"ndmp_v4.{fault}"


def test_the_end_of_the_stream_is_quiet_between_messages() -> None:
    server = end(Role.SERVER)
    assert len(hear(server, message(0x900, b"\0\0\0\4"))) == 1
    assert hear(server, b"") == []
    assert hear(server, b"") == []


def test_what_came_before_the_end_is_heard_first() -> None:
    server = end(Role.SERVER)
    server.receive_data(message(0x900, b"\0\0\0\4") + b"\x80")
    server.receive_data(b"")
    assert isinstance(server.next_event(), Request)
    with pytest.raises(RemoteProtocolError, match="closed the connection in the middle"):
        server.next_event()


def test_limits_are_the_owners() -> None:
    data = message(0x304, xdr.encode(m.TapeWriteRequest(data_out=bytes(512 * 1024))))
    [event] = hear(end(Role.SERVER), data)
    assert len(event.body.data_out) == 512 * 1024
    with pytest.raises(RemoteProtocolError, match="at most 1000 are allowed"):
        hear(end(Role.SERVER, limits=Limits(max_record_bytes=1000)), data)


# What cannot be said.


def test_each_end_says_only_what_is_its_own() -> None:
    server, client = end(Role.SERVER), end(Role.CLIENT)
    [request] = hear(server, message(0x900, b"\0\0\0\4"))
    for send, body in (
        (server.send_request, OPEN),
        (client.send_request, HELLO),
        (client.send_request, m.ConnectOpenReply(error=0)),
        (client.send_post, HELLO),
        (server.send_post, OPEN),
        (lambda body: server.send_reply(request, body), m.TapeOpenReply(error=0)),
        (lambda body: client.send_reply(request, body), m.ConnectOpenReply(error=0)),
    ):
        with pytest.raises(LocalProtocolError, match=f"{type(body).__name__} is not for a"):
            send(body)
    assert (server.sequence, client.sequence) == (0, 0)


def test_what_does_not_fit_is_not_sent() -> None:
    client = end(Role.CLIENT)
    with pytest.raises(LocalProtocolError, match="TAPE_OPEN cannot be sent: device: 8193 bytes"):
        client.send_request(m.TapeOpenRequest(device="x" * 8193, mode=0))
    assert client.sequence == 0
    assert client.send_request(OPEN)[7] == 1


class PrepareReply(Message):
    """An extension's reply."""

    error: ErrorCode


class PrepareRequest(RequestBody["PrepareReply"]):
    """An extension's request."""


def test_an_extension_is_spoken_once_it_is_in_the_table() -> None:
    row = Exchange(0x2052_0001, "CAB_DATA_CONN_PREPARE", PrepareRequest, PrepareReply)
    client = end(Role.CLIENT, exchanges=EXCHANGES.extended([row]))
    data = client.send_request(PrepareRequest())
    server = end(Role.SERVER)
    assert isinstance(hear(server, data)[0], BadRequest)
    server.exchanges = EXCHANGES.extended([row])
    [request] = hear(server, data)
    assert request.exchange is row
    [reply] = hear(client, server.send_reply(request, PrepareReply(error=0)))
    assert reply.body == PrepareReply(error=0)


def test_a_watcher_sees_both_directions_and_what_is_bad() -> None:
    seen: list[tuple[Direction, int, str | None, bool]] = []

    def watch(
        direction: Direction, header: m.Header, exchange: Exchange | None, body: Message | None
    ) -> None:
        name = None if exchange is None else exchange.name
        seen.append((direction, header.message_code, name, body is not None))

    server = end(Role.SERVER, watch=watch)
    server.send_post(HELLO)
    server.send_encoded_post(m.FhAddDirPost, bytes(4))
    for data in (
        message(0x900, b"\0\0\0\4"),
        message(0x900),
        message(0x999),
        message(0x603),
    ):
        for event in hear(server, data):
            if isinstance(event, BadRequest):
                server.send_header_error(event, event.error)
    sent, received = Direction.SENT, Direction.RECEIVED
    assert seen == [
        (sent, 0x502, "NOTIFY_CONNECTION_STATUS", True),
        (sent, 0x704, "FH_ADD_DIR", True),
        (received, 0x900, "CONNECT_OPEN", True),
        (received, 0x900, "CONNECT_OPEN", False),
        (sent, 0x900, "CONNECT_OPEN", False),
        (received, 0x999, None, False),
        (sent, 0x999, None, False),
        (received, 0x603, "LOG_MESSAGE", False),
    ]


# Whole, byte by byte, and damaged.


@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_messages_are_heard_the_same_byte_by_byte(
    any_message: Strategies, data: st.DataObject
) -> None:
    rows = [row for row in EXCHANGES if not row.is_post]
    chosen = data.draw(st.lists(st.sampled_from(rows), min_size=1, max_size=4))
    client, whole, bytewise = end(Role.CLIENT), end(Role.SERVER), end(Role.SERVER)
    bodies = [data.draw(any_message(row.request)) for row in chosen]
    stream = b"".join(map(client.send_request, bodies))
    events = hear(whole, stream)
    assert [event.body for event in events] == bodies
    assert [each for byte in stream for each in hear(bytewise, bytes([byte]))] == events


MUTATIONS = 25
"""Damaged copies of each drawn stream, in each direction; with the examples
below 20,000.
"""


def damaged(stream: bytes, chance: random.Random) -> bytes:
    """A copy with a few bytes changed, cut out, doubled or put in."""
    data = bytearray(stream)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randint(1, 8)]
            case 2:
                data[at:at] = data[at : at + chance.randint(1, 32)]
            case 3:
                word = at & ~3
                data[word : word + 4] = chance.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"])
            case 4:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
    return bytes(data)


def survives(connection: NdmpConnection, data: bytes, chunk: int) -> None:
    """Nothing but a declared error comes out, and every answer can be sent."""
    try:
        for at in range(0, len(data), chunk):
            for event in hear(connection, data[at : at + chunk]):
                if isinstance(event, BadRequest):
                    connection.send_header_error(event, event.error)
                elif isinstance(event, Request) and event.exchange.reply is not None:
                    answer = refusal(event.exchange, NdmpError.UNDEFINED_ERR)
                    connection.send_reply(event, answer)
        hear(connection, b"")
    except RemoteProtocolError as error:
        connection.receive_data(b"")
        with pytest.raises(RemoteProtocolError, match=re.escape(str(error))):
            connection.next_event()


@pytest.mark.slow
@given(data=st.data(), chance=st.randoms(use_true_random=False))
@settings(
    deadline=None,
    max_examples=400,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_only_declared_errors_come_out_of_damaged_streams(
    any_message: Strategies, data: st.DataObject, chance: random.Random
) -> None:
    client, server = end(Role.CLIENT), end(Role.SERVER)
    requests = data.draw(
        st.lists(st.sampled_from([row for row in EXCHANGES if row.reply]), min_size=1, max_size=3)
    )
    posts = data.draw(st.lists(st.sampled_from([row for row in EXCHANGES if row.is_post])))
    to_server = b"".join(client.send_request(data.draw(any_message(r.request))) for r in requests)
    to_client = b"".join(server.send_post(data.draw(any_message(p.request))) for p in posts[:2])
    for request in hear(server, to_server):
        reply = data.draw(any_message(request.exchange.reply))
        to_client += server.send_reply(request, reply)
    for _ in range(MUTATIONS):
        chunk = chance.choice([1 << 16, 1 << 16, 7])
        survives(end(Role.SERVER), damaged(to_server, chance), chunk)
        asking = end(Role.CLIENT)
        for row in requests:
            asking.send_request(xdr.zero(row.request))
        survives(asking, damaged(to_client, chance), chunk)


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_only_declared_errors_come_out_of_noise(noise: bytes) -> None:
    for role in Role:
        survives(end(role), noise, 1 << 16)
        survives(end(role), marked(noise), 1 << 16)
