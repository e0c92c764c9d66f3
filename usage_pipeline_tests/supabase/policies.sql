-- policies: the application's own rules on its tables, made by `postgres`, who owns them: everybody sees what is theirs.
-- Most name no role, as most applications write them: they are for everybody then, our roles included, beside our own.
alter table public.profiles enable row level security;
alter table public.agents enable row level security;
alter table public.conversation_sessions enable row level security;
alter table public.chat_messages_v2 enable row level security;

create policy "own profile" on public.profiles
  using (auth.uid() = id);
create policy "own sessions" on public.conversation_sessions
  using (auth.uid() = user_id) with check (auth.uid() = user_id);
create policy "own conversations" on public.chat_messages_v2
  for select using (exists (
    select
    from public.conversation_sessions session
    where session.conversation_id = chat_messages_v2.conversation_id and session.user_id = (select auth.uid())
  ));
create policy "staff sees all" on public.chat_messages_v2
  for select using (exists (
    select from public.user_roles held where held.user_id = auth.uid() and auth.role() = 'staff'
  ));
create policy "agents are for everybody" on public.agents
  for select to authenticated using (true);
