"""Raw HTTP to a served page."""

import http.client
import json
import urllib.parse
from dataclasses import dataclass


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Site:
    """Sends requests as they are written: no client tidies their paths."""

    def __init__(self, address: str):
        self.host = urllib.parse.urlsplit(address).netloc

    def ask(self, method: str, path: str, body=None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.host, timeout=300)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, names)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        got = Answer(answer.status, found, answer.read())
        connection.close()
        return got

    def upload(self, name: str, content: bytes, kind: str = "image/png") -> Answer:
        head = f'Content-Disposition: form-data; name="files"; filename="{name}"'
        start = f"--part\r\n{head}\r\nContent-Type: {kind}\r\n\r\n".encode()
        return self.ask(
            "POST",
            "/gradio_api/upload",
            start + content + b"\r\n--part--\r\n",
            Content_Type="multipart/form-data; boundary=part",
        )

    def call(self, name: str, *data) -> tuple[str, object]:
        """Call an endpoint and return its last event with what it says."""
        asked = self.ask(
            "POST",
            f"/gradio_api/call/{name}",
            json.dumps({"data": data}),
            Content_Type="application/json",
        )
        assert asked.status == 200, asked.body
        event = json.loads(asked.body)["event_id"]
        text = self.ask("GET", f"/gradio_api/call/{name}/{event}").body.decode()
        event, said = text.strip().split("\n\n")[-1].splitlines()
        return event.removeprefix("event: "), json.loads(said.removeprefix("data: "))
