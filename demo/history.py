"""The finished pictures of each visitor: kept for a while, shown to nobody else.

A visit is one browser tab, through reloads: the page keeps a secret in the browser's session
storage and says it when it is opened. Files lie in a folder of the visit with a name that cannot be
guessed, which goes away an hour after the page was left.
"""

import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from demo.recipes import Recipe
from gligen.layout import Layout

MAX_ENTRIES = 60  # pictures of one visit
MAX_BYTES = 100_000_000  # of their files
MAX_VISITS = 100
KEPT_SECONDS = 3600  # after the page was left
SWEEP_SECONDS = 300
THUMBNAIL_SIDE = 192  # pixels


@dataclass(frozen=True)
class Extras:
    """The pictures that a recipe leaves out, as files of the visit."""

    photo: Path | None = None
    style: Path | None = None
    map: Path | None = None
    references: dict[int, Path] = field(default_factory=dict)  # index of the region -> its picture
    had_mask: bool = False  # a mask was painted; it is not kept


@dataclass(frozen=True)
class Entry:
    """One finished picture."""

    name: str  # names it on the page, unique in its visit
    recipe: Recipe  # with settings and the picture's own seed
    prompt: str  # as used
    file: Path  # the PNG with its settings
    thumbnail: Path
    extras: Extras
    size: tuple[int, int]  # pixels
    model: str
    num_bytes: int  # of all its files


class Visit:
    """The pictures of one browser tab, oldest first; `lock` guards them."""

    def __init__(self, parent: Path):
        parent.mkdir(parents=True, exist_ok=True)
        # Removed with the object, and when the program ends.
        self._folder = tempfile.TemporaryDirectory(
            prefix=f"visit-{uuid.uuid4().hex}-", dir=parent, ignore_cleanup_errors=True
        )
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()
        self.has_dropped = False  # whether older pictures had to go

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return Path(self._folder.name)

    def entries(self) -> list[Entry]:
        """Return the pictures, newest first."""
        with self._lock:
            return list(self._entries.values())[::-1]

    def touch(self) -> None:
        """Say that the files are still in use: Gradio removes those of its cache by age."""
        for entry in self.entries():
            for path in (entry.file, entry.thumbnail):
                try:
                    os.utime(path)
                except FileNotFoundError:
                    self.delete(entry.name)

    def find(self, name: object) -> Entry | None:
        """Return a picture by its name; None: there is none of this name in this visit."""
        with self._lock:
            return self._entries.get(name) if isinstance(name, str) else None

    def add(
        self,
        recipe: Recipe,
        file: Path,
        layout: Layout,
        model: str,
        prompt: str,
        photo: Path | Image.Image | None = None,
        had_mask: bool = False,
    ) -> Entry:
        """Keep a picture, and drop the oldest ones where there are too many.

        Args:
            recipe: that made it, with its own seed.
            file: the PNG; a link to it or a copy is kept.
            layout: with the pictures that the recipe leaves out.
            model: name of the model.
            prompt: as used.
            photo: that was repainted.
            had_mask: whether the painted mask was repainted.
        """
        name = uuid.uuid4().hex
        folder = self.folder / name
        folder.mkdir()
        with Image.open(file) as image:
            size = image.size
            thumbnail = _save_thumbnail(image, folder)
        kept = _link(file, folder / file.name)
        extras = _save_extras(folder, layout, photo, had_mask)
        num_bytes = sum(path.stat().st_size for path in folder.iterdir())
        entry = Entry(name, recipe, prompt, kept, thumbnail, extras, size, model, num_bytes)
        with self._lock:
            self._entries[name] = entry
            self._drop_oldest()
        return entry

    def delete(self, name: object) -> bool:
        """Remove a picture and its files; return whether it was there."""
        with self._lock:
            entry = self._entries.pop(name, None) if isinstance(name, str) else None
        if entry is not None:
            shutil.rmtree(entry.file.parent, ignore_errors=True)
        return entry is not None

    def clear(self) -> None:
        """Remove all pictures."""
        for entry in self.entries():
            self.delete(entry.name)
        self.has_dropped = False

    def end(self) -> None:
        """Remove the folder with everything in it."""
        self._folder.cleanup()

    def _drop_oldest(self) -> None:
        entries = self._entries
        while len(entries) > 1 and (
            len(entries) > MAX_ENTRIES or sum(e.num_bytes for e in entries.values()) > MAX_BYTES
        ):
            oldest = entries.pop(next(iter(entries)))
            shutil.rmtree(oldest.file.parent, ignore_errors=True)
            self.has_dropped = True


class Visits:
    """All visits, found by the page's session.

    Args:
        parent: folder for the folders of visits; the page must be allowed to read files in it.
        clock: seconds.
        sweeps: whether a thread removes what was left for long; tests do it themselves.
    """

    def __init__(
        self, parent: Path, clock: Callable[[], float] = time.monotonic, sweeps: bool = True
    ):
        self._parent = parent
        self._clock = clock
        self._sweeps = sweeps
        self._by_session: dict[str, Visit] = {}  # in the order of their pages
        self._by_secret: dict[str, Visit] = {}
        self._present: set[str] = set()  # sessions whose page is open
        self._left: dict[Visit, float] = {}  # when the last page of a visit went away
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def join(self, session: str, secret: object = None) -> None:
        """Let a page begin its visit, or go on with the one of the browser's secret.

        Whatever cannot be a secret of ours is ignored; the page then has a visit of its own.
        """
        is_secret = isinstance(secret, str) and len(secret) == 32 and secret.isalnum()
        with self._lock:
            visit = self._by_session.get(session)
            if visit is None and is_secret:
                visit = self._by_secret.get(secret)
            if visit is None:
                visit = Visit(self._parent)
                if is_secret:
                    self._by_secret[secret] = visit
            self._by_session[session] = visit
            self._present.add(session)
            self._left.pop(visit, None)
            over = self._beyond_limit()
            self._plan_sweep()
        _end(over)

    def of(self, session: str) -> Visit | None:
        """Return the visit of a page; None: it never joined, or is over."""
        with self._lock:
            visit = self._by_session.get(session)
            if visit in self._left:  # a page whose connection was lost is back
                self._left[visit] = self._clock()
            return visit

    def leave(self, session: str) -> None:
        """Note that a page went away; its visit waits a while for it to come back."""
        with self._lock:
            self._present.discard(session)
            visit = self._by_session.get(session)
            if visit is not None and not any(
                self._by_session[other] is visit for other in self._present
            ):
                self._left[visit] = self._clock()

    def sweep(self) -> None:
        """Remove the visits that nobody came back to, and save the files of the others."""
        with self._lock:
            now = self._clock()
            over = [visit for visit, left in self._left.items() if now - left >= KEPT_SECONDS]
            self._forget(over)
            going_on = set(self._by_session.values())
        _end(over)
        for visit in going_on:
            visit.touch()

    def _beyond_limit(self) -> list[Visit]:
        """Forget visits where there are too many: those first that were left, then the oldest."""
        visits = dict.fromkeys([*self._left, *self._by_session.values()])
        over = list(visits)[: max(0, len(visits) - MAX_VISITS)]
        self._forget(over)
        return over

    def _forget(self, over: Sequence[Visit]) -> None:
        for table in (self._by_session, self._by_secret):
            for key in [key for key, visit in table.items() if visit in over]:
                del table[key]
        self._present &= self._by_session.keys()
        for visit in over:
            self._left.pop(visit, None)

    def _plan_sweep(self) -> None:
        """Sweep every now and then for as long as there are visits."""
        if not self._sweeps or self._timer is not None:
            return
        self._timer = threading.Timer(SWEEP_SECONDS, self._sweep_on)
        self._timer.daemon = True
        self._timer.start()

    def _sweep_on(self) -> None:
        self.sweep()
        with self._lock:
            self._timer = None
            if self._by_session:
                self._plan_sweep()


def _end(visits: Sequence[Visit]) -> None:
    for visit in visits:
        visit.end()


def _save_thumbnail(image: Image.Image, folder: Path) -> Path:
    small = image.convert("RGB")
    factor = THUMBNAIL_SIDE / max(small.size)
    size = (max(1, round(small.width * factor)), max(1, round(small.height * factor)))
    path = folder / "thumbnail.jpg"
    small.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0).save(path, quality=85)
    return path


def _save_extras(
    folder: Path, layout: Layout, photo: Path | Image.Image | None, had_mask: bool
) -> Extras:
    if isinstance(photo, Image.Image):
        kept_photo = _save(photo, folder / "photo.png")
    else:
        kept_photo = photo and _link(photo, folder / f"photo{photo.suffix}")
    return Extras(
        photo=kept_photo,
        style=layout.style and _save(layout.style, folder / "style.png"),
        map=layout.map and _save(layout.map, folder / "map.png"),
        references={
            index: _save(region.image, folder / f"reference-{index}.png")
            for index, region in enumerate(layout)
            if region.image is not None
        },
        had_mask=had_mask,
    )


def _save(image: Image.Image, path: Path) -> Path:
    image.save(path)
    return path


def _link(source: Path, target: Path) -> Path | None:
    """Keep a file under a second name, which costs nothing; or a copy; None: it is gone."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        return None
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)
    return target
