"""What `scrutable doctor` says: this machine, and what a server showed when it was tried."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from scrutable.pipeline.asset_cache import cache_dir
from scrutable.pipeline.backends.client import Client
from scrutable.pipeline.backends.probe import Capabilities, probe
from scrutable.pipeline.composition.host import host_facts
from scrutable.pipeline.sections import ServerConfig


def of_machine() -> Iterator[str]:
    """Versions, processors, memory, disk, and where models come from."""
    import torch

    facts = host_facts()
    yield f"python {facts['python']} on {facts['platform']}"
    yield ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            found = torch.cuda.get_device_properties(number)
            yield f"GPU {number}: {found.name}, {found.total_memory / 2**30:.0f} GiB"
    else:
        yield f"no GPU; {os.cpu_count()} processors"
    folder = cache_dir()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    yield f"cache: {folder}, {shutil.disk_usage(place).free / 1e9:,.1f} GB free"
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    yield (
        "HF_HUB_OFFLINE is set: the hub is not asked" if offline else "the hub is asked for what is not here"
    )
    yield "a server is tried with --endpoint http://127.0.0.1:8000/v1"


def of_endpoint(url: str, model: str, *, key_env: str) -> Iterator[str]:
    """What a server can do, and what follows where it cannot. Raises EndpointError where none answers."""
    found = probe(Client(ServerConfig(urls=(url,), key_env=key_env)), model)
    yield f"{found.url}: {found.server}, model {found.model}" + (f" ({found.root})" if found.root else "")
    rows = list(_findings(found))
    width = max(len(name) for name, _, _ in rows)
    for name, value, meaning in rows:
        yield f"  {name:<{width}}  {value:<14}{meaning}".rstrip()


def _findings(found: Capabilities) -> Iterator[tuple[str, str, str]]:
    """(what, finding, what follows from it)."""
    yield "context", f"{found.max_model_len:,}" if found.max_model_len else "not said", "tokens"
    yield "completions", _yes(found.completes), "" if found.completes else "only prompts that are messages"
    yield "chat", _yes(found.chats), "" if found.chats else "only completion prompts"
    yield (
        "prompts as tokens",
        _yes(found.takes_tokens),
        "cut as a model in this process would cut them" if found.takes_tokens else "the server cuts",
    )
    yield (
        "several prompts at once",
        _yes(found.takes_several),
        "a passage is one request" if found.takes_several else "a request for each token of a passage",
    )
    styles = {
        "token_ids": ("exact", "of just the labels, whatever their rank"),
        "top": ("truncated", f"of the {found.tops} most probable; the mass of other labels is lost"),
        "": ("none", "no prompted simulator and no detection; kind: trained needs none"),
    }
    yield "label distributions", *styles[found.label_style]
    yield "in a chat", *styles[found.chat_label_style]
    modes = {
        "raw": "a bias or a grammar does not change log-probabilities",
        "processed": "scores cannot be compared with those of a server in raw mode",
        "unknown": "the server does not show it",
    }
    yield "log-probabilities", found.mode, modes[found.mode]
    yield (
        "of the prompt",
        _yes(found.reads_prompts),
        "choices of several tokens can be read" if found.reads_prompts else "labels must be single tokens",
    )
    yield (
        "begun replies",
        _yes(found.continues),
        "" if found.continues else "prompts that begin the reply need backend.tokenizer",
    )
    caches = {
        "yes": "what prompts share is computed once",
        "no": "few-shot examples are computed for every prompt",
        "not reported": "vLLM reports it with --enable-prompt-tokens-details",
    }
    yield "prefix cache", found.caches, caches[found.caches]
    yield "tokenizer", _yes(found.tokenizes), "tokens are counted exactly" if found.tokenizes else "estimated"
    yield (
        "unknown fields",
        "ignored" if found.ignores_unknown else "refused",
        "so a status of 200 proves nothing" if found.ignores_unknown else "",
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"
