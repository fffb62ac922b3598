"""From a sample of windows and their traces to what the explainer, the calibration and the judges see."""

from __future__ import annotations

from collections.abc import Mapping

from scrutable.pipeline.config import SamplesConfig
from scrutable.pipeline.records import SPLITS, Excerpt, Exemplars, Split
from scrutable.pipeline.sampling import Captured, Sampled
from scrutable.pipeline.traces import Traces
from scrutable.pipeline.windows import Windows


def sampled_windows(captured: Captured, unit: str, samples: SamplesConfig) -> dict[Split, Sampled]:
    """The windows kept of one unit in each split, with their weights."""
    return {
        split: captured.sampled(unit, split, top=samples.top[split], per_stratum=samples.per_stratum[split])
        for split in SPLITS
    }


def build_exemplars(
    unit: str, sampled: Mapping[Split, Sampled], windows: Windows, traces: Traces
) -> Exemplars:
    """The excerpts of one unit; documents of the three splits are disjoint, asserted when built."""
    groups = {
        split: tuple(
            _excerpt(unit, window, weight, split, position < chosen.n_top, windows, traces)
            for position, (window, weight) in enumerate(zip(chosen.windows, chosen.weights, strict=True))
        )
        for split, chosen in sampled.items()
    }
    return Exemplars(
        unit=unit, shown=groups["explain"], calibrate=groups["calibrate"], held_out=groups["test"]
    )


def _excerpt(
    unit: str, window: int, weight: float, split: Split, is_top: bool, windows: Windows, traces: Traces
) -> Excerpt:
    return Excerpt(
        passage=windows.passage(window),
        document=windows.documents[windows.document[window]],
        split=split,
        activations=tuple(traces[unit, window].tolist()),
        weight=weight,
        is_top=is_top,
    )
