"""What a client learns of data connections, with and without IPv6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import connection_types
from tapekit_ndmp_v4.errors import ConnectionLost
from tapekit_ndmp_v4.numbers import AddrType, NdmpError

if TYPE_CHECKING:
    import trio
    from tests.plugins.ndmp_v4.client.conftest import Script

OK = NdmpError.NO_ERR
ADDRESSES = m.ClassVersion(ext_class_id=0x2051, ext_version=1)
BOTH = (AddrType.TCP, AddrType.TCP_IPV6)


def extensions(script: Script, *offered: tuple[int, tuple[int, ...]]) -> None:
    classes = tuple(m.ClassVersions(ext_class_id=c, ext_version=v) for c, v in offered)
    script.dialogue.expect(
        m.ConfigGetExtListRequest(), m.ConfigGetExtListReply(error=OK, class_list=classes)
    )


def types(script: Script, *offered: int) -> None:
    script.dialogue.expect(
        m.ConfigGetConnectionTypeRequest(),
        m.ConfigGetConnectionTypeReply(error=OK, addr_types=offered),
    )


async def learn(scene: Any, nursery: trio.Nursery, *, ipv6: bool) -> frozenset[int]:
    nursery.start_soon(scene.dialogue.run)
    found = await connection_types(scene.client, ipv6=ipv6)
    await scene.client.close()
    assert scene.dialogue.said_goodbye
    return found


async def test_addresses_of_ipv6_are_agreed_on_before_they_count(
    scene: Any, script: Script, nursery: trio.Nursery
) -> None:
    extensions(script, (0x2050, (1,)), (0x2051, (1, 2)))
    script.granted(m.ConfigSetExtListRequest(ndmp_selected_ext=(ADDRESSES,)))
    types(script, *BOTH)
    assert await learn(scene, nursery, ipv6=True) == set(BOTH)


async def test_nobody_asks_for_an_extension_that_is_not_wanted(
    scene: Any, script: Script, nursery: trio.Nursery
) -> None:
    types(script, *BOTH)
    assert await learn(scene, nursery, ipv6=False) == {AddrType.TCP}


@pytest.mark.parametrize("offered", [(), ((0x2053, (1,)),), ((0x2051, (2,)),)])
async def test_an_extension_that_is_not_offered_is_not_chosen(
    scene: Any, script: Script, nursery: trio.Nursery, offered: Any
) -> None:
    extensions(script, *offered)
    types(script, *BOTH)
    assert await learn(scene, nursery, ipv6=True) == {AddrType.TCP}


async def test_a_server_of_a_cluster_is_asked_for_its_class_along_with_them(
    scene: Any, script: Script, nursery: trio.Nursery
) -> None:
    extensions(script, (0x2051, (1,)), (0x2052, (1,)))
    cluster = m.ClassVersion(ext_class_id=0x2052, ext_version=1)
    script.granted(m.ConfigSetExtListRequest(ndmp_selected_ext=(ADDRESSES, cluster)))
    types(script, *BOTH)
    assert await learn(scene, nursery, ipv6=True) == set(BOTH)
    assert set(scene.client.extensions) == {0x2051, 0x2052}


async def test_a_cluster_without_addresses_of_ipv6_is_agreed_on_alone(
    scene: Any, script: Script, nursery: trio.Nursery
) -> None:
    extensions(script, (0x2052, (1,)))
    cluster = m.ClassVersion(ext_class_id=0x2052, ext_version=1)
    script.granted(m.ConfigSetExtListRequest(ndmp_selected_ext=(cluster,)))
    types(script, *BOTH)
    assert await learn(scene, nursery, ipv6=True) == {AddrType.TCP}


async def test_a_server_may_know_nothing_of_extensions(
    scene: Any, script: Script, nursery: trio.Nursery
) -> None:
    script.dialogue.refuse_unread(m.ConfigGetExtListRequest(), NdmpError.NOT_SUPPORTED_ERR)
    types(script, AddrType.TCP)
    assert await learn(scene, nursery, ipv6=True) == {AddrType.TCP}


async def test_a_choice_that_is_refused_does_not_count(
    scene: Any, script: Script, nursery: trio.Nursery
) -> None:
    extensions(script, (0x2051, (1,)))
    choice = m.ConfigSetExtListRequest(ndmp_selected_ext=(ADDRESSES,))
    script.refused(choice, NdmpError.EXT_DN_ILLEGAL_ERR)
    types(script, *BOTH)
    assert await learn(scene, nursery, ipv6=True) == {AddrType.TCP}


async def test_a_lost_connection_is_no_answer(
    scene: Any, script: Script, nursery: trio.Nursery
) -> None:
    script.dialogue.hang_up()
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(ConnectionLost):
        await connection_types(scene.client, ipv6=True)
