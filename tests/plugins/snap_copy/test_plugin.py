from __future__ import annotations

from pathlib import Path

from tapekit.hookspecs.lifecycle import InitPart, InitSite, NoSettings
from tapekit_snap_copy.plugin import SnapCopyPlugin


def test_plugin_offers_the_method_copy() -> None:
    [method] = SnapCopyPlugin(NoSettings()).tapekit_register_snapshot_methods()
    assert method.name == "copy"


def test_plugin_needs_volumes_and_no_settings() -> None:
    assert SnapCopyPlugin.manifest.requires == ("volumes",)
    assert SnapCopyPlugin.manifest.settings is NoSettings


def test_plugin_is_part_of_a_new_site() -> None:
    site = InitSite(directory=Path("/nowhere"), host="127.0.0.1", port=10000)
    assert SnapCopyPlugin.init_part(site) == InitPart()
