"""Models on disk, made once for a module; no network."""

import pytest
import torch

from gligen.weights import hub
from tests.conftest import small_tokenizer
from tests.model_files import (
    official,
    save_base_folder,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Return a plain base's folder with two adapters, and the pipelines it must give."""
    folder = tmp_path_factory.mktemp("base")
    return folder, *save_base_folder(folder)


@pytest.fixture(scope="module")
def official_file(tmp_path_factory):
    """Return a small official checkpoint and a tokenizer's folder."""
    folder = tmp_path_factory.mktemp("official")
    torch.save(official(), folder / "checkpoint.bin")
    small_tokenizer().save_pretrained(folder / "tokenizer")
    return folder / "checkpoint.bin", folder / "tokenizer"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: False)
