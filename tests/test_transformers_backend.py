"""The transformers backend on tiny random models, against plain forward passes and `generate`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from tiny_models import FAMILIES, save_tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer, MistralConfig

from scrutable.pipeline.backends.transformers import TransformersBackend, check_prompt
from scrutable.pipeline.errors import CapabilityError
from scrutable.pipeline.placement import Placement
from scrutable.pipeline.records import (
    CallFailure,
    Completion,
    Generate,
    Prompt,
    ReadChoice,
    ReadLabels,
)
from scrutable.pipeline.spelling import lead_ids

CPU = Placement("cpu", "float32")
LABELS = ("0", "9", "*")
TEXTS = ("a cat sat.", "The rain in Spain", "x", "1984, and then some more of it")
SHARED = ("Every word of the text is read. ", "Description: numbers\nText:")


class World(NamedTuple):
    path: Path
    backend: TransformersBackend
    model: Any
    tokenizer: Any


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Family to its tiny model, made once."""

    @cache
    def made(family: str) -> World:
        folder = tmp_path_factory.mktemp(family)
        if family == "mistral":
            save_sliding_model(folder)
        else:
            save_tiny_model(family, folder)
        spell_out(folder)
        return World(
            folder,
            fresh(folder),
            AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(),
            AutoTokenizer.from_pretrained(folder),
        )

    return made


@pytest.fixture(params=FAMILIES)
def world(worlds: Any, request: pytest.FixtureRequest) -> World:
    found: World = worlds(request.param)
    return found


@pytest.fixture
def llama(worlds: Any) -> World:
    found: World = worlds("llama")
    return found


def spell_out(folder: Path) -> None:
    """Decodes each token as its own letter, so that two generations look alike only if they are."""
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"decoder": None}))


def save_sliding_model(folder: Path) -> None:
    """A model that sees eight tokens back."""
    save_tiny_model("llama", folder)
    config = MistralConfig(
        vocab_size=259,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        sliding_window=8,
        eos_token_id=1,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)


def fresh(path: Path, batch_size: int = 16) -> TransformersBackend:
    return TransformersBackend(str(path), name="tiny", placement=CPU, batch_size=batch_size)


def reading(text: str, positions: Sequence[int], shared: tuple[str, ...] = SHARED) -> Prompt:
    return Prompt(shared=shared, text=text, read=ReadLabels(LABELS, tuple(positions)))


def readings(shared: tuple[str, ...] = SHARED) -> list[Prompt]:
    return [reading(text, range(1, len(text) + 1, 3), shared) for text in TEXTS]


def writing(text: str, shared: tuple[str, ...] = (), **fields: Any) -> Prompt:
    return Prompt(shared=shared, text=text, read=Generate(**{"max_tokens": 12} | fields))


def completed(answers: Sequence[Completion | CallFailure]) -> list[Completion]:
    assert all(isinstance(answer, Completion) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Completion)]


def logprobs(answers: Sequence[Completion | CallFailure]) -> torch.Tensor:
    """(R, L) of all prompts, one after another."""
    return torch.tensor([row for answer in completed(answers) for row in answer.label_logprobs])


def close(answers: torch.Tensor, expected: torch.Tensor, atol: float) -> None:
    torch.testing.assert_close(answers, expected, atol=atol, rtol=0)


@torch.inference_mode()
def read_plainly(world: World, prompts: Sequence[Prompt]) -> torch.Tensor:
    """The same log-probabilities from one forward pass for each prompt; a token is a byte."""
    labels = [world.tokenizer(label, add_special_tokens=False)["input_ids"][0] for label in LABELS]
    rows = []
    for prompt in prompts:
        assert isinstance(prompt.read, ReadLabels)
        ids = world.tokenizer(prompt.whole)["input_ids"]
        before = len(ids) - len(prompt.text)
        logits = world.model(torch.tensor([ids])).logits[0]
        rows += [logits[before + at - 1].log_softmax(-1)[labels] for at in prompt.read.positions]
    return torch.stack(rows)


@torch.inference_mode()
def write_plainly(world: World, prompt: Prompt) -> str:
    assert isinstance(prompt.read, Generate)
    ids = torch.tensor([world.tokenizer(prompt.whole)["input_ids"]])
    out = world.model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=prompt.read.max_tokens, do_sample=False
    )
    text: str = world.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
    return text


# label distributions


def test_batched_readings_are_those_of_a_plain_forward_pass_at_each_position(world: World) -> None:
    close(logprobs(world.backend(readings())), read_plainly(world, readings()), 1e-4)


def test_readings_are_probabilities_of_the_whole_vocabulary_and_not_of_the_labels_alone(llama: World) -> None:
    mass = logprobs(llama.backend(readings())).exp().sum(-1)
    assert ((mass > 0) & (mass < 1)).all()


def test_sharing_a_prefix_changes_nothing(world: World) -> None:
    whole = "".join(SHARED)
    unshared = [
        reading(whole + p.text, [len(whole) + at for at in p.read.positions], ())
        for p in readings()
        if isinstance(p.read, ReadLabels)
    ]
    close(logprobs(world.backend(readings())), logprobs(world.backend(unshared)), 1e-4)


def test_the_order_of_the_prompts_changes_nothing(world: World) -> None:
    prompts = readings()
    forwards, backwards = world.backend(prompts), world.backend(prompts[::-1])
    close(logprobs(forwards), logprobs(backwards[::-1]), 1e-5)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_size_of_a_batch_changes_nothing(llama: World, size: int) -> None:
    split = logprobs(llama.backend.in_batches_of(size)(readings()))
    close(split, logprobs(llama.backend(readings())), 1e-5)


def test_the_same_batch_gives_the_same_bits_whatever_was_asked_before(world: World) -> None:
    first = fresh(world.path)(readings())
    backend = fresh(world.path)
    backend([writing("something else", SHARED[:1])])
    for n in range(5):  # more prefixes than are kept
        backend([reading("x", [1], (f"prefix {n}", "and more"))])
    assert torch.equal(logprobs(backend(readings())), logprobs(first))
    assert torch.equal(logprobs(backend(readings())), logprobs(first))


def test_one_prefix_that_is_cut_in_two_ways_is_computed_in_two_ways(llama: World) -> None:
    whole, cut = ("abcdefgh",), ("abc", "defgh")
    first = logprobs(fresh(llama.path)([reading("x", [1], cut)]))
    backend = fresh(llama.path)
    backend([reading("x", [1], whole)])
    (answer,) = completed(backend([reading("x", [1], cut)]))
    assert torch.equal(logprobs([answer]), first)
    assert answer.cost.computed_tokens == len("abcdefghx")


def test_a_prefix_is_not_spoilt_by_the_prompts_that_follow_it(llama: World) -> None:
    first = logprobs(llama.backend(readings()))
    llama.backend([writing("a", SHARED, max_tokens=5), writing("bcd", SHARED, max_tokens=5)])
    assert torch.equal(logprobs(llama.backend(readings())), first)


def test_a_reading_before_the_first_token_stands_on_the_shared_part(world: World) -> None:
    prompts = [reading("abc", [0, 2]), reading("", [0])]
    close(logprobs(world.backend(prompts)), read_plainly(world, prompts), 1e-4)


def test_an_empty_shared_part_changes_nothing(llama: World) -> None:
    one = logprobs(llama.backend([reading("abc", [0, 2], ("shared", ""))]))
    close(one, logprobs(llama.backend([reading("abc", [0, 2], ("shared",))])), 1e-5)


def test_two_readings_at_one_place_are_the_same(llama: World) -> None:
    one, other = logprobs(llama.backend([reading("abc", [2, 2])]))
    assert torch.equal(one, other)


def test_a_reading_with_no_token_before_it_is_a_failure_and_not_a_number(llama: World) -> None:
    failed, answered = llama.backend([reading("abc", [0, 1], ()), reading("abc", [1], ())])
    assert isinstance(failed, CallFailure)
    assert failed.kind == "malformed"
    assert isinstance(answered, Completion)


def test_a_prompt_without_positions_gets_no_readings(llama: World) -> None:
    none, some = completed(llama.backend([reading("abc", []), reading("abc", [1])]))
    assert (len(none.label_logprobs), len(some.label_logprobs)) == (0, 1)


def test_prompts_with_other_labels_and_other_readings_mix_in_one_batch(llama: World) -> None:
    star = Prompt((), "abc", ReadLabels(("*",), (3,)))
    mixed = completed(llama.backend([star, writing("abc"), reading("abc", [3], ())]))
    assert mixed[0].label_logprobs[0][0] == pytest.approx(mixed[2].label_logprobs[0][2], abs=1e-5)
    assert mixed[1].text == write_plainly(llama, writing("abc"))


# text


@pytest.mark.parametrize("family", [*FAMILIES, "mistral"])
@pytest.mark.parametrize("shared", [(), SHARED], ids=["alone", "shared"])
def test_greedy_text_of_a_batch_of_different_lengths_is_that_of_generate(
    worlds: Any, family: str, shared: tuple[str, ...]
) -> None:
    world: World = worlds(family)
    prompts = [writing(text, shared) for text in TEXTS]
    texts = [answer.text for answer in completed(world.backend(prompts))]
    assert texts == [write_plainly(world, prompt) for prompt in prompts]


def test_text_ends_before_the_first_stop_string(llama: World) -> None:
    whole = write_plainly(llama, writing(TEXTS[0]))
    stop = whole[4:6]
    (answer,) = completed(llama.backend([writing(TEXTS[0], stop=("never written", stop))]))
    assert answer.text == whole[: whole.index(stop)]
    assert answer.stopped == "stop"
    assert answer.cost.generated_tokens < 12


def test_text_without_a_stop_string_ends_at_its_length(llama: World) -> None:
    (answer,) = completed(llama.backend([writing(TEXTS[0], max_tokens=5)]))
    assert (answer.stopped, answer.cost.generated_tokens) == ("length", 5)


def test_text_ends_where_the_model_ends_it(llama: World) -> None:
    backend = fresh(llama.path)
    with torch.inference_mode():
        ids = torch.tensor([llama.tokenizer(TEXTS[0])["input_ids"]])
        first = int(llama.model(ids).logits[0, -1].argmax())
    backend._model.generation_config.eos_token_id = [first]
    ended, other = completed(backend([writing(TEXTS[0]), writing(TEXTS[1])]))
    assert (ended.text, ended.stopped, ended.cost.generated_tokens) == ("", "stop", 0)
    assert other.cost.generated_tokens > 0


def test_sampled_text_depends_on_the_seed_and_not_on_the_rest_of_the_batch(llama: World) -> None:
    prompts = [writing(text, temperature=1.0, seed=1) for text in TEXTS]
    together = [answer.text for answer in completed(llama.backend(prompts))]
    alone = [completed(llama.backend([prompt]))[0].text for prompt in prompts]
    assert together == alone
    (reseeded,) = completed(llama.backend([writing(TEXTS[0], temperature=1.0, seed=2)]))
    assert reseeded.text != together[0]


# what does not work


def test_a_prompt_that_is_too_long_fails_in_its_place_and_the_others_are_answered(llama: World) -> None:
    limit = llama.model.config.max_position_embeddings
    long = "x" * (limit - 6)
    first, second, third = llama.backend(
        [writing("a"), writing(long, max_tokens=7), writing(long, max_tokens=6)]
    )
    assert isinstance(second, CallFailure)
    assert (second.kind, second.detail) == ("too_long", f"{limit - 6} tokens, but tiny takes {limit - 7}")
    completed([first, third])


def test_shared_parts_count_towards_the_length(llama: World) -> None:
    limit = llama.model.config.max_position_embeddings
    answers = llama.backend([reading("x", [1], ("y" * n,)) for n in (limit - 1, limit)])
    assert [isinstance(answer, CallFailure) for answer in answers] == [False, True]


def test_a_label_of_several_tokens_is_refused_with_the_models_name(llama: World) -> None:
    prompt = Prompt((), "abc", ReadLabels(("0", "10"), (1,)))
    with pytest.raises(CapabilityError, match="model tiny: the label '10' is 2 tokens"):
        llama.backend([prompt])
    with pytest.raises(CapabilityError, match="model tiny: the label '10' is 2 tokens"):
        check_prompt(str(llama.path), name="tiny", labels=("0", "10"), is_chat=False)
    check_prompt(str(llama.path), name="tiny", labels=LABELS, is_chat=False)


def test_a_chat_prompt_needs_a_chat_template(llama: World) -> None:
    with pytest.raises(CapabilityError, match="model tiny has no chat template"):
        llama.backend([Prompt((), "hello", Generate(max_tokens=3), is_chat=True)])
    with pytest.raises(CapabilityError, match="model tiny has no chat template"):
        check_prompt(str(llama.path), name="tiny", labels=(), is_chat=True)


def test_labels_cannot_be_read_inside_a_chat_message(llama: World) -> None:
    with pytest.raises(CapabilityError, match="inside a chat message"):
        llama.backend([Prompt((), "hello", ReadLabels(LABELS, (1,)), is_chat=True)])


def test_a_chat_prompt_is_sent_through_the_template(llama: World) -> None:
    backend = fresh(llama.path)
    backend._tokenizer.chat_template = "[{{ messages[0].role }}] {{ messages[0].content }} [model]"
    chat = Prompt(("be ", "brief: "), "hello", Generate(max_tokens=12), is_chat=True)
    (answer,) = completed(backend([chat]))
    assert answer.text == write_plainly(llama, writing("[user] be brief: hello [model]"))


@pytest.mark.parametrize("is_chat", [False, True])
def test_what_is_spelt_like_a_control_token_stays_text(llama: World, is_chat: bool) -> None:
    """Each byte is a token of the tiny model: "<eos>" would count as one if it ended the turn."""
    backend = fresh(llama.path)
    backend._tokenizer.chat_template = "<bos>{{ messages[0].content }}<eos>"
    asked = [
        Prompt((), f"words {end}", Generate(max_tokens=1), is_chat=is_chat) for end in ("<eos>", "(eos)")
    ]
    spelt, plain = backend.count_tokens(asked)
    assert spelt == plain == len("words <eos>") + 2 * is_chat


def test_a_chat_template_that_drops_the_message_is_refused(llama: World) -> None:
    backend = fresh(llama.path)
    backend._tokenizer.chat_template = "hello"
    with pytest.raises(CapabilityError, match="does not show a message once"):
        backend([Prompt((), "hello", Generate(max_tokens=3), is_chat=True)])


def test_nothing_asked_is_nothing_answered(llama: World) -> None:
    assert llama.backend([]) == []


# cost


def test_equal_prompts_are_computed_and_paid_for_once(llama: World) -> None:
    backend = fresh(llama.path)
    sampled = [Prompt((), f"tell {i % 2}", Generate(max_tokens=5, temperature=1.0, seed=3)) for i in range(5)]
    first, second, *again = completed(backend(sampled))
    assert [answer.text for answer in again] == [first.text, second.text, first.text]
    assert [answer.cost.computed_tokens + answer.cost.generated_tokens for answer in again] == [0, 0, 0]
    assert first.cost.generated_tokens > 0
    assert again[0].cost.prompt_tokens == first.cost.prompt_tokens


def test_shared_tokens_are_prompt_tokens_of_each_and_computed_once(llama: World) -> None:
    backend = fresh(llama.path)
    n_shared = len("".join(SHARED))
    first = [answer.cost for answer in completed(backend(readings()))]
    again = [answer.cost for answer in completed(backend(readings()))]

    assert [cost.prompt_tokens for cost in first] == [n_shared + len(text) for text in TEXTS]
    assert sum(cost.computed_tokens for cost in first) == n_shared + sum(map(len, TEXTS))
    assert sum(cost.computed_tokens for cost in again) == sum(map(len, TEXTS))


def test_counting_tokens_asks_nothing_and_agrees_with_the_cost(world: World) -> None:
    prompts = [*readings(), writing("abc", SHARED)]
    counted = world.backend.count_tokens(prompts)
    assert counted == [answer.cost.prompt_tokens for answer in completed(world.backend(prompts))]
    lead = len(world.tokenizer("")["input_ids"])  # a BOS token, or none
    assert counted == [lead + len(prompt.whole) for prompt in prompts]


def test_numbers_that_come_out_are_numbers(world: World) -> None:
    assert all(math.isfinite(value) for value in logprobs(world.backend(readings())).flatten().tolist())


def choosing(text: str, *labels: str, shared: tuple[str, ...] = (), **fields: Any) -> Prompt:
    return Prompt(shared=shared, text=text, read=ReadChoice(labels), **fields)


def likelihood(world: World, text: str, ending: str) -> float:
    """Natural-log probability of an ending after a text, by one plain forward pass."""
    lead = lead_ids(world.tokenizer)
    ids = [*lead, *world.tokenizer(text, add_special_tokens=False)["input_ids"]]
    more = world.tokenizer(ending, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logs = world.model(torch.tensor([[*ids, *more]])).logits[0].log_softmax(-1)
    return sum(float(logs[len(ids) - 1 + t, token]) for t, token in enumerate(more))


@pytest.mark.parametrize("labels", [("a", "b", "c"), ("yes", "no"), ("a", "maybe")])
@pytest.mark.parametrize("shared", [(), SHARED])
def test_choices_have_the_likelihood_of_their_texts(
    world: World, labels: tuple[str, ...], shared: tuple[str, ...]
) -> None:
    """Of one token or of several, alone or beside prompts of other lengths, after a shared part or none."""
    asked = [choosing(text, *labels, shared=shared) for text in TEXTS]
    for text, row in zip(TEXTS, logprobs(world.backend(asked)).tolist(), strict=True):
        whole = "".join(shared) + text
        assert row == pytest.approx([likelihood(world, whole, label) for label in labels], abs=1e-4)


def test_each_prompt_may_have_labels_of_its_own(llama: World) -> None:
    asked = [choosing("x", "cat", "dog"), choosing("y", "river", "sea", "hill")]
    first, second = completed(llama.backend(asked))
    assert first.label_logprobs[0] == pytest.approx(
        [likelihood(llama, "x", w) for w in ("cat", "dog")], abs=1e-4
    )
    expected = [likelihood(llama, "y", w) for w in ("river", "sea", "hill")]
    assert second.label_logprobs[0] == pytest.approx(expected, abs=1e-4)


def test_a_choice_is_read_where_the_answer_of_a_chat_begins(llama: World) -> None:
    backend = fresh(llama.path)
    backend._tokenizer.chat_template = "[{{ messages[0].role }}] {{ messages[0].content }} [model]"
    asked = choosing("brief", "a", "bc", shared=("be ",), is_chat=True, reply_start="So: ")
    (answer,) = completed(backend([asked]))
    whole = "[user] be brief [model]So: "
    assert answer.label_logprobs[0] == pytest.approx(
        [likelihood(llama, whole, w) for w in ("a", "bc")], abs=1e-4
    )


def test_labels_that_are_the_same_text_are_refused(llama: World) -> None:
    with pytest.raises(CapabilityError, match="not different"):
        llama.backend([choosing("x", "a", "a")])
