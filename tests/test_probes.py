"""Probes: embeddings are the model's own, a linear unit is found, and what is written is read back."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import FAMILIES, save_tiny_model
from toy_excerpts import excerpt
from transformers import AutoModelForCausalLM

from scrutable.pipeline.errors import CapabilityError, ParseError
from scrutable.pipeline.probes import Embeddings, Probe, fit_probe, read_probe
from scrutable.pipeline.records import Excerpt

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Embeddings:
    return Embeddings(str(save_tiny_model("llama", tmp_path_factory.mktemp("probed"))), name="tiny")


def test_embeddings_are_the_rows_of_the_models_input_matrix(folder: Path) -> None:
    embeddings = Embeddings(str(folder), name="tiny")
    matrix = AutoModelForCausalLM.from_pretrained(folder).get_input_embeddings().weight.detach().numpy()
    (row,) = embeddings.of(["a"])
    np.testing.assert_allclose(row, matrix[embeddings._tokenizer.convert_tokens_to_ids("a")], rtol=1e-6)
    assert embeddings.width == matrix.shape[1] == 16


def test_a_text_of_several_tokens_has_their_mean_and_one_of_none_is_zero(llama: Embeddings) -> None:
    a, b, both, none = llama.of(["a", "b", "ab", ""])
    np.testing.assert_allclose(both, (a + b) / 2)
    assert not none.any()
    assert llama.of([]).shape == (0, 16)


def test_a_folder_without_an_embedding_matrix_is_refused_by_name(llama: Embeddings, tmp_path: Path) -> None:
    llama._tokenizer.save_pretrained(tmp_path)
    with pytest.raises(CapabilityError, match="tiny: no embed_tokens"):
        Embeddings(str(tmp_path), name="tiny")


def linear_unit(llama: Embeddings, *, noise: float, seed: int = 0) -> list[Excerpt]:
    """Activation is a fixed direction of the embedding, and some noise."""
    source = random.Random(seed)
    direction = np.linspace(-1, 1, 16)
    made = []
    for i in range(12):
        tokens = [source.choice(LETTERS) for _ in range(25)]
        values = (llama.of(tokens) @ direction + 5).tolist()
        made.append(
            excerpt(tokens, [v + noise * source.gauss(0, 1) for v in values], id=f"e{i}", n_context=3)
        )
    return made


@pytest.mark.parametrize(("noise", "least"), [(0.0, 0.999), (1.0, 0.9)])
def test_a_linear_unit_is_found(llama: Embeddings, noise: float, least: float) -> None:
    probe = fit_probe(linear_unit(llama, noise=noise), llama)
    assert probe is not None
    truth = llama.of(list(LETTERS)) @ np.linspace(-1, 1, 16) + 5
    found = probe.predict(llama.of(list(LETTERS)))
    assert 1 - np.mean((found - truth) ** 2) / np.var(truth) > least


def test_noise_alone_is_shrunk_to_about_nothing(llama: Embeddings) -> None:
    source = random.Random(3)
    pure = [
        excerpt([source.choice(LETTERS) for _ in range(30)], [source.random() for _ in range(30)], id=f"e{i}")
        for i in range(10)
    ]
    probe = fit_probe(pure, llama)
    assert probe is not None
    assert np.std(probe.predict(llama.of(list(LETTERS)))) < 0.1  # of noise with a deviation of 0.29


def test_the_mean_of_the_predictions_is_the_weighted_mean_of_the_unit(llama: Embeddings) -> None:
    shown = [excerpt(list("aab"), [1, 2, 6], weight=5.0), excerpt(list("bcd"), [0, 4, 4], id="e1")]
    probe = fit_probe(shown, llama)
    assert probe is not None
    predicted = [5 * probe.predict(llama.of(list("aab"))).sum(), probe.predict(llama.of(list("bcd"))).sum()]
    assert sum(predicted) / 18 == pytest.approx((5 * 9 + 8) / 18)


@pytest.mark.parametrize("shown", [[], [excerpt(["a"], [1.0])], [excerpt(list("abc"), [2.0, 2.0, 2.0])]])
def test_a_unit_that_does_not_depend_on_the_token_has_no_probe(
    llama: Embeddings, shown: list[Excerpt]
) -> None:
    assert fit_probe(shown, llama) is None


@given(NUMBERS, NUMBERS, st.lists(st.integers(-127, 127), max_size=20))
def test_reading_a_written_probe_gives_it_back(scale: float, intercept: float, weights: list[int]) -> None:
    read = read_probe(Probe(scale, intercept, np.array(weights, dtype=np.int8)).write())
    assert (read.scale, read.intercept, read.weights.tolist()) == (scale, intercept, weights)


def test_a_weight_takes_a_byte(llama: Embeddings) -> None:
    probe = fit_probe(linear_unit(llama, noise=0.0), llama)
    assert probe is not None
    assert probe.weights.dtype == np.int8
    assert np.abs(probe.weights).max() == 127
    assert len(json.loads(probe.write())["weights"]) == 24  # base64 of 16 bytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"scale": 1, "intercept": 0}',
        '{"scale": 1, "intercept": 0, "weights": "AA==", "more": 0}',
        '{"scale": "1", "intercept": 0, "weights": "AA=="}',
        '{"scale": NaN, "intercept": 0, "weights": "AA=="}',
        '{"scale": 1, "intercept": 0, "weights": "A"}',
        '{"scale": 1, "intercept": 0, "weights": "é"}',
        '{"scale": 1, "intercept": 0, "weights": 7}',
        "[" * 100_000,
    ],
)
def test_what_is_no_probe_is_a_parse_error(text: str) -> None:
    with pytest.raises(ParseError, match="not a probe"):
        read_probe(text)
