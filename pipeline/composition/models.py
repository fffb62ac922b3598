"""The models of a process: each located, loaded and kept once, whoever uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from scrutable.pipeline.assets import resolve_model
from scrutable.pipeline.backends.conversion import check_continuation, convert_gguf
from scrutable.pipeline.placement import place
from scrutable.pipeline.protocols import Ask, LocatedModel
from scrutable.pipeline.records import Generate, Prompt
from scrutable.pipeline.sections import ModelConfig

if TYPE_CHECKING:
    from scrutable.pipeline.backends.transformers import TransformersBackend


class Models:
    """Makes doors to models."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._located: dict[ModelConfig, LocatedModel] = {}
        self._backends: dict[tuple[str, str, str], TransformersBackend] = {}
        self._is_chat: dict[str, bool] = {}

    def ask(self, config: ModelConfig) -> Ask:
        """The door to a model; one that several parts use is loaded once."""
        return self._backend(config)

    def locate(self, config: ModelConfig) -> LocatedModel:
        """The files of a model, fetched and converted if need be."""
        if config not in self._located:
            self._located[config] = locate(config, say=self._say)
        return self._located[config]

    def is_chat(self, config: ModelConfig) -> bool:
        """Whether a model has a chat template; loads its tokenizer only."""
        from scrutable.pipeline.backends.transformers import has_chat_template

        path = self.locate(config).path
        if path not in self._is_chat:
            self._is_chat[path] = has_chat_template(path)
        return self._is_chat[path]

    def count_tokens(self, config: ModelConfig, texts: Sequence[str]) -> list[int]:
        """Tokens of each text alone, as a model cuts it."""
        prompts = [Prompt((), text, Generate(1)) for text in texts]
        return self._backend(config).count_tokens(prompts)

    def _backend(self, config: ModelConfig) -> TransformersBackend:
        from scrutable.pipeline.backends.transformers import TransformersBackend

        placement = place(device=config.device, dtype=config.dtype)
        key = (config.model, *placement)
        if key not in self._backends:
            model = self.locate(config)
            self._backends[key] = TransformersBackend(model.path, name=model.name, placement=placement)
        return self._backends[key].in_batches_of(config.batch_size)


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
