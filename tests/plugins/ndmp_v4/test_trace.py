"""Traces: every message a line of JSON, and no secret in any."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.connection import Direction, NdmpConnection, Role
from tapekit_ndmp_v4.exchanges import EXCHANGES
from tapekit_ndmp_v4.numbers import AddrType, MoverMode, NdmpError
from tapekit_ndmp_v4.trace import MASK, SECRET_FIELDS, trace_line, tracer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit_ndmp_v4.messages import Message

Strategies: TypeAlias = "Callable[[type[Message]], st.SearchStrategy[Message]]"

HEADER = m.Header(
    sequence=7, time_stamp=0, message_type=0, message_code=0, reply_sequence=0, error_code=0
)


def line(body: Message | None, **options: Any) -> dict[str, Any]:
    row = None if body is None else EXCHANGES.of(type(body))
    header = msgspec.structs.replace(HEADER, message_code=0 if row is None else row.code)
    text = trace_line(Direction.SENT, header, row, body, time_s=1.25, **options)
    assert text.endswith(b"\n")
    assert text.count(b"\n") == 1
    decoded: dict[str, Any] = json.loads(text)
    return decoded


def test_a_line_tells_who_what_and_which() -> None:
    request = m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP)
    assert line(request) == {
        "time": 1.25,
        "direction": "sent",
        "sequence": 7,
        "kind": "request",
        "code": "0xa01",
        "message": "MOVER_LISTEN",
        "reply_sequence": 0,
        "error": "NO_ERR",
        "body": {"mode": "READ", "addr_type": "TCP"},
    }


def test_numbers_without_a_name_stay_numbers() -> None:
    assert line(m.MoverListenRequest(mode=123, addr_type=AddrType.LOCAL))["body"]["mode"] == 123


def test_arms_and_pairs_are_shown() -> None:
    reply = m.MoverListenReply(
        error=NdmpError.NO_ERR,
        connect_addr=m.TcpAddrs(
            tcp_addr=(m.TcpAddr(ip=1, port=2, addr_env=(m.Pair("LINK", "fast"),)),)
        ),
    )
    assert line(reply)["body"]["connect_addr"] == {
        "type": "TcpAddrs",
        "tcp_addr": [{"ip": 1, "port": 2, "addr_env": [["LINK", "fast"]]}],
    }


def test_the_token_of_a_private_data_connection_is_not_shown() -> None:
    pairs = (m.Pair("TAPEKIT_TLS_SHA256", "aa"), m.Pair("TAPEKIT_TLS_TOKEN", "bb"))
    addr = m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=1, port=2, addr_env=pairs),))
    shown = line(m.DataConnectRequest(addr=addr))["body"]["addr"]["tcp_addr"][0]["addr_env"]
    assert shown == [["TAPEKIT_TLS_SHA256", "aa"], ["TAPEKIT_TLS_TOKEN", MASK]]


def test_names_that_are_not_utf8_are_there_to_read_and_to_send_again() -> None:
    request = m.TapeOpenRequest(device="r\udce9sumé", mode=0)
    shown = line(request)["body"]["device"]
    assert shown == {"text": r"r\xe9sumé", "hex": "72e973756dc3a9"}
    assert line(m.TapeOpenRequest(device="résumé", mode=0))["body"]["device"] == "résumé"


def test_lines_of_several_sessions_name_theirs() -> None:
    assert line(None, session=4)["session"] == 4
    assert "session" not in line(None)


def test_long_records_and_lists_are_cut_unless_wanted_whole() -> None:
    request = m.TapeWriteRequest(data_out=bytes(65))
    assert line(request)["body"]["data_out"] == {"total": 65, "first": "00" * 64}
    assert line(request, longest=None)["body"]["data_out"] == "00" * 65
    assert line(m.TapeWriteRequest(data_out=bytes(64)))["body"]["data_out"] == "00" * 64
    reply = m.DataGetEnvReply(error=0, env=(m.Pair("A", "B"),) * 3)
    assert line(reply, longest=2)["body"]["env"] == {"total": 3, "first": [["A", "B"]] * 2}


@given(data=st.data())
@settings(deadline=None, max_examples=10)
def test_every_message_has_a_line(any_message: Strategies, data: st.DataObject) -> None:
    for row in EXCHANGES:
        for kind in (row.request, row.reply):
            if kind is not None:
                body = data.draw(any_message(kind))
                assert set(line(body)["body"]) == set(kind.__struct_fields__)


def test_no_secret_reaches_a_line() -> None:
    lines: list[bytes] = []
    watch = tracer(lines.append, lambda: 0.0, longest=None)
    client = NdmpConnection(Role.CLIENT, clock=lambda: 0.0, watch=watch)
    server = NdmpConnection(Role.SERVER, clock=lambda: 0.0, watch=watch)
    password, digest, challenge = "correct horse", b"digest of 16 byt", b"challenge" * 7 + b"!"
    bodies: list[Message] = [
        m.ConnectClientAuthRequest(auth_data=m.AuthText(auth_id="u", auth_password=password)),
        m.ConnectClientAuthRequest(auth_data=m.AuthMd5(auth_id="u", auth_digest=digest)),
        m.ConnectServerAuthRequest(client_attr=m.AuthAttrMd5(challenge=challenge)),
        m.ConfigGetAuthAttrRequest(auth_type=2),
    ]
    for body in bodies:
        server.receive_data(client.send_request(body))
        request = server.next_event()
    attr = m.AuthAttrMd5(challenge=challenge)
    server.send_reply(request, m.ConfigGetAuthAttrReply(error=0, server_attr=attr))  # type: ignore[arg-type]  # the last event is a request
    text = b"".join(lines)
    for secret in (password.encode(), digest.hex().encode(), challenge.hex().encode()):
        assert secret not in text
    assert text.count(b'"***"') == 7


def test_the_secret_fields_exist() -> None:
    fields = {
        field
        for name in m.__all__
        if isinstance(kind := getattr(m, name), type) and issubclass(kind, msgspec.Struct)
        for field in kind.__struct_fields__
    }
    assert fields >= SECRET_FIELDS


def test_what_has_no_row_or_body_has_a_line_too() -> None:
    told = line(None)
    assert (told["message"], told["body"], told["kind"]) == (None, None, "request")
    header = msgspec.structs.replace(HEADER, message_type=1, message_code=0x900, error_code=4)
    row = EXCHANGES.by_code(0x900)
    text = trace_line(Direction.RECEIVED, header, row, None, time_s=0.0)
    assert json.loads(text)["kind"] == "reply"
    post = EXCHANGES.by_code(0x603)
    text = trace_line(Direction.RECEIVED, HEADER, post, None, time_s=0.0)
    assert json.loads(text)["kind"] == "post"


def test_both_ends_write_the_same_of_a_message() -> None:
    sent: list[bytes] = []
    received: list[bytes] = []
    server = NdmpConnection(Role.SERVER, clock=lambda: 0.0, watch=tracer(sent.append, lambda: 0.0))
    client = NdmpConnection(
        Role.CLIENT, clock=lambda: 0.0, watch=tracer(received.append, lambda: 0.0)
    )
    posts: list[Message] = [
        m.LogMessagePost(
            log_type=2,
            message_id=1,
            entry="x",
            has_associated_message=0,
            associated_message_sequence=0,
        ),
        m.NotifyDataHaltedPost(reason=99),
    ]
    for post in posts:
        client.receive_data(server.send_post(post))
        client.next_event()
    for ours, theirs in zip(sent, received, strict=True):
        assert json.loads(ours) | {"direction": "received"} == json.loads(theirs)
    assert json.loads(sent[0])["body"]["log_type"] == "ERROR"
    assert json.loads(sent[1])["body"]["reason"] == 99
