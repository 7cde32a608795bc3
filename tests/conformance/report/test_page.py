"""The HTML report: what it embeds, and how it behaves in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.chromium import Page, find_chromium
from support.fake_runtimes import HOSTILE, PROFILE, RIGHT, case
from support.report_example import cases, example

from pybpftime.conformance.judge import judge
from pybpftime.conformance.report.document import document
from pybpftime.conformance.report.page import embedded, page

# Browsers are heavy: one at a time.
pytestmark = pytest.mark.xdist_group("chromium")


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the text in scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def test_the_page_holds_the_document() -> None:
    data = document(example(cases()))
    elements = Elements(page(data))
    assert json.loads(elements.scripts[0]) == json.loads(json.dumps(data))
    assert len(elements.scripts) == 2


def test_the_page_needs_nothing_else() -> None:
    text = page(document(example(cases())))
    loading = [
        attributes for _, attributes in Elements(text).tags if {"src", "srcset", "href", "data"} & attributes.keys()
    ]
    assert {attributes["href"] for attributes in loading} == {"#summary-title", "#cases", "#coverage-title"}
    assert not re.search(r"@import|url\(|https?://", text)


def test_nothing_that_a_runtime_says_is_markup() -> None:
    report = example(cases())
    hostile = replace(PROFILE, name=HOSTILE, version="@script@", description="<b>")
    report.runs[0].profile = hostile
    elements = Elements(page(document(report)))
    assert len([tag for tag, _ in elements.tags if tag == "script"]) == 2
    assert not [tag for tag, _ in elements.tags if tag in ("img", "b")]
    assert json.loads(elements.scripts[0])["runtimes"][0]["version"] == "@script@"


def test_embedded_json_ends_no_element() -> None:
    text = embedded({"a": "</script><!-- <script> & ]]>\u2028"})
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == {"a": "</script><!-- <script> & ]]>\u2028"}


# --- in a browser -----------------------------------------------------------------------------------------------------


def browser() -> str:
    """The path of a browser, or the test is skipped."""
    found = find_chromium()
    if found is None:
        pytest.skip("needs chromium")
    return found


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A report of 10,000 cases and the ones of the example, in the browser."""
    report = example(cases())
    many = [case(f"many/right{number}", about=f"number {number}") for number in range(10_000)]
    report.cases = [*report.cases, *many]
    report.cells = [*(report.cells or ()), *[frozenset()] * len(many)]
    report.runs[0].results |= {one.name: judge(one, PROFILE, RIGHT) for one in many}
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(page(document(report)), "utf-8")
    with Page(browser(), file) as shown:
        yield shown


def set_filter(opened: Page, name: str, value: str) -> None:
    opened.evaluate(
        f"(() => {{ const one = document.getElementById({json.dumps(name)}); one.value = {json.dumps(value)};"
        "one.dispatchEvent(new Event('input')); })()"
    )


def names(opened: Page) -> list[str]:
    found: list[str] = opened.evaluate("[...document.querySelectorAll('.case .name')].map((one) => one.textContent)")
    return found


def reset(opened: Page, status: str = "") -> None:
    for name, value in (("text", ""), ("area", ""), ("status", status)):
        set_filter(opened, name, value)


def test_failures_are_shown_first(opened: Page) -> None:
    assert opened.evaluate("document.getElementById('status').value") == "failed"
    assert names(opened) == ["a/wrong", "b/hostile", "b/traps"]
    assert opened.errors == []


def test_filters_work_together(opened: Page) -> None:
    reset(opened)
    set_filter(opened, "text", "number 77 MANY/")
    assert len(names(opened)) == 200
    assert all("77" in name for name in names(opened))
    set_filter(opened, "text", "r0 /= r1")
    assert names(opened) == ["a/wrong", "b/unclaimed"]
    set_filter(opened, "status", "not applicable")
    assert names(opened) == ["b/unclaimed"]
    reset(opened)
    set_filter(opened, "area", "maps")
    assert names(opened) == ["b/hostile"]
    assert opened.evaluate("document.getElementById('count').textContent") == "1 case of 10,006"
    assert opened.errors == []


def test_many_cases_are_shown_a_part_at_a_time(opened: Page) -> None:
    reset(opened)
    assert len(names(opened)) == 200
    opened.evaluate("document.getElementById('more').click()")
    assert len(names(opened)) == 400
    assert opened.evaluate("document.getElementById('count').textContent") == "10,006 cases of 10,006, 400 shown"


def test_a_failure_opens_with_its_differences(opened: Page) -> None:
    reset(opened, "failed")
    opened.evaluate("document.querySelector('.case > button').click()")
    text = opened.evaluate("document.querySelector('.case .open').innerText")
    assert "2: r0 /= r1" in text
    assert "pybpftime conformance run --runtime './fake --option' --suite 'suite dir' a/wrong" in text
    differing = opened.evaluate("[...document.querySelectorAll('.case tr.differs')].map((one) => one.innerText)")
    assert differing == ["r0\t0x7\t0x8"]
    opened.evaluate("document.querySelector('.case > button').click()")
    assert opened.evaluate("document.querySelector('.case .open')") is None
    assert opened.errors == []


def test_differing_bytes_are_marked(opened: Page) -> None:
    marked = opened.evaluate("bytesElement('010203', '01ff03', '').querySelector('.differs').textContent")
    assert marked == "02 "


def test_a_hostile_message_is_text(opened: Page) -> None:
    reset(opened, "failed")
    opened.evaluate("[...document.querySelectorAll('.case > button')].forEach((one) => one.click())")
    assert "</script><script>alert(1)</script>" in opened.evaluate("document.getElementById('list').textContent")
    assert opened.evaluate("document.querySelectorAll('script, img').length") == 2
    assert opened.errors == []


def test_the_keyboard_suffices(opened: Page) -> None:
    reset(opened, "failed")
    opened.evaluate("document.getElementById('area').focus()")
    opened.press("Tab", 9)
    assert opened.evaluate("document.activeElement.parentElement.className") == "case"
    opened.press("Enter", 13, "\r")
    assert opened.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert opened.evaluate("document.querySelectorAll('.case .open').length") == 1
    assert opened.errors == []


def test_a_cell_of_the_map_filters_the_cases(opened: Page) -> None:
    reset(opened, "failed")
    opened.evaluate("document.getElementById('coverage').scrollIntoView()")
    opened.wait_for("document.querySelector('#map td button') !== null")
    opened.evaluate("document.querySelector('[aria-label=\"div_reg, src one: 2 cases\"]').click()")
    assert names(opened) == ["a/wrong", "b/unclaimed"]
    opened.evaluate("document.querySelector('#cell button').click()")
    assert opened.evaluate("document.getElementById('cell').hidden") is True
    assert opened.errors == []


def test_the_map_shows_gaps_of_a_group(opened: Page) -> None:
    opened.evaluate("document.getElementById('coverage').scrollIntoView()")
    opened.wait_for("document.querySelector('#map td button') !== null")
    set_filter(opened, "coverage-group", "divmul64")
    rows = set(opened.evaluate("[...document.querySelectorAll('#map tbody th')].map((one) => one.textContent)"))
    assert {"div_reg", "smod_imm"} <= rows
    assert "add_reg" not in rows
    assert opened.errors == []


def test_dark_and_light_differ(opened: Page) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        opened.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        grounds.append(opened.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]


def test_a_partial_report_says_so(tmp_path: Path) -> None:
    report = example(cases()[:2], cells=False)
    report.stopped = "interrupted by SIGTERM"
    file = tmp_path / "partial.html"
    file.write_text(page(document(report)), "utf-8")
    with Page(browser(), file) as shown:
        banner = shown.evaluate("document.getElementById('stopped').innerText")
        set_filter(shown, "status", "missing")
        assert banner == "This report is partial: interrupted by SIGTERM."
        assert names(shown) == ["b/hostile", "b/cannot", "b/unclaimed", "b/traps"]
        assert shown.errors == []
