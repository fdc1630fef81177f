"""What the text-image kinds are trained with, and the adapters they begin as."""

from dataclasses import replace

import pytest
import torch

from gligen.encoding import encode_phrases
from gligen.layout import Layout, Region
from gligen.loading import load_pipeline
from gligen.references import projection_matrix
from gligen.request import Request
from gligen.tokenizers import BoxGrounding, TextImageGrounding
from gligen.training.adapter import train_adapter
from gligen.training.inheriting import MEASURED, can_inherit
from gligen.training.preparing import prepare_model
from gligen.training.settings import TrainingSettings
from gligen.weights.checkpoints import read_adapter, save_adapter
from tests.conftest import image_parts, small_image_encoder, small_pipeline
from tests.test_grounding import picture
from tests.training_examples import RandomExamples, save_plain_base, save_reading_parts

KIND = "generation_text_image_box"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_plain_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return save_reading_parts(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def text_box(base, tmp_path_factory):
    """Write an adapter for phrases in boxes, gates open."""
    path = tmp_path_factory.mktemp("adapter") / "text_box.safetensors"
    save_adapter(path, small_pipeline().unet, "generation_text_box")
    return path


def settings_for(base, kind=KIND, **changes):
    usual = {"num_steps": 2, "batch_size": 2, "num_workers": 0, "sample_every_steps": 0}
    return TrainingSettings("run", "random", kind, str(base), **usual | changes)


def test_the_adapter_says_what_pictures_are_read_with(base, encoder, tmp_path):
    settings = replace(settings_for(base, image_encoder=str(encoder)), output=str(tmp_path))
    path = train_adapter(settings, lambda *_: RandomExamples(KIND), device="cpu")
    matrix = projection_matrix(image_parts(KIND)["image_project"])
    assert torch.equal(read_adapter(path).projection, matrix.T)
    pipeline = load_pipeline(path, KIND, base)
    expected = small_image_encoder().state_dict()
    found = pipeline.image_encoder.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_lacks_is_said(base, encoder, tmp_path):
    with pytest.raises(ValueError, match="has no image encoder; set image_encoder to"):
        prepare_model(settings_for(base), CPU)
    own = save_reading_parts(save_plain_base(tmp_path / "own"))
    assert prepare_model(settings_for(own), CPU).image_encoder is not None
    with pytest.raises(ValueError, match="has an image encoder of its own; leave out"):
        prepare_model(settings_for(own, image_encoder=str(encoder)), CPU)
    small_image_encoder().save_pretrained(tmp_path / "alone")
    with pytest.raises(ValueError, match="comes with a projection matrix"):
        prepare_model(settings_for(base, image_encoder=str(tmp_path / "alone")), CPU)
    matrix = encoder / "image_project" / "diffusion_pytorch_model.safetensors"
    both = settings_for(base, image_encoder=str(tmp_path / "alone"), projection=str(matrix))
    assert prepare_model(both, CPU).image_project is not None
    wide = small_image_encoder()
    wide.visual_projection = torch.nn.Linear(32, 48, bias=False)
    wide.config.projection_dim = 48
    wide.save_pretrained(tmp_path / "wide")
    with pytest.raises(ValueError, match="features of 48 numbers, and phrases have 32"):
        prepare_model(settings_for(base, image_encoder=str(tmp_path / "wide")), CPU)


def paint(pipeline, region, **changes):
    request = Request("a dog", Layout((region,)), num_inference_steps=2, seed=1, gate_schedule=1.0)
    return pipeline.generate(replace(request, **changes)).images[0]


def test_inpainting_begins_as_generation(base, text_box):
    model = prepare_model(settings_for(base, "inpainting_text_box", adapter=str(text_box)), CPU)
    trained = small_pipeline().unet.state_dict()
    found = model.unet.state_dict()
    new = [name for name in trained if "fuser" in name or "position_net" in name]
    assert all(torch.equal(found[name], trained[name]) for name in new)
    assert not found["conv_in.weight"][:, 4:].any()


def test_pictures_are_followed_as_phrases_were(base, encoder, text_box):
    changes = {"adapter": str(text_box), "image_encoder": str(encoder)}
    model = prepare_model(settings_for(base, **changes), CPU)
    tokenizer = model.unet.position_net
    origin = load_pipeline(text_box, None, base)
    # A picture whose feature points where a phrase's does gives the phrase's token.
    feature = torch.nn.functional.normalize(torch.randn(1, 1, 32), dim=-1)
    components = model._components
    length = encode_phrases(components.tokenizer, components.text_encoder, MEASURED)
    length = length.norm(dim=1).mean()
    boxes, masks = torch.tensor([[[0.1, 0.2, 0.6, 0.7]]]), torch.ones(1, 1)
    expected = origin.unet.position_net.tokens(BoxGrounding(boxes, masks, feature * length))
    given = TextImageGrounding(boxes, masks, masks, masks, feature * length, feature * 28.7)
    found = tokenizer.tokens(given)
    assert torch.allclose(found[:, :1], expected, atol=1e-5)
    assert torch.allclose(found[:, 1:], expected, atol=1e-4)
    null = tokenizer.tokens(given.null())
    wanted = origin.unet.position_net.tokens(BoxGrounding(boxes, 0 * masks, feature))
    assert torch.allclose(null, wanted.repeat(1, 2, 1), atol=1e-4)
    box = (0.1, 0.1, 0.6, 0.6)
    one, other = (paint(model, Region("", box, picture(i))) for i in (1, 2))
    assert one != other


def test_what_can_begin_as_what():
    assert can_inherit("inpainting_text_image_box", "generation_text_box")
    assert not can_inherit("generation_text_box", "inpainting_text_box")
    assert not can_inherit("generation_text_box", "generation_text_image_box")
    assert not can_inherit("keypoint", "generation_text_box")


def test_an_adapter_with_nothing_in_common_is_refused(base, text_box):
    with pytest.raises(ValueError, match="layers of the kind keypoint cannot begin as its"):
        prepare_model(settings_for(base, "keypoint", adapter=str(text_box)), CPU)
