"""Requests are tried again when that may help, stopped when it cannot, and held back when they must be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_server import FAULTS, MODEL, ToyServer

from scrutable.pipeline.backends import client as client_module
from scrutable.pipeline.backends.client import Client, Posted, is_on_this_machine, wait_for
from scrutable.pipeline.backends.limits import Gate, Pace, Styles
from scrutable.pipeline.errors import EndpointError
from scrutable.pipeline.sections import ServerConfig

BODY = {"model": MODEL, "max_tokens": 1}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_PAUSE", 0.01)


def client_of(*servers: ToyServer, **settings: Any) -> Client:
    return Client(ServerConfig(urls=tuple(server.url for server in servers), **{"timeout": 2.0, **settings}))


def post(client: Client, prompts: Sequence[str], **fields: Any) -> list[Posted]:
    async def all_of_them() -> list[Posted]:
        posts = (client.post("/completions", {**BODY, "prompt": prompt}, **fields) for prompt in prompts)
        return await asyncio.gather(*posts)

    return wait_for(all_of_them())


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"count"}))
def test_a_failure_that_passes_is_tried_again(fault: str) -> None:
    with ToyServer(fault=lambda _prompt, attempt: fault if attempt == 0 else "") as server:
        [posted] = post(client_of(server, timeout=0.5), ["a"])
    assert posted.data is not None
    assert posted.attempts == 2


def test_a_reply_that_cannot_be_used_is_tried_again() -> None:
    def complaint(data: dict[str, Any]) -> str:
        return "too many" if len(data["choices"]) > 1 else ""

    with ToyServer(fault=lambda _prompt, attempt: "count" if attempt == 0 else "") as server:
        [posted] = post(client_of(server), ["a"], complaint=complaint)
    assert posted.attempts == 2


@pytest.mark.parametrize(
    ("fault", "kind"), [("500", "unavailable"), ("slow", "timeout"), ("truncated", "malformed")]
)
def test_what_never_passes_is_a_failure_of_that_request(fault: str, kind: str) -> None:
    with ToyServer(fault=lambda prompt, _: fault if "bad" in prompt else "") as server:
        good, bad = post(client_of(server, attempts=2, timeout=0.3), ["good", "bad"])
    assert good.data is not None
    assert bad.failure is not None
    assert bad.failure.kind == kind
    assert "2 attempts" in bad.failure.detail


def test_a_connection_that_one_prompt_always_breaks_is_its_failure_and_not_the_end() -> None:
    with ToyServer(fault=lambda prompt, _: "dropped" if "bad" in prompt else "") as server:
        client = client_of(server, attempts=3)
        results = post(client, ["good", "bad", "fine"])
    assert [result.failure and result.failure.kind for result in results] == [None, "unavailable", None]


def test_a_server_that_is_gone_stops_the_run_and_says_so() -> None:
    with ToyServer(fault=lambda _prompt, _attempt: "dropped") as server:
        client = client_of(server, attempts=2)
        with pytest.raises(EndpointError, match=r"stopped answering .* start it again"):
            post(client, ["a"])


def test_the_server_s_own_pause_is_kept() -> None:
    with ToyServer(fault=lambda _prompt, attempt: "429 wait" if attempt == 0 else "") as server:
        client = client_of(server)
        started = time.monotonic()
        post(client, ["a"])
    assert time.monotonic() - started >= 0.05


def test_requests_after_a_429_are_fewer_at_once() -> None:
    with ToyServer(latency=0.01, fault=lambda _prompt, attempt: "429" if attempt == 0 else "") as server:
        client = client_of(server, concurrency=8)
        post(client, [str(n) for n in range(24)])
        assert client._endpoints[0].gate.limit < 8


def test_no_more_are_under_way_than_the_config_allows() -> None:
    with ToyServer(latency=0.02) as server:
        post(client_of(server, concurrency=3), [str(n) for n in range(20)])
        assert server.most_in_flight == 3


def test_styles_never_run_side_by_side_and_requests_without_one_do() -> None:
    with ToyServer(latency=0.01) as server:
        client = client_of(server)

        async def mixed() -> None:
            bodies = [
                ("top", {"logprobs": 5}),
                ("token_ids", {"logprobs": 1, "logprob_token_ids": [65], "return_tokens_as_token_ids": True}),
                ("", {}),
            ]
            await asyncio.gather(
                *(
                    client.post("/completions", {**BODY, "prompt": f"{n}", **fields}, style=style)
                    for n in range(10)
                    for style, fields in bodies
                )
            )

        wait_for(mixed())
        assert server.mixed_styles == 0
        assert server.most_in_flight > 3


def test_a_prefix_goes_to_one_server_of_a_pool_and_a_dead_one_is_passed_over() -> None:
    with ToyServer() as one, ToyServer() as two:
        client = client_of(one, two)
        for _ in range(6):
            post(client, ["a"], affinity="same")
        assert sorted([len(one.bodies), len(two.bodies)]) == [0, 6]
        post(client, [str(n) for n in range(40)])
        assert len(one.bodies) > 5
        assert len(two.bodies) > 5
    with ToyServer() as alive, ToyServer(fault=lambda _prompt, _attempt: "dropped") as dead:
        results = post(client_of(alive, dead), [str(n) for n in range(10)])
        assert all(result.data for result in results)
        assert len(dead.bodies) < 10


def test_a_key_that_is_refused_is_named_by_its_variable_and_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOY_KEY", "sk-planted-secret")
    with ToyServer(key="another") as server:
        client = client_of(server, key_env="TOY_KEY")
        with pytest.raises(
            EndpointError, match=r"wants a key, and that in .* TOY_KEY is not accepted"
        ) as error:
            post(client, ["a"])
    assert "planted" not in str(error.value)
    assert server.attempts.total() == 0 or server.attempts.most_common(1)[0][1] == 1


def test_a_quota_that_is_used_up_stops_at_once_and_says_what_to_do() -> None:
    with ToyServer(fault=lambda _prompt, _attempt: "quota") as server:
        client = client_of(server)
        with pytest.raises(EndpointError, match=r"quota is used up .*raise it, and run the same command"):
            post(client, ["a"])
        assert server.attempts.total() == 1


def test_another_machine_needs_a_key() -> None:
    with pytest.raises(EndpointError, match=r"environment variable NO_SUCH_KEY holds no key"):
        Client(ServerConfig(urls=("https://api.example.com/v1",), key_env="NO_SUCH_KEY"))


def test_a_key_in_an_address_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="a key comes from the environment") as error:
        ServerConfig(urls=("https://user:secret@api.example.com/v1",))
    assert "api.example.com" in str(error.value)


def test_a_field_that_the_server_refuses_stops_at_once() -> None:
    with ToyServer() as server:
        client = client_of(server)
        with pytest.raises(EndpointError, match=r"refused a request \(400\): .*max allowed: 20"):
            wait_for(client.post("/completions", {**BODY, "prompt": "a", "logprobs": 21}))
    assert server.attempts.total() == 1


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:8000/v1", True),
        ("https://api.example.com/v1", False),
        ("http://127.0.0.1.example.com/v1", False),
        ("http://localhost.example.com/v1", False),
        ("http://10.0.0.1:8000/v1", False),
    ],
)
def test_which_addresses_are_on_this_machine(url: str, here: bool) -> None:
    assert is_on_this_machine(url) is here


@given(st.lists(st.floats(0.1, 20), min_size=1, max_size=60), st.integers(60, 6000))
def test_a_pace_is_never_exceeded_by_more_than_its_burst(amounts: list[float], per_minute: int) -> None:
    clock = [0.0]
    pace = Pace(per_minute, clock=lambda: clock[0])
    used: list[tuple[float, float]] = []
    for amount in amounts:
        clock[0] += pace.delay(amount)
        used.append((clock[0], amount))
    for at, _ in used:
        before = sum(amount for then, amount in used if then <= at)
        assert before <= per_minute / 60 * at + per_minute * 0.1 + 1e-6


def test_no_limit_by_the_minute_is_no_delay() -> None:
    assert Pace(None).delay(1e9) == 0


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 50))
def test_a_gate_stays_between_one_and_its_most(outcomes: list[bool], most: int) -> None:
    async def run() -> None:
        gate = Gate(most)
        for is_fine in outcomes:
            async with gate.entered():
                gate.succeeded() if is_fine else gate.pressed()
            assert 1 <= gate.limit <= most
        assert gate.in_flight == 0

    asyncio.run(run())


def test_who_gives_up_waiting_leaves_no_hole() -> None:
    async def run() -> None:
        gate, styles = Gate(1), Styles()

        async def enter() -> None:
            async with styles.held("a"), gate.entered():
                await asyncio.sleep(0.01)

        async with styles.held("b"), gate.entered():
            waiting = [asyncio.create_task(enter()) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
        await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), timeout=1)
        assert gate.in_flight == 0

    asyncio.run(run())
