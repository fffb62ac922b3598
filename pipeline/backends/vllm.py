"""Ask a model that vLLM runs in this process: no server, and the same tokens as every other backend sends.

One engine reads one style of log-probabilities at a time; a batch of this backend has only one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scrutable.pipeline.asking import Admit, Arrived
from scrutable.pipeline.encoding import Encoded, Encoder
from scrutable.pipeline.errors import CapabilityError
from scrutable.pipeline.records import CallFailure, Completion, Cost, Generate, Prompt
from scrutable.pipeline.sections import EngineConfig

_FIRST_SEED = 0x5EED  # of the engine itself; every prompt brings its own


class VllmBackend:
    """An engine and the tokenizer of its model."""

    def __init__(self, path: str, *, name: str, digest: str, dtype: str, config: EngineConfig) -> None:
        """Loads the model. Raises CapabilityError where vLLM is not installed."""
        try:
            import vllm
        except ImportError:
            raise CapabilityError(
                "vllm is not installed (extra `vllm`, Linux only): install it, or use a server's address "
                "(backend: http://...) or backend: transformers"
            ) from None
        self.name = name
        self._vllm = vllm
        self._digest = digest
        self._limit = config.max_model_len
        self._engine = vllm.LLM(
            model=path,
            dtype=dtype,
            seed=_FIRST_SEED,
            max_model_len=config.max_model_len,
            max_num_seqs=config.max_num_seqs,
            gpu_memory_utilization=config.gpu_memory_utilization,
            tensor_parallel_size=config.tensor_parallel_size,
            enable_prefix_caching=True,
            disable_log_stats=True,
        )
        self._encoder = Encoder(self._engine.get_tokenizer(), name=name)

    @property
    def identity(self) -> str:
        """What its answers depend on beside the prompt."""
        return f"vllm {self._vllm.__version__} {self._digest}"

    def count_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt; asks nothing of the model."""
        return [encoded.n_tokens for encoded in self._encoder.encode(prompts)]

    def answer(self, prompts: Sequence[Prompt], *, admit: Admit, arrived: Arrived) -> None:
        """Asks all prompts in one batch for each kind of reading; see `scrutable.pipeline.asking`."""
        groups: dict[str, list[Encoded]] = {}
        for encoded in self._encoder.encode(prompts):
            prompt = prompts[encoded.number]
            admit(encoded.number)
            if failure := self._impossible(prompt, encoded):
                arrived(encoded.number, failure)
                continue
            kind = "text" if isinstance(prompt.read, Generate) else "endings" if encoded.endings else "labels"
            groups.setdefault(kind, []).append(encoded)
        for group in groups.values():
            ordered = sorted(group, key=lambda e: e.whole)  # what shares a beginning runs together
            rows = [(encoded, *row) for encoded in ordered for row in self._rows(encoded, prompts)]
            outputs = self._engine.generate(
                [{"prompt_token_ids": tokens} for _, tokens, _ in rows],
                [sampling for _, _, sampling in rows],
                use_tqdm=False,
            )
            of_prompt: dict[int, list[Any]] = {}
            for (encoded, _, _), output in zip(rows, outputs, strict=True):
                of_prompt.setdefault(encoded.number, []).append(output)
            for encoded in ordered:
                found = self._read(prompts[encoded.number], encoded, of_prompt[encoded.number])
                arrived(encoded.number, found)

    def _impossible(self, prompt: Prompt, encoded: Encoded) -> CallFailure | None:
        if encoded.reads[:1] == (-1,):
            return CallFailure("malformed", "no token stands before the first reading")
        return encoded.too_long(prompt.read, limit=self._limit, name=self.name)

    def _rows(self, encoded: Encoded, prompts: Sequence[Prompt]) -> Iterator[tuple[list[int], Any]]:
        """The sequences that a prompt becomes, and how each is sampled."""
        read, whole = prompts[encoded.number].read, list(encoded.whole)
        if isinstance(read, Generate):
            yield (
                whole,
                self._vllm.SamplingParams(
                    max_tokens=read.max_tokens,
                    temperature=read.temperature,
                    seed=read.seed,
                    stop=list(read.stop) or None,
                ),
            )
        elif encoded.endings:
            for ending in encoded.endings:
                sampling = self._vllm.SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
                yield [*whole, *ending], sampling
        else:
            labels = list(self._encoder.labels_of(read))
            for beginning in encoded.beginnings:
                sampling = self._vllm.SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=labels)
                yield beginning, sampling

    def _read(self, prompt: Prompt, encoded: Encoded, outputs: Sequence[Any]) -> Completion | CallFailure:
        cost = sum((_cost(output) for output in outputs), start=Cost())
        read = prompt.read
        if isinstance(read, Generate):
            reply = outputs[0].outputs[0]
            return Completion(
                text=reply.text, cost=cost, stopped="length" if reply.finish_reason == "length" else "stop"
            )
        if encoded.endings:
            pairs = zip(outputs, encoded.endings, strict=True)
            return Completion(label_logprobs=(tuple(_likelihood(o, e) for o, e in pairs),), cost=cost)
        labels = self._encoder.labels_of(read)
        rows = []
        for output in outputs:
            entries = output.outputs[0].logprobs[0]
            if missing := [label for label in labels if label not in entries]:
                return CallFailure(
                    "malformed", f"the engine gave no log-probability of {len(missing)} of the labels"
                )
            rows.append(tuple(float(entries[label].logprob) for label in labels))
        return Completion(label_logprobs=tuple(rows), cost=cost)


def _likelihood(output: Any, ending: Sequence[int]) -> float:
    rows = output.prompt_logprobs[-len(ending) :]
    return sum(float(row[id].logprob) for row, id in zip(rows, ending, strict=True))


def _cost(output: Any) -> Cost:
    prompt, cached = len(output.prompt_token_ids), output.num_cached_tokens or 0
    return Cost(prompt, prompt - cached, len(output.outputs[0].token_ids))
