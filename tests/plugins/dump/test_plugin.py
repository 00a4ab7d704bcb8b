"""The plugin's wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import StartErrors
from tapekit.hookspecs.lifecycle import InitSite
from tapekit_dump.plugin import DumpPlugin
from tapekit_dump.settings import DumpSettings
from tapekit_dump.variables import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_plugin_offers_the_engine_and_its_variables(assembled: Callable[..., Any]) -> None:
    kernel = assembled(DumpPlugin)
    assert list(kernel.engines) == ["dump"]
    assert tuple(kernel.variables("dump")) == VARIABLES


def test_two_stacks_share_no_engine(assembled: Callable[..., Any]) -> None:
    assert assembled(DumpPlugin).engines["dump"] is not assembled(DumpPlugin).engines["dump"]


def test_new_site_needs_no_settings(tmp_path: Path) -> None:
    part = DumpPlugin.init_part(InitSite(directory=tmp_path, host="127.0.0.1", port=10000))
    assert part.settings == ""
    assert list(tmp_path.iterdir()) == []


def test_settings_have_defaults() -> None:
    assert DumpPlugin.manifest.settings is DumpSettings
    settings = DumpSettings()
    assert (settings.records_per_block, settings.spool_directory) == (10, None)


@pytest.mark.parametrize(
    "line",
    [
        "spool_memory_bytes = 1",
        "extent_threshold_bytes = 1000000",
        "records_per_block = 3",
        "records_per_block = 257",
        "records_per_block = 1025",
        "unknown = 1",
    ],
)
def test_bad_settings_stop_the_start(assembled: Callable[..., Any], line: str) -> None:
    with pytest.raises(StartErrors, match=line.split(maxsplit=1)[0]):
        assembled(DumpPlugin, tables=f"[dump]\n{line}\n")
