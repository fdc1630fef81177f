"""Stop signals belong to the page and tab that started the run."""

from demo.session import StopSignals


def test_stop_reaches_only_the_run_of_its_key():
    signals = StopSignals()
    mine, other = signals.start("me/generate"), signals.start("you/generate")
    assert signals.stop("me/generate")
    assert mine.is_set()
    assert not other.is_set()


def test_a_page_that_leaves_stops_all_its_runs():
    signals = StopSignals()
    mine = [signals.start("me/generate"), signals.start("me/inpaint")]
    other = signals.start("mellow/generate")
    signals.stop_page("me")
    assert all(signal.is_set() for signal in mine)
    assert not other.is_set()


def test_a_second_start_stops_the_first_and_outlives_its_end():
    signals = StopSignals()
    first = signals.start("me/generate")
    second = signals.start("me/generate")
    assert first.is_set()
    signals.finish("me/generate", first)
    assert signals.stop("me/generate")
    assert second.is_set()


def test_nothing_runs_after_the_end():
    signals = StopSignals()
    signals.finish("me/generate", signals.start("me/generate"))
    assert not signals.stop("me/generate")
