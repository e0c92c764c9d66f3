"""What the metadata of one answer says about tokens, in plain Python."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

State = Literal["reported", "total_only", "missing", "refused"]
Json = Mapping[str, object]

LARGEST = 10**12
DIGITS = re.compile(r"[0-9]{1,13}")
HELPER_STAGES = ("contextual_awareness", "intent_classification")
DOCUMENTED_KEYS = ("prompt_tokens", "completion_tokens", "total_tokens")
PROMPT_KEYS = ("prompt_tokens", "prompt", "input_tokens")
COMPLETION_KEYS = ("completion_tokens", "completion", "output_tokens")
TOTAL_KEYS = ("total_tokens", "total")


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one answer; None is a number that nobody reported."""

    state: State
    prompt: int | None
    completion: int | None
    total: int | None
    refused_field: str | None = None
    refused_reason: str | None = None


class RefusedValueError(Exception):
    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Call:
    prompt: int | None
    completion: int | None
    total: int | None
    is_helper: bool
    is_cached: bool


def read_usage(metadata: object) -> Usage:
    """The usage in parsed metadata; one bad value in the deciding shape refuses all of it."""
    try:
        return _usage(*_tokens(_members(metadata)))
    except RefusedValueError as refused:
        return Usage("refused", 0, 0, 0, refused.field, refused.reason)


def _usage(prompt: int | None, completion: int | None, total: int | None) -> Usage:
    if prompt is not None or completion is not None:
        return Usage("reported", prompt, completion, total)
    return Usage("missing" if total is None else "total_only", None, None, total)


def _tokens(metadata: Json) -> tuple[int | None, int | None, int | None]:
    """Prompt, completion and total by the first shape that the metadata takes."""
    details = _members(metadata.get("processingDetails"))
    if any(details.get(key) is not None for key in DOCUMENTED_KEYS):
        return _documented(details)
    calls = _calls(details)
    tokens = _value(metadata, ("tokens",), "")
    return _of_calls(calls, tokens) if calls else (None, None, tokens)


def _documented(details: Json) -> tuple[int | None, int | None, int | None]:
    prompt, completion, total = (_value(details, (key,), "processingDetails.") for key in DOCUMENTED_KEYS)
    return prompt, completion, _sum((prompt, completion)) if total is None else total


def _of_calls(calls: Sequence[_Call], tokens: int | None) -> tuple[int | None, int | None, int | None]:
    spent = [call for call in calls if not call.is_cached]
    prompt, completion = _sum(call.prompt for call in spent), _sum(call.completion for call in spent)
    return prompt, completion, _total_of_calls(calls, tokens)


def _total_of_calls(calls: Sequence[_Call], tokens: int | None) -> int | None:
    all_calls = _sum(call.total for call in calls)
    if all_calls is None and tokens is None:
        return None
    main = _sum(call.total for call in calls if not call.is_helper) or 0
    spent_helpers = _sum(call.total for call in calls if call.is_helper and not call.is_cached) or 0
    # Some applications write the sum of every call, or of the spent ones, where others write the main call's.
    if tokens in (all_calls or 0, spent_helpers + main):
        return spent_helpers + main
    return spent_helpers + max(main, tokens or 0)


def _calls(details: Json) -> list[_Call]:
    """The calls that carry a usage object."""
    logged = details.get("llm_calls")
    if logged is None:
        return []
    if not isinstance(logged, list):
        raise RefusedValueError("processingDetails.llm_calls", "not an array")
    calls = (_call(_members(element), index, details) for index, element in enumerate(logged))
    return [call for call in calls if call is not None]


def _call(element: Json, index: int, details: Json) -> _Call | None:
    field = f"processingDetails.llm_calls[{index}].response.usage"
    usage = _members(element.get("response")).get("usage")
    if usage is None:
        return None
    if not isinstance(usage, dict):
        raise RefusedValueError(field, "not an object")
    prompt = _value(usage, PROMPT_KEYS, f"{field}.")
    completion = _value(usage, COMPLETION_KEYS, f"{field}.")
    total = _value(usage, TOTAL_KEYS, f"{field}.")
    total = _sum((prompt, completion)) if total is None else total
    is_helper, is_cached = _stage(element.get("stage"), details)
    return _Call(prompt, completion, total, is_helper, is_cached)


def _stage(stage: object, details: Json) -> tuple[bool, bool]:
    """Whether the stage is a helper's, and whether that helper was answered from cache."""
    if not isinstance(stage, str) or stage not in HELPER_STAGES:
        return False, False
    return True, _members(details.get(stage)).get("from_cache") is True


def _members(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _sum(values: Iterable[int | None]) -> int | None:
    """The sum of the reported values; None when nothing is reported."""
    reported = [value for value in values if value is not None]
    return sum(reported) if reported else None


def _value(members: Json, keys: Iterable[str], path: str) -> int | None:
    """The first value under one of the keys that is not null, if it is a count of tokens."""
    for key in keys:
        value = members.get(key)
        if value is not None:
            return _count(value, f"{path}{key}")
    return None


def _count(value: object, field: str) -> int:
    if isinstance(value, str):
        return _in_range(int(value), field) if DIGITS.fullmatch(value) else _refuse(value, field)
    # A bool is an int to Python, but true is no number in JSON.
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return _refuse(value, field)
    return _in_range(value, field)


def _in_range(number: float | Decimal, field: str) -> int:
    # The range comes first: int() of 1e400 fails or takes for ever.
    if 0 <= number <= LARGEST and number == int(number):
        return int(number)
    return _refuse(number, field)


def _refuse(value: object, field: str) -> int:
    raise RefusedValueError(field, f"not a whole number from 0 to {LARGEST}: {str(value)[:40]}")
