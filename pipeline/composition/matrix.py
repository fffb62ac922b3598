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
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.config import (
    ExplainerConfig,
    MatrixConfig,
    NeuronSubjectConfig,
    ProbeExplainer,
    RunConfig,
)
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.protocols import Progress, Watch
from scrutable.pipeline.records import Assurance, Score, Summary
from scrutable.pipeline.recursion.records import Effect, MatrixCell
from scrutable.pipeline.recursion.tables import LEVEL
from scrutable.pipeline.runner import Runner
from scrutable.pipeline.sections import AskingConfig, ModelConfig
from scrutable.pipeline.store import RunFolder

SUBJECTS = "subjects"
"""Where the runs of the subjects lie in the folder of a matrix: `subjects/NAME`, each a run folder."""
_OF_A_SUBJECT = ("subject", "corpus")  # facts that differ between the rows of a matrix
METRIC = "correlation"


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
        self._sizes: dict[str, float] = {}

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
        pairs = set(plan_of(self._config).pairs.values())
        readers = (self._config.checker, self._config.simulator)  # the fixed simulator where both can
        return {name: reader for reader in readers for name, other in pairs if other == reader}

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
                if row is not None:
                    cells.append(self._cell(subject, explainer, row, assurance))
                scores += self._scores(subject, explainer, simulator, each)
        found = effects(scores, draws=self._config.scoring.draws, seed=self._config.seed)
        return Matrix(cells, list(found))

    def _cell(self, subject: str, explainer: str, row: Summary, assurance: Sequence[Assurance]) -> MatrixCell:
        shares = [a.v for a in assurance if (a.explainer, a.simulator) == (explainer, row.simulator)]
        return MatrixCell(
            subject=subject,
            explainer=explainer,
            subject_parameters=self._subject_size(subject),
            explainer_parameters=self._explainer_size(explainer),
            is_same=self._is_same(subject, explainer),
            n_units=row.n_excess,
            value=row.excess,
            low=row.excess_low,
            high=row.excess_high,
            v=shares[0] if shares else math.nan,
        )

    def _scores(
        self, subject: str, explainer: str, simulator: str, each: Sequence[Score]
    ) -> list[MatrixScore]:
        return [
            MatrixScore(
                subject=subject,
                unit=score.unit,
                explainer=explainer,
                value=score.excess,
                subject_parameters=self._subject_size(subject),
                explainer_parameters=self._explainer_size(explainer),
                is_same=self._is_same(subject, explainer),
                level=float(self._config.levels.get(explainer, math.nan)),
            )
            for score in each
            if (score.explainer, score.simulator, score.metric) == (explainer, simulator, METRIC)
        ]

    def _subject_size(self, subject: str) -> float:
        """Parameters of a subject; NaN for a planted one, which has none."""
        config = self._config.subjects[subject]
        return self._size(config) if isinstance(config, NeuronSubjectConfig) else math.nan

    def _explainer_size(self, explainer: str) -> float:
        """Parameters of who writes; 0 for a program. A probe is as large as the model of its embeddings."""
        model = _model_of(self._config.explainers[explainer])
        return self._size(model) if model else 0.0

    def _size(self, model: ModelConfig) -> float:
        if model.model not in self._sizes:
            self._sizes[model.model] = self._models.n_parameters(model)
        return self._sizes[model.model]

    def _is_same(self, subject: str, explainer: str) -> bool:
        config, model = self._config.subjects[subject], _model_of(self._config.explainers[explainer])
        return isinstance(config, NeuronSubjectConfig) and model is not None and model.model == config.model


def _model_of(explainer: ExplainerConfig) -> ModelConfig | None:
    if isinstance(explainer, ProbeExplainer):
        return ModelConfig(model=explainer.model)
    return explainer if isinstance(explainer, AskingConfig) else None


def _of(summary: Sequence[Summary], explainer: str, simulator: str) -> Summary | None:
    """The row of a cell; None where every unit failed before it could be scored."""
    wanted = (explainer, simulator, METRIC)
    return next((row for row in summary if (row.explainer, row.simulator, row.metric) == wanted), None)
