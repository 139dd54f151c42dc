"""The page in a real browser, before a real mock: what people see, and what their hand on it does."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.browsing import chromium, opened
from tests.environments import CLIENTS, found, here, installed, node_modules
from tests.live import PATIENCE, Live, finished, leading_to, run, serving

pytestmark = pytest.mark.slow

Json = Any

CONFIG = """\
answers: 2
unknown_criteria: judge
criteria:
  helpful: {by_output: {"1, 2, 3.": 0.2, "One, two, three.": 0.9}, otherwise: 0.5}
completions:
  - {name: weather, when: {last_user: {contains: weather}}, text: It is sunny.}
  - {name: count, when: {last_user: Count}, choices: ["1, 2, 3.", "One, two, three."]}
"""
CHAT = {"model": "openai:gpt-4o-mini", "messages": [{"role": "user", "content": "Count"}]}
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\U0001f600"
    "\u202egnitirw\u202c \x1b]0;owned\x07 \u2028\x00 ' \" \\ `touch owned` $(touch owned) ${x} %n\n\tend"
)
BODIES = [
    (
        "/chat/completions",
        {**CHAT, "temperature": 1.0, "seed": 2**60, "messages": [{"role": "user", "content": HOSTILE}]},
    ),
    ("/criteria/judge", {"criterion_id": "helpful", "output": {"role": "assistant", "content": HOSTILE}}),
]
PHONE = {"width": 390, "height": 844}
RUN_AXE = {"light": "axe.run()", "dark": "axe.run({runOnly: ['color-contrast']})"}
"""In the dark only colours differ."""
VIEWS = ("", "?view=criteria", "?view=answers", "?view=try", "?open=default-1")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE * 1000)
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    file = tmp_path_factory.mktemp("dashboard") / "openpipe-mock.yaml"
    file.write_text(CONFIG)
    with serving("--quiet", f"--config={file}") as live:
        yield live


@pytest.fixture(autouse=True)
def _anew(mock: Live) -> None:
    httpx.post(f"{mock.control_url}/reset").raise_for_status()


def sent(live: Live, body: Json, path: str = "/chat/completions", **headers: str) -> httpx.Response:
    """A request to the API."""
    named = {
        "authorization": "Bearer op-local",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return httpx.post(f"{live.base_url}{path}", json=body, headers=named)


def judged(live: Live, criterion: str = "helpful", text: str = "1, 2, 3.") -> httpx.Response:
    return sent(
        live, {"criterion_id": criterion, "output": {"role": "assistant", "content": text}}, "/criteria/judge"
    )


def entry(live: Live, number: int) -> Json:
    """An exchange of the journal."""
    return httpx.get(f"{live.control_url}/requests/default-{number}").json()


def copied(page: Page, name: str) -> str:
    """What the page copies of the open request under a name."""
    page.get_by_role("button", name=name, exact=True).click()
    page.locator(".copied").get_by_role("button", name="Copy").click()
    expect(page.locator(".copied button")).to_have_text("Copied")
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


# The journal


def test_the_lines_for_an_empty_journal_bring_requests_that_tell_their_story(
    browser: Browser, mock: Live, tmp_path: Path
) -> None:
    with opened(browser, mock.origin) as page:
        expect(page.get_by_role("heading", name="Waiting for the first request")).to_be_visible()
        lines = {}
        for name in ("Python", "Node", "curl"):
            page.get_by_role("button", name=name).click()
            lines[name] = page.locator(".paste pre").inner_text()
        (tmp_path / "node_modules").symlink_to(node_modules())
        (tmp_path / "lines.mjs").write_text(lines["Node"])
        run([installed("openpipe", "python"), "-c", lines["Python"]], leading_to(mock))
        run(["node", "lines.mjs"], cwd=tmp_path)
        run(["sh", "-c", lines["curl"]])
        rows = page.locator(".row", has_text="chat openai:gpt-4o-mini")
        expect(rows).to_have_count(3)
        for row in rows.all():
            expect(row).to_contain_text("200")
            expect(row).to_contain_text("best of 3")
        rows.first.click()
        expect(page.locator(".best h3")).to_have_text("Best of 3")
        expect(page.locator(".choice")).to_have_count(3)


def test_best_of_n_says_which_choice_won_and_why(browser: Browser, mock: Live) -> None:
    sent(mock, {**CHAT, "n": 2}, op_criteria='["helpful", "mock-error"]')
    with opened(browser, f"{mock.origin}/?open=default-1") as page:
        expect(page.locator(".choice")).to_have_count(2)
        first, second = page.locator(".choice").all()
        expect(first).to_contain_text("One, two, three.")
        expect(first.locator("dd").first).to_have_text("0.9")
        expect(first).to_contain_text("failed, 500")
        expect(second).to_contain_text("1, 2, 3.")
        expect(page.locator(".verdict")).to_contain_text(
            "won: its scores have the mean 0.45, the next best 0.1."
        )
        expect(page.locator(".verdict")).to_contain_text("A criterion that failed counts 0.")


def test_a_violation_is_pointed_at_inside_the_body_and_a_rule_says_why_it_didnt_fire(
    browser: Browser, mock: Live
) -> None:
    sent(mock, {**CHAT, "messages": [{"role": "usr", "content": "Hi"}]})
    sent(mock, {**CHAT, "messages": [{"role": "user", "content": "Weahter?"}]})
    with opened(browser, f"{mock.origin}/?open=default-1") as page:
        marked = page.locator(".marked.bad")
        expect(marked).to_contain_text('"role": "usr"')
        expect(marked).to_contain_text("/messages/0/role: expected")
        page.locator("#row-default-2").click()
        expect(page.locator(".reasons li", has_text="weather")).to_contain_text('saw "Weahter?"')


def test_search_and_filters_stand_in_the_url(browser: Browser, mock: Live) -> None:
    judged(mock)
    sent(mock, CHAT)
    sent(mock, {"model": 5})
    with opened(browser, f"{mock.origin}/?q=chat&status=4xx") as page:
        expect(page.locator(".row")).to_have_count(1)
        page.get_by_label("Any status").select_option("")
        expect(page.locator(".row")).to_have_count(2)
        page.get_by_label("Search requests").fill("judge helpful")
        expect(page.locator(".row")).to_have_count(1)
        assert page.url.endswith("/?q=judge+helpful")


def test_thousands_of_entries_are_drawn_only_where_they_are_seen(browser: Browser, mock: Live) -> None:
    with httpx.Client(base_url=mock.base_url, headers={"authorization": "Bearer op-local"}) as client:
        for _ in range(1000):
            client.get("/models")
    with opened(browser, mock.origin) as page:
        expect(page.get_by_text("1,000 requests")).to_be_visible()
        assert page.locator(".row").count() < 60
        page.get_by_role("listbox").press("End")
        expect(page.locator("#row-default-1")).to_be_visible()
        assert page.locator(".row").count() < 60


def test_a_pause_holds_what_comes_and_clear_empties_the_journal(browser: Browser, mock: Live) -> None:
    sent(mock, CHAT)
    with opened(browser, mock.origin) as page:
        expect(page.locator(".row")).to_have_count(1)
        page.get_by_role("button", name="Pause").click()
        sent(mock, CHAT)
        page.get_by_role("button", name="Resume (1 new)").click()
        expect(page.locator(".row")).to_have_count(2)
        page.get_by_role("button", name="Clear").click()
        expect(page.get_by_role("heading", name="Waiting for the first request")).to_be_visible()
        assert httpx.get(f"{mock.control_url}/requests").json()["count"] == 0


def test_the_keyboard_is_enough(browser: Browser, mock: Live) -> None:
    for _ in range(3):
        sent(mock, CHAT)
    with opened(browser, mock.origin) as page:
        expect(page.locator(".row")).to_have_count(3)
        page.keyboard.press("/")
        expect(page.get_by_label("Search requests")).to_be_focused()
        page.get_by_role("listbox").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Request default-2")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("listbox")).to_be_focused()


# Copies


def test_what_is_copied_sends_exactly_its_body_and_runs_nothing_else(
    browser: Browser, mock: Live, tmp_path: Path
) -> None:
    tags = json.dumps({"it's": "`touch owned` $(touch owned)"})
    answers = [sent(mock, body, path, op_tags=tags).json() for path, body in BODIES]
    rules, tests = "seed: 7\n", []
    with opened(browser, mock.origin) as page:
        for number in (1, 2):
            page.goto(f"{mock.origin}/?open=default-{number}")
            curl, python = copied(page, "curl"), copied(page, "Python")
            rules += copied(page, "Config rule")
            tests.append(copied(page, "pytest test"))
            assert not re.search(
                "[^\n\x20-\x7e\u00a0-\u2027\u2030-\uffff\U0001f600]", curl + python + rules + tests[-1]
            )
            run(["sh", "-c", curl], cwd=tmp_path)
            exec(python, {})
    first, second, *again = (entry(mock, number) for number in range(1, 7))
    for original, copy in zip((first, first, second, second), again, strict=True):
        assert copy["request"]["body"] == original["request"]["body"]
        assert copy["request"]["headers"]["op-tags"] == tags
        assert copy["status"] == 200
    (tmp_path / "rules.yaml").write_text(rules)
    with serving("--quiet", f"--config={tmp_path / 'rules.yaml'}") as other:
        repeated = [sent(other, body, path).json() for path, body in BODIES]
    assert list(map(said, repeated)) == list(map(said, answers))
    for number, test in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(test)
    tested = finished([here("python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=tmp_path)
    assert "2 passed" in tested.stdout, tested.stdout
    assert not list(tmp_path.glob("**/owned"))


def said(answer: Json) -> Json:
    """What an answer says: a score, or texts."""
    return answer.get("score", [choice["message"]["content"] for choice in answer.get("choices", ())])


def test_a_body_that_is_no_json_is_sent_as_it_was(browser: Browser, mock: Live, tmp_path: Path) -> None:
    body = b"{'no': json}\n\x1b[31m `touch owned` $(touch owned) \\ %s \xc3\xa4"
    headers = {"authorization": "Bearer op-local", "content-type": "application/json"}
    httpx.post(f"{mock.base_url}/chat/completions", content=body, headers=headers)
    with opened(browser, f"{mock.origin}/?open=default-1") as page:
        curl, python = copied(page, "curl"), copied(page, "Python")
    run(["sh", "-c", curl], cwd=tmp_path)
    exec(python, {})
    bodies = [entry(mock, number)["request"]["body"] for number in (1, 2, 3)]
    assert bodies == [body.decode()] * 3
    assert not list(tmp_path.iterdir())


def test_hostile_content_stays_text(browser: Browser, mock: Live) -> None:
    long = "<b>" * 350_000
    names = {"criterion_id": HOSTILE, "output": {"role": "assistant", HOSTILE: HOSTILE}}
    sent(mock, names, "/criteria/judge")
    sent(mock, {**CHAT, "model": HOSTILE, "messages": [{"role": "user", "content": long}]})
    httpx.get(f"{mock.base_url}/%3Cimg%20src=x%20onerror=alert(1)%3E%E2%80%AE")
    with opened(browser, mock.origin) as page:
        expect(page.locator(".row")).to_have_count(3)
        for number in (1, 2, 3):
            page.locator(f"#row-default-{number}").click()
            expect(page.get_by_role("heading", name=f"Request default-{number}")).to_be_visible()
            expect(page.locator(".detail section").first).to_be_visible()
        page.goto(f"{mock.origin}/?view=criteria")
        expect(page.locator(".card").first).to_be_visible()
        assert page.title().startswith("Criteria")
        assert page.locator("main img, main script, main b:not(.version b)").count() == 0
        assert "\u202e" not in page.inner_text("body")


# A hand on it


def test_a_slider_sets_the_next_score_a_switch_lets_it_fail_and_reset_brings_the_file_back(
    browser: Browser, mock: Live
) -> None:
    judged(mock)
    with opened(browser, f"{mock.origin}/?view=criteria") as page:
        card = page.get_by_label("Criterion helpful")
        expect(card).to_contain_text("1 score, mean 0.20")
        card.get_by_role("slider").fill("0.73")
        expect(card).to_contain_text("set here")
        assert judged(mock).json()["score"] == 0.73
        assert judged(mock, "other").status_code == 200
        card.get_by_role("switch").click()
        expect(card.get_by_role("switch")).to_have_attribute("aria-checked", "true")
        assert judged(mock).status_code == 500
        card.get_by_role("button", name="Reset").click()
        expect(card).to_contain_text("from the file")
        assert judged(mock).json()["score"] == 0.2


def test_answers_are_added_checked_put_in_force_and_saved_for_another_mock(
    browser: Browser, mock: Live, tmp_path: Path
) -> None:
    httpx.put(f"{mock.control_url}/criteria/helpful", json={"score": 0.73}).raise_for_status()
    file, weather = tmp_path / "saved.yaml", {**CHAT, "messages": [{"role": "user", "content": "weather?"}]}
    with opened(browser, f"{mock.origin}/?view=answers") as page:
        editor, verdict = page.get_by_label("Answers", exact=True), page.locator("#verdict")
        expect(editor).to_have_value(re.compile("0.73"))
        expect(verdict).to_contain_text("understands all of it")
        right = editor.input_value()
        editor.fill(right.replace("text: It is sunny.", "txet: It is sunny."))
        expect(verdict).to_contain_text('did you mean "text"?')
        expect(page.get_by_role("button", name="Put in force")).to_be_disabled()
        editor.fill(right.replace("It is sunny.", "It rains."))
        expect(verdict).to_contain_text("understands all of it")
        for addition in ("A fault", "A criterion", "A tool call"):
            page.get_by_label("Add").select_option(addition)
        expect(editor).to_have_value(re.compile("get_weather(.|\\n)*every: 3"))
        editor.fill(re.sub(".*get_weather.*\\n", "", editor.input_value()))
        expect(verdict).to_contain_text("understands all of it")
        page.get_by_role("button", name="Put in force").click()
        expect(verdict).to_contain_text("In force.")
        with page.expect_download() as download:
            page.get_by_role("button", name="Save as file").click()
        download.value.save_as(file)
    with serving("--quiet", f"--config={file}") as other:
        for live in (mock, other):
            assert [judged(live, name).json()["score"] for name in ("helpful", "fluent")] == [0.73, 0.2]
            assert said(sent(live, weather).json()) == ["It rains."]
            assert [sent(live, CHAT).status_code for _ in range(3)] == [200, 429, 200]
    httpx.delete(f"{mock.control_url}/config").raise_for_status()
    assert said(sent(mock, weather).json()) == ["It is sunny."]


def test_both_endpoints_can_be_tried_and_streams_come_in_pieces(browser: Browser, mock: Live) -> None:
    with opened(browser, f"{mock.origin}/?view=try") as page:
        for example in ("Best of 3", "Judgement", "Tool call"):
            page.get_by_role("button", name=example).click()
            page.get_by_role("button", name="Send").click()
            expect(page.locator(".result .pill")).to_have_text("200")
            expect(page.locator(".result .json")).to_be_visible()
        page.get_by_role("button", name="Stream").click()
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".result .events li").last).to_contain_text("[DONE]")
        page.get_by_role("link", name="Open default-4").click()
        expect(page.get_by_role("heading", name=re.compile("Answer: a stream of"))).to_be_visible()


# Empty and broken states


def test_a_stopped_mock_is_told_and_found_again(browser: Browser) -> None:
    with serving("--quiet") as first:
        port = first.address[1]
        with opened(browser, first.origin, quiet=False) as page:
            sent(first, CHAT)
            expect(page.locator(".row")).to_have_count(1)
            first.stop()
            expect(page.locator("#link")).to_have_text("The mock is gone. Trying again…")
            expect(page.locator(".row")).to_have_count(1)
            with serving("--quiet", f"--port={port}") as second:
                expect(page.locator("#link")).to_have_text("live")
                sent(second, {**CHAT, "model": "openai:after"})
                expect(page.locator(".row", has_text="openai:after")).to_be_visible()


def test_a_mistake_in_the_config_file_is_told_with_its_line_and_gone_once_mended(
    browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "openpipe-mock.yaml"
    file.write_text("seed: 1\n")
    with serving("--quiet", f"--config={file}") as live, opened(browser, live.origin) as page:
        file.write_text("seed: 1\ncriteria:\n  helpful: {scor: 1}\n")
        notice = page.get_by_role("alert")
        expect(notice).to_contain_text('3:13: /criteria/helpful/scor: unknown property in "helpful"')
        file.write_text("seed: 1\n")
        expect(notice).to_have_count(0)


def test_who_may_not_look_is_told_which_flag_lets_in_and_a_token_does(browser: Browser) -> None:
    far = {"x-forwarded-for": "172.17.0.1"}
    with serving("--quiet", "--control-token=open-sesame") as live:
        sent(live, CHAT)
        with opened(browser, live.origin, quiet=False, extra_http_headers=far) as page:
            expect(page.get_by_role("heading", name="This page may not look at the mock")).to_be_visible()
            expect(page.locator("main")).to_contain_text("--allow-control-from 172.17.0.1")
            expect(page.locator("main")).to_contain_text("OPENPIPE_MOCK_ALLOW_CONTROL_FROM")
            page.get_by_label("token").fill("open-sesame")
            page.get_by_role("button", name="Use it").click()
            expect(page.locator(".row")).to_have_count(1)


# For everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, mock: Live, scheme: str) -> None:
    axe = found(CLIENTS / "axe" / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    sent(mock, {**CHAT, "n": 2}, op_criteria='["helpful", "mock-error"]')
    sent(mock, {**CHAT, "messages": [{"role": "usr"}]})
    with opened(browser, mock.origin, color_scheme=scheme, bypass_csp=True) as page:
        for view in VIEWS:
            page.goto(f"{mock.origin}/{view}")
            expect(page.locator("#link")).to_have_text("live")
            page.locator(".card, .choice" if "open" in view else ".row, .card, #verdict p").first.wait_for()
            page.evaluate(axe)
            result = page.evaluate(RUN_AXE[scheme])
            serious = [each for each in result["violations"] if each["impact"] in ("serious", "critical")]
            assert serious == [], (
                view,
                [(each["id"], [node["html"] for node in each["nodes"]]) for each in serious],
            )


def test_a_phone_shows_all_of_it_without_scrolling_sideways(browser: Browser, mock: Live) -> None:
    with opened(browser, mock.origin, viewport=PHONE) as page:
        expect(page.locator(".paste")).to_be_visible()
        assert widest(page) <= PHONE["width"], "nothing came yet"
        sent(mock, {**CHAT, "n": 2}, op_criteria='["helpful", "mock-error"]')
        for view in VIEWS:
            page.goto(f"{mock.origin}/{view}")
            expect(page.locator("#link")).to_have_text("live")
            assert widest(page) <= PHONE["width"], view


def widest(page: Page) -> int:
    """The width of what scrolls, in pixels; code and rows of figures scroll by themselves."""
    panes = "document.querySelectorAll('html, main, .pane, .beside')"
    width: int = page.evaluate(f"Math.max(...[...{panes}].map((each) => each.scrollWidth))")
    return width
