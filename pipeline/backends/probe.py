"""What a server can really do: found by what its answers show, never by its status codes.

A server may answer 200 to a field that it does not know, and give fewer log-probabilities than it was asked
for. Each finding below is therefore an effect that was seen.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scrutable.pipeline.backends.client import Client, Json, wait_for
from scrutable.pipeline.errors import EndpointError, RequestRefused

_LONG = "The quick brown fox jumps over the lazy dog. " * 40  # fills several blocks of any prefix cache
_IDS = [1000, 1001, 1002]  # tokens that hardly any model puts among its first
_TOPS = (20, 5, 1)
_KEPT = 24 * 3600.0  # seconds for which a finding stands where a server does not say what it is

LabelStyle = Literal["token_ids", "top", ""]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one server showed for one model."""

    url: str
    server: str  # "vLLM 0.32.0", or "unknown"
    model: str
    root: str  # where it says the weights come from; empty if it does not
    fingerprint: str  # what it says of its own build and settings; empty if nothing
    max_model_len: int  # tokens of prompt and reply; 0: it does not say
    completes: bool  # /completions
    takes_tokens: bool  # prompts as token ids
    takes_several: bool  # several prompts in one request
    chats: bool  # /chat/completions
    continues: bool  # a reply that was begun, in a chat
    length_field: str  # the name of the limit of a chat reply
    label_style: LabelStyle  # how label distributions are read from /completions
    chat_label_style: LabelStyle  # and from /chat/completions
    tops: int  # most alternatives with log-probabilities; 0: none
    mode: Literal["raw", "processed", "unknown"]  # whether a bias changes the log-probabilities
    reads_prompts: bool  # log-probabilities of the prompt's own tokens
    tokenizes: bool  # /tokenize
    caches: Literal["yes", "no", "not reported"]  # whether it computes a repeated prefix once
    ignores_unknown: bool  # answers 200 to a field that does not exist

    @property
    def identity(self) -> str:
        """What an answer depends on."""
        return json.dumps([self.server, self.model, self.root, self.mode])


def probe(client: Client, model: str, *, cache: Path | None = None) -> Capabilities:
    """What the first server of a pool can do with a model; what was found before of the same server is kept.

    Args:
        client: of the pool.
        model: the name that the server knows it by; empty: the only one that it has.
        cache: a folder of earlier findings.

    Raises:
        EndpointError: there is no server, no such model, or neither of the two interfaces.
    """
    return wait_for(_probe(client, model, cache))


async def _probe(client: Client, model: str, cache: Path | None) -> Capabilities:
    card = await _card(client, model)
    try:
        version = str((await client.get("/version", at="server")).get("version", ""))
    except EndpointError:
        version = ""
    is_vllm = card.get("owned_by") == "vllm"
    asked = _Asked(client, str(card["id"]))
    bare = await asked.completion(prompt="a")
    print_ = str((bare or {}).get("system_fingerprint") or "")
    facts = [client.config.urls[0], version, card.get("root"), card.get("max_model_len"), asked.model, print_]
    path = cache / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]}.json" if cache else None
    if path and (kept := _kept(path, for_ever=bool(print_))):
        return kept
    found = Capabilities(
        url=client.config.urls[0],
        server=f"vLLM {version}".strip() if is_vllm else (version or "unknown"),
        model=asked.model,
        root=str(card.get("root") or ""),
        fingerprint=print_,
        max_model_len=int(card.get("max_model_len") or 0),
        **await _completions(asked, bare),
        **await _chat(asked),
        tokenizes=await asked.tokenizes(),
    )
    if not (found.completes or found.chats):
        raise EndpointError(
            f"{found.url} answers neither /completions nor /chat/completions for {found.model}"
        )
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dataclasses.asdict(found)), encoding="utf-8")
    return found


async def _card(client: Client, model: str) -> Json:
    """What the server says of a model. Raises EndpointError that lists those it has."""
    url = client.config.urls[0]
    cards = {str(card["id"]): card for card in (await client.get("/models")).get("data", []) if "id" in card}
    if not model and len(cards) == 1:
        model = next(iter(cards))
    if model not in cards:
        has = ", ".join(sorted(cards)[:20]) or "none"
        said = f"has no model {model!r}" if model else "has several models: name one with --model"
        raise EndpointError(f"{url} {said} (it has: {has})")
    return dict(cards[model])


class _Asked:
    """Small questions, each answered by a reply or by None where the server refused it."""

    def __init__(self, client: Client, model: str) -> None:
        self._client, self.model = client, model

    async def completion(self, **body: Any) -> Json | None:
        return await self._try("/completions", {"max_tokens": 1, "temperature": 0, **body})

    async def chat(self, **body: Any) -> Json | None:
        messages = [{"role": "user", "content": "Say a word."}]
        return await self._try("/chat/completions", {"messages": messages, "temperature": 0, **body})

    async def tokenizes(self) -> bool:
        try:
            found = await self._client.post_to_server(
                "/tokenize", {"model": self.model, "prompt": "a", "add_special_tokens": False}
            )
        except EndpointError:
            return False
        return isinstance((found or {}).get("tokens"), list)

    async def _try(self, path: str, body: Json) -> Json | None:
        try:
            posted = await self._client.post(path, {"model": self.model, **body})
        except RequestRefused:
            return None
        return posted.data if posted.data and posted.data.get("choices") else None


async def _completions(asked: _Asked, bare: Json | None) -> dict[str, Any]:
    """What /completions shows."""
    nothing = {
        "completes": False,
        "takes_tokens": False,
        "takes_several": False,
        "label_style": "",
        "tops": 0,
        "mode": "unknown",
        "reads_prompts": False,
        "caches": "not reported",
        "ignores_unknown": False,
    }
    if bare is None:
        return nothing
    tokens = await asked.completion(prompt=[_IDS])
    several = await asked.completion(prompt=["a", "b"])
    tops = 0
    for count in _TOPS:
        reply = await asked.completion(prompt="a", logprobs=count)
        if len(_tops(reply)) >= count:
            tops = count
            break
    exact = _tops(await asked.completion(prompt="a", **fields_of_ids(_IDS)))
    has_exact = all(f"token_id:{id}" in exact for id in _IDS)
    mode = "unknown"
    if has_exact:
        biased = _tops(
            await asked.completion(prompt="a", logit_bias={str(_IDS[0]): 30}, **fields_of_ids(_IDS))
        )
        before, after = (found.get(f"token_id:{_IDS[0]}", 0.0) for found in (exact, biased))
        mode = "raw" if abs(before - after) < 0.5 else "processed"
    of_prompt = await asked.completion(prompt=_LONG[:40], prompt_logprobs=0)
    long = [await asked.completion(prompt=_LONG) for _ in range(2)]
    unknown = await asked.completion(prompt="a", frobnicate=1)
    return {
        "completes": True,
        "takes_tokens": bool(tokens) and (tokens or {}).get("usage", {}).get("prompt_tokens") == len(_IDS),
        "takes_several": len((several or {}).get("choices", ())) == 2,
        "label_style": "token_ids" if has_exact else "top" if tops > 1 else "",
        "tops": tops,
        "mode": mode,
        "reads_prompts": bool(of_prompt and of_prompt["choices"][0].get("prompt_logprobs")),
        "caches": _caches(long[1]),
        "ignores_unknown": unknown is not None,
    }


async def _chat(asked: _Asked) -> dict[str, Any]:
    """What /chat/completions shows."""
    length = "max_completion_tokens"
    bare = await asked.chat(**{length: 1})
    if bare is None:
        length = "max_tokens"
        bare = await asked.chat(**{length: 1})
    if bare is None:
        return {"chats": False, "continues": False, "length_field": length, "chat_label_style": ""}
    tops = await asked.chat(logprobs=True, top_logprobs=5, **{length: 1})
    messages = [
        {"role": "user", "content": "Say a word."},
        {"role": "assistant", "content": "The word is"},
    ]
    begun = await asked.chat(
        messages=messages,
        add_generation_prompt=False,
        continue_final_message=True,
        **{length: 1},
    )
    plain = await asked.chat(messages=messages, **{length: 1})
    # a server that ignores the fields ends the reply and opens another one, which takes more tokens
    n_begun, n_plain = (((r or {}).get("usage") or {}).get("prompt_tokens", 0) for r in (begun, plain))
    content = ((tops or {"choices": [{}]})["choices"][0].get("logprobs") or {}).get("content") or [{}]
    return {
        "chats": True,
        "continues": 0 < n_begun < n_plain,
        "length_field": length,
        "chat_label_style": "top" if len(content[0].get("top_logprobs") or ()) >= 5 else "",
    }


def fields_of_ids(ids: list[int]) -> Json:
    """The fields that ask for the log-probabilities of just these tokens."""
    return {"logprobs": 1, "logprob_token_ids": ids, "return_tokens_as_token_ids": True}


def _tops(reply: Json | None) -> dict[str, float]:
    if not reply:
        return {}
    found = (reply["choices"][0].get("logprobs") or {}).get("top_logprobs") or [{}]
    return dict(found[0] or {})


def _caches(second: Json | None) -> Literal["yes", "no", "not reported"]:
    details = ((second or {}).get("usage") or {}).get("prompt_tokens_details")
    if not isinstance(details, dict) or details.get("cached_tokens") is None:
        return "not reported"
    return "yes" if details["cached_tokens"] else "no"


def _kept(path: Path, *, for_ever: bool) -> Capabilities | None:
    if not path.exists() or (not for_ever and time.time() - path.stat().st_mtime > _KEPT):
        return None
    try:
        return Capabilities(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):  # written by another version, or cut off
        return None
