"""Where a matrix becomes runs of its subjects, and their scores its cells and effects."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from scrutable.evaluators.matrix import MatrixScore, effects
from scrutable.pipeline.collecting import Collector
from scrutable.pipeline.composition.jobs import EVALUATION, Composition, plan_of, runner_of
from scrutable.pipeline.composition.ladder_scores import (
    METRIC,
    ladder_scores,
    model_of,
    open_ladder,
    readers_of,
    score_of,
)
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.config import MatrixConfig, RunConfig
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.protocols import Progress, Watch
from scrutable.pipeline.records import Assurance, Score, Summary
from scrutable.pipeline.recursion.records import Effect, MatrixCell, Ruling
from scrutable.pipeline.recursion.rules import rule_scale
from scrutable.pipeline.recursion.tables import LEVEL
from scrutable.pipeline.runner import Runner
from scrutable.pipeline.sections import ModelConfig
from scrutable.pipeline.store import RunFolder

SUBJECTS = "subjects"
"""Where the runs of the subjects lie in the folder of a matrix: `subjects/NAME`, each a run folder."""
_OF_A_SUBJECT = ("subject", "corpus")  # facts that differ between the rows of a matrix


class Matrix(NamedTuple):
    """What a matrix found."""

    cells: list[MatrixCell]
    effects: list[Effect]


def run_matrix(
    config: MatrixConfig,
    path: Path,
    *,
    models: Models,
    say: Callable[[str], None],
    watch: Watch,
    note: Callable[[str, Any], None],
) -> Matrix:
    """All subjects, one after the other, then the cells and the regression over them; what is there is kept.

    Raises ScrutableError for what cannot work, before anything is computed.
    """
    parts = MatrixComposition(config, path, models=models, say=say, watch=watch, note=note)
    parts.check()
    if config.gate:
        folder = RunFolder(path, level="level-0")
        runner_of(config, folder, say=say, watch=watch, note=note, models=models)[0].gate()
    for subject in config.subjects:
        parts.run(subject)
    with watch("matrix"):
        found = parts.matrix()
    folder = RunFolder(path, level=LEVEL)
    folder.write_records(folder.level / "matrix_effects.parquet", Effect, found.effects)
    ruling = rule_scale(found.effects, matrix=config.name, rules=config.rules)
    folder.write_records(folder.level / "rulings.parquet", Ruling, [ruling])
    folder.write_records(folder.level / "matrix.parquet", MatrixCell, found.cells)
    return found


class MatrixComposition:
    """Makes the run of each subject, and reads what they found; each model is loaded once for all of them."""

    def __init__(
        self,
        config: MatrixConfig,
        folder: Path,
        *,
        models: Models,
        say: Callable[[str], None],
        watch: Watch,
        note: Callable[[str, Any], None],
    ) -> None:
        self._config = config
        self._path = folder
        self._models = models
        self._say, self._watch, self._note = say, watch, note

    def check(self) -> None:
        """Resolves every model and corpus, and checks prompts and readers, before anything is computed.

        Raises AssetError, ConfigError or CapabilityError for what could not work later.
        """
        for name in self._config.explainers:
            if name not in self._readers:
                readers = " nor ".join(filter(None, (self._config.simulator, self._config.checker)))
                raise ConfigError(
                    f"explainers.{name}: what it writes is not read by {readers}, so it has no cell"
                )
        for path in self._config.ladders:
            open_ladder(Path(path), self._config)
        if self._config.gate:
            self._composed(self._config).check()
        for subject in self._config.subjects:
            if not self.runner(subject).is_simulated:
                self._composed(self._config.run_of(subject)).check()

    def _composed(self, config: MatrixConfig | RunConfig) -> Composition:
        return Composition(config, say=self._say, note=self._note, models=self._models)

    @cached_property
    def _readers(self) -> dict[str, str]:
        """Explainer → the simulator whose scores of it count."""
        return readers_of(self._config, self._config.simulator, self._config.checker)

    # -- runs ---------------------------------------------------------------------------------

    def run(self, subject: str) -> None:
        """All stages of one subject; those whose parts are there do nothing."""
        config = self._config.run_of(subject)
        with self._folder(subject).opened(config):
            self._keep(subject, {"name": config.name, "seed": config.seed, "config_digest": config.digest})
            self.runner(subject).run()

    def runner(self, subject: str) -> Runner:
        """The run of one subject."""
        config, folder = self._config.run_of(subject), self._folder(subject)

        def note(key: str, fact: Any) -> None:
            manifest = folder.manifest()
            self._keep(subject, {key: {**manifest.get(key, {}), **fact}})
            if key in _OF_A_SUBJECT:
                self._note(f"{key} of each row", {subject: fact})
            else:
                self._note(key, fact)

        def watch(stage: str) -> AbstractContextManager[Progress]:
            return self._watch(f"{subject}: {stage}")

        parts = Composition(config, say=self._say, note=note, models=self._models)
        source = Collector(config, folder, parts, watch, note)
        return Runner(config, folder, source, parts, EVALUATION, plan_of(config), watch, note)

    def _folder(self, subject: str) -> RunFolder:
        return RunFolder(self._path / SUBJECTS / subject, level="level-0")

    def _keep(self, subject: str, facts: dict[str, Any]) -> None:
        """Puts facts into the manifest of a subject's own run."""
        folder = self._folder(subject)
        folder.write_manifest(folder.manifest() | facts)

    # -- cells --------------------------------------------------------------------------------

    def matrix(self) -> Matrix:
        """The cells and the regression, from what the subjects' runs have stored."""
        cells: list[MatrixCell] = []
        scores: list[MatrixScore] = []
        for subject in self._config.subjects:
            folder = self._folder(subject)
            summary = folder.read_records(Summary, folder.level / "summary.parquet")
            assurance = folder.read_records(Assurance, folder.level / "assurance.parquet")
            each = folder.read_records(Score, folder.level / "scores.parquet")
            for explainer, simulator in self._readers.items():
                row = _of(summary, explainer, simulator)
                cells.append(self._cell(subject, explainer, simulator, row, assurance))
                scores += self._scores(subject, explainer, simulator, each)
        for path in map(Path, self._config.ladders):
            scores += ladder_scores(path, open_ladder(path, self._config), self._models)
        found = effects(scores, draws=self._config.scoring.draws, seed=self._config.seed)
        return Matrix(cells, list(found))

    def _cell(
        self,
        subject: str,
        explainer: str,
        simulator: str,
        row: Summary | None,
        assurance: Sequence[Assurance],
    ) -> MatrixCell:
        """NaN where every unit failed before it could be scored."""
        shares = [a.v for a in assurance if (a.explainer, a.simulator) == (explainer, simulator)]
        explained, explaining = self._models_of(subject, explainer)
        return MatrixCell(
            subject=subject,
            explainer=explainer,
            subject_parameters=self._models.n_parameters(explained) if explained else math.nan,
            explainer_parameters=self._models.n_parameters(explaining) if explaining else 0.0,
            is_same=bool(explained and explaining and self._models.are_same(explained, explaining)),
            n_units=row.n_excess if row else 0,
            value=row.excess if row else math.nan,
            low=row.excess_low if row else math.nan,
            high=row.excess_high if row else math.nan,
            v=shares[0] if shares else math.nan,
        )

    def _scores(
        self, subject: str, explainer: str, simulator: str, each: Sequence[Score]
    ) -> list[MatrixScore]:
        explained, explaining = self._models_of(subject, explainer)
        return [
            score_of(
                self._models,
                score,
                subject=subject,
                explainer=explainer,
                explained=explained,
                explaining=explaining,
                level=1,
            )
            for score in each
            if (score.explainer, score.simulator, score.metric) == (explainer, simulator, METRIC)
        ]

    def _models_of(self, subject: str, explainer: str) -> tuple[ModelConfig | None, ModelConfig | None]:
        """Who is explained and who writes; None for a planted subject and for a program."""
        return model_of(self._config.subjects[subject]), model_of(self._config.explainers[explainer])


def _of(summary: Sequence[Summary], explainer: str, simulator: str) -> Summary | None:
    """The row of a cell; None where every unit failed before it could be scored."""
    wanted = (explainer, simulator, METRIC)
    return next((row for row in summary if (row.explainer, row.simulator, row.metric) == wanted), None)
