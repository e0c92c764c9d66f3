-- The tables of a chat application on Supabase, as a deployed one has them: what the demo reads from.
-- Sessions have started_at and no created_at; a message has a user or an agent as sender, never both.

create schema auth;

create table auth.users (
    id uuid primary key,
    email text
);

create table public.profiles (
    id uuid primary key references auth.users (id) on delete cascade,
    full_name text not null,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);

create table public.roles (
    id uuid primary key,
    name text not null unique
);

create table public.user_roles (
    user_id uuid not null references auth.users (id) on delete cascade,
    role_id uuid not null references public.roles (id) on delete cascade,
    primary key (user_id, role_id)
);

create table public.agents (
    id uuid primary key,
    name text not null
);

create table public.conversation_sessions (
    id uuid primary key,
    conversation_id uuid not null unique,
    user_id uuid references auth.users (id),
    agent_id uuid references public.agents (id) on delete set null,
    message_count integer default 0,
    started_at timestamptz default now(),
    last_active timestamptz default now(),
    total_tokens_used integer default 0
);

create table public.chat_messages_v2 (
    id uuid primary key,
    conversation_id uuid not null,
    sender_user_id uuid,
    sender_agent_id uuid,
    role varchar(20) not null,
    content jsonb not null,
    metadata jsonb default '{}',
    message_type text not null default 'text',
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    check (num_nonnulls(sender_user_id, sender_agent_id) = 1)
);

create index chat_messages_v2_created_at on public.chat_messages_v2 (created_at);
create index chat_messages_v2_conversation on public.chat_messages_v2 (conversation_id, created_at);
