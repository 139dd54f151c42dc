"""A client that relies on nothing but the contract. The sloppy ones beside it each change one thing about it.

It takes the variables OPENPIPE_BASE_URL and OPENPIPE_API_KEY, and ends with 1 where something fails.
"""

import codecs
import http.client
import json
import os
import sys
import time
from urllib.parse import urlsplit

CRITERIA = ("helpful", "polite")
ATTEMPTS = 4
TRANSIENT = (429, 500, 502, 503)
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}


class Failed(Exception):
    """What the client makes of an error."""


class Client:
    def __init__(self):
        self.base = urlsplit(os.environ["OPENPIPE_BASE_URL"])
        self.key = os.environ["OPENPIPE_API_KEY"]

    # Requests.

    def headers(self):
        return {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}

    def path(self, endpoint):
        return f"{self.base.path}{endpoint}"

    def open(self, endpoint, body, headers):
        connection = http.client.HTTPConnection(self.base.hostname, self.base.port, timeout=20)
        connection.request("POST", self.path(endpoint), json.dumps(body), {**self.headers(), **headers})
        return connection.getresponse()

    def send(self, endpoint, body, headers=None):
        """The response, after as many attempts as make sense."""
        for attempt in range(ATTEMPTS):
            response = self.open(endpoint, body, headers or {})
            if not self.is_transient(response.status) or attempt == ATTEMPTS - 1:
                return response
            pause = self.pause(response)
            response.read()
            time.sleep(pause)

    def is_transient(self, status):
        return status in TRANSIENT

    def pause(self, response):
        return float(response.headers.get("retry-after", 0.05))

    def ask(self, endpoint, body, headers=None):
        """The JSON of an answer."""
        response = self.send(endpoint, body, headers)
        text = response.read()
        if response.status != 200:
            raise Failed(self.reason(json.loads(text)))
        return json.loads(text)

    def reason(self, error):
        return error["message"]

    # The judge.

    def judge(self):
        answer = self.ask("/criteria/judge", self.judge_body())
        self.judgement(answer)

    def judge_body(self):
        return {"criterion_id": "helpful", "output": {"role": "assistant", "content": "1, 2, 3."}}

    def judgement(self, answer):
        assert 0 <= answer["score"] <= 1
        print(f"judged {answer['score']:.2f}", answer.get("explanation", "")[:60].encode("utf-8"))

    # Best of n.

    def best(self):
        answer = self.ask("/chat/completions", self.best_body(), self.best_headers())
        choice = self.first_choice(answer["choices"])
        self.results(choice["criteria_results"])
        self.ranking(answer["choices"])
        self.completion(answer)
        self.choice(choice)

    def best_body(self):
        return {
            "model": "openai:gpt-4o-mini",
            "messages": self.messages("Count to 3."),
            "n": 3,
            "logprobs": True,
        }

    def best_headers(self):
        return {"op-criteria": json.dumps(CRITERIA)}

    def messages(self, text):
        return [{"role": "user", "content": text}]

    def first_choice(self, choices):
        return choices[0]

    def results(self, results):
        for name in CRITERIA:
            result = results[name]
            if result["status"] == "success":
                assert 0 <= self.score(result) <= 1
            else:
                print(name, "failed:", result["errorMessage"])

    def score(self, result):
        return result["score"]

    def ranking(self, choices):
        totals = [self.total(choice) for choice in choices]
        assert totals == sorted(totals, reverse=True)

    def total(self, choice):
        results = choice["criteria_results"].values()
        return sum(result["score"] if result["status"] == "success" else 0 for result in results)

    def completion(self, answer):
        pass

    def choice(self, choice):
        assert choice["message"].get("content")

    # Streams.

    def stream(self):
        text, finish = "", None
        for chunk in self.chunks(messages=self.messages("Count to 20.")):
            for choice in self.choices(chunk):
                text += self.piece(choice)
                finish = choice.get("finish_reason") or finish
        self.streamed(text, finish)

    def chunks(self, **body):
        """The chunks of a stream."""
        response = self.send("/chat/completions", {"model": "openai:gpt-4o-mini", "stream": True, **body})
        if response.status != 200:
            raise Failed(self.reason(json.load(response)))
        for data in self.events(response):
            if data == "[DONE]":
                break
            yield json.loads(data)
        response.close()

    def pieces(self, response):
        """The bytes of a stream as they come."""
        while data := response.read1(65536):
            yield data

    def texts(self, response):
        """The text of a stream as it comes."""
        decode = codecs.getincrementaldecoder("utf-8")().decode
        for piece in self.pieces(response):
            yield decode(piece)

    def lines(self, response):
        """The lines of a stream; LF, CR LF or CR end one."""
        rest = ""
        for text in self.texts(response):
            whole = rest + text
            held = "\r" if whole.endswith("\r") else ""  # whether LF follows is not known yet
            whole = whole.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
            *lines, rest = whole.split("\n")
            rest += held
            yield from lines
        if rest:
            yield from rest.split("\r")

    def events(self, response):
        """The data of a stream's events."""
        data = []
        for line in self.lines(response):
            if line.startswith("data:"):
                data.append(line.removeprefix("data:").removeprefix(" "))
            elif not line and data:
                yield "\n".join(data)
                data = []
        self.at_end(data)

    def at_end(self, data):
        """What is done once the stream has ended."""
        assert not data

    def choices(self, chunk):
        return chunk["choices"]

    def piece(self, choice):
        return choice["delta"].get("content") or ""

    def streamed(self, text, finish):
        assert text
        assert finish == "stop"

    # Tools, and errors.

    def tools(self):
        answer = self.ask("/chat/completions", {"model": "openai:gpt-4o-mini", **self.tools_body()})
        self.calls(answer["choices"][0])

    def tools_body(self):
        question = self.messages("What is the weather in Rome?")
        return {"messages": question, "tools": [TOOL], "tool_choice": "required"}

    def calls(self, choice):
        assert choice["message"]["tool_calls"]
        for call in choice["message"]["tool_calls"]:
            self.arguments(call["function"]["arguments"])

    def arguments(self, text):
        assert json.loads(text)["city"]

    def stream_of_calls(self):
        calls = {}
        for chunk in self.chunks(**self.tools_body()):
            for choice in chunk["choices"]:
                for call in choice["delta"].get("tool_calls") or []:
                    self.call(calls, call)
        self.called(calls)

    def call(self, calls, call):
        """Add a piece of a call to the calls."""
        known = calls.setdefault(call["index"], {"id": "", "name": "", "arguments": ""})
        function = call.get("function") or {}
        known["id"] = call.get("id") or known["id"]
        known["name"] = function.get("name") or known["name"]
        known["arguments"] += function.get("arguments") or ""

    def called(self, calls):
        assert calls
        for call in calls.values():
            assert call["id"]
            assert call["name"] == "get_weather"
            self.arguments(call["arguments"])

    def errors(self):
        """A criterion that doesn't exist is told apart by its message."""
        try:
            self.ask("/chat/completions", self.best_body(), {"op-criteria": '["no such criterion"]'})
        except Failed as error:
            print("failed as it should:", error)
        else:
            raise AssertionError("an error was expected")

    def more(self):
        """What only some clients do."""

    def scenes(self):
        return self.judge, self.best, self.stream, self.tools, self.stream_of_calls, self.errors, self.more

    def run(self):
        for scene in self.scenes():
            scene()


def main(client):
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    client().run()


if __name__ == "__main__":
    main(Client)
