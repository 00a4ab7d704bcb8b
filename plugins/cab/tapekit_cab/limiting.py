"""Class 0x7A9F, version 1, of tapekit's own: limits between nodes.

Nodes log in to each other with an account that may use everything. So that a
user who may not cannot reach more through another node than here, a node says
first for which storage virtual machines a session works. The one rule: a
limit can be narrowed, and never lifted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, final

from msgspec import Meta

from tapekit_ndmp_v4.exchanges import Exchange
from tapekit_ndmp_v4.hookspecs import ChosenExtension, Extension
from tapekit_ndmp_v4.numbers import DataState, MoverState, NdmpError
from tapekit_ndmp_v4.wire import ErrorCode, Message, RequestBody, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tapekit_ndmp_v4.hookspecs import ExtensionHandler

__all__ = [
    "EXCHANGES",
    "LIMITING_CLASS",
    "LIMITING_VERSION",
    "ChosenLimiting",
    "NodeLimitReply",
    "NodeLimitRequest",
    "limiting_extension",
]

LIMITING_CLASS: Final = 0x7A9F
LIMITING_VERSION: Final = 1


class NodeLimitRequest(RequestBody["NodeLimitReply"]):
    """Limit the session to storage virtual machines; NODE_LIMIT. With none it
    has devices alone.
    """

    svms: Annotated[tuple[Text, ...], Meta(max_length=4096)]


class NodeLimitReply(Message):
    """Whether it is limited; NODE_LIMIT."""

    error: ErrorCode


EXCHANGES: Final = (
    Exchange(
        LIMITING_CLASS << 16 | 1,
        "NODE_LIMIT",
        NodeLimitRequest,
        NodeLimitReply,
        frozenset({DataState.IDLE}),
        frozenset({MoverState.IDLE}),
    ),
)


@final
class ChosenLimiting(ChosenExtension):
    """The extension in one session."""

    def handlers(self) -> Mapping[type[Message], ExtensionHandler]:
        """Who answers the request of the class."""
        handlers: dict[type[Message], Callable[[Any], Any]] = {NodeLimitRequest: self._limit}
        return handlers

    async def _limit(self, request: NodeLimitRequest) -> NodeLimitReply:
        self.session.limit_to(frozenset(request.svms))
        return NodeLimitReply(error=NdmpError.NO_ERR)


def limiting_extension() -> Extension:
    """The class as ``ndmp_v4`` offers it."""
    return Extension(
        class_id=LIMITING_CLASS,
        name="NODE",
        versions=(LIMITING_VERSION,),
        exchanges=EXCHANGES,
        begin=ChosenLimiting,
    )
