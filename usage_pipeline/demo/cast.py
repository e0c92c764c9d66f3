"""Who is in the story: the people who ask and the agents that answer."""

import unicodedata
from random import Random
from uuid import UUID

from usage_pipeline.demo.application import Agent, Role, User

# The most active first. Two people are called Margaret, so that a first name can be ambiguous.
FULL_NAMES = (
    "Ada Lovelace",
    "Katherine Johnson",
    "Grace Hopper",
    "Alan Turing",
    "Margaret Hamilton",
    "Claude Shannon",
    "Barbara Liskov",
    "Edsger Dijkstra",
    "Hedy Lamarr",
    "Donald Knuth",
    "Frances Allen",
    "Dennis Ritchie",
    "Radia Perlman",
    "John McCarthy",
    "Annie Easley",
    "Ken Thompson",
    "Sophie Wilson",
    "Tony Hoare",
    "Mary Jackson",
    "Niklaus Wirth",
    "Shafi Goldwasser",
    "Leslie Lamport",
    "Dorothy Vaughan",
    "Michael Stonebraker",
    "Lynn Conway",
    "Jim Gray",
    "Evelyn Boyd Granville",
    "Edgar Codd",
    "Joan Clarke",
    "Butler Lampson",
    "Margaret Mead",
    "Robin Milner",
    "Émilie du Châtelet",
    "Vint Cerf",
    "Emmy Noether",
    "Ivan Sutherland",
    "Stephanie Shirley",
    "Douglas Engelbart",
    "Karen Spärck Jones",
    "Konrad Zuse",
)
ADMINISTRATORS = frozenset({"Grace Hopper", "Barbara Liskov"})

# Each agent with the model that writes its answers.
AGENT_MODELS = {
    "Support Guide": "gpt-4o",
    "Research Assistant": "claude-3-5-sonnet-20241022",
    "Code Reviewer": "gpt-4o",
    "Meeting Scribe": "gemini-2.0-flash",
    "Inbox Triage": "gpt-4o-mini",
}


def random_id(rng: Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)


def users(rng: Random) -> tuple[User, ...]:
    return tuple(_user(rng, name) for name in FULL_NAMES)


def agents(rng: Random) -> tuple[Agent, ...]:
    return tuple(Agent(random_id(rng), name) for name in AGENT_MODELS)


def _user(rng: Random, full_name: str) -> User:
    role: Role = "admin" if full_name in ADMINISTRATORS else "member"
    return User(random_id(rng), _email(full_name), full_name, role)


def _email(full_name: str) -> str:
    letters = unicodedata.normalize("NFKD", full_name).encode("ascii", "ignore").decode()
    return f"{letters.lower().replace(' ', '.')}@example.com"
