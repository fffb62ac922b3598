"""What capture costs: speed beside the bare forward pass, memory beside a corpus four times as long.

    python bench/capture.py                          speed, then memory at 100k and 400k tokens
    python bench/capture.py --only speed --batches 6

Speed: the same model and batches in the same process, bare and captured in turn; the figure is the
median ratio of the pairs. Memory: peak resident size of a fresh process for each length.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from scrutable.pipeline.assets import resolve_corpus, resolve_model
from scrutable.pipeline.backends.conversion import check_continuation, convert_gguf
from scrutable.pipeline.capture import capture
from scrutable.pipeline.config import load_config
from scrutable.pipeline.cutting import cut_corpus
from scrutable.pipeline.placement import place
from scrutable.pipeline.records import SPLITS
from scrutable.pipeline.sampling import SamplingPlan
from scrutable.pipeline.subjects.neuron import NeuronSubject
from scrutable.pipeline.windows import Windows, permuted

CONFIG = Path(__file__).parent.parent / "configs" / "demo.yaml"
TARGET_RATIO, TARGET_GROWTH = 1.20, 1.05
PLAN = SamplingPlan(
    top={"explain": 10, "calibrate": 2, "test": 5}, per_stratum={"explain": 4, "calibrate": 1, "test": 3}
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["speed", "memory"])
    parser.add_argument("--batches", type=int, default=12, help="pairs of batches that are timed")
    parser.add_argument(
        "--tokens", type=int, default=0, help="internal: capture so many tokens, print the peak"
    )
    arguments = parser.parse_args()
    if arguments.tokens:
        print(_peak_after_capture(arguments.tokens))
        return
    if arguments.only != "memory":
        _speed(arguments.batches)
    if arguments.only != "speed":
        _memory()


def _speed(n_batches: int) -> None:
    subject, windows = _subject_and_windows(60_000)
    size = 32
    order = permuted(windows, split="explain", seed=0)
    sampler = subject.sampler(PLAN)
    ratios, bare_tokens, bare_seconds, captured_seconds = [], 0, 0.0, 0.0
    batches = [order[i : i + size] for i in range(0, len(order) - size, size)]
    subject.run(windows, batches[0], None)  # warm-up
    for number, batch in enumerate(batches[:n_batches]):
        first_is_bare = number % 2 == 0
        seconds = {}
        for bare in (first_is_bare, not first_is_bare):
            started = time.process_time()
            if bare:
                subject.run(windows, batch, None)
            else:
                sampler.feed(windows, batch, split=0)
            seconds[bare] = time.process_time() - started
        ratios.append(seconds[False] / seconds[True])
        bare_tokens += int(windows.lengths[batch].sum())
        bare_seconds += seconds[True]
        captured_seconds += seconds[False]
    print(
        f"subject {subject.name}, {subject.provenance['dtype']}, {sum(subject.widths):,} neurons, both signs"
    )
    print(f"batches of {size} windows of {int(windows.lengths.max())} tokens, {len(ratios)} pairs, CPU time")
    print(f"bare forward pass  {bare_tokens / bare_seconds:8,.0f} tokens per CPU second")
    print(f"capture            {bare_tokens / captured_seconds:8,.0f} tokens per CPU second")
    ratio = statistics.median(ratios)
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    print(f"ratio              {ratio:8.3f} (median of pairs; {spread}); target at most {TARGET_RATIO}")


def _memory() -> None:
    peaks = {}
    for tokens in (100_000, 400_000):
        command = [sys.executable, __file__, "--tokens", str(tokens)]
        peaks[tokens] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"peak memory at {tokens:>7,} tokens  {peaks[tokens] / 1e6:8,.0f} MB", flush=True)
    growth = peaks[400_000] / peaks[100_000]
    print(f"growth                          {growth:8.3f}; target at most {TARGET_GROWTH}")


def _peak_after_capture(tokens: int) -> int:
    """Bytes. The whole pass: corpus, windows, every neuron of every layer."""
    subject, windows = _subject_and_windows(tokens)
    capture(subject.sampler(PLAN), windows, batch_size=32, seed=0)
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _subject_and_windows(tokens: int) -> tuple[NeuronSubject, Windows]:
    config = load_config(
        CONFIG,
        [
            f"corpus.max_tokens={tokens}",
            f"corpus.max_document_tokens={max(2000, tokens // 50)}",
            "corpus.window=64",
        ],
    )
    files = resolve_model("smollm2-135m", convert=convert_gguf, check=check_continuation)
    subject = NeuronSubject(str(files.path), name=files.name, placement=place(), provenance={})
    windows, _ = cut_corpus(config, resolve_corpus("enwiki-sample"), subject, lambda _done, _total: None)
    assert set(np.unique(windows.split)) <= set(range(len(SPLITS)))
    return subject, windows


if __name__ == "__main__":
    main()
