"""The report on a tiny synthetic run: two layers, four units, hostile text everywhere."""

from __future__ import annotations

import dataclasses
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from scrutable.evaluators.report import ReportData, charts, colour, wording, write_report
from scrutable.evaluators.report.visible import readable
from scrutable.pipeline.errors import RunFolderError

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}"
TOKENS = ["A", " <script>alert('t')</script>", "😀", "\n", "首都", "\tend"]  # the first is context
ACTIVATIONS = [9.0, 0.0, 2.0, 4.0, 0.0, 1.0]
EXPECTED = [0.0, 1.0, 2.0, 0.0, 0.5]
UNITS = ["L1.N7.pos", "L1.N8.neg", "L3.N2.pos", "L3.N9.pos"]
PAIRINGS = [("tokens", "table"), ("llm", "prompted")]  # the run's order: English second
REASON = f"the simulation is constant {HOSTILE}"


def _excerpt(unit: str, split: str, k: int) -> dict[str, Any]:
    return {
        "unit": unit,
        "excerpt": f"{split}-{k}",
        "document": f"doc {split} {HOSTILE}",
        "split": split,
        "tokens": TOKENS,
        "activations": ACTIVATIONS,
        "n_context": 1,
        "weight": 1.0 if k == 0 else 12.5,
        "is_top": k == 0,
        "shown": split == "explain" and k == 0,
    }


def _explanation(unit: str, explainer: str) -> dict[str, Any]:
    is_llm = explainer == "llm"
    return {
        "unit": unit,
        "explainer": explainer,
        "language": "english" if is_llm else "table",
        "text": f"capital cities {HOSTILE}",
        "model": f"big {HOSTILE}" if is_llm else "",
        "prompt": f"Explain {HOSTILE}" if is_llm else "",
        "prompt_digest": "0123456789abcdef",
        "reply": f"Sure {HOSTILE}",
        "is_cut": explainer == "llm",
        "shown": ["explain-0"],
        "prompt_tokens": 1200,
        "computed_tokens": 800,
        "generated_tokens": 30,
        "candidate": 1,
    }


def _score(unit: str, explainer: str, simulator: str, metric: str) -> dict[str, Any]:
    is_undefined = unit == UNITS[3] and explainer == "llm"
    names = ("value", "low", "high", "null", "excess", "excess_low", "excess_high")
    values = [math.nan] * 7 if is_undefined else [0.5, 0.4, 0.6, 0.125, 0.375, 0.25, 0.5]
    return {
        "unit": unit,
        "explainer": explainer,
        "simulator": simulator,
        "scorer": "simulation",
        "metric": metric,
        **dict(zip(names, values, strict=True)),
        "n_asked": 4,
        "n_answered": 3,
        "n_documents": 3,
        "n_nulls": 5,
        "n_flat_nulls": 0,
        "label_mass": 0.97,
        "reason": REASON if is_undefined else "",
        "p": 0.05,
        "q": 0.05,
        "null_values": [0.1, 0.15],
    }


def _summary(explainer: str, simulator: str, metric: str) -> dict[str, Any]:
    n_undefined = 1 if explainer == "llm" else 0
    return {
        "explainer": explainer,
        "simulator": simulator,
        "scorer": "simulation",
        "metric": metric,
        "n_units": 4,
        "n_defined": 4 - n_undefined,
        "n_undefined": n_undefined,
        "value": 0.5,
        "null": 0.13,
        "excess": 0.37 if explainer == "llm" else -0.08,
        "excess_low": 0.21,
        "excess_high": 0.49,
        "median": 0.36,
        "low": 0.3,
        "high": 0.6,
        "n_failed": 0,
        "n_excess": 4 - n_undefined,
        "share_above_null": 1.0,
        "p": 0.0005,
        "n_found": 2,
    }


def _simulation(unit: str, explainer: str, simulator: str, excerpt: str, source: str) -> dict[str, Any]:
    return {
        "unit": unit,
        "explanation": f"{source}/{explainer}",
        "explainer": explainer,
        "simulator": simulator,
        "excerpt": excerpt,
        "expected": EXPECTED if source == unit else [99.0] * 5,
        "is_null": source != unit,
        "label_mass": 0.97,
        "prompt_tokens": 40,
        "computed_tokens": 30,
        "generated_tokens": 0,
    }


def _run(**changed: Any) -> ReportData:
    metrics = ("correlation", "explained_variance", "top_and_random")
    other = dict(zip(UNITS, UNITS[1:] + UNITS[:1], strict=True))
    run = ReportData(
        title=f"Tiny run {HOSTILE}",
        manifest={
            "starts": [{"started": "2026-01-02T03:04:05+00:00", "host": {"cpu": f"c {HOSTILE}"}}],
            "subject": {"name": "subject-x", "digest": "sha256:ab", "note": f"4-bit weights {HOSTILE}"},
            "explainers": {"llm": {"model": "big", "digest": "cd"}},
            "corpus": {"n_documents": 1234, "n_tokens": 99, "dropped": {"short": 2}},
            "seeds": {"run": 0},
        },
        config={"name": HOSTILE, "nested": {"path": Path("a/b"), "list": [1, 2.5, None, True]}},
        banner=None,
        units=pd.DataFrame(
            {
                "unit": UNITS,
                "layer": [1, 1, 3, 3],
                "index": [7, 8, 2, 9],
                "sign": ["pos", "neg", "pos", "pos"],
                "density": [0.031, 0.0004, math.nan, 0.2],
                "max_activation": [4.0, 4.0, 0.0, 5.5],
            }
        ),
        excerpts=pd.DataFrame(
            [_excerpt(u, s, k) for u in UNITS for s in ("explain", "calibrate", "test") for k in (0, 1)]
        ),
        explanations=pd.DataFrame([_explanation(u, e) for u in UNITS for e, _ in PAIRINGS]),
        simulations=pd.DataFrame(
            [
                _simulation(u, e, s, f"{split}-{k}", source)
                for u in UNITS
                for e, s in PAIRINGS
                for split in ("calibrate", "test")
                for k in (0, 1)
                for source in (other[u], u)
            ]
        ),
        calibrations=pd.DataFrame(
            [
                {
                    "unit": u,
                    "explainer": e,
                    "simulator": s,
                    "slope": math.nan if (u, e) == (UNITS[3], "llm") else 1.5,
                    "intercept": 0.25,
                }
                for u in UNITS
                for e, s in PAIRINGS
            ]
        ),
        scores=pd.DataFrame([_score(u, e, s, m) for u in UNITS for e, s in PAIRINGS for m in metrics]),
        summary=pd.DataFrame([_summary(e, s, m) for e, s in PAIRINGS for m in metrics]),
        failures=pd.DataFrame(
            [[UNITS[1], "simulate", "malformed", f"expected 5 values {HOSTILE}", "llm/prompted"]],
            columns=["unit", "stage", "kind", "detail", "part"],
        ),
    )
    return dataclasses.replace(run, **changed)


class _Page(HTMLParser):
    """Counts what a browser would see: tags, text by section, cells of heatmaps, links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.scripts: list[str] = []
        self.links: list[str] = []
        self.resources: list[str] = []
        self.columns: list[dict[str, Any]] = []
        self.words: dict[str, list[str]] = {"": []}
        self._section = ""
        self._tag = ""
        self._is_token = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        classes = found.get("class", "").split()
        self._tag = tag
        if tag == "script":
            self.scripts.append("")
        if tag == "section":
            self._section = found["id"]
            self.words[self._section] = []
        if tag == "a":
            self.links.append(found["href"])
        if tag in {"script", "img", "link", "iframe", "audio", "video"}:
            self.resources += [found[name] for name in ("src", "href") if name in found]
        if tag == "span":
            self._is_token = "t" in classes and "rowname" not in classes
        if tag == "span" and self._is_token:
            column = {"title": found["title"], "context": "x" in classes, "true": 0, "simulated": []}
            self.columns.append({**column, "section": self._section})
        if self._is_token and tag == "b":
            self.columns[-1]["true"] += 1
        if self._is_token and tag == "i":
            self.columns[-1]["simulated"].append(found["class"])

    def handle_data(self, data: str) -> None:
        if self._tag == "script" and self.scripts and not self.scripts[-1]:
            self.scripts[-1] = data
        self.words[self._section].append(data)

    def text(self, section: str) -> str:
        return " ".join(" ".join(self.words[section]).split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    assert write_report(_run(), folder) == folder / "index.html"
    return folder


def _read(path: Path) -> _Page:
    return _Page(path.read_text(encoding="utf-8"))


def _pages(folder: Path) -> list[Path]:
    return [folder / "index.html", *sorted((folder / "units").iterdir())]


def test_there_is_one_page_for_each_unit(folder: Path) -> None:
    assert [p.name for p in _pages(folder)] == ["index.html", *sorted(f"{u}.html" for u in UNITS)]


def test_no_script_of_the_data_reaches_a_page(folder: Path) -> None:
    for path in _pages(folder):
        page = _read(path)
        assert "alert(" in page.html
        assert not any("alert(" in script for script in page.scripts)
        assert not re.search(r"<script[^>]*>\s*alert", page.html)
        assert len(page.scripts) == (1 if path.name == "index.html" else 0)
        assert "49" not in page.text("headline" if path.name == "index.html" else "prompts").split()


def test_pages_load_nothing_from_elsewhere(folder: Path) -> None:
    for path in _pages(folder):
        page = _read(path)
        assert page.resources == []
        assert not re.search(r"https?://|@import|url\(", page.html)


def test_links_between_pages_resolve(folder: Path) -> None:
    for path in _pages(folder):
        for link in _read(path).links:
            if link.startswith("#"):
                assert f'id="{link[1:]}"' in path.read_text(encoding="utf-8")
            else:
                assert (path.parent / link).resolve().is_file(), link


def test_the_same_run_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_report(_run(), tmp_path)
    for path in _pages(folder):
        assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_the_headline_has_value_interval_n_and_the_note_on_weights(folder: Path) -> None:
    headline = _read(folder / "index.html").text("headline")
    assert "+0.37 [0.21, 0.49] 3 of 4 (1 undefined)" in headline
    assert "subject: 4-bit weights <script>" in headline
    assert headline.index("llm prompted") < headline.index("tokens baseline")  # not the run's order


def test_all_metrics_of_all_pairings_stand_side_by_side(folder: Path) -> None:
    scores = _read(folder / "index.html").text("scores")
    assert scores.count("tokens") >= 3
    assert "Top-and-random" in scores
    assert "−0.08" in scores


def test_an_undefined_score_says_why_and_is_counted(folder: Path) -> None:
    index, unit = _read(folder / "index.html"), _read(folder / "units" / f"{UNITS[3]}.html")
    assert f"undefined: {REASON}" in index.text("units")
    assert f"llm / prompted correlation undefined: {REASON} 1 unit" in index.text("failures")
    assert unit.text("explanations").count(f"undefined: {REASON}") == 6  # value and excess, 3 metrics


def test_failures_are_counted_by_stage_and_kind(folder: Path) -> None:
    index = _read(folder / "index.html").text("failures")
    assert "1 failure in this run. Stage Kind Count simulate malformed 1" in index
    assert "expected 5 values" in _read(folder / "units" / f"{UNITS[1]}.html").text("explanations")


def test_no_failures_are_stated_as_none(tmp_path: Path) -> None:
    run = _run()
    index = write_report(dataclasses.replace(run, failures=run.failures.iloc[:0]), tmp_path)
    assert "Failures: none." in _read(index).text("failures")


def test_answers_label_mass_and_cost_are_shown(folder: Path) -> None:
    answers = _read(folder / "index.html").text("answers")
    assert "llm prompted 16 12 75.0 % 97.0 % 97.0 % 1 of 4" in answers
    assert "4 4,800 3,200 120" in answers


def test_provenance_is_readable(folder: Path) -> None:
    provenance = _read(folder / "index.html").text("provenance")
    assert "2026-01-02T03:04:05+00:00" in provenance
    assert "path: a/b" in provenance


def test_what_the_explainer_saw_is_marked_and_apart_from_the_held_out(folder: Path) -> None:
    page = _read(folder / "units" / f"{UNITS[0]}.html")
    assert "shown to tokens, llm" in page.text("shown")
    assert "not shown" in page.text("shown")
    assert "explain-0" not in page.text("test")
    assert "sampled, weight 12.5" in page.text("test")
    assert "void" not in page.text("test")


def test_a_judging_excerpt_that_was_shown_raises_an_alarm(tmp_path: Path) -> None:
    run = _run()
    write_report(dataclasses.replace(run, excerpts=run.excerpts.assign(shown=True)), tmp_path)
    assert "its score is void" in _read(tmp_path / "units" / f"{UNITS[0]}.html").text("test")


def test_true_and_simulated_rows_have_the_same_cells(folder: Path) -> None:
    page = _read(folder / "units" / f"{UNITS[0]}.html")
    test = [column for column in page.columns if column["section"] == "test"]
    assert len(test) == 2 * len(TOKENS)
    assert {(column["true"], len(column["simulated"])) for column in test} == {(1, len(PAIRINGS))}
    assert sum(column["context"] for column in test) == 2


def test_simulated_cells_are_calibrated_into_raw_units_of_the_own_explanation(folder: Path) -> None:
    page = _read(folder / "units" / f"{UNITS[0]}.html")
    column = [c for c in page.columns if c["section"] == "test"][3]
    assert "true 4.00; llm / prompted 3.25;" in column["title"]  # 1.5 * 2 + 0.25
    top = max(ACTIVATIONS[1:])  # the context token is outside of the scale
    assert column["simulated"][0] == f"k0 c{colour.shade(3.25, scale_max=top)}"


def test_a_row_without_calibration_is_hatched_and_says_so(folder: Path) -> None:
    page = _read(folder / "units" / f"{UNITS[3]}.html")
    scored = [c for c in page.columns if c["section"] == "test" and not c["context"]]
    assert {c["simulated"][0] for c in scored} == {"k0 m"}
    assert "No simulated row: calibration not defined." in page.text("test")


def test_the_banner_is_on_top_of_every_page(folder: Path, tmp_path: Path) -> None:
    write_report(_run(banner=f"no gate has been passed {HOSTILE}"), tmp_path)
    for path in _pages(tmp_path):
        page = _read(path)
        assert "no gate has been passed <script>" in page.text("")
        assert page.html.index('class="banner"') < page.html.index("<main>")
    assert 'class="banner"' not in (folder / "index.html").read_text(encoding="utf-8")


def test_a_run_without_any_score_still_has_a_report(tmp_path: Path) -> None:
    run = _run()
    frames = ("excerpts", "explanations", "simulations", "calibrations", "scores", "summary", "failures")
    empty = {name: getattr(run, name).iloc[:0] for name in frames}
    assert "No scores" in _read(write_report(dataclasses.replace(run, **empty), tmp_path)).text("headline")


def test_a_pairing_without_a_defined_unit_is_undefined_in_the_headline(tmp_path: Path) -> None:
    run = _run()
    names = ["value", "null", "excess", "excess_low", "excess_high", "median", "share_above_null"]
    summary = run.summary.assign(**dict.fromkeys(names, math.nan), n_defined=0, n_undefined=4)
    headline = _read(write_report(dataclasses.replace(run, summary=summary), tmp_path)).text("headline")
    assert "undefined: not defined for any of 4 units" in headline


def test_the_index_of_a_large_run_stays_below_a_megabyte(tmp_path: Path) -> None:
    run = _run()
    n, row = 3000, _explanation("x", "llm") | {"text": "首都 <&\"' " * 60}
    ids = [f"L{i % 9}.N{i}.pos" for i in range(n)]
    units = pd.DataFrame(
        {"unit": ids, "layer": [i % 9 for i in range(n)], "index": range(n), "sign": "pos"}
    ).assign(density=0.01, max_activation=1.0)
    large = dataclasses.replace(
        run,
        units=units,
        excerpts=run.excerpts.iloc[:0],
        simulations=run.simulations.iloc[:0],
        explanations=pd.DataFrame([row | {"unit": u} for u in ids]),
        scores=pd.DataFrame(
            [
                _score(u, e, s, "correlation") | {"excess": math.nan, "reason": f"silent in {u}"}
                for u in ids
                for e, s in PAIRINGS
            ]
        ),
        failures=pd.DataFrame([run.failures.iloc[0].to_dict()] * 5000),
    )
    index = write_report(large, tmp_path)
    assert index.stat().st_size < 1_000_000
    assert "of 3,000 units" in _read(index).text("units")
    assert "5,000 failures" in _read(index).text("failures")
    assert "other reasons, told on the units' pages 5,940 scores" in _read(index).text("failures")


def test_a_unit_id_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    run = _run()
    with pytest.raises(RunFolderError, match="cannot be a file name"):
        write_report(dataclasses.replace(run, units=run.units.assign(unit="../evil")), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" a\n", "·a⏎"),
        ("\t", "⇥"),
        ("", "∅"),
        ("\u202e", "⟨U+202E⟩"),
        ("首都 😀", "首都·😀"),
        ("\ud83d", "⟨U+D83D⟩"),
    ],
)
def test_no_token_is_invisible(token: str, shown: str) -> None:
    assert readable(token) == shown


@pytest.mark.parametrize(
    ("value", "printed"),
    [(0.372, "+0.37"), (-0.081, "−0.081"), (-0.001, "−0.001"), (0.0001, "0.000"), (math.nan, "–")],
)
def test_scores_have_two_decimals_small_ones_three_and_a_true_minus(value: float, printed: str) -> None:
    assert wording.score(value, signed=True) == printed


@pytest.mark.parametrize(
    ("value", "printed"),
    [(0.0, "0"), (3.14159, "3.14"), (12.34, "12.3"), (0.0213, "0.0213"), (4321.0, "4,321")],
)
def test_activations_have_three_digits(value: float, printed: str) -> None:
    assert wording.raw(value) == printed


def test_every_shade_carries_dark_text() -> None:
    def luminance(colour_hex: str) -> float:
        parts = [int(colour_hex[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ink = luminance("#1b1f24")
    shades = [luminance(shade) for shade in colour.palette()]
    assert min((shade + 0.05) / (ink + 0.05) for shade in shades) >= 4.5  # WCAG AA
    assert shades == sorted(shades, reverse=True)


def test_a_weak_activation_is_told_from_silence() -> None:
    assert colour.shade(0.0, scale_max=10) == 0
    assert colour.shade(1e-6, scale_max=10) == 1
    assert colour.shade(99.0, scale_max=10) == colour.STEPS - 1


def test_a_histogram_counts_every_value_once() -> None:
    values = [-0.3, 0.0, 0.1, 0.25, 0.99, 1.0]
    axis = charts.score_range(values)
    assert (axis.low <= -0.3, axis.high >= 1.0) == (True, True)
    assert sum(charts.bin_counts(values, axis)) == len(values)


def test_values_of_a_page_share_their_decimals() -> None:
    assert [wording.on_scale(v, scale_max=0.05) for v in (0.05, -0.02, 0.0)] == ["0.0500", "−0.0200", "0"]
    assert wording.on_scale(7.056, scale_max=10.8) == "7.06"


def test_an_explanation_that_was_cut_off_says_so(tmp_path: Path) -> None:
    write_report(_run(), tmp_path)
    page = next((tmp_path / "units").glob("*.html")).read_text(encoding="utf-8")
    assert "cut off at max_tokens" in page


def test_what_simulators_took_is_counted_nulls_included(tmp_path: Path) -> None:
    run = _run()
    n = len(run.simulations.query("explainer == 'llm'"))
    text = _read(write_report(run, tmp_path)).text("answers")
    assert f"{40 * n:,}" in text.replace("\u202f", ",").replace("\u00a0", ",")
    assert f"{30 * n:,}" in text.replace("\u202f", ",").replace("\u00a0", ",")
