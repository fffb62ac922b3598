"""Training: a rule that can be learnt is learnt, and an interruption changes nothing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tiny_models import save_tiny_model
from toy_curriculum import toy_curriculum

from scrutable.evaluators.trained.adapters import Shape
from scrutable.evaluators.trained.lessons import Curriculum
from scrutable.evaluators.trained.measuring import Exam, exams
from scrutable.evaluators.trained.reader import Reader, open_reader
from scrutable.evaluators.trained.training import LEVELS, Point, expected_levels, points, train
from scrutable.pipeline.config import TrainConfig
from scrutable.pipeline.placement import Placement

CPU = Placement("cpu", "float32")
SHAPE = Shape("tiny", "digest", 2, 4, 8, LEVELS, "levels")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("llama", tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def curriculum(tmp_path_factory: pytest.TempPathFactory) -> Curriculum:
    """One rule that needs no language: which tokens are in lower case."""
    return toy_curriculum(tmp_path_factory.mktemp("curriculum"), families=("part of text",))


@pytest.fixture(scope="module")
def asked(curriculum: Curriculum) -> tuple[Exam, ...]:
    return exams(curriculum, n=4, seed=5)


def config(**changes: object) -> TrainConfig:
    settings: dict[str, object] = {
        "job": "train",
        "name": "toy",
        "base": {"model": "tiny"},
        "steps": 6,
        "measure_every": 2,
        "rules": 2,
        "learning_rate": 0.01,
        "warm_up": 2,
        "patience": 9,
    }
    return TrainConfig.model_validate(settings | changes)


def trained(
    base: Path,
    curriculum: Curriculum,
    asked: tuple[Exam, ...],
    folder: Path,
    *,
    stop_at: int = 10**9,
    **changes: object,
) -> list[Point]:
    """Trains in a folder; `stop_at` interrupts after that step, as Ctrl-C would."""

    def progress(step: int, _: int) -> None:
        if step == stop_at:
            raise KeyboardInterrupt

    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    reader = Reader(str(base), SHAPE, CPU)
    return train(reader, curriculum, asked, asked, config=config(**changes), folder=folder, progress=progress)


def test_the_loss_falls_and_the_curve_says_what_it_took(
    base: Path, curriculum: Curriculum, asked: tuple[Exam, ...], tmp_path: Path
) -> None:
    curve = trained(base, curriculum, asked, tmp_path, steps=40, measure_every=10)
    assert [point.step for point in curve] == [10, 20, 30, 40]
    assert curve[-1].loss < 0.7 * curve[0].loss
    tokens = [point.model_tokens for point in curve]
    assert tokens == sorted(set(tokens))
    assert list(points(tmp_path)) == curve


def test_a_description_that_fills_a_lesson_leaves_text_to_learn_from(
    base: Path,
    curriculum: Curriculum,
    asked: tuple[Exam, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [whole] = trained(base, curriculum, asked, tmp_path / "whole", steps=1)
    monkeypatch.setattr("scrutable.evaluators.trained.training._LONGEST", 1)
    [cut] = trained(base, curriculum, asked, tmp_path / "cut", steps=1)
    assert cut.model_tokens < whole.model_tokens
    assert math.isfinite(cut.loss)


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(
    base: Path, curriculum: Curriculum, asked: tuple[Exam, ...], tmp_path: Path
) -> None:
    whole = trained(base, curriculum, asked, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(base, curriculum, asked, tmp_path / "cut", stop_at=3)
    resumed = trained(base, curriculum, asked, tmp_path / "cut")
    assert resumed == whole
    files = [tmp_path / name / "adapter" / "adapter.safetensors" for name in ("whole", "cut")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_finished_training_has_nothing_left_to_do(
    base: Path, curriculum: Curriculum, asked: tuple[Exam, ...], tmp_path: Path
) -> None:
    first = trained(base, curriculum, asked, tmp_path)
    assert trained(base, curriculum, asked, tmp_path, stop_at=1) == first


def test_training_stops_when_measurements_bring_nothing_better(
    base: Path, curriculum: Curriculum, asked: tuple[Exam, ...], tmp_path: Path
) -> None:
    curve = trained(
        base, curriculum, asked, tmp_path, steps=40, measure_every=1, patience=2, learning_rate=1e-12
    )
    assert len(curve) < 40


def test_the_adapter_that_is_kept_is_the_best_of_the_curve(
    base: Path, curriculum: Curriculum, asked: tuple[Exam, ...], tmp_path: Path
) -> None:
    from scrutable.evaluators.trained.measuring import mean_correlation, sit

    curve = trained(base, curriculum, asked, tmp_path, steps=12, measure_every=3)
    reader = open_reader(str(base), tmp_path / "adapter", CPU)
    marks = [sit(exam, lambda d, t: expected_levels(reader, d, t), top=9.0) for exam in asked]
    best = max(point.held_out for point in curve if not math.isnan(point.held_out))  # equal exams in both
    assert mean_correlation(marks) == pytest.approx(best, abs=0.05)  # the file is in bfloat16
