"""Answers of servers, where a client can go on without one.

Whoever lets go of a server asks it for things that it may have done already
or cannot do any more. The one rule: only refusals and lost sessions are
passed over, and only where nothing depends on the answer.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeVar

from tapekit_ndmp_v4.errors import ConnectionLost, NdmpReplyError
from tapekit_ndmp_v4.wire import Message

if TYPE_CHECKING:
    from tapekit_ndmp_v4.client.client import NdmpClient
    from tapekit_ndmp_v4.wire import RequestBody

__all__ = ["attempt", "reason_word"]

R = TypeVar("R", bound=Message)


async def attempt(client: NdmpClient, request: RequestBody[R]) -> R | None:
    """The reply, or ``None`` where there is nothing to do any more: a server
    refuses to stop what it has stopped, and a lost session is let go by it.
    """
    try:
        return await client.call(request)
    except (NdmpReplyError, ConnectionLost):
        return None


def reason_word(reason: int | None) -> str:
    """The document's name of a reason, or the number of an unknown one."""
    return reason.name if isinstance(reason, enum.IntEnum) else str(reason)
