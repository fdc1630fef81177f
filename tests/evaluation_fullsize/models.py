"""Tiny random judges in transformers' own forms, and annotations of six pictures."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    BertConfig,
    BertTokenizer,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2Processor,
    SwinConfig,
    YolosConfig,
    YolosForObjectDetection,
)
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from transformers.models.yolos.image_processing_pil_yolos import YolosImageProcessorPil

from tests.conftest import small_tokenizer
from tests.data.files import box, images, write_json

CATEGORIES = [
    {"id": 1, "name": "person", "frequency": "f"},
    {"id": 18, "name": "fire_hydrant", "frequency": "r"},
    {"id": 44, "name": "kite", "frequency": "c"},
]
IDS = (11, 12, 13, 14, 15, 16)
# The first is a picture of 80 x 40 pixels with objects of 1/8, 1/16 and 1/160 of it.
BOXES = ([0.0, 0.0, 20.0, 20.0], [40.0, 20.0, 20.0, 10.0], [70.0, 30.0, 5.0, 4.0])

_TRANSFORMER = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
_VISION = {**_TRANSFORMER, "image_size": 32, "patch_size": 8}


def write_annotations(root: Path, *, lvis: bool = False, pictures: bool = False) -> Path:
    """Write boxes and captions of six pictures, each with three objects of three categories."""
    keys = ("id", "name", "frequency") if lvis else ("id", "name")
    annotations = [
        box(10 * number + place, number, CATEGORIES[place]["id"], list(BOXES[place]))
        for number in IDS
        for place in range(3)
    ]
    document = {
        "images": images(*IDS),
        "annotations": annotations,
        "categories": [{key: category[key] for key in keys} for category in CATEGORIES],
    }
    captions = [
        {"image_id": number, "id": number, "caption": f"A person flies\nkite {number}."}
        for number in IDS
    ]
    write_json(root / "captions.json", {"images": images(*IDS), "annotations": captions})
    if pictures:
        (root / "pictures").mkdir()
        for number, image in zip(IDS, images(*IDS), strict=True):
            colour = (40 * (number - 10), 80, 120)
            Image.new("RGB", (80, 40), colour).save(root / "pictures" / image["file_name"])
    return write_json(root / "instances.json", document)


def save_closed_set(folder: Path, labels: tuple[str, ...]) -> Path:
    torch.manual_seed(0)
    names: dict[int, str] = dict(enumerate((*labels, "N/A")))
    config = YolosConfig(
        **{**_VISION, "image_size": [32, 32]},
        num_detection_tokens=12,
        id2label=names,
        label2id={name: number for number, name in names.items()},
    )
    model = YolosForObjectDetection(config)
    model.vit.embeddings.detection_tokens.data.normal_()  # or all would see the same
    model.save_pretrained(folder)
    YolosImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def save_clip(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer, text = _text()
    CLIPModel(
        CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=16)
    ).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size)
    CLIPProcessor(processor, tokenizer).save_pretrained(folder)
    return folder


def save_owl(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer, text = _text()
    config = Owlv2Config(text_config=text, vision_config=_VISION, projection_dim=16)
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    processor = Owlv2ImageProcessorPil(size={"height": 32, "width": 32})
    Owlv2Processor(processor, tokenizer).save_pretrained(folder)
    return folder


def save_dino(folder: Path) -> Path:
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?"]
    words += ["person", "fire", "hydra", "##nt", "kite"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    backbone = SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2
    )
    backbone.out_features = ["stage2", "stage3", "stage4"]
    config = GroundingDinoConfig(
        backbone_config=backbone,
        text_config=BertConfig(vocab_size=len(words), **_TRANSFORMER),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=7,
        num_feature_levels=3,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    processor = GroundingDinoImageProcessorPil(size={"height": 64, "width": 64})
    GroundingDinoProcessor(processor, tokenizer).save_pretrained(folder)
    return folder


def _text() -> tuple[Any, dict[str, Any]]:
    tokenizer = small_tokenizer(16)
    return tokenizer, {
        **_TRANSFORMER,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 16,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
