"""The look of the page: a calm green on quiet greys, light and dark.

Every text colour stands at 4.5 : 1 or better on the grounds that it is used on, and every edge of a
control at 3 : 1 (WCAG 2.1 AA). `tests/demo/test_theme.py` counts the ratios.
"""

from typing import Any

import gradio as gr

# Fonts that are on the reader's machine: nothing is fetched from elsewhere.
FONT = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
MONO = ["ui-monospace", "Consolas", "Menlo", "monospace"]

ACCENT = "#0e7c73"  # of buttons with white words, on both grounds
ACCENT_HOVER = "#0a635c"

LIGHT = {
    "ground": "#f4f7f6",  # of the page
    "panel": "#ffffff",  # of what stands on it
    "inset": "#fafcfb",  # of drawing areas
    "raised": "#e7eeec",  # of quiet buttons
    "raised_hover": "#d9e4e1",
    "text": "#16211f",
    "subdued": "#51605c",
    "line": "#d3dcda",
    "edge": "#7c8a86",  # of fields that one types into
    "link": "#0b665f",
    "bad": "#b42318",
    "bad_ground": "#fdecea",
}
DARK = {
    "ground": "#111615",
    "panel": "#1a2120",
    "inset": "#151c1b",
    "raised": "#2a3533",
    "raised_hover": "#35423f",
    "text": "#e8eeec",
    "subdued": "#a9b7b3",
    "line": "#33403d",
    "edge": "#74837f",
    "link": "#5fd6c9",
    "bad": "#ff9c92",
    "bad_ground": "#3a1d1a",
}

# Which colour each of Gradio's variables takes. With "_dark" behind its name, the dark one.
_ROLES = {
    "ground": ("body_background_fill",),
    "panel": (
        *("background_fill_primary", "block_background_fill", "input_background_fill"),
        *("checkbox_background_color", "panel_background_fill", "input_background_fill_focus"),
    ),
    "inset": ("background_fill_secondary",),
    "raised": (
        "button_secondary_background_fill",
        *("checkbox_label_background_fill", "block_label_background_fill"),
        *("checkbox_label_background_fill_selected", "button_cancel_background_fill"),
        "code_background_fill",
    ),
    "raised_hover": (
        *("button_secondary_background_fill_hover", "checkbox_label_background_fill_hover"),
        "button_cancel_background_fill_hover",
    ),
    "text": (
        *("body_text_color", "block_title_text_color", "checkbox_label_text_color"),
        *("checkbox_label_text_color_selected", "button_secondary_text_color"),
        *("button_secondary_text_color_hover", "button_cancel_text_color"),
        *("button_cancel_text_color_hover", "accordion_text_color", "block_label_text_color"),
    ),
    "subdued": ("body_text_color_subdued", "block_info_text_color", "input_placeholder_color"),
    "line": (
        *("border_color_primary", "block_border_color", "button_secondary_border_color"),
        *("checkbox_label_border_color", "button_cancel_border_color", "panel_border_color"),
    ),
    "edge": ("input_border_color", "checkbox_border_color"),
    "link": ("link_text_color", "link_text_color_hover", "link_text_color_visited"),
    "bad": ("error_text_color", "error_border_color", "error_icon_color"),
    "bad_ground": ("error_background_fill",),
}
_ACCENTED = (
    *("button_primary_background_fill", "button_primary_border_color", "slider_color"),
    *("checkbox_background_color_selected", "checkbox_border_color_selected", "loader_color"),
    *("checkbox_border_color_focus", "input_border_color_focus"),
)


def build_theme() -> gr.themes.Base:
    """Return the theme for `Blocks.launch`."""
    return gr.themes.Base(
        primary_hue="teal", neutral_hue="zinc", radius_size="md", font=FONT, font_mono=MONO
    ).set(**_variables())


def _variables() -> dict[str, Any]:
    variables: dict[str, Any] = {
        "color_accent": ACCENT,
        "block_border_width": "1px",
        "input_border_width": "1px",
        "block_shadow": "none",
        "block_title_text_weight": "600",
        "checkbox_label_border_width": "1px",
    }
    for role, names in _ROLES.items():
        for name in names:
            variables[name], variables[f"{name}_dark"] = LIGHT[role], DARK[role]
    for ending in ("", "_dark"):
        variables |= {f"{name}{ending}": ACCENT for name in _ACCENTED}
        variables |= {
            f"button_primary_background_fill_hover{ending}": ACCENT_HOVER,
            f"button_primary_text_color{ending}": "#ffffff",
        }
    return variables
