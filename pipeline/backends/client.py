"""Posts JSON to servers that speak the OpenAI interface, and has the last word on when to try again.

One policy for all: a failure that may pass is tried again with a jittered pause, the server's own
`Retry-After` is kept, and what can never succeed stops the run at once with what to do. Knows bodies and
status codes, and nothing of prompts. The key of a server comes from the environment and goes into no text.
"""

from __future__ import annotations

import asyncio
import email.utils
import functools
import hashlib
import ipaddress
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import openai

from scrutable.pipeline.backends.limits import Gate, Pace, Styles
from scrutable.pipeline.errors import EndpointError, RequestRefused
from scrutable.pipeline.records import CallFailure
from scrutable.pipeline.sections import ServerConfig

T = TypeVar("T")
Json = dict[str, Any]

_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds before the second attempt, doubled for each, and at most
_LONGEST_ASKED = 300.0  # a server may ask us to wait this long
_PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}
_POOLS, _CONNECTIONS = 16, 8  # of one endpoint at most, and in each about


class _Passing(Exception):
    """A failure that may pass; how long the server asked us to wait, and whether it was too much for it."""

    def __init__(
        self, kind: str, detail: str, *, wait: float | None = None, is_pressed: bool = False
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.wait, self.is_pressed = kind, detail, wait, is_pressed


class _Final(Exception):
    """A failure of this request alone, that no second attempt would mend."""

    def __init__(self, failure: CallFailure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class Posted(NamedTuple):
    """What came of a request."""

    data: Json | None  # None if it failed
    failure: CallFailure | None
    attempts: int


@dataclass
class _Endpoint:
    """One address and what we know of it."""

    url: str
    clients: Sequence[openai.AsyncOpenAI]
    gate: Gate
    styles: Styles = field(default_factory=Styles)
    paused_until: float = 0.0
    successes: int = 0
    turn: int = 0

    @property
    def client(self) -> openai.AsyncOpenAI:
        """One of several pools of connections, in turn."""
        self.turn = (self.turn + 1) % len(self.clients)
        return self.clients[self.turn]

    async def ready(self) -> None:
        """Waits while the server has asked for a pause."""
        while (left := self.paused_until - time.monotonic()) > 0:
            await asyncio.sleep(left)


class Client:
    """A pool of servers of one model."""

    def __init__(self, config: ServerConfig, *, seed: int = 0) -> None:
        """Raises EndpointError where a key is needed and the environment has none."""
        self.config = config
        self._key = _key_of(config)
        self._random = random.Random(seed)  # of pauses only, which no answer depends on
        self._requests, self._tokens = Pace(config.requests_per_minute), Pace(config.tokens_per_minute)
        # a pool looks at all its connections for each request, so small ones cost less than a large one
        pools = range(max(1, min(_POOLS, config.concurrency // _CONNECTIONS)))
        self._endpoints = [
            _Endpoint(
                url,
                [
                    openai.AsyncOpenAI(base_url=url, api_key=self._key, max_retries=0, timeout=config.timeout)
                    for _ in pools
                ],
                Gate(config.concurrency),
            )
            for url in config.urls
        ]

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        style: str = "",
        affinity: str = "",
        tokens: int = 0,
        complaint: Callable[[Json], str] = lambda _data: "",
    ) -> Posted:
        """The reply to a body, after as many attempts as the config allows.

        Args:
            path: such as "/completions".
            body: is sent as it is.
            style: of the log-probabilities that it asks for; styles never run side by side on one server.
            affinity: requests with the same one go to the same server while that has room.
            tokens: that the request is expected to take, for the limit by the minute.
            complaint: why a reply cannot be used, or nothing; such a reply is a failure that may pass.

        Raises:
            EndpointError: what can never succeed: key, quota, model, a field that the server refuses, or a
                server that is gone.
        """
        seen = sum(endpoint.successes for endpoint in self._endpoints)
        failure = _Passing("unavailable", "no attempt was made")
        avoided: _Endpoint | None = None
        for attempt in range(1, self.config.attempts + 1):
            if delay := max(self._requests.delay(1), self._tokens.delay(tokens)):
                await asyncio.sleep(delay)
            endpoint = self._choose(affinity, avoided)
            async with endpoint.styles.held(style), endpoint.gate.entered():
                await endpoint.ready()
                try:
                    data = await self._attempt(endpoint, path, body, complaint)
                    endpoint.gate.succeeded()
                    endpoint.successes += 1
                    return Posted(data, None, attempt)
                except _Final as final:
                    return Posted(None, final.failure, attempt)
                except _Passing as passing:
                    failure, avoided = passing, endpoint
                    if passing.is_pressed:
                        endpoint.gate.pressed()
                    if passing.wait is not None:
                        endpoint.paused_until = max(endpoint.paused_until, time.monotonic() + passing.wait)
            if attempt < self.config.attempts:
                await asyncio.sleep(self._pause(attempt, failure.wait))
        if failure.kind == "gone" and sum(endpoint.successes for endpoint in self._endpoints) == seen:
            raise EndpointError(
                f"{self._where} stopped answering ({failure.detail}, {self.config.attempts} attempts): start "
                "it again and run the same command; every answer so far is kept"
            )
        kind = "unavailable" if failure.kind == "gone" else failure.kind
        detail = f"{failure.detail} ({self.config.attempts} attempts)"
        return Posted(None, CallFailure(kind, detail), self.config.attempts)  # type: ignore[arg-type]

    async def get(self, path: str, *, at: str = "") -> Json:
        """The JSON at a path of the first address, or of the server itself (`at`: "server").

        Raises EndpointError where nothing usable answers.
        """
        endpoint = self._endpoints[0]
        url = f"{server_of(endpoint.url)}{path}" if at == "server" else path
        try:
            async with asyncio.timeout(self.config.timeout):
                reply = await endpoint.client.get(url, cast_to=_raw())
                return self._parsed(reply)
        except (_Passing, _Final) as error:
            raise EndpointError(f"{endpoint.url}{path}: {error}") from None
        except openai.APIStatusError as error:
            if error.status_code == 404:
                raise EndpointError(
                    f"{endpoint.url} has no {path}: is the address right? It ends in /v1 for vLLM and "
                    "most others"
                ) from None
            self._raise_terminal(error, endpoint)
            raise EndpointError(f"{endpoint.url}{path} answered {error.status_code}") from None
        except (openai.APIConnectionError, TimeoutError) as error:
            raise EndpointError(
                f"no server answers at {endpoint.url} ({self._clean(_cause(error))}): is it running, and is "
                "the address right? It ends in /v1 for vLLM and most others"
            ) from None

    async def post_to_server(self, path: str, body: Mapping[str, Any]) -> Json:
        """The reply of the first server itself, beside the OpenAI interface. Raises EndpointError."""
        endpoint = self._endpoints[0]
        url = f"{server_of(endpoint.url)}{path}"
        try:
            return await self._attempt(endpoint, url, body, lambda _data: "")
        except (_Passing, _Final) as error:
            raise EndpointError(f"{url}: {error}") from None

    @property
    def _where(self) -> str:
        return ", ".join(endpoint.url for endpoint in self._endpoints)

    async def _attempt(
        self, endpoint: _Endpoint, path: str, body: Mapping[str, Any], complaint: Callable[[Json], str]
    ) -> Json:
        try:
            # a limit of the whole, since a body that trickles in never breaks a limit of each read
            async with asyncio.timeout(self.config.timeout):
                reply = await endpoint.client.post(path, cast_to=_raw(), body=body)
                data = self._parsed(reply)
        except (openai.APITimeoutError, TimeoutError):
            raise _Passing(
                "timeout", f"no answer within {self.config.timeout:g} s", is_pressed=True
            ) from None
        except openai.APIConnectionError as error:
            raise _Passing("gone", self._clean(_cause(error))) from None
        except openai.APIStatusError as error:
            self._raise_final(error)
            self._raise_terminal(error, endpoint)
            raise _Passing(
                "unavailable",
                f"the server answered {error.status_code}: {self._said(error)}",
                wait=_retry_after(error.response.headers),
                is_pressed=error.status_code in (429, 503, 529),
            ) from None
        if why := complaint(data):
            raise _Passing("malformed", why)
        return data

    def _parsed(self, reply: Any) -> Json:
        try:
            data = json.loads(reply.content)
        except ValueError:
            raise _Passing(
                "malformed", f"the server sent no JSON: {self._clean(reply.text)[:80]!r}"
            ) from None
        if not isinstance(data, dict):
            raise _Passing("malformed", "the server sent JSON that is no object")
        return data

    def _raise_final(self, error: openai.APIStatusError) -> None:
        """For what is wrong with this request only."""
        said, code = self._said(error), _code(error)
        too_long = ("maximum context length", "max_model_len", "context length", "too long", "input length")
        if error.status_code == 413 or (
            error.status_code == 400
            and (code == "context_length_exceeded" or any(part in said.lower() for part in too_long))
        ):
            raise _Final(CallFailure("too_long", said))
        if error.status_code in (400, 403) and code in ("content_filter", "content_policy_violation"):
            raise _Final(CallFailure("refused", said))

    def _raise_terminal(self, error: openai.APIStatusError, endpoint: _Endpoint) -> None:
        """For what no attempt would mend, at any request."""
        status, said, code = error.status_code, self._said(error), _code(error)
        if code in ("insufficient_quota", "billing_hard_limit_reached") or status == 402:
            raise EndpointError(
                f"{endpoint.url}: the quota is used up ({said}): raise it, and run the same command again; "
                "every answer so far is kept"
            ) from None
        if status in (401, 403):
            has = "is not accepted" if self._key != _NO_KEY else "is not set"
            raise EndpointError(
                f"{endpoint.url} wants a key, and that in the environment variable {self.config.key_env} "
                f"{has} ({said}): set it, or name another variable with key_env"
            ) from None
        if status not in _PASSING:
            raise RequestRefused(f"{endpoint.url} refused a request ({status}): {said}") from None

    def _said(self, error: openai.APIStatusError) -> str:
        body = error.body if isinstance(error.body, dict) else {}
        inner = body.get("error", body)
        text = inner.get("message") if isinstance(inner, dict) else inner
        return self._clean(" ".join(str(text or error.response.reason_phrase).split()))[:400]

    def _clean(self, text: str) -> str:
        """A text of the server's without our key."""
        return text.replace(self._key, "***") if self._key != _NO_KEY else text

    def _pause(self, attempt: int, asked: float | None) -> float:
        """Seconds before the next attempt: full jitter, so that clients that fail together part."""
        longest: float = min(_LONGEST_PAUSE, _PAUSE * 2 ** (attempt - 1))
        return self._random.uniform(0, longest) if asked is None else self._random.uniform(0, _PAUSE)

    def _choose(self, affinity: str, avoided: _Endpoint | None) -> _Endpoint:
        """The preferred server of a prefix while it has room, else the one with the most room."""
        now = time.monotonic()
        open_ones = [e for e in self._endpoints if e.paused_until <= now and e is not avoided]
        choice = open_ones or self._endpoints
        if len(choice) == 1:
            return choice[0]
        preferred = max(choice, key=lambda e: _weight(affinity, e.url))
        if affinity and preferred.gate.in_flight < int(preferred.gate.limit):
            return preferred
        return min(choice, key=lambda e: e.gate.in_flight / e.gate.limit)


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on the event loop of all clients, from any thread; an interrupt cancels it."""
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def is_on_this_machine(url: str) -> bool:
    """Whether an address is a loopback one."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def server_of(url: str) -> str:
    """The address of a server, without the path of its interface."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


_NO_KEY = "none"


def _key_of(config: ServerConfig) -> str:
    """The key, which servers on this machine do without."""
    key = os.environ.get(config.key_env, "").strip()
    if not key and not all(is_on_this_machine(url) for url in config.urls):
        raise EndpointError(
            f"{config.urls[0]} is on another machine, and the environment variable {config.key_env} holds no "
            f"key: set it, or name another variable with key_env (any text will do where no key is asked for)"
        )
    return key or _NO_KEY


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="requests", daemon=True).start()
    return loop


@functools.cache
def _raw() -> Any:
    """What the client library gives a reply as, unparsed: its models of replies cost more than the rest."""
    import httpx2

    return httpx2.Response


def _weight(affinity: str, url: str) -> bytes:
    """Rendezvous hashing (Thaler and Ravishankar 1998): servers that come and go move few prefixes."""
    return hashlib.sha256(f"{affinity}\0{url}".encode()).digest()


def _code(error: openai.APIStatusError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error", body)
    return str(inner.get("code") or inner.get("type") or "") if isinstance(inner, dict) else ""


def _cause(error: BaseException) -> str:
    """The innermost reason of a connection that failed."""
    chain = itertools.takewhile(bool, _causes(error))
    *_, last = chain
    return f"{type(last).__name__}: {last}" if str(last) else type(last).__name__


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks us to wait, as a number or a date (RFC 9110, section 10.2.3)."""
    with suppress(KeyError, ValueError):
        return min(_LONGEST_ASKED, max(0.0, float(headers["retry-after-ms"]) / 1000))
    said = headers.get("retry-after")
    if said is None:
        return None
    with suppress(ValueError):
        return min(_LONGEST_ASKED, max(0.0, float(said)))
    with suppress(ValueError, TypeError):
        return min(
            _LONGEST_ASKED, max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
        )
    return None
