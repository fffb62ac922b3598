"""A server on loopback that speaks the OpenAI interface as vLLM does, and fails as servers do.

It has no model: a reply is made from the prompt alone, so it is the same at every attempt. Runs in a thread,
or by itself: `python tests/toy_server.py --latency 0.2` prints its address and serves until it is ended.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

MODEL = "toy-model"
FAULTS = ("429", "429 wait", "500", "dropped", "slow", "truncated", "count", "html")

Fault = Callable[[str, int], str]
"""From a prompt and the number of the attempt at it (from 0) to a fault, "refused", "empty" or nothing."""


def now_and_then(prompt: str, attempt: int) -> str:
    """Every kind of fault at the first or second attempt at most prompts; the third is answered."""
    digest = hashlib.sha256(f"{prompt}{attempt}".encode()).digest()
    return FAULTS[digest[0] % len(FAULTS)] if attempt < 2 and digest[1] < 160 else ""


@dataclass
class ToyServer:
    """What it is like, and what it has seen."""

    latency: float = 0.0
    fault: Fault = lambda _prompt, _attempt: ""
    key: str = ""
    is_vllm: bool = True
    chats: bool = True
    completes: bool = True
    max_logprobs: int = 20
    honours_ids: bool = True
    max_model_len: int = 100_000
    version: str = "0.0.1"
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    mixed_styles: int = 0
    styles: Counter[str] = field(default_factory=Counter)
    connections: int = 0

    # -- life ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10), "the toy server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _hang_up(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.start())
        started.set()
        self._loop.run_forever()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", port, backlog=1024)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    # -- HTTP ---------------------------------------------------------------------------------

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                method, path, _ = lines[0].split(" ")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
                raw = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self._respond(writer, method, path, headers, json.loads(raw) if raw else {}):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _respond(
        self,
        writer: asyncio.StreamWriter,
        method: str,
        path: str,
        headers: dict[str, str],
        body: dict[str, Any],
    ) -> bool:
        """Sends an answer or a fault; False where the connection is over."""
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            said = f"Incorrect API key provided: {headers.get('authorization', '')}"
            return self._send(writer, 401, _error(said, "invalid_api_key"))
        if method == "GET":
            return self._send(writer, *self._get(path))
        if path == "/tokenize":
            status, reply = self._post(path, body)
            return self._send(writer, status, json.dumps(reply))
        prompt = json.dumps([body.get("prompt"), body.get("messages")])
        attempt = self.attempts[prompt]
        self.attempts[prompt] += 1
        self.bodies.append(body)
        style = "ids" if body.get("logprob_token_ids") else "top" if body.get("logprobs") else ""
        if style:
            self.mixed_styles += any(count for other, count in self.styles.items() if other != style)
            self.styles[style] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.latency)
            return await self._answer(writer, path, body, self.fault(prompt, attempt))
        finally:
            self.in_flight -= 1
            if style:
                self.styles[style] -= 1

    async def _answer(
        self, writer: asyncio.StreamWriter, path: str, body: dict[str, Any], fault: str
    ) -> bool:
        status, reply = self._post(path, body)
        if fault == "429 wait":
            return self._send(writer, 429, _error("slow down"), {"Retry-After": "0.05"})
        if fault == "quota":
            return self._send(writer, 429, _error("You exceeded your current quota", "insufficient_quota"))
        if fault in ("429", "500"):
            return self._send(writer, int(fault), _error("busy"))
        if fault == "dropped":
            return False
        text = json.dumps(reply)
        if fault == "slow":
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n".encode())
            for character in text[:100]:
                writer.write(character.encode())
                await asyncio.sleep(0.05)
            return False
        if fault == "truncated":
            return self._send(writer, 200, text[: len(text) // 2])
        if fault == "html":
            return self._send(writer, 200, "<html>gateway</html>")
        if fault == "count" and "choices" in reply:
            reply["choices"] = reply["choices"] * 2
        if fault in ("refused", "empty") and "choices" in reply:
            for choice in reply["choices"]:
                if "message" in choice:
                    choice["message"]["content"] = ""
                choice |= {"text": "", "finish_reason": "content_filter" if fault == "refused" else "stop"}
        self.answered[json.dumps([body.get("prompt"), body.get("messages")])] += status == 200
        return self._send(writer, status, json.dumps(reply))

    @staticmethod
    def _send(
        writer: asyncio.StreamWriter, status: int, text: str, headers: dict[str, str] | None = None
    ) -> bool:
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        data = text.encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        writer.write(f"{head}{more}\r\n".encode() + data)
        return True

    # -- the interface ------------------------------------------------------------------------

    def _get(self, path: str) -> tuple[int, str]:
        if path == "/v1/models":
            card = {"id": MODEL, "object": "model"}
            if self.is_vllm:
                card |= {"owned_by": "vllm", "root": MODEL, "max_model_len": self.max_model_len}
            return 200, json.dumps({"data": [card]})
        if path == "/version" and self.is_vllm:
            return 200, json.dumps({"version": self.version})
        return 404, _error("Not Found")

    def _post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if path == "/tokenize" and self.is_vllm:
            ids = _ids(body.get("prompt") or json.dumps(body.get("messages")))
            return 200, {"tokens": ids, "count": len(ids)}
        known = {"/v1/completions": self.completes, "/v1/chat/completions": self.chats}
        if not known.get(path):
            return 404, json.loads(_error("Not Found"))
        if body["model"] != MODEL:
            return 404, json.loads(_error(f"The model `{body['model']}` does not exist."))
        if not self.is_vllm and "logprob_token_ids" in body:
            return 400, json.loads(_error("Unrecognized request argument: logprob_token_ids"))
        asked = body.get("logprobs") if path == "/v1/completions" else body.get("top_logprobs")
        if int(asked or 0) > self.max_logprobs:
            return 400, json.loads(
                _error(f"logprobs of {asked} is greater than max allowed: {self.max_logprobs}")
            )
        prompts = _prompts(body)
        lengths = [len(_ids(prompt)) for prompt in prompts]
        if max(lengths) > self.max_model_len:
            said = f"This model's maximum context length is {self.max_model_len} tokens."
            return 400, json.loads(_error(said, "context_length_exceeded"))
        choices = [self._choice(n, prompt, body, path) for n, prompt in enumerate(prompts)]
        n_tokens = sum(len(p) if isinstance(p, list) else len(p) // 4 + 1 for p in prompts)
        usage: dict[str, Any] = {"prompt_tokens": n_tokens, "completion_tokens": len(prompts)}
        if self.is_vllm:
            usage["prompt_tokens_details"] = {"cached_tokens": 0}
        return 200, {"choices": choices, "usage": usage, "system_fingerprint": self.version}

    def _choice(self, number: int, prompt: Any, body: dict[str, Any], path: str) -> dict[str, Any]:
        text = f" words such as {hashlib.sha256(json.dumps(prompt).encode()).hexdigest()[:6]}\n"
        choice: dict[str, Any] = {"index": number, "finish_reason": "length"}
        if path == "/v1/chat/completions":
            choice["message"] = {"role": "assistant", "content": text}
            if body.get("logprobs"):
                tops = [{"token": t, "logprob": v} for t, v in _tops(prompt, body["top_logprobs"]).items()]
                choice["logprobs"] = {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": tops}]}
            return choice
        choice["text"] = text
        if body.get("logprob_token_ids") and self.honours_ids:
            found = {f"token_id:{id}": _logprob(prompt, id) for id in body["logprob_token_ids"]}
            choice["logprobs"] = {"top_logprobs": [found]}
        elif body.get("logprobs"):
            choice["logprobs"] = {"top_logprobs": [_tops(prompt, body["logprobs"])]}
        if "prompt_logprobs" in body and self.is_vllm:
            choice["prompt_logprobs"] = [None] + [
                {str(id): {"logprob": _logprob(prompt, id)}} for id in _ids(prompt)[1:]
            ]
        return choice


def _prompts(body: dict[str, Any]) -> list[Any]:
    if "messages" in body:
        return [json.dumps(body["messages"])]
    prompt = body["prompt"]
    is_several = isinstance(prompt, list) and not isinstance(prompt[0], int)
    return list(prompt) if is_several else [prompt]


def _ids(prompt: Any) -> list[int]:
    """A token is a byte, though a text is charged by four of them."""
    return list(prompt.encode()) if isinstance(prompt, str) else list(prompt)


def _logprob(prompt: Any, id: int) -> float:
    digest = hashlib.sha256(f"{json.dumps(prompt)}{id}".encode()).digest()
    return -1.0 - digest[0] / 40


def _tops(prompt: Any, count: int) -> dict[str, float]:
    return {chr(id): _logprob(prompt, id) for id in range(ord("0"), ord("0") + count)}


def _error(message: str, code: str = "") -> str:
    return json.dumps({"error": {"message": message, "code": code or None}})


async def _serve(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=600.0, help="ends by itself after this time")
    asked = parser.parse_args(arguments)
    server = ToyServer(latency=asked.latency)
    await server.start()
    print(server.url, flush=True)
    await asyncio.sleep(asked.seconds)


if __name__ == "__main__":
    asyncio.run(_serve())
