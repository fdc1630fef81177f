"""What is kept of finished pictures: for whom, how many, how long."""

import os

import pytest
from PIL import Image

from demo import history
from demo.history import KEPT_SECONDS, Visits
from demo.recipes import Recipe
from gligen.layout import Layout, Region

SECRET, OTHER = "0123456789abcdef" * 2, "f" * 32
RECIPE = Recipe("generate")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def visits(tmp_path, clock):
    return Visits(tmp_path / "visits", clock, sweeps=False)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "made.png"
    Image.new("RGB", (64, 32), "teal").save(path)
    return path


def add(visits, session, picture, **more):
    visit = visits.of(session)
    return visit.add(RECIPE, picture, more.pop("layout", Layout()), "fake", "a night", **more)


def test_visits_do_not_see_each_other(visits, picture):
    visits.join("mine", SECRET)
    visits.join("yours", OTHER)
    visits.join("nobody's", "../../etc")
    entry = add(visits, "mine", picture)
    assert visits.of("mine").entries() == [entry]
    assert visits.of("mine").find(entry.name) is entry
    for session in ("yours", "nobody's"):
        assert visits.of(session).entries() == []
        assert visits.of(session).find(entry.name) is None
        assert not visits.of(session).delete(entry.name)
    assert visits.of("a page that never joined") is None
    assert entry.file.read_bytes() == picture.read_bytes()
    folders = {visits.of(session).folder for session in ("mine", "yours", "nobody's")}
    assert len(folders) == 3


@pytest.mark.parametrize("name", [None, 7, [], {"a": 1}, "", "x" * 10_000, "../mine"])
def test_names_that_cannot_be_find_nothing(visits, picture, name):
    visits.join("mine", SECRET)
    add(visits, "mine", picture)
    assert visits.of("mine").find(name) is None
    assert not visits.of("mine").delete(name)
    assert len(visits.of("mine").entries()) == 1


@pytest.mark.parametrize("secret", [None, 7, {}, "", "short", "a/" * 16, "x" * 10_000])
def test_pages_without_a_real_secret_share_nothing(visits, secret):
    visits.join("mine", secret)
    visits.join("yours", secret)
    assert visits.of("mine") is not visits.of("yours")


def test_a_reload_goes_on_with_the_same_visit(visits, picture):
    visits.join("before", SECRET)
    entry = add(visits, "before", picture)
    visits.join("after", SECRET)
    visits.leave("before")
    visits.sweep()
    assert visits.of("after").entries() == [entry]


def test_a_visit_ends_an_hour_after_its_last_page(visits, clock, picture):
    visits.join("one", SECRET)
    visits.join("two", SECRET)
    folder = visits.of("one").folder
    entry = add(visits, "one", picture)
    visits.leave("one")
    clock.now = 10 * KEPT_SECONDS
    visits.sweep()
    assert entry.file.exists()  # the other page is open
    visits.leave("two")
    clock.now += KEPT_SECONDS - 1
    visits.sweep()
    assert entry.file.exists()
    clock.now += 1
    visits.sweep()
    assert not folder.exists()
    assert visits.of("two") is None
    visits.join("three", SECRET)
    assert visits.of("three").entries() == []


def test_a_page_whose_connection_was_lost_finds_its_visit(visits, clock, picture):
    visits.join("mine", SECRET)
    entry = add(visits, "mine", picture)
    visits.leave("mine")
    clock.now = KEPT_SECONDS - 1
    assert visits.of("mine").entries() == [entry]
    clock.now += KEPT_SECONDS - 1
    visits.sweep()
    assert visits.of("mine").entries() == [entry]


def test_the_oldest_pictures_are_dropped_with_their_files(visits, picture, monkeypatch):
    monkeypatch.setattr(history, "MAX_ENTRIES", 3)
    visits.join("mine", SECRET)
    entries = [add(visits, "mine", picture) for _ in range(3)]
    assert not visits.of("mine").has_dropped
    entries.append(add(visits, "mine", picture))
    assert visits.of("mine").entries() == entries[:0:-1]
    assert visits.of("mine").has_dropped
    assert not entries[0].file.parent.exists()


def test_large_pictures_drop_older_ones_but_never_themselves(visits, picture, monkeypatch):
    monkeypatch.setattr(history, "MAX_BYTES", 10)
    visits.join("mine", SECRET)
    add(visits, "mine", picture)
    newest = add(visits, "mine", picture)
    assert visits.of("mine").entries() == [newest]


def test_too_many_visits_end_those_that_were_left(visits, monkeypatch):
    monkeypatch.setattr(history, "MAX_VISITS", 2)
    for session in ("one", "two"):
        visits.join(session, None)
    visits.leave("two")
    folder = visits.of("two").folder
    visits.join("three", None)
    assert [visits.of(session) is None for session in ("one", "two", "three")] == [
        False,
        True,
        False,
    ]
    assert not folder.exists()
    visits.join("four", None)
    assert visits.of("one") is None


def test_files_in_use_do_not_grow_old(visits, picture):
    visits.join("mine", SECRET)
    entry, lost = add(visits, "mine", picture), add(visits, "mine", picture)
    for path in (entry.file, entry.thumbnail):
        os.utime(path, (0, 0))
    lost.file.unlink()
    visits.sweep()
    assert min(entry.file.stat().st_mtime, entry.thumbnail.stat().st_mtime) > 1e9
    assert visits.of("mine").entries() == [entry]


def test_deleting_removes_the_files(visits, picture):
    visits.join("mine", SECRET)
    entry, kept = add(visits, "mine", picture), add(visits, "mine", picture)
    assert visits.of("mine").delete(entry.name)
    assert not entry.file.parent.exists()
    assert visits.of("mine").entries() == [kept]
    visits.of("mine").clear()
    assert list(visits.of("mine").folder.iterdir()) == []
    assert picture.exists()


def test_pictures_of_the_layout_and_the_photo_are_kept(visits, picture, tmp_path):
    visits.join("mine", SECRET)
    red, blue = Image.new("RGB", (9, 9), "red"), Image.new("RGB", (9, 9), "blue")
    layout = Layout((Region("a", (0, 0, 1, 1)), Region("", (0, 0, 1, 1), red)), style=blue)
    photo = tmp_path / "photo.png"
    red.save(photo)
    extras = add(visits, "mine", picture, layout=layout, photo=photo, had_mask=True).extras
    photo.unlink()
    assert Image.open(extras.photo).size == (9, 9)
    assert Image.open(extras.references[1]).getpixel((0, 0)) == (255, 0, 0)
    assert Image.open(extras.style).getpixel((0, 0)) == (0, 0, 255)
    assert (list(extras.references), extras.map, extras.had_mask) == ([1], None, True)
    assert add(visits, "mine", picture, photo=photo).extras.photo is None
