"""Records refuse to be built wrongly."""

from __future__ import annotations

import dataclasses

import pytest

from scrutable.pipeline.records import (
    Cost,
    Excerpt,
    Exemplars,
    Explanation,
    Generate,
    Passage,
    Prompt,
    Simulation,
)


def an_excerpt(document: str, split: str) -> Excerpt:
    passage = Passage(f"{document}#0", ("a", " b"), 1)
    return Excerpt(passage, document, split, (9.0, 2.0), weight=1.0, is_top=False)


def test_exemplars_of_one_document_in_two_splits_cannot_be_built() -> None:
    shown, held_out = an_excerpt("d1", "explain"), an_excerpt("d1", "test")
    with pytest.raises(ValueError, match="'d1' is in shown and in held_out"):
        Exemplars("L0.N0.pos", (shown,), (), (held_out,))


def test_exemplars_of_different_documents_can() -> None:
    exemplars = Exemplars("u", (an_excerpt("d1", "explain"),), (an_excerpt("d2", "calibrate"),), ())
    assert exemplars.shown[0].document == "d1"


def test_an_excerpt_needs_one_activation_for_each_token() -> None:
    with pytest.raises(ValueError, match="2 tokens but 1 activations"):
        Excerpt(Passage("d#0", ("a", "b"), 0), "d", "test", (1.0,), 1.0, False)


def test_context_tokens_do_not_count_for_the_maximum() -> None:
    assert an_excerpt("d", "test").max_activation == 2.0


def test_a_passage_has_no_activations_to_leak() -> None:
    assert {field.name for field in dataclasses.fields(Passage)} == {"id", "tokens", "n_context"}


def test_a_simulation_from_another_units_explanation_is_a_null() -> None:
    own = Simulation("L0.N1.pos", "L0.N1.pos/llm", "s", "d#0", (0.0,))
    assert not own.is_null
    assert dataclasses.replace(own, explanation="L0.N2.pos/llm").is_null


def test_ids_costs_and_prompts_add_up() -> None:
    assert Explanation("L0.N1.pos", "llm", "english", "dogs").id == "L0.N1.pos/llm"
    assert Cost(1, 2, 3) + Cost(10, 20, 30) == Cost(11, 22, 33)
    assert Prompt(("a", "b"), "c", Generate(max_tokens=1)).whole == "abc"
