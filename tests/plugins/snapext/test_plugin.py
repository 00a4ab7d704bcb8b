"""The plugin's wiring."""

from __future__ import annotations

from tapekit_snapext.plugin import SnapextPlugin
from tapekit_snapext.settings import SnapextSettings


def test_the_class_and_its_variables_come_together() -> None:
    plugin = SnapextPlugin(SnapextSettings())
    (extension,) = plugin.tapekit_register_ndmp_extensions()
    assert (extension.class_id, extension.versions) == (0x2050, (3,))
    rows = plugin.tapekit_register_environment_variables()
    assert extension.variables == {row.name for row in rows}
    assert {row.engine for row in rows} == {"dump"}
