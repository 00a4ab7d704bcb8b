"""In a stack, the plugin offers drives and changers of the scheme ``sg``."""

from __future__ import annotations

from tapekit_scsi_sg.plugin import ScsiSgPlugin
from tapekit_scsi_sg.settings import ScsiSgSettings


def test_drives_and_changers_come_from_one_driver() -> None:
    plugin = ScsiSgPlugin(ScsiSgSettings())
    (drives,) = plugin.tapekit_register_tape_drivers()
    (changers,) = plugin.tapekit_register_changer_drivers()
    assert drives.scheme == "sg"
    assert drives is changers
