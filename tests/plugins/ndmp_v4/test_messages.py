"""Vectors: bytes of peers and of the document, against values written down."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.exchanges import EXCHANGES
from tapekit_ndmp_v4.records import Limits, RecordReader, marked
from tapekit_ndmp_v4.wire import RequestBody

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_ndmp_v4.messages import Message


def record_of(vector: Any) -> bytes:
    reader = RecordReader(Limits())
    reader.receive_data(vector.data)
    record = reader.next_record()
    assert record is not None
    assert reader.next_record() is None
    return record


def read_as(kind: type[Message], data: bytes) -> Any:
    """A message as plain values, after a strict round trip."""
    value = xdr.decode(kind, data, strict=True)
    return json.loads(json.dumps(msgspec.to_builtins(value)))


def test_a_vector_reads_as_its_values(vector: Any) -> None:
    record = record_of(vector)
    assert read_as(m.Header, record[: m.HEADER_BYTES]) == vector.header
    body = record[m.HEADER_BYTES :]
    if vector.type is None:
        assert body == b""
        assert vector.header["error_code"] != 0
    else:
        assert read_as(getattr(m, vector.type), body) == vector.body


def test_a_vector_of_one_fragment_is_what_we_would_send(vector: Any) -> None:
    record = record_of(vector)
    assert sum(vector.fragments) == len(record)
    assert (marked(record) == vector.data) == (len(vector.fragments) == 1)


def test_a_vector_belongs_to_its_exchange(vector: Any) -> None:
    row = EXCHANGES.by_code(vector.header["message_code"])
    if row is None:
        assert vector.name == "header-error-unknown-code"
    elif vector.type is not None:
        kind = row.reply if vector.header["message_type"] else row.request
        assert kind is getattr(m, vector.type)


def test_every_vector_says_where_it_comes_from(vector: Any) -> None:
    assert len(vector.provenance) > 40


def document_name(words: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", words).upper()


def test_messages_are_named_after_their_exchange() -> None:
    for row in EXCHANGES:
        shapes: Sequence[tuple[type[Message] | None, str]] = (
            [(row.request, "Post")]
            if row.is_post
            else [(row.request, "Request"), (row.reply, "Reply")]
        )
        for kind, ending in shapes:
            if kind is not None:
                assert kind.__name__.endswith(ending)
                assert document_name(kind.__name__.removesuffix(ending)) == row.name


def test_requests_name_the_reply_that_the_table_has() -> None:
    for row in EXCHANGES:
        bases = getattr(row.request, "__orig_bases__", ())
        named = [base.__args__[0].__forward_arg__ for base in bases if hasattr(base, "__args__")]
        assert named == ([] if row.reply is None else [row.reply.__name__])
        assert issubclass(row.request, RequestBody) == (row.reply is not None)


def test_error_stands_first_in_replies_with_two_exceptions() -> None:
    for row in EXCHANGES:
        if row.reply is not None:
            second = row.reply in {m.TapeGetStateReply, m.DataGetStateReply}
            expected = ("unsupported", "error") if second else ("error",)
            assert row.reply.__struct_fields__[: len(expected)] == expected


def test_every_structure_is_documented(message_type: type[Message]) -> None:
    assert message_type.__doc__
    assert message_type.__struct_config__.frozen


def test_all_lists_every_structure_of_the_pages() -> None:
    pages = [
        getattr(m, page)
        for page in (
            *("addresses", "config", "connect", "data", "file_history", "header"),
            *("log", "mover", "notify", "scsi", "tape"),
        )
    ]
    assert {name for page in pages for name in page.__all__} | {"Message", "Pair"} == set(m.__all__)
