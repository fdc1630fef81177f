"""Asking the hub: once, and with one sentence where it cannot help."""

import socket

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from gligen.weights import hub


@pytest.mark.parametrize(
    ("name", "is_id"),
    [
        ("owner/model", True),
        ("gligen/gligen-generation-text-box", True),
        ("model", False),
        ("a/b/c", False),
        ("../model", False),
        ("/model", False),
    ],
)
def test_hub_ids(name, is_id):
    assert hub.is_hub_id(name) is is_id


def test_a_folder_here_is_no_hub_id(tmp_path, monkeypatch):
    (tmp_path / "owner" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not hub.is_hub_id("owner/model")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """Stand in for the hub's client: only the files named in the set are cached."""
    cached: set[str] = set()
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: False)

    def download(hub_id, name, local_files_only):
        assert local_files_only
        if name not in cached:
            raise LocalEntryNotFoundError(f"{name} is not cached")
        return str(tmp_path / name)

    monkeypatch.setattr(hub, "hf_hub_download", download)
    monkeypatch.setattr(
        hub.StableDiffusionPipeline, "download", lambda *_, **options: str(tmp_path / "folder")
    )
    return cached


def test_a_diffusers_folder_or_else_the_single_checkpoint(cache, tmp_path):
    cache.add(hub.OFFICIAL_FILE)
    assert hub.fetch_model("owner/model") == tmp_path / hub.OFFICIAL_FILE
    cache.add("model_index.json")
    assert hub.fetch_model("owner/model") == tmp_path / "folder"


def test_what_is_not_cached_is_named_with_a_way_out(cache):
    with pytest.raises(ValueError, match=r"'owner/model'.*cannot be reached.*embedded model"):
        hub.fetch_model("owner/model")


def test_reachability_is_asked_of_the_configured_address(monkeypatch):
    monkeypatch.setattr(hub.urllib.request, "getproxies", dict)
    monkeypatch.delenv("ALL_PROXY", raising=False)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(hub.constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        assert hub.hub_is_reachable()
        monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
        assert not hub.hub_is_reachable()
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    assert not hub.hub_is_reachable()
