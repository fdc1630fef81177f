"""Detectors of `transformers`, all asked in one way: which of these categories are where?

Closed sets (DETR, RT-DETR, YOLOS, ...) know labels, which are joined to categories by name. Open
vocabularies (OWL-ViT, OWLv2, Grounding DINO) are asked for the names.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from gligen.evaluation.fullsize.layouts import Category
from gligen.evaluation.fullsize.options import Judging
from gligen.layout import Box

MAX_DETECTIONS = 100  # of a picture, the strongest; as many as COCO counts

# Names of categories that some detectors (RT-DETR among them) took from Pascal VOC.
_OTHER_NAMES = {
    "motorbike": "motorcycle",
    "aeroplane": "airplane",
    "sofa": "couch",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
    "tvmonitor": "tv",
}


@dataclass(frozen=True)
class Detection:
    """Something that was found in a picture."""

    category: int  # its id
    box: Box  # xyxy in pixels of the picture
    score: float


@runtime_checkable
class Detector(Protocol):
    """Finds things of given categories."""

    def __call__(
        self, pictures: Sequence[Image.Image], queries: Sequence[Sequence[Category]]
    ) -> list[list[Detection]]:
        """Return what is found in each picture; `queries` has the categories of interest."""
        ...


def load_detector(judging: Judging, categories: Sequence[Category], device: str) -> Detector:
    """Load the detector that `judging` names.

    Args:
        judging: which one, and how it is used.
        categories: those that occur in a layout; a closed set must know them all.
        device: where it runs.

    Raises:
        ValueError: it cannot be had, is no detector, or does not know a category.
    """
    from transformers import (
        MODEL_FOR_OBJECT_DETECTION_MAPPING,
        MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING,
        AutoConfig,
        AutoImageProcessor,
        AutoModelForObjectDetection,
        AutoModelForZeroShotObjectDetection,
        AutoProcessor,
    )

    name = judging.detector
    assert name is not None, "only runs with a detector load one"
    config = type(fetch(AutoConfig.from_pretrained, name))
    if config in MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING:
        model = fetch(AutoModelForZeroShotObjectDetection.from_pretrained, name)
        processor = fetch(AutoProcessor.from_pretrained, name)
        ask = _ask_dino if "GroundingDino" in type(model).__name__ else _ask_owl
        return OpenVocabulary(model.to(device).eval(), processor, judging, ask)
    if config in MODEL_FOR_OBJECT_DETECTION_MAPPING:
        model = fetch(AutoModelForObjectDetection.from_pretrained, name)
        processor = fetch(AutoImageProcessor.from_pretrained, name)
        labels = join_labels(model.config.id2label, categories)
        return ClosedSet(model.to(device).eval(), processor, labels, judging.threshold)
    raise ValueError(
        f"The model {name!r} ({config.__name__}) is no detector; give one of transformers' object "
        "detectors, such as PekingU/rtdetr_r50vd or google/owlv2-base-patch16-ensemble."
    )


def fetch(load: Callable[[str], Any], name: str) -> Any:
    """Load a part of a model, or say why it cannot be had.

    Raises:
        ValueError: there is no such folder or hub id, or a library that it needs is missing.
    """
    try:
        return load(name)
    except ImportError as error:
        sentence = " ".join(str(error).split())
        raise ValueError(
            f"The model {name!r} needs a library that is missing ({sentence}); install "
            'gligen[evaluation] (pip install "gligen[evaluation]"), or what it names.'
        ) from None
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ValueError(
            f"The model {name!r} cannot be had ({reason}); give a folder, or an id of the hub."
        ) from None


def join_labels(labels: dict[int, str], categories: Sequence[Category]) -> dict[int, int]:
    """Return which label of a detector is which category, by their names.

    Raises:
        ValueError: a category has no label; the sentence lists them all.
    """
    numbers = {_plain(category.name): category.id for category in categories}
    joined = {int(i): numbers[_plain(n)] for i, n in labels.items() if _plain(n) in numbers}
    unknown = [c.name for c in categories if c.id not in joined.values()]
    if unknown:
        some = ", ".join(list(labels.values())[:8])
        raise ValueError(
            f"The detector has no label for {len(unknown)} of the {len(categories)} categories "
            f"asked for: {', '.join(unknown)}. Its {len(labels)} labels are {some}, ...; take a "
            "detector that was trained on these categories, or an open-vocabulary one such as "
            "google/owlv2-base-patch16-ensemble."
        )
    return joined


def _plain(name: str) -> str:
    plain = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    return _OTHER_NAMES.get(plain, plain)


class ClosedSet:
    """A detector with labels of its own."""

    def __init__(self, model: Any, processor: Any, labels: dict[int, int], threshold: float):
        self._model, self._processor = model, processor
        self._labels = labels
        self._threshold = threshold

    @torch.no_grad()
    def __call__(
        self,
        pictures: Sequence[Image.Image],
        queries: Sequence[Sequence[Category]],  # noqa: ARG002 (a detector's form)
    ) -> list[list[Detection]]:
        """Return what is found, whatever the queries: AP counts what was not asked for too."""
        inputs = self._processor(images=list(pictures), return_tensors="pt").to(self._model.device)
        found = self._processor.post_process_object_detection(
            self._model(**inputs),
            threshold=self._threshold,
            target_sizes=[(picture.height, picture.width) for picture in pictures],
        )
        return [strongest(self._detections(one)) for one in found]

    def _detections(self, found: dict[str, Tensor]) -> Iterator[Detection]:
        rows = zip(
            found["labels"].tolist(), found["boxes"].tolist(), found["scores"].tolist(), strict=True
        )
        for label, box, score in rows:
            if label in self._labels:
                yield Detection(self._labels[label], tuple(box), score)


Ask = Callable[[Any, Any, Image.Image, list[str], float], Iterator[tuple[int, Box, float]]]


class OpenVocabulary:
    """A detector that is asked for phrases, a few at a time.

    Categories that it is not asked for cannot be found, so with `queries` "asked" nothing that
    should not be in the picture lowers the AP; "all" asks for every category of the layouts.
    """

    def __init__(self, model: Any, processor: Any, judging: Judging, ask: Ask):
        self._model, self._processor = model, processor
        self._judging = judging
        self._ask = ask

    @torch.no_grad()
    def __call__(
        self, pictures: Sequence[Image.Image], queries: Sequence[Sequence[Category]]
    ) -> list[list[Detection]]:
        """Return what is found of the categories that each picture is searched for."""
        return [
            strongest(self._search(picture, categories))
            for picture, categories in zip(pictures, queries, strict=True)
        ]

    def _search(self, picture: Image.Image, queries: Sequence[Category]) -> Iterator[Detection]:
        step = self._judging.queries_at_once
        for start in range(0, len(queries), step):
            some = queries[start : start + step]
            names = [category.name for category in some]
            threshold = self._judging.threshold
            found = self._ask(self._model, self._processor, picture, names, threshold)
            for place, box, score in found:
                yield Detection(some[place].id, box, score)


def strongest(detections: Iterator[Detection]) -> list[Detection]:
    """Return the strongest detections of a picture, as many as are counted."""
    return sorted(detections, key=lambda detection: -detection.score)[:MAX_DETECTIONS]


def _ask_owl(
    model: Any, processor: Any, picture: Image.Image, names: list[str], threshold: float
) -> Iterator[tuple[int, Box, float]]:
    """Ask OWL-ViT or OWLv2: place among the names, box in pixels, score."""
    texts = [f"a photo of a {name}" for name in names]  # as its authors ask
    inputs = processor(
        text=[texts], images=picture, return_tensors="pt", truncation=True, padding="max_length"
    ).to(model.device)
    (found,) = processor.post_process_grounded_object_detection(
        model(**inputs), threshold=threshold, target_sizes=[(picture.height, picture.width)]
    )
    rows = zip(
        found["labels"].tolist(), found["boxes"].tolist(), found["scores"].tolist(), strict=True
    )
    for place, box, score in rows:
        yield place, tuple(box), score


def _ask_dino(
    model: Any, processor: Any, picture: Image.Image, names: list[str], threshold: float
) -> Iterator[tuple[int, Box, float]]:
    """Ask Grounding DINO: place among the names, box in pixels, score.

    The score of a name is the mean over its tokens, as its authors score COCO; the processor's own
    phrases may mix several names.
    """
    plain = [" ".join(name.lower().replace(".", " ").split()) for name in names]
    text = ". ".join(plain) + "."
    inputs = processor(images=picture, text=text, return_tensors="pt").to(model.device)
    tokens = token_spans(processor.tokenizer, inputs.input_ids[0].tolist())
    if len(tokens) != len(names):
        raise ValueError(
            f"Grounding DINO could not read {len(names)} names in one text (it reads 256 tokens); "
            "give a smaller --queries-at-once."
        )
    outputs = model(**inputs)
    probabilities = outputs.logits[0].sigmoid()
    means = [probabilities[:, span].mean(-1) for span in tokens]
    scores: Float[Tensor, "queries names"] = torch.stack(means, -1)
    boxes = corners_in_pixels(outputs.pred_boxes[0], picture.size)
    for query, place in (scores > threshold).nonzero().tolist():
        yield place, tuple(boxes[query].tolist()), scores[query, place].item()


def token_spans(tokenizer: Any, tokens: list[int]) -> list[list[int]]:
    """Return the positions of the tokens of each name in a text "a cat. a dog."."""
    stop = tokenizer.convert_tokens_to_ids(".")
    special = set(tokenizer.all_special_ids)
    spans: list[list[int]] = []
    span: list[int] = []
    for position, token in enumerate(tokens):
        if token == stop and span:
            spans.append(span)
            span = []
        elif token != stop and token not in special:
            span.append(position)
    return spans


def corners_in_pixels(
    boxes: Float[Tensor, "queries 4"], size: tuple[int, int]
) -> Float[Tensor, "queries 4"]:
    """Turn centre and size in [0, 1] of a picture into xyxy in pixels of it."""
    x, y, w, h = boxes.unbind(-1)
    width, height = size
    corners = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
    return torch.stack(corners, -1)
