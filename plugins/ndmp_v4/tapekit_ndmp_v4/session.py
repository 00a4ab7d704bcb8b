"""One session: a control connection and everything it holds.

A session is one DATA server, one mover and at most one open device, a tape or
a SCSI device. Handlers read and change it; it starts nothing by itself. The
one rule: after ``release`` and ``clear`` nothing of it is left anywhere,
whatever state it was in.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
from typing import TYPE_CHECKING, Final, final

from tapekit.errors import TapekitError
from tapekit.hookspecs.authentication import AuthMethod, Principal
from tapekit.hookspecs.data_engine import PathNotPermitted
from tapekit.hookspecs.placement import ANYWHERE, Reach
from tapekit.machine import Machine
from tapekit_ndmp_v4 import addresses, cluster_aware
from tapekit_ndmp_v4.data_server import DataServer
from tapekit_ndmp_v4.data_state import DataEvent
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.extensions import SessionExtensions
from tapekit_ndmp_v4.joint_state import settle
from tapekit_ndmp_v4.messages import CHALLENGE_BYTES
from tapekit_ndmp_v4.mover_server import MoverServer
from tapekit_ndmp_v4.numbers import AddrType, DataState, MoverState, NdmpError
from tapekit_ndmp_v4.refusal import Refused
from tapekit_ndmp_v4.scsi_server import ScsiServer
from tapekit_ndmp_v4.session_state import TRANSITIONS, SessionEvent, SessionState
from tapekit_ndmp_v4.storage_paths import svm_of, volume_of
from tapekit_ndmp_v4.tape_server import TapeServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.placement import Place, Sight
    from tapekit.hookspecs.transport import DataTransport, Endpoint
    from tapekit_ndmp_v4.hookspecs import Extension
    from tapekit_ndmp_v4.host import HostFacts
    from tapekit_ndmp_v4.link import SessionLink
    from tapekit_ndmp_v4.service import ServiceSwitch
    from tapekit_ndmp_v4.wire import Pair

__all__ = ["Session", "offered_methods"]

_LOG: Final = logging.getLogger("tapekit.ndmp_v4")

_ADDRESS_TYPES: Final = {
    AddrType.TCP: "NDMP4_ADDR_TCP",
    AddrType.TCP_IPV6: "NDMP4_ADDR_TCP_IPv6",
}
_OTHER_FAMILY: Final = {
    AddrType.TCP: {AddrType.TCP_IPV6},
    AddrType.TCP_IPV6: {AddrType.TCP},
}
_FAMILIES: Final = {AddrType.TCP: "IPv4", AddrType.TCP_IPV6: "IPv6"}

_AT_WORK: Final = frozenset({MoverState.ACTIVE, MoverState.PAUSED})

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


def _methods(
    kernel: Kernel, peer: Endpoint, place: Place, service: ServiceSwitch
) -> frozenset[AuthMethod]:
    """How somebody may log in to a session: in node scope as the stack says,
    with the challenge always on, and else as any storage virtual machine says.
    """
    offered = offered_methods(kernel, peer)
    if not place.is_node_scoped:
        offered &= service.methods_of_any
    elif kernel.authenticator is not None:
        offered |= {AuthMethod.CHALLENGE}
    return offered if service.takes_clear_text else offered - {AuthMethod.PLAINTEXT}


@final
class Session:
    """The state of one control connection."""

    def __init__(
        self,
        *,
        number: int,
        kernel: Kernel,
        host: HostFacts,
        peer: Endpoint,
        link: SessionLink,
        opened_s: float,
        need_room: Callable[[str], None],
        need_tape_thread: Callable[[], None],
        service: ServiceSwitch,
        extensions: Sequence[Extension] = (),
        demanding: Sequence[Extension] = (),
        svms: frozenset[str] = frozenset(),
        place: Place = ANYWHERE,
    ) -> None:
        """:param opened_s: seconds since 1970.
        :param service: which storage virtual machines are served.
        :param need_room: raises :class:`Refused` if the engine of a butype
        has as many jobs in progress as it may.
        :param need_tape_thread: raises :class:`Refused` if as many tape drives
        move data as may.
        :param extensions: the classes of extensions on offer.
        :param demanding: those that data connections may need, on offer or not.
        :param svms: the storage virtual machines to which the control
        connection leads; empty means all.
        :param place: where it came in.
        """
        self.place: Final = place
        self.need_room: Final = need_room
        self.need_tape_thread: Final = need_tape_thread
        self.opened_s: Final = opened_s
        self._service: Final = service
        self.number: Final = number
        self.kernel: Final = kernel
        self.host: Final = host
        self.peer: Final = peer
        self.link: Final = link
        self.auth_methods: Final = _methods(kernel, peer, place, service)
        self.machine: Final = Machine("session", TRANSITIONS, SessionState.GREETED)
        self.principal: Principal | None = None
        """Who is logged in; nobody but in the state AUTHENTICATED."""
        self._method = AuthMethod.NONE
        self.extensions: Final = SessionExtensions(extensions, demanding)
        self._svms = svms
        self._is_barred = False
        if place.svms:
            self.limit_to(place.svms)
        self.tapes: Final = TapeServer(kernel.tape_inventory, link)
        self.scsi: Final = ScsiServer(kernel.tape_inventory, link)
        self.data: Final = DataServer(link)
        movers = kernel.movers
        self.mover: Final = (
            MoverServer(link, movers, self.tapes, self._settle) if movers is not None else None
        )
        self._challenge: bytes | None = None
        self._after_reply: list[Callable[[], None]] = []

    def jobs_of(self, butype: str) -> int:
        """How many jobs of an engine are in progress in the session."""
        return (self.data.at_work == butype) + self.extensions.jobs_of(butype)

    @property
    def has_job(self) -> bool:
        """Whether data moves, may move again when the client says so, or is
        about to.
        """
        mover_works = self.mover is not None and self.mover.state in _AT_WORK
        data_works = self.data.at_work is not None or self.data.state is DataState.ACTIVE
        return data_works or mover_works or self.extensions.has_job

    @property
    def is_idle(self) -> bool:
        """Whether neither data server nor mover has anything to do."""
        mover_is_idle = self.mover is None or self.mover.state is MoverState.IDLE
        return self.data.state is DataState.IDLE and mover_is_idle

    @property
    def has_device(self) -> bool:
        """Whether a tape or a SCSI device is open; a session has at most one."""
        return self.tapes.tape is not None or self.scsi.door is not None

    # Logging in.

    def opened(self) -> None:
        """Version 4 is agreed, by CONNECT_OPEN or by any other request."""
        self.machine.fire(SessionEvent.OPENED)

    def new_challenge(self) -> bytes:
        """A challenge for one login."""
        self._challenge = secrets.token_bytes(CHALLENGE_BYTES)
        return self._challenge

    def take_challenge(self) -> bytes | None:
        """The challenge given out last; each serves one login only."""
        challenge, self._challenge = self._challenge, None
        return challenge

    def method_refusal(self) -> Refused:
        """What becomes of a login by a method that is not offered."""
        offered = ", ".join(sorted(one.value for one in self.auth_methods)) or "nothing"
        error = CATALOGUE.error("auth-type-not-offered", offered=offered)
        return Refused(NdmpError.ILLEGAL_ARGS_ERR, error)

    def log_in(self, principal: Principal, method: AuthMethod) -> None:
        """Somebody has proved who they are."""
        self.machine.fire(SessionEvent.LOGGED_IN)
        self.principal, self._method = principal, method

    def is_closed_to(self, principal: Principal, method: AuthMethod) -> bool:
        """Whether no storage virtual machine of an account takes those who
        logged in so; an account of all of them always finds one.
        """
        svms = principal.svms
        return bool(svms) and not any(self._takes(method, svm) for svm in svms)

    def log_out(self) -> None:
        """Nobody is logged in any more, since a login is not granted yet."""
        self.machine.fire(SessionEvent.LOGIN_REFUSED)
        self.principal = None

    def leads_nowhere(self, principal: Principal) -> bool:
        """Whether somebody may use none of the storage virtual machines to
        which the control connection leads.
        """
        return self._left_to(principal) == frozenset()

    @property
    def svms(self) -> frozenset[str] | None:
        """The storage virtual machines that limits of its user and of its
        control connection leave to the session: none while nobody is logged
        in, and ``None`` for all.
        """
        return frozenset() if self.principal is None else self._left_to(self.principal)

    def _left_to(self, principal: Principal) -> frozenset[str] | None:
        """What is left to somebody of all storage virtual machines; ``None``
        without a limit.
        """
        if self._is_barred:
            return frozenset()
        limits = [limit for limit in (principal.svms, self._svms) if limit]
        return frozenset.intersection(*limits) if limits else None

    def limit_to(self, svms: frozenset[str]) -> None:
        """Limit the session to these storage virtual machines, besides what
        limits it already; there is no way back.
        """
        limited = self._svms & svms if self._svms else svms
        self._is_barred = self._is_barred or not limited
        self._svms = limited

    def may_use(self, path: str) -> bool:
        """Whether the one logged in may use a path of the form /svm/volume,
        over this control connection.
        """
        svm, svms = svm_of(path), self.svms
        permitted = svms is None or svm in svms
        is_open = self._service.serves(svm) and svm not in self.place.closed_svms
        return permitted and is_open and self._takes(self._method, svm)

    def _takes(self, method: AuthMethod, svm: str) -> bool:
        """Whether a storage virtual machine takes those who logged in so;
        what it says holds in its own scope alone.
        """
        return self.place.is_node_scoped or method in self._service.methods(svm)

    def permit(self, path: str) -> None:
        """Refuse a path of another storage virtual machine, or of none if
        there is a limit; callable from any thread.

        :raises PathNotPermitted: naming the path.
        """
        svm = svm_of(path)
        if not self._service.serves(svm):
            raise CATALOGUE.raised_as(PathNotPermitted, "service-off-for-svm", svm=svm)
        if svm in self.place.closed_svms:
            raise CATALOGUE.raised_as(PathNotPermitted, "protocol-not-allowed", svm=svm)
        if not self._takes(self._method, svm):
            raise CATALOGUE.raised_as(
                PathNotPermitted, "auth-type-off-for-svm", svm=svm, method=self._method.value
            )
        if not self.may_use(path):
            user = self.principal.name if self.principal is not None else ""
            raise CATALOGUE.raised_as(PathNotPermitted, "path-not-permitted", path=path, user=user)

    def permit_backup(self, path: str) -> None:
        """Refuse what :meth:`permit` refuses, and the node's root volume.

        :raises PathNotPermitted: naming the path.
        """
        self.permit(path)
        if self.is_root_volume(path):
            raise CATALOGUE.raised_as(PathNotPermitted, "root-volume", volume=volume_of(path))

    def is_root_volume(self, path: str) -> bool:
        """Whether a path leads into the root volume of this node."""
        return bool(self.place.root_volume) and volume_of(path) == self.place.root_volume

    def permit_login(self, principal: Principal) -> None:
        """Refuse accounts that are not for the place of the session, or have
        no storage virtual machine with NDMP.

        :raises Refused: NOT_AUTHORIZED, naming the user.
        """
        if principal.svms and principal.svms <= self.place.closed_svms:
            closed = CATALOGUE.error("protocol-not-allowed", svm=", ".join(sorted(principal.svms)))
            raise Refused(NdmpError.NOT_AUTHORIZED_ERR, closed)
        if not principal.contexts or principal.contexts & self.place.contexts:
            return
        if self.place.is_node_scoped or not self.place.interface:
            error = CATALOGUE.error(
                "login-of-other-scope",
                user=principal.name,
                scope="node" if self.place.is_node_scoped else "SVM",
            )
        else:
            error = CATALOGUE.error(
                "login-on-other-lif", user=principal.name, lif=self.place.interface
            )
        raise Refused(NdmpError.NOT_AUTHORIZED_ERR, error)

    @property
    def sight(self) -> Sight:
        """What the session sees, at most, with the classes it has chosen."""
        is_aware = cluster_aware.CLASS_ID in self.extensions.versions
        return self.place.aware_sight if is_aware else self.place.sight

    def permit_device(self, device: str) -> None:
        """Refuse tape drives and changers where none are seen.

        :raises Refused: NO_DEVICE.
        """
        if self.sight.devices is Reach.NOTHING:
            error = CATALOGUE.error("no-devices-on-lif", device=device, lif=self.place.interface)
            raise Refused(NdmpError.NO_DEVICE_ERR, error)

    def permit_paths(self, pairs: Sequence[Pair], *others: str) -> None:
        """Refuse paths of other storage virtual machines that a request
        names. What it opens may be made of more than one of its words: that
        is for :meth:`permit`.

        :raises Refused: PERMISSION, naming the path.
        """
        named = (pair.value for pair in pairs if pair.name in _PATH_VARIABLES)
        for path in filter(svm_of, (*named, *others)):
            try:
                self.permit(path)
            except PathNotPermitted as error:
                raise Refused(NdmpError.PERMISSION_ERR, error) from error

    @property
    def chosen_versions(self) -> Mapping[int, int]:
        """The extensions that the session has chosen, with their versions."""
        return self.extensions.versions

    # Connections.

    @property
    def address_kinds(self) -> tuple[AddrType, ...]:
        """The kinds of data connection on offer: those of NDMP v4, and what
        the chosen extensions add.
        """
        kinds = self.extensions.address_kinds()
        if self.mover is not None:
            kinds.add(AddrType.LOCAL)
        if self.control_family is AddrType.TCP or self.place.may_mix_families:
            kinds.add(AddrType.TCP)
        if self.place.is_node_scoped:
            kinds -= _OTHER_FAMILY[self.control_family]
        seen = self.sight.address_kinds & self.kernel.data_transports.keys()
        return tuple(sorted(kind for kind in kinds if kind.name in seen))

    def address_kind(self, value: int) -> AddrType:
        """A kind that a client asked for.

        :raises Refused: ILLEGAL_ARGS for one that is not on offer.
        """
        if isinstance(value, AddrType) and value in self.address_kinds:
            self.extensions.permit_connection(value)
            return value
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR, self._why_not(value))

    def transport(self, kind: AddrType) -> DataTransport:
        """Who makes the session's data connections of a kind on offer."""
        return self.extensions.transport(kind) or self.kernel.data_transports[kind.name]

    def connecting_class(self, kind: AddrType) -> int | None:
        """The chosen class that makes the data connections of a kind, if any."""
        return self.extensions.connecting_class(kind)

    def _why_not(self, value: int) -> TapekitError | None:
        """What an operator may want to know of a kind that is not on offer."""
        control = self.control_family
        match value:
            case AddrType.LOCAL if AddrType.LOCAL.name not in self.sight.address_kinds:
                return CATALOGUE.error("no-local-connection", lif=self.place.interface)
            case AddrType.TCP | AddrType.TCP_IPV6 if (
                value != control and not self.place.may_mix_families
            ):
                return CATALOGUE.error(
                    "data-connection-type-not-supported",
                    data_address_type=_ADDRESS_TYPES[AddrType(value)],
                    control_family=_FAMILIES[control],
                )
            case AddrType.TCP_IPV6:
                return CATALOGUE.error(
                    "address-type-of-extension", address_type=_ADDRESS_TYPES[AddrType.TCP_IPV6]
                )
            case _:
                return None

    @property
    def control_family(self) -> AddrType:
        """TCP or TCP_IPV6, by our end of the control connection."""
        return addresses.family_of(self.link.local_host)

    def join_locally(self) -> None:
        """Connect the data server and the mover, of which one listens and
        the other has just been told to connect.
        """
        assert self.mover is not None
        self._settle()
        data_end, mover_end = self.kernel.data_transports[AddrType.LOCAL.name].pair()
        self.data.join(data_end, self.mover.begin(mover_end), self.mover.record_size)

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
        """Free everything, once its threads have ended; what cannot be freed
        keeps nothing else.
        """
        self.machine.fire(SessionEvent.CLOSED)
        await self._attempt("its job", self.data.clear)
        if self.mover is not None:
            await self.mover.settled()
        for server in (self.tapes, self.scsi):
            await self._attempt("its device", server.close)
        self.extensions.close()

    async def _attempt(self, what: str, free: Callable[[], Awaitable[None]]) -> None:
        try:
            await free()
        except TapekitError as error:
            _LOG.warning("%s: closing %s: %s", self.link.name, what, error)
        except Exception:  # noqa: BLE001  # a defect keeps one thing, not the drive
            _LOG.exception("%s: closing %s failed", self.link.name, what)
