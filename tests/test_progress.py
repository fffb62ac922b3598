"""A stage says that it began and how long it took, on a terminal and elsewhere."""

from __future__ import annotations

import pytest

from scrutable.pipeline import progress
from scrutable.pipeline.progress import StageClock


def test_elsewhere_than_on_a_terminal_there_are_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PLAIN_SECONDS", 0.0)
    said: list[str] = []
    clock = StageClock(is_terminal=False, say=said.append)
    with clock("capture") as done:
        done(1, 4)
    assert said[0] == "capture ..."
    assert said[1].startswith("capture: 1 of 4 after ")
    assert said[2].startswith("capture: done in ")
    assert list(clock.seconds) == ["capture"]


def test_a_terminal_gets_a_bar_and_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    clock = StageClock(is_terminal=True, say=said.append)
    with clock("explain: llm") as done:
        done(2, 2)
    assert not said
    assert "explain: llm" in capsys.readouterr().err


def test_a_stage_that_fails_is_timed_and_its_error_goes_on() -> None:
    clock = StageClock(is_terminal=False, say=lambda line: None)  # noqa: ARG005
    with pytest.raises(ZeroDivisionError), clock("score"):
        _ = 1 / 0
    assert clock.seconds["score"] >= 0
