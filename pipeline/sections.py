"""What all parts of a config are made of: closed, frozen sections, and how a model is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, field_validator

from scrutable.pipeline.placement import DtypeName

PositiveInt = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # stands in file names
RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Share = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A part of the config: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(Section):
    """A language model: a known name, a local path or a hub id, and how to run it."""

    model: str
    device: str = "auto"
    dtype: DtypeName = "auto"
    batch_size: PositiveInt = 16  # prompts, or for a subject windows, in one forward pass


class PriceConfig(Section):
    """What a server asks, in dollars for a million tokens."""

    prompt: Annotated[float, Field(ge=0)]
    generated: Annotated[float, Field(ge=0)]
    cached: Annotated[float, Field(ge=0)] | None = None  # of tokens found in its cache; None: as prompt

    @property
    def is_free(self) -> bool:
        """True if nothing costs anything."""
        return not (self.prompt or self.generated or self.cached)


class ServerConfig(Section):
    """Servers that all serve one model behind the OpenAI interface."""

    kind: Literal["openai"] = "openai"
    urls: tuple[str, ...] = Field(min_length=1)  # base addresses, with /v1; several share the work
    key_env: str = "OPENAI_API_KEY"  # the environment variable that holds the key
    tokenizer: str = ""  # a known model, path or hub id that cuts text alike; empty: the server cuts
    concurrency: PositiveInt = 128  # requests under way at one address, at most
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    timeout: Annotated[float, Field(gt=0)] = 120.0  # seconds for one attempt
    attempts: PositiveInt = 6  # at a request that fails in a way that may pass
    price: PriceConfig | None = None  # None: unknown, but nothing for a server on this machine

    @field_validator("urls")
    @classmethod
    def _check(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith(("http://", "https://")) or "@" in url:
                raise ValueError(
                    f"{url.rpartition('@')[2]!r}: write an address such as http://127.0.0.1:8000/v1; a key "
                    "comes from the environment (key_env)"
                )
        return tuple(url.rstrip("/") for url in urls)


class EngineConfig(Section):
    """vLLM in this process, without a server."""

    kind: Literal["vllm"]
    max_model_len: PositiveInt = 4096  # tokens of prompt and reply
    max_num_seqs: PositiveInt = 256
    gpu_memory_utilization: Share = 0.9
    tensor_parallel_size: PositiveInt = 1


def _written_out(backend: Any) -> Any:
    """An address stands for a server, a kind for its defaults."""
    if isinstance(backend, str) and backend.startswith(("http://", "https://")):
        return {"kind": "openai", "urls": [backend]}
    if backend == "vllm":
        return {"kind": "vllm"}
    if isinstance(backend, str) and backend != "transformers":
        raise ValueError(f"no backend {backend!r} (allowed: transformers, vllm, or an address of a server)")
    if isinstance(backend, Mapping) and backend.get("kind", "openai") not in ("openai", "vllm"):
        raise ValueError(f"no backend of kind {backend['kind']!r} (allowed: openai, vllm)")
    if isinstance(backend, Mapping) and isinstance(backend.get("urls"), str):
        return {**backend, "urls": [backend["urls"]]}
    return backend


def _backend_kind(backend: Any) -> str:
    if isinstance(backend, str):
        return backend
    return str(backend.get("kind", "openai") if isinstance(backend, Mapping) else backend.kind)


Backend = Annotated[
    Annotated[
        Annotated[Literal["transformers"], Tag("transformers")]
        | Annotated[ServerConfig, Tag("openai")]
        | Annotated[EngineConfig, Tag("vllm")],
        Discriminator(_backend_kind),
    ],
    BeforeValidator(_written_out),
]
_OPERATIONAL = {
    "urls",
    "key_env",
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "timeout",
    "attempts",
    "price",
    "max_num_seqs",
    "gpu_memory_utilization",
    "tensor_parallel_size",
}
_HOW_FAR = {"depth", "general"}  # of recursion: further levels and cells, which change none that are there


def what_answers_depend_on(config: Any) -> Any:
    """A dumped config without where and how fast its models are asked, and how far a ladder is followed."""
    if not isinstance(config, dict):
        return config
    kept = {key: what_answers_depend_on(value) for key, value in config.items()}
    for section, keys in (("backend", _OPERATIONAL), ("recursion", _HOW_FAR)):
        if isinstance(kept.get(section), dict):
            kept[section] = {key: value for key, value in kept[section].items() if key not in keys}
    return kept


class AskingConfig(ModelConfig):
    """A language model that is asked with a prompt file."""

    prompt: str  # a prompt of the package, or the path of a .jinja file
    backend: Backend = "transformers"
    reads_labels: ClassVar[bool] = True  # False: it is asked for text


class NamedJob(Section):
    """Anything that has a run folder."""

    name: RunName
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the resolved config, 16 hex digits."""
        canonical = json.dumps(what_answers_depend_on(self.model_dump(mode="json")), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def kinds_that_need_no_more(union: Any) -> tuple[str, ...]:
    """Of a discriminated union of sections, the kinds without a key that has to be given."""
    members = get_args(get_args(union)[0])
    return tuple(
        member.model_fields["kind"].default
        for member in members
        if not any(field.is_required() for field in member.model_fields.values())
    )
