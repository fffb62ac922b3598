"""The models of a process: each located, loaded and kept once, whoever uses it, and charged to who asks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scrutable.pipeline.asking import Budget, ChargedAsk, JournaledAsk, Purse, UnderWay
from scrutable.pipeline.asset_cache import cache_dir
from scrutable.pipeline.assets import resolve_model
from scrutable.pipeline.backends.conversion import check_continuation, convert_gguf
from scrutable.pipeline.journal import FILE, Journal
from scrutable.pipeline.placement import place
from scrutable.pipeline.protocols import Ask, LocatedModel
from scrutable.pipeline.records import Generate, Prompt
from scrutable.pipeline.sections import AskingConfig, EngineConfig, ModelConfig, PriceConfig, ServerConfig

if TYPE_CHECKING:
    from scrutable.pipeline.backends.openai import OpenAIBackend
    from scrutable.pipeline.backends.probe import Capabilities
    from scrutable.pipeline.backends.transformers import TransformersBackend
    from scrutable.pipeline.backends.vllm import VllmBackend

_FREE = PriceConfig(prompt=0, generated=0)
_IN_MEMORY = Path(":memory:")


class _Counting(Protocol):
    def count_tokens(self, prompts: Sequence[Prompt]) -> list[int]: ...


class Models:
    """Makes doors to models."""

    def __init__(
        self, say: Callable[[str], None], *, journal: Journal | None = None, budget: Budget | None = None
    ) -> None:
        """Without a journal, what is asked is remembered for as long as the process lives."""
        self._say = say
        self.journal = journal or Journal(_IN_MEMORY, run="")
        self._budget = budget
        self._under_way = UnderWay()
        self._located: dict[ModelConfig, LocatedModel] = {}
        self._backends: dict[tuple[str, str, str], TransformersBackend] = {}
        self._servers: dict[tuple[str, ServerConfig], OpenAIBackend] = {}
        self._engines: dict[tuple[str, EngineConfig], VllmBackend] = {}
        self._is_chat: dict[str, bool] = {}

    def ask(self, config: ModelConfig, *, role: str = "other") -> Ask:
        """The door to a model; one that several parts use is loaded once, and each role pays for itself."""
        backend = _backend_of(config)
        purse = Purse(self.journal, self._budget, role=role, model=config.model, price=price_of(config))
        if isinstance(backend, ServerConfig | EngineConfig):
            return JournaledAsk(self._asked(config), purse, self._under_way)
        return ChargedAsk(self._local(config), purse)

    def served(self, config: AskingConfig, *, role: str) -> tuple[OpenAIBackend, Purse]:
        """The server of a model that is asked for by a role, and who pays."""
        assert isinstance(config.backend, ServerConfig), f"{config.model} is not served"
        purse = Purse(self.journal, self._budget, role=role, model=config.model, price=price_of(config))
        return self._server(config.model, config.backend), purse

    @classmethod
    def of_run(
        cls,
        path: Path,
        say: Callable[[str], None],
        *,
        max_tokens: int | None = None,
        max_dollars: float | None = None,
    ) -> Models:
        """Doors whose answers are kept in the journal beside a run folder; a budget is for all its starts."""
        journal = Journal(path.parent / FILE, run=path.name)
        budget = Budget(journal, max_tokens=max_tokens, max_dollars=max_dollars)
        return cls(say, journal=journal, budget=budget)

    def locate(self, config: ModelConfig) -> LocatedModel:
        """The files of a model, fetched and converted if need be; of a served one what its server says."""
        if config not in self._located:
            backend = _backend_of(config)
            self._located[config] = (
                _served(self._server(config.model, backend).capabilities)
                if isinstance(backend, ServerConfig)
                else locate(config, say=self._say)
            )
        return self._located[config]

    def n_parameters(self, config: ModelConfig) -> float:
        """Numbers in the weight files of a model; NaN for a served one, whose files are elsewhere."""
        path = self.locate(config).path
        return _n_parameters(path) if path else math.nan

    def family(self, config: ModelConfig) -> str:
        """The architecture of a model, as its own config names it; empty for a served one."""
        path = self.locate(config).path
        return _family(path) if path else ""

    def are_same(self, one: ModelConfig, other: ModelConfig) -> bool:
        """Whether two names are of the same weights; of served models only the names are known."""
        paths = [self.locate(config).path for config in (one, other)]
        return paths[0] == paths[1] if all(paths) else one.model == other.model

    def check(self, config: ModelConfig, *, labels: Sequence[str], is_chat: bool) -> None:
        """Raises CapabilityError or EndpointError unless a model can be asked with prompts of this kind."""
        backend = _backend_of(config)
        if isinstance(backend, ServerConfig):
            return self._server(config.model, backend).check(labels=labels, is_chat=is_chat)
        from scrutable.pipeline.backends.transformers import check_prompt

        model = self.locate(config)
        check_prompt(model.path, name=model.name, labels=labels, is_chat=is_chat)
        return None

    def is_chat(self, config: ModelConfig) -> bool:
        """Whether a model can be sent messages; loads its tokenizer only."""
        backend = _backend_of(config)
        if isinstance(backend, ServerConfig):
            return self._server(config.model, backend).capabilities.chats
        from scrutable.pipeline.backends.transformers import has_chat_template

        path = self.locate(config).path
        if path not in self._is_chat:
            self._is_chat[path] = has_chat_template(path)
        return self._is_chat[path]

    def count_tokens(self, config: ModelConfig, texts: Sequence[str]) -> list[int]:
        """Tokens of each text alone, as a model cuts it."""
        return self.count_prompts(config, [Prompt((), text, Generate(1)) for text in texts])

    def count_prompts(self, config: ModelConfig, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt; asks nothing of the model."""
        is_local = _backend_of(config) == "transformers"
        counting: _Counting = self._local(config) if is_local else self._asked(config)
        return counting.count_tokens(prompts)

    def _local(self, config: ModelConfig) -> TransformersBackend:
        from scrutable.pipeline.backends.transformers import TransformersBackend

        placement = place(device=config.device, dtype=config.dtype)
        key = (config.model, *placement)
        if key not in self._backends:
            model = self.locate(config)
            self._backends[key] = TransformersBackend(model.path, name=model.name, placement=placement)
        return self._backends[key].in_batches_of(config.batch_size)

    def _asked(self, config: ModelConfig) -> OpenAIBackend | VllmBackend:
        backend = _backend_of(config)
        if isinstance(backend, ServerConfig):
            return self._server(config.model, backend)
        assert isinstance(backend, EngineConfig), f"{config.model} is neither served nor run by an engine"
        key = (config.model, backend)
        if key not in self._engines:
            from scrutable.pipeline.backends.vllm import VllmBackend

            model = self.locate(config)
            facts = model.provenance
            self._engines[key] = VllmBackend(
                model.path, name=model.name, digest=facts["digest"], dtype=facts["dtype"], config=backend
            )
        return self._engines[key]

    def _server(self, model: str, config: ServerConfig) -> OpenAIBackend:
        key = (model, config)
        if key not in self._servers:
            self._servers[key] = open_server(model, config, say=self._say)
        return self._servers[key]


def open_server(model: str, config: ServerConfig, *, say: Callable[[str], None]) -> OpenAIBackend:
    """A served model, probed; its tokenizer is the one named, or the server's if its files are here."""
    from transformers import AutoTokenizer

    from scrutable.pipeline.backends.client import Client, is_on_this_machine
    from scrutable.pipeline.backends.openai import OpenAIBackend
    from scrutable.pipeline.backends.probe import probe
    from scrutable.pipeline.encoding import Encoder

    client = Client(config)
    capabilities = probe(client, model, cache=cache_dir() / "servers")
    path = ""
    if config.tokenizer:
        path = str(
            resolve_model(config.tokenizer, convert=convert_gguf, check=check_continuation, say=say).path
        )
    elif is_on_this_machine(config.urls[0]) and (Path(capabilities.root) / "tokenizer.json").is_file():
        path = capabilities.root
    encoder = Encoder(AutoTokenizer.from_pretrained(path), name=capabilities.model) if path else None
    return OpenAIBackend(client, capabilities, encoder=encoder)


def price_of(config: ModelConfig) -> PriceConfig | None:
    """What a model's tokens cost: nothing on this machine, and unknown where nobody said."""
    backend = _backend_of(config)
    if not isinstance(backend, ServerConfig):
        return _FREE
    from scrutable.pipeline.backends.client import is_on_this_machine

    is_here = all(is_on_this_machine(url) for url in backend.urls)
    return backend.price or (_FREE if is_here else None)


def locate(config: ModelConfig, *, say: Callable[[str], None]) -> LocatedModel:
    """The files of a model, fetched and converted if need be."""
    files = resolve_model(config.model, convert=convert_gguf, check=check_continuation, say=say)
    placement = place(device=config.device, dtype=config.dtype)
    facts = {
        "name": files.name,
        "digest": files.digest,
        "source": files.source,
        "note": files.note,
        "dtype": placement.dtype,
        "device": placement.device,
    }
    return LocatedModel(files.name, str(files.path), facts)


def _served(found: Capabilities) -> LocatedModel:
    facts = {
        "name": found.model,
        "source": found.url,
        "server": found.server,
        "root": found.root,
        "fingerprint": found.fingerprint,
        "logprobs": f"{found.label_style or 'none'} ({found.mode})",
        "note": f"served by {found.server}; weights as the server says, not verified",
    }
    return LocatedModel(found.model, "", facts)


def _backend_of(config: ModelConfig) -> str | ServerConfig | EngineConfig:
    backend: str | ServerConfig | EngineConfig = getattr(config, "backend", "transformers")
    return backend


@cache
def _family(folder: str) -> str:
    from transformers import AutoConfig

    return str(AutoConfig.from_pretrained(folder).model_type)


@cache
def _n_parameters(folder: str) -> float:
    """From the headers of the files; NaN where there is none that can be read."""
    from safetensors import safe_open

    total = 0
    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return float(total) if total else math.nan
