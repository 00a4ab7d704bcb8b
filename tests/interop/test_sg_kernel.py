"""Drives and a changer behind the device nodes of a real kernel, in a guest
that QEMU emulates (about a minute).

The kernel's target and its adapter are nobody's here, and the drives behind
them are virtual ones; the checks themselves are in :mod:`guest_checks`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import guest_checks
from kernel_guest import run_in_guest
from running_stack import make_stack

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the guest has printed; it gets a stack to serve."""
    scratch = tmp_path_factory.mktemp("guest")
    stack = make_stack(scratch / "stack")
    stack.edit(r'^    "vtape",', '    "scsi_sg",')
    stack.edit(r"^\[vtape\](.|\n)*", "[scsi_sg]\n")
    script = Path(guest_checks.__file__)
    return run_in_guest(script, scratch, str(stack.directory), str(stack.port))


@pytest.mark.requirement("R042")
@pytest.mark.requirement("R057")
@pytest.mark.requirement("R067")
@pytest.mark.parametrize("check", guest_checks.CHECKS, ids=lambda check: check.__name__)
def test_in_a_guest(told: list[str], check: Callable[[], None]) -> None:
    assert any(line.startswith(f"ok {check.__name__} ") for line in told), "\n".join(told)
