"""Explanations of behaviours as a reader can read them: policies in English, weights as short tables.

Whoever wrote one may have written anything, so one that cannot be read is shown as it is, and said to be so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scrutable.evaluators.report import wording
from scrutable.pipeline.behaviours.concepts import Bottleneck, read_bottleneck
from scrutable.pipeline.behaviours.policy_text import read_policy, say_policy
from scrutable.pipeline.behaviours.word_table import WordTable, read_word_table, strongest
from scrutable.pipeline.errors import ParseError

WORDS_LISTED = 12  # of each outcome
CONCEPT_WORDS_LISTED = 8
LABELLED_BY = {
    "llm": "a language model, which says whether a text has the concept",
    "keywords": "the words that are listed with it",
    "shuffled": "a language model, but for another text: what is left is what the head makes of noise",
}


@dataclass(frozen=True, slots=True)
class Account:
    """An explanation, in the parts that a page prints."""

    prose: str = ""  # English; empty where there is none
    source: str = ""  # the text that a simulator reads, where that is not the prose
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()  # as wide as `head`
    note: str = ""  # what is left out, or why nothing could be read


def readable_account(text: str, language: str) -> Account:
    """The explanation in a form for people."""
    if language == "english":
        return Account(prose=text)
    if language not in _READABLE:
        return Account(source=text)
    noun, read = _READABLE[language]
    try:
        return read(text)
    except ParseError as error:
        return Account(source=text, note=f"It cannot be read as a {noun}: {error}.")


def _policy(text: str) -> Account:
    return Account(prose=say_policy(read_policy(text)), source=text)


def _words(text: str) -> Account:
    table = read_word_table(text)
    count = f"{wording.counted(len(table.weights), 'word')} with a weight"
    return Account(
        source=text,
        head=("For", "Words that speak for it most, with log-odds above the other outcomes (nats)"),
        rows=tuple((outcome, _speaking(table, outcome)) for outcome in table.outcomes),
        note=f"{count}, at most {WORDS_LISTED} of each outcome listed. Without any: {_bias(table)}.",
    )


def _speaking(table: WordTable, outcome: str) -> str:
    found = strongest(table, outcome, count=WORDS_LISTED)
    return ", ".join(f"{word} {wording.score(weight, signed=True)}" for word, weight in found) or "none"


def _bias(one: WordTable | Bottleneck) -> str:
    pairs = zip(one.outcomes, one.bias, strict=True)
    return ", ".join(f"{outcome} {wording.score(bias, signed=True)}" for outcome, bias in pairs)


def _concepts(text: str) -> Account:
    """Concepts in the order of the differences that they make between outcomes."""
    bottleneck = read_bottleneck(text)
    pairs = sorted(
        zip(bottleneck.concepts, bottleneck.weights, strict=True),
        key=lambda pair: min(pair[1]) - max(pair[1]),
    )
    return Account(
        source=text,
        head=("Concept", *(f"log-odds of {outcome}" for outcome in bottleneck.outcomes), "Words"),
        rows=tuple(
            (
                concept.phrase,
                *(wording.score(weight, signed=True) for weight in weights),
                ", ".join(concept.words[:CONCEPT_WORDS_LISTED])
                + ("…" if len(concept.words) > CONCEPT_WORDS_LISTED else ""),
            )
            for concept, weights in pairs
        ),
        note=f"Labelled by {LABELLED_BY[bottleneck.labels]}. Without any: {_bias(bottleneck)}.",
    )


_READABLE: dict[str, tuple[str, Callable[[str], Account]]] = {
    "policy": ("policy", _policy),
    "words": ("word table", _words),
    "concepts": ("concept bottleneck", _concepts),
}
