"""The settings that both tabs have, and reading them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from demo.calls import first_values
from demo.handlers import (
    MAX_PAGE_GUIDANCE,
    MAX_PAGE_IMAGES,
    MAX_PAGE_STEPS,
    Options,
)
from demo.texts import help as help_texts
from demo.texts import presets as preset_texts
from demo.words import MAX_PROMPT_LENGTH
from gligen.presets import DEEP_INTERVALS, DEEPCACHE, Preset
from gligen.samplernames import SAMPLERS

RANDOM_SEED = "random, and tell me which"
FIXED_SEED = "fixed"
PRESET_CHOICES = (*preset_texts.NAMES, *(f"{DEEPCACHE}={n}" for n in DEEP_INTERVALS))
SAMPLER_NAMES = {
    "plms": "PLMS (as in the original)",
    "ddim": "DDIM",
    "dpm++": "DPM-Solver++",
    "unipc": "UniPC",
    "euler": "Euler",
    "euler_a": "Euler ancestral",
    "heun": "Heun",
    "pndm": "PNDM",
}


@dataclass(frozen=True)
class Controls:
    """Components of the settings."""

    prompt: gr.Textbox
    append_grounding: gr.Checkbox
    tau: gr.Slider
    guidance_scale: gr.Slider
    num_inference_steps: gr.Slider
    sampler: gr.Dropdown
    preset: gr.Dropdown
    num_images: gr.Slider
    seed_mode: gr.Radio
    seed: gr.Number
    negative_prompt: gr.Textbox
    use_shares: gr.Checkbox
    full_share: gr.Number
    decay_share: gr.Number
    off_share: gr.Number

    def inputs(self) -> set[Component]:
        """Return all components, for events that read the settings."""
        return set(vars(self).values())


BOXES_PROMPT = "What the whole picture shows. Empty: it is made from the names of the boxes."


def build_prompt(
    placeholder: str = BOXES_PROMPT, has_phrases: bool = True
) -> tuple[gr.Textbox, gr.Checkbox]:
    """Build the prompt and the choice that belongs to it; both still have to be rendered.

    Args:
        placeholder: what the empty prompt says.
        has_phrases: whether the layout of the tab has phrases that can be appended.
    """
    prompt = gr.Textbox(
        label="Prompt",
        placeholder=placeholder,
        lines=2,
        max_length=MAX_PROMPT_LENGTH,
        render=False,
    )
    append = gr.Checkbox(
        label="Append grounding to prompt",
        value=False,
        container=False,
        visible=has_phrases,
        render=False,
    )
    return prompt, append


def build_controls(
    prompt: gr.Textbox, append: gr.Checkbox, defaults: Options, usual_tau: float
) -> Controls:
    """Build the settings that go with a prompt.

    Args:
        prompt: from `build_prompt`.
        append: from `build_prompt`.
        defaults: gives the first values.
        usual_tau: the first value of tau where `defaults` leaves it open.
    """
    with gr.Row():
        tau = gr.Slider(
            0,
            1,
            usual_tau if defaults.tau is None else defaults.tau,
            step=0.05,
            label=help_texts.TAU,
            info=help_texts.TAU_INFO,
            min_width=150,
        )
        guidance = gr.Slider(
            1,
            MAX_PAGE_GUIDANCE,
            defaults.guidance_scale,
            step=0.5,
            label=help_texts.GUIDANCE,
            info=help_texts.GUIDANCE_INFO,
            min_width=150,
        )
    with gr.Accordion(help_texts.HELP, open=False, elem_classes="help"):
        gr.Markdown(help_texts.HELP_TEXT)
    with gr.Row():
        steps = gr.Slider(
            1, MAX_PAGE_STEPS, defaults.num_inference_steps, step=1, label="Steps", min_width=150
        )
        images = gr.Slider(
            1,
            MAX_PAGE_IMAGES,
            defaults.num_images,
            step=1,
            label="Number of samples",
            min_width=150,
        )
    with gr.Row():
        seed_mode = gr.Radio(
            [RANDOM_SEED, FIXED_SEED], value=RANDOM_SEED, label="Seed", min_width=150
        )
        seed = gr.Number(
            0,
            precision=0,
            minimum=0,
            label="Fixed seed",
            info="After a run: the seed it used",
            min_width=110,
        )
    with gr.Accordion("Advanced", open=False):
        choices = [(SAMPLER_NAMES.get(name, name), name) for name in SAMPLERS]
        preset = gr.Dropdown(
            [(preset_title(name), name) for name in PRESET_CHOICES],
            value=defaults.preset,
            label=preset_texts.PRESET,
            info=preset_texts.PRESET_INFO,
        )
        sampler = gr.Dropdown(choices, value=defaults.sampler, label="Sampler")
        negative = gr.Textbox(label="Negative prompt", lines=1, max_length=MAX_PROMPT_LENGTH)
        use_shares = gr.Checkbox(
            label="Use the three-part schedule instead of tau", value=False, container=False
        )
        with gr.Row():
            full = gr.Number(
                0.3, label="Full strength", minimum=0, maximum=1, step=0.05, min_width=90
            )
            decay = gr.Number(
                0.2, label="Linear decay", minimum=0, maximum=1, step=0.05, min_width=90
            )
            off = gr.Number(0.5, label="Off", minimum=0, maximum=1, step=0.05, min_width=90)
        gr.Markdown("The three shares of the steps must sum to 1.", elem_classes="small-print")
    # By people alone: what fills the page has its own sampler and steps.
    preset.input(
        _sampler_and_steps,
        preset,
        [sampler, steps],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    return Controls(
        prompt=prompt,
        append_grounding=append,
        tau=tau,
        guidance_scale=guidance,
        num_inference_steps=steps,
        sampler=sampler,
        preset=preset,
        num_images=images,
        seed_mode=seed_mode,
        seed=seed,
        negative_prompt=negative,
        use_shares=use_shares,
        full_share=full,
        decay_share=decay,
        off_share=off,
    )


def read_options(controls: Controls, values: Mapping[Component, Any], **more: Any) -> Options:
    """Return the settings that stand on the page.

    Raises:
        ValueError: a number field was emptied.
    """
    shares = None
    if values[controls.use_shares]:
        shares = tuple(
            _number(field, values[field])
            for field in (controls.full_share, controls.decay_share, controls.off_share)
        )
    is_fixed = values[controls.seed_mode] == FIXED_SEED
    return Options(
        prompt=values[controls.prompt] or "",
        negative_prompt=values[controls.negative_prompt] or "",
        tau=_number(controls.tau, values[controls.tau]),
        shares=shares,
        guidance_scale=_number(controls.guidance_scale, values[controls.guidance_scale]),
        num_inference_steps=_number(
            controls.num_inference_steps, values[controls.num_inference_steps]
        ),
        sampler=values[controls.sampler],
        preset=values[controls.preset],
        num_images=_number(controls.num_images, values[controls.num_images]),
        seed=int(_number(controls.seed, values[controls.seed])) if is_fixed else None,
        append_grounding=bool(values[controls.append_grounding]),
        **more,
    )


def fill_controls(controls: Controls, options: Options, usual_tau: float) -> dict[Component, Any]:
    """Return the values that make the page show these settings.

    Args:
        controls: to be filled.
        options: what they shall say; without a seed the fixed one stays as it is.
        usual_tau: where the options leave tau open.
    """
    filled: dict[Component, Any] = {
        controls.prompt: options.prompt,
        controls.negative_prompt: options.negative_prompt,
        controls.guidance_scale: options.guidance_scale,
        controls.num_inference_steps: options.num_inference_steps,
        controls.sampler: options.sampler,
        controls.preset: options.preset,
        controls.num_images: options.num_images,
        controls.append_grounding: options.append_grounding,
        controls.use_shares: options.shares is not None,
        controls.tau: usual_tau if options.tau is None else options.tau,
        controls.seed_mode: RANDOM_SEED if options.seed is None else FIXED_SEED,
    }
    if options.seed is not None:
        filled[controls.seed] = options.seed
    if options.shares is not None:
        fields = (controls.full_share, controls.decay_share, controls.off_share)
        filled |= dict(zip(fields, options.shares, strict=True))
    return filled


def preset_title(name: str) -> str:
    """Return what the page calls a preset."""
    preset = Preset.from_text(name)
    if preset.name in preset_texts.NAMES:
        return preset_texts.NAMES[preset.name]
    return preset_texts.DEEPCACHE.format(interval=preset.deep_interval)


def _sampler_and_steps(name: str) -> tuple[str, int]:
    """Return the sampler and the steps of a preset."""
    values = first_values(Preset.from_text(name))
    return values["sampler"], values["num_inference_steps"]


def _number(field: Component, value: Any) -> Any:
    if value is None:
        raise ValueError(f"The field {field.label} is empty; give it a number.")
    return value
