"""The tab About."""

WHAT = "What this is"
WHAT_TEXT = (
    "GLIGEN (Grounded Language-to-Image Generation, CVPR 2023) teaches a model that paints from "
    "words to follow a layout as well: boxes with names, reference pictures, people's joints, or a "
    "map of the whole picture.",
    "The model that paints stays as it was. New layers stand between its own ones and let every "
    "spot of the picture look at your layout. They act in the first part of the steps, where a "
    "picture gets its order, and are switched off for the rest, where it gets its details.",
)
PAPER = "The paper"
PAPER_LINK = "https://arxiv.org/abs/2301.07093"

MODEL = "The model in use"
NAME, DEVICE, REASON, NOTE = "Model", "Device", "Why this one", "Note"

KINDS = "What it can follow"
KINDS_TEXT = ("Each kind of layout has layers of its own. A flag loads what is not loaded:",)
LOADED = "loaded, {width} x {height} pixels"

KEYS = "Keyboard"
KEYS_TEXT = (
    "Go to a drawing area with Tab. What a mouse can do there, these keys can do as well.",
    "Letters on a selected box that has no name yet become its name; a double-click opens the name "
    "of any box. The letters of the tools count while no box is selected.",
)
KEY_ROWS = (
    ("move what is selected", "← ↑ → ↓"),
    ("resize the selected box", "Shift ← ↑ → ↓"),
    ("delete it", "Delete"),
    ("copy it", "Ctrl+D"),
    ("undo and redo", "Ctrl+Z Ctrl+Y"),
    ("name the selected box", "Enter"),
    ("boxes: box, scribble, mask brush, eraser", "B S M E"),
    ("people: next and previous one", "N P"),
    ("people: next and previous joint", ". ,"),
    ("people: hide or show the joint", "H"),
    ("people: mirror, larger, smaller", "M + -"),
    ("classes: paint, fill at the cursor", "Space F"),
    ("classes: smaller and larger brush", "[ ]"),
    ("let go of what is selected", "Escape"),
)

VERSIONS = "Versions"

LICENCE = "Licence and citation"
LICENCE_TEXT = (
    "The code is under the Apache License 2.0. The things that the embedded model paints were "
    "learned from Noto Color Emoji (SIL Open Font License 1.1). The released GLIGEN checkpoints "
    "have licences of their own. If you use GLIGEN in your work, please cite its paper:",
)
CITATION = """@inproceedings{li2023gligen,
  title     = {GLIGEN: Open-Set Grounded Text-to-Image Generation},
  author    = {Li, Yuheng and Liu, Haotian and Wu, Qingyang and Mu, Fangzhou
               and Yang, Jianwei and Gao, Jianfeng and Li, Chunyuan
               and Lee, Yong Jae},
  booktitle = {CVPR},
  year      = {2023}
}"""
