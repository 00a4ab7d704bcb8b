from __future__ import annotations

from tapekit.hookspecs.lifecycle import NoSettings
from tapekit_snap_btrfs.plugin import SnapBtrfsPlugin


def test_plugin_offers_the_method_btrfs() -> None:
    [method] = SnapBtrfsPlugin(NoSettings()).tapekit_register_snapshot_methods()
    assert method.name == "btrfs"


def test_plugin_needs_volumes_and_no_settings() -> None:
    assert SnapBtrfsPlugin.manifest.requires == ("volumes",)
    assert SnapBtrfsPlugin.manifest.settings is NoSettings
