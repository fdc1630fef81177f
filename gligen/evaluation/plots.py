"""The plots of the report, as PNG files in memory."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from gligen.evaluation.layouts import HeldOut
from gligen.evaluation.series import Picture
from gligen.layout import Layout
from gligen.pictures.images import contact_sheet, draw_layout

# Told apart also by those who see no red or no green (Okabe and Ito).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
DOTS_PER_INCH = 120

NUM_SHOWN = 8  # layouts on a contact sheet
SHOWN_SIZE = 160  # pixels, side of a picture there
MAX_COLUMNS = 6  # pictures in a row there


def bar_chart(
    groups: Sequence[str], bars: Mapping[str, Sequence[float]], label: str, top: float = 1.0
) -> bytes:
    """Draw groups of bars.

    Args:
        groups: names below the bars.
        bars: what the legend calls each colour -> its height in every group.
        label: of the vertical axis.
        top: end of the vertical axis.
    """
    figure, axes = _figure(max(6.0, 1.6 + 0.28 * len(groups) * (len(bars) + 1)))
    places = np.arange(len(groups))
    width = 0.8 / len(bars)
    for index, (name, heights) in enumerate(bars.items()):
        offset = (index - (len(bars) - 1) / 2) * width
        drawn = axes.bar(places + offset, heights, width, label=name, color=COLOURS[index % 6])
        if len(groups) * len(bars) <= 16:
            axes.bar_label(drawn, fmt="%.2f", fontsize=8)
    axes.set_xticks(places, groups, rotation=30 if len(groups) > 6 else 0)
    axes.set_ylim(0, top * 1.08)
    axes.set_ylabel(label)
    if len(bars) > 1:
        axes.legend(frameon=False, ncols=len(bars), loc="upper center", bbox_to_anchor=(0.5, 1.15))
    return _png(figure)


def trade_off(
    taus: Sequence[float], precision: Sequence[float], distance: Sequence[float], floor: float
) -> bytes:
    """Draw how boxes and picture quality depend on tau: two curves, two axes."""
    figure, axes = _figure(6.5)
    other = axes.twinx()
    axes.plot(taus, precision, "o-", color=COLOURS[0], label="boxes: AP50")
    other.plot(taus, distance, "s-", color=COLOURS[5], label="pictures: Fréchet distance")
    other.axhline(floor, color=COLOURS[5], linestyle=":", label="drawn scenes")
    axes.set_xlabel("tau, share of the steps with grounding")
    axes.set_ylabel("AP50 (higher is better)", color=COLOURS[0])
    other.set_ylabel("Fréchet distance (lower is better)", color=COLOURS[5])
    axes.set_ylim(0, 1.05)
    other.set_ylim(0)
    handles = [line for side in (axes, other) for line in side.get_lines()]
    axes.legend(
        handles,
        [line.get_label() for line in handles],
        frameon=False,
        ncols=3,
        loc="upper center",
        bbox_to_anchor=(0.5, 1.15),
    )
    other.spines["right"].set_visible(True)
    return _png(figure)


def speed_against_quality(points: Mapping[str, tuple[float, float, float | None]]) -> bytes:
    """Draw boxes and likeness against speed, a point for each way to paint.

    Args:
        points: name -> speed-up, AP50, and PSNR to the exact picture in dB (None: the exact one).
    """
    figure, axes = _figure(6.5)
    other = axes.twinx()
    for name, (speed, precision, likeness) in points.items():
        axes.plot(speed, precision, "o", color=COLOURS[0])
        axes.annotate(
            name, (speed, precision), (0, 6), textcoords="offset points", ha="center", fontsize=8
        )
        if likeness is not None:
            other.plot(speed, likeness, "s", color=COLOURS[5])
    axes.margins(x=0.1)  # the names stand beside the outermost points
    axes.set_xlabel("speed-up (exact = 1)")
    axes.set_ylabel("boxes: AP50 (circles)", color=COLOURS[0])
    other.set_ylabel("PSNR to the exact picture, dB (squares)", color=COLOURS[5])
    axes.set_ylim(0, 1.05)
    other.set_ylim(0, 1.1 * other.get_ylim()[1])
    other.spines["right"].set_visible(True)
    return _png(figure)


def sheet(items: Sequence[HeldOut], columns: Mapping[str, Sequence[Picture]]) -> bytes:
    """Show the first layouts, a row each: the pictures of every series with the layout drawn in.

    Args:
        items: what was asked for.
        columns: title of each series -> its pictures, in the order of `items`.
    """
    images, captions = [], []
    for index, item in enumerate(items[:NUM_SHOWN]):
        for title, pictures in columns.items():
            picture = Image.fromarray(pictures[index])
            picture = picture.resize((SHOWN_SIZE, SHOWN_SIZE), Image.Resampling.LANCZOS)
            images.append(draw_layout(picture, _asked(item)))
            captions.append(f"{title}: {item.caption or 'no caption'}")
    in_a_row = len(columns) * max(1, MAX_COLUMNS // len(columns))
    return _encoded(contact_sheet(images, in_a_row, captions))


def _asked(item: HeldOut) -> Layout:
    return Layout(item.layout.regions, item.layout.persons)


def _figure(width: float) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError(
            "Plots are drawn by matplotlib, which is not installed; install it with: pip install "
            "gligen[evaluation]"
        ) from None
    figure = Figure((width, 3.6), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def _encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
