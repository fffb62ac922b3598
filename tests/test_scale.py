"""The simulation of a large run keeps the laws that any such run keeps."""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

PATH = Path(__file__).parent.parent / "bench" / "scale.py"


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scale_of_a_run", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


scale = _loaded()
SEEDS = range(12)
ROUGH = {"bandwidth": 20.0, "mtbf": 8.0, "restart": 0.7}


def stages_of(seed: int, *, workers: int = 0) -> list:
    """Three stages of up to 40 shards, costs of any size; `workers` 0 draws their number."""
    rng = np.random.default_rng(seed)
    stages = []
    for number in range(3):
        n = int(rng.integers(1, 41))
        drawn = int(rng.integers(1, 9))
        seconds = rng.exponential(3.0, n)
        stages.append(
            scale.Stage(
                f"stage {number}",
                f"pool {number % 2}",
                workers or drawn,
                seconds,
                read=rng.exponential(10.0, n),
                written=rng.exponential(10.0, n),
                gpu=seconds * rng.random(n),
                start=float(rng.random()),
            )
        )
    return stages


def measured() -> scale.Measured:  # type: ignore[name-defined]
    part = scale.Part(seconds=10.0, tokens=(30, 50), rows=16)
    return scale.Measured(
        name="toy",
        units=16,
        corpus_tokens=4000,
        windows=140,
        documents=4,
        seconds={"corpus": 1.0, "capture": 2.0, "traces": 3.0, "score": 4.0},
        explain={"llm": part, "tree": replace(part, tokens=(0, 0))},
        simulate={"llm+trained": part},
        evidences=16,
        prompts=np.array([200.0, 300.0]),
        prompts_whole=600.0,
        replies=np.array([10.0, 14.0]),
        passages=35.0,
        nulls=2,
        subject_tokens=960.0,
        computed_tokens=1100.0,
        excerpts=57.0,
        bytes=dict.fromkeys(
            [
                *("windows", "units", "capture", "traces", "excerpts"),
                *("explanations", "simulations", "failures", "scores"),
            ],
            3.0,
        ),
    )


RUN = measured()
PLAN = scale.Plan(units=5000, tokens=1e6, nulls=4)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rough", [{}, ROUGH], ids=["smooth", "rough"])
def test_twice_the_workers_never_make_it_slower(seed: int, rough: dict[str, float]) -> None:
    stages = stages_of(seed)
    doubled = [replace(stage, workers=2 * stage.workers) for stage in stages]
    once, twice = (scale.simulate(s, seed=seed, **rough).wall for s in (stages, doubled))
    assert twice <= once + 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_one_worker_without_failures_takes_the_sum_of_the_costs(seed: int) -> None:
    stages = stages_of(seed, workers=1)
    assert scale.simulate(stages).wall == pytest.approx(sum(stage.cost for stage in stages))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_shard_is_done_exactly_once_whatever_dies(seed: int) -> None:
    stages = stages_of(seed)
    outcome = scale.simulate(stages, seed=seed, **ROUGH)
    for stage, span in zip(stages, outcome.spans, strict=True):
        assert sorted(span.done) == list(range(len(stage.seconds)))


def test_failures_happen_and_cost_time() -> None:
    stages = stages_of(3, workers=1)
    calm, rough = scale.simulate(stages), scale.simulate(stages, mtbf=8.0, restart=0.7)
    deaths, lost = (sum(getattr(span, name) for span in rough.spans) for name in ("deaths", "lost"))
    assert deaths > 0
    assert rough.wall == pytest.approx(calm.wall + lost)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stage_begins_when_all_shards_of_the_one_before_are_written(seed: int) -> None:
    spans = scale.simulate(stages_of(seed), seed=seed, **ROUGH).spans
    assert [span.began for span in spans] == [0.0, *(span.ended for span in spans[:-1])]


@pytest.mark.parametrize("seed", SEEDS)
def test_utilisation_is_a_share(seed: int) -> None:
    outcome = scale.simulate(stages_of(seed), seed=seed, **ROUGH)
    shares = [span.utilisation for span in outcome.spans] + list(outcome.pools().values())
    assert all(0 <= share <= 1 for share in shares)
    for span in outcome.spans:  # not by cutting it off
        assert span.busy <= span.stage.workers * (span.ended - span.began) + 1e-9


def test_same_seed_same_run_and_another_seed_another() -> None:
    first, again, other = (scale.simulate(stages_of(5), seed=seed, **ROUGH) for seed in (1, 1, 2))
    assert (first.wall, [s.done for s in first.spans]) == (again.wall, [s.done for s in again.spans])
    assert first.wall != other.wall


def test_the_file_system_is_a_bound() -> None:
    stages = stages_of(7, workers=1000)
    slow = scale.simulate(stages, bandwidth=0.5)
    assert slow.wall >= sum(float(stage.written.sum()) / 0.5 for stage in stages)


def test_a_shard_that_cannot_end_is_refused() -> None:
    stage = scale.Stage("long", "pool", 1, np.array([1e6]))
    with pytest.raises(ValueError, match="never ends"):
        scale.simulate([stage], mtbf=1.0)


@pytest.mark.parametrize("as_it_is", [True, False])
def test_storage_adds_up(as_it_is: bool) -> None:
    plan = replace(PLAN, as_it_is=as_it_is)
    size = scale.storage(plan, RUN)
    written = sum(float(stage.written.sum()) for stage in scale.stages_of(plan, RUN))
    assert written == pytest.approx(sum(size.values()) - size["failures"])
    # tables of other plans: nulls cost simulations only, candidates nothing that is kept of the subject
    more = scale.storage(replace(plan, nulls=9), RUN)
    assert more["simulations"] == pytest.approx(2 * size["simulations"])
    assert all(more[name] == size[name] for name in size if name != "simulations")
    assert scale.storage(replace(plan, units=2 * plan.units), RUN)["excerpts"] == 2 * size["excerpts"]


def test_shards_hold_every_unit_once() -> None:
    stages = {stage.name: stage for stage in scale.stages_of(PLAN, RUN)}
    assert len(stages["explain"].seconds) == len(stages["simulate"].seconds) == PLAN.shards == 20
    assert stages["simulate"].written.sum() == pytest.approx(3.0 * 960 * 5000 * 5)
    assert stages["corpus"].seconds.sum() == pytest.approx(1e6 / 4000)


def test_gpus_are_used_at_most_fully_and_requests_stay_below_the_limit() -> None:
    for plan in (
        PLAN,
        replace(PLAN, gpus=2),
        replace(PLAN, split=(16, 16, 32)),
        replace(PLAN, as_it_is=True),
    ):
        outcome = scale.outcome_of(plan, RUN)
        assert 0 < outcome.gpu_seconds() <= plan.gpus * outcome.wall
        explain = next(span.stage for span in outcome.spans if span.stage.name == "explain")
        slots = (plan.split[1] if plan.split else plan.gpus) * scale.ASSUMED["requests"].value
        assert explain.workers == 1 or explain.workers * plan.shard <= slots


def test_what_a_run_was_is_replayed_to_the_second() -> None:
    assert scale.simulate(scale.replayed(RUN)).wall == pytest.approx(RUN.wall)
    assert scale.simulate(scale.foretold(RUN, RUN)).wall == pytest.approx(RUN.wall)
    twice = replace(RUN, corpus_tokens=8000, evidences=32)
    assert scale.simulate(scale.foretold(RUN, twice)).wall == pytest.approx(RUN.wall + 1 + 2 + 3 + 4)


def test_seconds_of_a_ladder_are_those_of_level_0_and_scoring_counts_once() -> None:
    starts = [
        {"stage_seconds": {"capture": 1.0, "level 0: explain: a": 2.0, "level 0: score": 3.0}},
        {"stage_seconds": {"level 0: explain: a": 4.0, "level 0: score": 9.0, "planted: capture": 7.0}},
    ]
    seconds = scale._seconds(starts)
    assert (seconds["capture"], seconds["explain: a"], seconds["score"]) == (1.0, 6.0, 3.0)


def test_every_figure_says_where_it_comes_from() -> None:
    for figure in (*scale.ASSUMED.values(), *scale.HOST.values()):
        assert figure.value > 0
        assert math.isfinite(figure.value)
        assert figure.source
