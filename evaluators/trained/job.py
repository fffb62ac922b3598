"""A training job from its parts: curriculum, exams, reader, and what the manifest says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scrutable.evaluators.gate.units import planted_units
from scrutable.evaluators.trained.adapters import Shape, adapter_facts, check_start
from scrutable.evaluators.trained.families import HELD_OUT, TAUGHT, TAUGHT_BY_LISTS, plain
from scrutable.evaluators.trained.lessons import Curriculum
from scrutable.evaluators.trained.lexicon import build_lexicon
from scrutable.evaluators.trained.measuring import exams
from scrutable.evaluators.trained.texts import corpus_texts, example_texts
from scrutable.evaluators.trained.themes import Encode
from scrutable.evaluators.trained.wordnet import WordNet, read_wordnet
from scrutable.pipeline.config import CurriculumConfig, TrainConfig
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.placement import place
from scrutable.pipeline.protocols import LocatedModel, Progress
from scrutable.pipeline.puzzles import Puzzle
from scrutable.pipeline.records import Split

TAUGHT_SPLITS: tuple[Split, ...] = ("explain",)
MEASURED_SPLITS: tuple[Split, ...] = ("calibrate", "test")
_ALPHA = 2  # times the rank: the usual scale of an adapter
_TAUGHT_EXAMS, _HELD_OUT_EXAMS = 1, 2  # added to the seed, so that they are not the lessons


def train_simulator(
    config: TrainConfig,
    base: LocatedModel,
    corpus: Path,
    puzzles: Sequence[Puzzle],
    folder: Path,
    *,
    encoder: Path | None,
    start: Path | None,
    note: Callable[[str, Mapping[str, Any]], None],
    progress: Progress,
) -> Path:
    """Trains, or goes on training, and returns the folder of the best adapter.

    Raises ConfigError for a folder without WordNet, for a base with too few layers, and for a start of
    another shape.
    """
    import torch

    from scrutable.evaluators.trained.encoder import SentenceEncoder
    from scrutable.evaluators.trained.reader import Reader, n_layers
    from scrutable.evaluators.trained.training import LEVELS, train

    shape = Shape(
        base=base.name,
        base_digest=str(base.provenance["digest"]),
        layers=config.layers or n_layers(base.path),
        rank=config.rank,
        alpha=config.rank * _ALPHA,
        levels=LEVELS,
        objective=config.objective,
    )
    if start:
        check_start(shape, start)
    wordnet = read_wordnet(Path(config.curriculum.wordnet))
    encode = SentenceEncoder(encoder) if encoder else None
    excluded = known_answers(puzzles)
    families = taught_families(config.curriculum)
    taught = curriculum(
        wordnet,
        corpus,
        config.curriculum,
        splits=TAUGHT_SPLITS,
        families=families,
        excluded=excluded,
        encode=encode,
    )
    measured = curriculum(
        wordnet,
        corpus,
        config.curriculum,
        splits=MEASURED_SPLITS,
        families=TAUGHT_BY_LISTS,
        excluded=excluded,
    )
    note("curriculum", facts(taught))
    torch.manual_seed(config.seed)
    reader = Reader(base.path, shape, place(device=config.base.device, dtype=config.base.dtype))
    note("base", base.provenance)
    if start:
        reader.load(start)
        note("start", adapter_facts(start, base))
    curve = train(
        reader,
        taught,
        exams(measured, n=config.measured_rules, seed=config.seed + _TAUGHT_EXAMS),
        exams(
            measured._replace(families=HELD_OUT),
            n=config.measured_rules,
            seed=config.seed + _HELD_OUT_EXAMS,
        ),
        config=config,
        folder=folder,
        progress=progress,
    )
    note("curve", {str(point.step): asdict(point) for point in curve})
    note("adapter", adapter_facts(folder / "adapter", base))
    return folder / "adapter"


def curriculum(
    wordnet: WordNet,
    corpus: Path,
    config: CurriculumConfig,
    *,
    splits: tuple[Split, ...],
    families: tuple[str, ...],
    excluded: frozenset[str],
    encode: Encode | None = None,
) -> Curriculum:
    """What lessons and exams are drawn from; the split of a document does not depend on the job's seed.

    Without an encoder there are no themes, and whoever draws from the families draws none of them.
    """
    texts = [
        *corpus_texts(corpus, config, splits=splits, seed=0),
        *example_texts(wordnet, config, splits=splits, seed=0),
    ]
    return Curriculum(build_lexicon(texts, wordnet, encode), families, excluded)


def taught_families(config: CurriculumConfig) -> tuple[str, ...]:
    """The families of lessons. Raises ConfigError for one to leave out that is not among them, or for all."""
    unknown = sorted(set(config.leave_out) - set(TAUGHT))
    if unknown:
        known = ", ".join(dict.fromkeys(TAUGHT))
        raise ConfigError(f"curriculum.leave_out: no family {unknown[0]!r} is taught (there are {known})")
    taught = TAUGHT if config.encoder else TAUGHT_BY_LISTS
    left = tuple(name for name in taught if name not in config.leave_out)
    if not left:
        raise ConfigError("curriculum.leave_out: no family is left to teach; leave out fewer")
    return left


def known_answers(puzzles: Sequence[Puzzle]) -> frozenset[str]:
    """Descriptions that must not be taught, since they measure: of the puzzles and of the planted units."""
    said = [unit.english for unit in planted_units()]
    for puzzle in puzzles:
        said += [puzzle.explanation, *puzzle.false_explanations]
    return frozenset(map(plain, said))


def facts(taught: Curriculum) -> dict[str, Any]:
    """What the manifest says of the lessons."""
    documents = sorted({text.document for text in taught.lexicon.texts})
    return {
        "families": sorted(set(taught.families)),
        "held_out_families": list(HELD_OUT),
        "documents": [name for name in documents if not name.startswith("wordnet:")],
        "n_texts": len(taught.lexicon.texts),
        "n_themes": len(taught.lexicon.taught_themes[0]),
        "n_sets": sum(not word_set.is_held_out for word_set in taught.lexicon.sets),
        "n_excluded_descriptions": len(taught.excluded),
    }
