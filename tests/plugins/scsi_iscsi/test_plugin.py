"""The plugin offers one driver for drives and changers of one scheme."""

from __future__ import annotations

from tapekit_scsi_iscsi.plugin import ScsiIscsiPlugin
from tapekit_scsi_iscsi.settings import ScsiIscsiSettings


def test_drives_and_changers_are_offered() -> None:
    settings = ScsiIscsiSettings(
        initiator="iqn.2026-11.x:me", targets=("iscsi://10.0.0.7/iqn.2026-11.x:y",)
    )
    plugin = ScsiIscsiPlugin(settings)
    (tapes,) = plugin.tapekit_register_tape_drivers()
    (changers,) = plugin.tapekit_register_changer_drivers()
    assert (tapes.scheme, changers.scheme) == ("iscsi", "iscsi")
    (group,) = plugin.tapekit_register_command_groups()
    assert group.name == "iscsi"
