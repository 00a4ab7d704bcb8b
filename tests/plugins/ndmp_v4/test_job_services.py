"""What a running job tells the client."""

from __future__ import annotations

import pytest

from tapekit.hookspecs.data_engine import Ability
from tapekit_ndmp_v4.job_services import HistoryForm, wanted_history

BOTH = Ability.BACKUP_FH_FILE | Ability.BACKUP_FH_DIR


@pytest.mark.requirement("R139")
@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("Y", HistoryForm.NODES),
        ("y", HistoryForm.NODES),
        ("true", HistoryForm.NODES),
        ("T", HistoryForm.NODES),
        ("1", HistoryForm.NODES),
        ("D", HistoryForm.NODES),
        ("F", HistoryForm.PATHS),
        (" f ", HistoryForm.PATHS),
        ("N", None),
        ("false", None),
        ("0", None),
        ("", None),
    ],
)
def test_hist_chooses_the_form(value: str, form: HistoryForm | None) -> None:
    assert wanted_history((("FILESYSTEM", "/x"), ("HIST", value)), BOTH) is form


def test_the_last_value_says_whether_there_is_any() -> None:
    assert wanted_history((("HIST", "F"), ("HIST", "N")), BOTH) is None
    assert wanted_history((("HIST", "N"), ("HIST", "Y")), BOTH) is HistoryForm.NODES


def test_a_form_counts_before_a_plain_yes() -> None:
    assert wanted_history((("HIST", "F"), ("HIST", "y")), BOTH) is HistoryForm.PATHS


def test_nobody_who_does_not_ask_gets_file_history() -> None:
    assert wanted_history((("FILESYSTEM", "/x"),), BOTH) is None


def test_an_engine_without_paths_gives_what_it_has() -> None:
    environment = (("HIST", "F"),)
    assert wanted_history(environment, Ability.BACKUP_FH_DIR) is HistoryForm.NODES
