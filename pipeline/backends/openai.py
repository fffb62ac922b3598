"""Ask a model that is served behind the OpenAI interface: vLLM, a hosted API, and whatever speaks alike.

What a server showed when it was probed decides how it is asked. Where its tokenizer is known, prompts are
sent as tokens, cut exactly as a model in this process would cut them.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scrutable.pipeline.asking import Admit, Arrived
from scrutable.pipeline.backends.client import Client, Json, Posted, wait_for
from scrutable.pipeline.backends.probe import Capabilities, fields_of_ids
from scrutable.pipeline.encoding import Encoded, Encoder
from scrutable.pipeline.errors import CapabilityError, ScrutableError
from scrutable.pipeline.records import CallFailure, Completion, Cost, Generate, Prompt, ReadChoice, ReadLabels

_NO_MASS = float("-inf")
_VLLM_FLOOR = -9999.0  # how vLLM spells minus infinity in JSON


class Request(NamedTuple):
    """One body, and how many answers it asks for."""

    path: str
    body: Json
    n_answers: int
    style: str


class OpenAIBackend:
    """A served model: answers arrive one by one, as the server gives them."""

    def __init__(self, client: Client, capabilities: Capabilities, *, encoder: Encoder | None) -> None:
        """`encoder` cuts as the served model does; without one the server cuts."""
        self.capabilities = capabilities
        self._client = client
        self._encoder = encoder if capabilities.takes_tokens else None
        self._label_ids: dict[str, int] = {}

    @property
    def identity(self) -> str:
        """What its answers depend on beside the prompt."""
        route = "tokens" if self._encoder else "text"
        return f"{self.capabilities.identity} {route} {self.capabilities.label_style}"

    def count_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt; a quarter of its letters where nobody here can cut as the model does."""
        if self._encoder:
            return [encoded.n_tokens for encoded in self._encoder.encode(prompts)]
        if self.capabilities.tokenizes:
            return [self._count(prompt) for prompt in prompts]
        return [len(prompt.whole) // 4 + 1 for prompt in prompts]

    def check(self, *, labels: Sequence[str], is_chat: bool) -> None:
        """Raises CapabilityError unless prompts of this kind can be asked of this server."""
        can = self.capabilities
        if is_chat and not (can.chats or self._encoder):
            raise CapabilityError(
                f"{can.url}: {can.model} answers no chat; use a completion prompt such as explain_completion"
            )
        if not is_chat and not can.completes:
            raise CapabilityError(
                f"{can.url}: {can.server} has no /completions for {can.model}, and this prompt is no "
                "message; use one that is, such as explain_chat"
            )
        if labels and not can.label_style:
            raise CapabilityError(
                f"{can.url}: {can.server} gives no log-probabilities, which this part reads its labels from; "
                "use kind: trained or kind: compiled for the simulator, or a server that does (vLLM)"
            )
        for label in labels:
            self._id_of(label)

    def answer(self, prompts: Sequence[Prompt], *, admit: Admit, arrived: Arrived) -> None:
        """Asks all prompts, those with a common beginning together; see `scrutable.pipeline.asking`."""
        if not self._encoder:  # asks the server, which nothing on its event loop may wait for
            for label in {label for prompt in prompts for label in getattr(prompt.read, "labels", ())}:
                self._id_of(label)
        wait_for(self._answer(prompts, admit, arrived))

    async def _answer(self, prompts: Sequence[Prompt], admit: Admit, arrived: Arrived) -> None:
        encoded: Sequence[Encoded | None] = [None] * len(prompts)
        if self._encoder:
            encoded = list(self._encoder.encode(prompts))
        stopped: list[ScrutableError] = []

        async def one(number: int) -> None:
            if stopped:
                return
            try:
                admit(number)
                arrived(number, await self._ask(prompts[number], encoded[number]))
            except ScrutableError as error:
                stopped.append(error)

        order = sorted(range(len(prompts)), key=lambda number: prompts[number].shared)
        await asyncio.gather(*(one(number) for number in order))
        if stopped:
            raise stopped[0]

    async def _ask(self, prompt: Prompt, encoded: Encoded | None) -> Completion | CallFailure:
        if failure := self._too_long(prompt, encoded):
            return failure
        if encoded and encoded.reads[:1] == (-1,):
            return CallFailure("malformed", "no token stands before the first reading")
        requests = self._requests(prompt, encoded)
        affinity = hashlib.sha256("".join(prompt.shared).encode()).hexdigest()
        replies: list[Json] = []
        for request in requests:
            posted = await self._post(request, prompt, affinity)
            if posted.data is None:
                assert posted.failure is not None
                return posted.failure
            replies.append(posted.data)
        return self._read(prompt, encoded, replies)

    def requests(self, prompt: Prompt) -> list[Request]:
        """What is sent for a prompt."""
        return self._requests(prompt, self._encoded(prompt))

    def read_reply(self, prompt: Prompt, reply: Json) -> Completion | CallFailure:
        """The answer in a reply that came by another way than `answer`."""
        [request] = self.requests(prompt)
        if why := self._complaint(reply, request, prompt):
            return CallFailure("malformed", why)
        return self._read(prompt, self._encoded(prompt), [reply])

    def _encoded(self, prompt: Prompt) -> Encoded | None:
        return next(self._encoder.encode([prompt])) if self._encoder else None

    def _read(
        self, prompt: Prompt, encoded: Encoded | None, replies: Sequence[Json]
    ) -> Completion | CallFailure:
        choices = [choice for reply in replies for choice in sorted(reply["choices"], key=_index)]
        cost = sum((_cost(reply) for reply in replies), start=Cost())
        if isinstance(prompt.read, Generate):
            return _text(choices[0], cost)
        if isinstance(prompt.read, ReadChoice) and encoded and encoded.endings:
            rows = [_likelihoods(choices, encoded.endings)]
        else:
            rows = [self._labels(choice, prompt) for choice in choices]
        return Completion(label_logprobs=tuple(rows), cost=cost)

    async def _post(self, request: Request, prompt: Prompt, affinity: str) -> Posted:
        return await self._client.post(
            request.path,
            {"model": self.capabilities.model, **request.body},
            style=request.style,
            affinity=affinity,
            tokens=len(prompt.whole) // 4 * request.n_answers + int(request.body.get("max_tokens", 1)),
            complaint=lambda data: self._complaint(data, request, prompt),
        )

    def _too_long(self, prompt: Prompt, encoded: Encoded | None) -> CallFailure | None:
        limit, name = self.capabilities.max_model_len, self.capabilities.model
        failure = encoded.too_long(prompt.read, limit=limit, name=name) if encoded and limit else None
        advice = "show fewer excerpts, or serve it with a longer context (vLLM: --max-model-len)"
        return failure and CallFailure(failure.kind, f"{failure.detail}: {advice}")

    # -- what is sent -------------------------------------------------------------------------

    def _requests(self, prompt: Prompt, encoded: Encoded | None) -> list[Request]:
        read = prompt.read
        if isinstance(read, Generate):
            return [self._generate(prompt, encoded, read)]
        if encoded and encoded.endings:
            return self._endings(encoded)
        if prompt.is_chat and not encoded:
            return [self._choice_in_chat(prompt)]
        beginnings: list[Any]
        if encoded:
            beginnings = encoded.beginnings
        elif isinstance(read, ReadLabels):
            lead = "".join(prompt.shared)
            beginnings = [lead + prompt.text[:stop] for stop in read.positions]
        else:
            beginnings = [prompt.whole]
        style, fields = self._label_fields(read.labels)
        body = {"max_tokens": 1, "temperature": 0, **fields}
        if self.capabilities.takes_several:
            return [Request("/completions", {**body, "prompt": beginnings}, len(beginnings), style)]
        return [Request("/completions", {**body, "prompt": each}, 1, style) for each in beginnings]

    def _generate(self, prompt: Prompt, encoded: Encoded | None, read: Generate) -> Request:
        body: Json = {"temperature": read.temperature, "seed": read.seed}
        if read.stop:
            body["stop"] = list(read.stop)
        if encoded:
            body |= {"prompt": list(encoded.whole), "max_tokens": read.max_tokens}
            return Request("/completions", body, 1, "")
        if not prompt.is_chat:
            body |= {"prompt": prompt.whole, "max_tokens": read.max_tokens}
            return Request("/completions", body, 1, "")
        body |= {"messages": self._messages(prompt), self.capabilities.length_field: read.max_tokens}
        if prompt.reply_start:
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        return Request("/chat/completions", body, 1, "")

    def _messages(self, prompt: Prompt) -> list[dict[str, str]]:
        messages = [{"role": "user", "content": "".join(prompt.shared) + prompt.text}]
        if prompt.reply_start:
            if not self.capabilities.continues:
                raise CapabilityError(
                    f"{self.capabilities.url}: {self.capabilities.server} cannot continue a reply that was "
                    "begun, which this prompt needs; name a tokenizer (backend.tokenizer)"
                )
            messages.append({"role": "assistant", "content": prompt.reply_start})
        return messages

    def _endings(self, encoded: Encoded) -> list[Request]:
        """Each ending is read as part of the prompt, which turns the prefix cache off for it."""
        if not self.capabilities.reads_prompts:
            raise CapabilityError(
                f"{self.capabilities.url}: labels of several tokens are read as parts of the prompt, and "
                f"{self.capabilities.server} gives no log-probabilities of prompts (vLLM does)"
            )
        body = {"max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
        return [
            Request("/completions", {**body, "prompt": [*encoded.whole, *ending]}, 1, "prompt")
            for ending in encoded.endings
        ]

    def _choice_in_chat(self, prompt: Prompt) -> Request:
        can = self.capabilities
        if not can.chat_label_style:
            raise CapabilityError(
                f"{can.url}: {can.server} gives no log-probabilities in a chat; use a completion prompt"
            )
        body: Json = {
            "messages": self._messages(prompt),
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": can.tops or 5,
            can.length_field: 1,
        }
        if prompt.reply_start:
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        return Request("/chat/completions", body, 1, "top")

    def _label_fields(self, labels: Sequence[str]) -> tuple[str, Json]:
        if self.capabilities.label_style == "token_ids":
            return "token_ids", fields_of_ids([self._id_of(label) for label in labels])
        if self.capabilities.label_style == "top":
            return "top", {"logprobs": self.capabilities.tops}
        raise CapabilityError(
            f"{self.capabilities.url}: {self.capabilities.server} gives no log-probabilities to read labels"
        )

    # -- what comes back ----------------------------------------------------------------------

    def _complaint(self, data: Json, request: Request, prompt: Prompt) -> str:
        choices = data.get("choices")
        if not isinstance(choices, list) or len(choices) != request.n_answers:
            n = len(choices) if isinstance(choices, list) else 0
            return f"the server sent {n} answers where {request.n_answers} were asked"
        if request.style in ("token_ids", "top") and isinstance(prompt.read, ReadLabels | ReadChoice):
            for choice in choices:
                entries = _entries(choice)
                wanted = set(self._names(prompt.read)) if request.style == "token_ids" else set()
                if missing := wanted - set(entries):
                    return (
                        f"the server sent {len(wanted) - len(missing)} log-probabilities where {len(wanted)} "
                        "were asked: another client may be asking it for another kind of them, which vLLM "
                        "cannot do side by side; stop it or use a server of its own"
                    )
                if not entries:
                    return "the server sent no log-probabilities"
        if request.style == "prompt" and not all(choice.get("prompt_logprobs") for choice in choices):
            return "the server sent no log-probabilities of the prompt"
        return ""

    def _labels(self, choice: Json, prompt: Prompt) -> tuple[float, ...]:
        """(L,) log-probabilities; minus infinity for a label beyond the alternatives given."""
        entries = _entries(choice)
        assert not isinstance(prompt.read, Generate)
        values = [entries.get(name, _NO_MASS) for name in self._names(prompt.read)]
        return tuple(_NO_MASS if value <= _VLLM_FLOOR else value for value in values)

    def _names(self, read: ReadLabels | ReadChoice) -> list[str]:
        """What the labels are called in a reply."""
        if self.capabilities.label_style == "token_ids":
            return [f"token_id:{self._id_of(label)}" for label in read.labels]
        return list(read.labels)

    def _id_of(self, label: str) -> int:
        """The single token of a label; -1 where nobody here can cut as the model does."""
        if label not in self._label_ids:
            ids = self._tokens_of(label)
            if ids is not None and len(ids) != 1:
                raise CapabilityError(
                    f"model {self.capabilities.model}: the label {label!r} is {len(ids)} tokens, so it "
                    "cannot be read from one next-token distribution; use a prompt whose labels are single "
                    "tokens of this model (simulate_levels reads 0 to 9, simulate_marks an asterisk)"
                )
            self._label_ids[label] = ids[0] if ids else -1
        return self._label_ids[label]

    def _tokens_of(self, text: str) -> Sequence[int] | None:
        if self._encoder:
            return self._encoder.ids(text)
        if not self.capabilities.tokenizes:
            return None
        body = {"model": self.capabilities.model, "prompt": text, "add_special_tokens": False}
        return list(wait_for(self._client.post_to_server("/tokenize", body))["tokens"])

    def _count(self, prompt: Prompt) -> int:
        body: Json = {"model": self.capabilities.model}
        if prompt.is_chat:
            body["messages"] = [{"role": "user", "content": "".join(prompt.shared) + prompt.text}]
        else:
            body["prompt"] = prompt.whole
        return int(wait_for(self._client.post_to_server("/tokenize", body))["count"])


def _index(choice: Mapping[str, Any]) -> int:
    return int(choice.get("index") or 0)


def _entries(choice: Json) -> dict[str, float]:
    """Name of a token → its log-probability at the first place after the prompt."""
    logprobs = choice.get("logprobs") or {}
    if "content" in logprobs:
        first = (logprobs["content"] or [{}])[0]
        return {entry["token"]: float(entry["logprob"]) for entry in first.get("top_logprobs") or ()}
    tops = (logprobs.get("top_logprobs") or [None])[0] or {}
    return {str(name): float(value) for name, value in tops.items()}


def _likelihoods(choices: Sequence[Json], endings: Sequence[Sequence[int]]) -> tuple[float, ...]:
    """(L,) the log-probability of each ending as a sequence."""
    sums = []
    for choice, ending in zip(choices, endings, strict=True):
        rows = choice["prompt_logprobs"][-len(ending) :]
        sums.append(sum(float(row[str(id)]["logprob"]) for row, id in zip(rows, ending, strict=True)))
    return tuple(sums)


def _text(choice: Json, cost: Cost) -> Completion | CallFailure:
    message = choice.get("message") or {}
    if choice.get("finish_reason") == "content_filter" or message.get("refusal"):
        return CallFailure("refused", str(message.get("refusal") or "stopped by the server's content filter"))
    text = message.get("content") if message else choice.get("text")
    return Completion(
        text=str(text or ""),
        cost=cost,
        stopped="length" if choice.get("finish_reason") == "length" else "stop",
    )


def _cost(reply: Json) -> Cost:
    """As the server counts; where it does not report its cache, every token of a prompt was computed."""
    usage = reply.get("usage") or {}
    prompt = int(usage.get("prompt_tokens") or 0)
    cached = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    return Cost(prompt, prompt - cached, int(usage.get("completion_tokens") or 0))
