"""The report of a study of recursion: nothing is hidden, nothing undefined is a number, nothing is code."""

from __future__ import annotations

import dataclasses
import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scrutable.evaluators.report import ReportData, report_data, write_figures, write_report
from scrutable.evaluators.report.causes import level_of
from scrutable.evaluators.report.depth import depth
from scrutable.evaluators.report.drawing import (
    Curve,
    Dot,
    Drawing,
    Label,
    Rect,
    Stroke,
    log_axis,
    short_count,
)
from scrutable.evaluators.report.figures import svg
from scrutable.evaluators.report.frontier import frontier, trusted
from scrutable.evaluators.report.matrix_map import matrix_map, shade
from scrutable.evaluators.report.opacity import SHARES, opacity
from scrutable.evaluators.report.pages import environment
from scrutable.evaluators.report.patch_curve import patch_curve
from scrutable.evaluators.report.recursion import read_recursion
from scrutable.evaluators.report.trust import STOPS, STOPS_TOLD
from scrutable.pipeline import cli, load_run
from scrutable.pipeline.config import load_config
from scrutable.pipeline.errors import ConfigError, RunFolderError
from scrutable.pipeline.records import Metric, Summary
from scrutable.pipeline.recursion.records import Patch, Stop
from scrutable.pipeline.recursion.tables import KINDS
from tests import toy_ladder as toy
from tests.test_report import _Page, _read, _run

HOSTILE, NAN = toy.HOSTILE, math.nan
MODELS = {"llm": {"kind": "llm", "model": "big"}, "tokens": {"kind": "table"}}
FIGURES = ["opacity-by-level", "unresolved-by-depth", "opacity-fidelity", "subject-by-explainer"]


def _data(folder: Path, **tables: Any) -> ReportData:
    run = _run(recursion=toy.write_tables(folder / "study", **tables))
    manifest = {**run.manifest, "parameters": {"big": 1_500_000_000}}
    return dataclasses.replace(run, manifest=manifest, config={**run.config, "explainers": MODELS})


def _section(folder: Path, **tables: Any) -> str:
    return _read(write_report(_data(folder, **tables), folder)).text("ladder")


def _page(folder: Path, **tables: Any) -> _Page:
    write_report(_data(folder, **tables), folder)
    return _read(folder / "ladders" / f"{toy.ROOT}.html")


def _pages(folder: Path) -> list[Path]:
    return [folder / "index.html", *sorted((folder / "ladders").iterdir())]


def _summary(
    explainer: str, excess: float = 0.3, *, simulator: str = "reader", metric: Metric = "correlation"
) -> Summary:
    return Summary(
        explainer=explainer,
        simulator=simulator,
        scorer="simulation",
        metric=metric,
        n_units=40,
        n_defined=40,
        n_undefined=0,
        value=0.4,
        null=0.1,
        excess=excess,
        excess_low=excess - 0.1,
        excess_high=excess + 0.1,
        median=0.3,
        low=0.3,
        high=0.5,
        n_failed=0,
        n_excess=40,
        share_above_null=1.0,
        p=0.01,
        n_found=3,
    )


def _drawn(drawing: Drawing | None) -> Drawing:
    assert drawing is not None
    return drawing


def _rects(drawing: Drawing, style: str) -> list[Rect]:
    """The boxes of a style, without those of the legend."""
    return [m for m in drawing.marks if isinstance(m, Rect) and m.style == style and m.title]


def _dots(drawing: Drawing, style: str) -> list[Dot]:
    return [m for m in drawing.marks if isinstance(m, Dot) and m.style == style and m.title]


def _labels(drawing: Drawing, text: str) -> list[Label]:
    return [m for m in drawing.marks if isinstance(m, Label) and m.text == text]


def _torn(drawing: Drawing) -> list[Curve]:
    return [m for m in drawing.marks if isinstance(m, Curve) and m.style == "torn"]


def _zero(drawing: Drawing) -> float:
    return next(m.y1 for m in drawing.marks if isinstance(m, Stroke) and m.style == "zero")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ladders")
    run = _data(folder)
    write_report(run, folder)
    write_figures(run, folder / "figures")
    return folder


# Pages


def test_no_script_of_the_data_reaches_a_page(folder: Path) -> None:
    for path in _pages(folder):
        page = _read(path)
        assert "alert(1)" in page.html
        assert not any("alert" in script for script in page.scripts)
        assert "'&49" not in page.html.replace("&#39;", "'").replace("&amp;", "&")
        assert page.resources == []


def test_every_root_unit_has_a_page_and_all_links_resolve(folder: Path) -> None:
    assert [path.name for path in _pages(folder)[1:]] == [f"{toy.ROOT}.html", f"{toy.OTHER}.html"]
    index = _read(folder / "index.html")
    assert {f"ladders/{toy.ROOT}.html", f"ladders/{toy.OTHER}.html", "#ladder"} <= set(index.links)
    for path in _pages(folder):
        for link in _read(path).links:
            if link.startswith("#"):
                assert f'id="{link[1:]}"' in path.read_text(encoding="utf-8")
            else:
                assert (path.parent / link).resolve().is_file(), link


def test_the_same_tables_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    run = _data(tmp_path)
    write_report(run, tmp_path)
    write_figures(run, tmp_path / "figures")
    for path in [*_pages(folder), *sorted((folder / "figures").iterdir())]:
        assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_a_run_without_recursion_has_no_section(tmp_path: Path) -> None:
    index = _read(write_report(_run(), tmp_path))
    assert "ladder" not in index.words
    assert not (tmp_path / "ladders").exists()
    empty = toy.write_tables(tmp_path / "study", **dict.fromkeys(KINDS, ()))
    assert "ladder" not in _read(write_report(_run(recursion=empty), tmp_path)).words


@pytest.mark.parametrize("kept", ["ledger", "gated", "matrix"])
def test_a_study_of_one_table_has_a_section(tmp_path: Path, kept: str) -> None:
    others = dict.fromkeys(set(KINDS) - {kept}, ())
    text = _section(tmp_path, **others)
    assert "No verdicts" in text
    assert ("No ledger" in text) == (kept == "gated")


def test_a_matrix_alone_is_told_without_words_about_a_ledger(tmp_path: Path) -> None:
    cells = [dataclasses.replace(cell, v=math.nan) for cell in toy.matrix()]
    text = _section(tmp_path, **dict.fromkeys(set(KINDS) - {"matrix"}, ()), matrix=cells)
    assert "level, size and family apart" in text
    for word in ("ledger", "Discharged", "known ladder", "Claims left out", "nothing to keep"):
        assert word not in text


def test_a_unit_that_cannot_be_a_file_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="cannot be a file name"):
        _section(tmp_path, claims=[toy.claim("../../etc/x")])


def test_the_four_shares_are_explained_in_words(folder: Path) -> None:
    text = _read(folder / "index.html").text("ladder")
    assert "3 ladders, 3 levels, 2 root units" in text
    for noun in ("Discharged : kept by", "Stranded : rests on", "Passed up : they", "Open : not looked into"):
        assert noun in text


def test_verdicts_are_those_of_the_rule_table(folder: Path) -> None:
    text = _read(folder / "index.html").text("ladder")
    assert f"H1 supports Must the explainer be justified? {toy.LLM}: v = 0.02 {HOSTILE}" in text
    assert "H2 stuck Is inscrutability conserved?" in text


def test_it_is_said_on_top_if_known_ladders_are_absent_or_not_passed(tmp_path: Path) -> None:
    assert "known ladder" not in _section(tmp_path / "a").lower().split("known ladders: planted")[0]
    assert "No known ladders have been tried" in _section(tmp_path / "b", known_ladders=())
    rows = [toy.known("copier", is_passed=False), toy.known("program", is_passed=True)]
    text = _section(tmp_path / "c", known_ladders=rows)
    assert "1 of 2 known ladders did not pass (copier)" in text
    assert text.index("did not pass") < text.index("Where the opacity goes")
    assert f"not passed off by 0.4 {HOSTILE}" in text


def test_the_ledger_has_every_row_with_its_intervals(folder: Path) -> None:
    text = _read(folder / "index.html").text("ladder")
    first = f"1 strict, sampled qwen-0.5b {HOSTILE} qwen-1.5b (1.5B) 40, 20 40 1.00 2.50 "
    assert first + "0.20 [0.10, 0.30] 0.50 [0.40, 0.60] 0.25 [0.15, 0.35] 0.050 0.80 [0.75, 0.85]" in text
    assert "1 strict, sampled 0.20 [0.10, 0.30] 0.60 [0.50, 0.70] 0.83 0.40 [0.20, 0.60] 0.020" in text
    assert "q nobody above" in text
    assert "tree tree (a program)" in text
    assert (
        text.index("1 strict, shifted") < text.index("1 lenient, sampled") < text.index("2 strict, sampled")
    )
    assert "−0.20 [−0.30, −0.10]" in text  # unclipped


def test_an_undefined_share_says_why_and_is_no_zero(folder: Path) -> None:
    text = _read(folder / "index.html").text("ladder")
    row = text[text.index("1 strict, sampled someone") :]
    assert row.startswith("1 strict, sampled someone unknown-model (unknown) 40, 20 40 1.00 2.50")
    assert row.split("goes on")[0].count(f"undefined: {toy.REASON}") == 5
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", text.lower())


def test_what_was_left_out_is_listed_with_its_share(folder: Path) -> None:
    assert f"1 gain not above 0 {HOSTILE} 14 35.0 %" in _read(folder / "index.html").text("ladder")


def test_x_is_a_ratio_of_sums_over_the_jobs_for_which_it_is_defined(folder: Path) -> None:
    text = _read(folder / "index.html").text("ladder")
    assert "own explanations 2 of 3 20 1 10.00 4.00 0.40" in text  # (1 + 3) / (4 + 6), not a mean of ratios
    assert "explanations of other nodes 1 of 1 9 1 4.00 0.10 0.025" in text
    assert "undefined: what is lost is 0.000, not above 0" in text


def test_causes_are_summed_up_and_the_attribution_sum_is_called_no_coverage(folder: Path) -> None:
    text = _read(folder / "index.html").text("ladder")
    assert "1 1 of 1 210 (210 to 210) 0.85 0.030 0.070" in text
    assert "undefined: fewer than three nodes were patched alone 0.66 2.40" in text
    assert "The attribution sum is not a coverage" in text


def test_a_mean_over_some_jobs_says_over_how_many(tmp_path: Path) -> None:
    text = _section(
        tmp_path, causes=[toy.cause(), toy.cause(rank_agreement=0.5), toy.cause(rank_agreement=0.7)]
    )
    assert "0.60 n = 2" in text


def test_the_other_checks_are_there(folder: Path) -> None:
    text = _read(folder / "index.html").text("ladder")
    assert "working text +0.30 [0.25, 0.35] +0.10 [0.050, 0.15]" in text
    assert "general text not tried undefined: not defined for any of 40 units" in text
    assert "1 8 2 of 2 0.50 1 32 0 of 1 undefined: not defined for any of 1 unit" in text
    assert "1 content 12 0.050 0.12 1 format 1 undefined: fewer than two jobs" in text
    assert "a list of words 30 0.20 0.10 0.50 [0.30, 0.70]" in text
    assert "gpt2 124M tree 0, a program no 60 +0.21 [0.16, 0.26] 0.20" in text
    assert f"same model undefined: no such cell {HOSTILE} 0" in text


# The page of one unit


def test_a_page_goes_from_the_claim_to_the_claims_below(folder: Path) -> None:
    text = _read(folder / "ladders" / f"{toy.ROOT}.html").text("claims")
    assert f"words about cities {HOSTILE} Gain 0.020 Strict gain, of the compiled program 0.005" in text
    assert "X, own explanations 0.25 X, explanations of other nodes 0.025" in text
    order = [text.index(unit) for unit in ("2 L5.N1.pos", "3 L0.N4.pos", "2 L6.N2.neg")]
    assert order == sorted(order)  # each child after its parent
    assert "undefined: no program was tried – – below the gap" in text


def test_a_page_has_the_job_and_what_caused_the_text(folder: Path) -> None:
    text = _read(folder / "ladders" / f"{toy.ROOT}.html").text("jobs")
    assert "exemplars of L3.N9.pos Tokens 210 of prompt, 4 of text Content tokens 3 of 4" in text
    assert "Gap, nats 12.25 Gap of content tokens, nats 10.50" in text
    assert "The job is traced." in text
    assert f"L5.N1.pos 0.060 0.080 digits {HOSTILE}" in text
    assert "L6.N2.neg not patched alone not patched alone" in text
    assert "attention at the exemplars undefined: the author has no such site" in text
    assert "1 patch without a defined effect not drawn" in text


def test_a_job_that_is_not_traced_says_why(folder: Path) -> None:
    page = _read(folder / "ladders" / f"{toy.OTHER}.html")
    assert f"The job is not traced: the gap is 1.2 nats {HOSTILE}." in page.text("jobs")
    assert f"Gap, nats undefined: the gap is 1.2 nats {HOSTILE}" in page.text("jobs")
    assert "No causal set was looked for." in page.text("jobs")
    assert STOPS_TOLD["budget"] in page.text("claims")
    assert "No claims below this one." in page.text("claims")


def test_a_unit_without_a_job_has_a_page(tmp_path: Path) -> None:
    assert "No job: none is on record" in _page(tmp_path, jobs=()).text("jobs")


def test_jobs_that_share_an_id_are_told(tmp_path: Path) -> None:
    page = _page(tmp_path, jobs=[toy.job(toy.ROOT), toy.job(toy.ROOT, author="another")])
    assert page.text("jobs").count("Another ladder has a job of the same id") == 2


def test_claims_that_are_their_own_parents_end(tmp_path: Path) -> None:
    odd = toy.claim("L9.N9.pos", level=2, parent=f"1/{toy.ROOT}", id=f"1/{toy.ROOT}")
    assert "words about cities" in _page(tmp_path, claims=[toy.claim(toy.ROOT), odd]).text("claims")


def test_every_reason_to_stop_is_told_in_words() -> None:
    assert set(get_args(Stop)) == set(STOPS) == set(STOPS_TOLD)


# Figures


def test_every_figure_is_a_file_of_valid_xml_with_its_style(folder: Path) -> None:
    paths = sorted((folder / "figures").iterdir())
    assert [path.name for path in paths] == sorted(f"{name}.svg" for name in FIGURES)
    for path in paths:
        text = path.read_text(encoding="utf-8")
        root = ET.fromstring(text)
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert root.tag.endswith("svg")
        assert "style" in tags
        assert "prefers-color-scheme: dark" in text
        assert "script" not in tags
        assert not re.search(r"href|url\(|@import", text)
        assert "NaN" not in text
        assert '"nan"' not in text


def test_figures_of_the_pages_are_valid_xml_too(folder: Path) -> None:
    for path, n in zip(_pages(folder), (4, 1, 0), strict=True):
        found = re.findall(r"<svg xmlns.*?</svg>", path.read_text(encoding="utf-8"), re.DOTALL)
        assert len(found) == n
        for text in found:
            ET.fromstring(text)


def test_characters_that_xml_forbids_are_spelled_out() -> None:
    drawing = _drawn(opacity([toy.row(f"a\x00\x1b\ud800\u202eb {HOSTILE}", reason="\x01")]))
    ET.fromstring(svg(drawing, environment()))


@given(st.lists(st.floats(0.02, 0.5), min_size=4, max_size=4), st.floats(0.3, 1))
def test_stacked_heights_are_proportional_to_shares(parts: list[float], weight: float) -> None:
    shares = [part / sum(parts) for part in parts]
    drawing = _drawn(opacity([toy.row(shares=(shares[0], shares[1], shares[2], shares[3]), weight=weight)]))
    heights = [_rects(drawing, style)[0].height for style in SHARES]
    for height, share in zip(heights, shares, strict=True):
        assert abs(height / sum(heights) - share) < 0.3 / sum(heights)
    tops = [_rects(drawing, style)[0].y for style in SHARES]
    assert tops == sorted(tops, reverse=True)
    assert tops[0] + heights[0] == pytest.approx(_zero(drawing))


def test_all_panels_share_one_scale() -> None:
    drawing = _drawn(opacity([toy.row("a"), toy.row("b", weight=0.5)]))
    first, second = _rects(drawing, "stranded")
    assert first.height == pytest.approx(2 * second.height, abs=0.2)


def test_negative_shares_are_drawn_down_from_zero() -> None:
    drawing = _drawn(opacity([toy.row(shares=(-0.2, 0.9, 0.25, 0.05))]))
    box, above = _rects(drawing, "discharged")[0], _rects(drawing, "stranded")[0]
    assert box.y == _zero(drawing) == pytest.approx(above.y + above.height)
    assert "−0.20 of the root weight" in box.title


def test_a_share_beyond_the_axis_is_cut_off_and_marked() -> None:
    drawing = _drawn(opacity([toy.row(shares=(3.0, 0.1, -2.4, 0.3))]))
    boxes = [box for style in SHARES for box in _rects(drawing, style)]
    assert all(box.y >= 0 and box.y + box.height <= drawing.height for box in boxes)
    assert "3.00 of the root weight" in _rects(drawing, "discharged")[0].title
    assert "−2.40" in _rects(drawing, "passed_up")[0].title
    assert len(_torn(drawing)) >= 2
    assert not _torn(_drawn(opacity([toy.row()])))


def test_an_undefined_level_has_no_bar_and_says_so() -> None:
    drawing = _drawn(opacity([toy.undefined("one")]))
    assert not any(_rects(drawing, style) for style in SHARES)
    assert _labels(drawing, "undefined")[0].title.endswith(f"undefined: {toy.REASON}")
    assert any(f"undefined: {toy.REASON}" in note for note in drawing.notes)


def test_an_interval_is_drawn_only_where_there_is_one() -> None:
    def whiskers(drawing: Drawing | None) -> int:
        marks = _drawn(drawing).marks
        return sum(isinstance(m, Stroke) and m.style == "whisker" and bool(m.title) for m in marks)

    assert whiskers(opacity([toy.row()])) == 3
    assert whiskers(opacity([toy.row(discharged_low=NAN)])) == 2


def test_only_strict_rows_of_sampled_text_are_bars() -> None:
    rows = [toy.row(tier="lenient"), toy.row(corpus="shifted")]
    assert opacity(rows) is None
    assert len(_rects(_drawn(opacity([*rows, toy.row()])), "open")) == 1


def test_larger_models_are_higher_and_a_program_is_below_the_break() -> None:
    sizes = {"small": 5e8, "large": 7e9, "program": 0.0, "unknown": NAN}
    rows = [toy.row(name, trusted=name, parameters=size) for name, size in sizes.items()]
    drawing = _drawn(opacity(rows))
    places = {next(n for n in sizes if n in dot.title): dot for dot in _dots(drawing, "trusted")}
    assert set(places) == {"small", "large", "program"}
    assert places["large"].y < places["small"].y
    ticks = {label.text for label in drawing.marks if isinstance(label, Label)}
    assert {"0", "1B"} <= ticks
    assert any("parameters of unknown unknown, not drawn" in note for note in drawing.notes)


def test_the_conserved_line_is_at_one() -> None:
    drawing = _drawn(depth([toy.row(), toy.row(tier="lenient", unresolved=0.5)]))
    line = next(m for m in drawing.marks if isinstance(m, Stroke) and m.style == "conserved" and m.title)
    assert line.y1 == line.y2 == pytest.approx(_labels(drawing, "1.0")[0].y - 3.5)
    start = next(m for m in drawing.marks if isinstance(m, Dot) and "1 by definition" in m.title)
    assert start.y == line.y1


def test_both_tiers_are_lines_and_an_undefined_level_breaks_one() -> None:
    rows = [
        toy.row(level=1, unresolved=0.8),
        toy.row(level=2, unresolved=NAN, unresolved_low=NAN, unresolved_high=NAN, reason="too few"),
        toy.row(level=3, unresolved=0.7),
        toy.row(level=1, tier="lenient", unresolved=0.5),
    ]
    drawing = _drawn(depth(rows))
    styles = [m.style for m in drawing.marks if isinstance(m, Curve)]
    assert styles == ["line strict", "line lenient"]  # only from depth 0 to depth 1
    assert [dot.title for dot in _dots(drawing, "strict")][1:] == [
        "strict, level 1: 0.80 [0.75, 0.85]",
        "strict, level 3: 0.70 [0.65, 0.75]",
    ]
    assert drawing.notes == (f"{toy.LLM}, strict, level 2: undefined: too few",)


def test_unresolved_trust_beyond_the_axis_is_marked() -> None:
    assert _torn(_drawn(depth([toy.row(unresolved=4.0)])))


def test_a_readable_text_needs_no_trust_even_if_a_model_compiled_it() -> None:
    config = {"explainers": {**MODELS, "compiled": {"kind": "compiled", "model": "big", "of": "llm"}}}
    manifest = {"parameters": {"big": 1000}}
    assert trusted("tokens", config, manifest).parameters == 0
    assert trusted("compiled", config, manifest).parameters == 0
    assert trusted("llm.best", config, manifest).parameters == 1000
    assert trusted("llm", config, {}).reason == "parameters of big unknown"
    assert trusted("stranger", config, manifest).reason == "not in the config"


def test_a_point_that_cannot_be_placed_is_told_and_not_drawn() -> None:
    rows = [
        _summary("llm"),
        _summary("tokens", 0.2),
        _summary(f"stranger {HOSTILE}"),
        _summary("tokens", NAN, simulator="other"),
        _summary("llm", 0.9, metric="auroc"),
    ]
    drawing = _drawn(frontier(rows, {"explainers": MODELS}, {"parameters": {"big": 1.5e9}}))
    assert [dot.title for dot in _dots(drawing, "opaque")] == [
        "llm / reader: 0.30 [0.20, 0.40], 1.5B parameters"
    ]
    readable, opaque = _dots(drawing, "readable"), _dots(drawing, "opaque")
    assert len(readable) == 1
    assert readable[0].x < opaque[0].x
    assert drawing.notes == (
        f"stranger {HOSTILE} / reader: not in the config, not drawn",
        "tokens / other: fidelity undefined for all of 40 units, not drawn",
    )
    assert frontier(rows[2:], {"explainers": MODELS}, {}) is None


def test_names_of_points_do_not_cover_each_other() -> None:
    rows = [_summary("tokens", 0.3 + i / 1e4, simulator=f"s{i}") for i in range(5)]
    drawing = _drawn(frontier(rows, {"explainers": MODELS}, {}))
    names = sorted(m.y for m in drawing.marks if isinstance(m, Label) and "tokens /" in m.text)
    assert all(b - a >= 12.9 for a, b in pairwise(names))


def test_the_map_has_a_box_for_each_pair_in_order_of_size() -> None:
    drawing = _drawn(matrix_map(toy.matrix()))
    names = [m.text for m in drawing.marks if isinstance(m, Label) and m.style == "name"]
    assert names[:3] == ["tree", "qwen-0.5b", "qwen-1.5b"]
    assert names[3:5] == ["gpt2", "qwen-0.5b"]
    assert len(_labels(drawing, "not tried")) == 3
    undefined = _labels(drawing, "undefined")
    assert len(undefined) == 1
    assert "undefined for all of 60 units" in undefined[0].title
    assert len(_rects(drawing, "plus2 same")) == 1
    assert len(_rects(drawing, "minus1")) == 1


def test_shades_run_over_both_signs() -> None:
    assert [shade(value, 0.6) for value in (0.6, 0.05, 0.0, -0.05, -0.6)] == [
        "plus6",
        "plus1",
        "plus1",
        "minus1",
        "minus6",
    ]
    assert shade(0.0, 0.0) == "plus1"


def test_a_patch_curve_is_drawn_against_the_number_of_nodes() -> None:
    drawing = _drawn(patch_curve(toy.patches(), toy.cause(), name="curve"))
    xs = [dot.x for dot in _dots(drawing, "prefix")]
    assert xs == sorted(set(xs))
    assert len(_dots(drawing, "random")) == 1
    assert not _dots(drawing, "layer_matched")  # its effect is not defined
    causal = [m for m in drawing.marks if isinstance(m, Stroke) and m.style == "causal" and m.title]
    assert causal[0].x1 == xs[3]
    assert patch_curve([Patch("j", "single", 1, 0.5, unit="u")], None, name="curve") is None
    assert patch_curve([Patch("j", "prefix", 4, NAN)], None, name="curve") is None


@given(st.lists(st.floats(1, 1e12), min_size=2, max_size=6), st.booleans())
def test_a_logarithmic_axis_keeps_order_and_holds_its_ticks(values: list[float], has_zero: bool) -> None:
    axis = log_axis([*values, 0.0] if has_zero else values)
    assert axis is not None
    ordered = sorted([0.0, *values] if has_zero else values)
    places = [axis.place(value, 10.0, 400.0) for value in ordered]
    assert places == sorted(places)
    assert all(10 <= place <= 400 for place in places)
    ticks = axis.ticks(10.0, 400.0)
    assert len(ticks) >= 2
    assert all(10 <= tick.at <= 400 for tick in ticks)


def test_sizes_are_short() -> None:
    assert [short_count(x) for x in (0, 500, 1.35e8, 1.5e9, 999_999_999, 7e12)] == [
        "0",
        "500",
        "135M",
        "1.5B",
        "1B",
        "7T",
    ]


def test_the_level_of_a_job_is_in_its_id() -> None:
    assert (level_of("2/L1.N7.pos"), level_of("odd")) == (2, 0)


# From a run folder


def _folder_of_a_run(path: Path) -> Path:
    config = load_config(Path(cli.__file__).parent.parent / "configs" / "demo.yaml", ())
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
    return path


def test_a_run_gives_its_tables_to_the_report(tmp_path: Path) -> None:
    path = _folder_of_a_run(tmp_path / "run")
    assert read_recursion(report_data(load_run(path)).recursion) is None
    toy.write_tables(path)
    study = read_recursion(report_data(load_run(path)).recursion)
    assert study is not None
    assert study.jobs[0] == toy.job(toy.ROOT)
    assert [claim.id for claim in study.claims] == [claim.id for claim in toy.claims()]
    assert study.roots == (toy.ROOT, toy.OTHER)


def test_the_command_writes_figures_and_prints_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _folder_of_a_run(tmp_path / "run")
    toy.write_tables(path)
    cli.report(path, figures=True)
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert printed[0] == path / "report" / "index.html"
    assert {line.parent for line in printed[1:]} == {path / "report" / "figures"}
    assert all(line.is_file() for line in printed)


def test_figures_of_a_run_without_a_ledger_are_refused_in_one_line(tmp_path: Path) -> None:
    path = _folder_of_a_run(tmp_path / "run")
    with pytest.raises(ConfigError, match="has no ledger of trust") as refused:
        cli.report(path, figures=True)
    assert "\n" not in str(refused.value)
    assert not (path / "report").exists()
