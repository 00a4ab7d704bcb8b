"""CONFIG: what this server is and has (NDMP v4, interface 0x100)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.authentication import AuthMethod
from tapekit.hookspecs.environment import Direction
from tapekit.hookspecs.placement import Reach
from tapekit.hookspecs.volume_images import VolumeState
from tapekit_ndmp_v4.messages import (
    AuthAttrMd5,
    AuthAttrNone,
    AuthAttrText,
    ButypeInfo,
    ConfigGetAuthAttrReply,
    ConfigGetAuthAttrRequest,
    ConfigGetButypeInfoReply,
    ConfigGetButypeInfoRequest,
    ConfigGetConnectionTypeReply,
    ConfigGetConnectionTypeRequest,
    ConfigGetExtListReply,
    ConfigGetExtListRequest,
    ConfigGetFsInfoReply,
    ConfigGetFsInfoRequest,
    ConfigGetHostInfoReply,
    ConfigGetHostInfoRequest,
    ConfigGetScsiInfoReply,
    ConfigGetScsiInfoRequest,
    ConfigGetServerInfoReply,
    ConfigGetServerInfoRequest,
    ConfigGetTapeInfoReply,
    ConfigGetTapeInfoRequest,
    ConfigSetExtListReply,
    ConfigSetExtListRequest,
    DeviceCapability,
    DeviceInfo,
    FsInfo,
)
from tapekit_ndmp_v4.numbers import AuthType, NdmpError, TapeAttr
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from tapekit.hookspecs.data_engine import DataEngine
    from tapekit.hookspecs.media_changer import ChangerRow
    from tapekit.hookspecs.storage import FilesystemInfo
    from tapekit.hookspecs.tape_driver import DeviceRow, DriveRow, TapeInventory
    from tapekit_ndmp_v4.session import Session

__all__ = [
    "get_auth_attr",
    "get_butype_info",
    "get_connection_type",
    "get_ext_list",
    "get_fs_info",
    "get_host_info",
    "get_scsi_info",
    "get_server_info",
    "get_tape_info",
    "set_ext_list",
]

_AUTH_TYPES: Final = {
    AuthMethod.NONE: AuthType.NONE,
    AuthMethod.PLAINTEXT: AuthType.TEXT,
    AuthMethod.CHALLENGE: AuthType.MD5,
}


async def get_host_info(
    session: Session, _request: ConfigGetHostInfoRequest
) -> ConfigGetHostInfoReply:
    """CONFIG_GET_HOST_INFO: the node."""
    host = session.host
    return ConfigGetHostInfoReply(
        error=NdmpError.NO_ERR,
        hostname=session.kernel.node_name,
        os_type=host.os_type,
        os_vers=host.os_version,
        hostid=host.host_id,
    )


async def get_server_info(
    session: Session, _request: ConfigGetServerInfoRequest
) -> ConfigGetServerInfoReply:
    """CONFIG_GET_SERVER_INFO: the product, and how to log in."""
    host = session.host
    return ConfigGetServerInfoReply(
        error=NdmpError.NO_ERR,
        vendor_name=host.vendor,
        product_name=host.product,
        revision_number=host.revision,
        auth_type=tuple(
            number for method, number in _AUTH_TYPES.items() if method in session.auth_methods
        ),
    )


async def get_connection_type(
    session: Session, _request: ConfigGetConnectionTypeRequest
) -> ConfigGetConnectionTypeReply:
    """CONFIG_GET_CONNECTION_TYPE: the kinds of data connection."""
    return ConfigGetConnectionTypeReply(error=NdmpError.NO_ERR, addr_types=session.address_kinds)


async def get_auth_attr(
    session: Session, request: ConfigGetAuthAttrRequest
) -> ConfigGetAuthAttrReply:
    """CONFIG_GET_AUTH_ATTR: a fresh challenge for MD5."""
    attr: AuthAttrNone | AuthAttrText | AuthAttrMd5
    match request.auth_type:
        case AuthType.NONE if AuthMethod.NONE in session.auth_methods:
            attr = AuthAttrNone()
        case AuthType.TEXT if AuthMethod.PLAINTEXT in session.auth_methods:
            attr = AuthAttrText()
        case AuthType.MD5 if AuthMethod.CHALLENGE in session.auth_methods:
            attr = AuthAttrMd5(challenge=session.new_challenge())
        case _:
            raise session.method_refusal()
    return ConfigGetAuthAttrReply(error=NdmpError.NO_ERR, server_attr=attr)


async def get_butype_info(
    session: Session, _request: ConfigGetButypeInfoRequest
) -> ConfigGetButypeInfoReply:
    """CONFIG_GET_BUTYPE_INFO: the data engines with their variables."""
    engines = session.kernel.engines
    return ConfigGetButypeInfoReply(
        error=NdmpError.NO_ERR,
        butype_info=tuple(_butype(session, engines[name]) for name in _butypes(session)),
    )


def _butypes(session: Session) -> list[str]:
    return sorted(session.kernel.engines.keys() - session.place.without_engines)


def _butype(session: Session, engine: DataEngine) -> ButypeInfo:
    return ButypeInfo(
        butype_name=engine.name,
        default_env=tuple(
            Pair(row.name, row.default)
            for row in session.kernel.variables(engine.name)
            if row.default is not None and row.direction is Direction.SET_BY_DMA
        ),
        attrs=engine.abilities.value,
    )


async def get_fs_info(session: Session, _request: ConfigGetFsInfoRequest) -> ConfigGetFsInfoReply:
    """CONFIG_GET_FS_INFO: the volumes with their sizes."""
    storage = session.kernel.storage
    rows = await session.link.in_thread(storage.filesystems) if storage is not None else ()
    return ConfigGetFsInfoReply(
        error=NdmpError.NO_ERR,
        fs_info=tuple(_filesystem(session, row) for row in rows if session.may_use(row.path)),
    )


def _filesystem(session: Session, row: FilesystemInfo) -> FsInfo:
    butypes = ",".join(_butypes(session))
    pairs = [Pair("LOCAL", "Y"), Pair("TYPE", row.kind)]
    if row.status == VolumeState.ONLINE.value and not session.is_root_volume(row.path):
        pairs.append(Pair("AVAILABLE_BACKUP", butypes))
    if row.writable:
        pairs.append(Pair("AVAILABLE_RECOVERY", butypes))
    pairs.extend(session.extensions.volume_variables(row.path))
    return FsInfo(
        unsupported=0,
        fs_type=row.kind,
        fs_logical_device=row.path,
        fs_physical_device=row.device,
        total_size=row.total_bytes,
        used_size=row.used_bytes,
        avail_size=row.available_bytes,
        total_inodes=row.total_inodes,
        used_inodes=row.used_inodes,
        fs_env=tuple(pairs),
        fs_status=row.status,
    )


async def get_tape_info(
    session: Session, _request: ConfigGetTapeInfoRequest
) -> ConfigGetTapeInfoReply:
    """CONFIG_GET_TAPE_INFO: the drives with their device names."""
    inventory = _inventory(session)
    rows = await session.link.in_thread(inventory.drives) if inventory is not None else ()
    return ConfigGetTapeInfoReply(
        error=NdmpError.NO_ERR,
        tape_info=tuple(_drive(row, session.extensions.device_variables()) for row in rows),
    )


def _inventory(session: Session) -> TapeInventory | None:
    """The devices of this node, if the session sees any."""
    return None if session.sight.devices is Reach.NOTHING else session.tapes.inventory


def _drive(row: DriveRow, more: tuple[Pair, ...]) -> DeviceInfo:
    return DeviceInfo(
        model=f"{row.description.vendor} {row.description.product}",
        caplist=tuple(_device(row, device, more) for device in row.devices),
    )


def _device(row: DriveRow, device: DeviceRow, more: tuple[Pair, ...]) -> DeviceCapability:
    attr = TapeAttr.RAW
    if device.rewinds:
        attr |= TapeAttr.REWIND
    if device.unloads:
        attr |= TapeAttr.UNLOAD
    return DeviceCapability(
        device=device.name,
        attr=attr,
        capability=(
            Pair("PHYSICAL_PATH", row.description.physical_path),
            Pair("SERIAL_NUMBER", row.description.serial),
            Pair("FORMAT", row.description.formats.get(device.compression, "")),
            *more,
        ),
    )


async def get_scsi_info(
    session: Session, _request: ConfigGetScsiInfoRequest
) -> ConfigGetScsiInfoReply:
    """CONFIG_GET_SCSI_INFO: the media changers with their device names."""
    inventory = _inventory(session)
    rows = await session.link.in_thread(inventory.changers) if inventory is not None else ()
    return ConfigGetScsiInfoReply(
        error=NdmpError.NO_ERR,
        scsi_info=tuple(_changer(row, session.extensions.device_variables()) for row in rows),
    )


def _changer(row: ChangerRow, more: tuple[Pair, ...]) -> DeviceInfo:
    found = row.description
    capability = (
        Pair("PHYSICAL_PATH", found.physical_path),
        Pair("SERIAL_NUMBER", found.serial),
        *more,
    )
    return DeviceInfo(
        model=f"{found.vendor} {found.product}",
        caplist=(DeviceCapability(device=row.name, attr=0, capability=capability),),
    )


async def get_ext_list(
    session: Session, _request: ConfigGetExtListRequest
) -> ConfigGetExtListReply:
    """CONFIG_GET_EXT_LIST: the classes of extensions, at any time."""
    return ConfigGetExtListReply(
        error=NdmpError.NO_ERR, class_list=session.extensions.offer(session)
    )


async def set_ext_list(session: Session, request: ConfigSetExtListRequest) -> ConfigSetExtListReply:
    """CONFIG_SET_EXT_LIST: once, all or nothing, before any data connection."""
    session.link.add_exchanges(session.extensions.choose(session, request.ndmp_selected_ext))
    return ConfigSetExtListReply(error=NdmpError.NO_ERR)
