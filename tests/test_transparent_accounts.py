"""Readable surrogates of behaviours: planted rules are found, and noise gives one branch."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from scrutable.pipeline.behaviours.config import RulesAccount as RulesConfig
from scrutable.pipeline.behaviours.config import TemplateAccount as TemplateConfig
from scrutable.pipeline.behaviours.config import TreeAccount as TreeConfig
from scrutable.pipeline.behaviours.config import WordsAccount as WordsConfig
from scrutable.pipeline.behaviours.cues import readable_cues
from scrutable.pipeline.behaviours.explainers.rules import RulesAccount
from scrutable.pipeline.behaviours.explainers.template import TemplateAccount
from scrutable.pipeline.behaviours.explainers.tree import TreeAccount
from scrutable.pipeline.behaviours.explainers.words import WordsAccount
from scrutable.pipeline.behaviours.folds import folds
from scrutable.pipeline.behaviours.pairs import balanced
from scrutable.pipeline.behaviours.policies import outcome_of
from scrutable.pipeline.behaviours.policy_text import read_policy, write_condition
from scrutable.pipeline.behaviours.protocols import Shown
from scrutable.pipeline.behaviours.records import Input
from scrutable.pipeline.behaviours.word_table import read_word_table, strongest
from scrutable.pipeline.records import Explanation
from tests.toy_behaviours import OUTCOMES, coin, shown

WORDS = ("lamp", "key", "tea", "red", "blue", "please", "now", "again", "3", "mother", "not")


def asked(n: int = 160, *, seed: int = 0) -> tuple[Input, ...]:
    """Random bags of words from twenty sources."""
    rng = random.Random(seed)
    found = []
    for number in range(n):
        words = rng.sample(WORDS, rng.randint(3, 6))
        text = " ".join(words) + rng.choice([".", "?", "!"])
        found.append(Input(f"desk.{number}", "desk", f"source {number % 20}", "explain", text))
    return tuple(found)


def has(*words: str) -> Callable[[Input], bool]:
    return lambda one: all(word in one.text.replace("?", " ").replace("!", " ").split() for word in words)


def explained(account: Any, config: Any, rule: Callable[[Input], str]) -> Explanation:
    (answer,) = account("x", config, None).explain([shown(asked(), rule=rule)])
    assert isinstance(answer, Explanation)
    return answer


def accuracy(answer: Explanation, rule: Callable[[Input], str]) -> float:
    policy = read_policy(answer.text)
    new = asked(400, seed=1)
    return sum(outcome_of(policy, one.text) == rule(one) for one in new) / len(new)


PLANTED: dict[str, Callable[[Input], str]] = {
    "one word": lambda one: "grant" if "please" in one.text else "deny",
    "a conjunction": lambda one: "grant" if "please" in one.text and "red" in one.text else "deny",
    "an exception": lambda one: "grant" if "please" in one.text and "not" not in one.text else "deny",
    "a position": lambda one: "grant" if one.text.endswith("?") else "deny",
    "a class": lambda one: "grant" if "red" in one.text or "blue" in one.text else "deny",
}


@pytest.mark.parametrize("rule", PLANTED.values(), ids=PLANTED)
@pytest.mark.parametrize(("account", "config"), [(RulesAccount, RulesConfig()), (TreeAccount, TreeConfig())])
def test_a_planted_rule_is_found(account: Any, config: Any, rule: Callable[[Input], str]) -> None:
    assert accuracy(explained(account, config, rule), rule) > 0.95


@pytest.mark.parametrize(("account", "config"), [(RulesAccount, RulesConfig()), (TreeAccount, TreeConfig())])
def test_noise_mostly_gives_one_branch(account: Any, config: Any) -> None:
    """Not always: a size is chosen within one standard error."""
    sizes = [len(read_policy(explained(account, config, coin(seed)).text).branches) for seed in range(6)]
    assert sizes.count(1) >= 4


def test_a_table_of_words_finds_those_that_tell() -> None:
    table = read_word_table(explained(WordsAccount, WordsConfig(), PLANTED["one word"]).text)
    assert strongest(table, "grant", count=1)[0][0] == "please"


def test_the_template_names_the_words_of_each_outcome() -> None:
    text = explained(TemplateAccount, TemplateConfig(words=2), PLANTED["one word"]).text
    assert text.startswith('The answer is "grant" when the text has words such as please')
    assert '"deny" when' in text


def test_cues_tell_inputs_apart_and_the_shortest_of_those_that_are_alike_stays() -> None:
    cues = readable_cues(shown(asked(), rule=PLANTED["a position"]).pairs, OUTCOMES)
    rows = {row.tobytes() for row in cues.holds}
    assert len(rows) == len(cues.conditions)
    assert all(2 <= row.sum() <= row.size - 2 for row in cues.holds)
    written = [write_condition(cue) for cue in cues.conditions]
    assert written == sorted(written, key=lambda text: (len(text), text))


def test_sources_are_held_out_whole() -> None:
    pairs = shown(asked()).pairs
    masks = folds(pairs)
    assert sum(mask.astype(int) for mask in masks).tolist() == [1] * len(pairs)
    for mask in masks:
        inside = {pair.input.source for pair, held in zip(pairs, mask, strict=True) if held}
        outside = {pair.input.source for pair, held in zip(pairs, mask, strict=True) if not held}
        assert not inside & outside


def test_shown_pairs_are_balanced_over_outcomes_and_spread_over_sources() -> None:
    job: Shown = shown(asked(), rule=PLANTED["a conjunction"])
    chosen = balanced(job, count=12, seed=0)
    counts = [sum(pair.observation.outcome == outcome for pair in chosen) for outcome in OUTCOMES]
    assert counts == [6, 6]
    assert len({pair.input.source for pair in chosen}) >= 8
    assert chosen == balanced(job, count=12, seed=0) != balanced(job, count=12, seed=1)
