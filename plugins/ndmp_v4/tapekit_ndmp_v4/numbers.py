"""The numbers of NDMP v4: errors, states, reasons, kinds and bits.

Members carry the document's names without its prefix, and every value is
written out, because values are the wire format. Nothing here may be
renumbered; a number that a peer sends and no class has stays a plain integer.
"""

from __future__ import annotations

import enum
from typing import Final

__all__ = [
    "NDMP_VERSION",
    "UNKNOWN_U32",
    "UNLIMITED",
    "AddrType",
    "AuthType",
    "ButypeAttr",
    "CdbFlag",
    "ConnectionStatusReason",
    "DataHaltReason",
    "DataOperation",
    "DataState",
    "DataUnsupported",
    "FileType",
    "FsInfoUnsupported",
    "FsType",
    "HasAssociated",
    "LogType",
    "MessageType",
    "MoverHaltReason",
    "MoverMode",
    "MoverPauseReason",
    "MoverState",
    "MtioOp",
    "NdmpError",
    "RecoveryStatus",
    "StatUnsupported",
    "TapeAttr",
    "TapeFlag",
    "TapeOpenMode",
    "TapeUnsupported",
]

NDMP_VERSION: Final = 4

UNLIMITED: Final = 2**64 - 1
"""All ones: a length without end, or a position that nobody knows."""

UNKNOWN_U32: Final = 2**32 - 1
"""The same marker in a field of 32 bits."""


class MessageType(enum.IntEnum):
    """Kind of message (NDMP v4, header); a post is a request without a reply."""

    REQUEST = 0
    REPLY = 1


class NdmpError(enum.IntEnum):
    """Error codes, in headers and in replies (NDMP v4)."""

    NO_ERR = 0
    NOT_SUPPORTED_ERR = 1
    DEVICE_BUSY_ERR = 2
    DEVICE_OPENED_ERR = 3
    NOT_AUTHORIZED_ERR = 4
    PERMISSION_ERR = 5
    DEV_NOT_OPEN_ERR = 6
    IO_ERR = 7
    TIMEOUT_ERR = 8
    ILLEGAL_ARGS_ERR = 9
    NO_TAPE_LOADED_ERR = 10
    WRITE_PROTECT_ERR = 11
    EOF_ERR = 12
    EOM_ERR = 13
    FILE_NOT_FOUND_ERR = 14
    BAD_FILE_ERR = 15
    NO_DEVICE_ERR = 16
    NO_BUS_ERR = 17
    XDR_DECODE_ERR = 18
    ILLEGAL_STATE_ERR = 19
    UNDEFINED_ERR = 20
    XDR_ENCODE_ERR = 21
    NO_MEM_ERR = 22
    CONNECT_ERR = 23
    SEQUENCE_NUM_ERR = 24
    READ_IN_PROGRESS_ERR = 25
    PRECONDITION_ERR = 26
    CLASS_NOT_SUPPORTED_ERR = 27
    VERSION_NOT_SUPPORTED_ERR = 28
    EXT_DUPL_CLASSES_ERR = 29
    EXT_DN_ILLEGAL_ERR = 30


class AuthType(enum.IntEnum):
    """How a client proves who it is (NDMP v4, CONNECT_CLIENT_AUTH)."""

    NONE = 0
    TEXT = 1
    MD5 = 2


class AddrType(enum.IntEnum):
    """Kinds of data connection (NDMP v4, addr_type).

    ``TCP_IPV6`` belongs to the connection address extension, class 0x2051.
    """

    LOCAL = 0
    TCP = 1
    IPC = 3
    TCP_IPV6 = 0x2051_0004


class ButypeAttr(enum.IntFlag):
    """What a butype can do (NDMP v4, CONFIG_GET_BUTYPE_INFO)."""

    BACKUP_FILELIST = 0x0002
    RECOVER_FILELIST = 0x0004
    BACKUP_DIRECT = 0x0008
    RECOVER_DIRECT = 0x0010
    BACKUP_INCREMENTAL = 0x0020
    RECOVER_INCREMENTAL = 0x0040
    BACKUP_UTF8 = 0x0080
    RECOVER_UTF8 = 0x0100
    BACKUP_FH_FILE = 0x0200
    BACKUP_FH_DIR = 0x0400
    RECOVER_FILEHIST = 0x0800
    RECOVER_FH_FILE = 0x1000
    RECOVER_FH_DIR = 0x2000


class FsInfoUnsupported(enum.IntFlag):
    """Fields of a file system's row that say nothing (CONFIG_GET_FS_INFO)."""

    TOTAL_SIZE = 0x01
    USED_SIZE = 0x02
    AVAIL_SIZE = 0x04
    TOTAL_INODES = 0x08
    USED_INODES = 0x10


class TapeAttr(enum.IntFlag):
    """What a tape device's name stands for (CONFIG_GET_TAPE_INFO)."""

    REWIND = 0x1
    UNLOAD = 0x2
    RAW = 0x4


class CdbFlag(enum.IntFlag):
    """Direction of a command's data (SCSI_EXECUTE_CDB)."""

    DATA_IN = 0x1
    DATA_OUT = 0x2


class TapeOpenMode(enum.IntEnum):
    """How a tape device is opened (TAPE_OPEN)."""

    READ = 0
    RDWR = 1
    RAW = 2


class MtioOp(enum.IntEnum):
    """Tape motions (TAPE_MTIO); ``TUR`` is new in version 4."""

    FSF = 0
    BSF = 1
    FSR = 2
    BSR = 3
    REW = 4
    EOF = 5
    OFF = 6
    TUR = 7


class TapeFlag(enum.IntFlag):
    """What is true of an open tape (TAPE_GET_STATE, flags)."""

    NOREWIND = 0x08
    WR_PROT = 0x10
    ERROR = 0x20
    UNLOAD = 0x40


class TapeUnsupported(enum.IntFlag):
    """Fields that say nothing (TAPE_GET_STATE, unsupported)."""

    FILE_NUM = 0x01
    SOFT_ERRORS = 0x02
    BLOCK_SIZE = 0x04
    BLOCKNO = 0x08
    TOTAL_SPACE = 0x10
    SPACE_REMAIN = 0x20
    ALL = 0x3F


class DataOperation(enum.IntEnum):
    """What the data server is doing (DATA_GET_STATE)."""

    NOACTION = 0
    BACKUP = 1
    RECOVER = 2
    RECOVER_FILEHIST = 3


class DataState(enum.IntEnum):
    """States of the data server; the numbers do not follow its life."""

    IDLE = 0
    ACTIVE = 1
    HALTED = 2
    LISTEN = 3
    CONNECTED = 4


class DataHaltReason(enum.IntEnum):
    """Why the data server halted (NOTIFY_DATA_HALTED)."""

    NA = 0
    SUCCESSFUL = 1
    ABORTED = 2
    INTERNAL_ERROR = 3
    CONNECT_ERROR = 4


class DataUnsupported(enum.IntFlag):
    """Fields that say nothing (DATA_GET_STATE, unsupported)."""

    EST_BYTES_REMAIN = 0x1
    EST_TIME_REMAIN = 0x2
    ALL = 0x3


class MoverMode(enum.IntEnum):
    """Which way a mover works.

    ``READ`` reads the data connection and writes the tape, which is a
    backup; ``WRITE`` is a restore; ``NOACTION`` occurs in replies alone.
    """

    READ = 0
    WRITE = 1
    NOACTION = 2


class MoverState(enum.IntEnum):
    """States of the mover."""

    IDLE = 0
    LISTEN = 1
    ACTIVE = 2
    PAUSED = 3
    HALTED = 4


class MoverPauseReason(enum.IntEnum):
    """Why the mover paused (NOTIFY_MOVER_PAUSED); 4 is a number of version 3."""

    NA = 0
    EOM = 1
    EOF = 2
    SEEK = 3
    EOW = 5


class MoverHaltReason(enum.IntEnum):
    """Why the mover halted (NOTIFY_MOVER_HALTED)."""

    NA = 0
    CONNECT_CLOSED = 1
    ABORTED = 2
    INTERNAL_ERROR = 3
    CONNECT_ERROR = 4
    MEDIA_ERROR = 5


class ConnectionStatusReason(enum.IntEnum):
    """What a server says of the connection (NOTIFY_CONNECTION_STATUS)."""

    CONNECTED = 0
    SHUTDOWN = 1
    REFUSED = 2


class LogType(enum.IntEnum):
    """How a message for the operator is meant (LOG_MESSAGE)."""

    NORMAL = 0
    DEBUG = 1
    ERROR = 2
    WARNING = 3


class HasAssociated(enum.IntEnum):
    """Whether a message belongs to another one (LOG_MESSAGE)."""

    NO = 0
    YES = 1


class RecoveryStatus(enum.IntEnum):
    """What became of an entry of the restore list (LOG_FILE)."""

    SUCCESSFUL = 0
    FAILED_PERMISSION = 1
    NOT_FOUND = 2
    NO_DIRECTORY = 3
    OUT_OF_MEMORY = 4
    IO_ERROR = 5
    UNDEFINED_ERROR = 6
    FILE_PATH_EXISTS = 7


class FsType(enum.IntEnum):
    """Whose view of a file a name or its attributes are (file history)."""

    UNIX = 0
    NT = 1
    OTHER = 2


class FileType(enum.IntEnum):
    """Kinds of files (file history, ftype)."""

    DIR = 0
    FIFO = 1
    CSPEC = 2
    BSPEC = 3
    REG = 4
    SLINK = 5
    SOCK = 6
    REGISTRY = 7
    OTHER = 8


class StatUnsupported(enum.IntFlag):
    """Fields of a file's attributes that say nothing (file history)."""

    ATIME = 0x1
    CTIME = 0x2
    GROUP = 0x4
