"""The plots, as PNG in memory."""

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

# Told apart also by those who see no red or no green (Okabe and Ito).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
DOTS_PER_INCH = 110
COMPARED = {
    "text-box": "phrases in boxes",
    "text-image": "phrases and reference pictures in boxes",
}
CURVES = {
    "boxes": "boxes",
    "tau": "tau, share of the steps with grounding",
    "side": "pixels of a side",
    "steps": "steps",
}


def draw(data: dict[str, Any]) -> dict[str, bytes]:
    """Return the plots that the results suffice for, by name."""
    sections = data["sections"]
    clock = f"seconds, {data['setting']['clock']}"
    found = {}
    compared = {name: sections[name]["seconds"] for name in COMPARED if name in sections}
    if compared:
        found["comparison"] = _png(comparison(compared, clock))
    if "parts" in sections:
        found["parts"] = _png(parts(sections["parts"]["parts"]))
    if "batch" in sections:
        found["batch"] = _png(batch(sections["batch"], clock))
    curves = {name: sections[name]["points"] for name in CURVES if name in sections}
    if curves:
        found["curves"] = _png(cost(curves, clock))
    return found


def comparison(found: dict[str, dict[str, float]], clock: str) -> Figure:
    """Draw a bar for each contender, in a panel for each comparison."""
    figure, panels = _figure(len(found), width=4.6, height=2.0)
    order = list(max(found.values(), key=len))
    for axes, (name, seconds) in zip(panels, found.items(), strict=True):
        for who, taken in seconds.items():
            bar = axes.barh(who, taken, color=COLOURS[order.index(who)])
            axes.bar_label(bar, fmt=" %.2f", fontsize=8)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_title(COMPARED[name], fontsize=10)
        axes.set_xlabel(clock)
    return figure


def parts(found: dict[str, dict[str, float]]) -> Figure:
    """Stack the seconds of evaluations by part."""
    figure, (axes,) = _figure(1, width=6.5)
    places, left = list(range(len(found))), [0.0] * len(found)
    for index, part in enumerate(next(iter(found.values()))):
        widths = [1000 * seconds[part] for seconds in found.values()]
        axes.barh(places, widths, left=left, label=part, color=COLOURS[index])
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(places, list(found))
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds of the clock for an evaluation, both halves of guidance")
    axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    return figure


def batch(found: dict[str, Any], clock: str) -> Figure:
    """Draw the time of a picture against the number of pictures at once."""
    figure, (axes,) = _figure(1, width=5)
    sizes = [int(size) for size in found["points"]]
    for index, who in enumerate(_contenders(found["points"])):
        times = [
            p["seconds"][who] / n for n, p in zip(sizes, found["points"].values(), strict=True)
        ]
        axes.plot(sizes, times, "o-", label=who, color=COLOURS[index])
    limit = found["gflop_per_picture"] / found["gflop_per_second"]
    axes.axhline(limit, linestyle=":", color="black", label="limit: a large product's FLOPs")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlabel("pictures at once")
    axes.set_ylabel(f"{clock}, of one picture")
    axes.legend(frameon=False)
    return figure


def cost(curves: dict[str, dict[str, Any]], clock: str) -> Figure:
    """Draw the time of a call against one of its numbers, a panel for each."""
    figure, panels = _figure(len(curves), width=3.6)
    for axes, (name, points) in zip(panels, curves.items(), strict=True):
        for index, (who, line) in enumerate(_lines(points).items()):
            axes.plot(*zip(*line, strict=True), "o-", label=who, color=COLOURS[index])
        axes.set_ylim(bottom=0)
        axes.set_xlabel(CURVES[name])
        axes.legend(frameon=False, fontsize=7)
    panels[0].set_ylabel(clock)
    return figure


def quality(points: Sequence[dict[str, Any]], label: str) -> bytes:
    """Draw presets by their speed and the quality that was measured for them."""
    figure, (axes,) = _figure(1, width=5)
    for index, point in enumerate(points):
        axes.plot(point["seconds"], point["value"], "o", color=COLOURS[index % len(COLOURS)])
        place = (point["seconds"], point["value"])
        axes.annotate(point["name"], place, textcoords="offset points", xytext=(6, 4))
    axes.set_xlabel("seconds")
    axes.set_ylabel(label)
    return _png(figure)


def _contenders(points: dict[str, Any]) -> list[str]:
    return list(next(iter(points.values()))["seconds"])


def _lines(points: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Return the curves of a panel; names like "PNDM, 20" make one for each scheduler."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for name, point in points.items():
        *group, value = name.split(", ")
        for who, seconds in point["seconds"].items():
            lines.setdefault(", ".join([who, *group]), []).append((float(value), seconds))
    return lines


def _figure(num_panels: int, width: float, height: float = 3.2) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(width * num_panels, height), dpi=DOTS_PER_INCH, layout="constrained")
    panels = list(figure.subplots(1, num_panels, squeeze=False)[0])
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
