"""Peers that are missing skip their tests with a reason, or fail them in CI."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest

import running_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is an interop test."""
    for item in items:
        if "tests/interop" in item.path.as_posix():
            item.add_marker(pytest.mark.interop)


@pytest.fixture(autouse=True, scope="session")
def interruptible_programs() -> None:
    """Programs that a test starts stop at SIGINT, even where a shell has
    started the tests in its background and so made them ignore it.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """A test that fails leaves no server of its own to the next ones, and tells
    what that server has logged.
    """
    before = len(running_stack.RUNNING)
    yield
    while len(running_stack.RUNNING) > before:
        left = running_stack.RUNNING[-1]
        left.kill()
        sys.stdout.write(left.log.read_text())


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[running_stack.Stack]:
    """A fresh stack that serves."""
    with running_stack.served(tmp_path / "stack") as running:
        yield running
