"""Where a training becomes a base model, texts and a folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scrutable.evaluators.trained.adapters import adapter_folder, shipped_bases
from scrutable.evaluators.trained.job import train_simulator
from scrutable.pipeline.assets import resolve_corpus, resolve_encoder
from scrutable.pipeline.composition.models import locate
from scrutable.pipeline.config import SHIPPED, TrainConfig, TrainedSimulator
from scrutable.pipeline.protocols import Watch
from scrutable.pipeline.puzzles import read_puzzles
from scrutable.pipeline.store import RunFolder

if TYPE_CHECKING:
    from pathlib import Path


def train(
    config: TrainConfig,
    folder: RunFolder,
    *,
    say: Callable[[str], None],
    watch: Watch,
    note: Callable[[str, Any], None],
) -> Path:
    """Trains a simulator in a folder, and returns the folder of its adapter."""
    curriculum = config.curriculum
    corpus = resolve_corpus(curriculum.source, say=say)
    puzzles = read_puzzles(resolve_corpus(curriculum.puzzles, say=say)) if curriculum.puzzles else ()
    base = locate(config.base, say=say)
    start = adapter_folder(config.base.model, config.start) if config.start else None
    encoder = resolve_encoder(curriculum.encoder, say=say) if curriculum.encoder else None
    with watch("train") as progress:
        return train_simulator(
            config,
            base,
            corpus,
            puzzles,
            folder.path,
            encoder=encoder,
            start=start,
            note=note,
            progress=progress,
        )


def export_simulator(model: str, adapter: str, to: Path, *, say: Callable[[str], None]) -> Path:
    """Writes a trained simulator as a token classifier; by default the one that comes with the package."""
    from scrutable.evaluators.trained.exporting import export_reader

    config = TrainedSimulator(model=model or shipped_bases()[0], adapter=adapter or SHIPPED)
    folder = adapter_folder(config.model, config.adapter)
    return export_reader(locate(config, say=say), folder, to)
