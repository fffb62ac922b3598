"""What a server shows decides how it is asked; what it sends is checked before it is believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from toy_server import MODEL, ToyServer

from scrutable.pipeline.backends import client as client_module
from scrutable.pipeline.backends.client import Client
from scrutable.pipeline.backends.openai import OpenAIBackend
from scrutable.pipeline.backends.probe import Capabilities, probe
from scrutable.pipeline.errors import CapabilityError, EndpointError
from scrutable.pipeline.records import CallFailure, Completion, Generate, Prompt, ReadChoice, ReadLabels
from scrutable.pipeline.sections import ServerConfig


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_PAUSE", 0.01)


@pytest.fixture
def server() -> Iterator[ToyServer]:
    with ToyServer() as running:
        yield running


def probed(server: ToyServer, **settings: Any) -> tuple[Client, Capabilities]:
    client = Client(ServerConfig(urls=(server.url,), **{"timeout": 2.0, "attempts": 3, **settings}))
    return client, probe(client, MODEL)


def backend_of(server: ToyServer, **settings: Any) -> OpenAIBackend:
    return OpenAIBackend(*probed(server, **settings), encoder=None)


def answers(backend: OpenAIBackend, prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
    found: dict[int, Completion | CallFailure] = {}
    backend.answer(prompts, admit=lambda _number: None, arrived=found.__setitem__)
    return [found[number] for number in range(len(prompts))]


def text(prompt: str, **fields: Any) -> Prompt:
    return Prompt((), prompt, Generate(8), **fields)


def labels(prompt: str, *positions: int) -> Prompt:
    return Prompt(("shared ",), prompt, ReadLabels(("0", "1"), positions))


def test_a_server_like_vllm_shows_all_that_it_can(server: ToyServer) -> None:
    _, found = probed(server)
    assert found.server == "vLLM 0.0.1"
    assert (found.completes, found.chats, found.takes_tokens, found.takes_several) == (True,) * 4
    assert (found.label_style, found.tops, found.mode) == ("token_ids", 20, "raw")
    assert found.reads_prompts
    assert found.tokenizes
    assert found.ignores_unknown


def test_a_field_that_is_ignored_is_not_taken_for_an_ability() -> None:
    with ToyServer(honours_ids=False) as server:  # answers 200, as to any unknown field
        assert probed(server)[1].label_style == "top"


def test_a_low_cap_is_found_and_used() -> None:
    with ToyServer(honours_ids=False, max_logprobs=5) as server:
        backend = backend_of(server)
        assert backend.capabilities.tops == 5
        [answer] = answers(backend, [labels("ab", 1)])
        assert isinstance(answer, Completion)
        assert all(value > float("-inf") for value in answer.label_logprobs[0])


def test_a_label_beyond_the_alternatives_has_no_mass_and_is_not_invented() -> None:
    with ToyServer(honours_ids=False, max_logprobs=5) as server:
        [answer] = answers(backend_of(server), [Prompt((), "ab", ReadLabels(("0", "9"), (1,)))])
    assert isinstance(answer, Completion)
    assert answer.label_logprobs[0][0] > float("-inf")
    assert answer.label_logprobs[0][1] == float("-inf")


def test_a_hosted_interface_without_completions_is_asked_by_messages_only() -> None:
    with ToyServer(is_vllm=False, completes=False) as server:
        backend = backend_of(server)
        assert not backend.capabilities.completes
        [answer] = answers(backend, [text("hello", is_chat=True)])
        assert isinstance(answer, Completion)
        with pytest.raises(CapabilityError, match="no /completions for toy-model"):
            backend.check(labels=(), is_chat=False)
        with pytest.raises(CapabilityError, match="cannot continue a reply"):
            answers(backend, [text("hello", is_chat=True, reply_start="Well")])


def test_a_model_that_the_server_lacks_is_answered_with_those_it_has(server: ToyServer) -> None:
    client = Client(ServerConfig(urls=(server.url,)))
    with pytest.raises(EndpointError, match=r"has no model 'other' \(it has: toy-model\)"):
        probe(client, "other")


def test_a_wrong_address_is_one_line() -> None:
    with pytest.raises(EndpointError, match=r"no server answers at http://127\.0\.0\.1:9/v1"):
        probe(Client(ServerConfig(urls=("http://127.0.0.1:9/v1",), timeout=2.0)), MODEL)


def test_an_address_without_its_path_says_what_may_be_missing(server: ToyServer) -> None:
    client = Client(ServerConfig(urls=(server.url.removesuffix("/v1"),)))
    with pytest.raises(EndpointError, match="ends in /v1"):
        probe(client, MODEL)


def test_findings_are_kept_until_the_server_is_another(tmp_path: Path) -> None:
    with ToyServer() as server:
        client = Client(ServerConfig(urls=(server.url,)))
        probe(client, MODEL, cache=tmp_path)
        n_first = len(server.bodies)
        probe(client, MODEL, cache=tmp_path)
        assert len(server.bodies) - n_first == 1  # what it says of itself
        server.version = "0.0.2"
        assert probe(client, MODEL, cache=tmp_path).fingerprint == "0.0.2"


def test_every_position_of_a_passage_is_one_request_and_reads_its_own_beginning(server: ToyServer) -> None:
    backend = backend_of(server)
    n_before = len(server.bodies)
    [answer] = answers(backend, [labels("abcd", 1, 3)])
    assert isinstance(answer, Completion)
    assert len(answer.label_logprobs) == 2
    [body] = server.bodies[n_before:]
    assert body["prompt"] == ["shared a", "shared abc"]
    assert body["logprob_token_ids"] == [ord("0"), ord("1")]
    alone = answers(backend, [labels("abcd", 3)])[0]
    assert isinstance(alone, Completion)
    assert alone.label_logprobs[0] == answer.label_logprobs[1]


def test_a_choice_in_a_chat_is_read_from_the_first_token_of_the_reply(server: ToyServer) -> None:
    choice = Prompt((), "which?", ReadChoice(("0", "1")), is_chat=True)
    [answer] = answers(backend_of(server), [choice])
    assert isinstance(answer, Completion)
    assert len(answer.label_logprobs[0]) == 2


def test_a_label_of_several_tokens_is_refused_before_anything_is_asked(server: ToyServer) -> None:
    with pytest.raises(CapabilityError, match="the label '10' is 2 tokens"):
        backend_of(server).check(labels=("0", "10"), is_chat=False)


@pytest.mark.parametrize(("fault", "kind"), [("refused", "refused"), ("count", "malformed")])
def test_a_reply_that_is_no_answer_is_named(fault: str, kind: str) -> None:
    with ToyServer(fault=lambda prompt, _: fault if "bad" in prompt else "") as server:
        good, bad = answers(backend_of(server), [text("good"), text("bad")])
    assert isinstance(good, Completion)
    assert isinstance(bad, CallFailure)
    assert bad.kind == kind


def test_fewer_log_probabilities_than_asked_are_never_scored() -> None:
    with ToyServer() as server:
        backend = backend_of(server)
        server.honours_ids = False  # as where another client asks for another kind
        [answer] = answers(backend, [labels("ab", 1)])
    assert isinstance(answer, CallFailure)
    assert answer.kind == "malformed"
    assert "another client" in answer.detail


def test_a_prompt_beyond_the_context_is_a_failure_of_that_prompt() -> None:
    with ToyServer(max_model_len=2000) as server:
        short, long = answers(backend_of(server), [text("a"), text("a" * 2001)])
    assert isinstance(short, Completion)
    assert isinstance(long, CallFailure)
    assert long.kind == "too_long"


def test_prompts_are_counted_by_the_server_that_cuts_them(server: ToyServer) -> None:
    backend = backend_of(server)
    assert backend.count_tokens([labels("abcd", 1)]) == [len("shared abcd")]


def test_an_error_stops_the_batch_and_keeps_what_arrived() -> None:
    with ToyServer() as server:
        backend = backend_of(server, concurrency=1)
        found: dict[int, Completion | CallFailure] = {}

        def admit(number: int) -> None:
            if number == 3:
                raise EndpointError("planted")

        with pytest.raises(EndpointError, match="planted"):
            backend.answer([text(letter) for letter in "abcdef"], admit=admit, arrived=found.__setitem__)
    assert set(found) == {0, 1, 2}
