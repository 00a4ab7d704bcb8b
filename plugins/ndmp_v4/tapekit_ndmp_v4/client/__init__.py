"""A client library for NDMP servers, for backup applications of any kind.

A session is an :class:`NdmpClient`; :func:`back_up`, :func:`recover` and
:func:`copy_across` run whole operations on one session or on two, and every
message of the protocol can be sent by hand::

    import time
    import trio
    from tapekit_ndmp_v4.client import BackupPlan, NdmpClient, TapeAt, back_up
    from tapekit_ndmp_v4.numbers import AuthType


    async def main() -> None:
        async with NdmpClient.connect("127.0.0.1", 10000, clock=time.time) as client:
            await client.open()
            await client.authenticate(AuthType.MD5, "ndmp", b"secret")
            plan = BackupPlan(
                tape=TapeAt("nrst0a"),
                environment=(("FILESYSTEM", "/vs1/vol1"), ("LEVEL", "0"), ("HIST", "n")),
            )
            result = await back_up(client, plan)
            print(result.bytes_processed, "bytes in", result.seconds, "s")


    trio.run(main)

For a restore, keep ``result.environment`` and ``result.parts`` and give them
to a :class:`RecoverPlan`. For one that goes straight to its files, let
:class:`Positions` hear the backup's file history. Changers are reached through the module
:mod:`tapekit_ndmp_v4.client.scsi`, tapes through ``tapekit_ndmp_v4.client.tape``.
"""

from tapekit_ndmp_v4.client.backup import back_up
from tapekit_ndmp_v4.client.client import NDMP_PORT, NdmpClient
from tapekit_ndmp_v4.client.cluster_aware import CAB, affinity_of, prepare_data_connection
from tapekit_ndmp_v4.client.connection_types import connection_types
from tapekit_ndmp_v4.client.data_copy import CopyPlan, CopyResult, CopyState, Side, copy_across
from tapekit_ndmp_v4.client.description import ServerDescription, describe
from tapekit_ndmp_v4.client.extensions import CAE, choose_extensions
from tapekit_ndmp_v4.client.plans import (
    BackupPlan,
    BackupResult,
    Connecting,
    ImagePart,
    NextTape,
    RecoverPlan,
    RecoverResult,
    TapeAt,
    TapeWanted,
    Watch,
)
from tapekit_ndmp_v4.client.positions import Positions
from tapekit_ndmp_v4.client.private_data import (
    PRIVATE_DATA,
    PrivateData,
    agree_on_private_data,
)
from tapekit_ndmp_v4.client.recovery import recover
from tapekit_ndmp_v4.client.scsi import CdbAnswer
from tapekit_ndmp_v4.client.secure import NDMPS_PORT, ServerTrust

__all__ = [
    "CAB",
    "CAE",
    "NDMPS_PORT",
    "NDMP_PORT",
    "PRIVATE_DATA",
    "BackupPlan",
    "BackupResult",
    "CdbAnswer",
    "Connecting",
    "CopyPlan",
    "CopyResult",
    "CopyState",
    "ImagePart",
    "NdmpClient",
    "NextTape",
    "Positions",
    "PrivateData",
    "RecoverPlan",
    "RecoverResult",
    "ServerDescription",
    "ServerTrust",
    "Side",
    "TapeAt",
    "TapeWanted",
    "Watch",
    "affinity_of",
    "agree_on_private_data",
    "back_up",
    "choose_extensions",
    "connection_types",
    "copy_across",
    "describe",
    "prepare_data_connection",
    "recover",
]
