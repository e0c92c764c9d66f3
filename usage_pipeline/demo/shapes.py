"""The shapes that the metadata of an answer takes, from the documented one to the refused ones."""

from collections.abc import Callable, Iterator
from itertools import accumulate, cycle
from random import Random

from usage_pipeline.demo.calls import (
    Metadata,
    completion_tokens,
    failed_call,
    helper_calls,
    main_call,
    processing_time_ms,
    prompt_tokens,
    usage,
)

Shape = Callable[[Random, str], Metadata | None]

SPELLINGS = (
    ("prompt_tokens", "completion_tokens", "total_tokens"),
    ("prompt", "completion", "total"),
    ("input_tokens", "output_tokens"),
)


def documented(rng: Random, model: str) -> Metadata:
    helpers = helper_calls(rng) if rng.random() < 0.25 else []
    metadata = _answered(rng, [*helpers, main_call(rng, model)])
    details = metadata["processingDetails"]
    usages = [usage(call) for call in details["llm_calls"]]
    details["prompt_tokens"] = sum(tokens["prompt_tokens"] for tokens in usages)
    details["completion_tokens"] = sum(tokens["completion_tokens"] for tokens in usages)
    details["total_tokens"] = metadata["tokens"] = sum(tokens["total_tokens"] for tokens in usages)
    return metadata


def documented_without_total(rng: Random, model: str) -> Metadata:
    metadata = documented(rng, model)
    del metadata["processingDetails"]["total_tokens"]
    return metadata


def documented_with_larger_total(rng: Random, model: str) -> Metadata:
    metadata = documented(rng, model)
    metadata["processingDetails"]["total_tokens"] += 64 + int(rng.random() * 512)
    return metadata


def documented_in_other_types(rng: Random, model: str) -> Metadata:
    metadata = documented(rng, model)
    details = metadata["processingDetails"]
    details["prompt_tokens"] = str(details["prompt_tokens"])
    details["completion_tokens"] = float(details["completion_tokens"])
    return metadata


def calls_with_helpers(rng: Random, model: str) -> Metadata:
    return _answered(rng, [*helper_calls(rng), main_call(rng, model)])


def calls_with_cached_helper(rng: Random, model: str) -> Metadata:
    metadata = calls_with_helpers(rng, model)
    stage = "intent_classification" if rng.random() < 0.7 else "contextual_awareness"
    metadata["processingDetails"][stage] = {"from_cache": True, "cache_age_ms": int(rng.random() * 60_000)}
    return metadata


def calls_in_mixed_spellings(rng: Random, model: str) -> Metadata:
    metadata = calls_with_helpers(rng, model)
    for call, spelling in zip(metadata["processingDetails"]["llm_calls"], SPELLINGS, strict=True):
        # Not strict: the third spelling has no key for the total.
        call["response"]["usage"] = dict(zip(spelling, usage(call).values(), strict=False))
    return metadata


def calls_with_failed_one(rng: Random, model: str) -> Metadata:
    return _answered(rng, [*helper_calls(rng), failed_call(model), main_call(rng, model)])


def calls_summed_in_tokens(rng: Random, model: str) -> Metadata:
    metadata = calls_with_cached_helper(rng, model) if rng.random() < 0.3 else calls_with_helpers(rng, model)
    details = metadata["processingDetails"]
    every = sum(usage(call)["total_tokens"] for call in details["llm_calls"])
    spent = sum(usage(call)["total_tokens"] for call in details["llm_calls"] if call["stage"] not in details)
    metadata["tokens"] = every if every % 2 else spent  # some applications leave out what came from a cache
    return metadata


def tokens_alone(rng: Random, _model: str) -> Metadata:
    tokens = prompt_tokens(rng) + completion_tokens(rng)
    return {"tokens": tokens, "processing_time_ms": processing_time_ms(rng)}


def nothing(_rng: Random, _model: str) -> None:
    return None


def empty(_rng: Random, _model: str) -> Metadata:
    return {}


def _answered(rng: Random, calls: list[Metadata]) -> Metadata:
    """The metadata of an answer whose `tokens` are those of its main call, the last one."""
    return {
        "tokens": usage(calls[-1])["total_tokens"],
        "processing_time_ms": processing_time_ms(rng),
        "processingDetails": {"llm_calls": calls},
    }


def _with_detail(key: str, value: object) -> Shape:
    def shape(rng: Random, model: str) -> Metadata:
        metadata = documented(rng, model)
        metadata["processingDetails"][key] = value
        return metadata

    return shape


def _with_calls(calls: object) -> Shape:
    def shape(rng: Random, _model: str) -> Metadata:
        details = {"llm_calls": calls}
        return {"processing_time_ms": processing_time_ms(rng), "processingDetails": details}

    return shape


def _with_call_value(value: object) -> Shape:
    def shape(rng: Random, model: str) -> Metadata:
        metadata = calls_with_helpers(rng, model)
        metadata["processingDetails"]["llm_calls"][1]["response"]["usage"]["prompt_tokens"] = value
        return metadata

    return shape


def _with_tokens(value: object) -> Shape:
    return lambda _rng, _model: {"tokens": value}


REFUSED = (
    _with_detail("prompt_tokens", "abc"),
    _with_detail("completion_tokens", -5),
    _with_detail("total_tokens", 12.5),
    _with_detail("prompt_tokens", True),
    _with_detail("completion_tokens", "0x10"),
    _with_detail("total_tokens", " 12 "),
    _with_detail("prompt_tokens", {"value": 12}),
    _with_calls("3 calls"),
    _with_call_value("n/a"),
    _with_tokens(-1),
)

# One in two thousandths of the answers; None stands for the refused ones.
PROPORTIONS: dict[Shape | None, int] = {
    documented: 1360,
    documented_without_total: 80,
    documented_with_larger_total: 80,
    documented_in_other_types: 16,
    calls_with_helpers: 160,
    calls_with_cached_helper: 80,
    calls_in_mixed_spellings: 60,
    calls_with_failed_one: 30,
    calls_summed_in_tokens: 40,
    tokens_alone: 40,
    nothing: 30,
    empty: 20,
    None: 4,
}


def shapes(rng: Random) -> Iterator[Shape]:
    """Shapes without end, in the proportions of a real table; the refused kinds take turns."""
    refused = cycle(REFUSED)
    kinds, bounds = tuple(PROPORTIONS), tuple(accumulate(PROPORTIONS.values()))
    while True:
        for shape in rng.choices(kinds, cum_weights=bounds, k=500):
            yield shape or next(refused)
