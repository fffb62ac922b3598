"""The explainers on small excerpts whose rule is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_excerpts import excerpt, services

from scrutable.pipeline.backends.scripted import Script, ScriptedBackend
from scrutable.pipeline.behaviours.explainers import ACCOUNTS
from scrutable.pipeline.config import ExplainerConfig
from scrutable.pipeline.config import LlmExplainer as LlmConfig
from scrutable.pipeline.config import ProgramExplainer as ProgramConfig
from scrutable.pipeline.config import TableExplainer as TableConfig
from scrutable.pipeline.config import TemplateExplainer as TemplateConfig
from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.explainers import EXPLAINERS
from scrutable.pipeline.explainers.llm import LlmExplainer
from scrutable.pipeline.explainers.program import ProgramExplainer, best_program
from scrutable.pipeline.explainers.table import TableExplainer
from scrutable.pipeline.explainers.template import TemplateExplainer
from scrutable.pipeline.parsing import parse_explanation
from scrutable.pipeline.program_text import read_program, write_program
from scrutable.pipeline.programs import levels
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Explainer, Explanatory, Services
from scrutable.pipeline.records import (
    CallFailure,
    Completion,
    Cost,
    Excerpt,
    Exemplars,
    Explanation,
    Failure,
    Language,
    Prompt,
)
from scrutable.pipeline.tables import read_table

TEXTS = (
    " In 1987 the slowly moving train left Paris for the old coast at 9 .",
    " The quickly built wall of Berlin stood 28 years , nearly forgotten now .",
    " A dog and a cat ate 3 fish ; the cat only slept .",
    " Mary , the fairly tall captain of the ship , had 12 dogs .",
    " Nothing in the garden was really green but one cat of hers .",
)

CAT_UNIT = excerpt([" the", " cat", " and", " dog", "."], [0, 4, 0, 3, 0], id="cat")
FISH_UNIT = excerpt([" one", " fish"], [0, 2], id="fish")
ORDINARY = excerpt([" not", " marked", " cat"], [0, 1, 1], id="plain", weight=9.0, is_top=False)
JOB = Explanatory("L0.N0.pos", (CAT_UNIT, FISH_UNIT, ORDINARY))
SILENT = Explanatory("L0.N1.pos", (excerpt([" a", " b"], [0, 0], id="silent"),))


def no_model() -> Services:
    def refuse(prompt: object) -> str:
        raise AssertionError(f"no model is to be asked, but was: {prompt}")

    return services(ScriptedBackend(refuse))


def llm(script: Script, config: LlmConfig | None = None) -> tuple[LlmExplainer, ScriptedBackend]:
    backend = ScriptedBackend(script)
    return LlmExplainer("llm", config or LlmConfig(model="scripted"), services(backend)), backend


def planted(rule: str, *, weight: float = 1.0) -> list[Excerpt]:
    """The texts, with a unit that fires where a program holds."""
    tokens = [[" " + word for word in text.split()] for text in TEXTS]
    return [
        excerpt(row, [level / 3 for level in levels(read_program(rule), row)], id=f"e{i}", weight=weight)
        for i, row in enumerate(tokens)
    ]


def explained(made: Explanation | Failure) -> Explanation:
    assert isinstance(made, Explanation), made
    return made


def failed(made: Explanation | Failure) -> Failure:
    assert isinstance(made, Failure), made
    return made


def by_code() -> list[Explainer]:
    return [
        TemplateExplainer("own", TemplateConfig(), no_model()),
        TableExplainer("own", TableConfig(), no_model()),
        ProgramExplainer("own", ProgramConfig(), no_model()),
    ]


def test_every_kind_in_the_config_has_its_explainer() -> None:
    kinds = {get_args(m.model_fields["kind"].annotation)[0] for m in get_args(get_args(ExplainerConfig)[0])}
    assert kinds == set(EXPLAINERS)
    of_units = {made.language for made in EXPLAINERS.values()}
    of_behaviours = {made.language for kind, made in ACCOUNTS.items() if kind != "given"}
    assert of_units | of_behaviours == set(get_args(Language))


@pytest.mark.parametrize("made", by_code(), ids=lambda made: type(made).__name__)
def test_explainers_of_code_ask_no_model_and_name_what_they_wrote(made: Explainer) -> None:
    (explanation,) = map(explained, made.explain([JOB]))
    assert made.prompts([JOB]) == []
    assert (explanation.id, explanation.model, explanation.cost) == ("L0.N0.pos/own", "", Cost())


# template


def template_explainer(**fields: float) -> TemplateExplainer:
    return TemplateExplainer("template", TemplateConfig.model_validate(fields), no_model())


def test_the_template_lists_the_highlighted_words_of_the_strongest_excerpts() -> None:
    (explanation,) = map(explained, template_explainer().explain([JOB]))
    assert explanation.text == 'the words "cat", "dog", "fish"'
    assert explanation.shown == ("cat", "fish")
    assert explanation.language == "english"


def test_the_template_lists_no_more_words_and_excerpts_than_it_may() -> None:
    (fewer_words,) = map(explained, template_explainer(words=1).explain([JOB]))
    (fewer_excerpts,) = map(explained, template_explainer(excerpts=1, highlight=0.9).explain([JOB]))
    assert (fewer_words.text, fewer_words.shown) == ('the word "cat"', ("cat", "fish"))
    assert (fewer_excerpts.text, fewer_excerpts.shown) == ('the word "cat"', ("cat",))


def test_the_template_fails_where_nothing_is_highlighted_and_goes_on() -> None:
    first, second = template_explainer().explain([SILENT, JOB])
    assert (failed(first).unit, failed(first).kind) == (SILENT.unit, "nothing_highlighted")
    assert explained(second).unit == JOB.unit


# table


def test_the_table_is_of_all_excerpts_weighted_to_the_population() -> None:
    (explanation,) = map(explained, TableExplainer("t", TableConfig(), no_model()).explain([JOB]))
    assert read_table(explanation.text).means[" cat"] == round((4 + 9 * 1) / 10, 4)
    assert (explanation.shown, explanation.language) == (("cat", "fish", "plain"), "table")


# program


@pytest.mark.parametrize(
    "rule",
    [
        "digit",
        "punctuation",
        "capitalized",
        'word("cat")',
        'ends("ly")',
        "after(digit)",
        'after(word("the"))',
    ],
)
def test_a_planted_test_is_found_and_written_as_it_was_planted(rule: str) -> None:
    program = best_program(planted(rule), max_terms=4)
    assert program is not None
    assert write_program(program) == rule


@pytest.mark.parametrize(
    "rule",
    ['word("cat") or word("dog") or word("ship")', 'digit or ends("ly")', "punctuation or after(digit)"],
)
def test_a_planted_disjunction_is_found_up_to_how_it_is_put(rule: str) -> None:
    program = best_program(planted(rule), max_terms=4)
    assert program is not None
    for shown in planted(rule):
        assert [level > 0 for level in levels(program, shown.passage.tokens)] == [
            a > 0 for a in shown.activations
        ]


def test_a_program_has_no_more_terms_than_it_may() -> None:
    program = best_program(planted('word("cat") or word("dog") or word("ship")'), max_terms=1)
    assert program is not None
    assert write_program(program) == 'word("cat")'


def test_a_rule_that_only_context_tokens_follow_is_not_found() -> None:
    words = [f" w{i}" for i in range(80)]
    sinks = [excerpt([word, " x"], [99.0, 0.0], id=word, n_context=1) for word in words]
    program = best_program([*sinks, *planted('word("cat")')], max_terms=1)
    assert program is not None
    assert write_program(program) == 'word("cat")'


def test_weights_say_which_of_two_words_matters_more() -> None:
    one = excerpt([" cat", " x", " y", " z"], [5, 0, 0, 0], id="one")
    many = excerpt([" dog", " x", " y", " z"], [5, 0, 0, 0], id="many", weight=50.0)
    program = best_program([one, many], max_terms=1)
    assert program is not None
    assert write_program(program) == 'word("dog")'


@pytest.mark.parametrize("shown", [(), SILENT.shown, (excerpt([" a", " a"], [1, 1]),)])
def test_without_a_test_that_tells_tokens_apart_there_is_no_program(shown: tuple[Excerpt, ...]) -> None:
    made = ProgramExplainer("program", ProgramConfig(), no_model())
    (failure,) = map(failed, made.explain([Explanatory("u", shown)]))
    assert (failure.unit, failure.stage, failure.kind, failure.part) == (
        "u",
        "explain",
        "no_program",
        "program",
    )


def test_the_same_excerpts_in_another_order_give_the_same_program() -> None:
    shown = planted('digit or word("cat")')
    assert best_program(shown, max_terms=4) == best_program(shown[::-1], max_terms=4)


# llm


def test_the_models_reply_becomes_an_explanation_with_its_provenance() -> None:
    made, backend = llm(lambda _: " animals\nFeature 7")
    (explanation,) = map(explained, made.explain([JOB]))
    (prompt,) = backend.asked

    assert (explanation.text, explanation.reply) == ("animals", " animals\nFeature 7")
    assert (explanation.model, explanation.id) == ("scripted", "L0.N0.pos/llm")
    assert explanation.prompt == prompt.whole
    assert explanation.prompt_digest == template("explain_completion").digest
    assert explanation.cost == Cost(len(prompt.whole.split()), len(prompt.whole.split()), 3)


def test_a_reply_that_ran_into_its_limit_says_so() -> None:
    def ask(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        return [Completion(text=" animals that", stopped="length") for _ in prompts]

    made = LlmExplainer("llm", LlmConfig(model="scripted"), services(ask))
    assert [explained(answer).is_cut for answer in made.explain([JOB])] == [True]


def test_what_was_shown_is_recorded_and_is_what_the_prompt_holds() -> None:
    made, backend = llm(lambda _: "animals", LlmConfig(model="scripted", excerpts=1))
    (explanation,) = map(explained, made.explain([JOB]))
    assert explanation.shown == ("cat",)
    assert "- the <<cat>> and <<dog>>.\nMarked: cat, dog\nExplanation:" in backend.asked[0].whole
    assert "fish" not in backend.asked[0].text


def test_the_dry_run_names_the_prompts_that_are_sent() -> None:
    made, backend = llm(lambda _: "animals")
    planned = made.prompts([JOB, SILENT])
    assert backend.asked == []
    made.explain([JOB, SILENT])
    assert backend.asked == planned


def test_no_word_of_the_other_splits_reaches_the_model() -> None:
    calibrate = excerpt([" calibrating"], [5.0], id="c", split="calibrate")
    test = excerpt([" testing"], [7.0], id="t", split="test")
    exemplars = Exemplars("u", shown=JOB.shown, calibrate=(calibrate,), held_out=(test,))
    made, backend = llm(lambda _: "animals")
    made.explain([Explanatory(exemplars.unit, exemplars.shown)])
    assert not any(word in backend.asked[0].whole for word in ("calibrating", "testing"))


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (lambda _: "", "parse"),
        (lambda _: " \n ...\n--", "parse"),
        (lambda _: CallFailure("too_long", "9 tokens, but 8 fit"), "too_long"),
    ],
)
def test_an_unusable_answer_is_a_failure_with_its_kind(script: Script, kind: str) -> None:
    made, _ = llm(script)
    (failure,) = map(failed, made.explain([JOB]))
    assert (failure.unit, failure.stage, failure.kind, failure.part) == (JOB.unit, "explain", kind, "llm")
    assert failure.detail


def test_a_failure_between_two_explanations_stays_in_its_place() -> None:
    other = Explanatory("L0.N2.pos", (FISH_UNIT,))
    made, backend = llm(
        lambda prompt: "fish" if "fish" in prompt.text and "cat" not in prompt.text else "pets"
    )
    first, second, third = made.explain([JOB, SILENT, other])
    assert (explained(first).text, explained(third).text) == ("pets", "fish")
    assert failed(second).kind == "nothing_highlighted"
    assert len(backend.asked) == 2, "a unit without marks is not asked about"


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("cats", "cats"),
        ("  cats and dogs \n\nFeature 7", "cats and dogs"),
        ("\n---\n cats", "cats"),
        ("Explanation: cats", "cats"),
        ("Explanation:\ncats", "cats"),
        ('"cats"', "cats"),
        ("'cats'", "cats"),
        ('Explanation: "cats"', "cats"),
        ('"in" and "at"', '"in" and "at"'),
        ('the word "in"', 'the word "in"'),
        ("'s", "'s"),
        ("7", "7"),
        ("Katzen – überall", "Katzen – überall"),
    ],
)
def test_the_first_line_that_says_something_is_the_explanation(reply: str, text: str) -> None:
    assert parse_explanation(reply) == text


@given(st.text().filter(lambda reply: "Explanation:" not in reply))
def test_every_reply_is_an_explanation_on_one_line_or_a_parse_error(reply: str) -> None:
    if not any(character.isalnum() for character in reply):
        with pytest.raises(ParseError, match="no explanation"):
            parse_explanation(reply)
        return
    text = parse_explanation(reply)
    assert text == text.strip()
    assert len(text.splitlines()) == 1
    assert text in reply
