"""Numbers of extension class 0x2050, as far as they are published.

Each is the class in the upper half and a number of its own in the lower one;
posts begin at 0x180. The one rule: no number here is made up.
"""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["CLASS_ID", "VERSION", "SnapError", "SnapMessage"]

CLASS_ID: Final = 0x2050
VERSION: Final = 3


class SnapMessage(enum.IntEnum):
    """Messages of the Snapshot management extensions."""

    SNAP_CREATE = 0x2050_0100
    SNAP_DELETE = 0x2050_0101
    SNAP_RECOVER = 0x2050_0102
    SNAP_RENAME = 0x2050_0103
    SNAP_GET_SERVER_INFO = 0x2050_0104
    SNAP_GET_SNAPSHOT_NAMES = 0x2050_0105
    SNAP_GET_SNAPSHOT_STATE = 0x2050_0106
    SNAP_GET_CDR_OP_STATE = 0x2050_0107
    SNAP_GET_SNAPSHOT_PATH = 0x2050_0108
    SNAP_SET_RESERVE = 0x2050_0109
    SNAP_GET_RESERVE_INFO = 0x2050_010A
    SNAP_SET_SCHEDULE = 0x2050_010B
    SNAP_GET_SCHEDULE_INFO = 0x2050_010C
    SNAP_DIR_LIST = 0x2050_010D
    NOTIFY_SNAP_CREATE_END = 0x2050_0180
    NOTIFY_SNAP_DELETE_END = 0x2050_0181
    NOTIFY_SNAP_RECOVER_END = 0x2050_0182


class SnapError(enum.IntEnum):
    """Errors of the class, beside those of the protocol."""

    SNAPSHOT_EXISTS_ERR = 0x2050_0100
    NOT_FOUND_ERR = 0x2050_0101
    READ_ONLY_FS_ERR = 0x2050_0102
    INVALID_PATH_ERR = 0x2050_0103
    NO_SNAPSHOT_SPACE_ERR = 0x2050_0104
    BUSY_ERR = 0x2050_0105
    INTERNAL_ERR = 0x2050_0106
    NO_DISK_SPACE_ERR = 0x2050_0107
