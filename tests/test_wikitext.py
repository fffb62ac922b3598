"""Wiki markup becomes prose, and a dump its articles."""

from __future__ import annotations

import bz2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_corpora import written

from scrutable.pipeline.documents import read_documents
from scrutable.pipeline.wikitext import wiki_prose

DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">
<siteinfo><sitename>Wikipedia</sitename></siteinfo>
<page><title>Old name</title><ns>0</ns><redirect title="Ant" />
  <revision><text>#REDIRECT [[Ant]]</text></revision></page>
<page><title>Talk:Ant</title><ns>1</ns><revision><text>I disagree.</text></revision></page>
<page><title>Ant &amp; bee</title><ns>0</ns><revision><text>{{Infobox|name={{PAGENAME}}}}
'''Ants''' are [[eusocial]] [[insect|insects]]&lt;ref name="a"&gt;{{cite web|url=x}}&lt;/ref&gt; of
&amp;minus;5&amp;nbsp;mm.

[[Category:Ants]]</text></revision></page>
</mediawiki>"""


@pytest.mark.parametrize("name", ["w.xml", "w.xml.bz2", "w.bz2"])
def test_a_wiki_dump_gives_articles_without_redirects_and_talk(tmp_path: Path, name: str) -> None:
    content = DUMP.encode()
    path = written(tmp_path / name, bz2.compress(content) if name.endswith("bz2") else content)
    expected = [("wiki:Ant & bee", "Ants are eusocial insects of\n−5 mm.")]
    assert list(read_documents(path)) == expected


@pytest.mark.parametrize(
    ("markup", "prose"),
    [
        ("Plain ''italic'' '''bold'''.", "Plain italic bold."),
        (
            "See [[Ant#Life|its life]], [[:Category:Ants]] and [[fr:Fourmi]]x.",
            "See its life, Category:Ants and x.",
        ),
        ("[[File:a.jpg|thumb|An [[ant]] {{lang|de|Ameise}}]]Prose.", "Prose."),
        ("A<ref name=x/> b<ref>{{cite|t}}</ref> c<ref name='y'>''' odd</ref>.", "A b c."),
        ("Before\n{| class=wikitable\n! h\n|-\n| cell\n|}\nafter", "Before\n\nafter"),
        ("A {{convert|5|km|mi}} road, {{convert|5|to|10|km}} long.", "A 5 km road, 5 to 10 km long."),
        ("Ant ({{IPA-en|x}}; {{lang-de|Ameise}}) is", "Ant (Ameise) is"),
        (
            "Ant ({{IPA-en|x}}) is {{As of|2010}} {{cn}}, small{{citation needed}}.",
            "Ant is As of 2010, small.",
        ),
        ("So{{mdashb}}yes {{nowrap}}{{quote|well}}", "So — yes well"),
        ("H<sub>2</sub>O<br/>and <math>x^2</math><!-- no [[File: -->&amp;", "H2O\nand &"),
        ("[http://x.org a site] and http://y.org [http://z.org]", "a site and http://y.org"),
        ("* one\n** two\n# three\n; term\n: text", "one\ntwo\nthree\nterm\ntext"),
        ("a\n\n\n\n__NOTOC__\n\nb", "a\n\nb"),
        ("broken [[link and {{template", "broken link and template"),
        ("[[File:a.jpg|thumb|broken\n\nProse.", "Prose."),
        ("", ""),
    ],
)
def test_wiki_markup_becomes_prose(markup: str, prose: str) -> None:
    assert wiki_prose(markup) == prose


def test_headings_are_plain_lines_and_empty_or_back_matter_sections_go() -> None:
    markup = (
        "Lead.\n== Life ==\n=== Food ===\nSeeds.\n== Empty ==\n{{table}}\n"
        "== See also ==\n* [[Bee]]\n=== Sub ===\nmore\n== Use ==\nNone.\n== Notes ==\n{{reflist}}"
    )
    assert wiki_prose(markup) == "Lead.\n\nLife\n\nFood\n\nSeeds.\n\nUse\n\nNone."


@given(st.text(alphabet="a [](){}|'=*:;,!<>/\n", max_size=120))
def test_no_markup_is_left_of_any_wiki_text(markup: str) -> None:
    prose = wiki_prose(markup)
    assert not any(leftover in prose for leftover in ("[[", "{{", "}}", "''", "  ", "\n\n\n"))
