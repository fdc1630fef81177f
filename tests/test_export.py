"""The embedded model's folder, assembled from runs."""

import json

import pytest
import torch

from gligen.layout import Layout, Region
from gligen.loading import load_pipelines
from gligen.request import Request
from gligen.training.export import export, last_line
from gligen.weights.checkpoints import read_adapter, save_adapter
from tests.conftest import image_parts, small_pipeline, small_unet
from tests.test_grounding import picture
from tests.training_examples import save_reading_parts

KINDS = ("generation_text_box", "inpainting_text_box", "generation_text_image_box", "keypoint")


def log(run, **figures):
    run.mkdir(parents=True, exist_ok=True)
    with (run / "log.jsonl").open("a") as file:
        file.write(json.dumps(figures) + "\n")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Write the runs of all stages as their trainings do, with small random models."""
    folder = tmp_path_factory.mktemp("runs")
    model = small_pipeline()
    model.vae.save_pretrained(folder / "autoencoder" / "vae")
    base = folder / "base"
    small_unet().save_pretrained(base / "unet")
    for part in ("text_encoder", "tokenizer", "scheduler"):
        getattr(model, part).save_pretrained(base / part)
    save_reading_parts(folder / "image_encoder")
    for kind in (*KINDS, "canny"):
        (folder / kind).mkdir()
        unet = small_pipeline(kind).unet
        save_adapter(folder / kind / "adapter.safetensors", unet, kind, original=small_unet())
        log(folder / kind, step=250, right=0.4, loss=0.6)
        log(folder / kind, step=260, loss=0.5)
    for stage in ("autoencoder", "base", "image_encoder"):
        log(folder / stage, step=1)
    return folder


def test_every_kind_of_the_folder_loads(runs, tmp_path):
    kinds = (*KINDS, "canny")
    adapters = [runs / kind for kind in kinds]
    folder = tmp_path / "model"
    encoder = runs / "image_encoder"
    export(runs / "autoencoder", runs / "base", adapters, folder, {"seed": 3}, encoder)
    found = load_pipelines(folder)
    assert set(found) == set(kinds)
    assert not any(str(runs) in path.read_text() for path in folder.rglob("*.json"))
    reading = found["generation_text_image_box"]
    expected = image_parts("generation_text_image_box")["image_encoder"].state_dict()
    for name, tensor in reading.image_encoder.state_dict().items():
        assert torch.allclose(tensor, expected[name], atol=1e-3)
    box = (0.1, 0.1, 0.6, 0.6)
    pictures = []
    for reference in (picture(1), picture(2)):
        layout = Layout((Region("", box, reference),))
        request = Request("a dog", layout, num_inference_steps=2, seed=1, gate_schedule=1.0)
        pictures.append(reading.generate(request).images[0])
    assert pictures[0] != pictures[1]
    record = json.loads((folder / "training.json").read_text())
    assert record["seed"] == 3
    assert record["stages"]["keypoint"] == {"step": 260, "right": 0.4, "loss": 0.5}
    half = read_adapter(folder / "adapters" / "keypoint.safetensors")
    assert {tensor.dtype for tensor in half.state.values()} == {torch.float16}


def test_what_cannot_go_together_is_said(runs, tmp_path):
    given = runs / "autoencoder", runs / "base"
    reading = runs / "generation_text_image_box"
    with pytest.raises(ValueError, match="needs an image encoder beside it"):
        export(*given, [reading], tmp_path / "model", {})
    with pytest.raises(ValueError, match="of the kind keypoint; name one of them"):
        export(*given, [runs / "keypoint"] * 2, tmp_path / "model", {})
    assert not (tmp_path / "model").exists()
    assert last_line(runs / "base") == {"step": 1}
