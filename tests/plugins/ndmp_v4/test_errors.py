"""Errors of the wire and of replies: what callers can read off them."""

from __future__ import annotations

import pytest

from tapekit.errors import Fault, TapekitError
from tapekit_ndmp_v4.errors import (
    CATALOGUE,
    ConnectionLost,
    LocalProtocolError,
    NdmpReplyError,
    OperationFailed,
    RemoteProtocolError,
)
from tapekit_ndmp_v4.numbers import NdmpError

FAULT = Fault(id="ndmp_v4.request-refused", message="no", cause="", action="")


@pytest.mark.parametrize(
    "kind",
    [ConnectionLost, LocalProtocolError, NdmpReplyError, OperationFailed, RemoteProtocolError],
)
def test_every_error_is_one_an_operator_can_read_about(kind: type[TapekitError]) -> None:
    assert issubclass(kind, TapekitError)


def test_a_refusal_carries_the_code_it_was_made_for() -> None:
    refused = CATALOGUE.raised_as(
        NdmpReplyError,
        "request-refused",
        request="TAPE_OPEN",
        error="NO_DEVICE_ERR",
        code=NdmpError.NO_DEVICE_ERR,
    )
    assert refused.code is NdmpError.NO_DEVICE_ERR
    assert refused.reply is None
    assert "tapekit explain ndmp_v4.request-refused" in refused.explained


def test_a_refusal_without_a_code_is_a_bug() -> None:
    with pytest.raises(TypeError, match="carries the fact 'code'"):
        NdmpReplyError(FAULT, {"code": "NO_DEVICE_ERR"})
