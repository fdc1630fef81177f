"""One run: text, regions, noise and hole are encoded, then the loop denoises.

Shapes: B pictures, L text tokens, D width of the text encoder, latents [B, c, h, w].
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from torch import Tensor

from gligen.addons.control import side_networks
from gligen.addons.ip_adapter import picture_tokens
from gligen.addons.lorascale import lora_scale
from gligen.components import Components
from gligen.deepcache import DeepFeatures
from gligen.exact.graphs import GraphedUNet
from gligen.exact.support import why_plain
from gligen.exact.unet import PreparedUNet
from gligen.grounding import encode_grounding
from gligen.guidance import GuidedModel
from gligen.holes import encode_hole
from gligen.inpainting import layout_in_area
from gligen.outofmemory import InParts
from gligen.run import Change, Run
from gligen.sampling import Blend, Question, Sampler, Step, denoise, make_sampler
from gligen.schedule import gate_schedule, gates_at
from gligen.texts import EncodedText, RunTexts, read_run_texts


@dataclass(frozen=True)
class Begun:
    """A run before its first step: all that is encoded, and how it goes on."""

    model: GuidedModel
    sampler: Sampler
    noise: Float[Tensor, "B c h w"]  # unit
    gates: list[float]  # gate scale of each step
    text: EncodedText
    blend: Blend | None  # of a run with a hole


def run_steps(
    components: Components, run: Run, texts: RunTexts | None = None
) -> Generator[Step, Change | None, None]:
    """Encode, then denoise: one item per step.

    Whoever drives the generator may `send` a change for the steps that follow. `texts` are those of
    this run, where they have been read already.

    Raises:
        ValueError: the preset needs what cannot be done with this UNet.
        OutOfMemoryError: the device cannot even hold one picture.
    """
    check_preset(components, run)
    begun = begin(components, run, texts)
    model, text = prepared_model(components, run, begun), begun.text
    parts = InParts()
    is_guided = gate_schedule(begun.sampler.num_steps, run.preset.guided_share)

    def evaluate(latents: Tensor, timestep: float, gate_scale: float, step: int) -> Tensor:
        question = Question(latents, timestep, gate_scale, step)
        # Looked up anew: a change replaces the model.
        told = model if is_guided[step] or step == 0 else model.conditional
        return told.guide(*parts.halves(told, question))

    steps = denoise(evaluate, begun.sampler, begun.noise, begun.gates, begun.blend)
    step = next(steps, None)
    while step is not None:
        change = yield step
        if change is not None:
            text = text.changed(change)
            model = model.told(text.guidance_scale, text.context, text.negative_context)
        try:
            step = steps.send(None if change is None else change.latents)
        except StopIteration:
            return


def begin(components: Components, run: Run, texts: RunTexts | None = None) -> Begun:
    """Encode text, regions and hole, and draw the noise; the UNet is not evaluated."""
    device = components.device
    layouts = run.layouts
    if run.hole is not None:
        layouts = [layout_in_area(layout, run.hole.area) for layout in layouts]
    texts = texts or read_run_texts(components, run)
    text = texts.encoded
    with lora_scale(components.text_encoder, run.lora_strength):
        grounding = encode_grounding(
            components, layouts, run.size, run.references, texts.encode_phrases
        )
    sampler = make_sampler(
        run.sampler,
        components.scheduler,
        run.num_steps,
        device,
        run.generators,
        run.eta,
        run.timesteps,
        run.sigmas,
    )
    noise = _start_noise(components, run)
    hole = None if run.hole is None else encode_hole(components, run.hole, run.num_images)
    model = GuidedModel(
        unet=components.unet,
        context=text.context,
        negative_context=text.negative_context,
        guidance_scale=run.guidance_scale,
        tokens=grounding.tokens,
        null_tokens=grounding.null_tokens,
        grounded=grounding.grounded,
        extra_channels=None if hole is None else hole.extra_channels,
        map_channels=grounding.map_channels,
        cross_attention_kwargs=run.cross_attention_kwargs,
        guidance_rescale=run.guidance_rescale,
        side_networks=side_networks(
            components, run.add_ons, run.size, run.num_images, sampler.num_steps, run.hole
        ),
        picture_tokens=picture_tokens(
            components, run.add_ons, run.num_images, guided=text.negative is not None
        ),
    )

    def keep_known(latents: Tensor, index: int, sampler: Sampler) -> Tensor:
        assert hole is not None, "only a run with a hole blends"
        fresh = randn_tensor(latents.shape, run.generators, device, latents.dtype)
        noisy = sampler.add_noise(hole.known, fresh, index)
        return noisy * hole.mask + latents * (1 - hole.mask)

    if run.preset.keeps_noise_levels:
        num_levels = components.scheduler.config["num_train_timesteps"]
        gates = gates_at(sampler.step_timesteps, num_levels, run.schedule)
    else:
        gates = gate_schedule(sampler.num_steps, run.schedule)
    return Begun(model, sampler, noise, gates, text, None if hole is None else keep_known)


def check_preset(components: Components, run: Run) -> None:
    """Refuse a preset that cannot be had.

    Raises:
        ValueError: it evaluates the UNet in part, and this one can only be evaluated whole.
    """
    if not run.preset.keeps_deep_features:
        return
    obstacle = why_unprepared(components, run)
    if obstacle:
        raise ValueError(
            f"The preset {run.preset.name} evaluates the UNet in part, level by level, and this "
            f"one can only be evaluated whole: {obstacle}. Choose the preset exact, fast or faster."
        )


def why_unprepared(components: Components, run: Run) -> str:
    """Return why a run must evaluate the UNet as it is; empty where it can be prepared."""
    further = sorted(set(run.cross_attention_kwargs or {}) - {"scale"})
    if not (components.exact.changes_unet or run.preset.keeps_deep_features):
        return "the savings are switched off"
    if further:
        return f"cross_attention_kwargs has {further[0]!r}"
    if run.add_ons.is_any:
        return "a ControlNet, a T2I-Adapter or an IP-Adapter takes part"
    return why_plain(components.unet)


def prepared_model(components: Components, run: Run, begun: Begun) -> GuidedModel:
    """Return the model of a run with savings, where nothing stands in the way."""
    if why_unprepared(components, run):
        return begun.model
    interval = run.preset.deep_interval
    return replace(
        begun.model,
        prepared=prepare_unet(components, run, begun.sampler.timesteps),
        deep=DeepFeatures(interval) if run.preset.keeps_deep_features else None,
    )


def prepare_unet(
    components: Components, run: Run, timesteps: Sequence[float]
) -> PreparedUNet | GraphedUNet:
    """Prepare the UNet for a run, for which `why_unprepared` knows no obstacle."""
    unet = components.unet
    is_offloaded = hasattr(unet, "_hf_hook")
    if is_offloaded:
        unet._hf_hook.pre_forward(unet)  # brings an offloaded model, as calling it would
    prepared = PreparedUNet(unet, components.exact)
    prepared.prepare_times(timesteps)
    # A model that comes and goes lies elsewhere each time; a part of it is not what was recorded.
    serves = not (is_offloaded or run.preset.keeps_deep_features)
    if components.graphs is None or not components.exact.graphs or not serves:
        return prepared
    return components.graphs.of(prepared)


def _start_noise(components: Components, run: Run) -> Float[Tensor, "B c h w"]:
    """Draw the unit noise, or take the caller's.

    Raises:
        ValueError: the caller's has another shape.
    """
    device, dtype = components.device, components.unet.dtype
    width, height = (side // components.pixels_per_latent for side in run.size)
    shape = (run.num_images, components.num_channels, height, width)
    if run.latents is None:
        return randn_tensor(shape, run.generators, device, dtype)
    if tuple(run.latents.shape) != shape:
        raise ValueError(
            f"The latents have shape {tuple(run.latents.shape)}; this call needs {shape}."
        )
    return run.latents.to(device, dtype)
