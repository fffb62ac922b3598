"""The share v of an explanation's worth that survives without trust in any model: SCIENCE.md 2.4, tier A."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from scrutable.evaluators.statistics import Floats, generator, mean_interval, ratio_interval
from scrutable.pipeline.records import Assurance, Score

_FEWEST = 2  # units; an interval over one unit says nothing


def assure(
    scores: Sequence[Score], compiled: Mapping[str, str], *, draws: int = 2000, seed: int
) -> tuple[Assurance, ...]:
    """V of every text that was compiled to programs, for each simulator that reads the text.

    v = Σ_u excess gain of the program / Σ_u excess gain of the text, both in bits per token: a ratio of
    sums, so that units without gain weigh nothing; never clipped, since clipping noise at 0 would
    invent a share (SCIENCE.md 2.3). A text of which nobody could write a program keeps nothing that can be
    checked: it counts with its own gain and a program's gain of 0, or v would be about the texts that are
    easy to compile. A unit of which either gain is not defined is left out. The bootstrap resamples
    units. Undefined where the text's own gain is not above 0 with its 95 % interval: a share of nothing
    is no share.

    Args:
        scores: all of a job.
        compiled: author of the programs → explainer whose texts they were compiled from.
        draws: of the bootstrap.
        seed: of the run.
    """
    gains: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for score in scores:
        if score.metric == "gain_bits":
            gains[score.explainer, score.simulator][score.unit] = score.excess
    return tuple(_assurances(gains, compiled, draws=draws, seed=seed))


def _assurances(
    gains: Mapping[tuple[str, str], Mapping[str, float]],
    compiled: Mapping[str, str],
    *,
    draws: int,
    seed: int,
) -> Iterator[Assurance]:
    for program, text in sorted(compiled.items()):
        for author, simulator in sorted(gains):
            for other, checker in sorted(gains):
                if author == text and other == program:
                    of_text, of_program = gains[author, simulator], gains[other, checker]
                    both = [(of_text[u], of_program.get(u, 0.0), u in of_program) for u in sorted(of_text)]
                    defined = np.array([row for row in both if not np.isnan(row).any()]).reshape(-1, 3)
                    names = (text, simulator, program, checker)
                    yield _assurance(names, defined, draws=draws, seed=seed)


def _assurance(names: tuple[str, str, str, str], units: Floats, *, draws: int, seed: int) -> Assurance:
    """Of units as rows: gain of the text, gain of the program, 1 if there is a program."""
    n, pairs = len(units), units[:, :2]
    rng = generator(seed, "assurance", *names)
    text = mean_interval(pairs[:, 0], draws=draws, rng=rng)
    reason = ""
    if n < _FEWEST:
        reason = f"{n} units with a gain of text and program"
    elif not text.low > 0:
        reason = "the text has no gain above its null, so there is no worth to share out"
    interval = ratio_interval(pairs[:, 1], pairs[:, 0], draws=draws, rng=rng)
    means = pairs.mean(axis=0) if n else np.full(2, np.nan)
    return Assurance(
        explainer=names[0],
        simulator=names[1],
        compiled=names[2],
        checker=names[3],
        n_units=n,
        n_uncompiled=int(n - units[:, 2].sum()),
        gain_text=float(means[0]),
        gain_program=float(means[1]),
        v=math.nan if reason else float(means[1] / means[0]),
        low=math.nan if reason else interval.low,
        high=math.nan if reason else interval.high,
        reason=reason,
    )
