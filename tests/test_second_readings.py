"""Claims read by others and in other words: paraphrases, what is borrowed, what each reading keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_excerpts import excerpt, services

from scrutable.evaluators.second_readings import second_readings
from scrutable.evaluators.statistics import ratio_interval
from scrutable.pipeline import config
from scrutable.pipeline.explainers.paraphrase import ParaphraseExplainer
from scrutable.pipeline.protocols import Explanatory
from scrutable.pipeline.records import CallFailure, Completion, Explanation, Failure, Prompt, Unit
from scrutable.pipeline.recursion.transfer import BorrowingSource
from scrutable.pipeline.store import RunFolder

SHOWN = (excerpt(["a"], [1]),)


def paraphraser(*replies: Completion | CallFailure) -> tuple[ParaphraseExplainer, list[Prompt]]:
    asked: list[Prompt] = []

    def ask(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        asked.extend(prompts)
        return list(replies)

    settings = config.ParaphraseExplainer(of="author", model="toy")
    return ParaphraseExplainer("paraphrase-1", settings, services(ask)), asked


def written(unit: str, text: str = "numbers", **fields: str) -> Explanation:
    return Explanation(unit, "author", "english", text, **fields)  # type: ignore[arg-type]


# paraphrases


def test_a_text_is_said_again_by_the_model_that_is_asked() -> None:
    made, asked = paraphraser(Completion(text=' "digits and numerals"\n'))
    [found] = made.explain([Explanatory("u", SHOWN, written("u"))])
    assert isinstance(found, Explanation)
    assert (found.text, found.explainer, found.language) == ("digits and numerals", "paraphrase-1", "english")
    assert "Description: numbers" in asked[0].text


def test_what_cannot_be_said_again_is_a_named_failure_and_the_others_keep_their_place() -> None:
    made, asked = paraphraser(Completion(text="numerals"), CallFailure("timeout", "after 60 s"))
    program = Explanation("p", "author", "program", "digit")
    jobs = [
        Explanatory("none", SHOWN),
        Explanatory("u", SHOWN, written("u")),
        Explanatory("p", SHOWN, program),
        Explanatory("v", SHOWN, written("v")),
    ]
    found = made.explain(jobs)
    assert [f.kind if isinstance(f, Failure) else f.text for f in found] == [
        "no_source",
        "numerals",
        "no_source",
        "timeout",
    ]
    assert [f.unit for f in found] == ["none", "u", "p", "v"]
    assert len(asked) == 2


# what is borrowed


def test_only_the_units_that_are_asked_for_are_borrowed(tmp_path: Path) -> None:
    own, again = RunFolder(tmp_path, level="level-0"), RunFolder(tmp_path, level="level-0-again")
    names = [f"L0.N{n}.pos" for n in range(4)]
    own.write_records(own.level / "units.parquet", Unit, [Unit(n, 0, 0, "pos", 1.0, 0.1) for n in names])
    own.write_excerpts(own.part("excerpts", "0000"), {name: [excerpt(["a"], [1])] for name in names})
    own.write_records(own.part("explanations", "author~0000"), Explanation, [written(n) for n in names[:3]])
    source = BorrowingSource(again, own, own, ("author",), 8, only=frozenset(names[1:]))
    source.borrow()
    assert [unit.id for unit in source.units] == names[1:3]
    assert sorted(again.read_excerpts()) == names[1:3]


def test_whoever_writes_anew_borrows_excerpts_alone(tmp_path: Path) -> None:
    own, again = RunFolder(tmp_path, level="level-0"), RunFolder(tmp_path, level="level-0-followed")
    names = [f"L0.N{n}.pos" for n in range(3)]
    own.write_records(own.level / "units.parquet", Unit, [Unit(n, 0, 0, "pos", 1.0, 0.1) for n in names])
    own.write_excerpts(own.part("excerpts", "0000"), {name: [excerpt(["a"], [1])] for name in names})
    source = BorrowingSource(again, own, own, (), 8, only=frozenset([*names[:2], "L9.N9.neg"]))
    source.borrow()
    assert [unit.id for unit in source.units] == names[:2]
    assert not again.parts("explanations")


# what is left


def read(own: dict[str, float], second: dict[str, float], units: Sequence[str]) -> tuple[float, ...]:
    [found] = second_readings(
        own, {("author", "s"): second}, level=1, units=units, n_same={}, draws=300, seed=0
    )
    return found.share, found.low, found.high, found.n_unread


def test_a_reading_keeps_the_share_that_it_finds_and_claims_without_a_gain_count_as_nothing() -> None:
    own = {f"u{n}": 0.1 + 0.01 * n for n in range(10)}
    share, low, high, unread = read(own, {u: gain / 2 for u, gain in own.items()}, list(own))
    assert (share, low, high, unread) == (pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0.5), 0)
    half = list(own)[:5]
    share, low, high, unread = read(own, {u: own[u] for u in half}, list(own))
    assert share == pytest.approx(sum(own[u] for u in half) / sum(own.values()))
    assert low < share < high
    assert unread == 5


def test_claims_that_are_not_in_the_tree_do_not_count() -> None:
    own, second = {"a": 1.0, "b": 1.0, "c": 9.0}, {"a": 0.5, "b": 0.5, "c": 9.0}
    assert read(own, second, ["a", "b"])[0] == pytest.approx(0.5)


@pytest.mark.parametrize("own", [{"a": 0.2}, {"a": 0.2, "b": -0.3}])
def test_without_claims_or_a_gain_there_is_no_share_and_it_is_said_why(own: dict[str, float]) -> None:
    [found] = second_readings(
        own,
        {("p", "s"): own},
        level=1,
        units=[*own, "lost"],
        n_same={"p": 1},
        draws=50,
        seed=0,
    )
    assert math.isnan(found.share)
    assert found.reason
    assert found.n_same == 1


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=12), st.floats(-2, 2))
def test_the_interval_of_a_constant_ratio_is_that_ratio(below: list[float], ratio: float) -> None:
    found = ratio_interval(ratio * np.array(below), np.array(below), draws=50, rng=np.random.default_rng(0))
    assert found == pytest.approx((ratio, ratio))


def test_the_interval_of_a_ratio_covers_it_about_as_often_as_it_says() -> None:
    rng, covered = np.random.default_rng(1), 0
    for _ in range(200):
        below = rng.gamma(2.0, size=60)
        above = 0.4 * below + 0.3 * rng.normal(size=60)
        low, high = ratio_interval(above, below, draws=300, rng=rng)
        covered += low <= 0.4 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_a_single_item_has_no_interval() -> None:
    found = ratio_interval(np.ones(1), np.ones(1), draws=50, rng=np.random.default_rng(0))
    assert np.isnan(found).all()
