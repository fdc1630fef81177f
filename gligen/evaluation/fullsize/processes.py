"""Work that is spread over processes and goes on where it was cut.

Every piece of work has a file; what has one is done. A batch is always made of the same items and
belongs to one process, so neither the number of processes nor a kill changes what is computed.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

# One process may have far more left to do than another when a run is taken up again.
PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is."""

    index: int = 0
    count: int = 1
    device: str = "cpu"
    wait: Callable[[], Any] = lambda: None  # until all processes are here

    @property
    def is_main(self) -> bool:
        """Whether it is the one that writes what is common, and shows progress."""
        return self.index == 0

    def share(self, batches: Sequence[Item]) -> Sequence[Item]:
        """Return every Nth batch, those of this process."""
        return batches[self.index :: self.count]


def join_processes(device: str | None) -> Processes:
    """Return the place of this process among those that `accelerate launch` started.

    Args:
        device: for a process on its own; several take what accelerate gives them.

    Raises:
        ValueError: there is no such device.
    """
    from accelerate import PartialState

    from gligen.loading import choose_device

    state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
    if state.num_processes == 1:
        return Processes(device=str(choose_device(device)))
    return Processes(
        state.process_index, state.num_processes, str(state.device), state.wait_for_everyone
    )


def leave_processes() -> None:
    """End the connection to the other processes, where there are any."""
    from accelerate import PartialState

    PartialState().destroy_process_group()


def fill(
    processes: Processes,
    items: Sequence[Item],
    batch_size: int,
    path_of: Callable[[Item], Path],
    work: Callable[[Sequence[Item]], Sequence[Any]],
    write: Callable[[Any, Path], None],
    title: str,
) -> None:
    """Do the work of this process that has not been done yet.

    Args:
        processes: which share is done here.
        items: all of them, the same in every process.
        batch_size: how many are worked on together.
        path_of: the file that an item ends in.
        work: returns one result for each item of a batch.
        write: writes a result to its file, whole or not at all.
        title: of the progress bar.
    """
    batches = [items[i : i + batch_size] for i in range(0, len(items), batch_size)]
    for batch in tqdm(processes.share(batches), title, disable=not processes.is_main, unit="batch"):
        missing = [not path_of(item).exists() for item in batch]
        if not any(missing):
            continue
        for item, result, is_missing in zip(batch, work(batch), missing, strict=True):
            if is_missing:
                path_of(item).parent.mkdir(parents=True, exist_ok=True)
                write(result, path_of(item))


def write_json(value: Any, path: Path) -> None:
    """Write JSON whole or not at all."""
    write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write a text whole or not at all.

    Raises:
        ValueError: the folder cannot be written to.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise ValueError(
            f"{str(path)!r} cannot be written ({error.strerror or error}); choose another --out."
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{str(path)!r} cannot be read ({error}); delete it, and it is made anew."
        ) from None
