"""What matters in the training of a simulator: one change at a time, as many lessons in each row.

    python bench/ablations.py [--rows NAME ...] [--lessons 1440] [--at-once 2] [--rules 60]

Each row trains configs/simulator.yaml on all layers of SmolLM2-135M, but for what its name says, and is
measured as bench/simulator.py measures: new rules of taught families (of all of them, left out or not),
held-out rules, the puzzles. Differences are to the first row on the same rules, with 95 % bootstraps over
rules; what another seed does is the error of a training, which those intervals do not hold. Trainings lie
in runs/ablation-*, and one that is there is not done again. Needs WordNet (see configs/simulator.yaml).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from simulator import Asked, asked_of, composition, mean, rate, rate_puzzles, reading, say

from scrutable.evaluators.gate.verdict import aligned
from scrutable.evaluators.trained.measuring import Floats
from scrutable.evaluators.trained.training import LESSONS_OF_A_RULE, points
from scrutable.pipeline.config import TrainConfig, load_config

CONFIG = Path(__file__).parent.parent / "configs" / "simulator.yaml"
SMALL = "smollm2-135m"
_CONTEXT = ["after", "near", "near set", "mentioned", "only after", "position"]
_CLASSES = ["noun", "verb", "adj", "gloss", "examples", "topic", "article"]
_LETTERS = ["ends", "starts", "length", "part of text"]
_MADE_OF_RULES = ["except", "both", "only after", "either", "graded"]

ROWS: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "another seed": ("seed=1",),
    "hurdle": ("objective=hurdle",),
    "ranking": ("objective=ranking",),
    "firing weight 1": ("firing_weight=1",),
    "no themes": (f"curriculum.leave_out={['theme']}",),
    "no classes": (f"curriculum.leave_out={_CLASSES}",),
    "no letters": (f"curriculum.leave_out={_LETTERS}",),
    "no context": (f"curriculum.leave_out={_CONTEXT}",),
    "no compounds": (f"curriculum.leave_out={_MADE_OF_RULES}",),
    "0.5B": ("base.model=qwen2.5-coder-0.5b",),
    "1.5B": ("base.model=qwen2.5-coder-1.5b",),
}
"""Name → what is other than in the first row."""


class Row(NamedTuple):
    """What a training came to."""

    new: Floats  # (U,) correlations on new rules of taught families
    held_out: Floats
    puzzles: Floats
    n_won: int  # pairs of a puzzle's true explanation and a false one
    n_pairs: int
    model_tokens: int


def overrides_of(name: str, lessons: int) -> list[str]:
    """What a row's training is told beside the config."""
    slug = f"ablation-{name.replace(' ', '-')}-{lessons}"
    common = [f"name={slug}", f"base.model={SMALL}", "layers=null", *ROWS[name]]
    steps = max(1, lessons // (LESSONS_OF_A_RULE * config_of(common).rules))
    return [*common, f"steps={steps}", f"measure_every={steps}", "measured_rules=4"]


def config_of(overrides: Sequence[str]) -> TrainConfig:
    config = load_config(CONFIG, overrides)
    assert isinstance(config, TrainConfig)
    return config


def trained(name: str, overrides: Sequence[str], threads: int) -> str:
    """Trains a row by the command that a user would give; what it said if it failed."""
    scrutable = Path(sys.executable).with_name("scrutable")
    command = [str(scrutable), "simulator", "train", str(CONFIG), *overrides]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    say(f"{name}: {'trained' if not done.returncode else 'failed'}")
    return " ".join(done.stderr.split())[-400:] if done.returncode else ""


def measured(config: TrainConfig, asked: Asked) -> Row:
    folder = Path("runs") / config.name
    section = {"kind": "trained", "model": config.base.model, "adapter": str(folder / "adapter")}
    read = reading(composition({"row": section}).simulator("row"))
    puzzles, _, n_won, n_pairs = rate_puzzles(read, asked.puzzles)
    tokens = max(point.model_tokens for point in points(folder))
    return Row(
        rate(read, asked.new).values, rate(read, asked.held_out).values, puzzles, n_won, n_pairs, tokens
    )


def cells(name: str, row: Row, first: Row | None) -> tuple[str, ...]:
    return (
        name,
        mean(row.new),
        _beside(row.new, first.new) if first else "-",
        mean(row.held_out),
        _beside(row.held_out, first.held_out) if first else "-",
        mean(row.puzzles),
        f"{row.n_won} of {row.n_pairs}",
        f"{row.model_tokens:,}",
    )


def _beside(values: Floats, others: Floats) -> str:
    """The mean difference over rules; where a row predicts a constant it read nothing, and counts as 0."""
    return mean(np.nan_to_num(values) - np.nan_to_num(others))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="NAME")
    parser.add_argument("--lessons", type=int, default=1440)
    parser.add_argument("--rules", type=int, default=60, help="of each kind, to measure with")
    parser.add_argument("--at-once", type=int, default=1, help="trainings beside each other")
    options = parser.parse_args()
    told = {name: overrides_of(name, options.lessons) for name in options.rows}
    threads = max(1, (os.cpu_count() or 1) // options.at_once)
    with ThreadPoolExecutor(options.at_once) as pool:
        said = list(pool.map(lambda name: trained(name, told[name], threads), told))
    asked = asked_of(options.rules)
    head = (
        "row",
        "new rules r",
        "to the first",
        "held-out r",
        "to the first",
        "puzzles r",
        "pairs",
        "tokens",
    )
    table: list[tuple[str, ...]] = [head]
    first: Row | None = None
    for (name, overrides), failure in zip(told.items(), said, strict=True):
        if failure:
            table.append((name, "failed", *[""] * 6))
            say(f"{name}: {failure}")
            continue
        row = measured(config_of(overrides), asked)
        table.append(cells(name, row, first))
        first = first or row
    say("\n".join(aligned(table)))


if __name__ == "__main__":
    main()
