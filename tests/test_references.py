"""Reference pictures as features: the projection, what the encoder sees, and the matrix's file."""

import copy
import io
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionGLIGENTextImagePipeline
from diffusers.pipelines.stable_diffusion.clip_image_project_model import CLIPImageProjection
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    CLIPImageProcessorPil,
    CLIPProcessor,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)
from transformers.models.clip.modeling_clip import CLIPVisionModelOutput

from gligen.references import (
    REFERENCE_NORM,
    encode_references,
    projection_matrix,
    projection_module,
    read_projection,
    square_picture,
)
from tests.conftest import small_tokenizer

SIDE, WIDTH = 28, 24  # pixels that the encoder reads, width of a feature


@pytest.fixture(scope="module")
def image_encoder():
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=7,
        projection_dim=WIDTH,
    )
    return CLIPVisionModelWithProjection(config).eval()


def random_matrix(width=WIDTH):
    return torch.randn(width, width, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def image_project():
    return projection_module(random_matrix())


@pytest.fixture
def processor():
    return CLIPImageProcessorPil()


@pytest.fixture
def seen(image_encoder, monkeypatch):
    shown = []
    forward = image_encoder.forward

    def watched(pixels):
        shown.append(pixels)
        return forward(pixels)

    monkeypatch.setattr(image_encoder, "forward", watched)
    return shown


def noise(seed=0, size=(40, 20)):
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(values)


# --- the projection ------------------------------------------------------------------------------


def encoder_of(features, image_encoder):
    """Return an encoder whose answers to successive pictures are the given features."""
    answers = iter(features)
    encoder = copy.deepcopy(image_encoder)

    def forward(pixels):
        return CLIPVisionModelOutput(image_embeds=next(answers)[None])

    encoder.forward = forward
    return encoder


def test_features_are_the_recorded_ones(golden, image_encoder, processor):
    arrays = golden("embeddings").arrays
    features = arrays["image_projection/small_in"]
    module = projection_module(arrays["image_projection/small_matrix"])
    pictures = [noise(seed) for seed in range(len(features))]
    encoded = encode_references(encoder_of(features, image_encoder), module, processor, pictures)
    assert torch.allclose(encoded, arrays["image_projection/small_out"], atol=1e-5)


def test_the_norm_is_that_of_phrases(image_encoder, image_project, processor):
    encoded = encode_references(image_encoder, image_project, processor, [noise(0), noise(1)])
    assert encoded.shape == (2, WIDTH)
    assert torch.allclose(encoded.norm(dim=-1), torch.full((2,), 28.7))
    assert REFERENCE_NORM == 28.7
    longer = encode_references(image_encoder, image_project, processor, [noise(0)], normalize=57.4)
    assert torch.allclose(longer, 2 * encoded[:1])


def test_half_precision_keeps_the_norm(image_encoder, image_project, processor):
    half, project = copy.deepcopy(image_encoder).half(), copy.deepcopy(image_project).half()
    encoded = encode_references(half, project, processor, [noise()])
    assert encoded.dtype == torch.float16
    full = encode_references(image_encoder, image_project, processor, [noise()])
    assert torch.allclose(encoded.float(), full, atol=0.2)
    assert not torch.allclose(full, torch.zeros_like(full), atol=3)


def test_the_module_is_diffusers_and_gives_the_matrix_back():
    matrix = random_matrix()
    module = projection_module(matrix)
    assert isinstance(module, CLIPImageProjection)
    assert list(module.state_dict()) == ["project.weight"]
    row = torch.randn(WIDTH, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(module(row), row @ matrix, atol=1e-5)
    assert not torch.allclose(module(row), matrix @ row, atol=1e-2)
    assert torch.equal(projection_matrix(module), matrix)
    module.project.weight.data.zero_()
    assert matrix.any(), "the matrix given is not the module's own"


# --- what the encoder sees -----------------------------------------------------------------------


def test_squashed_pictures_are_seen_whole(image_encoder, image_project, processor, seen):
    picture = Image.new("RGB", (120, 40))
    picture.paste("white", (0, 0, 12, 40))  # a marker at the edge, outside the middle square
    moved = Image.new("RGB", (120, 40))
    moved.paste("white", (12, 0, 24, 40))
    squashed = encode_references(image_encoder, image_project, processor, [picture, moved])
    assert seen[0].shape == (1, 3, SIDE, SIDE)
    assert seen[0][0, 0, :, 0].min() > 1.5, "the white marker is in the first column"
    assert seen[0][0, 0, :, 5:].max() < -1
    assert not torch.allclose(squashed[0], squashed[1], atol=0.1)

    seen.clear()
    cropped = encode_references(
        image_encoder, image_project, processor, [picture, moved], crop=True
    )
    assert len(seen) == 1, "both middles are black, and equal pictures are encoded once"
    assert seen[0].max() < -1
    assert torch.equal(cropped[0], cropped[1])
    assert not torch.allclose(cropped[0], squashed[0], atol=0.1)


@pytest.mark.parametrize("size", [(50, 41), (41, 50), (30, 30), (17, 90)])
def test_cropping_is_what_the_processor_does_by_itself(image_encoder, image_project, seen, size):
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    encode_references(image_encoder, image_project, processor, [noise(3, size)], crop=True)
    expected = processor(images=noise(3, size), return_tensors="pt")["pixel_values"]
    assert torch.equal(seen[0], expected)


def test_the_feature_is_diffusers_own_when_cropped(image_encoder, image_project):
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    components = SimpleNamespace(
        processor=processor, image_encoder=image_encoder, image_project=image_project
    )
    with torch.no_grad():
        theirs = StableDiffusionGLIGENTextImagePipeline.get_clip_feature(
            components, noise(), 28.7, "cpu", is_image=True
        )
    ours = encode_references(image_encoder, image_project, processor, [noise()], crop=True)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_mean_and_deviation_are_the_processor_s(image_encoder, image_project, seen):
    plain = CLIPImageProcessorPil(image_mean=[0.0] * 3, image_std=[0.5] * 3)
    encode_references(image_encoder, image_project, plain, [Image.new("RGB", (5, 9), "white")])
    assert torch.equal(seen[0], torch.full((1, 3, SIDE, SIDE), 2.0))
    seen.clear()
    encode_references(
        image_encoder, image_project, CLIPImageProcessorPil(), [Image.new("RGB", (5, 9), "white")]
    )
    # CLIP's published mean and deviation of the three channels.
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711])
    assert torch.allclose(seen[0][0, :, 3, 3], (1 - mean) / deviation, atol=1e-5)


def test_a_processor_of_texts_and_pictures_will_do(image_encoder, image_project, processor):
    both = CLIPProcessor(processor, small_tokenizer())
    alone = encode_references(image_encoder, image_project, processor, [noise()])
    assert torch.equal(encode_references(image_encoder, image_project, both, [noise()]), alone)


def test_transparency_is_white_and_rotation_is_applied():
    clear = Image.new("RGBA", (6, 6), (0, 0, 0, 0))
    assert np.asarray(square_picture(clear, 4, crop=False)).min() == 255
    turned = noise(4, (8, 8))
    turned.getexif()[0x0112] = 6
    upright = np.rot90(np.asarray(noise(4, (8, 8))), -1)
    for crop in (False, True):
        assert np.array_equal(np.asarray(square_picture(turned, 8, crop)), upright)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "1"])
def test_every_mode_is_read(image_encoder, image_project, processor, mode):
    encoded = encode_references(image_encoder, image_project, processor, [noise().convert(mode)])
    assert encoded.isfinite().all()


def test_each_different_picture_is_encoded_once(image_encoder, image_project, processor, seen):
    first, second = noise(0), noise(1)
    pictures = [first, second, first, first.copy(), second.convert("RGBA")]
    encoded = encode_references(image_encoder, image_project, processor, pictures)
    assert len(seen) == 2
    assert torch.equal(encoded[[2, 3]], encoded[[0, 0]])
    assert torch.equal(encoded[4], encoded[1])
    assert not torch.allclose(encoded[0], encoded[1], atol=0.1)


def test_company_changes_nothing(image_encoder, image_project, processor):
    pictures = [noise(seed, (30, 30)) for seed in range(5)]
    together = encode_references(image_encoder, image_project, processor, pictures)
    for picture, feature in zip(pictures, together, strict=True):
        alone = encode_references(image_encoder, image_project, processor, [picture])
        assert torch.equal(alone[0], feature)


def test_no_picture_and_no_pixels_are_refused(image_encoder, image_project, processor):
    with pytest.raises(ValueError, match="no reference pictures to encode"):
        encode_references(image_encoder, image_project, processor, [])
    with pytest.raises(ValueError, match=r"The reference picture is empty \(0 x 3 pixels\)"):
        encode_references(image_encoder, image_project, processor, [Image.new("RGB", (0, 3))])


# --- the matrix's file ---------------------------------------------------------------------------


def test_the_original_s_file_is_read_as_stored(tmp_path):
    path = tmp_path / "projection_matrix"
    torch.save(random_matrix().half(), path)
    read = read_projection(path, WIDTH)
    assert read.dtype == torch.float32
    assert torch.equal(read, random_matrix().half().float())
    torch.save(random_matrix(), path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_projection(str(path)), random_matrix())


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_diffusers_file_is_the_transpose(tmp_path, form):
    module = projection_module(random_matrix())
    path = tmp_path / f"diffusion_pytorch_model.{form}"
    if form == "safetensors":
        save_file(module.state_dict(), path)
    else:
        torch.save(module.state_dict(), path)
    assert torch.equal(read_projection(path), random_matrix())


def test_a_saved_module_is_read_back(tmp_path):
    module = projection_module(random_matrix())
    module.save_pretrained(tmp_path)
    loaded = CLIPImageProjection.from_pretrained(tmp_path)
    assert torch.equal(projection_matrix(loaded), random_matrix())
    assert torch.equal(
        read_projection(tmp_path / "diffusion_pytorch_model.safetensors"), random_matrix()
    )


class Trap:
    """Would leave a trace if a pickle were executed."""

    def __reduce__(self):
        return print, ("the pickle was run",)


def with_nan():
    matrix = random_matrix()
    matrix[3, 4] = torch.nan
    return matrix


def saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (saved(torch.zeros(4, 6)), r"is 4 x 6; it must be square"),
        (saved(torch.zeros(4, 4, 4)), r"is 4 x 4 x 4; it must be square"),
        (saved(torch.tensor(1.0)), r"is a single number; it must be square"),
        (saved(random_matrix(8)), rf"is 8 x 8, and the text encoder is {WIDTH} wide"),
        (saved(with_nan()), "contains NaN"),
        (saved(torch.ones(WIDTH, WIDTH, dtype=torch.int64)), "whole numbers"),
        (saved(torch.zeros(WIDTH, WIDTH)), "zero everywhere"),
        (saved({"other": random_matrix()}), "holds no projection matrix"),
        (saved([random_matrix()]), "holds a list"),
        (saved(random_matrix())[:200], "truncated or damaged"),
        (pickle.dumps(Trap()), r"was refused: .* nothing in it was run"),
        (saved(Trap()), "was refused"),
        (b"", "is empty"),
        (b"a text, not a matrix", "is not a model"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path, capsys, data, message):
    path = tmp_path / "projection_matrix"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_projection(path, WIDTH)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "run" not in capsys.readouterr().out


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"There is no file '.*nowhere'"):
        read_projection(tmp_path / "nowhere")
