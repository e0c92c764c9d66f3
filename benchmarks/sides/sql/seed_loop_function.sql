-- The seed's loop: each user's days from the first to the last message; inside the database, without a round trip a call.
create or replace function seed.loop(users uuid[])
returns void
language plpgsql
as $$
declare
  person uuid;
  starts timestamptz;
  ends timestamptz;
begin
  foreach person in array users loop
    select min(date_trunc('day', created_at)), max(date_trunc('day', created_at)) + interval '1 day'
    into starts, ends
    from seed.chat_messages_v2
    where sender_user_id = person;
    while starts < ends loop
      perform seed.aggregate_user_token_usage(person, starts, starts + interval '1 day', 'daily');
      starts := starts + interval '1 day';
    end loop;
  end loop;
end
$$
