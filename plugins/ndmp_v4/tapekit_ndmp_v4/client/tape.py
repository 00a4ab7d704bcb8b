"""The tape of a session, as steps that a client puts together.

Each function is one or two requests. The one rule: a motion that does not
go all the way is an error here, because an image written or read elsewhere
than planned is worse than none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.numbers import MtioOp, TapeOpenMode

if TYPE_CHECKING:
    from tapekit_ndmp_v4.client.client import NdmpClient
    from tapekit_ndmp_v4.client.plans import TapeAt

__all__ = ["close", "go_to", "move", "open_at", "open_device", "rewind", "write_filemarks"]


async def open_device(client: NdmpClient, device: str, mode: TapeOpenMode) -> None:
    """Open a device; TAPE_OPEN."""
    await client.call(m.TapeOpenRequest(device=device, mode=mode))


async def open_at(client: NdmpClient, place: TapeAt, mode: TapeOpenMode) -> None:
    """Open a device and go to the beginning of a tape file.

    :raises TapekitError: ``ndmp_v4.tape-stops-short``; the device is open.
    """
    await open_device(client, place.device, mode)
    await go_to(client, place.file)


async def go_to(client: NdmpClient, file: int) -> None:
    """Go to the beginning of a tape file, counted from 0.

    :raises TapekitError: ``ndmp_v4.tape-stops-short``.
    """
    await rewind(client)
    if file:
        await move(client, MtioOp.FSF, file)


async def move(client: NdmpClient, op: MtioOp, count: int) -> None:
    """Move the tape; TAPE_MTIO.

    :raises TapekitError: ``ndmp_v4.tape-stops-short``.
    """
    reply = await client.call(m.TapeMtioRequest(tape_op=op, count=count))
    if reply.resid_count:
        raise CATALOGUE.error(
            "tape-stops-short", operation=op.name, count=count, left=reply.resid_count
        )


async def rewind(client: NdmpClient) -> None:
    """Go to the beginning of the tape."""
    await move(client, MtioOp.REW, 1)


async def write_filemarks(client: NdmpClient, count: int) -> None:
    """Write filemarks; what was written before is then on the medium."""
    if count:
        await move(client, MtioOp.EOF, count)


async def close(client: NdmpClient) -> None:
    """Let go of the device; TAPE_CLOSE."""
    await client.call(m.TapeCloseRequest())
