"""Units explained and scored in an hour: the whole job, its explainer served and in this process.

    python bench/end_to_end.py --url http://127.0.0.1:8000/v1 --model qwen2.5-coder-0.5b [--units 8]

Both runs take the same units, corpus, simulator and weights, each in a folder and with a journal of its own;
the server has to run on the files that the name stands for here. Reading the subject is timed apart: it is
done once for a subject, whoever explains it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from scrutable.pipeline import load_run
from scrutable.pipeline.cli import app

CONFIG = Path(__file__).parent.parent / "configs" / "served.yaml"
READING = ("corpus", "capture", "traces")


class Spent(NamedTuple):
    """One run, in seconds."""

    reading: float
    explaining: float
    scoring: float  # simulating and scoring
    n_units: int

    @property
    def per_hour(self) -> float:
        """Units explained and scored, once the subject is read."""
        return 3600 * self.n_units / (self.explaining + self.scoring)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b", help="a name here and on the server")
    parser.add_argument("--units", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=20_000, help="of corpus")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        here = run(Path(folder), "here", "transformers", asked)
        there = run(Path(folder), "served", asked.url, asked)
    print(f"{asked.units} units, {asked.tokens:,} tokens of corpus, explainer {asked.model}")
    print(f"{'explainer':<14}{'reading':>9}{'explain':>9}{'score':>8} s            units an hour")
    for name, spent in (("in process", here), ("served", there)):
        print(
            f"{name:<14}{spent.reading:>9.1f}{spent.explaining:>9.1f}{spent.scoring:>8.1f}"
            f"{spent.per_hour:>24,.0f}"
        )
    print(f"ratio served / in process: {there.per_hour / here.per_hour:.2f} of units an hour, "
          f"{here.explaining / there.explaining:.2f} of the speed of explaining")  # fmt: skip


def run(folder: Path, name: str, backend: str, asked: argparse.Namespace) -> Spent:
    """The whole job; its stages as the manifest has them."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["name"] = name
    config["corpus"]["max_tokens"] = asked.tokens
    config["units"]["sample"] = asked.units
    config["explainers"] = {
        "llm": {
            "kind": "llm",
            "model": asked.model,
            "prompt": "explain_completion",
            "backend": backend,
            "dtype": "float32",
        }
    }
    config["simulators"] = {"trained": {"kind": "trained"}}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    app(["run", str(path), "--runs", str(folder / name)], standalone_mode=False)
    done = load_run(folder / name / name)
    seconds = done.manifest["starts"][0]["stage_seconds"]

    def total(*stages: str) -> float:
        return sum(took for stage, took in seconds.items() if stage.startswith(stages))

    return Spent(total(*READING), total("explain"), total("simulate", "score"), len(done.units))


if __name__ == "__main__":
    main()
