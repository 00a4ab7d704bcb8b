"""Cluster Aware Backup, class 0x2052: its message, and what stands for places.

The class has one message, by which a client says what it is going to back up
or restore before it asks for the data connection, so that the server can make
the connection where the volume is. Its first field is the kind of data
connection to come. The names of the variables that tell where things are were
never published; those here are tapekit's own.
"""

from __future__ import annotations

from typing import Final

from tapekit_ndmp_v4.exchanges import Exchange
from tapekit_ndmp_v4.numbers import DataState
from tapekit_ndmp_v4.wire import AddrTypeCode, ErrorCode, Message, PairList, RequestBody, Text

__all__ = [
    "AFFINITY",
    "CLASS_ID",
    "EXCHANGES",
    "VERSION",
    "CabDataConnPrepareReply",
    "CabDataConnPrepareRequest",
]

CLASS_ID: Final = 0x2052
VERSION: Final = 1

AFFINITY: Final = "AFFINITY"
"""The variable of volumes (fs_env) and devices (capability) whose value is
equal where data between the two need not leave a node; it means nothing else."""


class CabDataConnPrepareRequest(RequestBody["CabDataConnPrepareReply"]):
    """Say which data connection is to come; CAB_DATA_CONN_PREPARE.

    ``env`` is that of the DATA_START_BACKUP to come; of a restore it has
    FILESYSTEM and PREFIX, which lead to the destination.
    """

    addr_type: AddrTypeCode
    butype_name: Text
    env: PairList


class CabDataConnPrepareReply(Message):
    """Whether the data connection may be asked for; CAB_DATA_CONN_PREPARE."""

    error: ErrorCode


EXCHANGES: Final = (
    Exchange(
        CLASS_ID << 16 | 1,
        "CAB_DATA_CONN_PREPARE",
        CabDataConnPrepareRequest,
        CabDataConnPrepareReply,
        frozenset({DataState.IDLE}),
    ),
)
"""The rows of the class. The mover may listen already."""
