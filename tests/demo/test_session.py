"""Stop signals belong to the page and tab that asked for the run."""

from demo.session import StopSignals


def test_stop_reaches_only_the_run_of_its_key():
    signals = StopSignals()
    mine, other = signals.signal("me/generate"), signals.signal("you/generate")
    assert signals.stop("me/generate")
    assert mine.is_set()
    assert not other.is_set()


def test_a_run_can_be_stopped_while_it_waits():
    signals = StopSignals()
    signals.enter("me/generate")
    signals.stop("me/generate")
    assert signals.signal("me/generate").is_set()


def test_the_first_reason_is_kept():
    signals = StopSignals()
    signals.enter("me/generate", "10.0.0.1")
    signal = signals.signal("me/generate")
    signals.stop("me/generate")
    signals.stop_all()
    assert (signal.reason, signal.address) == ("stopped", "10.0.0.1")


def test_the_end_of_the_app_stops_everybody():
    signals = StopSignals()
    all_of_them = [signals.signal("me/generate"), signals.signal("you/maps")]
    signals.stop_all()
    assert [signal.reason for signal in all_of_them] == ["closing", "closing"]


def test_a_page_that_leaves_stops_all_its_runs():
    signals = StopSignals()
    mine = [signals.signal("me/generate"), signals.signal("me/inpaint")]
    other = signals.signal("mellow/generate")
    signals.leave("me")
    assert all(signal.is_set() for signal in mine)
    assert not other.is_set()
    assert not signals.stop("me/generate")


def test_a_second_start_stops_the_first_and_outlives_its_end():
    signals = StopSignals()
    first = signals.signal("me/generate")
    signals.enter("me/generate")
    second = signals.signal("me/generate")
    assert first.is_set()
    assert not second.is_set()
    signals.finish("me/generate", first)
    assert signals.stop("me/generate")
    assert second.is_set()


def test_nothing_runs_after_the_end():
    signals = StopSignals()
    signals.finish("me/generate", signals.signal("me/generate"))
    assert not signals.stop("me/generate")
