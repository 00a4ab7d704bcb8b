"""Class 0x2052, version 1, in one session: which node does what.

A client says with CAB_DATA_CONN_PREPARE what it is going to back up or
restore. If the volume is on another node, that node's data server is from
then on the session's; if a device of another node is opened, that node's
mover and devices are. The one rule: a data connection has the type that was
prepared, and no request reaches another node before this one has judged the
paths in it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from tapekit.errors import TapekitError
from tapekit.hookspecs.placement import Reach
from tapekit_cab.errors import CATALOGUE
from tapekit_cab.nodes import RemoteDevice, affinity
from tapekit_cab.relay import Part, Relay
from tapekit_ndmp_v4 import addresses
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.cluster_aware import (
    AFFINITY,
    CLASS_ID,
    EXCHANGES,
    VERSION,
    CabDataConnPrepareReply,
    CabDataConnPrepareRequest,
)
from tapekit_ndmp_v4.hookspecs import ChosenExtension, Extension
from tapekit_ndmp_v4.numbers import AddrType, NdmpError
from tapekit_ndmp_v4.refusal import Refused
from tapekit_ndmp_v4.storage_paths import volume_of
from tapekit_ndmp_v4.wire import Message, Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tapekit_cab.nodes import Node
    from tapekit_ndmp_v4.hookspecs import ExtendedSession, ExtensionHandler

__all__ = ["ChosenCab", "cluster_aware_backup"]

_DATA: Final[frozenset[type[Message]]] = frozenset(
    {
        m.DataGetStateRequest,
        m.DataListenRequest,
        m.DataConnectRequest,
        m.DataStartBackupRequest,
        m.DataStartRecoverRequest,
        m.DataAbortRequest,
        m.DataStopRequest,
        m.DataGetEnvRequest,
    }
)
_MOVER: Final[frozenset[type[Message]]] = frozenset(
    {
        m.MoverGetStateRequest,
        m.MoverListenRequest,
        m.MoverConnectRequest,
        m.MoverSetRecordSizeRequest,
        m.MoverSetWindowRequest,
        m.MoverReadRequest,
        m.MoverContinueRequest,
        m.MoverAbortRequest,
        m.MoverCloseRequest,
        m.MoverStopRequest,
    }
)
_DEVICE: Final[frozenset[type[Message]]] = frozenset(
    {
        m.TapeOpenRequest,
        m.TapeCloseRequest,
        m.TapeGetStateRequest,
        m.TapeMtioRequest,
        m.TapeWriteRequest,
        m.TapeReadRequest,
        m.TapeExecuteCdbRequest,
        m.ScsiOpenRequest,
        m.ScsiCloseRequest,
        m.ScsiGetStateRequest,
        m.ScsiResetDeviceRequest,
        m.ScsiExecuteCdbRequest,
    }
)
_SET_BEFORE_OPENING: Final = (m.MoverSetRecordSizeRequest, m.MoverSetWindowRequest)


@final
class ChosenCab(ChosenExtension):
    """The extension in one session."""

    def __init__(
        self,
        session: ExtendedSession,
        version: int,
        nodes: Mapping[str, Node],
        *,
        tcp_stands_for_ipv6: bool,
        answer_timeout_s: float,
    ) -> None:
        super().__init__(session, version)
        self._nodes: Final = nodes
        self._answer_timeout_s: Final = answer_timeout_s
        self._tcp_stands_for_ipv6: Final = tcp_stands_for_ipv6
        self._prepared: int | None = None
        self._relays: Final[dict[str, Relay]] = {}
        self._data_at: Relay | None = None
        self._tape_at: Relay | None = None
        self._mover_settings: Final[dict[type[Message], Message]] = {}

    def handlers(self) -> Mapping[type[Message], ExtensionHandler]:
        """Who answers the request of the class."""
        handlers: dict[type[Message], Callable[[Any], Any]] = {
            CabDataConnPrepareRequest: self._prepare
        }
        return handlers

    # Preparing.

    async def _prepare(self, request: CabDataConnPrepareRequest) -> CabDataConnPrepareReply:
        """CAB_DATA_CONN_PREPARE: find out which node owns the volume."""
        if self._data_at is not None and Part.DATA in self._data_at.parts:
            raise Refused(NdmpError.ILLEGAL_STATE_ERR)
        self.session.permit_paths(request.env)
        owner = await self._owner(_volume_of(request.env))
        self._data_at = None if owner is None else await self._relay(owner)
        self._prepared = request.addr_type
        return CabDataConnPrepareReply(error=NdmpError.NO_ERR)

    async def _owner(self, volume: str) -> Node | None:
        """The node that has a volume; ``None`` for this one, which also
        answers for a volume that no node has.
        """
        sees_all = self.session.sight.volumes is Reach.CLUSTER
        if not volume or not sees_all or not self._nodes or await self._is_here(volume):
            return None
        for node in self._nodes.values():
            listing = await self._told(node, m.ConfigGetFsInfoRequest())
            if listing is not None and any(
                row.fs_logical_device == volume for row in listing.fs_info
            ):
                return node
        return None

    async def _is_here(self, volume: str) -> bool:
        storage = self.session.kernel.storage
        rows = await self.session.link.in_thread(storage.filesystems) if storage else ()
        return any(row.path == volume for row in rows)

    def permit_data_connection(self, kind: AddrType, *, listens: bool) -> None:
        """Need the type that was prepared, if one was."""
        prepared = self._prepared
        stands_for_it = (
            self._tcp_stands_for_ipv6 and prepared == AddrType.TCP and kind is AddrType.TCP_IPV6
        )
        if prepared is None or prepared == kind or stands_for_it:
            return
        error = (
            CATALOGUE.error("data-listen-cab-precondition")
            if listens
            else CATALOGUE.error("data-connect-cab-precondition")
        )
        raise Refused(NdmpError.PRECONDITION_ERR, error)

    # Where things are.

    def volume_variables(self, path: str) -> Sequence[Pair]:  # noqa: ARG002 - all are at one place
        """The affinity of this node's volumes."""
        return (self._affinity_pair(self.session.kernel.node_name),)

    def device_variables(self) -> Sequence[Pair]:
        """The affinity of this node's devices."""
        return (self._affinity_pair(self.session.kernel.node_name),)

    @staticmethod
    def _affinity_pair(node_name: str) -> Pair:
        return Pair(AFFINITY, affinity(node_name))

    # Work elsewhere.

    @property
    def has_job(self) -> bool:
        """Whether another node is at work for the session."""
        return any(relay.has_job for relay in self._relays.values())

    def elsewhere(self, request: Message, own: ExtensionHandler) -> ExtensionHandler | None:
        """Another node's answer, if it has the volume or the device."""
        if not self._nodes:
            return None
        kind = type(request)
        sight = self.session.sight
        match request:
            case m.ConfigGetFsInfoRequest() if sight.volumes is Reach.CLUSTER:
                return functools.partial(self._all_volumes, own)
            case m.ConfigGetTapeInfoRequest() if sight.devices is Reach.CLUSTER:
                return functools.partial(self._all_drives, own)
            case m.ConfigGetScsiInfoRequest() if sight.devices is Reach.CLUSTER:
                return functools.partial(self._all_changers, own)
            case m.TapeOpenRequest() | m.ScsiOpenRequest() if sight.devices is Reach.CLUSTER:
                return self._opener(request)
        if kind in _DATA:
            return self._data_answer()
        if isinstance(request, _SET_BEFORE_OPENING):
            self._mover_settings[kind] = request
        if kind in _MOVER | _DEVICE:
            tape_at = self._present_tape()
            return None if tape_at is None else functools.partial(self._tape_request, tape_at)
        return None

    def _data_answer(self) -> ExtensionHandler | None:
        relay = self._data_at
        if relay is not None and relay.is_lost and Part.DATA not in relay.parts:
            relay = self._data_at = None
        return None if relay is None else functools.partial(self._data_request, relay)

    async def _data_request(self, relay: Relay, request: Any) -> Message:
        """A request to the data server of another node, judged here first."""
        session = self.session
        match request:
            case m.DataListenRequest(addr_type=AddrType() as kind):
                self._permit_elsewhere(relay, kind)
                self.permit_data_connection(kind, listens=True)
            case m.DataConnectRequest(addr=addr):
                kind = addresses.kind_of(addr)
                self._permit_elsewhere(relay, kind)
                self.permit_data_connection(kind, listens=False)
            case m.DataStartBackupRequest(env=env):
                session.permit_paths(env)
            case m.DataStartRecoverRequest(env=env, nlist=names):
                session.permit_paths(env, *map(_destination_of, names))
        reply: Message = await relay.ask(request)
        return reply

    async def _tape_request(self, relay: Relay, request: Any) -> Message:
        """A request to the mover or the device of another node."""
        match request:
            case m.MoverListenRequest(addr_type=AddrType() as kind):
                self._permit_elsewhere(relay, kind)
            case m.MoverConnectRequest(addr=addr):
                self._permit_elsewhere(relay, addresses.kind_of(addr))
        reply: Message = await relay.ask(request)
        return reply

    def _permit_elsewhere(self, relay: Relay, kind: AddrType) -> None:
        """Judge another node's data connection as one of this node would be."""
        if kind.name not in self.session.sight.address_kinds:
            raise Refused(NdmpError.ILLEGAL_ARGS_ERR)
        wanted = self.session.connecting_class(kind)
        if wanted in relay.lacking:
            error = CATALOGUE.error("node-lacks-class", node=relay.node.name, class_id=wanted)
            raise Refused(NdmpError.PERMISSION_ERR, error)

    # Devices.

    def _present_tape(self) -> Relay | None:
        """The node whose mover and devices are the session's, if another."""
        tape_at = self._tape_at
        if tape_at is not None and not tape_at.parts & {Part.TAPE, Part.SCSI, Part.MOVER}:
            tape_at = self._tape_at = None
        return tape_at

    def _opener(self, request: m.TapeOpenRequest | m.ScsiOpenRequest) -> ExtensionHandler | None:
        present = self._present_tape()
        found = self._remote_device(request.device)
        if found is None and present is None:
            return None
        return functools.partial(self._open_device, found)

    def _remote_device(self, device: str) -> RemoteDevice | None:
        name, colon, its_own = device.partition(":")
        node = self._nodes.get(name) if colon else None
        return None if node is None else RemoteDevice(node, its_own)

    async def _open_device(self, found: RemoteDevice | None, request: Any) -> Message:
        """Open another node's device; a session has one at a time."""
        present = self._present_tape()
        if self.session.has_device or (
            present is not None and present.parts & {Part.TAPE, Part.SCSI}
        ):
            raise Refused(NdmpError.DEVICE_OPENED_ERR)
        if found is None or (present is not None and present.node != found.node):
            # The mover that waits for its next tape is on another node.
            raise Refused(NdmpError.ILLEGAL_STATE_ERR)
        relay = await self._relay(found.node)
        if present is None:
            for setting in self._mover_settings.values():
                await relay.ask(setting)  # type: ignore[arg-type]  # both are requests
        reply: Message = await relay.ask(msgspec.structs.replace(request, device=found.device))
        self._tape_at = relay
        return reply

    async def _relay(self, node: Node) -> Relay:
        """The session's way to a node.

        :raises TapekitError: the node does not take it.
        """
        relay = self._relays.get(node.name)
        if relay is None or relay.is_lost:
            relay = Relay(self.session, node, self._answer_timeout_s)
            await relay.open()
            self._relays[node.name] = relay
        return relay

    # Listings of the cluster.

    async def _told(self, node: Node, request: Any) -> Any:
        """A node's reply; ``None``, with a message to the operator, from a
        node that cannot be reached.
        """
        try:
            return await (await self._relay(node)).ask(request)
        except TapekitError as error:
            self.session.link.log_error(error)
        except Refused as refused:
            if refused.error is not None:
                self.session.link.log_error(refused.error)
        return None

    async def _all_volumes(self, own: ExtensionHandler, request: Any) -> Message:
        reply: Any = await own(request)
        rows = list(reply.fs_info)
        for node in self._nodes.values():
            told = await self._told(node, request)
            pair = self._affinity_pair(node.name)
            for row in () if told is None else told.fs_info:
                if not self.session.may_use(row.fs_logical_device):
                    continue
                variables = (*(each for each in row.fs_env if each.name != "LOCAL"), pair)
                rows.append(msgspec.structs.replace(row, fs_env=variables))
        whole: Message = msgspec.structs.replace(reply, fs_info=tuple(rows))
        return whole

    async def _all_drives(self, own: ExtensionHandler, request: Any) -> Message:
        reply: Any = await own(request)
        more = await self._devices(request, lambda told: told.tape_info)
        whole: Message = msgspec.structs.replace(reply, tape_info=(*reply.tape_info, *more))
        return whole

    async def _all_changers(self, own: ExtensionHandler, request: Any) -> Message:
        reply: Any = await own(request)
        more = await self._devices(request, lambda told: told.scsi_info)
        whole: Message = msgspec.structs.replace(reply, scsi_info=(*reply.scsi_info, *more))
        return whole

    async def _devices(
        self, request: Any, devices_of: Callable[[Any], Sequence[m.DeviceInfo]]
    ) -> list[m.DeviceInfo]:
        found: list[m.DeviceInfo] = []
        for node in self._nodes.values():
            told = await self._told(node, request)
            if told is not None:
                found += [self._at_node(node, each) for each in devices_of(told)]
        return found

    def _at_node(self, node: Node, info: m.DeviceInfo) -> m.DeviceInfo:
        pair = self._affinity_pair(node.name)
        devices = tuple(
            msgspec.structs.replace(
                each,
                device=f"{node.name}:{each.device}",
                capability=(*each.capability, pair),
            )
            for each in info.caplist
        )
        return msgspec.structs.replace(info, caplist=devices)


def _volume_of(environment: Sequence[Pair]) -> str:
    """``/svm/volume``, or nothing if no volume is named."""
    named = {pair.name: pair.value for pair in environment}
    return volume_of(named.get("FILESYSTEM", ""))


def _destination_of(name: m.Name) -> str:
    """Where an entry of a restore list leads to, as far as it says so itself:
    engines put its name behind its destination.
    """
    return f"{name.destination_path}/{name.name}" if name.destination_path else ""


def cluster_aware_backup(
    nodes: Mapping[str, Node], *, tcp_stands_for_ipv6: bool, answer_timeout_s: float
) -> Extension:
    """The class as ``ndmp_v4`` offers it."""

    def begin(session: ExtendedSession, version: int) -> ChosenCab:
        return ChosenCab(
            session,
            version,
            nodes,
            tcp_stands_for_ipv6=tcp_stands_for_ipv6,
            answer_timeout_s=answer_timeout_s,
        )

    return Extension(
        class_id=CLASS_ID,
        name="CAB",
        versions=(VERSION,),
        exchanges=EXCHANGES,
        begin=begin,
        is_offered=lambda session: not session.place.is_node_scoped,
    )
