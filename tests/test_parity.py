"""The numbers recorded from the original code (`tests/golden`), to 1e-4."""

import pytest
import torch

from gligen.attention import Grounding
from gligen.guidance import GuidedModel
from gligen.sampling import DDIM, PLMS, denoise, spaced_timesteps
from gligen.schedule import gate_schedule
from gligen.tokenizers import BoxGrounding, fourier_embedding
from gligen.unet import predict

KINDS = ("generation_text_box", "inpainting_text_box")


def grounding_of(arrays) -> BoxGrounding:
    return BoxGrounding(arrays["boxes"], arrays["masks"], arrays["text_embeddings"])


def close(found, expected, scale=1.0):
    difference = (found - expected).abs().max().item()
    assert difference <= 1e-4 * scale, f"largest difference {difference:.2e}"


@pytest.fixture(scope="module")
def alphas_cumprod():
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


@pytest.mark.parametrize("kind", KINDS)
def test_tokens(golden, golden_unets, kind):
    arrays, unet = golden(f"unet_{kind}").arrays, golden_unets(f"unet_{kind}")
    grounding = grounding_of(arrays)
    close(unet.position_net.tokens(grounding), arrays["tokens"])
    close(unet.position_net.tokens(grounding.null()), arrays["null_tokens"])


def test_null_features_hide_garbage_in_padded_slots(golden, golden_unets):
    arrays = golden("unet_generation_text_box").arrays
    unet = golden_unets("unet_generation_text_box")
    grounding = grounding_of(arrays)
    spoiled = grounding.phrase_features.clone()
    spoiled[grounding.masks == 0] = float("nan")
    spoiled = BoxGrounding(grounding.boxes, grounding.masks, spoiled)
    assert torch.equal(unet.position_net.tokens(spoiled), unet.position_net.tokens(grounding))


def unet_cases():
    for kind in KINDS:
        for case in ("scale_1", "scale_0.5", "scale_0", "null", "uncond", "t2", "rect"):
            yield kind, case


@pytest.mark.parametrize(("kind", "case"), unet_cases())
def test_unet_output(golden, golden_unets, kind, case):
    arrays, unet = golden(f"unet_{kind}").arrays, golden_unets(f"unet_{kind}")
    if f"unet_out.{case}" not in arrays:
        assert (kind, case) == ("inpainting_text_box", "rect")  # recorded for generation only
        return
    x = arrays["x_rect" if case == "rect" else "x"]
    if kind.startswith("inpainting"):
        x = torch.cat([x, arrays["inpainting_extra_input"]], dim=1)
    timesteps = arrays["timesteps_t2" if case == "t2" else "timesteps"]
    context = arrays["uncond_context" if case == "uncond" else "context"]
    grounding = grounding_of(arrays)
    if case in ("null", "uncond"):
        grounding = grounding.null()
    scale = float(case.removeprefix("scale_")) if case.startswith("scale_") else 1.0
    tokens = unet.position_net.tokens(grounding)
    with torch.no_grad():
        output = predict(unet, x, timesteps, context, Grounding(tokens, scale))
    close(output, arrays[f"unet_out.{case}"])


def guided(golden, unet, run, kind, rows) -> GuidedModel:
    arrays = golden(f"unet_{kind}").arrays
    grounding = grounding_of({key: value[rows] for key, value in arrays.items() if len(value) == 2})
    extra = arrays["inpainting_extra_input"][rows] if kind.startswith("inpainting") else None
    return GuidedModel(
        unet=unet,
        context=arrays["context"][rows],
        negative_context=None if run["guidance"] == 1 else arrays["uncond_context"][rows],
        guidance_scale=run["guidance"],
        tokens=unet.position_net.tokens(grounding),
        null_tokens=unet.position_net.tokens(grounding.null()),
        extra_channels=extra,
    )


def sampler_of(run, alphas_cumprod, recorded_timesteps):
    kind = PLMS if run["sampler"] == "plms" else DDIM
    return kind(alphas_cumprod, recorded_timesteps, "epsilon")


def recorded_timesteps(run):
    """The original's own list: where S does not divide 1000 it has more steps than asked for."""
    return [t + 1 for t in range(0, 1000, 1000 // run["S"])][::-1]


RUNS = [
    *(
        f"plms_S{s}_a{a}_g{g}"
        for s in (10, 50)
        for a in ("0.3-0-0.7", "0.5-0.3-0.2")
        for g in (1, 5, 7.5)
    ),
    *("plms_S7_a0.3-0-0.7_g5", "plms_S2_a0.5-0-0.5_g5", "plms_S1_a1-0-0_g5"),
    *(
        f"ddim_S{s}_a{a}_g{g}"
        for s in (10, 50)
        for a in ("0.3-0-0.7", "0.5-0.3-0.2")
        for g in (1, 5, 7.5)
    ),
]


@pytest.mark.parametrize("name", RUNS)
def test_trajectory(golden, golden_unets, alphas_cumprod, name):
    recorded = golden(f"sampler_text_box_{name[:4]}")
    run = next(run for run in recorded.facts["runs"] if run["name"] == name)
    unet = golden_unets("unet_generation_text_box")
    model = guided(golden, unet, run, "generation_text_box", slice(0, 1))
    calls = []

    def counted(x, timestep, gate):
        calls.append([timestep, gate])
        return model(x, timestep, gate)

    gates = gate_schedule(run["actual_steps"], run["alpha_type"])
    assert gates == pytest.approx(run["alpha_schedule"])
    sampler = sampler_of(run, alphas_cumprod, recorded_timesteps(run))
    with torch.no_grad():
        steps = list(denoise(counted, sampler, recorded.arrays["x_T"], gates))
    conditional = [[t, gate] for t, gate, half in run["calls"] if half == "cond"]
    assert calls == conditional
    final = recorded.arrays[f"{name}/final"]
    scale = final.abs().max().item()
    for row, kept in enumerate(run["kept_steps"]):
        close(steps[kept].latents, recorded.arrays[f"{name}/latents"][row], scale)
    close(steps[-1].latents, final, scale)


@pytest.mark.parametrize("index", range(3))
def test_inpainting_trajectory(golden, golden_unets, alphas_cumprod, index):
    recorded, kind = golden("sampler_inpainting"), "inpainting_text_box"
    run = recorded.facts["runs"][index]
    name, arrays = run["name"], golden(f"unet_{kind}").arrays
    model = guided(golden, golden_unets(f"unet_{kind}"), run, kind, slice(0, 2))
    known, mask = arrays["inpainting_x0"], arrays["inpainting_mask"]
    entered = []

    def blend(latents, step, sampler):
        noise = recorded.arrays[f"{name}/renoise"][step]
        blended = sampler.add_noise(known, noise, step) * mask + latents * (1 - mask)
        entered.append(blended)
        return blended

    gates = gate_schedule(run["actual_steps"], run["alpha_type"])
    sampler = sampler_of(run, alphas_cumprod, recorded_timesteps(run))
    with torch.no_grad():
        *_, last = denoise(model, sampler, recorded.arrays["x_T"], gates, blend)
    scale = recorded.arrays[f"{name}/final"].abs().max().item()
    close(torch.stack(entered), recorded.arrays[f"{name}/x_in"], scale)
    close(last.latents, recorded.arrays[f"{name}/final"], scale)


def test_noise_tables(golden, alphas_cumprod):
    for schedule in golden("sampler_schedules").facts["schedules"]:
        requested = schedule["S"]
        ours = spaced_timesteps(requested)
        assert len(ours) == requested
        assert max(ours) < 1000  # the original ran past its table for 3, 9, 27, ...
        if 1000 % requested == 0:
            assert ours[::-1] == schedule["timesteps"]
        if "error" in schedule:
            assert requested == 3
            continue
        sampler = DDIM(alphas_cumprod, schedule["timesteps"][::-1], "epsilon")
        close(torch.tensor(sampler._alphas[::-1]), torch.tensor(schedule["alphas"]))
        close(torch.tensor(sampler._next_alphas[::-1]), torch.tensor(schedule["alphas_prev"]))


def test_gate_schedule(golden):
    facts = golden("alpha_schedule").facts
    surprises = {
        (length, full) for length, full, _ in facts["truncation_surprises_len_fraction_got"]
    }
    for case in facts["cases"]:
        length, shares = case["length"], case["type"] or [1, 0, 0]
        if abs(sum(shares) - 1) > 1e-6:
            with pytest.raises(ValueError, match="sum to 1"):
                gate_schedule(length, shares)
            continue
        ours = gate_schedule(length, shares)
        assert len(ours) == length
        if "error" in case:
            assert all(0 <= gate <= 1 for gate in ours)  # an error there, a schedule here
        elif (length, shares[0]) in surprises:
            assert ours.count(1.0) == case["alphas"].count(1.0) + 1
        else:
            assert ours == pytest.approx(case["alphas"])


def test_gate_schedule_where_the_original_failed(golden):
    facts = golden("alpha_schedule").facts
    for shares in facts["float_sum_failures_tenths"] + facts["float_sum_failures_twentieths"]:
        assert len(gate_schedule(50, shares)) == 50
    for decay in facts["arange_overrun_decay_lengths_1_to_1000"]:
        ramp = gate_schedule(decay, [0, 1, 0])
        assert len(ramp) == decay
        assert ramp == pytest.approx([(decay - 1 - i) / decay for i in range(decay)])


@pytest.mark.parametrize("kind", [("boxes", "box"), ("points", "point")])
def test_fourier_embedding(golden, kind):
    arrays = golden("embeddings").arrays
    close(fourier_embedding(arrays[f"fourier/{kind[0]}"]), arrays[f"fourier/{kind[1]}_embedding"])
