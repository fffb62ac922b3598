"""The config: what is refused, with which hint, and what a digest stands for."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from scrutable.pipeline.config import (
    LlmExplainer,
    RunConfig,
    TableExplainer,
    differing_keys,
    load_config,
    parse_config,
)
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.recursion.config import RecursionConfig
from scrutable.pipeline.sections import EngineConfig, ServerConfig

SERVED = Path(__file__).parent.parent / "configs" / "served.yaml"
CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))
DATA: dict[str, Any] = {
    "name": "toy",
    "subject": {"model": "tiny"},
    "corpus": {"source": "corpus.jsonl"},
    "explainers": {"llm": {"kind": "llm", "model": "tiny"}, "lookup": {"kind": "table"}},
    "simulators": {"prompted": {"kind": "prompted", "model": "tiny"}},
}


def changed(key: str, value: Any) -> dict[str, Any]:
    """The data with the value at a dotted key."""
    data = copy.deepcopy(DATA)
    *parents, leaf = key.split(".")
    node = data
    for parent in parents:
        node = node.setdefault(parent, {})
    node[leaf] = value
    return data


def parsed(data: dict[str, Any] = DATA) -> RunConfig:
    return parse_config(data, source="toy.yaml")


def refusal(data: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(data)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def with_explainers(**explainers: dict[str, Any]) -> dict[str, Any]:
    return changed("explainers", explainers)


def test_an_explainer_may_stand_anywhere_and_comes_after_the_one_it_starts_from() -> None:
    llm, tree = {"kind": "llm", "model": "tiny"}, {"kind": "tree", "of": "llm"}
    compiled = {"kind": "compiled", "model": "tiny", "of": "llm"}
    config = parsed(with_explainers(compiled=compiled, tree=tree, table={"kind": "table"}, llm=llm))
    order = list(config.explainers)
    assert sorted(order) == ["compiled", "llm", "table", "tree"]
    assert order.index("llm") < min(order.index("compiled"), order.index("tree"))
    assert parse_config(config.model_dump(mode="json"), source="again") == config


def test_an_explainer_of_one_that_is_not_there_or_of_itself_in_the_end_is_refused() -> None:
    tree = {"kind": "tree", "of": "lmm"}
    assert refusal(with_explainers(llm={"kind": "table"}, tree=tree)) == (
        "toy.yaml: explainers.tree.of: no explainer 'lmm' (there are llm, tree)"
    )
    circle = {"a": {"kind": "tree", "of": "b"}, "b": {"kind": "rules", "of": "a"}}
    assert "none of them can come first" in refusal(with_explainers(**circle))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(DATA))
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_that_we_ship_is_sound_and_named_like_its_file(path: Path) -> None:
    assert load_config(path).name == path.stem


def test_we_ship_configs() -> None:
    assert "demo.yaml" in {path.name for path in CONFIGS}


def test_a_section_is_the_class_that_its_kind_names() -> None:
    explainers = parsed().explainers
    assert explainers == {"llm": LlmExplainer(model="tiny"), "lookup": TableExplainer()}


def test_a_config_cannot_be_changed_after_it_was_read() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        parsed().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "where", "near"),
    [
        ("sed", "sed", "seed"),
        ("corpus.sorce", "corpus.sorce", "source"),
        ("subject.bach_size", "subject.bach_size", "batch_size"),
        ("scoring.null", "scoring.null", "nulls"),
        ("explainers.llm.promt", "explainers.llm.promt", "prompt"),
        ("simulators.prompted.modle", "simulators.prompted.modle", "model"),
        ("explainers.lookup.knd", "explainers.lookup.knd", "kind"),
    ],
)
def test_an_unknown_key_is_refused_with_its_place_and_the_nearest_key(
    key: str, where: str, near: str
) -> None:
    message = refusal(changed(key, 1))
    assert message.startswith(f"toy.yaml: {where}: unknown key. Did you mean {near}? (allowed: ")
    assert near in message.partition("allowed: ")[2]


def test_the_allowed_keys_are_those_of_the_kind_whatever_the_section_is_called() -> None:
    section = {"kind": "llm", "model": "tiny", "promt": "x"}
    for name in ("mine", "table", "prompt", "llm"):
        message = refusal(changed("explainers", {name: section}))
        assert f"explainers.{name}.promt: unknown key. Did you mean prompt?" in message
        assert "temperature" in message


def test_a_planted_subject_has_keys_of_its_own() -> None:
    message = refusal(changed("subject", {"kind": "planted", "rules": ["digit"], "rule": "lower"}))
    assert message == (
        "toy.yaml: subject.rule: unknown key. Did you mean rules? (allowed: batch_size, kind, rules)"
    )


def test_a_key_of_another_kind_is_not_offered() -> None:
    message = refusal(changed("explainers.lookup.words", 3))
    assert message == "toy.yaml: explainers.lookup.words: unknown key. (allowed: kind)"


def test_an_unknown_key_is_named_before_the_missing_one_that_it_explains() -> None:
    data = changed("corpus.sorce", "x")
    del data["corpus"]["source"]
    message = refusal(data)
    assert "corpus.sorce: unknown key. Did you mean source?" in message
    assert message.endswith("(and 1 more)")


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("explainers.llm.kind", "lm", "explainers.llm: Input tag 'lm'"),
        ("explainers.llm", {"model": "tiny"}, "explainers.llm: Unable to extract tag"),
        ("explainers", {}, "explainers: Dictionary should have at least 1 item"),
        ("explainers", {"a b": {"kind": "table"}}, "explainers.a b: String should match pattern"),
        ("name", "../elsewhere", "name: String should match pattern"),
        ("units.sample", 0, "units.sample: Input should be greater than 0"),
        ("corpus.skip", 64, "corpus: skip (64) must be smaller than window (64)"),
        ("corpus.splits", {"explain": 0.5, "test": 0.5}, "corpus: splits needs explain"),
        ("samples.top", {"explain": 1}, "samples: top needs explain, calibrate and test"),
        ("corpus.near_duplicate", float("nan"), "corpus.near_duplicate: Input should be"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_its_place(key: str, value: Any, problem: str) -> None:
    assert f"toy.yaml: {problem}" in refusal(changed(key, value))


def test_overrides_are_yaml_values_at_dotted_keys(file: Path) -> None:
    overrides = [
        "units.sample=7",
        "units.layers=[1, 2]",
        "explainers.llm.temperature=0.5",
        "corpus.source=a=b",
    ]
    config = load_config(file, overrides)
    assert (config.units.sample, config.units.layers, config.corpus.source) == (7, (1, 2), "a=b")
    assert config.explainers["llm"] == LlmExplainer(model="tiny", temperature=0.5)


def test_the_last_of_two_overrides_wins(file: Path) -> None:
    assert load_config(file, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("units.sample", "write it as key.sub=value"),
        ("=3", "write it as key.sub=value"),
        ("name.sub=3", "'name' holds a value, not a section"),
        ("seed=[1", "the value is not YAML"),
        ("units.smple=3", "units.smple: unknown key. Did you mean sample?"),
    ],
)
def test_a_bad_override_is_one_line_that_says_what_is_wrong(file: Path, override: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(file, [override])
    assert problem in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"name: [toy", "not a readable YAML file"),
        (b"name: \xff\xfe", "not a readable YAML file"),
        (b"- a\n- b", "expected a mapping of keys at the top, got list"),
        (b"", "expected a mapping of keys at the top, got NoneType"),
    ],
)
def test_a_file_that_is_no_config_is_one_line_that_names_it(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    assert problem in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file_is_refused_with_the_configs_beside_it(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config at .*other\.yaml.*has toy\.yaml"):
        load_config(file.with_name("other.yaml"))


@pytest.mark.parametrize("place", ["", "toy.yaml/below"])
def test_a_folder_or_a_path_below_a_file_is_no_config(file: Path, place: str) -> None:
    with pytest.raises(ConfigError, match="not a readable YAML file"):
        load_config(file.parent / place)


def test_differing_keys_are_dotted_and_sorted() -> None:
    new = changed("units.sample", 5) | {"seed": 1}
    new["explainers"] = {"llm": {"kind": "llm", "model": "other"}}
    assert differing_keys(parsed(), parsed(new)) == [
        "explainers.llm.model",
        "explainers.lookup.kind",
        "seed",
        "units.sample",
    ]
    assert differing_keys(parsed(), parsed()) == []


def test_the_digest_depends_on_the_values_and_not_on_how_they_were_written() -> None:
    reordered = dict(reversed(DATA.items()))
    assert parsed(reordered).digest == parsed().digest
    assert parsed(changed("seed", 0)).digest == parsed().digest, "a default that is written out"
    assert parsed(changed("seed", 1)).digest != parsed().digest
    assert len(parsed().digest) == 16


def test_an_address_and_a_kind_stand_for_a_backend() -> None:
    served = load_config(SERVED)
    assert isinstance(served, RunConfig)
    backend = served.explainers["llm"].backend  # type: ignore[union-attr]
    assert isinstance(backend, ServerConfig)
    assert backend.urls == ("http://127.0.0.1:8000/v1",)
    for written, kind in (("vllm", EngineConfig), ("http://127.0.0.1:1/v1/", ServerConfig)):
        changed = load_config(SERVED, [f"explainers.llm.backend={written}"])
        assert isinstance(changed, RunConfig)
        assert isinstance(changed.explainers["llm"].backend, kind)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("explainers.llm.backend=sglang", "no backend 'sglang' (allowed: transformers, vllm, or an address"),
        ("explainers.llm.backend.kind=x", "no backend of kind 'x'"),
        ("explainers.llm.backend.concurency=3", "unknown key. Did you mean concurrency?"),
        ("explainers.llm.backend.urls=[https://me:key@b/v1]", "a key comes from the environment (key_env)"),
    ],
)
def test_a_backend_that_is_none_is_one_line(change: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(complaint)) as error:
        load_config(SERVED, [change])
    assert "me:key" not in str(error.value)


def test_where_and_how_fast_a_model_is_asked_is_not_part_of_a_run() -> None:
    one = load_config(SERVED)
    moved = ["urls=[http://127.0.0.1:9/v1]", "concurrency=4", "key_env=X", "timeout=5"]
    other = load_config(SERVED, [f"explainers.llm.backend.{change}" for change in moved])
    assert differing_keys(one, other) == []
    assert one.digest == other.digest
    cut = load_config(SERVED, ["explainers.llm.backend.tokenizer=gpt2"])
    assert differing_keys(one, cut) == ["explainers.llm.backend.tokenizer"]
    assert one.digest != cut.digest


def test_how_far_a_ladder_is_followed_is_not_part_of_what_it_has_found() -> None:
    ladder = Path(__file__).parent.parent / "configs" / "ladder.yaml"
    one, other = load_config(ladder), load_config(ladder, ["recursion.depth=1", "recursion.general=true"])
    assert differing_keys(one, other) == []
    assert one.digest == other.digest
    assert differing_keys(one, load_config(ladder, ["recursion.gap=1"])) == ["recursion.gap"]


@pytest.mark.parametrize(
    ("given", "at"), [(7, [7, 7, 7]), ([20, 10], [20, 10, 10]), ([5], [5, 5, 5]), ([4, 3, 2], [4, 3, 2])]
)
def test_jobs_are_counted_level_by_level_and_the_last_number_holds_on(given: Any, at: list[int]) -> None:
    config = RecursionConfig.model_validate({"jobs": given})
    assert [config.jobs_at(level) for level in (1, 2, 3)] == at


@pytest.mark.parametrize("given", [[], 0, [3, 0], "many"])
def test_jobs_that_are_no_numbers_are_refused(given: Any) -> None:
    with pytest.raises(pydantic.ValidationError, match="jobs"):
        RecursionConfig.model_validate({"jobs": given})
