"""The report: our figures, with the published ones beside them."""

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from gligen.evaluation.fullsize.layouts import Selection
from gligen.evaluation.fullsize.options import Painting

PERCENT = ("AP", "AP50", "AP75", "AP_rare", "AP_common", "AP_frequent")
PLAIN = ("clip_score", "FID")
MIN_FOR_FID = 10_000


def published_figures(selection: Selection, painting: Painting) -> dict[str, Any]:
    """Return what others reported on the task at hand: a caveat, sources, rows."""
    text = resources.files("gligen.evaluation.fullsize").joinpath("published.json").read_text()
    published = json.loads(text)
    dataset = "lvis" if selection.is_lvis else "coco"
    dataset = "inpainting" if painting.is_inpainting else dataset
    return published | {"rows": [row for row in published["rows"] if row["dataset"] == dataset]}


def format_report(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    series = report["series"]
    columns = [c for c in (*PERCENT, *PLAIN) if any(c in figures for figures in series)]
    lines = [
        "# Grounded generation on layouts",
        "",
        f"Model: {report['settings']['painting']['model']}. Layouts: "
        f"{report['settings']['choice']['instances']}.",
        "",
        *_table(
            ["", "pictures", "objects", *columns],
            [
                [f["title"], f"{f['num_pictures']}", f"{f['num_objects']}", *_cells(f, columns)]
                for f in series
            ],
        ),
        "",
        "AP is in per cent, by COCO's definition, of the boxes that were asked for.",
        *_notes(report),
        "",
        "## Published figures",
        "",
        report["published"]["caveat"],
        "",
        *_published_table(report["published"]["rows"]),
        "",
        "## Settings",
        "",
        "```json",
        json.dumps(report["settings"], indent=1),
        "```",
        "",
    ]
    return "\n".join(lines)


def _notes(report: dict[str, Any]) -> list[str]:
    notes = []
    judging = report["settings"]["judging"]
    if judging["detector"]:
        notes.append(f"Detector: {judging['detector']}.")
    if report["asks_by_name"] and judging["queries"] == "asked":
        notes.append(
            "The detector was asked in each picture for that picture's own categories alone, so "
            "what was found of others does not count; AP is higher than with --queries all."
        )
    counts = [f["num_pictures"] for f in report["series"] if "FID" in f]
    if counts and min(*counts, report["num_real"]) < MIN_FOR_FID:
        notes.append(
            f"FID is of {min(counts)} pictures against {report['num_real']} real ones; with fewer "
            f"than {MIN_FOR_FID} it is too high, and comparable only at equal numbers."
        )
    return notes


def _published_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    columns = [c for c in (*PERCENT, *PLAIN) if any(c in row for row in rows)]
    if any("AP_by_hole" in row for row in rows):
        columns.append("AP_by_hole")
    return _table(
        ["system", "setting", *columns, "comparable", "note"],
        [
            [
                row["system"],
                row["setting"],
                *(_published_cell(row.get(column)) for column in columns),
                "nearest" if row["comparable"] else "no",
                row["note"],
            ]
            for row in rows
        ],
    )


def _published_cell(value: Any) -> str:
    if isinstance(value, list):
        return " / ".join(f"{number:g}" for number in value)
    return "" if value is None else f"{value:g}"


def _cells(figures: dict[str, Any], columns: Sequence[str]) -> list[str]:
    return [
        f"{figures[c] * (100 if c in PERCENT else 1):.2f}" if c in figures else "" for c in columns
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---" if i == 0 else "---:" for i in range(len(header))]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
