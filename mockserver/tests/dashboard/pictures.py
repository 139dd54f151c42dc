"""Takes the pictures in docs/images anew: `python -m tests.dashboard.pictures`, with `mockserver` as root."""

import tempfile
from pathlib import Path
from typing import Any

import httpx

from tests.dashboard.browsing import chromium, opened
from tests.environments import ROOT
from tests.live import serving

IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1200, "height": 760}
CONFIG = """\
answers: 2
criteria:
  helpful: {by_output: {"I can't count.": 0.1, "1, 2, 3, 4, 5.": 0.9, "One, two, many.": 0.4}}
  concise: {by_output: {"I can't count.": 0.8, "1, 2, 3, 4, 5.": 0.7, "One, two, many.": 0.6}}
  reviewed: {error: {status: 503, message: No reviewer is free.}}
completions:
  - name: counting
    when: {last_user: {contains: Count}}
    choices: ["I can't count.", "1, 2, 3, 4, 5.", "One, two, many."]
  - {name: weather, when: {last_user: {contains: weather}}, text: It is sunny.}
faults:
  - {name: busy, when: {last_user: {contains: hurry}}, status: 429, retry_after: 1}
"""


def story(base_url: str) -> None:
    """Some requests, as a morning brings them."""
    with httpx.Client(base_url=base_url, headers={"authorization": "Bearer op-local"}) as client:

        def chat(text: str, *, role: str = "user", criteria: str = "", **members: Any) -> None:
            body = {"model": "openai:gpt-4o-mini", "messages": [{"role": role, "content": text}], **members}
            client.post("/chat/completions", json=body, headers={"op-criteria": criteria} if criteria else {})

        output = {"role": "assistant", "content": "1, 2, 3, 4, 5."}
        client.post("/criteria/judge", json={"criterion_id": "helpful", "output": output})
        chat("How is the weather?", stream=True)
        chat("Count to 5", role="usr", temperature=0.2)
        chat("Count to 5", n=3, criteria='["helpful", "concise"]')
        chat("Please hurry")
        chat("Count to 5", n=3, criteria='["helpful", "concise", "reviewed"]')


def take(folder: Path = IMAGES) -> None:
    """Write the pictures into a folder."""
    with tempfile.TemporaryDirectory() as inside, chromium() as browser:
        file = Path(inside) / "openpipe-mock.yaml"
        file.write_text(CONFIG)
        with serving("--quiet", f"--config={file}") as live:
            story(live.base_url)
            for name, number, part in (("journal", 3, ".marked.bad"), ("best-of-n", 4, ".best")):
                url = f"{live.origin}/?open=default-{number}"
                with opened(browser, url, viewport=SIZE, device_scale_factor=1.5) as page:
                    page.locator(part).wait_for()
                    page.screenshot(path=folder / f"{name}.png")


if __name__ == "__main__":
    take()
