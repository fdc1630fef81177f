"""The one command that makes the embedded model: order, resuming and what each stage reads."""

import subprocess
import sys
from pathlib import Path

import pytest

from gligen.training import embedded
from gligen.training.embedded import ADAPTERS, main, make, stages
from gligen.training.settings import read_settings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def called(monkeypatch):
    """Instead of running a stage, note its command and leave its result."""
    commands = []

    def run(command, check):
        assert check
        commands.append(command)
        stage = next(s for s in run.plan if s.command == tuple(command[1:]))
        stage.result.parent.mkdir(parents=True, exist_ok=True)
        stage.result.touch()

    monkeypatch.setattr(embedded.subprocess, "run", run)
    monkeypatch.chdir(ROOT)
    return run, commands


def test_every_stage_is_run_once_in_order_and_none_again(called, tmp_path):
    run, commands = called
    run.plan = stages(tmp_path, tmp_path / "finished")
    make(tmp_path, tmp_path / "finished")
    assert [c[1:] for c in commands] == [list(s.command) for s in run.plan]
    assert {c[0] for c in commands} == {sys.executable}
    run.plan[3].result.unlink()
    run.plan[-1].result.unlink()
    commands.clear()
    assert main(["--runs", str(tmp_path)]) == 0
    assert [c[1:] for c in commands] == [list(run.plan[i].command) for i in (3, -1)]


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_trainings_have_settings_that_are_understood(name, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    stage = next(s for s in stages(tmp_path, tmp_path / "finished") if s.name == name)
    arguments = stage.command[stage.command.index("--set") + 1 :]
    settings = read_settings(stage.command[3], **dict(a.split("=", 1) for a in arguments))
    assert Path(settings.output) == stage.result.parent
    assert settings.base == str(tmp_path / "model")
    assert name in settings.kind
    begins = name in ("inpainting_text_box", "text_image_box")
    first = str(tmp_path / "text_box" / "adapter.safetensors")
    assert settings.adapter == (first if begins else None)


def test_the_commands_of_all_other_stages_exist(tmp_path):
    for stage in stages(tmp_path, tmp_path / "finished"):
        if stage.command[1] != "gligen":
            module = ROOT / Path(*stage.command[1].split(".")).with_suffix(".py")
            text = module.read_text()
            options = [a for a in stage.command if a.startswith("--")]
            assert all(f'"{option}"' in text for option in options), stage


def test_a_failing_stage_ends_the_command_with_its_code(monkeypatch, tmp_path, capsys):
    def fail(command, check):
        raise subprocess.CalledProcessError(3, command)

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(embedded.subprocess, "run", fail)
    assert main(["--runs", str(tmp_path)]) == 3
    assert "exit code 3" in capsys.readouterr().err


def test_it_wants_to_be_run_where_the_settings_are(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main([])
    assert "run this from the repository's root" in capsys.readouterr().err
