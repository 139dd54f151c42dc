"""The call log: what is reported, how it is found again, what it never keeps."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpipe_mock.core.errors import BadRequest
from openpipe_mock.core.strictjson import MOST_LEVELS
from openpipe_mock.openapi import coercion as javascript
from openpipe_mock.openapi.endpoints import ENDPOINTS
from openpipe_mock.openapi.spec import contract
from openpipe_mock.sessions import anthropic
from openpipe_mock.sessions import calllog as calls
from openpipe_mock.sessions.calllog import CallLog, LoggedCall, Own
from tests.inprocess import statuses
from tests.remembering import bounded, own_call

Json = dict[str, Any]

OPERATIONS = [
    (each.path, each.method.lower()) for name, each in ENDPOINTS.items() if name not in ("judge", "chat")
]


def checked(name: str, value: Any) -> Any:
    """The value, once it is valid."""
    found = [str(violation) for violation in contract().checker(name).violations(value)]
    assert contract().checker(name).is_valid(value), found
    assert found == []
    return json.loads(json.dumps(value))


def report(log: CallLog, **body: Any) -> Json:
    answer: Json = checked("ReportResponse", calls.log_report(checked("ReportRequest", body), log))
    return answer


def report_anthropic(log: CallLog, **body: Any) -> Json:
    valid = checked("ReportAnthropicRequest", body)
    answer: Json = checked("ReportResponse", calls.report_anthropic(valid, log))
    return answer


def update_tags(log: CallLog, filters: list[Json], tags: Json) -> float:
    body = checked("UpdateLogTagsRequest", {"filters": filters, "tags": tags})
    return matched(calls.update(body, log, member="tags"))


def update_metadata(log: CallLog, filters: list[Json], metadata: Json) -> float:
    body = checked("UpdateLogMetadataRequest", {"filters": filters, "metadata": metadata})
    return matched(calls.update(body, log, member="metadata"))


def matched(answer: Json) -> float:
    number: float = checked("UpdateLogResponse", answer)["matchedLogs"]
    return number


def latest(log: CallLog) -> Json:
    call: Json = checked("LoggedCall", calls.latest(log))
    return call


def chat(model: str = "gpt-4o", **metadata: str) -> Json:
    return {"model": model, "messages": [{"role": "system", "content": "count to 3"}], "metadata": metadata}


def answered(completion_id: str) -> Json:
    message = {"role": "assistant", "content": "1, 2, 3"}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": completion_id, "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def where(**fields: Any) -> list[Json]:
    return [{"field": name.replace("__", "."), "equals": value} for name, value in fields.items()]


@pytest.fixture
def log() -> CallLog:
    return CallLog()


class TestContract:
    @pytest.mark.parametrize(("path", "method"), OPERATIONS)
    def test_each_operation_asks_for_a_key_and_says_what_it_rests_on(self, path: str, method: str) -> None:
        operation = contract().document["paths"][path][method]
        assert operation["security"] == [{"Authorization": []}]
        assert operation["x-source"] == operation["responses"]["200"]["x-source"] == "sdk"

    @pytest.mark.parametrize(("path", "method"), OPERATIONS)
    def test_examples_are_valid(self, path: str, method: str) -> None:
        operation = contract().document["paths"][path][method]
        bodies = [part for part in (operation.get("requestBody"), operation["responses"]["200"]) if part]
        contents = [body["content"]["application/json"] for body in bodies]
        seen = [(content["schema"], example["value"]) for content in contents for example in samples(content)]
        assert len(seen) >= len(contents)
        for schema, value in seen:
            name = schema.get("$ref", "LoggedCall").rpartition("/")[2]
            assert value is None or checked(name, value) == value

    @pytest.mark.parametrize(("path", "method"), OPERATIONS)
    def test_errors_are_those_of_chat(self, path: str, method: str) -> None:
        listed = statuses(path, method) - {"200"}
        bodiless = {"400", "413"} if method != "post" else set()
        expected = {"400", "401", "403", "404", "405", "413", "429", "500", "503", "default"} - bodiless
        assert listed == expected
        responses = contract().document["components"]["responses"]
        for status in listed:
            name = contract().document["paths"][path][method]["responses"][status]["$ref"].rpartition("/")[2]
            reference = responses[name]["content"]["application/json"]["schema"]["$ref"]
            assert reference == "#/components/schemas/ChatError"

    def test_examples_of_requests_are_answered(self) -> None:
        for path, answer in ENGINES.items():
            content = contract().document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            for example in samples(content):
                assert answer(example["value"], CallLog()) in ({"status": "ok"}, {"matchedLogs": 0})

    def test_the_unknown_is_refused(self) -> None:
        assert not contract().checker("ReportRequest").is_valid({"reqpayload": {}})
        assert not contract().checker("LogFilter").is_valid({"field": "model", "equals": "a", "not": "b"})
        assert not contract().checker("LogFilter").is_valid({"field": "model"})
        assert not contract().checker("UpdateLogTagsRequest").is_valid({"filters": [], "metadata": {}})
        assert not contract().checker("CheckCacheRequest").is_valid({"requestedAt": None})

    @pytest.mark.parametrize("name", ["ReportRequest", "ReportAnthropicRequest"])
    def test_every_member_of_a_report_may_be_null_or_missing(self, name: str) -> None:
        checker = contract().checker(name)
        assert checker.is_valid({})
        assert checker.is_valid(dict.fromkeys(checker.schema["properties"]))


def samples(content: Mapping[str, Any]) -> Iterator[Json]:
    yield from content["examples"].values()


ENGINES: dict[str, Callable[[Json, CallLog], Json]] = {
    "/report": calls.log_report,
    "/report-anthropic": calls.report_anthropic,
    "/logs/update-tags": lambda body, log: calls.update(body, log, member="tags"),
    "/logs/update-metadata": lambda body, log: calls.update(body, log, member="metadata"),
}


class TestReport:
    def test_is_acknowledged_and_comes_back(self, log: CallLog) -> None:
        request, response = chat(prompt_id="a"), answered("c1")
        answer = report(log, reqPayload=request, respPayload=response, statusCode=200, requestedAt=1)
        assert answer == {"status": "ok"}
        assert latest(log) == {
            "createdAt": "2024-01-01T00:00:00.000Z",
            "cacheHit": False,
            "statusCode": 200,
            "errorMessage": None,
            "reqPayload": request,
            "respPayload": response,
            "tags": {"prompt_id": "a"},
            "metadata": {"prompt_id": "a"},
        }

    @pytest.mark.parametrize("payload", [None, {"x": "invalid"}, "text", 1.5, [1, [2]], False, {}])
    def test_payloads_may_be_anything(self, log: CallLog, payload: Any) -> None:
        report(log, reqPayload=payload, respPayload=payload)
        assert latest(log)["reqPayload"] == payload
        assert latest(log)["respPayload"] == payload

    def test_an_empty_report_is_a_call_too(self, log: CallLog) -> None:
        report(log)
        assert [latest(log)[name] for name in ("reqPayload", "respPayload", "statusCode")] == [None] * 3

    def test_a_null_member_counts_as_absent(self, log: CallLog) -> None:
        report(log, reqPayload=chat(), tags=None, statusCode=None, errorMessage=None)
        assert latest(log)["metadata"] == {}

    def test_a_failure_keeps_status_and_message(self, log: CallLog) -> None:
        report(log, reqPayload=chat(), statusCode=404, errorMessage="no such model")
        assert (latest(log)["statusCode"], latest(log)["errorMessage"]) == (404, "no such model")

    def test_tags_and_metadata_are_put_together(self, log: CallLog) -> None:
        sdk = {"$sdk": "python", "$sdk.version": "5.0.0"}
        report(log, reqPayload=chat(prompt_id="a"), tags={"any_key": "any_value", **sdk})
        assert latest(log)["metadata"] == {"prompt_id": "a", "any_key": "any_value", **sdk}
        assert latest(log)["tags"] == latest(log)["metadata"]

    def test_metadata_counts_where_a_tag_has_the_same_key(self, log: CallLog) -> None:
        report(log, reqPayload=chat(prompt_id="new"), tags={"prompt_id": "old"})
        assert latest(log)["metadata"] == {"prompt_id": "new"}

    def test_null_metadata_leaves_the_tag_alone(self, log: CallLog) -> None:
        report(log, reqPayload={"metadata": {"prompt_id": None}}, tags={"prompt_id": "old"})
        assert latest(log)["metadata"] == {"prompt_id": "old"}

    def test_tags_become_strings_and_null_ones_are_dropped(self, log: CallLog) -> None:
        report(log, tags={"number": 1, "half": 1.5, "yes": True, "no": False, "none": None, "empty": ""})
        assert latest(log)["metadata"] == {"number": "1", "half": "1.5", "yes": "true", "no": "false"}

    @pytest.mark.parametrize("metadata", ["text", [1], 5, {"deep": {"a": 1}, "list": []}, None])
    def test_odd_metadata_of_a_request_is_no_error(self, log: CallLog, metadata: Any) -> None:
        report(log, reqPayload={"metadata": metadata}, statusCode=400)
        assert latest(log)["metadata"] == {}
        assert latest(log)["reqPayload"] == {"metadata": metadata}

    def test_scalars_in_odd_metadata_are_kept(self, log: CallLog) -> None:
        report(log, reqPayload={"metadata": {"n": 2, "deep": {}, "s": "x"}})
        assert latest(log)["metadata"] == {"n": "2", "s": "x"}

    def test_a_report_is_logged_when_it_arrives(self, log: CallLog) -> None:
        report(log, reqPayload="first", requestedAt=2e12)
        report(log, reqPayload="second", requestedAt=1e12)
        assert latest(log)["reqPayload"] == "second"

    def test_a_clock_may_be_brought_along(self, log: CallLog) -> None:
        calls.log_report({}, log, now=1_735_689_600.25)
        assert latest(log)["createdAt"] == "2025-01-01T00:00:00.250Z"

    def test_a_log_is_empty_at_first(self, log: CallLog) -> None:
        assert calls.latest(log) is None

    def test_payloads_are_snapshots(self, log: CallLog) -> None:
        body = {"reqPayload": chat(), "tags": {"a": "1"}}
        calls.log_report(body, log)
        body["reqPayload"]["model"] = body["tags"]["a"] = "changed"
        latest(log)["reqPayload"]["model"] = "changed too"
        assert latest(log)["reqPayload"]["model"] == "gpt-4o"
        assert latest(log)["metadata"] == {"a": "1"}

    def test_the_deepest_body_that_is_read_is_kept(self, log: CallLog) -> None:
        payload: Any = "core"
        for _ in range((MOST_LEVELS - 1) // 2):
            payload = {"a": [payload]}
        report(log, reqPayload=payload)
        assert latest(log)["reqPayload"] == payload


class TestTags:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (True, "true"),
            (1, "1"),
            (1.0, "1"),
            (-0.0, "0"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (1e16, "10000000000000000"),
            (1e21, "1e+21"),
            (-1.25e22, "-1.25e+22"),
            (2**64 - 1, "18446744073709552000"),
            (1e300, "1e+300"),
        ],
    )
    def test_numbers_are_written_as_javascript_does(self, value: float, text: str) -> None:
        assert javascript.javascript_text(value) == text

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_a_number_survives_being_written(self, value: float) -> None:
        assert float(javascript.javascript_text(value)) == value

    def test_what_is_no_tag_is_named_with_its_place(self) -> None:
        with pytest.raises(BadRequest) as refusal:
            calls.labels({"fine": 1, "a/b": {"x": 1}, "list": []}, "/tags")
        first, second = refusal.value.issues
        assert first.startswith("/tags/a~1b: expected a string, a number, true, false or null, got an object")
        assert "send structured values as JSON text" in first
        assert second.startswith("/tags/list: ")
        assert "(and 1 more)" in refusal.value.message

    @pytest.mark.parametrize("value", ["text", [], 1, False])
    def test_tags_are_an_object(self, value: Any) -> None:
        with pytest.raises(BadRequest, match="/op-tags: expected an object of tags"):
            calls.labels(value, "/op-tags")

    def test_very_many_faults_are_counted(self) -> None:
        with pytest.raises(BadRequest) as refusal:
            calls.labels({str(number): [] for number in range(50)}, "/tags")
        assert len(refusal.value.issues) == 21
        assert refusal.value.issues[-1] == "and 30 more"

    def test_a_body_with_such_tags_breaks_the_contract_already(self) -> None:
        assert not contract().checker("ReportRequest").is_valid({"tags": {"a": []}})
        assert (
            not contract()
            .checker("UpdateLogMetadataRequest")
            .is_valid({"filters": [], "metadata": {"a": {}}})
        )


class TestUpdate:
    def test_adds_changes_and_deletes(self, log: CallLog) -> None:
        report(log, reqPayload=chat(prompt_id="p", old="1", gone="x"))
        new = {"new": "2", "old": "3", "gone": None}
        assert update_metadata(log, where(metadata__prompt_id="p"), new) == 1
        assert latest(log)["metadata"] == {"prompt_id": "p", "new": "2", "old": "3"}

    def test_the_payload_stays_as_it_was(self, log: CallLog) -> None:
        report(log, reqPayload=chat(prompt_id="p"))
        update_metadata(log, [], {"prompt_id": None})
        assert latest(log)["reqPayload"]["metadata"] == {"prompt_id": "p"}

    def test_tags_and_metadata_are_one_thing(self, log: CallLog) -> None:
        report(log, reqPayload=None, tags={"prompt_id": "p"})
        assert update_tags(log, where(tags__prompt_id="p"), {"a": "1"}) == 1
        assert update_tags(log, where(metadata__a="1"), {"b": "2"}) == 1
        assert update_metadata(log, where(tags__b="2"), {"c": "3"}) == 1
        assert latest(log)["metadata"] == {"prompt_id": "p", "a": "1", "b": "2", "c": "3"}

    def test_counts_all_that_match(self, log: CallLog) -> None:
        for number in range(3):
            report(log, reqPayload=chat(prompt_id="p", n=str(number)))
        report(log, reqPayload=chat(prompt_id="other"))
        assert update_metadata(log, where(metadata__prompt_id="p"), {"seen": "1"}) == 3
        assert latest(log)["metadata"] == {"prompt_id": "other"}
        assert update_metadata(log, where(metadata__seen="1"), {}) == 3

    def test_finds_nothing_and_changes_nothing(self, log: CallLog) -> None:
        report(log, reqPayload=chat(prompt_id="p"))
        assert update_metadata(log, where(metadata__prompt_id="q"), {"prompt_id": None}) == 0
        assert latest(log)["metadata"] == {"prompt_id": "p"}

    def test_no_filter_means_all(self, log: CallLog) -> None:
        report(log, reqPayload=chat(prompt_id="p"))
        report(log)
        assert update_metadata(log, [], {"all": "yes"}) == 2
        assert update_metadata(CallLog(), [], {"all": "yes"}) == 0

    def test_finds_a_completion_by_its_id(self, log: CallLog) -> None:
        report(log, reqPayload=chat(), respPayload=answered("c1"))
        report(log, reqPayload=chat(), respPayload=answered("c2"))
        assert update_metadata(log, where(completionId="c1"), {"hit": "1"}) == 1
        assert latest(log)["metadata"] == {}

    def test_finds_a_model(self, log: CallLog) -> None:
        report(log, reqPayload=chat("m1"))
        report(log, reqPayload=chat("m2"))
        assert update_metadata(log, where(model="m2"), {"hit": "1"}) == 1
        assert latest(log)["metadata"] == {"hit": "1"}

    def test_finds_a_status(self, log: CallLog) -> None:
        report(log, statusCode=404)
        report(log)
        assert update_metadata(log, where(statusCode=404), {}) == 1
        assert update_metadata(log, where(statusCode="404"), {}) == 1

    def test_all_filters_have_to_hold(self, log: CallLog) -> None:
        report(log, reqPayload=chat("m1", prompt_id="p"))
        report(log, reqPayload=chat("m2", prompt_id="p"))
        assert update_metadata(log, where(model="m1", metadata__prompt_id="p"), {}) == 1
        assert update_metadata(log, where(model="m1", metadata__prompt_id="q"), {}) == 0

    @pytest.mark.parametrize(("value", "text"), [(1, "1"), (1.5, "1.5"), (True, "true"), ("x", "x")])
    def test_values_are_compared_as_strings(self, log: CallLog, value: Any, text: str) -> None:
        report(log, tags={"key": value})
        assert update_tags(log, where(tags__key=value), {}) == 1
        assert update_tags(log, where(tags__key=text), {}) == 1

    def test_null_asks_for_absence(self, log: CallLog) -> None:
        report(log, reqPayload=chat(prompt_id="p"))
        report(log, reqPayload="no chat", respPayload="no completion")
        assert update_tags(log, where(tags__prompt_id=None), {}) == 1
        assert update_tags(log, where(model=None, completionId=None), {}) == 1

    def test_a_key_may_contain_dots(self, log: CallLog) -> None:
        report(log, tags={"$sdk": "python", "$sdk.version": "5.0.0"})
        assert update_metadata(log, [{"field": "metadata.$sdk.version", "equals": "5.0.0"}], {}) == 1
        assert update_tags(log, [{"field": "tags.$sdk", "equals": "python"}], {}) == 1

    def test_an_empty_string_does_nothing(self, log: CallLog) -> None:
        report(log, tags={"a": "1"})
        assert update_tags(log, [], {"a": "", "b": ""}) == 1
        assert latest(log)["tags"] == {"a": "1"}

    @pytest.mark.parametrize(
        ("field", "advice"),
        [
            ("modle", 'did you mean "model"?'),
            ("completion_id", 'did you mean "completionId"?'),
            ("metdata.prompt_id", 'did you mean "metadata.prompt_id"?'),
            ("tag.a.b", 'did you mean "tags.a.b"?'),
            ("metadata", 'did you mean "metadata.KEY"?'),
            ("tags.", 'did you mean "tags.KEY"?'),
            ("x", 'known are "model", "completionId", "statusCode", "metadata.KEY" and "tags.KEY".'),
        ],
    )
    def test_an_unknown_field_is_refused_with_advice(self, log: CallLog, field: str, advice: str) -> None:
        report(log, tags={"a": "1"})
        filters = [*where(model="m"), {"field": field, "equals": "x"}]
        with pytest.raises(BadRequest) as refusal:
            update_tags(log, filters, {"a": None})
        assert refusal.value.issues == (f'/filters/1/field: unknown field "{field}"; {advice}',)
        assert latest(log)["tags"] == {"a": "1"}

    def test_all_faults_are_named(self, log: CallLog) -> None:
        with pytest.raises(BadRequest) as refusal:
            calls.update({"filters": where(x=1), "tags": {"a": [1]}}, log, member="tags")
        assert [issue.split(":")[0] for issue in refusal.value.issues] == ["/filters/0/field", "/tags/a"]


class TestBounds:
    def test_the_oldest_call_goes_first(self) -> None:
        log = bounded(CallLog(), most_calls=3)
        for number in range(5):
            report(log, reqPayload=number)
        assert [json.loads(call.request) for call in log.calls] == [2, 3, 4]

    def test_bytes_are_bounded(self) -> None:
        log = bounded(CallLog(), most_bytes=1000)
        for number in range(10):
            report(log, reqPayload=f"{number}" * 400)
            assert_within(log)
        assert [json.loads(call.request)[0] for call in log.calls] == ["8", "9"]

    def test_a_call_that_fits_no_log_is_kept_without_its_payloads(self) -> None:
        log = bounded(CallLog(), most_bytes=1000)
        report(log, reqPayload="small")
        large = {"model": "m", "x": "y" * 2000}
        report(log, reqPayload=large, respPayload={}, statusCode=200, tags={"a": "1"})
        assert_within(log)
        call = latest(log)
        assert call["reqPayload"] == call["respPayload"]
        assert call["reqPayload"].startswith("left out by the mock: the call has 2")
        assert (call["statusCode"], call["metadata"]) == (200, {"a": "1"})

    def test_a_call_whose_tags_alone_are_too_large_is_not_kept(self) -> None:
        log = bounded(CallLog(), most_bytes=1000)
        report(log, tags={"a": "x" * 2000})
        assert calls.latest(log) is None
        assert_within(log)

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 600),
                st.one_of(st.none(), st.dictionaries(st.text(max_size=5), st.text(max_size=300), max_size=3)),
                st.one_of(st.none(), st.text(max_size=300)),
                st.booleans(),
            ),
            max_size=15,
        )
    )
    def test_calls_of_our_own_are_bounded_before_anybody_reads_them(self, sent: list[Any]) -> None:
        log = bounded(CallLog(), most_calls=6, most_bytes=2000)
        for number, (length, tags, error, reads) in enumerate(sent):
            request = json.dumps({"number": number, "text": "x" * length}).encode()
            log.add(Own(request, None if error else b"{}", 200, error, tags=tags))
            held = [
                each if isinstance(each, Own) else Own(each.request, each.response, 200) for each in log.kept
            ]
            texts = [len(own.request) + len(own.response or b"") for own in held]
            noted = [
                sum(map(len, (*(own.tags or {}), *(own.tags or {}).values(), own.error_message or "")))
                for own in held
            ]
            assert len(held) <= 6
            assert sum(texts) + sum(noted) <= 2000
            if reads:
                assert_within(log)
                kept = [json.loads(call.request) for call in log.calls if b"left out" not in call.request]
                numbers = [call["number"] for call in kept]
                assert numbers == sorted(numbers)
        assert_within(log)

    def test_an_update_cannot_outgrow_the_log(self) -> None:
        log = bounded(CallLog(), most_bytes=3000)
        for number in range(10):
            report(log, reqPayload=f"{number}" * 200)
        assert update_tags(log, [], {"note": "x" * 500}) == 10
        assert_within(log)
        assert latest(log)["reqPayload"] == "9" * 200
        assert latest(log)["tags"] == {"note": "x" * 500}
        assert 1 < len(log.calls) < 10

    def test_the_defaults_are_a_thousand_calls_and_four_mebibytes(self) -> None:
        log = CallLog()
        assert (log.most_calls, log.most_bytes) == (1000, 4 * 2**20)

    @given(
        st.lists(st.tuples(st.booleans(), st.text(max_size=60)), max_size=20),
        st.integers(0, 5),
        st.integers(0, 600),
    )
    def test_bounds_hold_whatever_happens(
        self, steps: list[tuple[bool, str]], most_calls: int, most_bytes: int
    ) -> None:
        log = bounded(CallLog(), most_calls=most_calls, most_bytes=most_bytes)
        for updates, text in steps:
            if updates:
                update_tags(log, [], {text: text})
            else:
                report(log, reqPayload=text, tags={text: text})
            assert_within(log)


def assert_within(log: CallLog) -> None:
    assert len(log.calls) <= log.most_calls
    assert sum(call.size for call in log.calls) == log.bytes <= log.most_bytes


SECRETS = (
    *("api_key", "apiKey", "API-KEY", "openai_api_key", "x-api-key", "authorization", "Proxy-Authorization"),
    *("password", "client_secret", "secret_key", "aws_secret_access_key", "accessToken", "Cookie", "secrets"),
)


class TestSecrets:
    @pytest.mark.parametrize("name", SECRETS)
    def test_members_named_like_a_secret_are_masked(self, log: CallLog, name: str) -> None:
        hidden = "sk-very-private"
        payload = {"model": "m", "extra_headers": {name: hidden}, "list": [{name: [hidden, 1]}], name: hidden}
        report(log, reqPayload=payload, respPayload=payload, tags={name: hidden})
        update_tags(log, [], {f"my-{name}": hidden})
        assert hidden not in repr(log.calls)
        assert latest(log)["reqPayload"]["list"] == [{name: ["***", "***"]}]
        assert latest(log)["tags"] == {name: "***", f"my-{name}": "***"}

    def test_metadata_of_the_request_is_masked_too(self, log: CallLog) -> None:
        report(log, reqPayload={"metadata": {"api_key": "sk-very-private", "user": "u"}})
        assert latest(log)["metadata"] == {"api_key": "***", "user": "u"}

    def test_the_input_of_anthropics_tools_is_masked(self, log: CallLog) -> None:
        block = {"type": "tool_use", "id": "t", "name": "login", "input": {"password": "hush"}}
        report_anthropic(log, respPayload=message([block]))
        assert call_arguments(latest(log)) == [{"password": "***"}]

    def test_descriptions_of_secrets_are_not_secret(self, log: CallLog) -> None:
        properties = {"password": {"type": "string"}, "api_key": {"enum": ["a", "b"]}}
        payload = {"tools": [{"type": "function", "function": {"parameters": {"properties": properties}}}]}
        report(log, reqPayload=payload)
        assert latest(log)["reqPayload"] == payload

    @pytest.mark.parametrize("name", ["token", "max_tokens", "secretary", "keyboard", "prompt_id", "authors"])
    def test_other_members_stay(self, log: CallLog, name: str) -> None:
        report(log, reqPayload={name: "value", "api_key": None, "password": ""}, tags={name: "value"})
        assert latest(log)["reqPayload"] == {name: "value", "api_key": None, "password": ""}
        assert latest(log)["tags"] == {name: "value"}


def message(content: Any, **members: Any) -> Json:
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": content}
    return {**base, "stop_reason": "end_turn", "stop_sequence": None, **members}


def call_arguments(call: Json) -> list[Any]:
    found = call["respPayload"]["choices"][0]["message"]["tool_calls"]
    return [json.loads(item["function"]["arguments"]) for item in found]


class TestReportAnthropic:
    def test_the_answer_is_kept_as_a_completion(self, log: CallLog) -> None:
        request = {
            "model": "claude",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "Good morning"}],
        }
        counts = {"input_tokens": 9, "output_tokens": 6, "cache_creation_input_tokens": None}
        texts = [{"type": "text", "text": "Good ", "citations": None}, {"type": "text", "text": "day"}]
        answer = report_anthropic(log, reqPayload=request, respPayload=message(texts, usage=counts))
        assert answer == {"status": "ok"}
        assert latest(log)["reqPayload"] == request
        completion = checked("ChatCompletion", latest(log)["respPayload"])
        assert completion == {
            "id": "msg_1",
            "object": "chat.completion",
            "created": 1704067200,
            "model": "claude",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": "Good day", "refusal": None},
                    "logprobs": None,
                }
            ],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 6,
                "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
        }

    def test_tool_use_becomes_tool_calls(self, log: CallLog) -> None:
        blocks = [
            {"type": "thinking", "thinking": "A tool would help.", "signature": "s"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"location": "SF"}},
            {"type": "tool_use", "id": "t2", "name": "clock"},
        ]
        report_anthropic(log, respPayload=message(blocks, stop_reason="tool_use"))
        choice = checked("ChatCompletion", latest(log)["respPayload"])["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["content"] is None
        assert choice["message"]["reasoning_content"] == "A tool would help."
        assert [call["id"] for call in choice["message"]["tool_calls"]] == ["t1", "t2"]
        assert call_arguments(latest(log)) == [{"location": "SF"}, {}]

    @pytest.mark.parametrize(
        ("reason", "finish"),
        [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("max_tokens", "length"),
            ("null", "stop"),
            (None, "stop"),
            ([], "stop"),
        ],
    )
    def test_stop_reasons_become_finish_reasons(self, log: CallLog, reason: Any, finish: str) -> None:
        report_anthropic(log, respPayload=message([], stop_reason=reason))
        assert latest(log)["respPayload"]["choices"][0]["finish_reason"] == finish

    def test_cached_tokens_are_counted_in(self) -> None:
        counts = {"input_tokens": 1, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 300}
        assert anthropic.token_usage({**counts, "output_tokens": 4000}) == {
            "prompt_tokens": 321,
            "completion_tokens": 4000,
            "total_tokens": 4321,
            "prompt_tokens_details": {"cached_tokens": 300},
        }

    @pytest.mark.parametrize("odd", [None, True, "9", -1, 2**64 - 1, 1e300])
    def test_odd_counts_are_none(self, odd: Any) -> None:
        assert anthropic.token_usage({"input_tokens": odd, "output_tokens": odd})["total_tokens"] == 0

    @pytest.mark.parametrize("payload", [None, "text", {"type": "error", "content": []}, {"type": "message"}])
    def test_what_is_no_message_is_kept_as_it_is(self, log: CallLog, payload: Any) -> None:
        report_anthropic(log, reqPayload={"messages": []}, respPayload=payload, statusCode=529)
        assert latest(log)["respPayload"] == payload

    def test_tags_and_metadata_are_put_together(self, log: CallLog) -> None:
        request = {"metadata": {"user_id": "u"}}
        report_anthropic(log, reqPayload=request, metadata={"a": "new", "n": 2}, tags={"a": "old", "b": True})
        assert latest(log)["metadata"] == {"a": "new", "n": "2", "b": "true", "user_id": "u"}

    def test_a_message_is_found_by_its_id(self, log: CallLog) -> None:
        report_anthropic(log, reqPayload={"model": "claude"}, respPayload=message([]))
        assert update_metadata(log, where(completionId="msg_1", model="claude"), {"hit": "1"}) == 1

    @given(st.none() | st.booleans() | st.text() | st.lists(st.text()))
    def test_any_content_makes_a_valid_completion(self, odd: Any) -> None:
        blocks = [{"type": kind, name: odd} for kind in ("text", "tool_use", "thinking") for name in BLOCKS]
        checked("ChatCompletion", anthropic.completion(message([*blocks, odd], id=odd, model=odd), 1))


BLOCKS = ("text", "id", "name", "input", "thinking")


class TestOtherEndpoints:
    def test_the_old_cache_never_has_anything(self) -> None:
        assert checked("CheckCacheResponse", calls.check_cache()) == {"respPayload": None}

    def test_a_completion_of_our_own_is_logged(self, log: CallLog) -> None:
        tags = calls.labels({"$sdk": "python", "n": 1, "gone": None}, "/op-tags")
        log.add(own_call(chat(a="b"), answered("c"), cache_hit=True, tags=tags))
        assert latest(log)["cacheHit"] is True
        assert latest(log)["metadata"] == {"$sdk": "python", "n": "1", "a": "b"}
        assert update_metadata(log, where(completionId="c"), {"d": "e"}) == 1

    def test_a_failure_of_our_own_is_logged(self, log: CallLog) -> None:
        log.add(own_call(chat(), status=404, error_message="The model `x` does not exist"))
        assert latest(log)["errorMessage"] == "The model `x` does not exist"
        assert latest(log)["cacheHit"] is False

    def test_tags_may_be_checked_beforehand(self) -> None:
        tags = {"n": 1.5, "api_key": "sk"}
        early = calls.labels(tags, "/op-tags")
        assert calls.labels(early, "/op-tags") == early == {"n": "1.5", "api_key": "***"}

    def test_a_bare_call_has_an_answer(self) -> None:
        checked("LoggedCall", LoggedCall(request=b"1", response=b"null").answer())


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e308, 1e308) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
tag_sets = st.dictionaries(st.text() | st.sampled_from(["a", "api_key", "$sdk.version"]), scalars, max_size=4)
fields = st.sampled_from(
    ["model", "completionId", "statusCode", "tags.a", "metadata.a", "modle", ""]
) | st.text(max_size=20)
filters = st.lists(st.fixed_dictionaries({"field": fields, "equals": scalars}), max_size=3)


def outcome(act: Callable[[], Any]) -> tuple[Any, tuple[str, ...]]:
    """What comes back, or the issues of the refusal; any other exception is a failure."""
    try:
        return act(), ()
    except BadRequest as refusal:
        checked("Error", refusal.body())
        return None, refusal.issues


class TestAnything:
    @given(values)
    def test_tags_are_taken_or_refused(self, sent: Any) -> None:
        found, issues = outcome(lambda: calls.labels(sent, "/tags"))
        assert issues or calls.labels(found, "/tags") == found
        assert all(issue.startswith("/tags") for issue in issues)

    @given(tag_sets)
    def test_scalars_are_always_tags(self, sent: Json) -> None:
        found = calls.labels(sent, "/tags")
        assert set(found) == {key for key, value in sent.items() if value is not None and value != ""}

    @given(values, values, tag_sets)
    def test_any_payload_can_be_reported(self, request: Any, response: Any, tags: Json) -> None:
        log = CallLog()
        report(log, reqPayload=request, respPayload=response, tags=tags)
        report_anthropic(log, reqPayload=request, respPayload=response, tags=tags)
        assert len(log.calls) == 2
        latest(log)

    @given(filters, tag_sets)
    def test_updates_are_made_or_refused(self, sent: list[Json], tags: Json) -> None:
        log = CallLog()
        report(log, reqPayload=chat(a="1"), tags={"b": 2})
        number, issues = outcome(lambda: update_tags(log, sent, tags))
        assert all(issue.startswith("/filters/") for issue in issues)
        assert issues or number == 1 or (number == 0 and sent)
        assert number or latest(log)["metadata"] == {"a": "1", "b": "2"}

    @given(tag_sets)
    def test_what_was_set_is_found_again(self, tags: Json) -> None:
        log = CallLog()
        report(log, tags=tags)
        asked = [
            {"field": f"tags.{key}", "equals": value}
            for key, value in latest(log)["tags"].items()
            if key  # a field names a key
        ]
        assert update_tags(log, asked, dict.fromkeys(tags)) == 1
        assert latest(log)["tags"] == {}
