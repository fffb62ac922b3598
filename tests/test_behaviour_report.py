"""The pages of behaviours: all that was found is on them, and nothing of the data is code."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scrutable.evaluators.report import ReportData, report_data, write_report
from scrutable.evaluators.report.accounts import readable_account
from scrutable.evaluators.report.edits import differing
from scrutable.evaluators.report.from_run import NO_GATE, NO_POLICIES
from scrutable.pipeline import load_run
from scrutable.pipeline.behaviours.concepts import Bottleneck, Concept, write_bottleneck
from scrutable.pipeline.behaviours.tables import LEVEL
from scrutable.pipeline.behaviours.word_table import WordTable, write_word_table
from scrutable.pipeline.errors import RunFolderError
from scrutable.pipeline.store import RunFolder
from tests import toy_study as toy
from tests.test_report import _Page, _read, _run

HOSTILE = toy.HOSTILE


def _data(folder: Path, *, with_units: bool = False, **tables: Any) -> ReportData:
    """A run of the toy study, alone or beside the neurons of the tiny run."""
    run = _run(behaviours=toy.write_study(folder / "study", **tables))
    if with_units:
        return run
    frames = {f.name: getattr(run, f.name) for f in dataclasses.fields(run)}
    empty = {name: frame.iloc[:0] for name, frame in frames.items() if hasattr(frame, "iloc")}
    subject = {"subject": {"name": "small model", "note": "4-bit weights"}}
    return dataclasses.replace(run, **empty, manifest={"behaviour_subject": subject})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("behaviours")
    write_report(_data(folder), folder)
    return folder


def _index(folder: Path, **tables: Any) -> _Page:
    return _read(write_report(_data(folder, **tables), folder))


def _desk(folder: Path, **tables: Any) -> _Page:
    write_report(_data(folder, **tables), folder)
    return _read(folder / "behaviours" / "desk.html")


def _pages(folder: Path) -> list[Path]:
    return [folder / "index.html", *sorted((folder / "behaviours").iterdir())]


def test_no_script_of_the_data_reaches_a_page(folder: Path) -> None:
    assert [path.name for path in _pages(folder)] == ["index.html", "always.html", "desk.html"]
    for path in _pages(folder):
        page = _read(path)
        assert "alert(1)" in page.html
        assert page.scripts == []
        assert "'&49" not in page.html.replace("&#39;", "'").replace("&amp;", "&")  # nor does a template
        assert page.resources == []
        assert "default-src 'none'" in page.html


def test_links_between_pages_resolve(folder: Path) -> None:
    for path in _pages(folder):
        for link in _read(path).links:
            if link.startswith("#"):
                assert f'id="{link[1:]}"' in path.read_text(encoding="utf-8")
            else:
                assert (path.parent / link).resolve().is_file(), link


def test_the_same_run_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_report(_data(tmp_path), tmp_path)
    for path in _pages(folder):
        assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_a_run_of_behaviours_alone_shows_nothing_of_units(folder: Path) -> None:
    index = _read(folder / "index.html")
    assert set(index.words) == {
        "",
        "behaviours",
        "gate",
        "behaviour-table",
        "behaviour-failures",
        "provenance",
    }
    assert "2 behaviours, 1 of them explained" in index.text("")
    assert "subject: 4-bit weights" in index.text("behaviours")
    assert "Units" not in index.text("")
    assert not (folder / "units").exists()


def test_a_run_with_units_and_behaviours_shows_both(tmp_path: Path) -> None:
    write_report(_data(tmp_path, with_units=True), tmp_path)
    index = _read(tmp_path / "index.html")
    assert {"headline", "units", "behaviours", "behaviour-table"} <= set(index.words)
    assert len(list((tmp_path / "units").iterdir())) == 4
    assert len(list((tmp_path / "behaviours").iterdir())) == 2


def test_the_headline_is_the_gain_over_equal_token_examples_on_all_and_on_surprising_inputs(
    folder: Path,
) -> None:
    headline = _read(folder / "index.html").text("behaviours")
    assert "Mean gain over equal-token examples" in headline
    row = "llm english reader llm / reader: +0.38 [0.050, 0.85] +0.38 [0.050, 0.85]"
    assert f"{row} 1 of 3 (1 undefined, 1 failed); 1 above 0, 0 below +0.58 [0.050, 0.85]" in headline
    assert headline.index("llm english") < headline.index("rules policy")  # not the run's order


def test_every_baseline_of_the_run_is_in_the_table_and_defined_in_words(folder: Path) -> None:
    text = _read(folder / "index.html").text("behaviours")
    for name in ("equal-token examples", "shuffled explanation", "task alone", "rates", "own answer"):
        assert text.count(name) >= 2
    assert "over consensus" not in text  # there are no other models in this run
    assert "undefined: not defined for any of 3 behaviours" in text


def test_a_behaviour_that_is_not_explained_says_why(folder: Path) -> None:
    table = _read(folder / "index.html").text("behaviour-table")
    assert f"not explained: one outcome only {HOSTILE}" in table
    assert "Not explained: one outcome only" in _read(folder / "behaviours" / "always.html").text("")


def test_the_best_explanation_is_the_one_that_saves_most_over_the_rates(tmp_path: Path) -> None:
    table = _index(tmp_path).text("behaviour-table")
    assert "75 12 1 llm english reader +0.40 [−0.050, 0.90] +0.38 [−0.050, 0.90] +0.36" in table
    worse = [replace(g, bits=0.1) if g.explainer == "llm" else g for g in toy.gains()]
    assert "75 12 1 rules policy checker +0.30" in _index(tmp_path, gains=worse).text("behaviour-table")


def test_a_study_without_explanations_has_a_report(tmp_path: Path) -> None:
    later = ("explanations", "predictions", "forecasts", "losses", "gains", "gain_summary")
    index = _index(tmp_path, **dict.fromkeys((*later, "predicted_edits", "counterfactuals"), ()))
    assert "No gains: none were computed" in index.text("behaviours")
    assert "not explained: no explanation was read by a simulator" in index.text("behaviour-table")
    assert "none were written of this behaviour" in _read(tmp_path / "behaviours" / "desk.html").text(
        "explanations"
    )


def test_failures_are_counted_by_kind_and_costs_are_summed(folder: Path) -> None:
    text = _read(folder / "index.html").text("behaviour-failures")
    assert "1 failure in this run. Stage Kind Count edit malformed 1" in text
    assert f"explain: llm big {HOSTILE} 1 1,200 800 30" in text
    assert "simulate: reader 3 120 90 0" in text
    own = _read(folder / "behaviours" / "desk.html").text("failures")
    assert (
        "1 failure. Stage Kind Count edit malformed 1 Each failure Stage Part Kind Detail edit editor" in own
    )
    assert f"desk/llm, no edit {HOSTILE}" in own


def test_the_header_has_subject_readout_rates_and_the_stated_rule(folder: Path) -> None:
    desk = _read(folder / "behaviours" / "desk.html").text("")
    assert f"25.0 % yes {HOSTILE} 75.0 % no" in desk
    assert "a stated rule, in place of a model" in desk
    assert "75 from 12 sources (3 explain, 2 calibrate, 70 test)" in desk
    assert 'The answer is "yes" if the text contains the word "please"; otherwise it is "no".' in desk
    assert toy.RULE in desk
    assert "small model" in _read(folder / "behaviours" / "always.html").text("")


def test_every_explanation_has_its_gain_over_every_baseline(folder: Path) -> None:
    text = _read(folder / "behaviours" / "desk.html").text("explanations")
    assert text.count("n = 69 from 12") == 12
    assert text.count("n = 17 from 12") == 12
    assert "checker all test inputs +0.28 [−0.050, 0.90] n = 69 from 12 +0.26 [−0.050, 0.90]" in text
    assert f"undefined: no input {HOSTILE} n = 17 from 12" in text
    assert text.index("It is granted to the polite.") < text.index('The answer is "yes" if')


def test_losses_stand_under_every_condition(folder: Path) -> None:
    text = _read(folder / "behaviours" / "desk.html").text("losses")
    assert text.count("0.50 75.0 % 69 of 69 0.50 75.0 % 17 of 17") == 8
    assert "explanation llm reader 0.50 75.0 % 69 of 69 0.50 75.0 % 17 of 17 90.0 %" in text


def test_surprising_inputs_come_first_and_each_prediction_is_a_number(folder: Path) -> None:
    text = _read(folder / "behaviours" / "desk.html").text("test")
    assert "The first 60 of 69 test inputs." in text
    assert re.findall(r"text \d+ please", text)[0] == "text 8 please"  # of the test split, with outcome yes
    assert "surprising 0.50 0.20 0.40 0.30 0.75 0.65 text 12" in text
    assert text.rindex("surprising 0.50") < text.index("no 0.50 0.90 0.60 0.55 0.95 0.85")
    assert text.count("please") == 60


def test_an_input_without_a_prediction_has_a_dash(tmp_path: Path) -> None:
    some = [f for f in toy.forecasts() if (f.input, f.condition) != ("desk.8", "task")]
    assert "surprising 0.50 – 0.40" in _desk(tmp_path, forecasts=some).text("test")


def test_edits_say_what_was_wanted_and_what_was_done(folder: Path) -> None:
    text = _read(folder / "behaviours" / "desk.html").text("counterfactuals")
    assert "reader 0.80 [0.70, 0.90] 0.30 1 undefined: nothing changed" in text
    assert f"no → yes {HOSTILE} changed 0.80 0.30" in text
    assert f"no → yes {HOSTILE} changed not as claimed – –" in text
    html = (folder / "behaviours" / "desk.html").read_text(encoding="utf-8")
    assert "<del>please</del>" in html
    assert "<ins>now</ins>" in html


def test_characters_without_a_shape_are_spelled_out_in_inputs_and_edits(tmp_path: Path) -> None:
    inputs = [replace(one, text=f"turned \u202e {one.text}") for one in toy.inputs()]
    edits = [replace(edit, text=f"\u200b {edit.text}") for edit in toy.edits()]
    page = _desk(tmp_path, inputs=inputs, predicted_edits=edits)
    assert "turned ⟨U+202E⟩ text" in page.text("test")
    assert "200B" in page.text("counterfactuals")
    assert not {"\u202e", "\u200b"} & set(page.html)


def test_a_behaviour_of_which_nothing_could_be_read_has_no_rates(tmp_path: Path) -> None:
    silent = replace(toy.always(), n_unreadable=75, rates=(0.0, 0.0), label_mass=float("nan"))
    assert "– yes" in _index(tmp_path, behaviours=[silent]).text("behaviour-table")


def test_an_explainer_that_saw_a_test_input_raises_an_alarm(folder: Path, tmp_path: Path) -> None:
    assert "the scores are void" not in _read(folder / "behaviours" / "desk.html").text("")
    leaking = [toy.explanation("llm", shown=("desk.0", "desk.9"))]
    assert "saw 1 input of other splits: the scores are void" in _desk(tmp_path, explanations=leaking).text(
        ""
    )


def test_planted_policies_are_told_with_the_gate(tmp_path: Path) -> None:
    results = [toy.policy_result(is_passed=False), toy.policy_result(is_passed=True, simulator="better")]
    results.append(replace(results[1], explainer="llm", is_passed=False, recovery=0.7))  # has no verdict
    gate = _index(tmp_path, policies=results, policy_cases=[toy.policy_case()]).text("gate")
    assert "+0.60 [0.50, 0.70] 61.0 % +0.010 [−0.010, 0.030] 85 % [64, 95] of 19" in gate
    assert "not passed beats examples for too few better" in gate
    assert "better llm 19 of 20 +0.60 [0.50, 0.70] 61.0 %" in gate
    assert "85 % [64, 95] of 19 70.0 % A simulator that" in gate  # what comes next is the note
    assert f"The answer is {HOSTILE} +0.60 [0.50, 0.70] 0.99 +0.20 [0.10, 0.30] +0.55 90.0 %" in gate


def test_a_simulator_that_cannot_be_told_examples_has_no_gain_over_them(tmp_path: Path) -> None:
    nan = dict.fromkeys(("over_examples", "over_examples_low", "over_examples_high"), float("nan"))
    cases = [replace(toy.policy_case(), **nan)]
    gate = _index(tmp_path, policies=[toy.policy_result(is_passed=True)], policy_cases=cases).text("gate")
    assert "0.99 none +0.55" in gate


def test_planted_policies_alone_have_a_report(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("behaviours", "gain_summary", "failures", "predictions"), ())
    index = _index(tmp_path, **nothing, policies=[toy.policy_result(is_passed=True)])
    assert "passed" in index.text("gate")
    assert "behaviours" not in index.words
    assert "0 units" not in index.text("")


def test_the_id_of_a_behaviour_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    data = _data(tmp_path, behaviours=[replace(toy.always(), id="../evil")])
    with pytest.raises(RunFolderError, match="cannot be a file name"):
        write_report(data, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_the_index_of_many_behaviours_stays_below_a_megabyte(tmp_path: Path) -> None:
    many = [replace(toy.always(), id=f"b{i}", about="首都 <&\"' " * 60) for i in range(500)]
    write_report(_data(tmp_path, behaviours=many), tmp_path)
    assert (tmp_path / "index.html").stat().st_size < 1_000_000
    assert "The first 400 of 500" in _read(tmp_path / "index.html").text("behaviour-table")


@pytest.mark.parametrize(
    ("language", "noun"),
    [("policy", "policy"), ("words", "word table"), ("concepts", "concept bottleneck")],
)
def test_what_cannot_be_read_is_shown_as_it_is_and_said_so(language: str, noun: str) -> None:
    account = readable_account("yes if; <b>", language)
    assert (account.prose, account.source) == ("", "yes if; <b>")
    assert f"cannot be read as a {noun}" in account.note


def test_the_words_of_a_table_that_speak_most_for_each_outcome_are_listed() -> None:
    table = WordTable(("yes", "no"), (0.5, -0.5), {"please": (0.75, -0.75), "now": (-0.2, 0.2), "a": (0, 0)})
    account = readable_account(write_word_table(table), "words")
    assert account.rows == (("yes", "please +1.50"), ("no", "now +0.40"))
    assert "2 words with a weight" in account.note
    assert "Without any: yes +0.50, no −0.50." in account.note


def test_the_concepts_of_a_bottleneck_come_in_order_of_the_difference_they_make() -> None:
    concepts = (Concept("weak", ("a", "b")), Concept("strong", tuple("abcdefghij")))
    bottleneck = Bottleneck(("yes", "no"), "shuffled", concepts, (0.0, 0.0), ((0.1, -0.1), (-1.0, 1.0)))
    account = readable_account(write_bottleneck(bottleneck), "concepts")
    assert account.head == ("Concept", "log-odds of yes", "log-odds of no", "Words")
    assert account.rows[0] == ("strong", "−1.00", "+1.00", "a, b, c, d, e, f, g, h…")
    assert account.rows[1] == ("weak", "+0.10", "−0.10", "a, b")
    assert "what the head makes of noise" in account.note


@given(st.text(), st.sampled_from(["policy", "words", "concepts", "english", "other"]))
def test_any_text_is_shown_whatever_language_it_claims(text: str, language: str) -> None:
    account = readable_account(text, language)
    assert text in (account.prose, account.source)


@given(st.text(), st.text())
def test_the_pieces_of_an_edit_join_to_both_texts(first: str, second: str) -> None:
    left, right = differing(first, second)
    assert ("".join(p.text for p in left), "".join(p.text for p in right)) == (first, second)
    kept = ["".join(piece.text for piece in side if not piece.is_changed) for side in (left, right)]
    assert kept[0] == kept[1] or len(first) + len(second) > 4_000


STUDY = {
    "behaviours": ["sentiment"],
    "explainers": {"llm": {"kind": "llm", "model": "m"}},
    "simulators": {"reader": {"kind": "prompted", "model": "m"}, "table": {"kind": "words"}},
}
RUN = {
    "name": "toy",
    "subject": {"model": "m"},
    "corpus": {"source": "c"},
    "explainers": {"table": {"kind": "table"}},
    "simulators": {"checker": {"kind": "program"}},
}


def _banner(folder: Path, config: dict[str, Any], *passed: bool) -> str | None:
    policies = [toy.policy_result(is_passed=one) for one in passed]
    RunFolder(folder).level.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    toy.write_study(folder, policies=policies)
    assert (folder / LEVEL).is_dir()
    return report_data(load_run(folder)).banner


@pytest.mark.parametrize(
    ("passed", "said"),
    [((), NO_POLICIES), ((True,), None), ((False,), "has passed the planted policies. reader: beats")],
)
def test_a_study_whose_simulators_have_not_passed_planted_policies_says_so_on_top(
    tmp_path: Path, passed: tuple[bool, ...], said: str | None
) -> None:
    banner = _banner(tmp_path / "r", {"job": "behaviours", "name": "toy", **STUDY}, *passed)
    assert banner == said or (said and banner and said in banner)


def test_a_run_with_units_and_behaviours_tells_what_both_lack(tmp_path: Path) -> None:
    banner = _banner(tmp_path / "r", {**RUN, "behaviours": STUDY})
    assert banner == f"{NO_GATE} {NO_POLICIES}"
