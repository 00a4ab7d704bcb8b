"""What the servers say while they copy.

The codes of the protocol tell little; what went wrong stands in the log
messages. So every one is passed on as it comes, and the last errors of each
side are kept for the message that ends a failed copy. The one rule: what a
server sends is text, never something that a terminal obeys.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit.console import printable
from tapekit_ndmp_v4.client import Side
from tapekit_ndmp_v4.messages import LogMessagePost
from tapekit_ndmp_v4.numbers import LogType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit_ndmp_v4.client import NdmpClient

__all__ = ["Hearing", "Words"]

_QUOTED: Final = 3
_KEPT: Final = 200


@final
class Words(msgspec.Struct, frozen=True):
    """One log message of a server."""

    side: Side
    level: str
    """The document's name of its kind, such as ``ERROR``."""
    text: str

    @property
    def is_error(self) -> bool:
        """Whether something went wrong."""
        return self.level == LogType.ERROR.name


@final
class Hearing:
    """Listens to the servers of a copy."""

    def __init__(self, tell: Callable[[Words], object]) -> None:
        """:param tell: gets each message as it comes."""
        self._tell: Final = tell
        self._kept: Final[deque[Words]] = deque(maxlen=_KEPT)

    def listen_to(self, side: Side, client: NdmpClient) -> None:
        """Hear what the server of a session says."""
        client.on_post(LogMessagePost, lambda post: self._heard(side, post))

    def _heard(self, side: Side, post: LogMessagePost) -> None:
        kind = post.log_type
        level = kind.name if isinstance(kind, LogType) else str(kind)
        words = Words(side, level, printable(post.entry.strip()))
        self._kept.append(words)
        self._tell(words)

    @property
    def words(self) -> Sequence[Words]:
        """The last messages of both sides, in order."""
        return tuple(self._kept)

    @property
    def complaints(self) -> str:
        """The last errors of each side in one sentence, or nothing."""
        return "; ".join(filter(None, map(self._complaints_of, Side)))

    def _complaints_of(self, side: Side) -> str:
        errors = [each.text for each in self._kept if each.side is side and each.is_error]
        # A server may say the same of several requests.
        distinct = list(dict.fromkeys(errors))[-_QUOTED:]
        return f"the {side} says: {' / '.join(distinct)}" if distinct else ""
