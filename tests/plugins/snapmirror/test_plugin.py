"""The plugin in stacks that lack something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.plugins.snapmirror.mirror_site import COPY, SOURCE, STACK

from tapekit.errors import TapekitError
from tapekit.kernel import StartErrors, assemble, installed
from tapekit_snapmirror.mirrors import Mirrors
from tapekit_snapmirror.operations import TransferRequest
from tapekit_snapmirror.relationships import Step
from tapekit_snapmirror.transfer import ImageWish, prepare_transfer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugins.snapmirror.mirror_site import MirrorSite


def test_a_stack_without_smtape_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "stack.toml"
    file.write_text(STACK.replace('"smtape", ', ""))
    with pytest.raises(StartErrors, match="smtape"):
        assemble(file, installed(), clock=lambda: 0.0)


def test_a_stack_without_local_connections_transfers_nothing(tmp_path: Path) -> None:
    file = tmp_path / "stack.toml"
    for name in ("source", "copy", "spread"):
        (tmp_path / name).mkdir()
    file.write_text(STACK.replace(', "transport_tcp"', ""))
    kernel = assemble(file, installed(), clock=lambda: 0.0)
    wish = ImageWish(SOURCE, COPY, "copy", None, "0" * 32, "test")
    with pytest.raises(TapekitError, match="connections of the kind LOCAL"):
        prepare_transfer(kernel, wish)
    kernel.state.close()  # type: ignore[attr-defined]  # the store of the stack file


async def test_a_stack_that_stops_begins_no_transfer(site: MirrorSite) -> None:
    mirrors = Mirrors()
    mirrors.settle(site.kernel)
    offered = {each.name: each.perform for each in mirrors.operations()}
    with pytest.raises(TapekitError, match="begins no transfer"):
        await offered["snapmirror.transfer"](TransferRequest(COPY, Step.INITIALIZE))


def test_a_kernel_without_volumes_has_nothing_to_mirror() -> None:
    class EmptyKernel:
        storage = None
        engines = ()

    with pytest.raises(TapekitError, match="nothing that relationships"):
        Mirrors().settle(EmptyKernel())  # type: ignore[arg-type]  # all that is looked at
