"""One streaming pass over a corpus, every window once.

The windows of a split are visited in a seeded random order, so the first k windows that a sampler
finds in a stratum are a simple random sample of it, and none is ever thrown out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.protocols import Progress, Sampler
from scrutable.pipeline.records import SPLITS
from scrutable.pipeline.sampling import Captured
from scrutable.pipeline.windows import Windows, permuted


def capture(
    sampler: Sampler,
    windows: Windows,
    *,
    batch_size: int,
    seed: int,
    done: int = 0,
    after_batch: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> Captured:
    """Feeds every window of every split once, in a seeded random order within its split.

    `done` batches are skipped: those that the sampler's restored state already holds.
    `after_batch` is told how many batches the state now holds, and may store it.
    """
    batches = list(_batches(windows, batch_size=batch_size, seed=seed))
    for number, (split, batch, is_last) in enumerate(batches, 1):
        if number <= done:
            continue
        sampler.feed(windows, batch, split=split)
        if is_last:
            sampler.end_of_split(split)
        if progress:
            progress(number, len(batches))
        if after_batch:
            after_batch(number)
    return sampler.captured()


def _batches(
    windows: Windows, *, batch_size: int, seed: int
) -> Iterator[tuple[int, NDArray[np.int64], bool]]:
    for s, split in enumerate(SPLITS):
        order = permuted(windows, split=split, seed=seed)
        for start in range(0, len(order), batch_size):
            yield s, order[start : start + batch_size], start + batch_size >= len(order)
