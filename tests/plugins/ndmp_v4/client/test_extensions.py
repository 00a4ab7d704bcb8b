"""A client chooses what both sides know, once the server has listed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import CAE, choose_extensions
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.exchanges import Exchange
from tapekit_ndmp_v4.numbers import NdmpError
from tapekit_ndmp_v4.wire import Message

if TYPE_CHECKING:
    import trio

OK = NdmpError.NO_ERR
LIST = m.ConfigGetExtListRequest()


class ClassPost(Message):
    pass


class OtherPost(Message):
    pass


ROWS = (
    Exchange(0x2050_0180, "CLASS_POST", ClassPost, is_post=True),
    Exchange(0x2053_0180, "OTHER_POST", OtherPost, is_post=True),
)


def listing(*classes: tuple[int, tuple[int, ...]]) -> m.ConfigGetExtListReply:
    return m.ConfigGetExtListReply(
        error=OK,
        class_list=tuple(
            m.ClassVersions(ext_class_id=class_id, ext_version=versions)
            for class_id, versions in classes
        ),
    )


def choice(*pairs: tuple[int, int]) -> m.ConfigSetExtListRequest:
    return m.ConfigSetExtListRequest(
        ndmp_selected_ext=tuple(
            m.ClassVersion(ext_class_id=one, ext_version=version) for one, version in pairs
        )
    )


async def test_the_best_version_of_each_common_class_is_chosen(
    scene: Any, nursery: trio.Nursery
) -> None:
    scene.dialogue.expect(LIST, listing((0x2050, (1, 2, 3)), (0x2051, (1,)), (0x2052, (7,))))
    scene.dialogue.expect(choice((0x2050, 2), (0x2051, 1)), m.ConfigSetExtListReply(error=OK))
    nursery.start_soon(scene.dialogue.run)
    wanted = {0x2050: (2, 1), 0x2051: (1,), 0x2052: (1,), 0x2053: (1,)}
    assert await choose_extensions(scene.client, wanted, ROWS) == {0x2050: 2, 0x2051: 1}
    assert scene.client.wire.exchanges.of(ClassPost) is ROWS[0]
    assert scene.client.wire.exchanges.by_code(ROWS[1].code) is None
    await scene.client.close()


async def test_without_a_common_class_nothing_is_chosen(scene: Any, nursery: trio.Nursery) -> None:
    scene.dialogue.expect(LIST, listing((0x2050, (1,)), (0x2051, (2,))))
    nursery.start_soon(scene.dialogue.run)
    assert await choose_extensions(scene.client, CAE) == {}
    await scene.client.close()


@pytest.mark.parametrize("error", [NdmpError.NOT_SUPPORTED_ERR, NdmpError.EXT_DN_ILLEGAL_ERR])
async def test_a_server_that_lists_nothing_has_no_extensions(
    scene: Any, nursery: trio.Nursery, error: NdmpError
) -> None:
    scene.dialogue.refuse_unread(LIST, error)
    nursery.start_soon(scene.dialogue.run)
    assert await choose_extensions(scene.client, CAE) == {}
    await scene.client.close()


async def test_other_refusals_come_out(scene: Any, nursery: trio.Nursery) -> None:
    scene.dialogue.refuse_unread(LIST, NdmpError.NOT_AUTHORIZED_ERR)
    scene.dialogue.expect(LIST, listing((0x2051, (1,))))
    late = m.ConfigSetExtListReply(error=NdmpError.EXT_DN_ILLEGAL_ERR)
    scene.dialogue.expect(choice((0x2051, 1)), late)
    nursery.start_soon(scene.dialogue.run)
    for error in (NdmpError.NOT_AUTHORIZED_ERR, NdmpError.EXT_DN_ILLEGAL_ERR):
        with pytest.raises(NdmpReplyError) as caught:
            await choose_extensions(scene.client, CAE)
        assert caught.value.code == error
    await scene.client.close()
