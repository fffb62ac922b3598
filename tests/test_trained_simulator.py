"""The trained simulator as a part of a run: an answer for each passage, costs, limits, provenance."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from tiny_models import save_tiny_model

from scrutable.evaluators.simulators.trained import TrainedSimulator
from scrutable.evaluators.trained.adapters import (
    ADAPTER_FILE,
    Shape,
    adapter_facts,
    adapter_folder,
    read_shape,
    shipped_bases,
)
from scrutable.evaluators.trained.reader import Reader
from scrutable.pipeline.config import SHIPPED, TrainConfig, load_config
from scrutable.pipeline.config import TrainedSimulator as TrainedConfig
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.placement import Placement
from scrutable.pipeline.protocols import LocatedModel, Services, SimulationJob
from scrutable.pipeline.records import Explanation, Failure, Passage, Simulation
from scrutable.pipeline.sections import ModelConfig

LEVELS = (0.0, 4.0, 9.0)
RED, LONG = Passage("p0", ("The", " red", " ship"), 1), Passage("p1", tuple(" word" for _ in range(12)), 2)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("qwen2", tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape = Shape("tiny", "digest", 2, 2, 4, LEVELS, "levels")
    reader = Reader(str(base), shape, Placement("cpu", "float32"))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in reader.trainable().values():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    folder = tmp_path_factory.mktemp("adapter")
    reader.save(folder)
    return folder


def simulator(base: Path, adapter: Path, *, batch_size: int = 8, window: int = 512) -> TrainedSimulator:
    def locate(_: ModelConfig) -> LocatedModel:
        return LocatedModel("tiny", str(base), {"digest": "digest"})

    def ask(_: ModelConfig) -> object:
        raise AssertionError("a trained simulator asks no language model")

    services = Services(locate=locate, ask=ask, seed=0)  # type: ignore[arg-type]
    config = TrainedConfig(
        model="tiny",
        adapter=str(adapter),
        dtype="float32",
        device="cpu",
        batch_size=batch_size,
        window=window,
    )
    return TrainedSimulator("trained", config, services)


def job(text: str, *passages: Passage, unit: str = "u0") -> SimulationJob:
    return SimulationJob(unit, Explanation(unit, "llm", "english", text), passages)


def test_one_simulation_for_each_passage_in_order_with_a_distribution_for_each_scored_token(
    base: Path, adapter: Path
) -> None:
    answers = simulator(base, adapter).simulate([job("colors", RED, LONG), job("dogs", LONG, unit="u1")])
    assert [(a.unit, a.excerpt) for a in answers if isinstance(a, Simulation)] == [
        ("u0", "p0"),
        ("u0", "p1"),
        ("u1", "p1"),
    ]
    for answer, passage in zip(answers, (RED, LONG, LONG), strict=True):
        assert isinstance(answer, Simulation)
        n = len(passage.tokens) - passage.n_context
        p = torch.tensor(answer.probabilities).reshape(n, len(LEVELS))
        torch.testing.assert_close(p.sum(-1), torch.ones(n), atol=1e-5, rtol=0)
        torch.testing.assert_close(
            p @ torch.tensor(LEVELS), torch.tensor(answer.expected), atol=1e-4, rtol=1e-4
        )


def test_the_size_of_a_batch_changes_nothing(base: Path, adapter: Path) -> None:
    jobs = [job("colors", RED, LONG), job("dogs", LONG, RED, unit="u1")]
    one, many = (simulator(base, adapter, batch_size=n).simulate(jobs) for n in (1, 8))
    for a, b in zip(one, many, strict=True):
        assert isinstance(a, Simulation)
        assert isinstance(b, Simulation)
        assert a.expected == pytest.approx(b.expected, abs=1e-4)


def test_an_explanation_of_two_units_is_computed_once_in_a_batch(base: Path, adapter: Path) -> None:
    jobs = [job("colors", RED), job("colors", LONG, unit="u1")]
    costs = [a.cost for a in simulator(base, adapter).simulate(jobs) if isinstance(a, Simulation)]
    shared = sum(c.prompt_tokens - c.computed_tokens for c in costs)
    alone = simulator(base, adapter).simulate(jobs[:1])
    assert isinstance(alone[0], Simulation)
    assert alone[0].cost.prompt_tokens == alone[0].cost.computed_tokens
    assert shared == costs[0].prompt_tokens - len("".join(RED.tokens)) - 1  # bytes, and the space in front


def test_a_passage_longer_than_the_window_is_read_in_windows_and_the_others_as_ever(
    base: Path, adapter: Path
) -> None:
    long = Passage("p2", tuple(f" w{n}" for n in range(300)), 3)
    jobs = [job("colors", RED, long)]
    red, whole = simulator(base, adapter, window=8192).simulate(jobs)
    same, windowed = simulator(base, adapter, window=256).simulate(jobs)
    assert isinstance(red, Simulation)
    assert isinstance(same, Simulation)
    assert isinstance(whole, Simulation)
    assert isinstance(windowed, Simulation)
    assert same.expected == pytest.approx(red.expected, abs=1e-4)
    assert len(windowed.expected) == len(whole.expected) == 297
    in_first = 256 // 5 - 3  # pieces of at most five bytes, less the context
    assert windowed.expected[:in_first] == pytest.approx(whole.expected[:in_first], abs=1e-4)
    assert windowed.expected[-1] != pytest.approx(whole.expected[-1], abs=1e-4)
    assert windowed.cost.computed_tokens > whole.cost.computed_tokens


def test_an_endless_passage_is_read_to_its_end(base: Path, adapter: Path) -> None:
    endless = Passage("p2", tuple(" word" for _ in range(2000)), 0)  # more than the base can read at once
    [answer] = simulator(base, adapter).simulate([job("colors", endless)])
    assert isinstance(answer, Simulation)
    assert len(answer.expected) == 2000


def test_a_token_longer_than_a_window_is_read_where_it_ends(base: Path, adapter: Path) -> None:
    lines = Passage("p2", (" a", "-" * 600, " b"), 0)  # windows in the middle of it read nothing
    [answer] = simulator(base, adapter, batch_size=1, window=64).simulate([job("colors", lines)])
    assert isinstance(answer, Simulation)
    assert len(answer.expected) == 3


def test_an_explanation_that_fills_the_context_is_a_failure_and_the_others_are_read(
    base: Path, adapter: Path
) -> None:
    answers = simulator(base, adapter).simulate(
        [job("colors " * 2000, RED, LONG), job("colors " * 200, RED, unit="u1")]
    )
    assert [type(answer) for answer in answers] == [Failure, Failure, Simulation]
    assert isinstance(answers[0], Failure)
    assert answers[0].kind == "too_long"
    assert "the explanation has 14" in answers[0].detail
    assert "tiny takes 8192 together with the text" in answers[0].detail


def test_the_prompts_are_what_is_read(base: Path, adapter: Path) -> None:
    [prompt] = simulator(base, adapter).prompts([job("colors", RED)])
    assert prompt.whole == "Description: colors\nText: The red ship"


def test_an_adapter_that_is_not_there_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="scrutable simulator train"):
        adapter_folder("tiny", str(tmp_path))
    with pytest.raises(ConfigError, match="no adapter for tiny comes with the package"):
        adapter_folder("tiny", SHIPPED)


def test_an_adapter_on_other_weights_is_said_so(base: Path, adapter: Path) -> None:
    same, other = (
        adapter_facts(adapter, LocatedModel("tiny", str(base), {"digest": digest, "note": "4-bit"}))
        for digest in ("digest", "another")
    )
    assert "note" not in same
    assert other["note"] == "4-bit; not the weights that the adapter was trained on (tiny)"
    assert other["adapter_digest"] == same["adapter_digest"]


def test_what_is_shipped_is_small_and_says_where_it_comes_from() -> None:
    assert shipped_bases()
    for name in shipped_bases():
        folder = adapter_folder(name, SHIPPED)
        assert (folder / ADAPTER_FILE).stat().st_size <= 12_000_000
        assert {"LICENSE.md", "recipe.yaml", "training.json"} <= {path.name for path in folder.iterdir()}
        training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        digest = hashlib.sha256((folder / ADAPTER_FILE).read_bytes()).hexdigest()
        assert training["adapter"]["adapter_digest"] == digest
        first = json.loads((folder / "training-first.json").read_text(encoding="utf-8"))
        assert training["start"] == first["adapter"]


def test_the_recipes_of_what_is_shipped_are_configs_of_one_shape() -> None:
    for name in shipped_bases():
        folder = adapter_folder(name, SHIPPED)
        recipes = [load_config(folder / f"{recipe}.yaml") for recipe in ("recipe-first", "recipe")]
        shape = read_shape(folder)
        for recipe in recipes:
            assert isinstance(recipe, TrainConfig)
            assert (recipe.base.model, recipe.layers, recipe.rank) == (shape.base, shape.layers, shape.rank)
        assert isinstance(recipes[1], TrainConfig)
        assert recipes[1].start == f"runs/{recipes[0].name}/adapter"
