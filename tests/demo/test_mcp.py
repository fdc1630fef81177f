"""The model context protocol: described in valid JSON Schema, and answered."""

import json

import pytest

from demo import api
from demo.app import Serving
from tests.demo.fake_service import FakeService
from tests.demo.serving import served
from tests.demo.site import Site

HEADERS = {
    "Content_Type": "application/json",
    "Accept": "application/json, text/event-stream",
}


@pytest.mark.parametrize("schema", [api.NUMBERS, api.REGIONS, api.PERSONS])
def test_arguments_are_described_by_types_that_json_schema_knows(schema):
    def types(part):
        if isinstance(part, dict):
            if "type" in part:
                yield part["type"]
            for value in part.values():
                yield from types(value)
        elif isinstance(part, list):
            for value in part:
                yield from types(value)

    assert set(types(schema)) <= {"array", "object", "number", "string", "null"}


def test_the_page_describes_json_arguments_so(tmp_path):
    with served(FakeService()) as address:
        named = json.loads(Site(address).ask("GET", "/gradio_api/info").body)["named_endpoints"]
    for endpoint in named.values():
        for parameter in endpoint["parameters"]:
            assert isinstance(parameter["type"].get("type"), str), parameter


def test_a_tool_call_makes_a_picture():
    pytest.importorskip("mcp.server", reason="needs pip install 'gradio[mcp]'")
    service = FakeService()
    arguments = {
        "prompt": "a sun",
        "regions": [{"phrase": "sun", "box": [0, 0, 1, 1]}],
        "options": {"seed": 3, "num_inference_steps": 2},
    }
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "generate", "arguments": arguments},
    }
    with served(service, Serving(has_mcp=True)) as address:
        answer = Site(address).ask("POST", "/gradio_api/mcp/", json.dumps(call), **HEADERS)
    assert answer.status == 200
    assert b'"isError":false' in answer.body
    _, request = service.requests[-1]
    assert (request.prompt, request.seed, request.layout.phrases) == ("a sun", 3, ("sun",))
