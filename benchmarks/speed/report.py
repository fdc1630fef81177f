"""The table and the plots, drawn from the JSON alone."""

import json
from pathlib import Path
from typing import Any

from benchmarks.speed import plots
from benchmarks.speed.bench import COMPILED, ORIGINAL, OURS, STOCK

# Least ratios asked for, by device, section and contender.
TARGETS = {
    "cpu": {"text-box": {STOCK: 1.10, ORIGINAL: 1.6}, "text-image": {STOCK: 2.1}},
    "cuda": {
        "text-box": {STOCK: 2.5, ORIGINAL: 4.0},
        "text-image": {STOCK: 5.0},
        "compiled text-box": {COMPILED: 1.15},
        "compiled text-image": {COMPILED: 2.2},
    },
}
# Most seconds of a picture; the first is asked of an H200, the second of two cores.
MOST_SECONDS = {"text-box": {"cuda": 0.38}, "embedded": {"cpu": 3.0}}
COMPARISONS = (
    "text-box",
    "text-image",
    "compiled text-box",
    "compiled text-image",
    "embedded",
    "decoding",
)
CURVES = ("tau", "boxes", "steps", "side", "batch", "precision")


def write_report(data: dict[str, Any], folder: Path, quality: Path | None = None) -> None:
    """Write speed.md and the plots of what has been measured so far.

    Args:
        data: what `Record` holds.
        folder: where they are written.
        quality: JSON with `label` and `points`, each a `name`, `seconds` and `value`, for the plot
            of quality against speed.
    """
    (folder / "speed.md").write_text(markdown(data), encoding="utf-8")
    for name, figure in plots.draw(data).items():
        (folder / f"{name}.png").write_bytes(figure)
    if quality is not None:
        points = json.loads(quality.read_text(encoding="utf-8"))
        (folder / "quality.png").write_bytes(plots.quality(points["points"], points["label"]))


def markdown(data: dict[str, Any]) -> str:
    """Return all figures as Markdown."""
    setting, sections = data["setting"], data["sections"]
    device = "cuda" if setting["device"].startswith("cuda") else "cpu"
    where = setting.get("gpu") or f"{setting['processor']}, {setting['threads']} thread(s)"
    lines = [
        f"Measured {setting['date']} on {where}; torch {setting['torch']}, diffusers "
        f"{setting['diffusers']}, {setting['dtype']}, {setting['steps']} steps, models of "
        f"{setting['size']} with random weights and open gates; {setting['clock']}, medians of "
        "paired ratios [least-greatest].",
        "",
    ]
    lines += _correctness(sections.get("correctness", {}))
    for name in COMPARISONS:
        if "ratios" in sections.get(name, {}):
            lines += _comparison(name, sections[name], device)
    if "parts" in sections:
        lines += _table(
            "Seconds by part of an evaluation (profiled, by the clock)",
            [{"": name, **parts} for name, parts in sections["parts"]["parts"].items()],
        )
    for name, found in sections.get("savings", {"evaluations": {}})["evaluations"].items():
        lines += _savings(name, found)
    for name in CURVES:
        if name in sections:
            lines += _curve(name, sections[name])
    if "upsampling" in sections:
        rows = [
            {"": name, **found["seconds"], "the rule takes": found["rule"]}
            for name, found in sections["upsampling"]["layers"].items()
        ]
        lines += _table("Seconds of an upsampling in each form", rows)
    lines += [f"- {note}" for note in sections.get("notes", [])]
    return "\n".join(lines) + "\n"


def _correctness(found: dict[str, Any]) -> list[str]:
    lines = ["**Results compared before timing** (relative RMS of latents against diffusers)", ""]
    for name, value in found.items():
        if isinstance(value, dict):
            lines.append(f"- {name}: error to float32 {value['ratio']:.3f} times diffusers' own")
        else:
            lines.append(f"- {name}: {value:.1e}")
    return [*lines, ""]


def _comparison(name: str, found: dict[str, Any], device: str) -> list[str]:
    rows = []
    for who, seconds in found["seconds"].items():
        row = {"": who, "seconds": seconds, "clock": found["wall_seconds"][who]}
        if who == OURS:
            most = MOST_SECONDS.get(name, {}).get(device)
            row["asked"] = f"at most {most:g} s" if most else ""
        else:
            row["times as long as here"] = _spread(found["ratios"][who][OURS])
            least = TARGETS[device].get(name, {}).get(who)
            row["asked"] = f"at least {least:.2f}" if least else ""
        rows.append(row)
    return _table(name, rows)


def _savings(name: str, found: dict[str, Any]) -> list[str]:
    first = next(iter(found["seconds"]))
    rows = []
    for step, seconds in found["seconds"].items():
        ratio = found["ratios"][first].get(step, {"median": 1.0, "min": 1.0, "max": 1.0})
        work = found["work"][step]
        rows.append(
            {
                "": step,
                "seconds": seconds,
                "speed": _spread(ratio),
                "GFLOP": f"{work['gflop']:.2f}",
                "operations": str(work["operations"]),
            }
        )
    return _table(f"One saving after another, {name} evaluation", rows)


def _curve(name: str, found: dict[str, Any]) -> list[str]:
    if "points" not in found:
        return _table(name, [{"": who, "seconds": s} for who, s in found["seconds"].items()])
    rows = []
    for value, point in found["points"].items():
        row = {name: value, **point["seconds"]}
        if STOCK in point["ratios"]:
            row["diffusers / here"] = _spread(point["ratios"][STOCK][OURS])
        rows.append(row)
    return _table(f"Seconds against {name}", rows)


def _spread(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} [{ratio['min']:.2f}-{ratio['max']:.2f}]"


def _table(title: str, rows: list[dict[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [[_cell(row.get(column, "")) for column in columns] for row in rows]
    lines = [columns, ["---"] * len(columns), *cells]
    return [f"**{title}**", "", *(f"| {' | '.join(line)} |" for line in lines), ""]


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
