"""The trained simulator beside the prompted one on the same base and the token table: quality, honesty, cost.

    python bench/simulator.py [--rules 60] [--adapter FOLDER] [--base MODEL] [--beside qwen2.5-coder-1.5b]

Puzzles (Bills et al. 2023) and held-out families of rules are never trained on. Correlations are over all
tokens of a unit's texts, unweighted, as the puzzles are usually scored; intervals are 95 % bootstraps over
units. The token table is fitted on other texts of the same unit, with their true activations. Cost is CPU
time of this process for the same explanations on the same passages, in turn; `in full` is the prompted
simulator that is sent its few-shots with every passage, as a service without a prefix cache computes them, on
some of the passages. Needs WordNet (see configs/simulator.yaml).
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from time import process_time
from typing import NamedTuple

import numpy as np

from scrutable.evaluators.gate.verdict import aligned
from scrutable.evaluators.simulators.prompted import PromptedSimulator
from scrutable.evaluators.statistics import generator, mean_interval
from scrutable.evaluators.trained.families import HELD_OUT, TAUGHT_BY_LISTS
from scrutable.evaluators.trained.job import MEASURED_SPLITS, TAUGHT_SPLITS, curriculum, known_answers
from scrutable.evaluators.trained.lessons import Curriculum, fitting_texts, lesson
from scrutable.evaluators.trained.measuring import Exam, Floats, Read, exams, pearson
from scrutable.evaluators.trained.texts import Text
from scrutable.evaluators.trained.wordnet import read_wordnet
from scrutable.pipeline.assets import resolve_corpus
from scrutable.pipeline.composition.jobs import Composition
from scrutable.pipeline.config import CurriculumConfig, SelftestConfig
from scrutable.pipeline.config import PromptedSimulator as PromptedConfig
from scrutable.pipeline.protocols import Ask, Services, SimulationJob, Simulator
from scrutable.pipeline.puzzles import Puzzle, read_puzzles
from scrutable.pipeline.records import (
    Excerpt,
    Explanation,
    Passage,
    Prompt,
    ReadLabels,
    Simulation,
    Split,
)
from scrutable.pipeline.tables import fit_table

BASE = "qwen2.5-coder-0.5b"
TARGETS = "targets: puzzles r 0.50, first in 10 of 19, 45 of 63 pairs; held-out rules r 0.65"
_ALARM = 0.5  # of the highest level
_TABLE_TEXTS = 12  # firing, and as many drawn blindly
_COST_RULES, _COST_TEXTS = 6, 48
_FULL_RULES, _FULL_TEXTS = 2, 8
_SEED = 77


class Asked(NamedTuple):
    """What simulators are measured with, never taught, and what a token table is fitted on."""

    puzzles: tuple[Puzzle, ...]
    new: tuple[Exam, ...]  # rules of taught families
    held_out: tuple[Exam, ...]  # rules of families that are never taught
    taught: Curriculum
    others: Curriculum  # of the documents that are measured on


class Rated(NamedTuple):
    """One row of the table: correlations of true explanations, and what false ones got."""

    values: Floats  # (U,) NaN where undefined
    alarms: float  # share of tokens, in texts in which the rule is silent, read as firing


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def composition(sections: Mapping[str, Mapping[str, str]]) -> Composition:
    """What makes simulators of these sections of a config."""
    config = SelftestConfig.model_validate({"job": "selftest", "name": "bench", "simulators": sections})
    return Composition(config, say=say, note=lambda _key, _fact: None)


def reading(simulator: Simulator) -> Read:
    """A simulator as a reader of descriptions; expected levels as a share of the highest."""

    def read(description: str, texts: Sequence[Sequence[str]]) -> list[Floats]:
        passages = tuple(Passage(str(n), tuple(pieces), 0) for n, pieces in enumerate(texts))
        explanation = Explanation("unit", "bench", "english", description)
        answers = simulator.simulate([SimulationJob("unit", explanation, passages)])
        top = max((max(a.levels) for a in answers if isinstance(a, Simulation)), default=1.0)
        return [
            np.array(a.expected) / top if isinstance(a, Simulation) else np.full(len(t), math.nan)
            for a, t in zip(answers, texts, strict=True)
        ]

    return read


def tabulating(taught: Curriculum, asked: Sequence[Exam]) -> Read:
    """The token table of each rule, fitted on other documents with their true levels."""
    tables = {}
    for number, exam in enumerate(asked):
        rng = Random(number)
        firing = fitting_texts(rng, taught.lexicon, exam.planted, wanted=_TABLE_TEXTS)
        texts = [*firing, *rng.sample(taught.lexicon.texts, _TABLE_TEXTS)]
        shown = [
            Excerpt(Passage(str(n), t.tokens, 0), t.document, "explain", levels_of(exam, t), 1.0, False)
            for n, t in enumerate(texts)
        ]
        tables[exam.planted.description] = fit_table(shown)

    def read(description: str, texts: Sequence[Sequence[str]]) -> list[Floats]:
        table = tables[description]
        return [np.array([table.means.get(token, table.other) for token in pieces]) for pieces in texts]

    return read


def levels_of(exam: Exam, text: Text) -> tuple[float, ...]:
    return tuple(map(float, lesson(exam.planted, "fires", text).levels))


def asked_of(n_rules: int) -> Asked:
    """The puzzles, and so many rules of each kind."""
    puzzles = tuple(read_puzzles(resolve_corpus("puzzles", say=say)))
    settings = CurriculumConfig()
    corpus, wordnet = resolve_corpus(settings.source, say=say), read_wordnet(Path(settings.wordnet))

    def taken(splits: tuple[Split, ...]) -> Curriculum:
        return curriculum(
            wordnet,
            corpus,
            settings,
            splits=splits,
            families=TAUGHT_BY_LISTS,
            excluded=known_answers(puzzles),
        )

    others = taken(MEASURED_SPLITS)
    new = exams(others, n=n_rules, seed=_SEED)
    held_out = exams(others._replace(families=HELD_OUT), n=n_rules, seed=_SEED)
    return Asked(puzzles, new, held_out, taken(TAUGHT_SPLITS), others)


def rate(read: Read, asked: Sequence[Exam]) -> Rated:
    """What a reader makes of exams."""
    values, silent = [], []
    for exam in asked:
        answers = read(exam.planted.description, [each.text.tokens for each in exam.lessons])
        truth = np.concatenate([np.array(each.levels, dtype=float) for each in exam.lessons])
        values.append(pearson(truth, np.concatenate(answers)))
        silent += [a for a, each in zip(answers, exam.lessons, strict=True) if not any(each.levels)]
    return Rated(np.array(values), float((np.concatenate(silent) > _ALARM).mean()))


def rate_puzzles(read: Read, puzzles: Sequence[Puzzle]) -> tuple[Floats, int, int, int]:
    """Correlation of each true explanation, puzzles that it is first in, pairs that it wins, pairs."""
    values, n_first, n_won, n_pairs = [], 0, 0, 0
    for puzzle in puzzles:
        truth = np.concatenate([np.array(e.activations) for e in puzzle.excerpts])
        texts = [e.passage.tokens for e in puzzle.excerpts]
        found = [
            pearson(truth, np.concatenate(read(said, texts)))
            for said in (puzzle.explanation, *puzzle.false_explanations)
        ]
        ranked = [-2.0 if math.isnan(value) else value for value in found]
        values.append(found[0])
        n_first += ranked[0] > max(ranked[1:])
        n_won += sum(ranked[0] > other for other in ranked[1:])
        n_pairs += len(ranked) - 1
    return np.array(values), n_first, n_won, n_pairs


def mean(values: Floats) -> str:
    defined = values[~np.isnan(values)]
    if not defined.size:
        return "undefined"
    interval = mean_interval(defined, draws=2000, rng=generator(0, "bench"))
    undefined = f", {values.size - defined.size} undefined" if values.size > defined.size else ""
    return f"{defined.mean():.3f} [{interval.low:.3f}, {interval.high:.3f}]{undefined}"


def in_full(ask: Ask) -> Ask:
    """Asks the same, with nothing that prompts share computed once."""

    def whole(prompt: Prompt) -> Prompt:
        before, read = "".join(prompt.shared), prompt.read
        assert isinstance(read, ReadLabels), "a simulator reads labels"
        places = tuple(len(before) + place for place in read.positions)
        return replace(prompt, shared=(), text=before + prompt.text, read=replace(read, positions=places))

    return lambda prompts: ask([whole(prompt) for prompt in prompts])


def cost(simulator: Simulator, asked: Sequence[Exam], texts: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Subject tokens per CPU second, and model tokens computed for each subject token."""
    passages = tuple(Passage(str(n), tuple(pieces), 0) for n, pieces in enumerate(texts))
    jobs = [
        SimulationJob("unit", Explanation(f"u{n}", "bench", "english", exam.planted.description), passages)
        for n, exam in enumerate(asked)
    ]
    simulator.simulate(jobs[:1])  # loads, and computes few-shots
    started = process_time()
    answers = simulator.simulate(jobs[1:])
    seconds = process_time() - started
    n_tokens = sum(len(p.tokens) for p in passages) * len(jobs[1:])
    computed = sum(a.cost.computed_tokens for a in answers if isinstance(a, Simulation))
    return n_tokens / seconds, computed / n_tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, default=60, help="of each kind")
    parser.add_argument("--adapter", default="", help="a folder that training wrote; else what is shipped")
    parser.add_argument("--base", default=BASE)
    parser.add_argument("--beside", nargs="*", default=[], metavar="MODEL", help="prompted, too")
    options = parser.parse_args()
    prompted = {"kind": "prompted", "model": options.base}
    sections = {
        "trained": {"kind": "trained", "model": options.base}
        | ({"adapter": options.adapter} if options.adapter else {}),
        "prompted": prompted,
        **{f"prompted-{model.replace('.', '-')}": prompted | {"model": model} for model in options.beside},
    }
    parts = composition(sections)
    puzzles, new, held_out, taught, others = asked_of(options.rules)
    say(f"base {options.base}; {len(puzzles)} puzzles, {options.rules} new rules of taught families, ")
    say(f"{options.rules} rules of held-out families; {TARGETS}")
    head = ("simulator", "puzzles r", "first", "pairs", "new rules r", "held-out r", "false alarms")
    rows = [head]
    marks: dict[str, tuple[Rated, Rated]] = {}
    readers = {name: reading(parts.simulator(name)) for name in sections}
    for name, read in (readers | {"token table": tabulating(taught, [*new, *held_out])}).items():
        of_puzzles = puzzle_cells(read, puzzles) if name in readers else ("-", "-", "-")
        marks[name] = rate(read, new), rate(read, held_out)
        rows.append((name, *of_puzzles, *rule_cells(*marks[name])))
    say("\n".join(aligned(rows)))
    say("\n".join(aligned(family_rows(held_out, {name: found for name, (_, found) in marks.items()}))))
    texts = [text.tokens for text in others.lexicon.texts[:_COST_TEXTS]]
    speeds = {name: cost(parts.simulator(name), new[:_COST_RULES], texts) for name in sections}
    services = Services(
        locate=parts.models.locate,
        ask=lambda section: in_full(parts.models.ask(section, role="bench")),
        seed=0,
    )
    speeds["in full"] = cost(
        PromptedSimulator("prompted", PromptedConfig.model_validate(prompted), services),
        new[:_FULL_RULES],
        texts[:_FULL_TEXTS],
    )
    costs = [("simulator", "subject tokens per CPU second", "model tokens for each")]
    costs += [(name, f"{speed:.0f}", f"{computed:.2f}") for name, (speed, computed) in speeds.items()]
    say("\n".join(aligned(costs)))
    shared, full = (speeds["trained"][0] / speeds[name][0] for name in ("prompted", "in full"))
    say(f"trained is {shared:.1f} times as fast as prompted, {full:.0f} times as fast as in full")
    say("targets: 10, and at most 1.15 model tokens")


def puzzle_cells(read: Read, puzzles: Sequence[Puzzle]) -> tuple[str, ...]:
    values, n_first, n_won, n_pairs = rate_puzzles(read, puzzles)
    return mean(values), f"{n_first} of {len(puzzles)}", f"{n_won} of {n_pairs}"


def rule_cells(of_new: Rated, of_held_out: Rated) -> tuple[str, ...]:
    alarms = (of_new.alarms + of_held_out.alarms) / 2
    return mean(of_new.values), mean(of_held_out.values), f"{alarms:.4f}"


def family_rows(asked: Sequence[Exam], marks: Mapping[str, Rated]) -> list[tuple[str, ...]]:
    """For each family of rules, the mean of each simulator."""
    families = np.array([exam.planted.family for exam in asked])
    rows: list[tuple[str, ...]] = [("held-out family", "rules", *marks)]
    for family in sorted(set(families.tolist())):
        of_family = families == family
        means = [mean(found.values[of_family]) for found in marks.values()]
        rows.append((family, f"{of_family.sum()}", *means))
    return rows


if __name__ == "__main__":
    main()
