-- The chat of a Supabase application as our contract: chat_messages_v2, conversation_sessions.
-- A model answer is a row with role 'assistant'; its tokens stand in `metadata`, in one of three shapes.
-- No function here carries a SET clause, and an inner query that must not be merged ends in `offset 0`:
-- so each call is inlined, walks the time index, and unpacks a row's JSON once.

create or replace function usage_private.token_tables() returns table (name text)
language sql immutable parallel safe
as $$
  -- The tables these functions read, so that the database can ask whether any of them hides rows.
  values ('public.chat_messages_v2'), ('public.conversation_sessions')
$$;

create or replace function usage_private.token_value(value text, original jsonb) returns bigint
language sql immutable parallel safe
as $$
  -- A token count as a person would accept it: NULL if absent, -1 if it makes no sense.
  select case
    when value is null then null
    when pg_catalog.octet_length(value) between 1 and 13 and value collate pg_catalog."C" !~ '[^0-9]'
      then case when value::bigint <= 1000000000000 then value::bigint else -1 end
    when pg_catalog.jsonb_typeof(original) <> 'number' then -1
    when value::numeric between 0 and 1000000000000 and value::numeric = pg_catalog.trunc(value::numeric)
      then value::numeric::bigint
    else -1
  end
$$;

create or replace function usage_private.chat_calls(details jsonb)
returns table (
  call_number bigint, model text, is_helper boolean, is_spent boolean, reported jsonb,
  prompt_key text, completion_key text, total_key text,
  prompt_tokens bigint, completion_tokens bigint, reported_total bigint, total_tokens bigint
)
language sql immutable parallel safe
as $$
  -- The calls listed behind one answer; a count that makes no sense is -1, so is the total made from it.
  select
    call.number - 1, call.entry -> 'request' ->> 'model', call.stage is not null,
    call.stage is null or (details -> call.stage -> 'from_cache') is distinct from 'true'::jsonb,
    call.reported, call.prompt_key, call.completion_key, call.total_key,
    call.prompt_tokens, call.completion_tokens, call.reported_total,
    case
      when call.reported_total is not null then call.reported_total
      when call.prompt_tokens < 0 or call.completion_tokens < 0 then -1
      else coalesce(call.prompt_tokens + call.completion_tokens, call.prompt_tokens, call.completion_tokens)
    end
  from (
    select
      worded.*,
      usage_private.token_value(worded.prompt_text, worded.reported -> worded.prompt_key) as prompt_tokens,
      usage_private.token_value(worded.completion_text, worded.reported -> worded.completion_key)
        as completion_tokens,
      usage_private.token_value(worded.total_text, worded.reported -> worded.total_key) as reported_total
    from (
      select
        listed.number, listed.reported, listed.entry,
        case when listed.entry ->> 'stage' in ('contextual_awareness', 'intent_classification')
          then listed.entry ->> 'stage' end as stage,
        coalesce(
          listed.reported ->> 'prompt_tokens', listed.reported ->> 'prompt', listed.reported ->> 'input_tokens'
        ) as prompt_text,
        coalesce(
          listed.reported ->> 'completion_tokens', listed.reported ->> 'completion',
          listed.reported ->> 'output_tokens'
        ) as completion_text,
        coalesce(listed.reported ->> 'total_tokens', listed.reported ->> 'total') as total_text,
        case
          when listed.reported ->> 'prompt_tokens' is not null then 'prompt_tokens'
          when listed.reported ->> 'prompt' is not null then 'prompt'
          else 'input_tokens' end as prompt_key,
        case
          when listed.reported ->> 'completion_tokens' is not null then 'completion_tokens'
          when listed.reported ->> 'completion' is not null then 'completion'
          else 'output_tokens' end as completion_key,
        case when listed.reported ->> 'total_tokens' is not null then 'total_tokens' else 'total' end as total_key
      from (
        select
          item.number, item.entry,
          nullif(item.entry -> 'response' -> 'usage', 'null'::jsonb) as reported
        from pg_catalog.jsonb_array_elements(
          case when pg_catalog.jsonb_typeof(details -> 'llm_calls') = 'array' then details -> 'llm_calls' end
        ) with ordinality item (entry, number)
        offset 0
      ) listed
      offset 0
    ) worded
    offset 0
  ) call
$$;

create or replace function usage_private.chat_plain_calls(metadata jsonb, details jsonb)
returns table (usage bigint[])
language sql immutable parallel safe
as $$
  -- What chat_usage() finds where tokens stand in the list of calls alone and every count is plain; else no array.
  -- One pass: a call is opened once, and unpacked in the select list, where the from clause would store each list.
  select case
    when listed.is_plain
      and (listed.tokens_text is null or listed.tokens_text collate pg_catalog."C" ~ '^[0-9]{1,12}$')
      then array[
        listed.prompt_tokens, listed.completion_tokens,
        case
          when listed.tokens_text::bigint in (listed.total_tokens, listed.spent_tokens)
            then coalesce(listed.spent_tokens, 0)
          else coalesce(listed.helper_tokens, 0)
            + coalesce(greatest(listed.answer_tokens, listed.tokens_text::bigint), 0)
        end
      ]
    end::bigint[]
  from (
    select
      pg_catalog.bool_and(call.is_plain) as is_plain,
      pg_catalog.sum(call.prompt_tokens) filter (where call.is_spent) as prompt_tokens,
      pg_catalog.sum(call.completion_tokens) filter (where call.is_spent) as completion_tokens,
      pg_catalog.sum(call.total_tokens) as total_tokens,
      pg_catalog.sum(call.total_tokens) filter (where call.is_spent) as spent_tokens,
      pg_catalog.sum(call.total_tokens) filter (where call.is_helper and call.is_spent) as helper_tokens,
      pg_catalog.sum(call.total_tokens) filter (where not call.is_helper) as answer_tokens,
      metadata ->> 'tokens' as tokens_text
    from (
      select
        counted.is_plain, counted.is_helper, counted.prompt_tokens, counted.completion_tokens,
        not counted.is_helper or (details -> counted.stage -> 'from_cache') is distinct from 'true'::jsonb as is_spent,
        coalesce(counted.total_tokens, counted.prompt_tokens + counted.completion_tokens) as total_tokens
      from (
        select
          text.stage, text.stage in ('contextual_awareness', 'intent_classification') is true as is_helper,
          text.is_plain,
          case when text.is_plain then text.prompt_text::bigint end as prompt_tokens,
          case when text.is_plain then text.completion_text::bigint end as completion_tokens,
          case when text.is_plain then text.total_text::bigint end as total_tokens
        from (
          select
            opened.*,
            coalesce(
              pg_catalog.octet_length(opened.prompt_text) between 1 and 12
                and pg_catalog.octet_length(opened.completion_text) between 1 and 12
                and (opened.total_text is null or pg_catalog.octet_length(opened.total_text) between 1 and 12)
                and (opened.prompt_text || opened.completion_text || coalesce(opened.total_text, ''))
                  collate pg_catalog."C" !~ '[^0-9]',
              false) as is_plain
          from (
            select
              entered.stage,
              coalesce(
                entered.reported ->> 'prompt_tokens', entered.reported ->> 'prompt', entered.reported ->> 'input_tokens'
              ) as prompt_text,
              coalesce(
                entered.reported ->> 'completion_tokens', entered.reported ->> 'completion',
                entered.reported ->> 'output_tokens'
              ) as completion_text,
              coalesce(entered.reported ->> 'total_tokens', entered.reported ->> 'total') as total_text
            from (
              select item.entry ->> 'stage' as stage, item.entry -> 'response' -> 'usage' as reported
              from (select pg_catalog.jsonb_array_elements(details -> 'llm_calls') as entry offset 0) item
              offset 0
            ) entered
            where entered.reported <> 'null'::jsonb
            offset 0
          ) opened
          offset 0
        ) text
        offset 0
      ) counted
      offset 0
    ) call
    offset 0
  ) listed
$$;

create or replace function usage_private.chat_usage(metadata jsonb, details jsonb)
returns table (usage bigint[])
language sql immutable parallel safe
as $$
  -- Prompt, completion and total of one answer by the first shape that its metadata takes; total -1: refused.
  select case
    when coalesce(written.prompt_tokens, written.completion_tokens, written.total_tokens) is not null then array[
      written.prompt_tokens, written.completion_tokens,
      case
        when written.prompt_tokens < 0 or written.completion_tokens < 0 then -1
        else coalesce(
          written.total_tokens, coalesce(written.prompt_tokens, 0) + coalesce(written.completion_tokens, 0))
      end
    ]
    when pg_catalog.jsonb_typeof(details -> 'llm_calls') not in ('array', 'null') then array[0, 0, -1]
    else (
      select case
        when pg_catalog.count(*) = 0 then array[null, null, written.tokens]
        when written.tokens < 0 or pg_catalog.bool_or(
            pg_catalog.jsonb_typeof(call.reported) <> 'object'
            or call.prompt_tokens < 0 or call.completion_tokens < 0 or call.total_tokens < 0)
          then array[0, 0, -1]
        else array[
          pg_catalog.sum(call.prompt_tokens) filter (where call.is_spent),
          pg_catalog.sum(call.completion_tokens) filter (where call.is_spent),
          case
            -- some applications write the sum of all calls, or of those that were spent, where others write the
            -- main call's
            when written.tokens in (
                pg_catalog.sum(call.total_tokens), pg_catalog.sum(call.total_tokens) filter (where call.is_spent))
              then coalesce(pg_catalog.sum(call.total_tokens) filter (where call.is_spent), 0)
            when written.tokens is not null or pg_catalog.count(call.total_tokens) > 0
              then coalesce(pg_catalog.sum(call.total_tokens) filter (where call.is_helper and call.is_spent), 0)
                + coalesce(greatest(
                    pg_catalog.sum(call.total_tokens) filter (where not call.is_helper), written.tokens), 0)
          end
        ]
      end::bigint[]
      from usage_private.chat_calls(details) call
      where call.reported is not null
    )
  end
  from (
    select
      usage_private.token_value(text.prompt_tokens, details -> 'prompt_tokens') as prompt_tokens,
      usage_private.token_value(text.completion_tokens, details -> 'completion_tokens') as completion_tokens,
      usage_private.token_value(text.total_tokens, details -> 'total_tokens') as total_tokens,
      usage_private.token_value(text.tokens, metadata -> 'tokens') as tokens
    from (
      select
        details ->> 'prompt_tokens' as prompt_tokens,
        details ->> 'completion_tokens' as completion_tokens,
        details ->> 'total_tokens' as total_tokens,
        metadata ->> 'tokens' as tokens
      offset 0
    ) text
    offset 0
  ) written
$$;

create or replace function usage_private.chat_answers(window_start timestamptz, window_end timestamptz)
returns table (
  id uuid, created_at timestamptz, updated_at timestamptz,
  conversation_id uuid, sender_user_id uuid, sender_agent_id uuid, metadata jsonb, details jsonb,
  prompt_tokens bigint, completion_tokens bigint, total_tokens bigint
)
language sql stable parallel safe
as $$
  -- The answers of a window with what they report; a total of -1: refused.
  -- Three plain counts right below processingDetails, which most answers have, are read here; then plain counts in a
  -- list of calls; the rest is looked at again with all the rules.
  select
    answer.id, answer.created_at, answer.updated_at,
    answer.conversation_id, answer.sender_user_id, answer.sender_agent_id, answer.metadata, answer.details,
    case when answer.otherwise is null then answer.prompt_text::bigint else answer.otherwise[1] end,
    case when answer.otherwise is null then answer.completion_text::bigint else answer.otherwise[2] end,
    case when answer.otherwise is null then answer.total_text::bigint else answer.otherwise[3] end
  from (
    select
      opened.*,
      case
        when pg_catalog.octet_length(opened.prompt_text) between 1 and 12
          and pg_catalog.octet_length(opened.completion_text) between 1 and 12
          and pg_catalog.octet_length(opened.total_text) between 1 and 12
          and (opened.prompt_text || opened.completion_text || opened.total_text) collate pg_catalog."C" !~ '[^0-9]'
          then null
        when coalesce(opened.prompt_text, opened.completion_text, opened.total_text) is null
          and pg_catalog.jsonb_typeof(opened.details -> 'llm_calls') = 'array'
          then coalesce(
            (select plain.usage from usage_private.chat_plain_calls(opened.metadata, opened.details) plain),
            (select found.usage from usage_private.chat_usage(opened.metadata, opened.details) found)
          )
        else (select found.usage from usage_private.chat_usage(opened.metadata, opened.details) found)
      end as otherwise
    from (
      select
        message.*,
        message.details ->> 'prompt_tokens' as prompt_text,
        message.details ->> 'completion_tokens' as completion_text,
        message.details ->> 'total_tokens' as total_text
      from (
        select
          source.id, source.created_at, source.updated_at,
          source.conversation_id, source.sender_user_id, source.sender_agent_id,
          source.metadata, source.metadata -> 'processingDetails' as details
        from (values (null::timestamptz)) absent (updated_at)
        cross join lateral (
          select m.id, m.created_at, updated_at, m.conversation_id, m.sender_user_id, m.sender_agent_id, m.metadata
          from public.chat_messages_v2 m
          where m.role = 'assistant'
            and m.created_at >= chat_answers.window_start and m.created_at < chat_answers.window_end
        ) source
        offset 0
      ) message
      offset 0
    ) opened
    offset 0
  ) answer
  offset 0
$$;

create or replace function usage.token_events(window_start timestamptz, window_end timestamptz)
returns table (
  event_id text, occurred_at timestamptz, changed_at timestamptz, user_id uuid, agent_id uuid, conversation_id uuid,
  prompt_tokens bigint, completion_tokens bigint, total_tokens bigint, usage_state text
)
language sql stable parallel safe
as $$
  -- One row per model answer; user and agent as written on the row.
  select
    answer.id::text, answer.created_at, coalesce(answer.updated_at, answer.created_at),
    answer.sender_user_id, answer.sender_agent_id, answer.conversation_id,
    case when answer.total_tokens < 0 then 0 else answer.prompt_tokens end,
    case when answer.total_tokens < 0 then 0 else answer.completion_tokens end,
    case when answer.total_tokens < 0 then 0 else answer.total_tokens end,
    case
      when answer.total_tokens < 0 then 'refused'
      when answer.prompt_tokens is not null or answer.completion_tokens is not null then 'reported'
      when answer.total_tokens is not null then 'total_only'
      else 'missing'
    end
  from usage_private.chat_answers(token_events.window_start, token_events.window_end) answer
$$;

create or replace function usage.token_calls(window_start timestamptz, window_end timestamptz)
returns table (
  event_id text, occurred_at timestamptz, user_id uuid, agent_id uuid, conversation_id uuid,
  provider text, model text, rate_class text,
  prompt_tokens bigint, cached_prompt_tokens bigint, cache_write_tokens bigint,
  completion_tokens bigint, reasoning_tokens bigint, unsplit_tokens bigint, total_tokens bigint
)
language sql stable parallel safe
as $$
  -- One row per answer and model; over an answer they add up to its event. The calls' own split is used
  -- where it agrees with the event; what has no split stands with the model that wrote the answer.
  select
    answer.id::text, answer.created_at, answer.sender_user_id, answer.sender_agent_id, answer.conversation_id,
    null::text, share.model, 'standard'::text,
    share.prompt_tokens, 0::bigint, 0::bigint,
    share.completion_tokens, 0::bigint,
    share.total_tokens - share.prompt_tokens - share.completion_tokens, share.total_tokens
  from usage_private.chat_answers(token_calls.window_start, token_calls.window_end) answer
  cross join lateral (
    select
      (pg_catalog.array_agg(call.model order by call.reported is null, call.call_number desc)
        filter (where not call.is_helper and call.model is not null))[1] as main_model,
      pg_catalog.count(call.reported) filter (where call.is_spent) as spent_count,
      pg_catalog.sum(call.prompt_tokens) filter (where call.is_spent) as prompt_tokens,
      pg_catalog.sum(call.completion_tokens) filter (where call.is_spent) as completion_tokens,
      coalesce(answer.total_tokens >= 0 and pg_catalog.count(call.reported) > 0 and pg_catalog.bool_or(
          pg_catalog.jsonb_typeof(call.reported) <> 'object'
          or call.prompt_tokens < 0 or call.completion_tokens < 0) is not true, false) as is_readable
    from usage_private.chat_calls(answer.details) call
    offset 0
  ) listed
  cross join lateral (
    select
      part.model, pg_catalog.sum(part.prompt_tokens)::bigint as prompt_tokens,
      pg_catalog.sum(part.completion_tokens)::bigint as completion_tokens,
      pg_catalog.sum(part.total_tokens)::bigint as total_tokens
    from (
      select
        call.model, coalesce(call.prompt_tokens, 0) as prompt_tokens,
        coalesce(call.completion_tokens, 0) as completion_tokens,
        coalesce(call.prompt_tokens, 0) + coalesce(call.completion_tokens, 0) as total_tokens
      from usage_private.chat_calls(answer.details) call
      where listed.is_readable and call.is_spent and call.reported is not null
        and listed.prompt_tokens is not distinct from answer.prompt_tokens
        and listed.completion_tokens is not distinct from answer.completion_tokens
      union all
      select
        listed.main_model,
        case when agreed.split then 0 else rest.prompt_tokens end,
        case when agreed.split then 0 else rest.completion_tokens end,
        case when agreed.split then rest.total_tokens - rest.prompt_tokens - rest.completion_tokens
          else rest.total_tokens end
      from (
        select
          case when answer.total_tokens < 0 then 0 else coalesce(answer.prompt_tokens, 0) end as prompt_tokens,
          case when answer.total_tokens < 0 then 0 else coalesce(answer.completion_tokens, 0) end as completion_tokens,
          greatest(coalesce(answer.total_tokens, 0), 0) as total_tokens
      ) rest
      cross join lateral (
        select listed.is_readable
          and listed.prompt_tokens is not distinct from answer.prompt_tokens
          and listed.completion_tokens is not distinct from answer.completion_tokens as split
      ) agreed
      where not agreed.split or listed.spent_count = 0
        or rest.total_tokens <> rest.prompt_tokens + rest.completion_tokens
    ) part
    group by part.model
  ) share
$$;

create or replace function usage.conversation_owner(conversation_id uuid)
returns table (user_id uuid, agent_id uuid)
language sql stable parallel safe
as $$
  -- The user and agent of a conversation, at most one row: a session with a user wins, then the oldest.
  select session.user_id, session.agent_id
  from (values (null::timestamptz, null::timestamptz, null::uuid)) absent (started_at, created_at, agent_id)
  cross join lateral (
    select s.id, s.user_id, agent_id, coalesce(started_at, created_at) as began_at
    from public.conversation_sessions s
    where s.conversation_id = conversation_owner.conversation_id
  ) session
  order by session.user_id is null, session.began_at, session.id
  limit 1
$$;

create or replace function usage.token_refusals(window_start timestamptz, window_end timestamptz)
returns table (event_id text, occurred_at timestamptz, field text, reason text, value text)
language sql stable parallel safe
as $$
  -- The answers whose tokens make no sense, each with the first field that says so.
  select answer.id::text, answer.created_at, offence.field, offence.reason, pg_catalog.left(offence.value, 40)
  from usage_private.chat_answers(token_refusals.window_start, token_refusals.window_end) answer
  cross join lateral (
    select coalesce(
      answer.details ->> 'prompt_tokens', answer.details ->> 'completion_tokens', answer.details ->> 'total_tokens'
    ) is not null as decides
  ) documented
  cross join lateral (
    select candidate.field, candidate.reason, candidate.value
    from (
      select
        counter.place, 0::bigint as call_number, 'processingDetails.' || counter.key as field,
        'is no whole number from 0 to 10^12'::text as reason, answer.details ->> counter.key as value
      from (values (1, 'prompt_tokens'), (2, 'completion_tokens'), (3, 'total_tokens')) counter (place, key)
      where documented.decides
        and usage_private.token_value(answer.details ->> counter.key, answer.details -> counter.key) < 0
      union all
      select 4, 0, 'processingDetails.llm_calls', 'is no list', answer.details ->> 'llm_calls'
      where not documented.decides and pg_catalog.jsonb_typeof(answer.details -> 'llm_calls') not in ('array', 'null')
      union all
      select
        5, call.call_number * 10 + part.place,
        'processingDetails.llm_calls[' || call.call_number || '].response.usage' || part.key, part.reason, part.value
      from usage_private.chat_calls(answer.details) call
      cross join lateral (values
        (0, '', 'is no object', call.reported #>> '{}', pg_catalog.jsonb_typeof(call.reported) <> 'object'),
        (1, '.' || call.prompt_key, 'is no whole number from 0 to 10^12',
          call.reported ->> call.prompt_key, call.prompt_tokens < 0),
        (2, '.' || call.completion_key, 'is no whole number from 0 to 10^12',
          call.reported ->> call.completion_key, call.completion_tokens < 0),
        (3, '.' || call.total_key, 'is no whole number from 0 to 10^12',
          call.reported ->> call.total_key, call.reported_total < 0)
      ) part (place, key, reason, value, is_offence)
      where not documented.decides and part.is_offence
      union all
      select 6, 0, 'tokens', 'is no whole number from 0 to 10^12', answer.metadata ->> 'tokens'
      where not documented.decides
        and usage_private.token_value(answer.metadata ->> 'tokens', answer.metadata -> 'tokens') < 0
    ) candidate
    order by candidate.place, candidate.call_number
    limit 1
  ) offence
  where answer.total_tokens < 0
$$;

create or replace function usage.token_strays()
returns table (event_id text, occurred_at timestamptz, reason text)
language sql stable parallel safe
as $$
  -- The answers that belong to no period: without an instant, before 2000, or more than a day ahead.
  select
    stray.id::text, stray.created_at,
    case
      when stray.created_at is null then 'has no instant'
      when stray.created_at < '2000-01-01 00:00:00+00' then 'before 2000'
      else 'more than a day ahead'
    end
  from public.chat_messages_v2 stray
  where stray.role = 'assistant' and (
    stray.created_at is null
    or stray.created_at < '2000-01-01 00:00:00+00'
    or stray.created_at >= usage_private.now() + interval '1 day'
  )
$$;
