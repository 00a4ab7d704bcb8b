"""Who changed which user, told as events of the stack.

Users are changed by commands, each a process of its own; what they announce
reaches the plugins of their own stack, such as the backup log. The one rule:
an event names the user and what it may now, and has no secret in it.
"""

from __future__ import annotations

import pwd
import re
from typing import TYPE_CHECKING, Final, Protocol, final

from tapekit.hookspecs.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Audit", "Tell", "tell_nobody", "user_called"]

_PLAIN: Final = re.compile(r"[\w.@:-]+")


class Tell(Protocol):
    """Hears of a change, once it is durable."""

    def __call__(
        self, what: str, user: str, roles: Sequence[str] = (), svms: Sequence[str] = ()
    ) -> None:
        """Say what happened to a user, and what it may from now on.

        :param what: the name of the event, without that of the plugin.
        """


def tell_nobody(what: str, user: str, roles: Sequence[str] = (), svms: Sequence[str] = ()) -> None:
    """Keep it."""
    del what, user, roles, svms


@final
class Audit:
    """Announces changes of users."""

    def __init__(
        self,
        announce: Callable[[Event], None],
        clock: Callable[[], float],
        by: Callable[[], str],
    ) -> None:
        """:param by: says who makes the changes."""
        self._announce: Final = announce
        self._clock: Final = clock
        self._by: Final = by

    def __call__(
        self, what: str, user: str, roles: Sequence[str] = (), svms: Sequence[str] = ()
    ) -> None:
        """See :class:`Tell`."""
        facts = {"user": user, "by": self._by()}
        if roles:
            facts |= {"roles": ", ".join(roles), "svms": ", ".join(map(_shown, svms)) or "all"}
        self._announce(Event(name=f"auth.{what}", facts=facts, time_s=self._clock()))


def _shown(svm: str) -> str:
    """A name that cannot be taken for what stands behind it in a line; unlike
    names of users and roles, it may have any characters.
    """
    return svm if _PLAIN.fullmatch(svm) else ascii(svm)


def user_called(number: int) -> str:
    """How the machine calls one of its users.

    :param number: as a process has it.
    """
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
