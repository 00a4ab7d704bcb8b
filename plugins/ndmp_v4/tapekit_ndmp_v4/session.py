"""One session: a control connection and everything it holds.

A session is one DATA server, one mover and at most one open tape. Handlers
read and change it; it starts nothing by itself. The one rule: after
``release`` and ``clear`` nothing of it is left anywhere, whatever state it
was in.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
from typing import TYPE_CHECKING, Final, final

from tapekit.errors import TapekitError
from tapekit.hookspecs.authentication import AuthMethod, Principal
from tapekit_ndmp_v4.data_server import DataServer
from tapekit_ndmp_v4.data_state import DataEvent
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.joint_state import settle
from tapekit_ndmp_v4.messages import CHALLENGE_BYTES
from tapekit_ndmp_v4.mover_server import MoverServer
from tapekit_ndmp_v4.numbers import AddrType, DataState, MoverState, NdmpError
from tapekit_ndmp_v4.refusal import Refused
from tapekit_ndmp_v4.tape_server import TapeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.transport import Endpoint
    from tapekit_ndmp_v4.host import HostFacts
    from tapekit_ndmp_v4.link import SessionLink
    from tapekit_ndmp_v4.wire import Pair

__all__ = ["Session", "offered_methods"]

_LOG: Final = logging.getLogger("tapekit.ndmp_v4")

_PATH_VARIABLES: Final = frozenset({"FILESYSTEM", "PREFIX"})


def offered_methods(kernel: Kernel, peer: Endpoint) -> frozenset[AuthMethod]:
    """How a client at this address may log in; without an authenticator
    nobody needs to, but only on loopback.
    """
    if kernel.authenticator is not None:
        return kernel.authenticator.methods
    if ipaddress.ip_address(peer.host.partition("%")[0]).is_loopback:
        return frozenset({AuthMethod.NONE})
    return frozenset()


@final
class Session:
    """The state of one control connection."""

    def __init__(
        self, *, number: int, kernel: Kernel, host: HostFacts, peer: Endpoint, link: SessionLink
    ) -> None:
        self.number: Final = number
        self.kernel: Final = kernel
        self.host: Final = host
        self.peer: Final = peer
        self.link: Final = link
        self.auth_methods: Final = offered_methods(kernel, peer)
        self.principal: Principal | None = None
        self.extensions_chosen = False
        self.tapes: Final = TapeServer(kernel.tape_inventory, link)
        self.data: Final = DataServer(link)
        movers = kernel.movers
        self.mover: Final = (
            MoverServer(link, movers, self.tapes, self._settle) if movers is not None else None
        )
        self._challenge: bytes | None = None
        self._after_reply: list[Callable[[], None]] = []

    @property
    def is_idle(self) -> bool:
        """Whether no job would be lost if the session ended now."""
        mover_is_idle = self.mover is None or self.mover.state is MoverState.IDLE
        return self.data.state is DataState.IDLE and mover_is_idle

    # Logging in.

    def new_challenge(self) -> bytes:
        """A challenge for one login."""
        self._challenge = secrets.token_bytes(CHALLENGE_BYTES)
        return self._challenge

    def take_challenge(self) -> bytes | None:
        """The challenge given out last; each serves one login only."""
        challenge, self._challenge = self._challenge, None
        return challenge

    def log_in(self, principal: Principal) -> None:
        """Somebody has proved who they are."""
        self.principal = principal

    def log_out(self) -> None:
        """Nobody is logged in any more."""
        self.principal = None

    def may_use(self, path: str) -> bool:
        """Whether the one logged in may use a path of the form /svm/volume."""
        svms = self.principal.svms if self.principal is not None else frozenset[str]()
        return not svms or path.strip("/").partition("/")[0] in svms

    def permit_paths(self, pairs: Sequence[Pair], *others: str) -> None:
        """Refuse paths of other storage virtual machines.

        :raises Refused: PERMISSION, naming the path.
        """
        for path in (*(pair.value for pair in pairs if pair.name in _PATH_VARIABLES), *others):
            if path.strip("/") and not self.may_use(path):
                user = self.principal.name if self.principal is not None else ""
                error = CATALOGUE.error("path-not-permitted", path=path, user=user)
                raise Refused(NdmpError.PERMISSION_ERR, error)

    # Connections.

    @property
    def address_kinds(self) -> tuple[AddrType, ...]:
        """The kinds of data connection on offer."""
        transports = self.kernel.data_transports
        kinds = []
        if AddrType.TCP.name in transports and not self._is_over_ipv6:
            kinds.append(AddrType.TCP)
        if self.mover is not None and AddrType.LOCAL.name in transports:
            kinds.insert(0, AddrType.LOCAL)
        return tuple(kinds)

    def address_kind(self, value: int) -> AddrType:
        """A kind that a client asked for.

        :raises Refused: ILLEGAL_ARGS for one that is not on offer.
        """
        if isinstance(value, AddrType) and value in self.address_kinds:
            return value
        error = None
        if value == AddrType.TCP and self._is_over_ipv6:
            error = CATALOGUE.error(
                "data-connection-type-not-supported",
                data_address_type="NDMP4_ADDR_TCP",
                control_family="IPv6",
            )
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR, error)

    @property
    def _is_over_ipv6(self) -> bool:
        """Whether our end has an IPv6 address, which an address of type TCP
        cannot hold.
        """
        return ":" in self.link.local_host

    def join_locally(self) -> None:
        """Connect the data server and the mover, of which one listens and
        the other has just been told to connect.
        """
        assert self.mover is not None
        self._settle()
        data_end, mover_end = self.kernel.data_transports[AddrType.LOCAL.name].pair()
        self.data.join(data_end, self.mover.read)
        self.mover.begin(mover_end)

    def _settle(self) -> None:
        """Let the move of one machine take the joined one along."""
        assert self.mover is not None
        if settle(self.data.machine, self.mover.machine) is DataEvent.HALT:
            self.data.mover_has_halted()

    # Dispatching.

    def after_reply(self, begin: Callable[[], None]) -> None:
        """Do something once the reply of the present request is queued."""
        self._after_reply.append(begin)

    def reply_is_queued(self) -> None:
        """Do what waited for the reply."""
        waiting, self._after_reply = self._after_reply, []
        for begin in waiting:
            begin()

    # Ending.

    def release(self) -> None:
        """Wake every thread that works for the session."""
        self.data.release()
        if self.mover is not None:
            self.mover.release()

    async def clear(self) -> None:
        """Free everything, once its threads have ended."""
        await self.data.clear()
        if self.mover is not None:
            await self.mover.settled()
        try:
            await self.tapes.close()
        except TapekitError as error:
            _LOG.warning("%s: closing the tape: %s", self.link.name, error)
