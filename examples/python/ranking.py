"""An application that asks OpenPipe: the best of several answers, or a fallback where the judge is busy."""

import json

from openpipe import OpenAI
from openpipe.client import OpenPipe


def best_answer(question: str, drafts: int = 3) -> str:
    """The answer that the criterion `helpful` likes best."""
    completion = OpenAI().chat.completions.create(
        model="openai:gpt-4o-mini",
        messages=[{"role": "user", "content": question}],
        n=drafts,
        extra_headers={"op-criteria": json.dumps(["helpful"])},
    )
    return completion.choices[0].message.content or ""


def is_helpful(question: str, answer: str, *, at_least: float = 0.5) -> bool:
    """Whether the criterion `helpful` passes an answer; what can't be judged doesn't pass."""
    try:
        judgement = OpenPipe().get_criterion_judgement(
            criterion_id="helpful",
            input={"messages": [{"role": "user", "content": question}]},
            output={"role": "assistant", "content": answer},
        )
    except Exception:
        return False
    return judgement.score >= at_least
