"""Both sessions agree on private data connections, or nothing is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import PrivateData, agree_on_private_data, connection_types
from tapekit_ndmp_v4.errors import OperationFailed
from tapekit_ndmp_v4.numbers import AddrType, NdmpError

if TYPE_CHECKING:
    import trio
    from tests.plugins.ndmp_v4.client.conftest import Script

NO, PREFERRED, REQUIRED = PrivateData.NO, PrivateData.PREFERRED, PrivateData.REQUIRED
PRIVATE, ADDRESSES = 0x7A9E, 0x2051


def lists(script: Script, *classes: int) -> None:
    script.dialogue.expect(
        m.ConfigGetExtListRequest(),
        m.ConfigGetExtListReply(
            error=NdmpError.NO_ERR,
            class_list=tuple(
                m.ClassVersions(ext_class_id=each, ext_version=(1,)) for each in classes
            ),
        ),
    )


def choice(*classes: int) -> m.ConfigSetExtListRequest:
    return m.ConfigSetExtListRequest(
        ndmp_selected_ext=tuple(
            m.ClassVersion(ext_class_id=each, ext_version=1) for each in classes
        )
    )


async def agreed(scene: Any, other_scene: Any, nursery: trio.Nursery, wanted: PrivateData) -> bool:
    """Agree, whatever comes of it, after which both scripts must be at their end."""
    for each in (scene, other_scene):
        nursery.start_soon(each.dialogue.run)
    try:
        return await agree_on_private_data(scene.client, other_scene.client, wanted)
    finally:
        for each in (scene, other_scene):
            await each.client.close()
            assert each.dialogue.said_goodbye


async def test_both_sessions_choose_it_with_ipv6(
    scene: Any, other_scene: Any, script: Script, tape_script: Script, nursery: trio.Nursery
) -> None:
    lists(script, ADDRESSES, PRIVATE)
    lists(tape_script, PRIVATE)
    lists(script, ADDRESSES, PRIVATE)
    script.granted(choice(PRIVATE, ADDRESSES))
    lists(tape_script, PRIVATE)
    tape_script.granted(choice(PRIVATE))
    assert await agreed(scene, other_scene, nursery, REQUIRED)
    assert scene.client.extensions == {PRIVATE: 1, ADDRESSES: 1}
    assert await agree_on_private_data(scene.client, other_scene.client, NO)


@pytest.mark.parametrize("wanted", [PREFERRED, REQUIRED])
async def test_where_one_server_lacks_it_nobody_chooses_anything(
    scene: Any,
    other_scene: Any,
    script: Script,
    tape_script: Script,
    nursery: trio.Nursery,
    wanted: PrivateData,
) -> None:
    lists(script, PRIVATE)
    tape_script.dialogue.refuse_unread(m.ConfigGetExtListRequest(), NdmpError.NOT_SUPPORTED_ERR)
    if wanted is PREFERRED:
        assert not await agreed(scene, other_scene, nursery, wanted)
        return
    with pytest.raises(OperationFailed) as refused:
        await agreed(scene, other_scene, nursery, wanted)
    assert refused.value.id == "ndmp_v4.no-private-data"
    assert refused.value.facts["address"] == other_scene.client.address


async def test_a_server_that_refuses_after_the_other_has_granted_ends_it(
    scene: Any, other_scene: Any, script: Script, tape_script: Script, nursery: trio.Nursery
) -> None:
    for each in (script, tape_script):
        lists(each, PRIVATE)
        lists(each, PRIVATE)
    script.granted(choice(PRIVATE))
    tape_script.refused(choice(PRIVATE), NdmpError.EXT_DN_ILLEGAL_ERR)
    with pytest.raises(OperationFailed, match="no private data connections"):
        await agreed(scene, other_scene, nursery, PREFERRED)


async def test_servers_are_not_asked_unless_it_is_wanted(
    scene: Any, other_scene: Any, nursery: trio.Nursery
) -> None:
    assert not await agreed(scene, other_scene, nursery, NO)


async def test_a_session_has_nothing_to_agree_on_with_itself(
    scene: Any, nursery: trio.Nursery
) -> None:
    nursery.start_soon(scene.dialogue.run)
    assert not await agree_on_private_data(scene.client, scene.client, REQUIRED)
    await scene.client.close()


@pytest.mark.parametrize("has_addresses", [True, False])
async def test_addresses_of_ipv6_are_not_agreed_on_twice(
    scene: Any, script: Script, nursery: trio.Nursery, *, has_addresses: bool
) -> None:
    scene.client.extensions = {PRIVATE: 1} | ({ADDRESSES: 1} if has_addresses else {})
    script.dialogue.expect(
        m.ConfigGetConnectionTypeRequest(),
        m.ConfigGetConnectionTypeReply(
            error=NdmpError.NO_ERR, addr_types=(AddrType.TCP, AddrType.TCP_IPV6)
        ),
    )
    nursery.start_soon(scene.dialogue.run)
    found = await connection_types(scene.client, ipv6=True)
    assert (AddrType.TCP_IPV6 in found) is has_addresses
    await scene.client.close()
