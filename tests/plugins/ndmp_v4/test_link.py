"""Messages for operators: what has no room in a message."""

from __future__ import annotations

import pytest

from tapekit.hookspecs.data_engine import LogLevel
from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.link import SessionLink
from tapekit_ndmp_v4.messages import LogMessagePost
from tapekit_ndmp_v4.wire import TEXT_BYTES


@pytest.mark.parametrize("name", ["n", "\u00e9", "\udcff"])
async def test_a_long_text_is_cut_and_goes_out(name: str) -> None:
    link = SessionLink.__new__(SessionLink)
    link._log_id = 0
    post = link.log_message(LogLevel.WARNING, "cannot read " + name * TEXT_BYTES)
    sent = xdr.decode(LogMessagePost, xdr.encode(post))
    assert sent.entry.startswith("cannot read " + name * 4000)
    assert sent.entry.endswith(" ...")
    assert link.log_message(LogLevel.WARNING, name).entry == name
