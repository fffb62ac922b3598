"""NeuronRecord JSON of neuron-explainer, in and out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scrutable.pipeline.activation_records import read_records
from scrutable.pipeline.neuron_records import write_neuron_records
from scrutable.pipeline.records import Excerpt, Passage, Unit


def neuron(index: int = 7, *, n_top: int = 8, n_random: int = 6) -> dict[str, Any]:
    def record(strength: float) -> dict[str, Any]:
        return {"dataclass_name": "ActivationRecord", "tokens": ["a", " b"], "activations": [0.0, strength]}

    return {
        "dataclass_name": "NeuronRecord",
        "neuron_id": {"dataclass_name": "NeuronId", "layer_index": 3, "neuron_index": index},
        "random_sample": [record(0.1 * i) for i in range(n_random)],
        "random_sample_by_quantile": None,
        "quantile_boundaries": None,
        "mean": 0.1,
        "variance": 1.0,
        "skewness": 0.0,
        "kurtosis": 3.0,
        "most_positive_activation_records": [record(9.0 - i) for i in range(n_top)],
    }


def write(folder: Path, *neurons: dict[str, Any]) -> Path:
    for number, one in enumerate(neurons):
        (folder / f"{number}.json").write_text(json.dumps(one))
    return folder


def test_the_splits_are_those_of_the_demo_with_valid_counted_to_test(tmp_path: Path) -> None:
    found = read_records(write(tmp_path, neuron()), seed=0)
    by_id = {e.passage.id: e for e in found.excerpts["L3.N7"]}
    tops = ["explain", "calibrate", "test", "test"] * 2
    assert [by_id[f"top-{i}"].split for i in range(8)] == tops
    assert [by_id[f"random-{i}"].split for i in range(6)] == ["calibrate", "test", "test"] * 2
    assert [e.is_top for e in by_id.values()] == [True] * 8 + [False] * 6
    assert (found.units[0].layer, found.units[0].index) == (3, 7)


def test_random_records_stand_for_the_population_if_it_is_known_and_a_note_says_so_if_not(
    tmp_path: Path,
) -> None:
    folder = write(tmp_path, neuron())
    known, unknown = (read_records(folder, seed=0, population=n) for n in (600, None))
    assert {e.weight for e in known.excerpts["L3.N7"] if not e.is_top} == {100.0}
    assert {e.weight for e in known.excerpts["L3.N7"] if e.is_top} == {1.0}
    assert {e.weight for e in unknown.excerpts["L3.N7"]} == {1.0}
    assert known.notes == ()
    assert "top-and-random" in unknown.notes[0]


def test_a_neuron_that_comes_twice_is_named_and_the_first_is_used(tmp_path: Path) -> None:
    found = read_records(write(tmp_path, neuron(), neuron(n_top=2), neuron(8)), seed=0)
    assert [unit.id for unit in found.units] == ["L3.N7", "L3.N8"]
    assert len(found.excerpts["L3.N7"]) == 14
    (problem,) = found.problems
    assert problem.kind == "duplicate_unit"
    assert "1.json" in problem.detail
    assert "0.json" in problem.detail


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"neuron_id": 7}, "neuron_id 7: expected an object"),
        ({"neuron_id": {"layer_index": 3}}, "expected an object with layer_index and neuron_index"),
        ({"random_sample": {"a": 1}}, "random_sample: expected a list of objects"),
        ({"most_positive_activation_records": ["a"]}, "most_positive_activation_records: expected a list"),
    ],
)
def test_what_only_looks_like_a_neuron_record_is_named_and_the_rest_is_used(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    found = read_records(write(tmp_path, neuron(), neuron(8) | change), seed=0)
    assert [unit.id for unit in found.units] == ["L3.N7"]
    [problem] = found.problems
    assert problem.kind == "bad_neuron_record"
    assert says in problem.detail


def test_a_bad_activation_record_is_named_and_the_rest_is_used(tmp_path: Path) -> None:
    broken = neuron()
    broken["random_sample"][1]["activations"] = [1.0]
    found = read_records(write(tmp_path, broken), seed=0)
    assert len(found.excerpts["L3.N7"]) == 13
    assert "record 10: 2 tokens but 1 activations" in found.problems[0].detail


def an_excerpt(i: int, activations: tuple[float, ...], *, is_top: bool, weight: float = 1.0) -> Excerpt:
    tokens = tuple(f" w{t}" for t in range(len(activations)))
    return Excerpt(Passage(f"e{i}", tokens, 1), f"d{i}", "test", activations, weight, is_top)


def test_what_is_written_has_the_keys_and_order_that_neuron_explainer_reads(tmp_path: Path) -> None:
    unit = Unit("L3.N7.pos", 3, 7, "pos", 0.5, 8.0)
    excerpts = [
        an_excerpt(0, (9.0, 2.0, 0.0), is_top=True),
        an_excerpt(1, (0.0, 8.0, 0.0), is_top=True),
        an_excerpt(2, (0.0, 1.0, 0.0), is_top=False, weight=4.0),
    ]
    write_neuron_records(tmp_path, [unit], {unit.id: excerpts})
    written = json.loads((tmp_path / "3" / "7.json").read_text())
    assert set(written) == set(neuron())
    assert [r["activations"][1] for r in written["most_positive_activation_records"]] == [8.0, 2.0]
    assert [r["activations"][1] for r in written["random_sample"]] == [1.0]
    values, w = np.array([2.0, 0, 8, 0, 1, 0]), np.array([1, 1, 1, 1, 4, 4])
    mean = np.average(values, weights=w)
    assert written["mean"] == pytest.approx(mean)
    assert written["variance"] == pytest.approx(np.average((values - mean) ** 2, weights=w))


def test_what_is_written_is_read_back_with_the_splits_of_the_demo(tmp_path: Path) -> None:
    unit = Unit("L3.N7.pos", 3, 7, "pos", 0.5, 8.0)
    excerpts = [an_excerpt(i, (0.0, 9.0 - i, 0.0), is_top=True) for i in range(4)]
    write_neuron_records(tmp_path, [unit], {unit.id: excerpts})
    found = read_records(tmp_path, seed=0).excerpts["L3.N7"]
    assert [e.activations for e in found] == [e.activations for e in excerpts]
    assert [e.split for e in found] == ["explain", "calibrate", "test", "test"]


def test_moments_agree_with_known_ones(tmp_path: Path) -> None:
    """A fair coin: mean 1/2, variance 1/4, skewness 0, kurtosis 1."""
    unit = Unit("L0.N0.pos", 0, 0, "pos", 0.5, 1.0)
    write_neuron_records(tmp_path, [unit], {unit.id: [an_excerpt(0, (5.0, 0.0, 1.0), is_top=False)]})
    written = json.loads((tmp_path / "0" / "0.json").read_text())
    figures = [written[name] for name in ("mean", "variance", "skewness", "kurtosis")]
    assert figures == pytest.approx([0.5, 0.25, 0.0, 1.0])
