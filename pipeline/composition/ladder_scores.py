"""The levels of a ladder as further rows of a matrix: a ladder is a path through it (SCIENCE.md 2.6)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scrutable.evaluators.matrix import MatrixScore
from scrutable.pipeline.composition.jobs import plan_of
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.config import (
    AUTHOR,
    COMPILED,
    ExplainerConfig,
    JobConfig,
    MatrixConfig,
    NeuronSubjectConfig,
    ProbeExplainer,
    RecurseConfig,
)
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.records import Score
from scrutable.pipeline.recursion.tables import LEVEL
from scrutable.pipeline.sections import AskingConfig, ModelConfig
from scrutable.pipeline.store import RunFolder

METRIC = "correlation"


def open_ladder(path: Path, matrix: MatrixConfig) -> RecurseConfig:
    """The config of a ladder whose levels may stand beside a matrix.

    Raises ConfigError for a folder that holds no ladder, one without a scored level, or one that was scored
    by another simulator than the matrix is.
    """
    folder = RunFolder(path, level=LEVEL)
    config = folder.config()
    if not isinstance(config, RecurseConfig):
        raise ConfigError(f"ladders: {path} holds no ladder: give the run folder of `scrutable recurse`")
    if not (path / "level-0" / "scores.parquet").exists():
        raise ConfigError(f"ladders: {path} has no scored level yet: finish it first")
    name = config.recursion.simulator
    if config.simulators[name] != matrix.simulators[matrix.simulator]:
        raise ConfigError(
            f"ladders: {path} is scored by another simulator ({name}) than the matrix ({matrix.simulator}); "
            "excess correlations of two simulators do not compare"
        )
    return config


def ladder_scores(path: Path, config: RecurseConfig, models: Models) -> Iterator[MatrixScore]:
    """What every explainer of every level is worth, unit by unit; not the programs that stand for a text."""
    level = 0
    while (path / f"level-{level}" / "scores.parquet").exists():
        subject = config.subject if level == 0 else config.author(level)
        run = config.level(level + 1)
        folder = RunFolder(path, level=f"level-{level}")
        scores = folder.read_records(Score, folder.level / "scores.parquet")
        readers = readers_of(run, config.recursion.simulator, config.recursion.checker)
        readers.pop(COMPILED, None)
        for score in scores:
            if score.metric == METRIC and readers.get(score.explainer) == score.simulator:
                yield score_of(
                    models,
                    score,
                    subject=f"{config.name}, level {level + 1}",
                    explainer=f"{config.name}: {_named(score.explainer, run.explainers)}",
                    explained=model_of(subject),
                    explaining=model_of(run.explainers[score.explainer]),
                    level=level + 1,
                )
        level += 1


def readers_of(config: JobConfig, simulator: str, checker: str) -> dict[str, str]:
    """Explainer → who of the two reads it; the simulator where both can."""
    pairs = plan_of(config).pairs.values()
    return {name: reader for reader in (checker, simulator) for name, other in pairs if other == reader}


def _named(explainer: str, explainers: dict[str, ExplainerConfig]) -> str:
    model = model_of(explainers[explainer])
    return model.model if explainer == AUTHOR and model else explainer


def model_of(part: object) -> ModelConfig | None:
    """Who is explained or writes: a model, or None for a program. A probe is the model of its embeddings."""
    if isinstance(part, ProbeExplainer):
        return ModelConfig(model=part.model)
    return part if isinstance(part, NeuronSubjectConfig | AskingConfig) else None


def score_of(
    models: Models,
    score: Score,
    *,
    subject: str,
    explainer: str,
    explained: ModelConfig | None,
    explaining: ModelConfig | None,
    level: int,
) -> MatrixScore:
    """One score with what may account for it; the size of a subject that is no model is unknown."""
    return MatrixScore(
        subject=subject,
        unit=score.unit,
        explainer=explainer,
        value=score.excess,
        subject_parameters=models.n_parameters(explained) if explained else float("nan"),
        explainer_parameters=models.n_parameters(explaining) if explaining else 0.0,
        subject_family=models.family(explained) if explained else "",
        explainer_family=models.family(explaining) if explaining else "",
        is_same=bool(explained and explaining and models.are_same(explained, explaining)),
        level=level,
    )
