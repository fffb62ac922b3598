"""An author opened up: what patching, attribution and activations mean, in every family of models."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import FAMILIES, LAYERS, WIDTH, save_tiny_model
from transformers import AutoModelForCausalLM

from scrutable.pipeline.errors import CapabilityError
from scrutable.pipeline.placement import Placement
from scrutable.pipeline.protocols import Written
from scrutable.pipeline.records import Generate, Prompt
from scrutable.pipeline.recursion.jobs import Draft, counterfactual_of, task_of, trace_job
from scrutable.pipeline.recursion.protocols import NodePatch, Task
from scrutable.pipeline.subjects.writing import WritingModel, check_traceable

SHARED = "Feature 1: the <<cat>>\nExplanation: cats\n"
N_NODES = 2 * LAYERS * WIDTH
ALL = np.arange(N_NODES)


def written(*excerpts: str) -> Written:
    """A prompt with a line for each excerpt, and a list of words after them."""
    text, spans = "", []
    for excerpt in excerpts[:-1]:
        spans.append((len(text) + 2, len(text) + 2 + len(excerpt)))
        text += f"- {excerpt}\n"
    spans.append((len(text) + 7, len(text) + 7 + len(excerpts[-1])))
    text += f"Words: {excerpts[-1]}\nExplanation:"
    return Written(Prompt((SHARED,), text, Generate(8)), tuple(spans))


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> WritingModel:
    path = save_tiny_model(request.param, tmp_path_factory.mktemp(request.param))
    return WritingModel(str(path), name=request.param, placement=Placement("cpu", "float32"), provenance={})


@pytest.fixture(scope="module")
def task(model: WritingModel) -> Task:
    own = model.read(written("a red <<boat>> sank", "the <<ship>> left", "boat, ship"))
    other = model.read(written("in <<1984>> he came", "until <<2001>> or so", "1984, 2001"))
    found = counterfactual_of(own, other)
    assert found is not None
    reply = model.tokens(" words for vessels").ids
    is_content = tuple(n % 3 != 0 for n in range(len(reply)))
    return Task(own.prefix, own.ids, found, reply, is_content, own.spans)


def content(model: WritingModel, task: Task, *, is_counterfactual: bool = False) -> float:
    each = model.likelihoods(task, is_counterfactual=is_counterfactual)
    return float(each[list(task.content)].sum())


def test_a_prompt_is_read_as_the_tokens_of_its_pieces(model: WritingModel) -> None:
    prompt = written("a red <<boat>> sank", "boat")
    read = model.read(prompt)
    assert "".join(read.pieces) == prompt.prompt.text
    assert "".join(read.prefix_pieces).removeprefix("<bos>") == SHARED
    shown = ["".join(read.pieces[start:stop]).strip() for start, stop in read.spans]
    assert shown == ["a red <<boat>> sank", "boat"]


def test_likelihoods_are_those_of_the_whole_text_without_a_cache(model: WritingModel, task: Task) -> None:
    ids = [*task.prefix, *task.prompt, *task.reply]
    path = model._tokenizer.name_or_path
    whole = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = whole(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    n = len(task.reply)
    expected = logits[-n - 1 : -1].gather(-1, torch.tensor(task.reply)[:, None])[:, 0]
    np.testing.assert_allclose(model.likelihoods(task, is_counterfactual=False), expected.numpy(), atol=1e-4)


def test_the_counterfactual_has_the_same_length_and_differs_in_the_spans_alone(task: Task) -> None:
    inside = {t for start, stop in task.spans for t in range(start, stop)}
    assert len(task.counterfactual) == len(task.prompt)
    pairs = enumerate(zip(task.prompt, task.counterfactual, strict=True))
    assert all(a == b for t, (a, b) in pairs if t not in inside)
    assert task.prompt != task.counterfactual


def test_patching_nothing_changes_nothing_and_own_values_neither(model: WritingModel, task: Task) -> None:
    clean = content(model, task)
    own = model.activations(task, model.unit_ids())[: len(task.prompt) + len(task.reply) - 1]
    nothing, same = model.patched(task, [NodePatch(ALL[:0]), NodePatch(ALL, own)])
    assert nothing == pytest.approx(clean, abs=1e-4)
    assert same == pytest.approx(clean, abs=1e-3)


def test_all_nodes_at_all_positions_are_all_sites_together(model: WritingModel, task: Task) -> None:
    """Every MLP node at its counterfactual value, and every exemplar position: what is left is attention."""
    everything = model.patched(task, [NodePatch(ALL)])[0]
    n = len(task.prompt) + len(task.reply) - 1
    whole = task._replace(spans=((0, n),))
    assert model.patched_site(whole, "mlp_exemplars") == pytest.approx(everything, abs=1e-3)


def test_a_node_without_a_known_value_takes_its_counterfactual_one(model: WritingModel, task: Task) -> None:
    some = ALL[5:20]
    unknown = np.full((len(task.prompt) + len(task.reply) - 1, len(some)), np.nan, dtype=np.float32)
    plain, nans = model.patched(task, [NodePatch(some), NodePatch(some, unknown)])
    assert nans == pytest.approx(plain, abs=1e-4)


def test_the_other_half_of_a_neuron_stays_what_it_is(model: WritingModel, task: Task) -> None:
    """Both halves patched is not the sum of each alone, and each alone leaves the other in place."""
    own = model.activations(task, model.unit_ids())[: len(task.prompt) + len(task.reply) - 1]
    pos, neg = ALL[:WIDTH], ALL[WIDTH : 2 * WIDTH]
    halves = model.patched(task, [NodePatch(pos, own[:, pos]), NodePatch(neg, own[:, neg])])
    assert halves == pytest.approx([content(model, task)] * 2, abs=1e-3)


def test_patches_of_one_batch_do_not_touch_each_other(model: WritingModel, task: Task) -> None:
    patches = [NodePatch(ALL[start : start + 7]) for start in range(0, N_NODES, 7)]
    together = model.patched(task, patches)
    alone = [model.patched(task, [patch])[0] for patch in patches]
    assert together == pytest.approx(alone, abs=1e-3)


def test_attribution_is_the_slope_of_patching(model: WritingModel, task: Task) -> None:
    """A small step from a node's own value towards its counterfactual one costs that share of it."""
    n = len(task.prompt) + len(task.reply) - 1
    swapped = task._replace(prompt=task.counterfactual, counterfactual=task.prompt)
    own, other = (model.activations(t, model.unit_ids())[:n] for t in (task, swapped))
    step, clean = 0.01, content(model, task)
    screen = model.screen(task)
    strongest = np.argsort(-np.abs(screen.content))[:8]
    for node in strongest:
        values = own[:, [node]] + step * (other[:, [node]] - own[:, [node]])
        # A node that is silent at a token stays on its own side of 0 under so small a step.
        lost = (clean - model.patched(task, [NodePatch(np.array([node]), values)])[0]) / step
        assert lost == pytest.approx(float(screen.content[node]), rel=0.15, abs=0.02)


def test_format_nodes_are_those_that_hurt_under_both_prompts(model: WritingModel, task: Task) -> None:
    swapped = task._replace(prompt=task.counterfactual, counterfactual=task.prompt)
    one, other = model.screen(task).format, model.screen(swapped).format
    np.testing.assert_allclose(one, other, atol=1e-3)
    assert one.shape == (N_NODES,)


def test_attention_is_patched_where_a_model_has_an_output_projection(model: WritingModel, task: Task) -> None:
    found = model.patched_site(task, "attention_exemplars")
    assert math.isnan(found) if model.name == "gpt2" else math.isfinite(found)


def test_activations_know_the_whole_prompt_and_those_of_a_text_alone_do_not(
    model: WritingModel, task: Task
) -> None:
    units = model.unit_ids()
    running = model.activations(task, units)
    lead = 1 if model.name == "gemma3" else 0
    alone = model.alone([(*task.prefix[lead:], *task.prompt, *task.reply)], units)[0]
    np.testing.assert_allclose(running, alone[len(task.prefix) - lead :], atol=1e-3)
    short = model.alone([task.reply, task.reply], units)[1]
    assert np.abs(short - running[-len(task.reply) :]).max() > 1e-2


def test_a_job_keeps_all_that_is_needed_to_run_it_again(model: WritingModel) -> None:
    from scrutable.pipeline.records import Explanation

    drafts = [
        Draft(
            Explanation(unit, "author", "english", "words", reply=" words\n"),
            model.read(written(f"a <<{word}>> here", word)),
        )
        for unit, word in (("L0.N1.pos", "boat"), ("L0.N2.pos", "1984"))
    ]
    job = trace_job(*drafts, model, level=1, seed=3, gap=-100.0, random=model.likelihoods)
    assert job.random_gap == pytest.approx(job.gap)
    assert (job.unit, job.matched, job.seed, job.precision) == ("L0.N1.pos", "L0.N2.pos", 3, "float32")
    task = task_of(job, model)
    clean = model.likelihoods(task, is_counterfactual=False)
    assert clean.sum() == pytest.approx(job.likelihood, abs=1e-4)
    lost = clean - model.likelihoods(task, is_counterfactual=True)
    assert (lost.sum(), sum(task.content)) == (pytest.approx(job.gap, abs=1e-4), job.n_content)


def test_a_job_below_the_gap_is_gated_out_and_says_so(model: WritingModel) -> None:
    from scrutable.pipeline.records import Explanation

    read = model.read(written("a <<boat>> here", "boat"))
    same = Draft(Explanation("L0.N1.pos", "author", "english", "words", reply=" words"), read)
    job = trace_job(same, same, model, level=1, seed=0, gap=5.0)
    assert (job.is_gated, job.gap) == (False, pytest.approx(0.0, abs=1e-4))
    assert "fewer than 5" in job.reason
    nobody = trace_job(same, None, model, level=1, seed=0, gap=5.0)
    assert nobody.reason == "no unit to match it with"
    assert math.isnan(nobody.gap)


def test_a_model_without_readable_neurons_cannot_be_looked_into(tmp_path: Path) -> None:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, vocab_size=64
    )
    GPTNeoXForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(CapabilityError, match=r"cannot be looked into; list it under recursion\.text_only"):
        check_traceable(str(tmp_path), name="neox")
    check_traceable(str(save_tiny_model("llama", tmp_path / "llama")), name="llama")
