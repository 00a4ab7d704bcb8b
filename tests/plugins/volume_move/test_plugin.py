"""The plugin in stacks that lack something, and before one serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.kernel import StartErrors, assemble, installed
from tapekit_volume_move.moves import VolumeMoves
from tapekit_volume_move.operations import StartRequest

if TYPE_CHECKING:
    from pathlib import Path


def test_a_stack_without_what_it_requires_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "stack.toml"
    file.write_text('plugins = ["volume_move", "volumes", "state_sqlite"]\n')
    with pytest.raises(StartErrors, match="smtape"):
        assemble(file, installed(), clock=lambda: 0.0)


def test_a_kernel_without_volumes_has_nothing_to_move() -> None:
    class EmptyKernel:
        storage = None
        engines = ()

    with pytest.raises(TapekitError, match="no volumes that could be moved"):
        VolumeMoves().settle(EmptyKernel())  # type: ignore[arg-type]  # all that is looked at


async def test_a_stack_that_stops_begins_no_move() -> None:
    offered = {each.name: each.perform for each in VolumeMoves().operations()}
    with pytest.raises(TapekitError, match="begins no move"):
        await offered["volume_move.start"](StartRequest(volume="/vs1/vol1", aggregate="aggr2"))
