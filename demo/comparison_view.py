"""Files and galleries of a comparison: pictures side by side, and all of them as one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from demo.comparing import Variant
from demo.components.results import Gallery, Picture, Sheet
from demo.gallery import describe_size, new_stem, png, write_pictures
from demo.handlers import enlarge
from demo.texts import compare as texts
from gligen.layout import Layout
from gligen.pictures.images import contact_sheet, draw_layout
from gligen.request import Request, Result

SHEET_SIDE = 256  # pixels; smaller pictures are enlarged to about this on the sheet


class ComparisonFiles:
    """Saves the pictures of one comparison as they get ready, and says what the page shows.

    A column for each variant, a row for each seed; what is not made yet keeps its place.

    Args:
        request: that is compared, with its seed.
        variants: from left to right.
        size: width, height of a picture in pixels.
        numbers: of the regions on the canvas.
        folder: where the files go; they must stay until the page has taken its copies.
        look: says what to look for.
    """

    def __init__(
        self,
        request: Request,
        variants: Sequence[Variant],
        size: tuple[int, int],
        numbers: tuple[int, ...],
        folder: Path,
        look: str,
    ):
        assert request.seed is not None, "all variants share a seed"
        self._layout, self._numbers, self._look = request.layout, numbers, look
        self._variants, self._folder, self._stem = tuple(variants), folder, new_stem()
        self._seeds = [request.seed + i for i in range(request.num_images)]
        self._columns = [
            [Picture(caption, size) for caption in self._captions(variant)] for variant in variants
        ]
        self._results: list[Result] = []

    def add(self, index: int, result: Result) -> None:
        """Save the pictures of a variant; variants come in order."""
        stem = f"{self._stem}-{index + 1}"
        captions = self._captions(self._variants[index])
        self._columns[index] = write_pictures(result, captions, self._folder, stem)
        self._results.append(result)

    @property
    def is_complete(self) -> bool:
        """Whether the pictures of all variants are there."""
        return len(self._results) == len(self._variants)

    def gallery(self) -> Gallery:
        """Return what the page shows now."""
        rows = zip(*self._columns, strict=True)
        return Gallery(
            tuple(picture for row in rows for picture in row),
            self._layout,
            self._numbers,
            lead=self._look,
            note=describe_size(self._results[0].images[0]) if self._results else "",
            facts=self._facts(),
            columns=len(self._variants),
            sheet=self._sheet() if self.is_complete else None,
        )

    def _captions(self, variant: Variant) -> list[str]:
        if len(self._seeds) == 1:
            return [variant.caption]
        return [texts.WITH_SEED.format(caption=variant.caption, seed=seed) for seed in self._seeds]

    def _facts(self) -> tuple[str, ...]:
        if not self._results:
            return ()
        seeds = ", ".join(str(seed) for seed in self._seeds)
        sentence = texts.ONE_SEED if len(self._seeds) == 1 else texts.SEVERAL_SEEDS
        made = texts.MADE.format(
            count=sum(len(result.images) for result in self._results),
            model=self._results[0].model,
            seconds=sum(result.seconds for result in self._results),
        )
        prompt = texts.PROMPT.format(prompt=self._results[0].prompt)
        return sentence.format(seed=self._seeds[0], seeds=seeds), prompt, made

    def _sheet(self) -> Sheet:
        captions = [caption for row in self._rows(self._captions) for caption in row]
        settings = self._settings()

        def drawn(layout: Layout | None) -> bytes:
            images = [
                enlarge(result.images[row], SHEET_SIDE)
                for row in range(len(self._seeds))
                for result in self._results
            ]
            if layout is not None:
                images = [draw_layout(image, layout) for image in images]
            return png(contact_sheet(images, len(self._variants), captions), settings)

        return Sheet(f"{self._stem}-comparison.png", drawn(None), drawn(self._layout))

    def _rows(self, of: Any) -> list[tuple[Any, ...]]:
        return list(zip(*(of(variant) for variant in self._variants), strict=True))

    def _settings(self) -> dict[str, Any]:
        """Return what all pictures have in common, and what differs."""
        settings = self._results[0].settings(0)
        settings["compared_gate_schedules"] = [
            result.settings(0)["gate_schedule"] for result in self._results
        ]
        settings["seeds"] = self._seeds
        for name in ("gate_schedule", "seed", "width", "height"):
            del settings[name]
        return settings


def sketch_of(request: Request, size: tuple[int, int], numbers: tuple[int, ...]) -> Gallery:
    """Return the free place of a picture with the boxes of a request in it."""
    place = Picture(texts.FROM_GENERATE, size)
    return Gallery((place,), replace(request.layout, style=None), numbers)


def describe_sketch(request: Request) -> str:
    """Say what is laid out, in words."""
    phrases = [region.phrase or texts.PICTURE for region in request.layout.grounded]
    count = len(phrases)
    return texts.SKETCH.format(
        count=texts.ONE_BOX if count == 1 else texts.BOXES.format(count=count),
        phrases="; ".join(phrases),
        steps=request.num_steps,
        guidance=request.guidance_scale,
        prompt=request.full_prompt,
    )
