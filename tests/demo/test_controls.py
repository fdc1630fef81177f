"""The settings of a tab: what is chosen reaches the options, and comes back from them."""

import gradio as gr
import pytest

from demo.handlers import Options
from demo.tabs.controls import (
    PRESET_CHOICES,
    build_controls,
    build_prompt,
    fill_controls,
    preset_title,
    read_options,
)
from gligen.presets import Preset


@pytest.fixture
def page():
    """Return the blocks with the controls of a tab that begins with a preset."""
    with gr.Blocks() as blocks:
        prompt, append = build_prompt()
        defaults = Options(preset="faster", sampler="dpm++", num_inference_steps=20)
        controls = build_controls(prompt, append, defaults, 0.3)
        prompt.render()
        append.render()
    return blocks, controls


def test_every_preset_can_be_chosen():
    titles = [preset_title(name) for name in PRESET_CHOICES]
    assert len(set(titles)) == len(PRESET_CHOICES) == 12
    assert [Preset.from_text(name).name for name in PRESET_CHOICES] == list(PRESET_CHOICES)


def test_the_page_begins_with_the_preset_of_the_flag(page):
    _, controls = page
    assert (controls.preset.value, controls.sampler.value) == ("faster", "dpm++")
    assert controls.num_inference_steps.value == 20


def test_choosing_a_preset_sets_sampler_and_steps_and_filling_the_page_does_not(page):
    blocks, controls = page
    (event,) = (
        function
        for function in blocks.fns.values()
        if any(target[0] == controls.preset._id for target in function.targets)
    )
    assert {target[1] for target in event.targets} == {"input"}, "by people alone"
    assert event.outputs == [controls.sampler, controls.num_inference_steps]
    assert event.fn("fast") == ("dpm++", 20)
    assert event.fn("deepcache=3") == event.fn("exact") == ("plms", 50)


def test_settings_come_back_from_the_page(page):
    _, controls = page
    options = Options(
        prompt="a night", tau=0.5, preset="deepcache=7", sampler="euler", num_inference_steps=9
    )
    values = {field: field.value for field in controls.inputs()}
    values |= fill_controls(controls, options, 0.3)
    assert read_options(controls, values) == options
