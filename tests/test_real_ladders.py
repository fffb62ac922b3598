"""Planted ladders on real text: the ledger says what is true of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_run import scrutable

from scrutable.pipeline.recursion.records import KnownLadder
from scrutable.pipeline.store import RunFolder


@pytest.mark.real
def test_the_ledger_of_a_planted_author_says_what_is_true_of_it(tmp_path: Path) -> None:
    done = scrutable("selftest", "--recursion", "--runs", tmp_path)
    assert done.returncode == 0, done.stdout
    folder = RunFolder(tmp_path / "selftest-recursion", level="recursion")
    found = folder.read_records(KnownLadder, folder.level / "known_ladders.parquet")
    shares = {row.name: (row.share, row.value) for row in found}
    assert shares["readable"] == ("discharged", pytest.approx(1))
    assert shares["explained"] == ("passed_up", pytest.approx(1, abs=0.05))
    assert shares["shuffled"] == ("stranded", pytest.approx(1, abs=0.05))
    assert shares["blind"] == ("gated_out", 1)
    assert 0 < shares["hidden"][1] < 0.5
    assert all(row.is_passed for row in found)
    assert "NOT passed" not in done.stdout
