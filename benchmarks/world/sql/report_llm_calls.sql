-- bench.report: what an answer says of itself, in 0.7 to 1.5 kB of JSON: the calls of the model behind it, two helpers,
-- then one or two that wrote it. Their usage takes each of the three forms.
create function bench.report(number bigint, prompt_tokens bigint, completion_tokens bigint, length int, filler text)
returns text
language sql immutable parallel safe
as $$
  select
    '{"tokens": ' || report.prompt_tokens + report.completion_tokens
    || ', "processing_time_ms": ' || 900 + report.length * 7
    || ', "processingDetails": {"contextual_awareness": {"from_cache": '
    || case when report.length % 4 = 0 then 'true' else 'false' end
    || '}, "llm_calls": ['
    || '{"stage": "contextual_awareness", "duration_ms": 112, "request": {"model": "gpt-4o-mini", "temperature": 0}'
    || ', "response": {"id": "' || pg_catalog.md5('c1' || report.number)
    || '", "usage": {"prompt_tokens": 210, "completion_tokens": 12, "total_tokens": 222}}}'
    || ', {"stage": "intent_classification", "duration_ms": 87, "request": {"model": "gpt-4o-mini", "temperature": 0}'
    || ', "response": {"id": "' || pg_catalog.md5('c2' || report.number)
    || '", "usage": {"input_tokens": 180, "output_tokens": 6}}}'
    || case when report.length % 3 = 0 then
      ', {"stage": "draft", "duration_ms": 390, "request": {"model": "gpt-4o", "temperature": 0.2}'
      || ', "response": {"id": "' || pg_catalog.md5('c3' || report.number) || '", "usage": {"prompt": 150, "completion": 30'
      || ', "total": 180}}}' else '' end
    || ', {"stage": "answer", "duration_ms": 740, "request": {"model": "gpt-4o", "temperature": 0.2}'
    || ', "response": {"id": "' || pg_catalog.md5('c4' || report.number) || '", "usage": {"prompt_tokens": '
    || report.prompt_tokens || ', "completion_tokens": ' || report.completion_tokens || ', "total_tokens": '
    || report.prompt_tokens + report.completion_tokens || '}}}]'
    || ', "summary": "' || pg_catalog.left(report.filler, (report.length * 0.8)::int) || '"}}'
$$
