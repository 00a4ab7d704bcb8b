"""CONFIG messages: what the server is and has (NDMP v4, 0x1xx).

All replies may be empty lists. What a server cannot tell it answers with
the body error NOT_SUPPORTED.
"""

from typing import Annotated

from msgspec import Meta

from tapekit_ndmp_v4.messages.connect import AuthAttr
from tapekit_ndmp_v4.wire import (
    U16,
    U32,
    U64,
    AddrTypeCode,
    AuthTypeCode,
    ErrorCode,
    Message,
    PairList,
    RequestBody,
    Text,
)

__all__ = [
    "ButypeInfo",
    "ClassVersion",
    "ClassVersions",
    "ConfigGetAuthAttrReply",
    "ConfigGetAuthAttrRequest",
    "ConfigGetButypeInfoReply",
    "ConfigGetButypeInfoRequest",
    "ConfigGetConnectionTypeReply",
    "ConfigGetConnectionTypeRequest",
    "ConfigGetExtListReply",
    "ConfigGetExtListRequest",
    "ConfigGetFsInfoReply",
    "ConfigGetFsInfoRequest",
    "ConfigGetHostInfoReply",
    "ConfigGetHostInfoRequest",
    "ConfigGetScsiInfoReply",
    "ConfigGetScsiInfoRequest",
    "ConfigGetServerInfoReply",
    "ConfigGetServerInfoRequest",
    "ConfigGetTapeInfoReply",
    "ConfigGetTapeInfoRequest",
    "ConfigSetExtListReply",
    "ConfigSetExtListRequest",
    "DeviceCapability",
    "DeviceInfo",
    "FsInfo",
]

_MANY = 65536
"""Rows of a listing; the record's own limit is reached long before."""


class ConfigGetHostInfoRequest(RequestBody["ConfigGetHostInfoReply"]):
    """Ask for the host; CONFIG_GET_HOST_INFO."""


class ConfigGetHostInfoReply(Message):
    """The host and its operating system; CONFIG_GET_HOST_INFO."""

    error: ErrorCode
    hostname: Text
    os_type: Text
    os_vers: Text
    hostid: Text


class ConfigGetServerInfoRequest(RequestBody["ConfigGetServerInfoReply"]):
    """Ask for the server; CONFIG_GET_SERVER_INFO, also before a login."""


class ConfigGetServerInfoReply(Message):
    """The product and its ways to log in; CONFIG_GET_SERVER_INFO."""

    error: ErrorCode
    vendor_name: Text
    product_name: Text
    revision_number: Text
    auth_type: Annotated[tuple[AuthTypeCode, ...], Meta(max_length=256)]


class ConfigGetConnectionTypeRequest(RequestBody["ConfigGetConnectionTypeReply"]):
    """Ask for kinds of data connections; CONFIG_GET_CONNECTION_TYPE."""


class ConfigGetConnectionTypeReply(Message):
    """Kinds of data connections; CONFIG_GET_CONNECTION_TYPE."""

    error: ErrorCode
    addr_types: Annotated[tuple[AddrTypeCode, ...], Meta(max_length=256)]


class ConfigGetAuthAttrRequest(RequestBody["ConfigGetAuthAttrReply"]):
    """Ask what a login needs, such as a challenge; CONFIG_GET_AUTH_ATTR."""

    auth_type: AuthTypeCode


class ConfigGetAuthAttrReply(Message):
    """What the method asked for needs; CONFIG_GET_AUTH_ATTR."""

    error: ErrorCode
    server_attr: AuthAttr


class ButypeInfo(Message):
    """One data engine; ``attrs`` are :class:`ButypeAttr` bits."""

    butype_name: Text
    default_env: PairList
    attrs: U32


class ConfigGetButypeInfoRequest(RequestBody["ConfigGetButypeInfoReply"]):
    """Ask for data engines; CONFIG_GET_BUTYPE_INFO."""


class ConfigGetButypeInfoReply(Message):
    """Data engines; CONFIG_GET_BUTYPE_INFO."""

    error: ErrorCode
    butype_info: Annotated[tuple[ButypeInfo, ...], Meta(max_length=_MANY)]


class FsInfo(Message):
    """One file system; ``unsupported`` are :class:`FsInfoUnsupported` bits,
    sizes are bytes.
    """

    unsupported: U32
    fs_type: Text
    fs_logical_device: Text
    fs_physical_device: Text
    total_size: U64
    used_size: U64
    avail_size: U64
    total_inodes: U64
    used_inodes: U64
    fs_env: PairList
    fs_status: Text


class ConfigGetFsInfoRequest(RequestBody["ConfigGetFsInfoReply"]):
    """Ask for file systems; CONFIG_GET_FS_INFO."""


class ConfigGetFsInfoReply(Message):
    """File systems; CONFIG_GET_FS_INFO."""

    error: ErrorCode
    fs_info: Annotated[tuple[FsInfo, ...], Meta(max_length=_MANY)]


class DeviceCapability(Message):
    """One device name; ``attr`` are :class:`TapeAttr` bits for tapes."""

    device: Text
    attr: U32
    capability: PairList


class DeviceInfo(Message):
    """One drive or changer and the names that it has."""

    model: Text
    caplist: Annotated[tuple[DeviceCapability, ...], Meta(max_length=_MANY)]


class ConfigGetTapeInfoRequest(RequestBody["ConfigGetTapeInfoReply"]):
    """Ask for tape drives; CONFIG_GET_TAPE_INFO."""


class ConfigGetTapeInfoReply(Message):
    """Tape drives; CONFIG_GET_TAPE_INFO."""

    error: ErrorCode
    tape_info: Annotated[tuple[DeviceInfo, ...], Meta(max_length=_MANY)]


class ConfigGetScsiInfoRequest(RequestBody["ConfigGetScsiInfoReply"]):
    """Ask for media changers; CONFIG_GET_SCSI_INFO."""


class ConfigGetScsiInfoReply(Message):
    """Media changers; CONFIG_GET_SCSI_INFO."""

    error: ErrorCode
    scsi_info: Annotated[tuple[DeviceInfo, ...], Meta(max_length=_MANY)]


class ClassVersions(Message):
    """A class of extensions and all its versions on offer."""

    ext_class_id: U16
    ext_version: Annotated[tuple[U16, ...], Meta(max_length=256)]


class ClassVersion(Message):
    """A class of extensions and the one version chosen."""

    ext_class_id: U16
    ext_version: U16


class ConfigGetExtListRequest(RequestBody["ConfigGetExtListReply"]):
    """Ask for extensions; CONFIG_GET_EXT_LIST."""


class ConfigGetExtListReply(Message):
    """Extensions on offer; CONFIG_GET_EXT_LIST."""

    error: ErrorCode
    class_list: Annotated[tuple[ClassVersions, ...], Meta(max_length=256)]


class ConfigSetExtListRequest(RequestBody["ConfigSetExtListReply"]):
    """Choose extensions, once; CONFIG_SET_EXT_LIST."""

    ndmp_selected_ext: Annotated[tuple[ClassVersion, ...], Meta(max_length=256)]


class ConfigSetExtListReply(Message):
    """Whether all of the choice holds; CONFIG_SET_EXT_LIST."""

    error: ErrorCode
