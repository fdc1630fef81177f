"""The count of memory against real runs, and the decisions that follow from it."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.profiler import ProfilerActivity, profile
from transformers import CLIPTextConfig, CLIPTextModel

from demo import loading
from demo.flags import parse_flags
from demo.service import GENERATION
from gligen.exact.decoding import decode_latents
from gligen.exact.options import ALL_SAVINGS, NO_SAVINGS
from gligen.memory import (
    CUDA_OVERHEAD,
    GAPS,
    GB,
    MODEL_OFFLOAD,
    ON_DEVICE,
    SEQUENTIAL_OFFLOAD,
    Growth,
    LiveBytes,
    Need,
    apply,
    count_need,
    evaluate_once,
    peak_bytes,
    plan,
    weight_bytes,
    without_storage,
)
from gligen.request import Request
from gligen.unet import add_grounding
from tests.conftest import small_pipeline

CUDA = torch.device("cuda")  # only named: nothing is computed there


def profiled_peak(run) -> int:
    """Return the most bytes that the CPU's allocator had given out at once during a run."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    now = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak


@pytest.mark.parametrize("num_images", [1, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("options", [ALL_SAVINGS, NO_SAVINGS], ids=["savings", "plain"])
def test_an_evaluation_takes_what_was_counted(options, num_images):
    with torch.no_grad():
        torch.manual_seed(0)
        unet = add_grounding(
            UNet2DConditionModel(
                sample_size=32,
                cross_attention_dim=64,
                attention_head_dim=8,
                block_out_channels=(32, 64, 128, 128),
                norm_num_groups=8,
            ).eval()
        ).requires_grad_(False)
    run = partial(evaluate_once, num_images=num_images, latent=(32, 32), options=options)
    empty = without_storage(unet)
    counted = peak_bytes(lambda: run(empty))
    with LiveBytes() as live:
        run(unet)
    assert counted == pytest.approx(live.peak, rel=0.05)
    # The allocator itself says the same, but for what convolutions take inside of themselves.
    assert profiled_peak(lambda: run(unet)) == pytest.approx(counted, rel=0.25)


def test_decoding_takes_what_was_counted(pipeline):
    latents = torch.zeros(2, 4, 16, 16)

    def run(vae, z):
        with torch.no_grad():
            decode_latents(vae, z, ALL_SAVINGS)

    empty, nothing = without_storage(pipeline.vae), latents.to("meta")
    counted = peak_bytes(lambda: run(empty, nothing))
    with LiveBytes() as live:
        run(pipeline.vae, latents)
    assert counted == pytest.approx(live.peak, rel=0.05)


def test_counting_leaves_the_model_as_it_is(pipeline):
    before = {name: p.clone() for name, p in pipeline.unet.named_parameters()}
    count_need(pipeline._components)
    for name, parameter in pipeline.unet.named_parameters():
        assert parameter.device.type == "cpu"
        assert torch.equal(parameter, before[name])


def test_merged_weights_are_counted():
    with torch.device("meta"):
        unet = add_grounding(UNet2DConditionModel(sample_size=8).eval()).requires_grad_(False)
    latent = (8, 8)
    saved = peak_bytes(lambda: evaluate_once(unet, 1, latent, ALL_SAVINGS))
    plain = peak_bytes(lambda: evaluate_once(unet, 1, latent, NO_SAVINGS))
    fused = sum(
        3 * module.to_q.weight.numel() * 4
        for name, module in unet.named_modules()
        if name.endswith((".attn1", ".fuser.attn"))
    )
    assert saved > plain + fused


@pytest.fixture(scope="module")
def full_size():
    """Components of the size of Stable Diffusion 1.4 in float16, on meta."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=64, cross_attention_dim=768, attention_head_dim=8
        ).eval()
        unet = add_grounding(unet).half().requires_grad_(False)
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            sample_size=512,
        ).half()
        text = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
                max_position_embeddings=77,
            )
        ).half()
    components = small_pipeline()._components
    return replace(components, unet=unet, vae=vae.eval(), text_encoder=text, device=CUDA)


@pytest.fixture(scope="module")
def full_size_need(full_size):
    return count_need(full_size)


@pytest.fixture
def decide(full_size, full_size_need, monkeypatch):
    monkeypatch.setattr("gligen.memory.count_need", lambda *_: full_size_need)
    return partial(plan, full_size)


def test_stable_diffusion_in_float16_fits_into_6_gb(full_size, full_size_need, decide):
    weights = weight_bytes([full_size.unet, full_size.vae, full_size.text_encoder])
    assert weights == pytest.approx(2.55 * GB, rel=0.01)
    # One picture: the merged weights of a run, its keys and values, and the evaluation.
    assert full_size_need.unet.of(1) == pytest.approx(0.52 * GB, rel=0.05)
    assert full_size_need.decode.of(1) == pytest.approx(0.42 * GB, rel=0.05)
    chosen = decide(6 * GB)
    assert (chosen.placement, chosen.fits) == (ON_DEVICE, True)
    assert (chosen.slices_decoding, chosen.tiles_decoding) == (False, False)
    # As the README says.
    assert chosen.needed * (1 + GAPS) + CUDA_OVERHEAD == pytest.approx(4.0 * GB, rel=0.02)


def test_the_smaller_the_budget_the_more_is_kept_elsewhere(decide):
    found = {gb: decide(int(gb * GB), 8) for gb in (12, 6, 3.9, 3.4, 1.5, 0.7)}
    placements = [chosen.placement for chosen in found.values()]
    assert placements == [
        *(ON_DEVICE, ON_DEVICE),
        *(MODEL_OFFLOAD, SEQUENTIAL_OFFLOAD),
        *(SEQUENTIAL_OFFLOAD, SEQUENTIAL_OFFLOAD),
    ]
    assert [found[gb].max_batch for gb in (12, 6)] == [8, 8]
    assert found[3.9].max_batch < 8
    assert (found[12].slices_decoding, found[6].slices_decoding) == (False, True)
    assert not found[6].tiles_decoding
    assert [chosen.fits for chosen in found.values()] == [True] * 5 + [False]
    assert "Each model is on the device only while it computes" in found[3.9].reason
    assert "may fail" in found[0.7].reason


def test_a_picture_that_cannot_be_decoded_whole_is_decoded_in_pieces(decide, full_size_need):
    chosen = decide(int(0.9 * GB))
    assert chosen.placement == SEQUENTIAL_OFFLOAD
    assert chosen.tiles_decoding


def test_layers_that_come_and_go_are_evaluated_without_savings(decide, full_size, full_size_need):
    chosen = decide(int(0.9 * GB))  # decoding in pieces is not counted
    largest = max(weight_bytes([m]) for m in full_size.unet.modules() if not list(m.children()))
    assert chosen.placement == SEQUENTIAL_OFFLOAD
    assert chosen.needed == largest + full_size_need.plain_unet.of(chosen.max_batch)
    assert full_size_need.plain_unet.of(1) < full_size_need.unet.of(1)


def test_other_models_take_their_room(decide):
    checker = torch.nn.Linear(10**9, 1, device="meta")  # 4 GB
    assert decide(6 * GB, others=[checker]).placement == MODEL_OFFLOAD


def test_weights_in_several_models_count_once():
    model = torch.nn.Linear(3, 5)  # 15 weights and 5 biases
    other = torch.nn.Linear(3, 5, bias=False).to(torch.float16)
    assert weight_bytes([model, None, torch.nn.Sequential(model), other]) == 20 * 4 + 15 * 2


def test_what_grows_in_a_straight_line():
    growth = Growth(least=50, four=60, eight=100)
    assert [growth.of(n) for n in (0, 1, 2, 4, 6)] == [0, 50, 50, 60, 80]


@pytest.mark.parametrize("placement", [ON_DEVICE, MODEL_OFFLOAD, SEQUENTIAL_OFFLOAD])
def test_a_plan_is_carried_out(pipeline, monkeypatch, placement):
    called = []
    monkeypatch.setattr(pipeline, "to", lambda device: called.append((ON_DEVICE, device)))
    for name, said in (
        ("enable_model_cpu_offload", MODEL_OFFLOAD),
        ("enable_sequential_cpu_offload", SEQUENTIAL_OFFLOAD),
    ):
        monkeypatch.setattr(pipeline, name, lambda device, said=said: called.append((said, device)))
    monkeypatch.setattr("gligen.memory.count_need", lambda *_: Need(*[Growth(1, 1, 1)] * 3))
    chosen = replace(plan(pipeline._components, GB), placement=placement, slices_decoding=True)
    apply(pipeline, chosen, "cuda")
    assert called == [(placement, "cuda")]
    assert pipeline.vae.use_slicing
    assert not pipeline.vae.use_tiling


def test_slices_and_pieces_still_make_pictures(pipeline):
    request = Request("a dog", num_images=2, num_inference_steps=1, seed=1)
    expected = pipeline.generate(request).images
    pipeline.vae.enable_slicing()
    for image, other in zip(pipeline.generate(request).images, expected, strict=True):
        pairs = zip(image.tobytes(), other.tobytes(), strict=True)
        assert max(abs(a - b) for a, b in pairs) <= 1


@pytest.mark.slow
def test_the_app_says_what_it_chose():
    flags = parse_flags(["--device-budget", "800MB", "--device", "cpu"])
    service = loading.load_service(flags)
    assert any("All models stay on the device" in note for note in service.card.notes)
    assert 1 <= service.card.max_batch <= 4
    request = Request("a dog", num_inference_steps=1, seed=1)
    assert [*service.stream(GENERATION, request)][-1].images


@pytest.mark.slow
def test_several_kinds_cannot_be_kept_elsewhere(monkeypatch):
    pipelines = {GENERATION: small_pipeline(), "keypoint": small_pipeline("keypoint")}
    with pytest.raises(ValueError, match="only one kind can be kept in main memory"):
        loading.place(pipelines, CUDA_OVERHEAD + 10**6, CUDA, 1)
