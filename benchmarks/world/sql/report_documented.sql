-- bench.report: what an answer says of itself, in 0.7 to 1.5 kB of JSON: its tokens in the documented shape.
create function bench.report(number bigint, prompt_tokens bigint, completion_tokens bigint, length int, filler text)
returns text
language sql immutable parallel safe
as $$
  select
    '{"tokens": ' || report.prompt_tokens + report.completion_tokens
    || ', "model": "gpt-4o", "processing_time_ms": ' || 900 + report.length * 7
    || ', "processingDetails": {"prompt_tokens": ' || report.prompt_tokens
    || ', "completion_tokens": ' || report.completion_tokens
    || ', "total_tokens": ' || report.prompt_tokens + report.completion_tokens
    || ', "pipeline": "retrieve-rerank-answer", "temperature": 0.2, "finish_reason": "stop"'
    || ', "documents": ["' || pg_catalog.md5('d1' || report.number) || '", "' || pg_catalog.md5('d2' || report.number)
    || '", "' || pg_catalog.md5('d3' || report.number) || '"]'
    || ', "stages": {"retrieval": {"ms": 112, "hits": 24}, "rerank": {"ms": 87, "kept": 3}, "answer": {"ms": 740}}'
    || ', "summary": "' || pg_catalog.left(report.filler, 230 + (report.length * 1.5)::int) || '"}}'
$$
