"""What a tape condition is called on the wire.

Drivers know SCSI conditions and no protocol; this is the one place where a
condition becomes an NDMP error code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.tape_driver import Condition
from tapekit_ndmp_v4.numbers import NdmpError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NDMP_ERRORS"]

NDMP_ERRORS: Final[Mapping[Condition, NdmpError]] = {
    Condition.FILEMARK: NdmpError.EOF_ERR,
    Condition.END_OF_DATA: NdmpError.EOM_ERR,
    Condition.BEGINNING_OF_MEDIUM: NdmpError.IO_ERR,
    Condition.EARLY_WARNING: NdmpError.EOM_ERR,
    Condition.END_OF_MEDIUM: NdmpError.IO_ERR,
    Condition.RECORD_TOO_LONG: NdmpError.IO_ERR,
    Condition.NO_TAPE: NdmpError.NO_TAPE_LOADED_ERR,
    Condition.NOT_READY: NdmpError.DEVICE_BUSY_ERR,
    Condition.WRITE_PROTECTED: NdmpError.WRITE_PROTECT_ERR,
    Condition.MEDIUM_ERROR: NdmpError.IO_ERR,
    Condition.HARDWARE_ERROR: NdmpError.IO_ERR,
    Condition.RESERVED: NdmpError.DEVICE_BUSY_ERR,
    Condition.BAD_REQUEST: NdmpError.ILLEGAL_ARGS_ERR,
    Condition.NO_DEVICE: NdmpError.NO_DEVICE_ERR,
    Condition.BUSY: NdmpError.DEVICE_BUSY_ERR,
    Condition.NOT_PERMITTED: NdmpError.PERMISSION_ERR,
    Condition.TIMEOUT: NdmpError.TIMEOUT_ERR,
    Condition.SOURCE_EMPTY: NdmpError.ILLEGAL_ARGS_ERR,
    Condition.DESTINATION_FULL: NdmpError.ILLEGAL_ARGS_ERR,
}
