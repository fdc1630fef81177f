"""The benchmark of speed at tiny size: what it writes, what stops it, how it goes on."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from benchmarks.speed import __main__ as command
from benchmarks.speed import correctness, timing
from benchmarks.speed.bench import COMPILED, ORIGINAL, OURS, STOCK
from benchmarks.speed.contenders import Call, original, ours, stock
from benchmarks.speed.evaluations import LADDER, Pair, count, seconds_by_part
from benchmarks.speed.models import TEXT_BOXES, TEXT_IMAGES, TINY, make_models
from benchmarks.speed.record import Record
from benchmarks.speed.report import markdown, write_report
from benchmarks.speed.sections import QUICK, SECTIONS
from gligen.exact.layers import Fuser
from gligen.exact.options import ALL_SAVINGS

TINY_RUN = ["--size", "tiny", "--device", "cpu", "--steps", "4", "--rounds", "1"]


@pytest.fixture(scope="module")
def models():
    return make_models(TEXT_BOXES, TINY, "cpu", torch.float32)


@pytest.fixture
def threads():
    """The benchmark sets the number of threads for the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


RATIO = {"median": 2.0, "min": 1.9, "max": 2.1}
POINT = {"seconds": {STOCK: 2.0, OURS: 1.0}, "ratios": {STOCK: {OURS: RATIO}}}
CURVE = {"points": {"0.3": POINT, "1.0": POINT}}


def run(tmp_path, *arguments: str) -> int:
    return command.main([*TINY_RUN, "--out", str(tmp_path), *arguments])


def written(tmp_path) -> dict:
    return json.loads((tmp_path / "speed.json").read_text())


@pytest.mark.slow
def test_figures_come_out(tmp_path, capsys, threads):
    assert run(tmp_path, "--section", "text-box", "parts") == 0
    data = written(tmp_path)
    assert {"processor", "threads", "torch", "diffusers", "dtype", "date"} <= set(data["setting"])
    assert data["setting"]["dtype"] == "float32"
    sections = data["sections"]
    assert max(v for v in sections["correctness"].values() if isinstance(v, float)) <= 1e-5
    assert set(sections["text-box"]["seconds"]) == {STOCK, OURS, ORIGINAL}
    ratio = sections["text-box"]["ratios"][STOCK][OURS]
    rounds = sections["text-box"]["rounds"]
    pair = rounds[STOCK]["processor"][0] / rounds[OURS]["processor"][0]
    assert ratio["min"] == ratio["median"] == ratio["max"] == pytest.approx(pair)
    parts = sections["parts"]["parts"]
    assert set(parts) == {
        f"{who}, {what}" for who in (STOCK, OURS) for what in ("grounded", "plain")
    }
    assert all(seconds > 0 for found in parts.values() for seconds in found.values())
    table = (tmp_path / "speed.md").read_text()
    assert table in capsys.readouterr().out
    assert f"| {STOCK} |" in table
    assert "at least 1.10" in table
    for name in ("parts.png", "comparison.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_wrong_model_is_not_timed(tmp_path, capsys, monkeypatch, threads):
    monkeypatch.setattr(Fuser, "__call__", lambda self, x, grounding, gates: x)
    assert run(tmp_path, "--section", "text-box") == 2
    said = capsys.readouterr().err
    assert said.startswith("benchmarks.speed: This library (generation_text_box, tau 0.3)")
    assert "nothing was timed." in said
    assert not (tmp_path / "speed.json").exists()


def test_a_wrong_loop_of_the_authors_is_seen(models, monkeypatch):
    from benchmarks.speed import contenders

    monkeypatch.setattr(contenders, "GUIDANCE_SCALE", 7.4)
    call = Call(num_steps=2, tau=0.5)
    expected = stock(models)(call, 0)
    monkeypatch.setattr(contenders, "GUIDANCE_SCALE", 7.5)
    with pytest.raises(correctness.WrongResultError, match="relative RMS .*nothing was timed"):
        correctness.check("The loop", original(models.ours)(call, 0), expected)


def test_no_number_is_wrong_too():
    with pytest.raises(correctness.WrongResultError):
        correctness.check("It", torch.tensor([float("nan")]), torch.ones(1))


def test_a_larger_error_in_half_precision_is_seen(models, monkeypatch):
    half = models.to(torch.bfloat16)
    call = Call(num_steps=2, tau=0.5)
    found = correctness.check_half(models, half, call, turns=1)
    assert 0 < found["ratio"] <= 1.1
    wrong = replace(half, ours=models.ours, theirs=half.theirs)
    with torch.no_grad():
        wrong.ours.unet.conv_out.bias.add_(1)
    with pytest.raises(correctness.WrongResultError, match="In half precision"):
        correctness.check_half(make_models(TEXT_BOXES, TINY, "cpu", torch.float32), wrong, call, 1)
    with torch.no_grad():
        wrong.ours.unet.conv_out.bias.sub_(1)


@pytest.mark.parametrize("kind", [TEXT_BOXES, TEXT_IMAGES])
def test_both_pipelines_have_the_same_parameters(kind):
    models = make_models(kind, TINY, "cpu", torch.float32)
    ours_, theirs = (dict(p.unet.named_parameters()) for p in (models.ours, models.theirs))
    assert set(ours_) == set(theirs)
    assert all(ours_[name] is theirs[name] for name in ours_)
    gates = [float(parameter) for name, parameter in ours_.items() if "alpha" in name]
    assert gates == [pytest.approx(0.6)] * 32


@pytest.mark.parametrize(
    ("scheduler", "tau"), [("PNDM", 0.0), ("PNDM", 0.4), ("DPM++ 2M", 0.4), ("UniPC", 0.4)]
)
def test_all_contenders_ground_the_same_evaluations(models, scheduler, tau):
    call = Call(num_steps=3, tau=tau, scheduler=scheduler, num_images=2)
    expected = stock(models)(call, 3)
    for contender in (ours(models.ours), original(models.ours)):
        assert correctness.relative_rms(contender(call, 3), expected) <= 1e-5


def test_every_turn_asks_for_another_picture(models):
    call = Call(num_steps=1)
    assert not torch.equal(ours(models.ours)(call, 0), ours(models.ours)(call, 1))
    assert torch.equal(ours(models.ours)(call, 1), ours(models.ours)(call, 1))


def test_a_cut_run_goes_on(tmp_path, monkeypatch, threads):
    done = []

    def section(name: str, stops: bool = False):
        def measure(bench):
            done.append(name)
            if stops:
                raise KeyboardInterrupt
            return CURVE

        return measure

    monkeypatch.setattr(command, "check_results", lambda bench: {})
    monkeypatch.setitem(SECTIONS, "tau", section("tau"))
    monkeypatch.setitem(SECTIONS, "boxes", section("boxes", stops=True))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "--section", "tau", "boxes")
    assert set(written(tmp_path)["sections"]) == {"correctness", "tau", "notes"}
    monkeypatch.setitem(SECTIONS, "boxes", section("boxes"))
    assert run(tmp_path, "--section", "tau", "boxes") == 0
    assert done == ["tau", "boxes", "boxes"]
    assert {"tau", "boxes"} <= set(written(tmp_path)["sections"])
    assert "| 0.3 | 2 | 1 | 2.00 [1.90-2.10] |" in (tmp_path / "speed.md").read_text()
    assert (tmp_path / "curves.png").exists()
    run(tmp_path, "--section", "tau", "--fresh")
    assert done == ["tau", "boxes", "boxes", "tau"]


def test_results_of_another_setting_are_not_mixed(tmp_path, capsys, monkeypatch, threads):
    monkeypatch.setattr(command, "check_results", lambda bench: {})
    monkeypatch.setitem(SECTIONS, "tau", lambda bench: CURVE)
    assert run(tmp_path, "--section", "tau") == 0
    assert run(tmp_path, "--section", "tau", "--steps", "3") == 2
    assert "was measured with other steps; name another file" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", '{"setting": {}}'])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "speed.json").write_text(text)
    with pytest.raises(ValueError, match="holds no results of this benchmark"):
        Record(tmp_path / "speed.json", {})


def test_a_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    record = Record(tmp_path / "speed.json", {})
    record.add("a", 1)
    before = (tmp_path / "speed.json").read_text()
    with pytest.raises(TypeError):
        record.add("b", object())
    monkeypatch.setattr(
        "pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("cut off"))
    )
    record.data["sections"].pop("b")
    with pytest.raises(OSError, match="cut off"):
        record.add("c", 2)
    assert (tmp_path / "speed.json").read_text() == before


def test_contenders_take_turns(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timing.time, "process_time", lambda: now[0])
    order = []

    def contender(name: str, seconds: float):
        def work(turn: int) -> None:
            order.append((name, turn))
            now[0] += seconds * (10 if turn == 0 else 1)

        return work

    contenders = {"a": contender("a", 3.0), "b": contender("b", 2.0)}
    times = timing.alternate(contenders, rounds=2, warm_ups=1, device="cpu")
    assert order == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    found = timing.summary(times, "cpu")
    assert found["seconds"] == {"a": 3.0, "b": 2.0}
    assert found["ratios"]["a"]["b"] == {"median": 1.5, "min": 1.5, "max": 1.5}


def test_on_a_gpu_the_clock_counts_and_events_are_kept(monkeypatch):
    """A stand-in for CUDA: events that say how far they are apart, and who waits for the device."""
    waits = []

    class Event:
        def __init__(self, enable_timing: bool):
            assert enable_timing

        def record(self) -> None:
            waits.append("record")

        def elapsed_time(self, other: "Event") -> float:
            return 1500.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append("wait"))
    times = timing.measure(lambda: waits.append("run"), "cuda:0")
    assert times.device == [1.5]
    assert times.counted("cuda:0") == times.wall
    assert waits == ["wait", "record", "run", "record", "wait"]


def test_what_is_measured_on_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    gpu = SimpleNamespace(name="NVIDIA H200", total_memory=141 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
    bench = command.build_bench(command.build_parser().parse_args([]))
    assert (bench.device, bench.dtype, bench.size.side) == ("cuda", torch.bfloat16, 64)
    assert bench.call == Call(num_steps=50, tau=0.3, decodes=True)
    assert bench.rounds >= 7
    assert bench.warm_ups >= 3
    setting = command.setting_of(bench)
    assert setting["gpu"] == "NVIDIA H200"
    assert setting["clock"] == "wall"
    found = {"median": 2.6, "min": 2.5, "max": 2.7}
    section = {
        "seconds": {STOCK: 1.0, OURS: 0.37},
        "wall_seconds": {STOCK: 1.0, OURS: 0.37},
        "ratios": {STOCK: {OURS: found}},
    }
    compiled = json.loads(json.dumps(section).replace(STOCK, COMPILED))
    table = markdown(
        {"setting": setting, "sections": {"text-box": section, "compiled text-box": compiled}}
    )
    assert "2.60 [2.50-2.70] | at least 2.50 |" in table
    assert "at most 0.38 s" in table
    assert "2.60 [2.50-2.70] | at least 1.15 |" in table
    assert "NVIDIA H200" in table


def test_the_ladder_ends_with_all_savings_and_each_step_is_less_work(models):
    last = list(LADDER.values())[-1]
    # Texts are read before an evaluation; recordings change how it is launched, on CUDA alone.
    assert replace(last, batched_text=True, graphs=True) == ALL_SAVINGS
    pair = Pair(models, side=16)
    work = [count(pair.saving(1.0, options)) for options in LADDER.values()]
    assert work[0]["gflop"] > work[1]["gflop"] > work[3]["gflop"]
    assert work[0]["operations"] > work[1]["operations"] > work[2]["operations"]


def test_parts_add_up_to_an_evaluation(models):
    parts = seconds_by_part(Pair(models).stock(1.0), "cpu", repeats=2)
    assert parts["convolutions"] > 0
    assert parts["attention"] > 0
    grounded = Pair(models)
    assert set(parts) == set(seconds_by_part(grounded.saving(0.0), "cpu", repeats=1))


def test_presets_are_drawn_where_their_quality_was_measured(tmp_path):
    quality = tmp_path / "quality.json"
    points = [{"name": "exact", "seconds": 2.0, "value": 0.87}]
    quality.write_text(json.dumps({"label": "AP50", "points": points}))
    data = {
        "setting": command.setting_of(
            command.build_bench(command.build_parser().parse_args(TINY_RUN))
        ),
        "sections": {},
    }
    write_report(data, tmp_path, quality)
    assert (tmp_path / "quality.png").read_bytes().startswith(b"\x89PNG")


def test_quick_parts_exist():
    assert set(QUICK) <= set(SECTIONS)
