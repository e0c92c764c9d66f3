"""Every shape of metadata and every value of a count, each with the numbers a person reads in it."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from usage_pipeline_tests.sources.reading import Event, Share

Split = Mapping[str | None, Share]

MISSING: Final = Event("missing", None, None, None)
REFUSED: Final = Event("refused", 0, 0, 0)


@dataclass(frozen=True)
class Shape:
    """Metadata as JSON text (None: SQL NULL) and what must be read; `split` where the models matter."""

    raw: str | None
    event: Event
    split: Split | None = None
    field: str | None = None
    value: str | None = None


def reported(prompt: int | None, completion: int | None, total: int) -> Event:
    return Event("reported", prompt, completion, total)


def total_only(total: int) -> Event:
    return Event("total_only", None, None, total)


def call(stage: object, model: str, usage: object) -> dict[str, object]:
    """One logged call with a usage."""
    return {"stage": stage, "request": {"model": model}, "response": {"usage": usage}}


def failed(model: str, **response: object) -> dict[str, object]:
    """One logged call that has none."""
    return {"stage": "final_response", "request": {"model": model}, "response": response}


def logged(calls: object, **details: object) -> dict[str, object]:
    return {"processingDetails": {"llm_calls": calls, **details}}


CONTEXT = call(
    "contextual_awareness", "small", {"prompt_tokens": 300, "completion_tokens": 34, "total_tokens": 334}
)
INTENT = call("intent_classification", "tiny", {"prompt": 180, "completion": 21, "total": 201})
MAIN = call("final_response", "large", {"input_tokens": 1600, "output_tokens": 201})
MIXED = [CONTEXT, INTENT, MAIN]
CACHED = {"intent_classification": {"from_cache": True}}

OF_CONTEXT = Share(300, 34, 0, 334)
OF_INTENT = Share(180, 21, 0, 201)
OF_MAIN = Share(1600, 201, 0, 1801)
OF_MIXED: Split = {"small": OF_CONTEXT, "tiny": OF_INTENT, "large": OF_MAIN}
OF_SPENT: Split = {"small": OF_CONTEXT, "large": OF_MAIN}
NOTHING = Share(0, 0, 0, 0)


def _documented() -> Iterator[tuple[str, Shape]]:
    def shape(details: object, event: Event, split: Split | None = None, **members: object) -> Shape:
        return Shape(json.dumps({"processingDetails": details, **members}), event, split)

    whole = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    pair = {"prompt_tokens": 10, "completion_tokens": 5}
    nulls = {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}
    yield "whole", shape(whole, reported(10, 5, 15), {None: Share(10, 5, 0, 15)})
    yield "without total", shape(pair, reported(10, 5, 15))
    yield "total null", shape({**pair, "total_tokens": None}, reported(10, 5, 15))
    larger, smaller = {**pair, "total_tokens": 40}, {**pair, "total_tokens": 12}
    yield "larger total", shape(larger, reported(10, 5, 40), {None: Share(10, 5, 25, 40)})
    yield "smaller total", shape(smaller, reported(10, 5, 12), {None: Share(10, 5, -3, 12)})
    yield "total zero", shape({**pair, "total_tokens": 0}, reported(10, 5, 0))
    yield "all zero", shape(dict.fromkeys(whole, 0), reported(0, 0, 0))
    yield "only prompt", shape({"prompt_tokens": 10}, reported(10, None, 10), {None: Share(10, 0, 0, 10)})
    yield "only completion", shape({"completion_tokens": 5}, reported(None, 5, 5))
    yield "only total", shape({"total_tokens": 15}, total_only(15), {None: Share(0, 0, 15, 15)})
    yield "completion null", shape({"prompt_tokens": 10, "completion_tokens": None}, reported(10, None, 10))
    yield "nulls decide nothing", shape(nulls, total_only(7), tokens=7)
    yield "nulls, then calls", shape({**nulls, "llm_calls": MIXED}, reported(2080, 256, 2336), OF_MIXED)
    yield (
        "later shapes are not tried",
        shape({**whole, "llm_calls": "bad"}, reported(10, 5, 15), tokens="bad"),
    )
    yield "over calls that agree", shape(
        {"prompt_tokens": 2080, "completion_tokens": 256, "total_tokens": 2400, "llm_calls": MIXED},
        reported(2080, 256, 2400), {**OF_MIXED, "large": Share(1600, 201, 64, 1865)},
    )  # fmt: skip
    yield (
        "over calls that differ",
        shape({**whole, "llm_calls": MIXED}, reported(10, 5, 15), {"large": Share(10, 5, 0, 15)}),
    )
    yield "over calls that make no sense", shape(
        {**whole, "llm_calls": [call("x", "large", {"prompt": -1}), call("x", "huge", {"prompt": 11})]},
        reported(10, 5, 15), {"huge": Share(10, 5, 0, 15)},
    )  # fmt: skip


def _calls() -> Iterator[tuple[str, Shape]]:
    def shape(metadata: object, event: Event, split: Split | None = None) -> Shape:
        return Shape(json.dumps(metadata), event, split)

    all_calls, spent = reported(2080, 256, 2336), reported(1900, 235, 2135)
    yield "three spellings", shape(logged(MIXED), all_calls, OF_MIXED)
    yield "tokens of the main call", shape({**logged(MIXED), "tokens": 1801}, all_calls, OF_MIXED)
    yield "tokens of all calls", shape({**logged(MIXED), "tokens": 2336}, all_calls, OF_MIXED)
    yield "tokens of all calls, as text", shape({**logged(MIXED), "tokens": "2336"}, all_calls, OF_MIXED)
    yield "tokens above the main call", shape(
        {**logged(MIXED), "tokens": 2000}, reported(2080, 256, 2535),
        {**OF_MIXED, "large": Share(1600, 201, 199, 2000)},
    )  # fmt: skip
    yield "tokens below the main call", shape({**logged(MIXED), "tokens": 100}, all_calls, OF_MIXED)
    yield "tokens zero", shape({**logged(MIXED), "tokens": 0}, all_calls)
    yield "tokens null", shape({**logged(MIXED), "tokens": None}, all_calls)
    yield "cached", shape(logged(MIXED, **CACHED), spent, OF_SPENT)
    yield (
        "cached, tokens of the main call",
        shape({**logged(MIXED, **CACHED), "tokens": 1801}, spent, OF_SPENT),
    )
    yield "cached, tokens of all calls", shape({**logged(MIXED, **CACHED), "tokens": 2336}, spent, OF_SPENT)
    yield (
        "cached, tokens above",
        shape({**logged(MIXED, **CACHED), "tokens": 2000}, reported(1900, 235, 2334)),
    )
    yield (
        "cached, tokens of the spent calls",
        shape({**logged(MIXED, **CACHED), "tokens": 2135}, spent, OF_SPENT),
    )
    other: Split = {"tiny": OF_INTENT, "large": OF_MAIN}
    first = logged(MIXED, contextual_awareness={"from_cache": True})
    yield "cached first, tokens of the spent calls", shape(
        {**first, "tokens": 2002}, reported(1780, 222, 2002), other
    )  # fmt: skip
    yield "cached first, tokens of the spent calls, as 2002.0", shape(
        {**first, "tokens": 2002.0}, reported(1780, 222, 2002), other
    )  # fmt: skip
    yield "cached first, tokens one above the spent calls", shape(
        {**first, "tokens": 2003}, reported(1780, 222, 2204),
        {"tiny": OF_INTENT, "large": Share(1600, 201, 202, 2003)},
    )  # fmt: skip
    yield "cached, tokens of the spent helpers alone", shape(
        {**logged([CONTEXT, INTENT], **CACHED), "tokens": 334}, reported(300, 34, 334),
        {"small": OF_CONTEXT},
    )  # fmt: skip
    both = {**CACHED, "contextual_awareness": {"from_cache": True}}
    yield "both cached", shape(logged(MIXED, **both), reported(1600, 201, 1801), {"large": OF_MAIN})
    yield (
        "nothing but a cached helper",
        shape(logged([INTENT], **CACHED), Event("total_only", None, None, 0), {None: NOTHING}),
    )
    for name, kept in {
        "text": {"from_cache": "true"}, "one": {"from_cache": 1}, "false": {"from_cache": False},
        "null": {"from_cache": None}, "absent": {}, "no object": True, "a list": [{"from_cache": True}],
    }.items():  # fmt: skip
        yield f"from_cache {name}", shape(logged(MIXED, intent_classification=kept), all_calls, OF_MIXED)
    yield "a main call is never cached", shape(logged([MAIN], final_response={"from_cache": True}),
        reported(1600, 201, 1801), {"large": OF_MAIN})  # fmt: skip
    yield "helpers alone", shape(logged([CONTEXT]), reported(300, 34, 334), {"small": OF_CONTEXT})
    yield "helpers alone, and tokens", shape(
        {**logged([CONTEXT]), "tokens": 500}, reported(300, 34, 834),
        {"small": OF_CONTEXT, None: Share(0, 0, 500, 500)},
    )  # fmt: skip
    yield "one model in two calls", shape(
        logged([call("draft", "large", {"prompt": 1, "completion": 2}), MAIN]),
        reported(1601, 203, 1804), {"large": Share(1601, 203, 0, 1804)},
    )  # fmt: skip
    nameless = {"stage": "final_response", "response": {"usage": {"prompt": 4, "completion": 1}}}
    yield "a call without model", shape(logged([nameless]), reported(4, 1, 5), {None: Share(4, 1, 0, 5)})
    responses: Mapping[str, Mapping[str, object]] = {
        "no response": {}, "usage null": {"usage": None}, "an error": {"error": "overloaded"},
    }  # fmt: skip
    for name, response in responses.items():
        tried = failed("broken", **response)
        yield (
            f"failed call, {name}",
            shape(logged([CONTEXT, tried, MAIN]), reported(1900, 235, 2135), OF_SPENT),
        )
        yield f"failed calls alone, {name}", shape({**logged([tried, tried]), "tokens": 7}, total_only(7))
    yield "failed calls and no tokens", shape(logged([failed("broken")]), MISSING, {"broken": NOTHING})
    yield "failed call, response null", shape(logged([{"response": None}, MAIN]), reported(1600, 201, 1801))
    yield "a stage that is no text", shape(logged([{**INTENT, "stage": 1}, {**CONTEXT, "stage": None}],
        **CACHED), reported(480, 55, 535))  # fmt: skip
    yield "no calls", shape(logged([]), MISSING, {None: NOTHING})
    yield "no calls, and tokens", shape({**logged([]), "tokens": 7}, total_only(7), {None: Share(0, 0, 7, 7)})
    yield "calls null", shape({**logged(None), "tokens": 7}, total_only(7))
    yield "calls that are no objects", shape({**logged([1, "x", None, [], True]), "tokens": 7}, total_only(7))
    yield "an empty usage", shape(logged([call("x", "large", {})]), MISSING)
    yield (
        "an empty usage, and tokens",
        shape({**logged([call("x", "large", {})]), "tokens": 7}, total_only(7), {"large": Share(0, 0, 7, 7)}),
    )
    totals = [call("contextual_awareness", "small", {"total": 50}), call("x", "large", {"total_tokens": 100})]
    yield (
        "totals alone",
        shape(logged(totals), total_only(150), {"small": NOTHING, "large": Share(0, 0, 150, 150)}),
    )
    prompts = [
        call("contextual_awareness", "small", {"prompt": 300}),
        call("x", "large", {"input_tokens": 10}),
    ]
    yield (
        "prompts alone",
        shape(
            logged(prompts),
            reported(310, None, 310),
            {"small": Share(300, 0, 0, 300), "large": Share(10, 0, 0, 10)},
        ),
    )
    yield "an answer, then a failed call", shape(logged([MAIN, failed("broken")]),
        reported(1600, 201, 1801), {"large": OF_MAIN})  # fmt: skip
    yield "an answer, then a failed call, tokens above", shape(
        {**logged([MAIN, failed("broken")]), "tokens": 2000},
        reported(1600, 201, 2000), {"large": Share(1600, 201, 199, 2000)},
    )  # fmt: skip
    yield "prompt and total", shape(
        logged([call("x", "large", {"prompt": 40, "total": 50})]),
        reported(40, None, 50), {"large": Share(40, 0, 10, 50)},
    )  # fmt: skip
    yield "a total that differs", shape(
        logged([call("x", "large", {"prompt": 10, "completion": 5, "total": 20})]),
        reported(10, 5, 20), {"large": Share(10, 5, 5, 20)},
    )  # fmt: skip
    gaps = {"prompt_tokens": None, "prompt": None, "input_tokens": 9, "completion": 1}
    yield (
        "null under one spelling, a count under the next",
        shape(logged([call("x", "large", gaps)]), reported(9, 1, 10)),
    )
    rivals = {"input_tokens": 100, "prompt": 50, "prompt_tokens": 9, "output_tokens": 1}
    yield "the first spelling wins", shape(logged([call("x", "large", rivals)]), reported(9, 1, 10))


def _others() -> Iterator[tuple[str, Shape]]:
    def shape(metadata: object, event: Event) -> Shape:
        return Shape(json.dumps(metadata), event)

    yield "SQL NULL", Shape(None, MISSING, {None: NOTHING})
    yield "tokens", Shape('{"tokens": 42}', total_only(42), {None: Share(0, 0, 42, 42)})
    yield "tokens null", shape({"tokens": None}, MISSING)
    whole: tuple[object, ...] = (None, {}, [], [{"tokens": 5}], "tokens", '{"tokens": 5}', 12, True)
    for metadata in whole:
        yield f"metadata is {json.dumps(metadata)}", shape(metadata, MISSING)
    parts: tuple[object, ...] = (None, {}, [], [{"prompt_tokens": 5}], "x", '{"prompt_tokens": 5}', 12, False)
    for details in parts:
        metadata = {"processingDetails": details, "tokens": 42}
        yield f"details are {json.dumps(details)}", shape(metadata, total_only(42))
    yield "keys one level too high", shape({"prompt_tokens": 5, "llm_calls": MIXED}, MISSING)
    yield "tokens one level too low", shape({"processingDetails": {"tokens": 5}}, MISSING)


def _refused() -> Iterator[tuple[str, Shape]]:
    listed = "processingDetails.llm_calls"

    def shape(metadata: object, field: str, value: str | None, split: Split | None = None) -> Shape:
        return Shape(json.dumps(metadata), REFUSED, split, field, value)

    lists: tuple[object, ...] = ({}, {"0": MAIN}, "[]", 3, True, False)
    for calls in lists:
        text = calls if isinstance(calls, str) else json.dumps(calls)
        yield (
            f"calls are {text[:9]}",
            shape({**logged(calls), "tokens": 7}, listed, text[:40], {None: NOTHING}),
        )
    usages: tuple[object, ...] = ("n/a", [], [5], 12, False)
    for usage in usages:
        text = usage if isinstance(usage, str) else json.dumps(usage)
        refused = shape(logged([MAIN, call("x", "huge", usage)]), f"{listed}[1].response.usage", text)
        yield f"usage is {text}", refused
    yield (
        "calls are no list and tokens make no sense",
        shape({**logged("bad"), "tokens": "bad"}, listed, "bad"),
    )
    yield "calls are null and tokens make no sense", shape({**logged(None), "tokens": "bad"}, "tokens", "bad")
    yield "no calls and tokens make no sense", shape({**logged([]), "tokens": "bad"}, "tokens", "bad")
    yield (
        "calls that count, tokens that make no sense",
        shape({**logged(MIXED), "tokens": -1}, "tokens", "-1", {"large": NOTHING}),
    )
    yield (
        "a failed call, tokens that make no sense",
        shape({**logged([failed("x")]), "tokens": ""}, "tokens", ""),
    )
    bad = call("intent_classification", "tiny", {"prompt": 180, "completion": "n/a", "total": 201})
    yield (
        "a cached helper that makes no sense",
        shape(logged([CONTEXT, bad, MAIN], **CACHED), f"{listed}[1].response.usage.completion", "n/a"),
    )
    worse = call("x", "huge", {"output_tokens": -2, "input_tokens": -1})
    yield (
        "the first of several offences",
        shape({**logged([1, worse, bad]), "tokens": -3}, f"{listed}[1].response.usage.input_tokens", "-1"),
    )
    late, early = call("x", "large", {"prompt": 1, "total": "-"}), call("x", "large", {"prompt": "-"})
    yield (
        "the first by call, then by key",
        shape(logged([late, early]), f"{listed}[0].response.usage.total", "-"),
    )
    twelve = [call("x", "large", {"total": -number}) for number in (0, *[0] * 9, 10, 11)]
    yield (
        "the first by number, not by text",
        shape(logged(twelve), f"{listed}[10].response.usage.total", "-10"),
    )
    yield "documented before calls", shape(
        {"processingDetails": {"total_tokens": -3, "prompt_tokens": -1, "llm_calls": 4}},
        "processingDetails.prompt_tokens", "-1",
    )  # fmt: skip
    yield "a total does not hide a bad split", shape(
        {"processingDetails": {"total_tokens": 15, "prompt_tokens": 10, "completion_tokens": "5 tokens"}},
        "processingDetails.completion_tokens", "5 tokens",
    )  # fmt: skip
    yield (
        "a good call's total does not hide its bad split",
        shape(
            logged([call("x", "large", {"prompt": "many", "total": 15})]),
            f"{listed}[0].response.usage.prompt",
            "many",
        ),
    )


ACCEPTED_VALUES: Final[Mapping[str, int]] = {
    "12": 12, "0": 0, "-0": 0, "-0.0": 0, "0e5": 0, "12.0": 12, "12.000000000000000000000": 12,
    "1e3": 1000, "1.2e1": 12, "1200e-2": 12, "1000000000000": 10**12, "1e12": 10**12,
    "1000000000000.0": 10**12, '"12"': 12, '"0"': 0, '"0000000000012"': 12, '"0000000000000"': 0,
    '"1000000000000"': 10**12, '"999999999999"': 10**12 - 1,
}  # fmt: skip

REFUSED_VALUES: Final = (
    "1000000000001", "1e13", "1000000000000.5", "9999999999999", "99999999999999999999",
    "-5", "-1e12", "-0.5", "12.5", "1e-3", "1e400", "-1e400", "1e-400",
    "true", "false", "{}", '{"value": 12}', "[]", "[12]",
    '""', '" "', '"abc"', '"0x10"', '" 12 "', '"12 "', '"12\\n"', '"\\t12"', '"12\\u00a0"',
    '"1_000"', '"1,000"', '"+7"', '"-7"', '"-0"', '"12.0"', '"1e3"', '"NaN"', '"Infinity"', '"null"',
    '"true"', '"1000000000001"', '"9999999999999"', '"00000000000012"',
    '"\\u0661\\u0662"', '"\\uff11\\uff12"', '"\\u00b2"',
    '"12 thousand tokens, more or less; nobody wrote down how many"',
)  # fmt: skip

Reading = Callable[[int | None], Event]


def _plus(value: int | None, other: int) -> int:
    return other if value is None else value + other


def _in_usage(key: str, others: str) -> str:
    main = f'{{"request": {{"model": "large"}}, "response": {{"usage": {{{others}"{key}": VALUE}}}}}}'
    return f'{{"processingDetails": {{"llm_calls": [{json.dumps(CONTEXT)}, {main}]}}}}'


def _in_details(key: str, others: str) -> str:
    return f'{{"processingDetails": {{{others}"{key}": VALUE}}}}'


def _places() -> Iterator[tuple[str, str, Reading]]:
    """Where a count may stand: its field, the metadata around it, and what a count there amounts to."""
    details, usage = "processingDetails.", "processingDetails.llm_calls[1].response.usage."
    yield (
        details + "prompt_tokens",
        _in_details("prompt_tokens", '"completion_tokens": 5, '),
        (lambda value: reported(value, 5, _plus(value, 5))),
    )
    yield (
        details + "completion_tokens",
        _in_details("completion_tokens", '"prompt_tokens": 10, '),
        (lambda value: reported(10, value, _plus(value, 10))),
    )
    yield (
        details + "total_tokens",
        _in_details("total_tokens", '"prompt_tokens": 10, '),
        (lambda value: reported(10, None, 10 if value is None else value)),
    )
    for key in ("prompt_tokens", "prompt", "input_tokens"):
        yield (
            usage + key,
            _in_usage(key, '"completion": 5, '),
            (lambda value: reported(_plus(value, 300), 39, _plus(value, 339))),
        )
    for key in ("completion_tokens", "completion", "output_tokens"):
        yield (
            usage + key,
            _in_usage(key, '"prompt": 10, '),
            (lambda value: reported(310, _plus(value, 34), _plus(value, 344))),
        )
    for key in ("total_tokens", "total"):
        yield (
            usage + key,
            _in_usage(key, '"prompt": 10, '),
            (lambda value: reported(310, 34, 344 if value is None else value + 334)),
        )
    yield "tokens", '{"tokens": VALUE}', lambda value: MISSING if value is None else total_only(value)


def _values() -> Iterator[tuple[str, Shape]]:
    """Each value in each place; where no spelling has a count, the last one is named."""
    for field, template, reading in _places():
        yield f"null in {field}", Shape(template.replace("VALUE", "null"), reading(None))
        for text, count in ACCEPTED_VALUES.items():
            yield f"{text} in {field}", Shape(template.replace("VALUE", text), reading(count))
        for text in REFUSED_VALUES:
            value = json.loads(text)[:40] if text.startswith('"') else None
            yield f"{text} in {field}", Shape(template.replace("VALUE", text), REFUSED, None, field, value)


def _named() -> Iterator[tuple[str, Shape]]:
    for room in (_documented, _calls, _others, _refused, _values):
        yield from ((f"{room.__name__.strip('_')}: {name}", shape) for name, shape in room())


SHAPES: Final[Mapping[str, Shape]] = dict(_named())
