"""Commands are built and taken apart by one table, bit for bit."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.scsi.cdb import (
    CHANGER_COMMANDS,
    TAPE_COMMANDS,
    FieldRefused,
    changer_command,
    tape_command,
)

if TYPE_CHECKING:
    from tapekit.scsi.cdb import Command

COMMANDS = (*TAPE_COMMANDS.values(), *CHANGER_COMMANDS.values())
LENGTHS = {0: 6, 1: 10, 2: 10, 4: 16, 5: 12}


def values_of(command: Command) -> st.SearchStrategy[dict[str, int]]:
    return st.fixed_dictionaries(
        {
            field.name: (
                st.integers(-(1 << field.width - 1), (1 << field.width - 1) - 1)
                if field.is_signed
                else st.integers(0, (1 << field.width) - 1)
            )
            for field in command.fields
        }
    )


@pytest.mark.parametrize(
    ("command", "values", "block"),
    [
        (tape_command("READ(6)"), {"sili": 1, "count": 0x010203}, "08 02 010203 00"),
        (tape_command("WRITE(6)"), {"fixed": 1, "count": 4}, "0a 01 000004 00"),
        (tape_command("SPACE(6)"), {"code": 1, "count": -1}, "11 01 ffffff 00"),
        (tape_command("LOCATE(10)"), {"object": 6}, "2b 00 00 00000006 00 00 00"),
        (
            tape_command("LOCATE(16)"),
            {"destination": 1, "object": 3},
            "92 08 00 00 0000000000000003 00000000",
        ),
        (tape_command("MODE SENSE(6)"), {"page": 0x3F, "allocation": 255}, "1a 00 3f 00 ff 00"),
        (tape_command("LOG SENSE"), {"control": 1, "page": 0x2E, "allocation": 512},
         "4d 00 6e 00 00 0000 0200 00"),
        (tape_command("LOAD UNLOAD"), {"load": 1}, "1b 00 00 00 01 00"),
        (
            changer_command("MOVE MEDIUM"),
            {"source": 1024, "destination": 256},
            "a5 00 0000 0400 0100 0000 00 00",
        ),
        (
            changer_command("READ ELEMENT STATUS"),
            {"tags": 1, "type": 4, "start": 256, "count": 2, "identifiers": 1, "allocation": 4096},
            "b8 14 0100 0002 01 001000 00 00",
        ),
        (changer_command("POSITION TO ELEMENT"), {"destination": 1024},
         "2b 00 0000 0400 0000 00 00"),
        (tape_command("PERSISTENT RESERVE OUT"), {"service_action": 1, "type": 3,
         "list_length": 24}, "5f 01 03 0000 00000018 00"),
    ],
)  # fmt: skip
def test_blocks_are_those_of_the_standards(
    command: Command, values: dict[str, int], block: str
) -> None:
    assert command.build(**values) == bytes.fromhex(block)
    parsed = command.parse(bytes.fromhex(block))
    assert {name: value for name, value in parsed.items() if value} == values


@given(st.data())
def test_what_is_built_is_parsed_again(data: st.DataObject) -> None:
    command = data.draw(st.sampled_from(COMMANDS))
    values = data.draw(values_of(command))
    assert command.parse(command.build(**values)) == values


@given(st.sampled_from(COMMANDS), st.binary(max_size=20))
def test_any_bytes_are_read_or_refused(command: Command, block: bytes) -> None:
    with suppress(FieldRefused):
        rebuilt = command.build(**command.parse(block))
        assert rebuilt[1:-1] == block[1 : command.length - 1]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_rows_fit_their_operation_code(command: Command) -> None:
    assert command.length == LENGTHS[command.opcode >> 5]
    claimed = bytearray(command.length)
    for field in command.fields:
        assert field.byte >= 1
        assert field.byte + field.length < command.length
        for offset, bits in enumerate(field.mask.to_bytes(field.length, "big")):
            assert not claimed[field.byte + offset] & bits, f"{field.name} overlaps another"
            claimed[field.byte + offset] |= bits


def test_a_bit_that_nobody_owns_is_refused_by_its_byte() -> None:
    with pytest.raises(FieldRefused) as refused:
        tape_command("REWIND").parse(bytes.fromhex("01 00 00 40 00 00"))
    assert refused.value.byte == 3


def test_padding_behind_a_block_is_not_looked_at() -> None:
    assert tape_command("REWIND").parse(bytes.fromhex("01 01 000000 00 ffffffffffff")) == {
        "immediate": 1
    }


@pytest.mark.parametrize("values", [{"count": 1 << 24}, {"count": -1}, {"fixed": 2}, {"blocks": 1}])
def test_mistakes_of_the_caller_are_told(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"READ\(6\)"):
        tape_command("READ(6)").build(**values)
