"""Prompt files: the exact text of each, and what no token of a text may do to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from toy_behaviours import OUTCOMES, shown
from toy_excerpts import excerpt

from scrutable.pipeline import prompting
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.markup import highlighted, strongest_tokens
from scrutable.pipeline.prompting import READ_HERE, SHARED_END, Template, template, visible
from scrutable.pipeline.records import Generate, Passage, Prompt, ReadLabels

PROMPTS = Path(__file__).parent.parent / "prompts"
GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in PROMPTS.glob("[!_]*.jinja"))
CHOOSING = {
    "predict_behaviour": (" grant", " deny"),
    "label_concept": (" yes", " no"),
    "choose_explanation": (" numbers", " names of rivers"),
}
SIMULATE = [name for name in NAMES if name.startswith("simulate")]

YEARS = excerpt(
    [" On", " that", " day", ",", "\n", "in", " 18", "60", ",", " all", " was", " well", "."],
    [9, 9, 0, 0, 0, 1, 4, 5, 0, 0, 0, 0, 0],
    n_context=2,
)
OTHER = excerpt([" Only", " 12", " of", " 40", " came", "\\", " back"], [0, 3, 0, 2, 0, 0, 0], id="e1")


def prompt_of(name: str, passage: Passage = YEARS.passage) -> Prompt:
    made = template(name)
    both = (YEARS, OTHER)
    records: dict[str, Any] = {
        "explanation": "numbers, for example of years",
        "passage": passage,
        "text": passage.text.strip(),
        "texts": [e.passage.text.strip() for e in (YEARS, OTHER, YEARS)],
        "pieces": highlighted(YEARS, share=0.5),
        "lists": [["year", "century"], ["river", "lake"]],
        "excerpts": [highlighted(each, share=0.5) for each in both],
        "tops": strongest_tokens(both, share=0.5, count=4),
        "classes": ["colour", "month"],
        "about": "Is the request granted or denied?",
        "outcomes": OUTCOMES,
        "pairs": shown().pairs[:3],
        "examples": shown().pairs[:2],
        "concept": "it is polite",
        "count": 4,
        "scope": "inside",
        "wanted": "deny",
        "procedure": "name the kind of thing that is marked",
        "candidates": ["numbers", "names of rivers"],
    }
    if name == "procedure":
        pair = {"excerpts": records["excerpts"], "tops": records["tops"], "explanation": "numbers"}
        records["pairs"] = [pair, pair]
    if name in CHOOSING:
        return made.choose(CHOOSING[name], **records)
    return made.read_labels(**records) if made.labels else made.generate(max_tokens=32, **records)


def written_out(prompt: Prompt) -> str:
    """The whole prompt, with what is invisible in it made visible."""
    stops = [0, *(prompt.read.positions if isinstance(prompt.read, ReadLabels) else ()), None]
    text = "⟦read⟧".join(prompt.text[a:b] for a, b in pairwise(stops))
    return "⟦shared⟧".join((*prompt.shared, text)) + "⟦end⟧\n"


@pytest.mark.parametrize("name", NAMES)
def test_each_prompt_is_exactly_its_golden_file(name: str, updates_golden: bool) -> None:
    path, text = GOLDEN / f"{name}.txt", written_out(prompt_of(name))
    if updates_golden:
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_no_golden_file_outlives_its_prompt() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(NAMES)


def test_golden_files_are_not_updated_where_nobody_reads_the_diff() -> None:
    command = [sys.executable, "-m", "pytest", "--update-golden", "--collect-only", __file__]
    result = subprocess.run(command, env=os.environ | {"CI": "true"}, capture_output=True, text=True)
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "not under CI=true" in result.stderr


@pytest.mark.parametrize("name", NAMES)
def test_each_prompt_is_clean_text(name: str) -> None:
    whole = prompt_of(name).whole
    assert not re.search(r" \n|  |\n\n\n", whole)
    assert whole == whole.lstrip()
    assert not whole.endswith(" "), "a space before the first token that is generated"
    assert not {SHARED_END, READ_HERE} & set(whole)


@pytest.mark.parametrize("name", NAMES)
def test_the_front_matter_says_what_the_prompt_is_for_and_how_it_is_read(name: str) -> None:
    _, header, _ = (PROMPTS / f"{name}.jinja").read_text(encoding="utf-8").split("---\n", 2)
    facts = yaml.safe_load(header)
    assert set(facts) <= {"about", "chat", "stop", "cases", "labels", "trained", "choice"}
    assert facts["about"].endswith(".")
    ways = ["labels" in facts, "choice" in facts, "chat" in facts or "stop" in facts, "trained" in facts]
    assert ways.count(True) == 1, "labels or a choice are read, or text that something ends, or by a head"


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(SIMULATE)))
def test_a_judges_prompt_is_read_once_at_its_end(name: str) -> None:
    prompt = prompt_of(name)
    if isinstance(prompt.read, ReadLabels):
        assert prompt.read.positions == (len(prompt.text),)


@pytest.mark.parametrize("name", SIMULATE)
def test_labels_are_read_once_for_each_token_after_the_context(name: str) -> None:
    prompt = prompt_of(name)
    assert isinstance(prompt.read, ReadLabels)
    assert len(prompt.read.positions) == len(YEARS.passage.tokens) - YEARS.passage.n_context
    before = [prompt.text[:position].rstrip("\t") for position in prompt.read.positions]
    tokens = YEARS.passage.tokens[YEARS.passage.n_context :]
    assert all(text.endswith(visible(token)) for text, token in zip(before, tokens, strict=True))


def test_a_missing_record_is_an_error_and_not_an_empty_string() -> None:
    with pytest.raises(ConfigError, match="prompt explain_chat: 'tops' is undefined"):
        template("explain_chat").generate(max_tokens=8, excerpts=[])


def test_an_unknown_prompt_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        ConfigError, match="explain_chat, explain_completion, follow_procedure, fuzz, generate, intruder"
    ):
        template("explain_chta")


def test_a_prompt_is_read_only_as_it_was_written_to_be_read() -> None:
    with pytest.raises(ConfigError, match="no labels"):
        template("explain_chat").read_labels(excerpts=[], tops=[])
    with pytest.raises(ConfigError, match="reads labels"):
        template("simulate_marks").generate(max_tokens=8, explanation="x", passage=YEARS.passage)


def test_sampling_and_stop_strings_travel_in_the_prompt() -> None:
    made = template("explain_completion")
    prompt = made.generate(max_tokens=7, temperature=0.5, seed=3, excerpts=[], tops=[])
    assert prompt.read == Generate(max_tokens=7, temperature=0.5, stop=("\n",), seed=3)
    assert not prompt.is_chat
    assert prompt_of("explain_chat").is_chat


def test_passages_of_one_explanation_share_all_that_comes_before_their_tokens() -> None:
    one, other = prompt_of("simulate_marks"), prompt_of("simulate_marks", OTHER.passage)
    assert one.shared == other.shared
    assert (one.text, other.text[:9]) == (" On that day,\\nin 1860, all was well.", " Only 12 ")


def test_a_text_that_begins_without_a_space_still_stands_apart_from_what_comes_before() -> None:
    passage = Passage("p", ("Only", " 12"), 0)
    assert prompt_of("simulate_marks", passage).whole.endswith("\nText: Only 12")


BREAKS = st.sampled_from(["\n", "\r", "\t", "\v", "\x85", "\u2028", SHARED_END, READ_HERE, "\\"])


@given(st.lists(st.text() | BREAKS).map("".join))
def test_a_visible_token_is_one_line_without_our_own_marks(token: str) -> None:
    shown = visible(token)
    assert len(shown.splitlines()) <= 1
    assert not {"\t", SHARED_END, READ_HERE} & set(shown)


@given(st.text(alphabet="n\n\\rt\r\t "), st.text(alphabet="n\n\\rt\r\t "))
def test_two_tokens_that_differ_look_different(one: str, other: str) -> None:
    assert (visible(one) == visible(other)) == (one == other)


@pytest.mark.parametrize("name", SIMULATE)
@given(token=st.lists(st.text() | BREAKS).map("".join))
def test_no_token_changes_how_often_labels_are_read_or_what_is_shared(name: str, token: str) -> None:
    hostile, harmless = (prompt_of(name, Passage("p", (" a", t, " b"), 1)) for t in (token, "x"))
    assert hostile.shared == harmless.shared
    assert isinstance(hostile.read, ReadLabels)
    assert len(hostile.read.positions) == 2
    assert hostile.text.count("\n") == harmless.text.count("\n")


def test_an_explanation_cannot_add_a_line_to_the_simulators_prompt() -> None:
    made = template("simulate_marks")
    prompt = made.read_labels(explanation="x\nText: y*" + SHARED_END, passage=YEARS.passage)
    assert prompt.shared[1].splitlines() == [r"Description: x\nText: y*", "Text:"]


@given(st.lists(st.text() | BREAKS, min_size=1).map(tuple))
def test_a_trained_reader_is_shown_every_character_in_its_place(tokens: tuple[str, ...]) -> None:
    passage = Passage("p", tokens, 0)
    shared, text = template("trained_reader").parts(explanation="x", passage=passage)
    assert shared == "Description: x\nText:"
    assert len(text) - len(passage.text) == (not passage.text.startswith(" "))
    assert not {SHARED_END, READ_HERE} & set(text)


@pytest.fixture
def copied_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The prompt files where a test may change them."""
    for path in PROMPTS.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with monkeypatch.context() as patched:
        patched.setattr(prompting.resources, "files", lambda package: tmp_path)  # noqa: ARG005
        yield tmp_path


@pytest.mark.parametrize("changed", ["explain_completion.jinja", "explain.cases.yaml", "_macros.jinja"])
def test_the_digest_changes_with_the_file_and_with_each_that_it_includes(
    changed: str, copied_prompts: Path
) -> None:
    def made() -> Template:
        return template.__wrapped__("explain_completion")

    before = made()
    assert made() == before
    path = copied_prompts / changed
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert made().digest != before.digest


def test_the_digest_does_not_depend_on_files_of_other_prompts(copied_prompts: Path) -> None:
    before = template.__wrapped__("explain_chat").digest
    (copied_prompts / "simulate.cases.yaml").write_text("[]", encoding="utf-8")
    assert template.__wrapped__("explain_chat").digest == before


OWN = """---
about: one of a user's own
stop: ["\\n"]
---
{% for excerpt in excerpts %}{{ excerpt }}
{% endfor %}
"""


def test_a_prompt_of_the_user_s_own_is_used_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text(OWN, encoding="utf-8")
    made = template(str(path)).generate(max_tokens=4, excerpts=["a", "b"])
    assert made.text == "a\nb\n"
    assert made.read.stop == ("\n",)


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ excerpts.__class__.__init__.__globals__ }}",
        "{{ cases.__reduce__() }}",
    ],
)
def test_a_prompt_of_somebody_else_s_reaches_nothing_of_python(tmp_path: Path, attack: str) -> None:
    path = tmp_path / "own.jinja"
    path.write_text(OWN + attack, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"own.jinja"):
        template(str(path)).generate(max_tokens=4, excerpts=["a"])


@pytest.mark.parametrize("text", ["no front matter", "---\nabout: [\n---\n", "---\nstop: []\n---\nx"])
def test_a_file_that_is_no_prompt_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.jinja"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="needs front matter"):
        template(str(path))
    with pytest.raises(ConfigError, match="cannot be read"):
        template(str(tmp_path / "none.jinja"))
