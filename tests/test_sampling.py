import pytest
import torch
from diffusers import DDIMScheduler, PNDMScheduler

from gligen.samplernames import SAMPLERS
from gligen.sampling import denoise, make_sampler, spaced_timesteps

CONFIG = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def exact_model(clean, scheduler, prediction):
    """A model that knows the clean latents: every sampler must then arrive at them."""

    def model(x, timestep, gate, step):
        alpha = scheduler.alphas_cumprod[min(int(timestep), 999)]
        eps = (x - alpha**0.5 * clean) / (1 - alpha) ** 0.5
        if prediction == "epsilon":
            return eps
        return alpha**0.5 * eps - (1 - alpha) ** 0.5 * clean

    return model


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", [*SAMPLERS, None])
def test_every_sampler_finds_the_clean_latents(name, prediction):
    scheduler = DDIMScheduler(**CONFIG, prediction_type=prediction)
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(1, 4, 4, 4, generator=generator)
    noise = torch.randn(1, 4, 4, 4, generator=generator)
    sampler = make_sampler(name, scheduler, 20, "cpu", generator)
    model = exact_model(clean, scheduler, prediction)
    steps = list(denoise(model, sampler, noise, [1.0] * sampler.num_steps))
    assert len(steps) == 20
    assert [step.index for step in steps] == list(range(1, 21))
    assert steps[0].timestep > steps[-1].timestep
    # The last step of some methods stops at the least noisy table entry, 3 % noise.
    assert (steps[-1].latents - clean).abs().max() < 0.2
    assert (steps[-1].predicted - clean).abs().max() < 0.05
    assert (steps[5].predicted - clean).abs().max() < 0.05


@pytest.mark.parametrize("name", SAMPLERS)
def test_noising_matches_the_level_of_the_step(name):
    scheduler = DDIMScheduler(**CONFIG)
    sampler = make_sampler(name, scheduler, 10, "cpu")
    zeros, ones = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    levels = []
    for index in range(10):
        noise = sampler.add_noise(zeros, ones, index).item()
        signal = sampler.add_noise(ones, zeros, index).item()
        levels.append(noise / signal)
    assert levels == sorted(levels, reverse=True)
    start = sampler.start(ones).item()
    if start > 2:  # methods in variance-exploding form start at their largest sigma
        assert start == pytest.approx(levels[0], rel=0.05)


def test_v_and_epsilon_give_the_same_trajectory_in_plms():
    generator = torch.Generator().manual_seed(0)
    noise, target = (torch.randn(1, 4, 4, 4, generator=generator) for _ in range(2))

    def run(prediction):
        scheduler = DDIMScheduler(**CONFIG, prediction_type=prediction)
        sampler = make_sampler("plms", scheduler, 10, "cpu")

        def model(x, timestep, gate, step):
            alpha = scheduler.alphas_cumprod[int(timestep)]
            eps = torch.tanh(x) + 0.1 * target
            clean = (x - (1 - alpha) ** 0.5 * eps) / alpha**0.5
            velocity = alpha**0.5 * eps - (1 - alpha) ** 0.5 * clean
            return eps if prediction == "epsilon" else velocity

        *_, last = denoise(model, sampler, noise, [1.0] * 10)
        return last.latents

    torch.testing.assert_close(run("v_prediction"), run("epsilon"), atol=1e-3, rtol=1e-3)


def test_plms_costs_one_evaluation_more_than_steps():
    gates_seen = []

    def model(x, timestep, gate, step):
        gates_seen.append(gate)
        return x

    sampler = make_sampler("plms", DDIMScheduler(**CONFIG), 5, "cpu")
    list(denoise(model, sampler, torch.ones(1, 1, 1, 1), [1.0, 0.5, 0.0, 0.0, 0.0]))
    assert gates_seen == [1.0, 1.0, 0.5, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("skip", [True, False])
def test_evaluations_of_a_step_share_its_gate(skip):
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=skip
    )
    sampler = make_sampler(None, scheduler, 10, "cpu")
    seen = []

    def model(x, timestep, gate, step):
        seen.append(gate)
        return x * 0.1

    gates = [1.0, *[0.0] * (sampler.num_steps - 1)]
    steps = list(denoise(model, sampler, torch.ones(1, 1, 1, 1), gates))
    assert len(steps) == sampler.num_steps
    assert seen.count(1.0) == (2 if skip else 4)


def test_sent_latents_enter_the_next_step():
    entered = []

    def model(x, timestep, gate, step):
        entered.append(x.clone())
        return torch.zeros_like(x)

    sampler = make_sampler("ddim", DDIMScheduler(**CONFIG), 3, "cpu")
    steps = denoise(model, sampler, torch.ones(1, 1, 1, 1), [1.0] * 3)
    next(steps)
    steps.send(torch.full((1, 1, 1, 1), 7.0))
    assert entered[1].item() == 7


def test_timesteps_are_as_many_as_asked_for():
    for count in range(1, 1001):
        timesteps = spaced_timesteps(count)
        assert len(set(timesteps)) == count
        assert timesteps == sorted(timesteps, reverse=True)
        assert timesteps[-1] == (1 if count < 1000 else 0)
        assert timesteps[0] <= 999
    with pytest.raises(ValueError, match="1001; the model has 1000"):
        spaced_timesteps(1001)


def test_an_unknown_sampler_is_refused():
    with pytest.raises(ValueError, match="'dmp'.*dpm"):
        make_sampler("dmp", DDIMScheduler(**CONFIG), 3, "cpu")
