"""What a client says to a cluster before a data connection, and to nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import CAB, affinity_of, choose_extensions, prepare_data_connection
from tapekit_ndmp_v4.client.cluster_aware import destination_variables
from tapekit_ndmp_v4.cluster_aware import CabDataConnPrepareReply, CabDataConnPrepareRequest
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AddrType, NdmpError
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    import trio
    from tests.plugins.ndmp_v4.client.conftest import Script

OK = NdmpError.NO_ERR
REQUEST = CabDataConnPrepareRequest(
    addr_type=AddrType.TCP, butype_name="dump", env=(Pair("FILESYSTEM", "/vs1/vol1"),)
)


def granted_class(script: Script) -> None:
    offered = (m.ClassVersions(ext_class_id=0x2052, ext_version=(1,)),)
    script.dialogue.expect(
        m.ConfigGetExtListRequest(), m.ConfigGetExtListReply(error=OK, class_list=offered)
    )
    choice = (m.ClassVersion(ext_class_id=0x2052, ext_version=1),)
    script.granted(m.ConfigSetExtListRequest(ndmp_selected_ext=choice))


async def prepare(client: Any) -> bool:
    return await prepare_data_connection(
        client, AddrType.TCP, "dump", [("FILESYSTEM", "/vs1/vol1")]
    )


async def test_a_server_that_has_not_granted_the_class_is_told_nothing(
    scene: Any, nursery: trio.Nursery
) -> None:
    nursery.start_soon(scene.dialogue.run)
    assert not await prepare(scene.client)
    await scene.client.close()
    assert scene.dialogue.said_goodbye


@pytest.mark.parametrize("error", [OK, NdmpError.PERMISSION_ERR])
async def test_a_server_that_has_granted_it_is_told_and_may_refuse(
    scene: Any, script: Script, nursery: trio.Nursery, error: NdmpError
) -> None:
    granted_class(script)
    nursery.start_soon(scene.dialogue.run)
    script.dialogue.expect(REQUEST, CabDataConnPrepareReply(error=error))
    assert await choose_extensions(scene.client, CAB) == {0x2052: 1}
    scene.dialogue.wire.exchanges = scene.client.wire.exchanges
    if error is OK:
        assert await prepare(scene.client)
    else:
        with pytest.raises(NdmpReplyError):
            await prepare(scene.client)
    await scene.client.close()


@pytest.mark.parametrize(
    ("environment", "destinations", "place"),
    [
        ([("FILESYSTEM", "/vs1/vol1")], [], "/vs1/vol1"),
        ([("FILESYSTEM", "/vs1/vol1"), ("PREFIX", "/vs1/vol2")], [], "/vs1/vol2"),
        ([("FILESYSTEM", "/vs1/vol1")], ["name", "/vs1/vol3/back"], "/vs1/vol3/back"),
        ([], ["name"], ""),
    ],
)
def test_a_restore_names_its_destination(
    environment: list[tuple[str, str]], destinations: list[str], place: str
) -> None:
    names = [m.Name(original_path="", destination_path=path) for path in destinations]
    told = dict(destination_variables([*environment, ("DIRECT", "Y")], names))
    assert told == {"FILESYSTEM": place, "PREFIX": place, "DIRECT": "Y"}


def test_the_affinity_is_one_of_many_variables() -> None:
    assert affinity_of([Pair("TYPE", "x"), Pair("AFFINITY", "y")]) == "y"
    assert affinity_of([Pair("TYPE", "x")]) is None
