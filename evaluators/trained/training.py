"""Trains a simulator: lessons in, adapter and head out, with a learning curve; continues where it ended.

The lessons of a step depend on the seed and the step alone, so that a continued training sees the same ones.
"""

from __future__ import annotations

import io
import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from scrutable.evaluators.trained.adapters import LEAST_TEXT
from scrutable.evaluators.trained.lessons import Curriculum, Lesson, lessons
from scrutable.evaluators.trained.measuring import Exam, Floats, Mark, mean_correlation, sit
from scrutable.evaluators.trained.objectives import loss
from scrutable.evaluators.trained.reader import Encoded, Reader
from scrutable.pipeline.config import TrainConfig
from scrutable.pipeline.programs import TOP_LEVEL
from scrutable.pipeline.store import write_whole

LESSONS_OF_A_RULE = 3
LEVELS = tuple(map(float, range(TOP_LEVEL + 1)))
_HEAD_RATE = 5.0  # times the adapter's learning rate
_LOWEST_RATE = 0.05  # of the learning rate, at the last step
_CLIP = 1.0  # norm of the gradient
_LONGEST = 160  # tokens of a lesson; longer texts are cut
_STATE, _CURVE = "state.pt", "curve.jsonl"


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement of the learning curve."""

    step: int
    loss: float  # nats for each token, as it was weighted, mean since the last measurement
    taught: float  # mean correlation over rules of taught families, new rules on new documents
    held_out: float  # over rules of families that are never taught
    misled: float  # expected level where the rule is silent in the whole text, as a share of the highest
    model_tokens: int  # read so far


def train(
    reader: Reader,
    curriculum: Curriculum,
    taught: Sequence[Exam],
    held_out: Sequence[Exam],
    *,
    config: TrainConfig,
    folder: Path,
    progress: Callable[[int, int], None],
) -> list[Point]:
    """Trains until the last step, or until `patience` measurements have brought nothing better.

    Writes the best adapter to `folder/adapter`, the curve beside it, and its state at each measurement, from
    which a later call goes on.
    """
    course = _Course(reader, config, folder)
    curve = course.restore()
    while course.step < config.steps and not _is_stuck(curve, config.patience):
        until = min(config.steps, course.step + config.measure_every)
        losses = []
        while course.step < until:
            losses.append(course.advance(_lessons_of(curriculum, config, course.step)))
            progress(course.step, config.steps)
        curve.append(_measured(course, float(np.mean(losses)), taught, held_out))
        if _best(curve) == len(curve) - 1:
            reader.save(folder / "adapter")
        course.keep(curve)
    return curve


def expected_levels(reader: Reader, description: str, texts: Sequence[Sequence[str]]) -> list[Floats]:
    """(T,) expected level of each piece of each text."""
    encoded = [reader.encode(description, pieces) for pieces in texts]
    return [p_TL @ np.array(reader.shape.levels) for p_TL in reader.distributions(encoded)]


class _Course:
    """Weights, optimiser and step: all that a continued training needs."""

    def __init__(self, reader: Reader, config: TrainConfig, folder: Path) -> None:
        self.reader = reader
        self.step = 0
        self.model_tokens = 0
        self._config = config
        self._folder = folder
        head = [p for name, p in reader.trainable().items() if name.startswith("head.")]
        body = [p for name, p in reader.trainable().items() if not name.startswith("head.")]
        self._rates = (config.learning_rate, config.learning_rate * _HEAD_RATE)
        self._parameters = [*body, *head]
        self._optimiser = torch.optim.AdamW([{"params": body}, {"params": head}], weight_decay=0.0)

    def advance(self, batch: Sequence[Lesson]) -> float:
        """One step on these lessons; its loss before the step, in nats for each token."""
        reader, config = self.reader, self._config
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * self._share_of_rate()
        encoded = [_cut(reader.encode(each.description, each.text.tokens)) for each in batch]
        truth = [
            level for each, e in zip(batch, encoded, strict=True) for level in each.levels[: len(e.places)]
        ]
        truth_R = torch.tensor(truth, device=reader.device)
        reader.train()
        is_half = reader.dtype != torch.float32
        with torch.autocast(reader.device.type, dtype=reader.dtype, enabled=is_half):
            logits_RL = reader(encoded)
        found = loss(
            logits_RL,
            truth_R,
            objective=config.objective,
            levels=LEVELS,
            pairs=_pairs(batch, encoded),
            firing_weight=config.firing_weight,
        )
        torch.autograd.backward(found)
        torch.nn.utils.clip_grad_norm_(self._parameters, _CLIP)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self.step += 1
        self.model_tokens += sum(len(e.shared) + len(e.ids) for e in encoded)
        return float(found.detach())

    def keep(self, curve: Sequence[Point]) -> None:
        """Writes curve and state, each whole or not at all."""
        state: dict[str, Any] = {
            "step": self.step,
            "model_tokens": self.model_tokens,
            "optimiser": self._optimiser.state_dict(),
            "weights": {name: p.detach() for name, p in self.reader.trainable().items()},
        }
        data = io.BytesIO()
        torch.save(state, data)
        lines = "".join(json.dumps(asdict(point)) + "\n" for point in curve)
        write_whole(self._folder / _CURVE, lambda path: path.write_text(lines, encoding="utf-8"))
        write_whole(self._folder / _STATE, lambda path: path.write_bytes(data.getvalue()))

    def restore(self) -> list[Point]:
        """Goes on from the folder's state, if there is one, with the curve so far."""
        if not (self._folder / _STATE).exists():
            return []
        state = torch.load(self._folder / _STATE, map_location=self.reader.device, weights_only=True)
        self.step, self.model_tokens = state["step"], state["model_tokens"]
        self._optimiser.load_state_dict(state["optimiser"])
        with torch.no_grad():
            for name, parameter in self.reader.trainable().items():
                parameter.copy_(state["weights"][name])
        return [point for point in points(self._folder) if point.step <= self.step]

    def _share_of_rate(self) -> float:
        warm = min(1.0, (self.step + 1) / self._config.warm_up)
        return warm * max(_LOWEST_RATE, 1 - self.step / self._config.steps)


def _lessons_of(curriculum: Curriculum, config: TrainConfig, step: int) -> list[Lesson]:
    seed = Random(f"{config.seed}/{step}").getrandbits(48)
    return list(itertools.islice(lessons(curriculum, seed=seed), config.rules * LESSONS_OF_A_RULE))


def _cut(encoded: Encoded) -> Encoded:
    return encoded.windows(max(LEAST_TEXT, _LONGEST - len(encoded.shared)))[0]


def _pairs(batch: Sequence[Lesson], encoded: Sequence[Encoded]) -> list[tuple[slice, slice]]:
    """Rows of two lessons with one text: a rule and its near miss, as far as both were read."""
    starts = [0, *itertools.accumulate(len(e.places) for e in encoded)]
    found = []
    for i, j in itertools.combinations(range(len(batch)), 2):
        if batch[i].text is batch[j].text:
            n = min(len(encoded[i].places), len(encoded[j].places))
            found.append((slice(starts[i], starts[i] + n), slice(starts[j], starts[j] + n)))
    return found


def _measured(course: _Course, mean_loss: float, taught: Sequence[Exam], held_out: Sequence[Exam]) -> Point:
    course.reader.eval()

    def marks(exams: Sequence[Exam]) -> list[Mark]:
        return [sit(exam, lambda d, t: expected_levels(course.reader, d, t), top=TOP_LEVEL) for exam in exams]

    of_taught, of_held_out = marks(taught), marks(held_out)
    misled = [mark.misled for mark in (*of_taught, *of_held_out) if not math.isnan(mark.misled)]
    return Point(
        step=course.step,
        loss=mean_loss,
        taught=mean_correlation(of_taught),
        held_out=mean_correlation(of_held_out),
        misled=float(np.mean(misled)) if misled else math.nan,
        model_tokens=course.model_tokens,
    )


def _is_stuck(curve: Sequence[Point], patience: int) -> bool:
    return bool(curve) and len(curve) - 1 - _best(curve) >= patience


def _best(curve: Sequence[Point]) -> int:
    """The first measurement with the highest correlation over new rules of taught and held-out families."""

    def quality(number: int) -> float:
        defined = [r for r in (curve[number].taught, curve[number].held_out) if not math.isnan(r)]
        return sum(defined) / len(defined) if defined else -math.inf

    return max(range(len(curve)), key=quality)


def points(folder: Path) -> Iterator[Point]:
    """The learning curve of a training folder."""
    for line in (folder / _CURVE).read_text(encoding="utf-8").splitlines():
        yield Point(**json.loads(line))
