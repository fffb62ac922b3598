"""Random two-layer models of each supported family, with a byte-level tokenizer, saved as a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

FAMILIES = ("llama", "qwen2", "gemma3", "gpt2")
LAYERS, WIDTH = 2, 24
_SIZES = {
    "hidden_size": 16,
    "intermediate_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
}


def save_tiny_model(family: str, folder: Path) -> Path:
    """Writes weights (seeded) and tokenizer into `folder`."""
    tokenizer = byte_tokenizer(adds_bos=family == "gemma3")
    common = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    if family == "llama":
        config = LlamaConfig(**_SIZES, **common)
    elif family == "qwen2":
        config = Qwen2Config(**_SIZES, **common)
    elif family == "gemma3":
        config = Gemma3TextConfig(**_SIZES, **common, head_dim=8)
    else:
        config = GPT2Config(n_embd=16, n_inner=WIDTH, n_layer=LAYERS, n_head=2, n_positions=8192, **common)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def byte_tokenizer(*, adds_bos: bool = False) -> PreTrainedTokenizerFast:
    """One token for each byte, so that every text can be written and no two texts are alike."""
    from tokenizers.processors import TemplateProcessing

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {"<bos>": 0, "<eos>": 1, "<pad>": 2} | {c: i for i, c in enumerate(alphabet, 3)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if adds_bos:
        tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    )
