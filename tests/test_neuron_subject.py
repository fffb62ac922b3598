"""Neurons are read where the model computes them, in every family, and capture agrees with traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import FAMILIES, LAYERS, WIDTH, save_tiny_model
from transformers import AutoModelForCausalLM

from scrutable.pipeline.capture import capture
from scrutable.pipeline.errors import CapabilityError, ConfigError
from scrutable.pipeline.placement import Placement
from scrutable.pipeline.records import SPLITS, Document
from scrutable.pipeline.sampling import SamplingPlan
from scrutable.pipeline.subjects.neuron import NeuronSubject, pieces_of
from scrutable.pipeline.windows import Windows, WindowsBuilder

TEXTS = [
    "The cat sat on the mat.",
    "Über 40 naïve 🦆 ducks\nswim.",
    "x",
    "In 1987 a red boat sank off Malta, 東京.",
] * 4
PLAN = SamplingPlan(top=dict.fromkeys(SPLITS, 3), per_stratum=dict.fromkeys(SPLITS, 2), pilot=4)


def subject_of(family: str, folder: Path, **changes: object) -> NeuronSubject:
    path = save_tiny_model(family, folder)
    options = {"placement": Placement("cpu", "float32"), "batch_size": 4, "provenance": {}} | changes
    return NeuronSubject(str(path), name=family, **options)


def windows_of(subject: NeuronSubject) -> Windows:
    builder = WindowsBuilder(length=12, skip=2)
    for number, (text, tokens) in enumerate(zip(TEXTS, subject.tokenize(TEXTS), strict=True)):
        builder.add(Document(f"d{number}", text, SPLITS[number % 3]), tokens.ids, tokens.pieces)
    return builder.build()


@pytest.fixture(scope="module", params=FAMILIES)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NeuronSubject:
    return subject_of(request.param, tmp_path_factory.mktemp(request.param))


def reference_activations(folder: str, ids: list[int]) -> list[np.ndarray]:
    """What enters each down projection, by replacing it with a recorder."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    seen: list[np.ndarray] = []
    for path, module in model.named_modules():
        if path.endswith(("mlp.down_proj", "mlp.c_proj")):
            forward = module.forward

            def record(x: torch.Tensor, forward: Any = forward) -> torch.Tensor:
                seen.append(x[0].detach().numpy())
                return forward(x)

            module.forward = record
    with torch.no_grad():
        model(input_ids=torch.tensor([ids]))
    return seen


def test_traces_are_the_input_of_the_down_projection_rectified_by_sign(subject: NeuronSubject) -> None:
    windows = windows_of(subject)
    units = ["L0.N3.pos", "L0.N3.neg", "L1.N23.pos", "L1.N0.neg"]
    lead = list(subject.provenance["leading_tokens"])
    for window, trace in subject.traces(windows, range(len(windows)), units):
        ids = lead + windows.token_ids(window).tolist()
        read = reference_activations(subject.tokenizer.name_or_path, ids)
        first, second = (a[len(lead) :] for a in read)
        expected = np.stack([first[:, 3], -first[:, 3], second[:, 23], -second[:, 0]], axis=1).clip(0)
        np.testing.assert_allclose(trace, expected, atol=1e-4)


def test_capture_agrees_with_traces_of_every_window(subject: NeuronSubject) -> None:
    windows = windows_of(subject)
    captured = capture(subject.sampler(PLAN), windows, batch_size=4, seed=0)
    units = subject.unit_ids()
    assert [unit.id for unit in captured.units] == units
    assert len(units) == LAYERS * WIDTH * 2
    scored = {
        window: trace[windows.n_context[window] :]
        for window, trace in subject.traces(windows, range(len(windows)), units)
    }
    every = np.concatenate(list(scored.values()))  # (tokens, U): no context token among them
    assert len(every) == windows.n_scored
    maxima = [unit.max_activation for unit in captured.units]
    np.testing.assert_allclose(maxima, every.max(0), atol=1e-4)
    fires = every.max(0) > 0
    densities = np.array([unit.density for unit in captured.units])
    assert np.isnan(densities[~fires]).all()
    expected = every.mean(0)[fires] ** 2 / (every**2).mean(0)[fires]
    np.testing.assert_allclose(densities[fires], expected, rtol=1e-3)
    for s, split in enumerate(SPLITS):
        members = np.flatnonzero(windows.split == s)
        assert (captured.population[s].sum(-1) == len(members)).all()
        peaks = np.stack([scored[w].max(0) for w in members])  # (windows of the split, U)
        for u in range(0, len(units), 17):
            sample = captured.sampled(units[u], split, top=3, per_stratum=2)
            kept = [float(scored[w].max(0)[u]) for w in sample.windows[: sample.n_top]]
            strongest = np.sort(peaks[:, u])[::-1]
            expected = strongest[strongest > 0][:3]
            np.testing.assert_allclose(kept, expected, atol=1e-4)
            assert sum(sample.weights) == pytest.approx(len(members))


def test_an_interrupted_capture_goes_on_to_the_same_result(tmp_path: Path) -> None:
    subject = subject_of("llama", tmp_path)
    windows = windows_of(subject)
    whole = capture(subject.sampler(PLAN), windows, batch_size=4, seed=0)
    states: dict[int, dict[str, np.ndarray]] = {}
    first = subject.sampler(PLAN)

    class Killed(Exception):
        pass

    def stop_after_three(done: int) -> None:
        states[done] = {name: array.copy() for name, array in first.state().items()}
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        capture(first, windows, batch_size=4, seed=0, after_batch=stop_after_three)
    second = subject.sampler(PLAN)
    second.restore(states[3])
    resumed = capture(second, windows, batch_size=4, seed=0, done=3)
    assert resumed.units == whole.units
    for name, array in whole.arrays().items():
        assert np.array_equal(array, resumed.arrays()[name]), name


def test_only_positive_neurons_where_the_config_asks_for_them(tmp_path: Path) -> None:
    subject = subject_of("gpt2", tmp_path, signs=("pos",))
    assert len(subject.unit_ids()) == LAYERS * WIDTH
    with pytest.raises(ConfigError, match=r"L0\.N1\.neg"):
        subject.check_units(["L0.N1.neg"])


@pytest.mark.parametrize("unit", ["L9.N0.pos", "L0.N99.pos", "L0/N1/pos", "neuron 3"])
def test_a_unit_that_the_subject_does_not_have_is_refused_by_name(unit: str, subject: NeuronSubject) -> None:
    with pytest.raises(ConfigError, match=unit.replace("/", ".")):
        subject.check_units([unit])


def test_a_model_without_such_an_mlp_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scrutable.pipeline.subjects.neuron.HOOK_NAMES", ("no_such_module",))
    with pytest.raises(CapabilityError, match="neurons cannot be read"):
        subject_of("llama", tmp_path)


@pytest.mark.parametrize("text", ["a🦆b", "東京 tower", "naïve\n\ttext", ""])
def test_pieces_join_to_the_text_though_characters_are_split_over_tokens(
    text: str, subject: NeuronSubject
) -> None:
    [tokens] = subject.tokenize([text])
    assert "".join(tokens.pieces) == text
    assert len(tokens.ids) == len(tokens.pieces) == len(text.encode())


def test_a_character_of_several_tokens_goes_to_its_last_token() -> None:
    assert pieces_of("a🦆b", [1, 2, 2, 2, 2, 3]) == ("a", "", "", "", "🦆", "b")


# what a unit does to outputs, and activations on new text


def test_activations_on_new_text_are_those_of_the_traces(subject: NeuronSubject) -> None:
    units, text = ["L0.N3.pos", "L1.N0.neg"], TEXTS[0]
    [found] = subject.activations([text], units)
    ids = [*subject.provenance["leading_tokens"], *subject.tokenize([text])[0].ids]
    a0, a1 = reference_activations(subject.tokenizer.name_or_path, ids)
    n_lead = len(subject.provenance["leading_tokens"])
    expected = np.stack([np.maximum(a0[n_lead:, 3], 0), np.maximum(-a1[n_lead:, 0], 0)], axis=1)
    assert found == pytest.approx(expected, abs=1e-5)


def next_token(subject: NeuronSubject, text: str, change: Any) -> np.ndarray:
    """(T, V) log-probabilities, with `change` applied by hand to the input of layer 1's down projection."""
    model = AutoModelForCausalLM.from_pretrained(subject.tokenizer.name_or_path, dtype=torch.float32).eval()
    [module] = [m for path, m in model.named_modules() if path.endswith(("1.mlp.down_proj", "1.mlp.c_proj"))]
    forward = module.forward
    module.forward = lambda x: forward(change(x.clone()))
    lead = list(subject.provenance["leading_tokens"])
    ids = torch.tensor([[*lead, *subject.tokenize([text])[0].ids]])
    with torch.no_grad():
        return model(input_ids=ids).logits[0, len(lead) :].log_softmax(-1).numpy()


@pytest.mark.parametrize("sign", ["pos", "neg"])
def test_effects_are_differences_of_log_probabilities(subject: NeuronSubject, sign: str) -> None:
    text, factor = TEXTS[0], 1.0 if sign == "pos" else -1.0

    def steer(x: torch.Tensor) -> torch.Tensor:
        x[:, -1, 5] = factor * 3.0
        return x

    def ablate(x: torch.Tensor) -> torch.Tensor:
        x[:, :, 5] = torch.where(factor * x[:, :, 5] > 0, 0.0, x[:, :, 5])
        return x

    clean = next_token(subject, text, lambda x: x)
    effects = subject.effects(f"L1.N5.{sign}", [text], level=3.0)
    assert effects.steered == pytest.approx((next_token(subject, text, steer) - clean)[-1], abs=1e-4)
    assert effects.ablated == pytest.approx((next_token(subject, text, ablate) - clean).mean(0), abs=1e-4)
    assert len(effects.words) == len(effects.steered)


def test_a_read_of_effects_leaves_the_model_as_it_was(subject: NeuronSubject) -> None:
    [before] = subject.activations(TEXTS[:1], ["L1.N5.pos"])
    subject.effects("L0.N5.pos", TEXTS[:1], level=9.0)
    [after] = subject.activations(TEXTS[:1], ["L1.N5.pos"])
    assert np.array_equal(before, after)


def test_random_weights_have_the_shape_of_the_model_and_depend_on_the_seed(tmp_path: Path) -> None:
    trained = subject_of("llama", tmp_path)
    one, same, other = (subject_of("llama", tmp_path, random_seed=seed) for seed in (0, 0, 1))
    assert one.widths == trained.widths
    found = [s.activations(TEXTS[:1], ["L1.N5.pos", "L1.N5.neg"])[0] for s in (trained, one, same, other)]
    assert np.array_equal(found[1], found[2])
    assert not np.allclose(found[0], found[1])
    assert not np.allclose(found[1], found[3])
    assert one.provenance["weights"] == "random, seed 0"
