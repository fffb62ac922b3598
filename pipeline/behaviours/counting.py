"""How many prompts a study will send, before it sends one: from definitions and config alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scrutable.pipeline.behaviours.config import (
    AttributionAccount,
    BehaviourStudy,
    ConceptsAccount,
    ConceptsPredictor,
    PromptedPredictor,
)
from scrutable.pipeline.behaviours.inputs import make_inputs
from scrutable.pipeline.behaviours.library import Defined
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.records import Language
from scrutable.pipeline.sections import AskingConfig


class StagePrompts(NamedTuple):
    """What one stage will ask at most: failures, and prompts that are the same, make it less."""

    stage: str
    behaviours: int
    prompts: int


class _Size(NamedTuple):
    """Inputs of one behaviour."""

    is_planted: bool
    explain: int
    others: int  # calibrate and test


def count_prompts(
    config: BehaviourStudy,
    defined: Sequence[Defined],
    *,
    writes: Mapping[str, Language],
    reads: Mapping[str, Language],
    seed: int,
) -> list[StagePrompts]:
    """The prompts of each stage, for behaviours whose inputs can be made.

    Args:
        config: of the study.
        defined: its behaviours.
        writes: explainer → the language of its explanations.
        reads: simulator → the language that it reads.
        seed: of the run.
    """
    sizes = [size for one in defined if (size := _size(one, config.inputs, seed=seed))]
    n, asked = len(sizes), sum(size.others for size in sizes)
    shown = [size for size in sizes if not size.is_planted]
    everything = sum(size.explain + size.others for size in sizes)
    found = [StagePrompts("observe", n, sum(size.explain + size.others for size in shown))]
    found += [
        StagePrompts(f"explain: {name}", n, _explaining(one, sizes))
        for name, one in config.explainers.items()
    ]
    own = [name for name, one in config.simulators.items() if isinstance(one, PromptedPredictor)]
    found += [StagePrompts(f"ask: {name}", n, everything) for name in (*config.peers, *own)]
    for name, one in config.simulators.items():
        read = sum(language == reads[name] for language in writes.values()) * (1 + config.scoring.nulls)
        if isinstance(one, PromptedPredictor):
            more = 1 + bool(config.scoring.many_examples) + config.scoring.example_draws * len(writes)
            found.append(StagePrompts(f"simulate: {name}", n, (read + more) * asked))
        elif isinstance(one, ConceptsPredictor):
            named = [e.concepts for e in config.explainers.values() if isinstance(e, ConceptsAccount)]
            concepts = max(named, default=0)
            found.append(StagePrompts(f"simulate: {name}", n, read * concepts * asked))
    if config.editor:
        english = sum(language == "english" for language in writes.values())
        edits = 2 * config.editor.inputs * english * n
        found.append(StagePrompts("edit, and the subject on what was edited", n, 2 * edits))
        found += [StagePrompts(f"simulate edits: {name}", n, 2 * edits) for name in own]
    return found


def _size(defined: Defined, count: int | None, *, seed: int) -> _Size | None:
    try:
        inputs = make_inputs(defined.definition, folder=defined.folder, count=count, seed=seed)
    except ConfigError:
        return None  # the study keeps the behaviour with the reason
    n_explain = sum(one.split == "explain" for one in inputs)
    return _Size(bool(defined.definition.policy), n_explain, len(inputs) - n_explain)


def _explaining(explainer: object, sizes: Sequence[_Size]) -> int:
    """Prompts to all models, the subject among them."""
    if isinstance(explainer, ConceptsAccount):
        labels = explainer.concepts * sum(size.explain for size in sizes)
        return len(sizes) + (0 if explainer.labels == "keywords" else labels)
    if isinstance(explainer, AttributionAccount):
        of_each = 1 if explainer.method == "gradient" else explainer.samples
        return sum(of_each * min(explainer.inputs, size.explain) for size in sizes if not size.is_planted)
    return len(sizes) if isinstance(explainer, AskingConfig) else 0
