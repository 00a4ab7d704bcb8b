"""Steps with a tape: what is asked, and motions that stop short."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import TapeAt, tape
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import MtioOp, NdmpError, TapeOpenMode

if TYPE_CHECKING:
    import trio

OK = NdmpError.NO_ERR


def mtio(op: MtioOp, count: int) -> m.TapeMtioRequest:
    return m.TapeMtioRequest(tape_op=op, count=count)


def moved(left: int = 0) -> m.TapeMtioReply:
    return m.TapeMtioReply(error=OK, resid_count=left)


async def test_opening_at_a_file_rewinds_and_counts_filemarks(
    scene: Any, nursery: trio.Nursery
) -> None:
    scene.dialogue.expect(m.TapeOpenRequest(device="nrst0a", mode=0), m.TapeOpenReply(error=OK))
    scene.dialogue.expect(mtio(MtioOp.REW, 1), moved())
    scene.dialogue.expect(mtio(MtioOp.FSF, 3), moved())
    nursery.start_soon(scene.dialogue.run)
    await tape.open_at(scene.client, TapeAt("nrst0a", 3), TapeOpenMode.READ)
    await scene.client.close()


async def test_the_first_file_needs_no_motion(scene: Any, nursery: trio.Nursery) -> None:
    scene.dialogue.expect(m.TapeOpenRequest(device="nrst0a", mode=1), m.TapeOpenReply(error=OK))
    scene.dialogue.expect(mtio(MtioOp.REW, 1), moved())
    nursery.start_soon(scene.dialogue.run)
    await tape.open_at(scene.client, TapeAt("nrst0a"), TapeOpenMode.RDWR)
    await scene.client.close()


async def test_a_tape_that_is_too_short_is_an_error(scene: Any, nursery: trio.Nursery) -> None:
    scene.dialogue.expect(mtio(MtioOp.FSF, 3), moved(left=2))
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(TapekitError, match="the tape stops short: FSF 3 left 2 undone"):
        await tape.move(scene.client, MtioOp.FSF, 3)
    await scene.client.close()


async def test_filemarks_are_written_if_there_are_any(scene: Any, nursery: trio.Nursery) -> None:
    scene.dialogue.expect(mtio(MtioOp.EOF, 2), moved())
    scene.dialogue.expect(m.TapeCloseRequest(), m.TapeCloseReply(error=OK))
    nursery.start_soon(scene.dialogue.run)
    await tape.write_filemarks(scene.client, 2)
    await tape.write_filemarks(scene.client, 0)
    await tape.close(scene.client)
    await scene.client.close()


async def test_a_refusal_comes_out(scene: Any, nursery: trio.Nursery) -> None:
    scene.dialogue.expect(
        m.TapeOpenRequest(device="nrst0a", mode=1),
        m.TapeOpenReply(error=NdmpError.WRITE_PROTECT_ERR),
    )
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(NdmpReplyError) as refused:
        await tape.open_at(scene.client, TapeAt("nrst0a"), TapeOpenMode.RDWR)
    assert refused.value.code is NdmpError.WRITE_PROTECT_ERR
    await scene.client.close()
