"""Aids for testing plugins: conformance checks and fakes that work.

The checks are plain functions that need no test framework: each takes a
function that makes a fresh object, claims everything that the object's
contract promises, and raises :class:`AssertionError` with a text that says
what it saw. tapekit runs them over its own plugins; run them over yours.
"""

from tapekit.testing.authenticator_checks import check_authenticator as check_authenticator
from tapekit.testing.changer_checks import check_media_changer as check_media_changer
from tapekit.testing.engine_checks import EngineTrial as EngineTrial
from tapekit.testing.engine_checks import check_data_engine as check_data_engine
from tapekit.testing.image_checks import ImageTrial as ImageTrial
from tapekit.testing.image_checks import check_image_storage as check_image_storage
from tapekit.testing.memory_changer import MemoryChanger as MemoryChanger
from tapekit.testing.memory_connection import FailingSink as FailingSink
from tapekit.testing.memory_connection import FailingSource as FailingSource
from tapekit.testing.memory_connection import MemoryRanges as MemoryRanges
from tapekit.testing.memory_connection import MemorySink as MemorySink
from tapekit.testing.memory_connection import MemorySource as MemorySource
from tapekit.testing.memory_services import MemoryHistory as MemoryHistory
from tapekit.testing.memory_services import MemoryServices as MemoryServices
from tapekit.testing.memory_tape import MemoryTape as MemoryTape
from tapekit.testing.memory_tape import MemoryTapeDrive as MemoryTapeDrive
from tapekit.testing.memory_tape import bytes_of as bytes_of
from tapekit.testing.state_checks import check_state_store as check_state_store
from tapekit.testing.tape_checks import TapeTrial as TapeTrial
from tapekit.testing.tape_checks import check_tape_drive as check_tape_drive
from tapekit.testing.tape_checks import tape_trials as tape_trials
from tapekit.testing.transport_checks import check_data_transport as check_data_transport

__all__ = [
    "EngineTrial",
    "FailingSink",
    "FailingSource",
    "ImageTrial",
    "MemoryChanger",
    "MemoryHistory",
    "MemoryRanges",
    "MemoryServices",
    "MemorySink",
    "MemorySource",
    "MemoryTape",
    "MemoryTapeDrive",
    "TapeTrial",
    "bytes_of",
    "check_authenticator",
    "check_data_engine",
    "check_data_transport",
    "check_image_storage",
    "check_media_changer",
    "check_state_store",
    "check_tape_drive",
    "tape_trials",
]
