"""Behaviours: does a true rule say more than its length in examples, and which kind of explanation is best?

    python bench/behaviours.py                                  # both parts
    python bench/behaviours.py --simulator qwen2.5-coder-1.5b --only policies

Part one puts planted policies to simulators: on how many does the true rule beat as many tokens of raw
examples (target: 80 %, or the table says that the simulator is too weak)? Part two explains the same
behaviours of a real model by a language model, a rule list, a concept bottleneck and others, in one table.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scrutable.pipeline.behaviours.config import BehaviourPartsConfig, BehavioursConfig, PolicyTestConfig
from scrutable.pipeline.behaviours.records import BASELINES, GainSummary
from scrutable.pipeline.composition.behaviours import study_of, try_policies
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.protocols import Progress
from scrutable.pipeline.store import RunFolder

SCORING = {"nulls": 1, "many_examples": 8, "example_draws": 1}


def policies(options: argparse.Namespace, models: Models, folder: Path) -> None:
    simulators: dict[str, Any] = {"policy": {"kind": "policy"}}
    simulators |= {name.replace(".", "-"): {"kind": "prompted", "model": name} for name in options.simulator}
    config = BehaviourPartsConfig.model_validate(
        {
            "simulators": simulators,
            "explainers": {"rules": {"kind": "rules"}, "template": {"kind": "template"}},
        }
    )
    scoring = SCORING | {"many_examples": 0}
    gate = PolicyTestConfig.model_validate({"inputs": options.inputs, "scoring": scoring})
    table = try_policies(
        config,
        gate,
        RunFolder(folder / "policies"),
        models,
        seed=0,
        say=print,
        watch=quiet,
        note=lambda _key, _fact: None,
    )
    print(f"planted policies, {options.inputs} inputs (target: the truth beats examples on 0.80 of them)")
    print(table)


def accounts(options: argparse.Namespace, models: Models, folder: Path) -> None:
    model = options.simulator[0]
    asked = {"model": model}
    config = BehavioursConfig.model_validate(
        {
            "job": "behaviours",
            "name": "bench",
            "subject": {"model": options.subject},
            "behaviours": options.behaviour,
            "inputs": options.inputs,
            "explainers": {
                "llm": {"kind": "llm", **asked},
                "template": {"kind": "template"},
                "rules": {"kind": "rules"},
                "tree": {"kind": "tree"},
                "words": {"kind": "words"},
                "concepts": {"kind": "concepts", **asked, "concepts": 4, "labels": "llm"},
                "keywords": {"kind": "concepts", **asked, "concepts": 4, "labels": "keywords"},
                "shuffled": {"kind": "concepts", **asked, "concepts": 4, "labels": "shuffled"},
                "lime": {"kind": "attribution", "method": "lime", "inputs": 12, "samples": 32},
                "gradient": {"kind": "attribution", "method": "gradient", "inputs": 12},
            },
            "simulators": {
                "reader": {"kind": "prompted", **asked},
                "checker": {"kind": "policy"},
                "table": {"kind": "words"},
                "bottleneck": {"kind": "concepts", **asked},
            },
            "scoring": SCORING,
        }
    )
    run = RunFolder(folder / "study")
    study, _ = study_of(config, config.subject, run, models, seed=0, watch=quiet, note=lambda _k, _f: None)
    study.run()
    rows = study.folder.read_records(GainSummary, study.folder.level / "gain_summary.parquet")
    print(f"\n{options.subject} on {', '.join(options.behaviour)}: bits for each input over")
    shown = [name for name in BASELINES if any(row.baseline == name for row in rows)]
    print(
        f"{'explainer + simulator':<26}{'n':>3}" + "".join(f"{name.replace('_', ' '):>27}" for name in shown)
    )
    pairs = dict.fromkeys((row.explainer, row.simulator) for row in rows)
    for explainer, simulator in pairs:
        cells, n = [], 0
        for baseline in shown:
            wanted = (explainer, simulator, baseline, "all")
            row = next((r for r in rows if (r.explainer, r.simulator, r.baseline, r.inputs) == wanted), None)
            n = row.n_defined if row else n
            cells.append(f"{row.bits:+.3f} [{row.low:+.3f}, {row.high:+.3f}]" if row else "-")
        print(f"{f'{explainer} + {simulator}':<26}{n:>3}" + "".join(f"{cell:>27}" for cell in cells))


@contextmanager
def quiet(stage: str) -> Iterator[Progress]:
    print(f"... {stage}", flush=True)
    yield lambda _done, _total: None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--simulator", nargs="+", default=["qwen2.5-coder-0.5b"])
    parser.add_argument("--subject", default="smollm2-135m")
    parser.add_argument("--behaviour", nargs="+", default=["sentiment", "number_comparison", "sycophancy"])
    parser.add_argument("--inputs", type=int, default=48, help="of each behaviour or policy")
    parser.add_argument("--only", choices=("policies", "accounts"))
    options = parser.parse_args()
    models = Models(print)
    with tempfile.TemporaryDirectory() as name:
        if options.only != "accounts":
            policies(options, models, Path(name))
        if options.only != "policies":
            accounts(options, models, Path(name))


if __name__ == "__main__":
    main()
