"""A client library for NDMP servers, for backup applications of any kind.

A session is an :class:`NdmpClient`; :func:`back_up` and :func:`recover` run
whole operations on one session or on two, and every message of the protocol
can be sent by hand::

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
to a :class:`RecoverPlan`.
"""

from tapekit_ndmp_v4.client.backup import back_up
from tapekit_ndmp_v4.client.client import NDMP_PORT, NdmpClient
from tapekit_ndmp_v4.client.description import ServerDescription, describe
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
from tapekit_ndmp_v4.client.recovery import recover

__all__ = [
    "NDMP_PORT",
    "BackupPlan",
    "BackupResult",
    "Connecting",
    "ImagePart",
    "NdmpClient",
    "NextTape",
    "RecoverPlan",
    "RecoverResult",
    "ServerDescription",
    "TapeAt",
    "TapeWanted",
    "Watch",
    "back_up",
    "describe",
    "recover",
]
