"""Planted ladders on a toy corpus: a study of recursion in seconds, without any model."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import yaml

ENDINGS, LETTERS, STEMS = ("ing", "ed", "er", "ly"), "abcdefghilmnoprs", ("ra", "to", "mi", "ku", "so")
CONCEPTS = [f'ends("{ending}")' for ending in ENDINGS]


def write_words(path: Path, *, n_documents: int = 80, seed: int = 0) -> Path:
    """Seeded documents of invented words, of which one in three has one of the endings."""
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for number in range(n_documents):
            words = []
            for _ in range(80):
                ending = rng.choice(ENDINGS) if rng.random() < 0.4 else rng.choice(("a", "om", "ik"))
                words.append(rng.choice(LETTERS) + rng.choice(STEMS) + rng.choice(STEMS) + ending)
            file.write(json.dumps({"id": f"doc{number}", "text": " ".join(words) + "."}) + "\n")
    return path


def ladder_config(path: Path, corpus: Path, *, author: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A planted study; keys of `changes` replace those of the section `recursion`."""
    config = {
        "job": "recurse",
        "name": "toy",
        "subject": {
            "kind": "planted",
            "rules": [f'{concept} and starts("{letter}")' for concept in CONCEPTS for letter in LETTERS],
        },
        "corpus": {"source": str(corpus), "max_tokens": 25_000, "window": 20, "skip": 2},
        "units": {"sample": 64},
        "samples": {
            "top": {"explain": 8, "calibrate": 4, "test": 4},
            "per_stratum": {"explain": 2, "calibrate": 6, "test": 6},
        },
        "authors": [{"kind": "planted", "concepts": CONCEPTS} | (author or {}), {"kind": "program"}],
        "explainers": {"tree": {"kind": "tree"}},
        "simulators": {"checker": {"kind": "program"}},
        "scoring": {"nulls": 2, "draws": 100, "budgets": []},
        "recursion": {
            "depth": 1,
            "simulator": "checker",
            "checker": "",
            "children": 2,
            "jobs": 6,
            "gap": 2.0,
            "contexts": [],
            "known": False,
            "random_weights": False,
            "working": {"window": 24, "splits": {"explain": 0.4, "calibrate": 0.3, "test": 0.3}},
        }
        | changes,
    }
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path
