"""The line before the device: order, fairness, limits, and those who vanish."""

import threading

import pytest

from demo.line import PATIENCE_SECONDS, Line, Place, TurnedAway, Waiting
from demo.rate import MAX_NAMES, RateLimit
from demo.turns import Offer
from gligen.request import Request


class Clock:
    """Time that stands still unless a test moves it."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def served_in_order(line: Line, places: dict[str, object]) -> list[str]:
    """Let each take its turn as it comes and leave at once; return the order."""
    order = []
    while len(order) < len(places):
        for name, place in places.items():
            if name not in order and line.wait(place, 0) is None:
                order.append(name)
                line.leave(place)
                break
        else:
            pytest.fail(f"Nobody got a turn after {order}.")
    return order


def test_first_come_first_served():
    line = Line()
    places = {name: line.enter(name, replaces=True) for name in "abc"}
    assert line.wait(places["b"], 0) == Waiting(1, None)
    assert line.wait(places["a"], 0) is None
    assert line.wait(places["b"], 0) == Waiting(1, None)
    assert line.wait(places["c"], 0) == Waiting(2, None)
    assert (line.num_running, line.num_waiting) == (1, 2)
    line.leave(places["a"])
    assert line.wait(places["c"], 0).ahead == 1
    assert line.wait(places["b"], 0) is None


def test_a_second_press_takes_the_place_of_the_first_that_waits():
    line = Line()
    busy = line.enter("you", replaces=True)
    assert line.wait(busy, 0) is None
    first = line.enter("me", replaces=True)
    second = line.enter("me", replaces=True)
    assert first.was_replaced
    assert line.num_waiting == 1
    line.leave(busy)
    line.wait(first, 0)
    assert first.started is None
    assert line.wait(second, 0) is None


def test_a_press_does_not_touch_the_picture_at_work():
    line = Line()
    running = line.enter("me", replaces=True)
    assert line.wait(running, 0) is None
    line.enter("me", replaces=True)
    assert not running.was_replaced
    assert (line.num_running, line.num_waiting) == (1, 1)


def test_many_calls_of_one_program_do_not_keep_others_waiting():
    line = Line()
    mine = {f"mine {i}": line.enter("program", replaces=False) for i in range(3)}
    yours = {"yours": line.enter("you", replaces=True)}
    assert served_in_order(line, mine | yours) == ["mine 0", "yours", "mine 1", "mine 2"]


def test_a_full_line_turns_away_with_a_sentence_and_takes_in_again():
    clock = Clock()
    line = Line(max_waiting=1, clock=clock)
    earlier = line.enter("a", replaces=True)
    line.wait(earlier, 0)
    clock.now += 20
    line.leave(earlier)
    running, waiting = line.enter("a", replaces=True), line.enter("b", replaces=True)
    line.wait(running, 0)
    clock.now += 5
    with pytest.raises(TurnedAway, match=r"full \(1 waiting\).*in about 15 s") as refusal:
        line.enter("c", replaces=True)
    assert refusal.value.outcome == "full"
    line.enter("b", replaces=True)  # takes its own place
    assert waiting.was_replaced
    line.leave(running)


def test_the_time_left_follows_from_the_runs_before():
    clock = Clock()
    line = Line(clock=clock)
    first = line.enter("a", replaces=True)
    line.wait(first, 0)
    clock.now += 10
    line.leave(first)
    places = [line.enter(name, replaces=True) for name in "abc"]
    line.wait(places[0], 0)
    clock.now += 4
    assert line.wait(places[1], 0) == Waiting(1, 6)
    assert line.wait(places[2], 0) == Waiting(2, 16)


def test_who_vanished_does_not_hold_up_the_line():
    clock = Clock()
    line = Line(clock=clock)
    gone, here = line.enter("gone", replaces=True), line.enter("here", replaces=True)
    clock.now += PATIENCE_SECONDS - 1
    assert line.wait(here, 0) == Waiting(1, None)
    clock.now += 1
    assert line.wait(here, 0) is None
    line.leave(here)
    # Who comes back is not forgotten.
    assert line.wait(gone, 0) is None


def test_a_turn_is_heard_of_at_once():
    line = Line()
    first, second = line.enter("a", replaces=True), line.enter("b", replaces=True)
    line.wait(first, 0)
    heard = threading.Event()

    def wait():
        # Far longer than the test may take: only the news of the free device ends it in time.
        while line.wait(second, 600) is not None:
            pass
        heard.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    line.leave(first)
    assert heard.wait(60)


def test_a_closed_line_lets_nobody_in_and_the_running_one_go_on():
    line = Line()
    running, waiting = line.enter("a", replaces=True), line.enter("b", replaces=True)
    line.wait(running, 0)
    line.close()
    assert not line.wait_until_idle(0)
    for turned_away in (lambda: line.wait(waiting, 600), lambda: line.enter("c", replaces=True)):
        with pytest.raises(TurnedAway, match="shut down"):
            turned_away()
    line.leave(running)
    assert line.wait_until_idle(0)
    with pytest.raises(TurnedAway):
        line.wait(waiting, 0)


def test_only_so_many_requests_a_minute():
    clock = Clock()
    rate = RateLimit(2, clock)
    rate.count(["me", "1.2.3.4"])
    clock.now += 20
    rate.count(["me", "1.2.3.4"])
    with pytest.raises(TurnedAway, match=r"asked for 2 in the last minute.*again in 40 s"):
        rate.count(["me", "5.6.7.8"])
    with pytest.raises(TurnedAway):
        rate.count(["another session", "1.2.3.4"])
    rate.count(["you", "5.6.7.8"])
    # A request that was refused does not count.
    clock.now += 40
    rate.count(["me", "1.2.3.4"])


def test_without_a_limit_nothing_is_counted():
    rate = RateLimit(None)
    for _ in range(1000):
        rate.count(["me"])
    assert not rate._times


def test_names_are_forgotten_before_they_fill_the_memory():
    rate = RateLimit(1, Clock())
    for number in range(MAX_NAMES + 50):
        rate.count([f"session {number}"])
    assert len(rate._times) == MAX_NAMES


def offer(key: str, num_images: int = 1) -> Offer:
    return Offer(key, Request("x", num_images=num_images))


def turn_after(line: Line, places: dict[str, Place], first: str) -> list[str]:
    """Let one look for its turn; return whom the device was given to."""
    assert line.wait(places[first], 0) is None
    return [name for name, place in places.items() if place.started is not None]


@pytest.mark.parametrize(
    ("offers", "together"),
    [
        ({"a": "x", "b": "x", "c": "x"}, ["a", "b", "c"]),
        ({"a": "x", "b": "y", "c": "x"}, ["a"]),  # c would overtake b
        ({"a": "x", "b": None, "c": "x"}, ["a"]),
        ({"a": None, "b": None}, ["a"]),
        ({"a": "x", "b": "x", "c": "y", "d": "x"}, ["a", "b"]),
    ],
)
def test_who_is_next_takes_along_those_right_behind_who_fit(offers, together):
    line = Line(max_batch=8)
    places = {
        name: line.enter(name, replaces=True, offer=key and offer(key))
        for name, key in offers.items()
    }
    assert turn_after(line, places, "a") == together
    assert line.num_running == len(together)
    turns = {id(places[name].turn) for name in together}
    assert len(turns) == 1
    assert [places[name].seat for name in together] == list(range(len(together)))
    assert len(places["a"].turn) == len(together)


@pytest.mark.parametrize(
    ("images", "together"),
    [((2, 2, 1), ["a", "b"]), ((3, 2, 1), ["a"]), ((9, 1, 1), ["a"]), ((1, 1, 2), ["a", "b", "c"])],
)
def test_there_is_room_for_so_many_pictures(images, together):
    line = Line(max_batch=4)
    places = {
        name: line.enter(name, replaces=True, offer=offer("x", number))
        for name, number in zip("abc", images, strict=True)
    }
    assert turn_after(line, places, "a") == together


def test_alone_where_nobody_shares():
    line = Line()
    places = {name: line.enter(name, replaces=True, offer=offer("x")) for name in "ab"}
    assert turn_after(line, places, "a") == ["a"]


def test_places_shown_with_batches_are_true():
    clock = Clock()
    line = Line(clock=clock, max_batch=2)
    first = line.enter("z", replaces=True)
    line.wait(first, 0)
    clock.now += 10
    line.leave(first)
    keys = {"a": "x", "b": "x", "c": "x", "d": "y", "e": "y"}
    places = {n: line.enter(n, replaces=True, offer=offer(key)) for n, key in keys.items()}
    assert turn_after(line, places, "a") == ["a", "b"]
    clock.now += 4
    assert line.wait(places["c"], 0) == Waiting(2, 6)
    assert line.wait(places["d"], 0) == Waiting(3, 16)
    assert line.wait(places["e"], 0) == Waiting(3, 16)  # shares the turn of d
    # One of two leaves: the other keeps the device.
    line.leave(places["a"])
    assert line.wait(places["b"], 0) is None
    assert line.wait(places["c"], 0) == Waiting(1, 6)
    line.leave(places["b"])
    assert line.wait(places["c"], 0) is None
    assert line.num_running == 1  # d does not fit


def test_calls_of_one_program_share_only_when_nobody_else_waits():
    line = Line(max_batch=4)
    mine = {f"mine {i}": line.enter("me", replaces=False, offer=offer("x")) for i in range(3)}
    yours = {"yours": line.enter("you", replaces=True, offer=offer("y"))}
    assert turn_after(line, mine | yours, "mine 0") == ["mine 0"]
    line.leave(mine["mine 0"])
    assert line.wait(yours["yours"], 0) is None
    line.leave(yours["yours"])
    assert line.wait(mine["mine 1"], 0) is None
    assert mine["mine 2"].turn is mine["mine 1"].turn


def test_who_was_taken_along_and_vanished_does_not_hold_the_device():
    clock = Clock()
    line = Line(clock=clock, max_batch=4)
    places = {name: line.enter(name, replaces=True, offer=offer("x")) for name in "ab"}
    assert turn_after(line, places, "a") == ["a", "b"]
    turn = places["b"].turn
    line.leave(places["a"])
    later = line.enter("later", replaces=True)
    assert line.wait(later, 0) == Waiting(1, None)
    clock.now += PATIENCE_SECONDS
    assert line.wait(later, 0) is None
    assert turn._gone == {1}
    # Who comes back after all is the next.
    assert line.wait(places["b"], 0).ahead == 1
    line.leave(later)
    assert line.wait(places["b"], 0) is None
