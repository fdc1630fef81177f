"""What comes out: batches, forms, latents, the safety checker."""

import numpy as np
import pytest
import torch
from transformers import CLIPImageProcessorPil

from gligen.kinds import KINDS
from gligen.pipeline import GligenPipeline
from gligen.request import Request

# One of each modality and task, where every kind would tell nothing more.
from tests.pipeline_contract.calls import SOME, call, difference, inputs, layout_for


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_in_a_batch_is_the_one_made_alone(built, kind):
    pipeline = built(kind)
    prompts, layouts = ["a dog", "a sun", "a cat"], [layout_for(kind, seed) for seed in range(3)]

    def seeded(*seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    batch = call(pipeline, prompt=prompts, layout=layouts, generator=seeded(1, 2, 3))
    for row in range(3):
        alone = call(pipeline, prompt=prompts[row], layout=layouts[row], generator=seeded(row + 1))
        assert difference(batch[row], alone[0]) <= 1e-5
    assert difference(batch[0], batch[1]) > 1e-3


@pytest.mark.parametrize("kind", SOME)
@pytest.mark.parametrize(("prompts", "each"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_there_are_as_many_pictures_as_prompts_times_pictures_each(built, kind, prompts, each):
    images = call(
        built(kind), prompt=["a dog"] * prompts, num_images_per_prompt=each, output_type="np"
    )
    assert images.shape == (prompts * each, 64, 64, 3)


@pytest.mark.parametrize("kind", SOME)
def test_tuple_and_forms_hold_the_same_pictures(built, kind):
    pipeline = built(kind)
    images = call(pipeline, output_type="np")
    plain = pipeline(**inputs(pipeline, output_type="np", return_dict=False))
    assert isinstance(plain, tuple)
    assert np.array_equal(plain[0], images)
    tensors = call(pipeline, output_type="pt")
    assert np.array_equal(tensors.permute(0, 2, 3, 1).numpy(), images)
    pillows = call(pipeline, output_type="pil")
    assert np.array_equal(np.asarray(pillows[0]), (images[0] * 255).round().astype("uint8"))


@pytest.mark.parametrize("kind", ["generation_text_box", "keypoint"])
def test_latents_decode_to_the_pictures(built, kind):
    pipeline = built(kind)
    decoded = pipeline.decode_preview(call(pipeline))
    assert np.array_equal(np.asarray(decoded[0]), np.asarray(call(pipeline, output_type="pil")[0]))


def test_given_latents_are_the_start(built):
    pipeline = built("generation_text_box")
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    assert torch.equal(call(pipeline, latents=start), call(pipeline))
    assert difference(call(pipeline, latents=-start), call(pipeline)) > 1e-3


class Censor(torch.nn.Module):
    """A checker that objects to every second picture."""

    device, dtype = torch.device("cpu"), torch.float32

    def forward(self, images, clip_input):
        assert clip_input.shape[1:] == (3, 224, 224)
        verdicts = [bool(row % 2) for row in range(len(images))]
        images[np.array(verdicts)] = 0
        return images, verdicts


def test_the_safety_checker_blackens_and_tells(built):
    parts = built("generation_text_box").components
    with pytest.raises(ValueError, match="needs its feature extractor"):
        GligenPipeline(**{**parts, "safety_checker": Censor()})
    parts.update(safety_checker=Censor(), feature_extractor=CLIPImageProcessorPil())
    pipeline = GligenPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline(**inputs(pipeline, num_images_per_prompt=2, output_type="pil"))
    assert result.nsfw_content_detected == [False, True]
    assert np.asarray(result.images[0]).any()
    assert not np.asarray(result.images[1]).any()
    request = Request("a dog", layout_for(pipeline.kind), num_images=2, num_inference_steps=2)
    first, second = pipeline.generate(request).images
    assert np.asarray(first).any()
    assert not np.asarray(second).any()
