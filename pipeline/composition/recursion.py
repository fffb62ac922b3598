"""A study of recursion from end to end: planted ladders, the levels, the writing, the ledger."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from scrutable.pipeline.composition.ladder_parts import RECURSION_EVALUATION, LadderComposition
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.composition.settlement import settle, study_writing
from scrutable.pipeline.config import (
    RecurseConfig,
)
from scrutable.pipeline.protocols import Progress, Watch
from scrutable.pipeline.recursion.known import planted_ladders, read_known
from scrutable.pipeline.recursion.ladder import Ladder, NothingToFollow
from scrutable.pipeline.recursion.records import (
    KnownLadder,
    LedgerRow,
)
from scrutable.pipeline.recursion.settling import (
    claims_of,
)
from scrutable.pipeline.recursion.tables import LEVEL
from scrutable.pipeline.store import RunFolder


def recurse(
    config: RecurseConfig,
    path: Path,
    *,
    depth: int,
    models: Models,
    say: Callable[[str], None],
    watch: Watch,
    note: Callable[[str, Any], None],
) -> tuple[list[LedgerRow], str]:
    """All levels, controls and the ledger of a study; the rows, and why there are none where there are none.

    Raises ScrutableError for what cannot work.
    """
    parts = LadderComposition(config, path, models=models, say=say, watch=watch, note=note)
    parts.check(depth)
    folder = RunFolder(path, level=LEVEL)
    ladder = Ladder(config, depth, folder, parts, RECURSION_EVALUATION, watch)
    if config.recursion.known:
        draws, seed = config.scoring.draws, config.seed
        try_known(path, seed=seed, draws=draws, models=models, say=say, watch=watch)
    why = ""
    try:
        ladder.run()
    except NothingToFollow as error:
        why = str(error)
    if config.recursion.writing:
        study_writing(ladder, parts, config.recursion.writing)
    with watch("ledger"):
        return settle(ladder, parts), why


def try_known(
    path: Path, *, seed: int, draws: int, models: Models, say: Callable[[str], None], watch: Watch
) -> list[KnownLadder]:
    """Planted ladders, each in a folder of its own below a study's; kept once they are read."""
    folder = RunFolder(path, level=LEVEL)
    target = folder.level / "known_ladders.parquet"
    if target.exists():
        return folder.read_records(KnownLadder, target)
    found = []
    for planted in planted_ladders(seed=seed):
        place = path / "known" / planted.config.name

        def quiet(stage: str, name: str = planted.name) -> AbstractContextManager[Progress]:
            return watch(f"planted, {name}: {stage}")

        parts = LadderComposition(
            planted.config, place, models=models, say=say, watch=quiet, note=lambda _key, _fact: None
        )
        ladder = Ladder(planted.config, 1, RunFolder(place, level=LEVEL), parts, RECURSION_EVALUATION, quiet)
        try:
            ladder.run()
            claims = claims_of(ladder, levels=1)
        except NothingToFollow:
            claims = []
        n_written = len(ladder.explanations(1))
        found.append(read_known(planted, claims, n_written=n_written, draws=draws, seed=seed))
    folder.write_records(target, KnownLadder, found)
    return found
