"""What ``ndmp_v4`` asks of other plugins: extensions of the protocol.

An extension is a class in the sense of CONFIG_GET_EXT_LIST: an identifier,
versions, and what it adds, which is messages, kinds of data connection, or
both. A session that has chosen the class gets an object of its own, in which
the extension keeps what it knows of the session. The one rule: what a class
adds does not exist for a session that has not chosen it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from tapekit.hookspecs import hookspec
from tapekit_ndmp_v4.exchanges import Exchange
from tapekit_ndmp_v4.numbers import AddrType
from tapekit_ndmp_v4.wire import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.authentication import Principal
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.placement import Place, Sight
    from tapekit.hookspecs.transport import DataTransport, Endpoint
    from tapekit_ndmp_v4.link import SessionLink
    from tapekit_ndmp_v4.wire import Pair

__all__ = [
    "ChosenExtension",
    "ExtendedSession",
    "Extension",
    "ExtensionHandler",
    "SecureControl",
    "tapekit_provide_secure_control",
    "tapekit_register_ndmp_extensions",
]

ExtensionHandler: TypeAlias = Callable[[Any], Awaitable[Message]]
"""Answers one kind of request with its reply. It refuses by raising
:class:`~tapekit_ndmp_v4.refusal.Refused`; any other TapekitError becomes
UNDEFINED in the reply, with its text as a LOG_MESSAGE."""


class ExtendedSession(Protocol):
    """What an extension sees of a session."""

    @property
    def kernel(self) -> Kernel:
        """The stack."""
        ...

    @property
    def peer(self) -> Endpoint:
        """The client's address."""
        ...

    @property
    def link(self) -> SessionLink:
        """The way to the client: posts, messages for the operator, threads."""
        ...

    @property
    def principal(self) -> Principal | None:
        """Who is logged in."""
        ...

    @property
    def control_family(self) -> AddrType:
        """TCP or TCP_IPV6, by our end of the control connection."""
        ...

    @property
    def place(self) -> Place:
        """Where the control connection came in."""
        ...

    @property
    def sight(self) -> Sight:
        """What the session sees, at most, with the classes it has chosen."""
        ...

    @property
    def svms(self) -> frozenset[str] | None:
        """The storage virtual machines that limits of its user and of its
        control connection leave to the session: none while nobody is logged
        in, and ``None`` for all.
        """
        ...

    def limit_to(self, svms: frozenset[str]) -> None:
        """Limit the session to these storage virtual machines, besides what
        limits it already; there is no way back.
        """
        ...

    def need_room(self, butype: str) -> None:
        """Refuse a job more than an engine may have in progress; see
        :meth:`ChosenExtension.jobs_of`.

        :raises Refused: DEVICE_BUSY.
        """
        ...

    def connecting_class(self, kind: AddrType) -> int | None:
        """The chosen class that makes the session's data connections of a
        kind in its own way, such as private ones; ``None`` if none does.
        """
        ...

    @property
    def chosen_versions(self) -> Mapping[int, int]:
        """The classes that the session has chosen, with their versions."""
        ...

    def after_reply(self, begin: Callable[[], None]) -> None:
        """Do something once the reply of the present request is queued."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether neither data server nor mover has anything to do."""
        ...

    @property
    def has_device(self) -> bool:
        """Whether a tape or a SCSI device of this node is open."""
        ...

    def may_use(self, path: str) -> bool:
        """Whether the one logged in may use a path of the form /svm/volume."""
        ...

    def permit(self, path: str) -> None:
        """Refuse a path that an operation is going to open; to be given to
        the engine that prepares it.

        :raises PathNotPermitted: naming the path.
        """
        ...

    def permit_paths(self, pairs: Sequence[Pair], *others: str) -> None:
        """Refuse paths of other storage virtual machines that are named in
        an environment and in ``others``, before anything is prepared.

        :raises Refused: PERMISSION, naming the path.
        """
        ...


class ChosenExtension:
    """What a class does in one session that has chosen it.

    Made for subclassing; as it stands it adds nothing. All methods are
    called in the session's own task, so none may block.
    """

    def __init__(self, session: ExtendedSession, version: int) -> None:
        """:param version: the one of the offered versions that the client chose."""
        self.session = session
        self.version = version

    def handlers(self) -> Mapping[type[Message], ExtensionHandler]:
        """Who answers the requests of :attr:`Extension.exchanges`; asked once.

        A request without a handler is answered NOT_SUPPORTED.
        """
        return {}

    def address_kinds(self) -> Collection[AddrType]:
        """Kinds of data connection that the session has besides the usual
        ones; those for which the stack has no transport are left out.
        """
        return ()

    def transport(self, kind: AddrType) -> DataTransport | None:  # noqa: ARG002 - for subclasses
        """Who makes the session's data connections of a kind, other than
        ``LOCAL``, in place of the stack's transport; ``None`` leaves it that.
        """
        return None

    def permit_connection(self, kind: AddrType) -> None:
        """Judge a data connection that the client is about to set up, by
        DATA_LISTEN, DATA_CONNECT, MOVER_LISTEN or MOVER_CONNECT.

        :raises Refused: it may not be made now, such as with PRECONDITION.
        """

    def permit_data_connection(self, kind: AddrType, *, listens: bool) -> None:
        """Judge a connection of the data server, after
        :meth:`permit_connection`.

        :param listens: by DATA_LISTEN, otherwise by DATA_CONNECT.
        :raises Refused: it may not be made now, such as with PRECONDITION.
        """

    def volume_variables(self, path: str) -> Sequence[Pair]:  # noqa: ARG002 - for subclasses
        """What CONFIG_GET_FS_INFO tells besides of a volume of this node."""
        return ()

    def device_variables(self) -> Sequence[Pair]:
        """What CONFIG_GET_TAPE_INFO and CONFIG_GET_SCSI_INFO tell besides of
        each device of this node.
        """
        return ()

    def elsewhere(self, request: Message, own: ExtensionHandler) -> ExtensionHandler | None:  # noqa: ARG002 - for subclasses
        """Who answers a request of NDMP v4 instead of this node, such as
        another node of a cluster; ``None`` if this node does.

        Asked before every such request. Whoever answers also judges the
        request, since the states of this node's servers say nothing of it.

        :param own: the handler of this node, for answers that add to its own.
        """
        return None

    @property
    def has_job(self) -> bool:
        """Whether work of the session that is done elsewhere is in progress,
        which a server that shuts down waits for.
        """
        return False

    def jobs_of(self, butype: str) -> int:  # noqa: ARG002 - for subclasses
        """How many jobs of an engine are in progress for the session beside
        its data server; they count where the number of such jobs is limited.
        """
        return 0

    def close(self) -> None:
        """The session is over, and its threads have ended."""


class Extension(msgspec.Struct, frozen=True, kw_only=True):
    """A class of extensions, as a plugin offers it (NDMP v4, CONFIG_GET_EXT_LIST)."""

    class_id: int
    """1 to 0xFFFF. Numbers of the class are ``class_id << 16 | n``."""
    name: str
    """What people call it, such as ``CAE``."""
    versions: tuple[int, ...]
    """The versions on offer, of which a client chooses one."""
    exchanges: tuple[Exchange, ...] = ()
    """Its messages: codes, shapes, whether they need a login, and the states
    in which they are legal; posts are rows too."""
    variables: frozenset[str] = frozenset()
    """Environment variables that only sessions may use that have chosen it."""
    begin: Callable[[ExtendedSession, int], ChosenExtension] = ChosenExtension
    """Called with a session and the version that it has chosen."""
    is_offered: Callable[[ExtendedSession], bool] = lambda _session: True
    """Whether a session may choose it; asked at each listing and choice."""
    demands: Callable[[AddrType], bool] = lambda _kind: False
    """Whether data connections of a kind are for sessions that have chosen
    the class alone."""


class SecureControl(Protocol):
    """Secure control connections, for each storage virtual machine."""

    def is_on(self, svm: str) -> bool:
        """Whether they are on for a storage virtual machine."""
        ...

    @property
    def addresses(self) -> Sequence[str]:
        """Where they are accepted now, as ``HOST:PORT``."""
        ...

    async def switch(self, svm: str, *, is_on: bool) -> None:
        """Switch them on or off, for connections to come; it is remembered
        over restarts.

        :raises TapekitError: it cannot be done; nothing changed.
        """
        ...


@hookspec
def tapekit_provide_secure_control() -> SecureControl | None:
    """Offer the switch of secure control connections.

    Called once, when the stack is assembled. At most one plugin may answer;
    a second one stops the start with ``core.duplicate-provider``. Without one
    there are none to switch.
    """
    ...


@hookspec
def tapekit_register_ndmp_extensions() -> Sequence[Extension]:
    """Offer classes of extensions.

    Called once, when the stack is assembled. All results are joined; a class
    that is offered twice, or that has a number of another class, stops the
    start with ``ndmp_v4.bad-extension``.
    """
    ...
