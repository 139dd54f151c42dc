"""Can the server be judged at all?"""

from collections.abc import Iterator

from openpipe_mock.contract.checks import Finding

from .promises import Scene, Sends, Variant, promise, reachable
from .reachability import candidates
from .settings import Aim


def smallest(endpoint: str) -> Sends:
    def sends(aim: Aim) -> list[Variant]:
        return [Variant((candidates(endpoint, aim)[0],))]

    return sends


def asked(scene: Scene) -> Iterator[Finding]:
    """Nothing is broken by an endpoint that can't be reached; but what it answers is held to the contract."""
    endpoint = scene.case.check.endpoint
    if scene.fresh:
        scene.run.reached.pop(endpoint, None)
        scene.run.seen.pop(scene.case.requests[0], None)
    scene.sent += reachable(endpoint, scene.run).exchanges
    return iter(())


@promise("reachability.judge", smallest("judge"), rank=0, needs="")
def test_the_judge_answers(scene: Scene) -> Iterator[Finding]:
    return asked(scene)


@promise("reachability.chat", smallest("chat"), rank=1, needs="")
def test_chat_answers(scene: Scene) -> Iterator[Finding]:
    return asked(scene)
