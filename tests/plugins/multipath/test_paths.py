"""A path is the same path when its device is found again at another address."""

from __future__ import annotations

from typing import Any

import msgspec

from tapekit_multipath.paths import joined
from tapekit_tape_devices.hookspecs import FoundDrive


def test_a_path_that_is_found_again_leads_to_the_new_address(cable_of: Any) -> None:
    driver = cable_of("0b")
    before, *_ = driver.discover()
    ((_, device),) = joined([FoundDrive(driver, before)], {})
    assert device is not None
    (path,) = device.paths
    path.failed()
    after = msgspec.structs.replace(before, address="another")
    ((_, again),) = joined([FoundDrive(driver, after)], {before.physical_path: path})
    assert again is not None
    assert (again.paths, again.address, path.errors) == ([path], "another", 1)
