"""A tape that is open for reading: records, and the way from file to file.

The one rule: a record that cannot be read is an error, and never taken for
the end of a file or of the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import tape as tape_steps
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import MtioOp, NdmpError

if TYPE_CHECKING:
    from tapekit_ndmp_v4.client import NdmpClient

__all__ = ["TapeReader"]

_NOTHING_THERE: Final = frozenset({NdmpError.EOF_ERR, NdmpError.EOM_ERR})
"""Answers to a read where a filemark or the end of data is."""


@final
class TapeReader:
    """The tape that a session has open."""

    def __init__(self, client: NdmpClient) -> None:
        self._client: Final = client

    async def go_to(self, file: int) -> bool:
        """Go to the beginning of a file, counted from 0; tells whether the
        tape gets that far.
        """
        await tape_steps.rewind(self._client)
        return not file or await self.next_file(file)

    async def record(self, count: int) -> bytes | None:
        """A record, or as much of it; ``None`` where there is none. After
        that only :meth:`go_to` knows where the tape is.
        """
        try:
            reply = await self._client.call(m.TapeReadRequest(count=count))
        except NdmpReplyError as refused:
            if refused.code not in _NOTHING_THERE:
                raise
            return None
        return reply.data_in or None

    async def next_file(self, count: int = 1) -> bool:
        """Go over filemarks; tells whether there were so many from here on. A
        read at a filemark and one at the end of data may be answered alike.
        """
        request = m.TapeMtioRequest(tape_op=MtioOp.FSF, count=count)
        try:
            return (await self._client.call(request)).resid_count == 0
        except NdmpReplyError as refused:
            if refused.code not in _NOTHING_THERE:
                raise
            return False
