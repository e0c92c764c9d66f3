"""The model calls behind one answer, as an application logs them in `llm_calls`."""

from random import Random
from typing import Any

Metadata = dict[str, Any]

HELPER_MODEL = "gpt-4o-mini"


def helper_calls(rng: Random) -> list[Metadata]:
    return [
        _call("contextual_awareness", HELPER_MODEL, _between(rng, 180, 420), _between(rng, 20, 80)),
        _call("intent_classification", HELPER_MODEL, _between(rng, 120, 240), _between(rng, 5, 25)),
    ]


def main_call(rng: Random, model: str) -> Metadata:
    return _call("response_generation", model, prompt_tokens(rng), completion_tokens(rng))


def failed_call(model: str) -> Metadata:
    """A call that the provider refused: it reports no usage."""
    error = {"type": "overloaded", "message": "try again"}
    return {"stage": "response_generation", "request": {"model": model}, "response": {"error": error}}


def usage(call: Metadata) -> dict[str, int]:
    found: dict[str, int] = call["response"]["usage"]
    return found


def prompt_tokens(rng: Random) -> int:
    return int(rng.lognormvariate(7.0, 0.6))


def completion_tokens(rng: Random) -> int:
    return int(rng.lognormvariate(5.8, 0.7))


def processing_time_ms(rng: Random) -> int:
    return _between(rng, 900, 9900)


def _call(stage: str, model: str, prompt: int, completion: int) -> Metadata:
    tokens = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {
        "stage": stage,
        "request": {"model": model, "temperature": 0.2, "max_tokens": 2048},
        "response": {"finish_reason": "stop", "usage": tokens},
    }


def _between(rng: Random, low: int, high: int) -> int:
    # randrange costs six times as much, and a story draws some hundred thousand numbers.
    return low + int(rng.random() * (high - low))
