"""Readable surrogates of behaviours: planted rules are found, and noise gives one branch."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scrutable.pipeline.behaviours.config import RulesAccount as RulesConfig
from scrutable.pipeline.behaviours.config import TemplateAccount as TemplateConfig
from scrutable.pipeline.behaviours.config import TreeAccount as TreeConfig
from scrutable.pipeline.behaviours.config import WordsAccount as WordsConfig
from scrutable.pipeline.behaviours.explainers.rules import RulesAccount
from scrutable.pipeline.behaviours.explainers.template import TemplateAccount
from scrutable.pipeline.behaviours.explainers.tree import TreeAccount
from scrutable.pipeline.behaviours.explainers.words import WordsAccount
from scrutable.pipeline.behaviours.folds import folds
from scrutable.pipeline.behaviours.policies import outcome_of
from scrutable.pipeline.behaviours.policy_text import read_policy
from scrutable.pipeline.behaviours.protocols import Pair, Shown
from scrutable.pipeline.behaviours.records import Input
from scrutable.pipeline.behaviours.word_table import read_word_table, strongest
from scrutable.pipeline.records import Explanation, Failure
from tests.toy_behaviours import OUTCOMES, coin, definition, observed, shown

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


POLICIES = [(RulesAccount, RulesConfig()), (TreeAccount, TreeConfig())]


@pytest.mark.parametrize("rule", PLANTED.values(), ids=PLANTED)
@pytest.mark.parametrize(("account", "config"), POLICIES)
def test_a_planted_rule_is_found(account: Any, config: Any, rule: Callable[[Input], str]) -> None:
    assert accuracy(explained(account, config, rule), rule) > 0.95


@pytest.mark.parametrize(("account", "config"), POLICIES)
def test_noise_mostly_gives_one_branch(account: Any, config: Any) -> None:
    """Not always: a size is chosen within one standard error."""
    sizes = [len(read_policy(explained(account, config, coin(seed)).text).branches) for seed in range(6)]
    assert sizes.count(1) >= 4


@pytest.mark.parametrize(("account", "config"), POLICIES)
def test_what_tells_within_one_source_alone_is_no_rule(account: Any, config: Any) -> None:
    """Of held-out sources the commonest outcome is right, and the word of one source is never there."""
    given = [replace(one, source=f"b {n % 9}", text="x y") for n, one in enumerate(asked(90))]
    odd = [replace(one, id=f"odd.{n}", source="a", text="x please") for n, one in enumerate(asked(8))]
    job = shown((*given, *odd), rule=PLANTED["one word"])
    (answer,) = account("x", config, None).explain([job])
    assert answer.text == "deny otherwise"


@pytest.mark.parametrize(("account", "config"), POLICIES)
def test_sizes_are_at_most_what_the_config_says(account: Any, config: Any) -> None:
    def rule(one: Input) -> str:
        return "grant" if ("please" if one.text.endswith("?") else "red") in one.text else "deny"

    small = config.model_copy(update={"rules": 1} if account is RulesAccount else {"leaves": 2})
    sizes = [len(read_policy(explained(account, one, rule).text).branches) for one in (config, small)]
    assert sizes[0] > 2 >= sizes[1]


@pytest.mark.parametrize(
    ("account", "config"), [*POLICIES, (WordsAccount, WordsConfig()), (TemplateAccount, TemplateConfig())]
)
def test_the_same_pairs_give_the_same_account_and_all_of_them_are_named(account: Any, config: Any) -> None:
    first, second = (explained(account, config, PLANTED["an exception"]) for _ in range(2))
    assert first == second
    assert first.shown == tuple(one.id for one in asked())
    assert first.language == account.language


def test_a_table_of_words_finds_those_that_tell() -> None:
    table = read_word_table(explained(WordsAccount, WordsConfig(), PLANTED["one word"]).text)
    assert strongest(table, "grant", count=1)[0][0] == "please"


def test_the_template_names_the_words_of_each_outcome() -> None:
    text = explained(TemplateAccount, TemplateConfig(words=2), PLANTED["one word"]).text
    assert text.startswith('The answer is "grant" when the text has words such as please')
    assert '"deny" when' in text


def test_a_table_of_words_gives_a_low_bias_to_what_never_occurs() -> None:
    given = asked()
    seen = observed(given, PLANTED["one word"])
    three = definition(readout={"kind": "choice", "labels": [*OUTCOMES, "delay"]})
    job = Shown(three, tuple(Pair(one, seen[one.id]) for one in given))
    (answer,) = WordsAccount("x", WordsConfig(), None).explain([job])  # type: ignore[arg-type]
    assert isinstance(answer, Explanation)
    table = read_word_table(answer.text)
    assert table.outcomes == (*OUTCOMES, "delay")
    assert table.bias[2] < min(table.bias[:2]) - 2


def test_the_template_fails_by_name_where_no_word_goes_with_any_outcome() -> None:
    given = [replace(one, text="...") for one in asked()]
    job = shown(given, rule=coin(0))
    (answer,) = TemplateAccount("x", TemplateConfig(), None).explain([job])  # type: ignore[arg-type]
    assert isinstance(answer, Failure)
    assert answer.kind == "nothing_to_list"


def test_sources_are_held_out_whole() -> None:
    pairs = shown(asked()).pairs
    masks = folds(pairs)
    assert sum(mask.astype(int) for mask in masks).tolist() == [1] * len(pairs)
    for mask in masks:
        inside = {pair.input.source for pair, held in zip(pairs, mask, strict=True) if held}
        outside = {pair.input.source for pair, held in zip(pairs, mask, strict=True) if not held}
        assert not inside & outside
