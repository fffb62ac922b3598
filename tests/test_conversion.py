"""GGUF to safetensors, on a random llama of two layers that the gguf library wrote.

Run: pytest tests/test_conversion.py
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer

from scrutable.pipeline import assets
from scrutable.pipeline.backends.conversion import check_continuation, convert_gguf
from scrutable.pipeline.errors import AssetError

LAYERS, D, MLP, HEADS = 2, 64, 96, 2
TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "▁a", "ab"]
VOCABULARY = len(TOKENS)


def tiny_weights() -> dict[str, NDArray[np.float32]]:
    """Weights by GGUF name; multiples of 1/64, which bfloat16 holds exactly."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> NDArray[np.float32]:
        return (rng.integers(-16, 17, size=shape) / 64).astype(np.float32)

    weights = {"token_embd.weight": draw(VOCABULARY, D), "output_norm.weight": draw(D) + 1}
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weights[f"blk.{layer}.{name}.weight"] = draw(D, D)
        for name in ("ffn_gate", "ffn_up"):
            weights[f"blk.{layer}.{name}.weight"] = draw(MLP, D)
        weights[f"blk.{layer}.ffn_down.weight"] = draw(D, MLP)
        for name in ("attn_norm", "ffn_norm"):
            weights[f"blk.{layer}.{name}.weight"] = draw(D) + 1
    return weights


def write_gguf(path: Path, weights: dict[str, NDArray[np.float32]]) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("A title that is no path")
    writer.add_context_length(128)
    writer.add_embedding_length(D)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([-float(i) for i in range(VOCABULARY)])
    kinds = gguf.TokenType
    writer.add_token_types(
        [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * 256, *[kinds.NORMAL] * 5]
    )
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    for name, tensor in weights.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conversion")
    write_gguf(folder / "tiny.gguf", tiny_weights())
    into = folder / "tiny"
    into.mkdir()
    convert_gguf(folder / "tiny.gguf", into)
    return into


def test_every_weight_survives_the_conversion(converted: Path) -> None:
    state = AutoModelForCausalLM.from_pretrained(converted).state_dict()
    written = tiny_weights()

    assert state["model.embed_tokens.weight"].dtype == torch.bfloat16
    names = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "model.layers.1.mlp.gate_proj.weight": "blk.1.ffn_gate.weight",
        "model.layers.1.mlp.up_proj.weight": "blk.1.ffn_up.weight",
        "model.layers.0.mlp.down_proj.weight": "blk.0.ffn_down.weight",
        "model.layers.0.self_attn.v_proj.weight": "blk.0.attn_v.weight",
        "model.layers.0.self_attn.o_proj.weight": "blk.0.attn_output.weight",
        "model.layers.1.input_layernorm.weight": "blk.1.attn_norm.weight",
        "model.layers.1.post_attention_layernorm.weight": "blk.1.ffn_norm.weight",
    }
    for ours, theirs in names.items():
        np.testing.assert_array_equal(state[ours].float().numpy(), written[theirs], err_msg=ours)


def test_an_embedding_without_a_head_of_its_own_is_tied_to_it(converted: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(converted)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_the_converted_config_does_not_say_quantised_and_names_no_path(converted: Path) -> None:
    config = (converted / "config.json").read_text("utf-8")
    assert "quantization_config" not in config
    assert "A title" not in config


def test_the_folder_holds_a_tokenizer_that_gives_the_text_back(converted: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(converted)
    assert tokenizer.decode(tokenizer("ab ab", add_special_tokens=False)["input_ids"]).strip() == "ab ab"


def test_converting_twice_gives_the_same_bytes(converted: Path, tmp_path: Path) -> None:
    convert_gguf(converted.parent / "tiny.gguf", tmp_path)
    again = (tmp_path / "model.safetensors").read_bytes()
    assert again == (converted / "model.safetensors").read_bytes()


def test_conversion_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_gguf(tmp_path / "tiny.gguf", tiny_weights())
    (tmp_path / "into").mkdir()
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "into")
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_a_file_that_is_no_gguf_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUX" + b"\0" * 100)
    with pytest.raises(AssetError, match=r"bad\.gguf: transformers cannot read this GGUF file") as caught:
        convert_gguf(tmp_path / "bad.gguf", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_truncated_gguf_is_one_clear_line(tmp_path: Path) -> None:
    write_gguf(tmp_path / "cut.gguf", tiny_weights())
    whole = (tmp_path / "cut.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AssetError, match=r"cut\.gguf: transformers cannot read this GGUF file"):
        convert_gguf(tmp_path / "cut.gguf", tmp_path)


def test_a_continuation_without_what_is_expected_is_an_error_that_quotes_it(converted: Path) -> None:
    assert isinstance(check_continuation(converted, "ab", ""), str)
    with pytest.raises(AssetError, match=r"continues 'ab' with .* where 'Paris' was expected") as caught:
        check_continuation(converted, "ab", "Paris")
    assert "\n" not in str(caught.value)


@pytest.mark.real
@pytest.mark.parametrize("name", ["smollm2-135m", "gemma-3-270m"])
def test_a_real_model_is_fetched_converted_and_continues_sanely(name: str) -> None:
    model = assets.resolve_model(name, convert=convert_gguf, check=check_continuation)
    asset = assets.ASSETS[name]
    assert check_continuation(model.path, asset.prompt, asset.expected)


@pytest.mark.real
def test_gemmas_tokenizer_starts_every_text_with_bos_without_which_it_repeats_itself() -> None:
    model = assets.resolve_model("gemma-3-270m", convert=convert_gguf, check=check_continuation)
    tokenizer = AutoTokenizer.from_pretrained(model.path)
    assert tokenizer("The capital")["input_ids"][0] == tokenizer.bos_token_id == 2
