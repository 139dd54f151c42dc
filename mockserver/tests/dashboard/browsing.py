"""A browser in the tests' hands, and pages that fail a test for whatever they complain of."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.live import PATIENCE


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's browser."""
    program = shutil.which("chromium")
    assert program, "chromium is missing; `make tools` installs it"
    with sync_playwright() as playwright:
        # Its sandbox needs rights that a container doesn't give; all that it loads here is ours.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str, *, quiet: bool = True, **options: Any) -> Iterator[Page]:
    """A page in a window of its own. `quiet`: it must not complain, nor ask another host."""
    complaints: list[str] = []
    asked: list[str] = []
    options = {"permissions": ["clipboard-read", "clipboard-write"], **options}
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    try:
        yield page
    finally:
        context.close()
    origin = "/".join(url.split("/")[:3])
    assert [each for each in asked if not each.startswith((origin, "blob:"))] == []
    assert not quiet or complaints == []
