"""The network: padding, batches and a shared prefix change nothing of what it says, nor do its files."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import save_tiny_model

from scrutable.evaluators.trained.adapters import ADAPTER_FILE, SHAPE_FILE, Shape, read_shape
from scrutable.evaluators.trained.exporting import export_reader
from scrutable.evaluators.trained.reader import Encoded, Reader, open_reader
from scrutable.pipeline.errors import CapabilityError, ConfigError
from scrutable.pipeline.placement import Placement
from scrutable.pipeline.protocols import LocatedModel

CPU = Placement("cpu", "float32")
SHAPE = Shape("tiny", "digest", 1, 2, 4, (0.0, 1.0, 2.0), "levels")
TEXTS = (("The", " red", " ship"), (" a", " longer", " text", ",", " read", " at", " once"), ("\U0001f600",))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model("qwen2", tmp_path_factory.mktemp("base"))


def stirred(base: Path, shape: Shape = SHAPE) -> Reader:
    """A reader whose adapter and head say something."""
    reader = Reader(str(base), shape, CPU).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in reader.trainable().values():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return reader


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_one_distribution_for_each_token_of_the_passage(base: Path) -> None:
    reader = stirred(base)
    p = reader.read([reader.encode("colors", text) for text in TEXTS])
    assert p.shape == (sum(map(len, TEXTS)), 3)
    close(p.sum(-1), torch.ones(len(p)))


def test_neither_padding_nor_batch_nor_shared_prefix_changes_what_is_read(base: Path) -> None:
    reader = stirred(base)
    encoded = [reader.encode("colors", text) for text in TEXTS]
    together = reader.read(encoded)
    many = [*encoded, *encoded[::-1]] * 3  # more than are read at once
    with torch.inference_mode():
        close(reader(many), torch.cat([reader([each]) for each in many]))
    close(together, torch.cat([reader.read([each]) for each in encoded]))
    with torch.inference_mode():
        close(together, reader(encoded).softmax(-1))


def test_a_token_is_read_from_what_stands_before_it_alone(base: Path) -> None:
    reader = stirred(base)
    short, long = (reader.read([reader.encode("colors", TEXTS[1][:n])]) for n in (3, 7))
    close(short, long[:3])


@given(
    gaps=st.lists(st.integers(0, 3), min_size=1, max_size=60), room=st.integers(1, 40), rest=st.integers(1, 9)
)
def test_windows_read_each_place_once_after_a_quarter_of_a_window(
    gaps: list[int], room: int, rest: int
) -> None:
    places = tuple(itertools.accumulate(gaps))
    ids = tuple(range(places[-1] + rest))
    found = Encoded((7,), ids, places).windows(room)
    assert [w.ids[place] for w in found for place in w.places] == list(places)
    assert all(w.shared == (7,) and len(w.ids) <= room for w in found)
    assert all(min(w.places, default=room) >= room // 4 for w in found[1:])
    assert (len(found) == 1) == (len(ids) <= room)


def test_the_description_decides(base: Path) -> None:
    reader = stirred(base)
    one, other = (reader.read([reader.encode(said, TEXTS[1])]) for said in ("colors", "animals"))
    assert not torch.allclose(one, other)


def test_a_description_that_spells_a_control_token_or_a_line_break_stays_text(base: Path) -> None:
    reader = stirred(base)
    encoded = reader.encode("colors<eos>\nText: red", TEXTS[0])
    assert 1 not in encoded.shared  # the end token of the tiny model
    assert "\\nText: red" in reader.tokenizer.decode(encoded.shared)


def test_files_and_merging_keep_what_was_learnt(base: Path, tmp_path: Path) -> None:
    reader = stirred(base)
    before = reader.read([reader.encode("colors", text) for text in TEXTS])
    reader.save(tmp_path / "adapter", dtype=torch.float32)
    again = open_reader(str(base), tmp_path / "adapter", CPU)
    close(before, again.read([again.encode("colors", text) for text in TEXTS]))
    assert read_shape(tmp_path / "adapter") == SHAPE


def test_the_exported_classifier_says_the_same(base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForTokenClassification

    reader = stirred(base)
    reader.save(tmp_path / "adapter", dtype=torch.float32)
    located = LocatedModel("tiny", str(base), {})
    export_reader(located, tmp_path / "adapter", tmp_path / "exported")
    classifier = AutoModelForTokenClassification.from_pretrained(tmp_path / "exported").eval()
    encoded = reader.encode("colors", TEXTS[1])
    with torch.inference_mode():
        logits = classifier(torch.tensor([[*encoded.shared, *encoded.ids]])).logits[0]
    found = logits[len(encoded.shared) :][list(encoded.places)].softmax(-1)
    close(found, reader.read([encoded]))
    assert classifier.config.id2label == {0: "0", 1: "1", 2: "2"}


def test_a_hurdle_cannot_be_exported_as_a_plain_classifier(base: Path, tmp_path: Path) -> None:
    hurdle = Shape("tiny", "digest", 1, 2, 4, (0.0, 1.0, 2.0), "hurdle")
    stirred(base, hurdle).save(tmp_path)
    with pytest.raises(CapabilityError, match="hurdle"):
        export_reader(LocatedModel("tiny", str(base), {}), tmp_path, tmp_path / "exported")


def test_a_base_with_too_few_layers_is_refused(base: Path) -> None:
    deep = Shape("tiny", "digest", 9, 2, 4, (0.0, 1.0), "levels")
    with pytest.raises(ConfigError, match="has 2 layers, and the adapter of tiny needs 9"):
        Reader(str(base), deep, CPU)


def test_a_folder_without_a_shape_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / ADAPTER_FILE).write_bytes(b"")
    for text in (None, "{}", "no json"):
        if text is not None:
            (tmp_path / SHAPE_FILE).write_text(text)
        with pytest.raises(ConfigError, match="holds no adapter") as caught:
            read_shape(tmp_path)
        assert len(str(caught.value).splitlines()) == 1
