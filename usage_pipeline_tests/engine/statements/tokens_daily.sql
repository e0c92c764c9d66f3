-- tokens_daily: a period that is open
WITH computed AS materialized
(SELECT CAST(raw.user_id AS UUID) AS user_id, CAST(raw.total_prompt_tokens AS BIGINT) AS total_prompt_tokens,
  CAST(raw.total_completion_tokens AS BIGINT) AS total_completion_tokens,
  CAST(raw.total_tokens AS BIGINT) AS total_tokens, CAST(raw.message_count AS BIGINT) AS message_count,
  CAST(raw.unmetered_message_count AS BIGINT) AS unmetered_message_count,
  CAST(raw.refused_message_count AS BIGINT) AS refused_message_count,
  CAST(cardinality(raw.conversation_ids) AS BIGINT) AS conversation_count,
  CAST(raw.agent_ids AS UUID[]) AS agent_ids, CAST(raw.conversation_ids AS UUID[]) AS conversation_ids,
  CAST(raw.last_activity AS TIMESTAMP WITH TIME ZONE) AS last_activity,
  raw.total_only_message_count AS total_only_message_count
FROM usage_private.tokens_of_window(:window_start, :covered_until, CAST(NULL AS UUID)) AS raw),
inserted AS
(INSERT INTO usage.user_token_usage (period_type, period_start, period_end, user_id, total_prompt_tokens,
  total_completion_tokens, total_tokens, message_count, unmetered_message_count, refused_message_count,
  conversation_count, agent_ids, conversation_ids, last_activity, id) SELECT 'daily' AS anon_1,
  :window_start AS anon_2, :window_end AS anon_3, computed.user_id AS user_id,
  computed.total_prompt_tokens AS total_prompt_tokens,
  computed.total_completion_tokens AS total_completion_tokens, computed.total_tokens AS total_tokens,
  computed.message_count AS message_count, computed.unmetered_message_count AS unmetered_message_count,
  computed.refused_message_count AS refused_message_count, computed.conversation_count AS conversation_count,
  computed.agent_ids AS agent_ids, computed.conversation_ids AS conversation_ids,
  computed.last_activity AS last_activity, CAST(md5(concat('daily', EXTRACT(epoch FROM :window_start),
  computed.user_id)) AS UUID) AS md5_1
FROM computed
WHERE NOT (EXISTS (SELECT stored.period_start
FROM usage.user_token_usage AS stored
WHERE stored.period_type = 'daily' AND stored.period_start >= :window_start
  AND stored.period_start < :window_end AND stored.user_id = computed.user_id)) ORDER BY computed.user_id
  RETURNING usage.user_token_usage.user_id, usage.user_token_usage.total_prompt_tokens,
  usage.user_token_usage.total_completion_tokens, usage.user_token_usage.total_tokens,
  usage.user_token_usage.message_count, usage.user_token_usage.unmetered_message_count,
  usage.user_token_usage.refused_message_count, usage.user_token_usage.conversation_count,
  usage.user_token_usage.agent_ids, usage.user_token_usage.conversation_ids,
  usage.user_token_usage.last_activity),
updated AS
(UPDATE usage.user_token_usage SET total_prompt_tokens=computed.total_prompt_tokens,
  total_completion_tokens=computed.total_completion_tokens, total_tokens=computed.total_tokens,
  message_count=computed.message_count, unmetered_message_count=computed.unmetered_message_count,
  refused_message_count=computed.refused_message_count, conversation_count=computed.conversation_count,
  agent_ids=computed.agent_ids, conversation_ids=computed.conversation_ids,
  last_activity=computed.last_activity, updated_at=now() FROM computed
  WHERE usage.user_token_usage.period_type = 'daily' AND usage.user_token_usage.period_start >= :window_start
  AND usage.user_token_usage.period_start < :window_end AND usage.user_token_usage.user_id = computed.user_id
  AND (usage.user_token_usage.total_prompt_tokens, usage.user_token_usage.total_completion_tokens,
  usage.user_token_usage.total_tokens, usage.user_token_usage.message_count,
  usage.user_token_usage.unmetered_message_count, usage.user_token_usage.refused_message_count,
  usage.user_token_usage.conversation_count, usage.user_token_usage.agent_ids,
  usage.user_token_usage.conversation_ids, usage.user_token_usage.last_activity) IS DISTINCT
  FROM (computed.total_prompt_tokens, computed.total_completion_tokens, computed.total_tokens,
  computed.message_count, computed.unmetered_message_count, computed.refused_message_count,
  computed.conversation_count, computed.agent_ids, computed.conversation_ids, computed.last_activity)
  RETURNING usage.user_token_usage.user_id, usage.user_token_usage.total_prompt_tokens,
  usage.user_token_usage.total_completion_tokens, usage.user_token_usage.total_tokens,
  usage.user_token_usage.message_count, usage.user_token_usage.unmetered_message_count,
  usage.user_token_usage.refused_message_count, usage.user_token_usage.conversation_count,
  usage.user_token_usage.agent_ids, usage.user_token_usage.conversation_ids,
  usage.user_token_usage.last_activity),
deleted AS
(DELETE FROM usage.user_token_usage WHERE usage.user_token_usage.period_type = 'daily'
  AND usage.user_token_usage.period_start >= :window_start
  AND usage.user_token_usage.period_start < :window_end AND NOT (EXISTS (SELECT computed.user_id
FROM computed
WHERE usage.user_token_usage.user_id = computed.user_id)) RETURNING usage.user_token_usage.user_id),
hours AS
(SELECT CAST(EXTRACT(epoch FROM counts.starts - :window_start) / CAST(3600 AS NUMERIC) AS INTEGER) AS hour,
  counts.source_rows AS source_rows
FROM (SELECT date_bin(CAST('1 hour' AS INTERVAL), event.occurred_at, :window_start) AS starts,
  count(*) AS source_rows
FROM usage.token_events(:window_start, :covered_until) AS event GROUP BY starts) AS counts),
changed AS
(SELECT inserted.user_id AS user_id
FROM inserted UNION ALL SELECT updated.user_id AS user_id
FROM updated UNION ALL SELECT deleted.user_id AS user_id
FROM deleted),
after AS
(SELECT inserted.user_id AS user_id, inserted.total_prompt_tokens AS total_prompt_tokens,
  inserted.total_completion_tokens AS total_completion_tokens, inserted.total_tokens AS total_tokens,
  inserted.message_count AS message_count, inserted.unmetered_message_count AS unmetered_message_count,
  inserted.refused_message_count AS refused_message_count, inserted.conversation_count AS conversation_count,
  inserted.agent_ids AS agent_ids, inserted.conversation_ids AS conversation_ids,
  inserted.last_activity AS last_activity
FROM inserted UNION ALL SELECT updated.user_id AS user_id,
  updated.total_prompt_tokens AS total_prompt_tokens,
  updated.total_completion_tokens AS total_completion_tokens, updated.total_tokens AS total_tokens,
  updated.message_count AS message_count, updated.unmetered_message_count AS unmetered_message_count,
  updated.refused_message_count AS refused_message_count, updated.conversation_count AS conversation_count,
  updated.agent_ids AS agent_ids, updated.conversation_ids AS conversation_ids,
  updated.last_activity AS last_activity
FROM updated UNION ALL SELECT computed.user_id AS user_id,
  computed.total_prompt_tokens AS total_prompt_tokens,
  computed.total_completion_tokens AS total_completion_tokens, computed.total_tokens AS total_tokens,
  computed.message_count AS message_count, computed.unmetered_message_count AS unmetered_message_count,
  computed.refused_message_count AS refused_message_count, computed.conversation_count AS conversation_count,
  computed.agent_ids AS agent_ids, computed.conversation_ids AS conversation_ids,
  computed.last_activity AS last_activity
FROM computed
WHERE NOT (EXISTS (SELECT changed.user_id
FROM changed
WHERE changed.user_id = computed.user_id)))
SELECT (SELECT count(*) AS count_1
FROM inserted) AS inserted, (SELECT count(*) AS count_2
FROM updated) AS updated, (SELECT count(*) AS count_3
FROM deleted) AS deleted, (SELECT CAST(coalesce(sum(hours.source_rows), 0) AS BIGINT) AS coalesce_1
FROM hours) AS source_rows, (SELECT jsonb_object_agg(hours.hour, hours.source_rows) AS jsonb_object_agg_1
FROM hours) AS hourly_rows, (SELECT CAST(coalesce(sum(computed.message_count), 0) AS BIGINT) AS coalesce_2
FROM computed) AS computed_rows, (SELECT jsonb_build_object('unattributed',
  coalesce(sum(computed.message_count) FILTER (WHERE computed.user_id = '00000000-0000-0000-0000-000000000000'),
  0), 'total_only', coalesce(sum(computed.total_only_message_count), 0), 'unmetered',
  coalesce(sum(computed.unmetered_message_count), 0), 'refused',
  coalesce(sum(computed.refused_message_count), 0)) AS jsonb_build_object_1
FROM computed) AS computed_states, count(*) AS stored_rows, jsonb_build_object('total_prompt_tokens',
  coalesce(sum(after.total_prompt_tokens), 0), 'total_completion_tokens',
  coalesce(sum(after.total_completion_tokens), 0), 'total_tokens', coalesce(sum(after.total_tokens), 0),
  'message_count', coalesce(sum(after.message_count), 0), 'unmetered_message_count',
  coalesce(sum(after.unmetered_message_count), 0), 'refused_message_count',
  coalesce(sum(after.refused_message_count), 0), 'conversation_count',
  coalesce(sum(after.conversation_count), 0)) AS totals, jsonb_build_object('unattributed',
  coalesce(sum(after.message_count) FILTER (WHERE after.user_id = '00000000-0000-0000-0000-000000000000'),
  0), 'unmetered', coalesce(sum(after.unmetered_message_count), 0), 'refused',
  coalesce(sum(after.refused_message_count), 0)) AS states,
  'v2:' || CAST(coalesce(sum(hash_record_extended(row(after.user_id, after.total_prompt_tokens,
  after.total_completion_tokens, after.total_tokens, after.message_count, after.unmetered_message_count,
  after.refused_message_count, after.conversation_count, after.agent_ids, after.conversation_ids,
  after.last_activity), CAST(0 AS BIGINT))), 0) AS TEXT) AS checksum
FROM after;

-- tokens_daily: a sealed period: changes are recorded, and a unit that the source has less of is kept
WITH computed AS materialized
(SELECT CAST(raw.user_id AS UUID) AS user_id, CAST(raw.total_prompt_tokens AS BIGINT) AS total_prompt_tokens,
  CAST(raw.total_completion_tokens AS BIGINT) AS total_completion_tokens,
  CAST(raw.total_tokens AS BIGINT) AS total_tokens, CAST(raw.message_count AS BIGINT) AS message_count,
  CAST(raw.unmetered_message_count AS BIGINT) AS unmetered_message_count,
  CAST(raw.refused_message_count AS BIGINT) AS refused_message_count,
  CAST(cardinality(raw.conversation_ids) AS BIGINT) AS conversation_count,
  CAST(raw.agent_ids AS UUID[]) AS agent_ids, CAST(raw.conversation_ids AS UUID[]) AS conversation_ids,
  CAST(raw.last_activity AS TIMESTAMP WITH TIME ZONE) AS last_activity,
  raw.total_only_message_count AS total_only_message_count
FROM usage_private.tokens_of_window(:window_start, :covered_until, CAST(NULL AS UUID)) AS raw),
before AS materialized
(SELECT stored.user_id AS user_id, stored.total_prompt_tokens AS total_prompt_tokens,
  stored.total_completion_tokens AS total_completion_tokens, stored.total_tokens AS total_tokens,
  stored.message_count AS message_count, stored.unmetered_message_count AS unmetered_message_count,
  stored.refused_message_count AS refused_message_count, stored.conversation_count AS conversation_count,
  stored.agent_ids AS agent_ids, stored.conversation_ids AS conversation_ids,
  stored.last_activity AS last_activity
FROM usage.user_token_usage AS stored
WHERE stored.period_type = 'daily' AND stored.period_start >= :window_start
  AND stored.period_start < :window_end),
passes AS
(SELECT "new".unit AS unit
FROM (SELECT computed.user_id AS unit, computed.message_count AS message_count,
  computed.conversation_count AS conversation_count, computed.total_tokens AS total_tokens,
  computed.unmetered_message_count AS unmetered_message_count,
  computed.refused_message_count AS refused_message_count
FROM computed) AS "new" LEFT OUTER JOIN (SELECT before.user_id AS unit,
  before.message_count AS message_count, before.conversation_count AS conversation_count,
  before.total_tokens AS total_tokens, before.unmetered_message_count AS unmetered_message_count,
  before.refused_message_count AS refused_message_count
FROM before) AS "old" ON "old".unit = "new".unit
WHERE "new".message_count >= coalesce("old".message_count, 0)
  AND "new".conversation_count >= coalesce("old".conversation_count, 0)
  AND "new".total_tokens >= coalesce("old".total_tokens, 0)),
inserted AS
(INSERT INTO usage.user_token_usage (period_type, period_start, period_end, user_id, total_prompt_tokens,
  total_completion_tokens, total_tokens, message_count, unmetered_message_count, refused_message_count,
  conversation_count, agent_ids, conversation_ids, last_activity, id) SELECT 'daily' AS anon_7,
  :window_start AS anon_2, :window_end AS anon_8, computed.user_id AS user_id,
  computed.total_prompt_tokens AS total_prompt_tokens,
  computed.total_completion_tokens AS total_completion_tokens, computed.total_tokens AS total_tokens,
  computed.message_count AS message_count, computed.unmetered_message_count AS unmetered_message_count,
  computed.refused_message_count AS refused_message_count, computed.conversation_count AS conversation_count,
  computed.agent_ids AS agent_ids, computed.conversation_ids AS conversation_ids,
  computed.last_activity AS last_activity, CAST(md5(concat('daily', EXTRACT(epoch FROM :window_start),
  computed.user_id)) AS UUID) AS md5_1
FROM computed
WHERE (EXISTS (SELECT passes.unit
FROM passes
WHERE passes.unit = computed.user_id)) AND NOT (EXISTS (SELECT stored.period_start
FROM usage.user_token_usage AS stored
WHERE stored.period_type = 'daily' AND stored.period_start >= :window_start
  AND stored.period_start < :window_end AND stored.user_id = computed.user_id)) ORDER BY computed.user_id
  RETURNING usage.user_token_usage.user_id, usage.user_token_usage.total_prompt_tokens,
  usage.user_token_usage.total_completion_tokens, usage.user_token_usage.total_tokens,
  usage.user_token_usage.message_count, usage.user_token_usage.unmetered_message_count,
  usage.user_token_usage.refused_message_count, usage.user_token_usage.conversation_count,
  usage.user_token_usage.agent_ids, usage.user_token_usage.conversation_ids,
  usage.user_token_usage.last_activity),
updated AS
(UPDATE usage.user_token_usage SET total_prompt_tokens=computed.total_prompt_tokens,
  total_completion_tokens=computed.total_completion_tokens, total_tokens=computed.total_tokens,
  message_count=computed.message_count, unmetered_message_count=computed.unmetered_message_count,
  refused_message_count=computed.refused_message_count, conversation_count=computed.conversation_count,
  agent_ids=computed.agent_ids, conversation_ids=computed.conversation_ids,
  last_activity=computed.last_activity, updated_at=now() FROM computed
  WHERE usage.user_token_usage.period_type = 'daily' AND usage.user_token_usage.period_start >= :window_start
  AND usage.user_token_usage.period_start < :window_end AND usage.user_token_usage.user_id = computed.user_id
  AND (EXISTS (SELECT passes.unit
FROM passes
WHERE usage.user_token_usage.user_id = passes.unit)) AND (usage.user_token_usage.total_prompt_tokens,
  usage.user_token_usage.total_completion_tokens, usage.user_token_usage.total_tokens,
  usage.user_token_usage.message_count, usage.user_token_usage.unmetered_message_count,
  usage.user_token_usage.refused_message_count, usage.user_token_usage.conversation_count,
  usage.user_token_usage.agent_ids, usage.user_token_usage.conversation_ids,
  usage.user_token_usage.last_activity) IS DISTINCT FROM (computed.total_prompt_tokens,
  computed.total_completion_tokens, computed.total_tokens, computed.message_count,
  computed.unmetered_message_count, computed.refused_message_count, computed.conversation_count,
  computed.agent_ids, computed.conversation_ids, computed.last_activity)
  RETURNING usage.user_token_usage.user_id, usage.user_token_usage.total_prompt_tokens,
  usage.user_token_usage.total_completion_tokens, usage.user_token_usage.total_tokens,
  usage.user_token_usage.message_count, usage.user_token_usage.unmetered_message_count,
  usage.user_token_usage.refused_message_count, usage.user_token_usage.conversation_count,
  usage.user_token_usage.agent_ids, usage.user_token_usage.conversation_ids,
  usage.user_token_usage.last_activity),
deleted AS
(DELETE FROM usage.user_token_usage WHERE usage.user_token_usage.period_type = 'daily'
  AND usage.user_token_usage.period_start >= :window_start
  AND usage.user_token_usage.period_start < :window_end AND (EXISTS (SELECT passes.unit
FROM passes
WHERE usage.user_token_usage.user_id = passes.unit)) AND NOT (EXISTS (SELECT computed.user_id
FROM computed
WHERE usage.user_token_usage.user_id = computed.user_id)) RETURNING usage.user_token_usage.user_id),
changed AS
(SELECT inserted.user_id AS user_id
FROM inserted UNION ALL SELECT updated.user_id AS user_id
FROM updated UNION ALL SELECT deleted.user_id AS user_id
FROM deleted),
restated AS
(INSERT INTO usage.restatements (rollup, period_start, key, before, after, reason, run_id,
  restated_at) SELECT 'tokens_daily' AS anon_1, :window_start AS anon_2, jsonb_build_object('user_id',
  changed.user_id) AS jsonb_build_object_1,
  CASE WHEN (old_row.user_id IS NOT NULL) THEN jsonb_build_object('total_prompt_tokens',
  old_row.total_prompt_tokens, 'total_completion_tokens', old_row.total_completion_tokens, 'total_tokens',
  old_row.total_tokens, 'message_count', old_row.message_count, 'unmetered_message_count',
  old_row.unmetered_message_count, 'refused_message_count', old_row.refused_message_count,
  'conversation_count', old_row.conversation_count, 'agent_ids',
  array((SELECT unnest(old_row.agent_ids) AS unnest_1 EXCEPT SELECT unnest(new_row.agent_ids) AS unnest_2)),
  'conversation_ids',
  array((SELECT unnest(old_row.conversation_ids) AS unnest_3 EXCEPT SELECT unnest(new_row.conversation_ids) AS unnest_4)),
  'last_activity', old_row.last_activity) END AS anon_3,
  CASE WHEN (new_row.user_id IS NOT NULL) THEN jsonb_build_object('total_prompt_tokens',
  new_row.total_prompt_tokens, 'total_completion_tokens', new_row.total_completion_tokens, 'total_tokens',
  new_row.total_tokens, 'message_count', new_row.message_count, 'unmetered_message_count',
  new_row.unmetered_message_count, 'refused_message_count', new_row.refused_message_count,
  'conversation_count', new_row.conversation_count, 'agent_ids',
  array((SELECT unnest(new_row.agent_ids) AS unnest_5 EXCEPT SELECT unnest(old_row.agent_ids) AS unnest_6)),
  'conversation_ids',
  array((SELECT unnest(new_row.conversation_ids) AS unnest_7 EXCEPT SELECT unnest(old_row.conversation_ids) AS unnest_8)),
  'last_activity', new_row.last_activity) END AS anon_4, :reason AS anon_5, :run_id AS anon_6,
  usage_private.now() AS now_1
FROM changed LEFT OUTER JOIN before AS old_row ON old_row.user_id = changed.user_id
  LEFT OUTER JOIN computed AS new_row ON changed.user_id = new_row.user_id ORDER BY changed.user_id),
hours AS
(SELECT CAST(EXTRACT(epoch FROM counts.starts - :window_start) / CAST(3600 AS NUMERIC) AS INTEGER) AS hour,
  counts.source_rows AS source_rows
FROM (SELECT date_bin(CAST('1 hour' AS INTERVAL), event.occurred_at, :window_start) AS starts,
  count(*) AS source_rows
FROM usage.token_events(:window_start, :covered_until) AS event GROUP BY starts) AS counts),
kept_units AS
(SELECT coalesce("old".unit, "new".unit) AS unit, coalesce("old".message_count,
  0) - coalesce("new".message_count, 0) AS message_count, coalesce("old".conversation_count,
  0) - coalesce("new".conversation_count, 0) AS conversation_count, coalesce("old".total_tokens,
  0) - coalesce("new".total_tokens, 0) AS total_tokens, coalesce("old".unmetered_message_count,
  0) - coalesce("new".unmetered_message_count, 0) AS unmetered_message_count,
  coalesce("old".refused_message_count, 0) - coalesce("new".refused_message_count,
  0) AS refused_message_count
FROM (SELECT before.user_id AS unit, before.message_count AS message_count,
  before.conversation_count AS conversation_count, before.total_tokens AS total_tokens,
  before.unmetered_message_count AS unmetered_message_count,
  before.refused_message_count AS refused_message_count
FROM before) AS "old" FULL OUTER JOIN (SELECT computed.user_id AS unit,
  computed.message_count AS message_count, computed.conversation_count AS conversation_count,
  computed.total_tokens AS total_tokens, computed.unmetered_message_count AS unmetered_message_count,
  computed.refused_message_count AS refused_message_count
FROM computed) AS "new" ON "old".unit = "new".unit
WHERE (coalesce("old".message_count, 0) - coalesce("new".message_count,
  0) != 0 OR coalesce("old".conversation_count, 0) - coalesce("new".conversation_count,
  0) != 0 OR coalesce("old".total_tokens, 0) - coalesce("new".total_tokens,
  0) != 0 OR coalesce("old".unmetered_message_count, 0) - coalesce("new".unmetered_message_count,
  0) != 0 OR coalesce("old".refused_message_count, 0) - coalesce("new".refused_message_count, 0) != 0)
  AND NOT (EXISTS (SELECT passes.unit
FROM passes
WHERE passes.unit = coalesce("old".unit, "new".unit)))),
after AS
(SELECT inserted.user_id AS user_id, inserted.total_prompt_tokens AS total_prompt_tokens,
  inserted.total_completion_tokens AS total_completion_tokens, inserted.total_tokens AS total_tokens,
  inserted.message_count AS message_count, inserted.unmetered_message_count AS unmetered_message_count,
  inserted.refused_message_count AS refused_message_count, inserted.conversation_count AS conversation_count,
  inserted.agent_ids AS agent_ids, inserted.conversation_ids AS conversation_ids,
  inserted.last_activity AS last_activity
FROM inserted UNION ALL SELECT updated.user_id AS user_id,
  updated.total_prompt_tokens AS total_prompt_tokens,
  updated.total_completion_tokens AS total_completion_tokens, updated.total_tokens AS total_tokens,
  updated.message_count AS message_count, updated.unmetered_message_count AS unmetered_message_count,
  updated.refused_message_count AS refused_message_count, updated.conversation_count AS conversation_count,
  updated.agent_ids AS agent_ids, updated.conversation_ids AS conversation_ids,
  updated.last_activity AS last_activity
FROM updated UNION ALL SELECT before.user_id AS user_id, before.total_prompt_tokens AS total_prompt_tokens,
  before.total_completion_tokens AS total_completion_tokens, before.total_tokens AS total_tokens,
  before.message_count AS message_count, before.unmetered_message_count AS unmetered_message_count,
  before.refused_message_count AS refused_message_count, before.conversation_count AS conversation_count,
  before.agent_ids AS agent_ids, before.conversation_ids AS conversation_ids,
  before.last_activity AS last_activity
FROM before
WHERE NOT (EXISTS (SELECT changed.user_id
FROM changed
WHERE changed.user_id = before.user_id)))
SELECT (SELECT count(*) AS count_1
FROM inserted) AS inserted, (SELECT count(*) AS count_2
FROM updated) AS updated, (SELECT count(*) AS count_3
FROM deleted) AS deleted, (SELECT CAST(coalesce(sum(hours.source_rows), 0) AS BIGINT) AS coalesce_1
FROM hours) AS source_rows, (SELECT jsonb_object_agg(hours.hour, hours.source_rows) AS jsonb_object_agg_1
FROM hours) AS hourly_rows, (SELECT CAST(coalesce(sum(computed.message_count), 0) AS BIGINT) AS coalesce_2
FROM computed) AS computed_rows, (SELECT jsonb_build_object('unattributed',
  coalesce(sum(computed.message_count) FILTER (WHERE computed.user_id = '00000000-0000-0000-0000-000000000000'),
  0), 'total_only', coalesce(sum(computed.total_only_message_count), 0), 'unmetered',
  coalesce(sum(computed.unmetered_message_count), 0), 'refused',
  coalesce(sum(computed.refused_message_count), 0)) AS jsonb_build_object_2
FROM computed) AS computed_states,
  (SELECT 'v2:' || CAST(coalesce(sum(hash_record_extended(row(before.user_id, before.total_prompt_tokens,
  before.total_completion_tokens, before.total_tokens, before.message_count, before.unmetered_message_count,
  before.refused_message_count, before.conversation_count, before.agent_ids, before.conversation_ids,
  before.last_activity), CAST(0 AS BIGINT))), 0) AS TEXT) AS anon_9
FROM before) AS checksum_before, (SELECT jsonb_build_object('total_prompt_tokens',
  coalesce(sum(before.total_prompt_tokens), 0), 'total_completion_tokens',
  coalesce(sum(before.total_completion_tokens), 0), 'total_tokens', coalesce(sum(before.total_tokens), 0),
  'message_count', coalesce(sum(before.message_count), 0), 'unmetered_message_count',
  coalesce(sum(before.unmetered_message_count), 0), 'refused_message_count',
  coalesce(sum(before.refused_message_count), 0), 'conversation_count',
  coalesce(sum(before.conversation_count), 0)) AS jsonb_build_object_3
FROM before) AS totals_before, (SELECT count(*) AS count_4
FROM before) AS rows_before, (SELECT CAST(coalesce(sum(kept_units.message_count), 0) AS BIGINT) AS coalesce_3
FROM kept_units) AS kept_rows, (SELECT coalesce(jsonb_object_agg(kept_units.unit,
  jsonb_build_object('message_count', kept_units.message_count, 'conversation_count',
  kept_units.conversation_count, 'total_tokens', kept_units.total_tokens)),
  CAST('{}' AS JSONB)) AS coalesce_4
FROM kept_units) AS kept, count(*) AS stored_rows, jsonb_build_object('total_prompt_tokens',
  coalesce(sum(after.total_prompt_tokens), 0), 'total_completion_tokens',
  coalesce(sum(after.total_completion_tokens), 0), 'total_tokens', coalesce(sum(after.total_tokens), 0),
  'message_count', coalesce(sum(after.message_count), 0), 'unmetered_message_count',
  coalesce(sum(after.unmetered_message_count), 0), 'refused_message_count',
  coalesce(sum(after.refused_message_count), 0), 'conversation_count',
  coalesce(sum(after.conversation_count), 0)) AS totals, jsonb_build_object('unattributed',
  coalesce(sum(after.message_count) FILTER (WHERE after.user_id = '00000000-0000-0000-0000-000000000000'),
  0), 'unmetered', coalesce(sum(after.unmetered_message_count), 0), 'refused',
  coalesce(sum(after.refused_message_count), 0)) AS states,
  'v2:' || CAST(coalesce(sum(hash_record_extended(row(after.user_id, after.total_prompt_tokens,
  after.total_completion_tokens, after.total_tokens, after.message_count, after.unmetered_message_count,
  after.refused_message_count, after.conversation_count, after.agent_ids, after.conversation_ids,
  after.last_activity), CAST(0 AS BIGINT))), 0) AS TEXT) AS checksum
FROM after;

