"""Each benchmark starts as its own first lines and the documents say."""

import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_says_what_it_does(name, monkeypatch, capsys):
    module = importlib.import_module(f"benchmarks.{name}")
    assert f"python -m benchmarks.{name}" in (module.__doc__ or "")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        module.main()
    assert end.value.code == 0
    assert "--help" in capsys.readouterr().out


def test_the_documents_start_them_as_modules():
    """As files they would not find the library, which need not be installed."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        assert not re.findall(r"python\s+benchmarks/", text), document
        for name in re.findall(r"-m\s+benchmarks\.([a-z_]+)", text):
            assert name in [*SCRIPTS, "speed"], document
