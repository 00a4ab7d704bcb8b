"""Operations: what an administrator may ask of a stack that runs.

A plugin describes each of its operations once, as an :class:`Operation` or a
:class:`Feed`, and offers it with the function that performs it. Its commands
run in another process; they hand the same description to
:attr:`Kernel.management`, which carries the request to the running stack and
brings back the reply. The one rule: an operation is named, typed and small;
data of a backup never passes through one.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Protocol,
    TypeAlias,
    TypeVar,
    runtime_checkable,
)

import msgspec

from tapekit.errors import Fault, TapekitError
from tapekit.hookspecs._markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "Feed",
    "Management",
    "ManyNodes",
    "NoReply",
    "NoRequest",
    "OPTIONS",
    "OfferedOperation",
    "Operation",
    "OperationRefused",
    "OptionRequest",
    "OptionState",
    "Privilege",
    "Tell",
    "option",
    "tapekit_provide_management",
    "tapekit_register_operations",
    "way_to",
    "ways_to",
]

Q = TypeVar("Q", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T", bound=msgspec.Struct)

Tell: TypeAlias = Callable[[T], Awaitable[None]]
"""Gives one item of a feed to whoever reads it, and waits while they are slow."""


class Privilege(enum.Enum):
    """What a caller has to ask for before an operation is performed."""

    ADMIN = "admin"
    ADVANCED = "advanced"
    """For operations that can do harm: they end jobs by force, or cost speed."""


class NoRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The request of an operation that needs to be told nothing."""


class NoReply(msgspec.Struct, frozen=True):
    """The reply of an operation that was performed and has nothing to tell."""


class Operation(msgspec.Struct, Generic[Q, R], frozen=True, kw_only=True):
    """A question with one answer, as both ends know it.

    ``name`` is ``PLUGIN.what``, such as ``ndmp_v4.sessions``; ``request`` and
    ``reply`` are structs of plain values that JSON can carry.
    """

    name: str
    summary: str
    request: type[Q]
    reply: type[R]
    privilege: Privilege = Privilege.ADMIN

    def performed_by(self, perform: Callable[[Q], Awaitable[R]]) -> OfferedOperation:
        """The operation as a plugin offers it."""
        return OfferedOperation(operation=self, perform=perform)


class Feed(msgspec.Struct, Generic[Q, R], frozen=True, kw_only=True):
    """A question with any number of answers, for as long as somebody reads.

    The fields are those of an :class:`Operation`; ``reply`` is one item.
    """

    name: str
    summary: str
    request: type[Q]
    reply: type[R]
    privilege: Privilege = Privilege.ADMIN

    def performed_by(self, perform: Callable[[Q, Tell[R]], Awaitable[None]]) -> OfferedOperation:
        """The feed as a plugin offers it. ``perform`` is cancelled when the
        reader goes away, and ends the feed when it returns.
        """
        return OfferedOperation(operation=self, perform=perform)


OPTIONS: Final = "options."
"""Begins the names of operations that show and set an option."""


class OptionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question for an option, or its new value."""

    value: str | None = None
    """The new value; ``None`` only asks."""


class OptionState(msgspec.Struct, frozen=True, kw_only=True):
    """An option as it is now."""

    name: str
    value: str
    values: tuple[str, ...]
    """What it can be set to."""


def option(name: str, summary: str) -> Operation[OptionRequest, OptionState]:
    """The operation of an option, such as ``tape.reservations``: one that an
    administrator sets while the stack runs, and that is remembered. Whatever
    offers it refuses a value that is none of :attr:`OptionState.values`.
    """
    return Operation(name=OPTIONS + name, summary=summary, request=OptionRequest, reply=OptionState)


class OfferedOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation or a feed, and what performs it.

    ``perform`` runs in trio and must not block; a :class:`TapekitError` that
    it raises is told to the caller, any other error is logged.
    """

    operation: Operation[Any, Any] | Feed[Any, Any]
    perform: Callable[..., Awaitable[Any]]

    @property
    def name(self) -> str:
        """The name of the operation."""
        return self.operation.name


class OperationRefused(TapekitError):
    """The running stack did not perform an operation, and says why.

    It carries the row of whichever plugin raised it there, so that
    ``tapekit explain`` knows its identifier.
    """

    @classmethod
    def told(cls, *, id: str, message: str, action: str) -> OperationRefused:  # noqa: A002 - the word of a row
        """The error that another process has told, its texts complete."""
        message, action = (text.replace("{", "{{").replace("}", "}}") for text in (message, action))
        return cls(Fault(id=id, message=message, cause="", action=action), {})


class Management(Protocol):
    """The way from a command to the stack of the same stack file that runs.

    Calls block: commands make them, never the running stack itself.
    """

    def call(
        self, operation: Operation[Q, R], request: Q, privilege: Privilege = Privilege.ADMIN
    ) -> R:
        """Have an operation performed.

        :raises OperationRefused: it was not.
        :raises TapekitError: no stack runs, or it cannot be reached.
        """
        ...

    def follow(
        self, feed: Feed[Q, R], request: Q, privilege: Privilege = Privilege.ADMIN
    ) -> Iterator[R]:
        """The items of a feed as they come; closing the iterator ends it.

        :raises OperationRefused: as :meth:`call`.
        :raises TapekitError: as :meth:`call`, or the stack stopped.
        """
        ...


@runtime_checkable
class ManyNodes(Protocol):
    """A :class:`Management` that also leads to the stacks of other nodes."""

    @property
    def nodes(self) -> Mapping[str, Management]:
        """The ways to them, by the names of the nodes."""
        ...


def ways_to(management: Management, node: str | None) -> Sequence[Management]:
    """The ways to the stacks of which a command for all nodes speaks.

    :param node: the name of a node, or ``local``; without one all are meant.
        A name that nobody knows is this node's to refuse.
    """
    others = management.nodes if isinstance(management, ManyNodes) else {}
    if node is None:
        return (management, *others.values())
    return (others.get(node, management),)


def way_to(management: Management, node: str | None) -> Management:
    """The way to the stack of one node; without a name to that of this one.

    :param node: see :func:`ways_to`.
    """
    return ways_to(management, node or "local")[0]


@hookspec
def tapekit_register_operations() -> Sequence[OfferedOperation]:
    """Offer operations that a running stack performs for administrators.

    Called once, before anything runs. All results are joined; a name that
    is offered twice stops the start with ``core.duplicate-name``.
    """
    ...


@hookspec
def tapekit_provide_management() -> Management | None:
    """Offer the way in which commands reach the running stack.

    Called once. At most one plugin may answer; a second one stops the start
    with ``core.duplicate-provider``. With none, commands that need a running
    stack stop with ``core.no-management``.
    """
