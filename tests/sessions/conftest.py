"""Fixtures: a stack that serves, as it is or with another stack file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from session_stack import ServedStack, new_site, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ServedStack]:
    """A new site that serves."""
    directory = tmp_path / "site"
    async with serving(directory, new_site(directory)) as served:
        yield served


@pytest.fixture
def edited_stack(tmp_path: Path) -> Callable[[Callable[[str], str]], Any]:
    """``async with edited_stack(edit) as stack``: a site with another stack file."""

    def make(edit: Callable[[str], str]) -> Any:
        directory = tmp_path / "edited"
        return serving(directory, new_site(directory, edit))

    return make
