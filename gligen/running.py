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
from gligen.exact.support import why_plain
from gligen.exact.unet import PreparedUNet
from gligen.grounding import encode_grounding
from gligen.guidance import GuidedModel
from gligen.holes import encode_hole
from gligen.inpainting import layout_in_area
from gligen.outofmemory import InParts
from gligen.run import Change, Run
from gligen.sampling import Blend, Question, Sampler, Step, denoise, make_sampler
from gligen.schedule import gate_schedule
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
        OutOfMemoryError: the device cannot even hold one picture.
    """
    begun = begin(components, run, texts)
    model, text = prepared_model(components, run, begun), begun.text
    parts = InParts()

    def evaluate(latents: Tensor, timestep: float, gate_scale: float, step: int) -> Tensor:
        # The model is looked up anew: a change replaces it.
        question = Question(latents, timestep, gate_scale, step)
        return model.guide(*parts.halves(model, question))

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

    gates = gate_schedule(sampler.num_steps, run.schedule)
    return Begun(model, sampler, noise, gates, text, None if hole is None else keep_known)


def prepared_model(components: Components, run: Run, begun: Begun) -> GuidedModel:
    """Return the model of a run with savings, where nothing stands beside the UNet."""
    model = begun.model
    if model.side_networks is not None or model.picture_tokens is not None:
        return model
    return replace(model, prepared=prepare_unet(components, run, begun.sampler.timesteps))


def prepare_unet(
    components: Components, run: Run, timesteps: Sequence[float]
) -> PreparedUNet | None:
    """Prepare the UNet for a run; None where it must be evaluated as it is."""
    unet, options = components.unet, components.exact
    further = set(run.cross_attention_kwargs or {}) - {"scale"}
    if not options.changes_unet or further or why_plain(unet):
        return None
    if hasattr(unet, "_hf_hook"):
        unet._hf_hook.pre_forward(unet)  # brings an offloaded model, as calling it would
    prepared = PreparedUNet(unet, options)
    prepared.prepare_times(timesteps)
    return prepared


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
