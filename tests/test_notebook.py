"""The notebook: stored without outputs, and run from top to bottom on the embedded model."""

import shlex
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from demo.flags import parse_flags

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebook.ipynb"


def read():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    return notebook


def serves(cell) -> bool:
    """Whether a cell blocks until it is stopped."""
    return "serves" in cell.metadata.get("tags", [])


def pictures(cell) -> list[str]:
    shown = [output.get("data", {}) for output in cell.outputs]
    return [data["image/png"] for data in shown if "image/png" in data]


def test_no_outputs_are_stored():
    for cell in read().cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_last_cell_alone_starts_the_app_with_flags_that_it_knows():
    cells = read().cells
    assert [serves(cell) for cell in cells] == [False] * (len(cells) - 1) + [True]
    python, script, *arguments = shlex.split(cells[-1].source.removeprefix("!"))
    assert (python, script) == ("python", "app.py")
    flags = parse_flags(arguments)
    assert flags.load["inpainting_text_box"]
    assert flags.load["generation_text_image_box"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the kernel's own libraries
def test_it_runs_from_top_to_bottom_and_shows_its_pictures():
    notebook = read()
    notebook.cells = [cell for cell in notebook.cells if not serves(cell)]
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    ).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [picture for cell in code for picture in pictures(cell)]
    assert len(shown) == 3
    assert len(set(shown)) == 3
