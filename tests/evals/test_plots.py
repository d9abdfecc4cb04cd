"""Plots are the same for the same data, keep words as text, and fit into a page together."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from llm_judge.evals.plots import Bin, Curve, precision_recall, reliability, risk_coverage

pytest.importorskip("matplotlib")
BINS = [Bin(0.1, 0.2, 100), Bin(0.5, 0.4, 30), Bin(0.9, 0.8, 1050)]
CURVES = [Curve("this run", 1180, ((0.1, 0.0), (1.0, 0.3))), Curve("constant", 900, ((1.0, 0.5),))]


def drawn(name: str = "plot", title: str = "safety/hate") -> dict[str, str]:
    return {
        "reliability": reliability(f"{name}a", title, BINS),
        "risk": risk_coverage(f"{name}b", title, CURVES),
        "precision": precision_recall(f"{name}c", title, CURVES, 0.4),
    }


def words(svg: str) -> str:
    root = ElementTree.fromstring(svg)  # noqa: S314  # made here
    return " ".join("".join(each.itertext()) for each in root.iter() if each.text)


def test_the_same_data_give_the_same_bytes() -> None:
    assert drawn() == drawn()


def test_axes_n_and_lines_are_named_in_words() -> None:
    plots = drawn()
    assert all("n = 1,180" in words(svg) for svg in plots.values())
    assert all("(0–1)" in words(svg) for svg in plots.values())
    assert "coverage: share of items answered" in words(plots["risk"])
    assert "constant (n = 900)" in words(plots["precision"])
    assert "prevalence 0.40" in words(plots["precision"])


def test_ids_of_plots_in_one_page_do_not_clash_and_references_find_theirs() -> None:
    found: list[str] = []
    for svg in (*drawn("one").values(), *drawn("two").values()):
        ids = re.findall(r'\bid="([^"]+)"', svg)
        used = re.findall(r'(?:url\(#|href="#)([^)"]+)', svg)
        assert set(used) <= set(ids)
        found += ids
    assert len(found) == len(set(found))


def test_nothing_acts_on_the_page_and_colours_follow_it() -> None:
    for svg in drawn().values():
        assert "<style" not in svg
        assert "<?xml" not in svg
        assert "#ffffff" not in svg
        assert "#0102" not in svg
        assert "currentColor" in svg


@pytest.mark.parametrize(
    "title", ["a <b>&amp; $x^2$", "]]></svg><script>alert(1)</script>", "$\\frac{", "", "仇恨"]
)
def test_any_title_stays_text(title: str) -> None:
    for svg in drawn(title=title).values():
        assert title in words(svg)
        assert "<script" not in svg


def test_a_single_point_and_no_point_are_drawn() -> None:
    assert reliability("a", "x", [Bin(0.5, 1.0, 1)])
    assert risk_coverage("b", "x", [Curve("none", 0, ())])
    assert precision_recall("c", "x", [Curve("one", 1, ((1.0, 1.0),))], 1.0)
