"""The roles of ours, and the login that takes them."""

from enum import StrEnum


class Role(StrEnum):
    """Who a session is; `LOGIN` stays what it logged in as."""

    LOGIN = "none"
    OWNER = "usage_owner"
    WRITER = "usage_writer"
    READER = "usage_reader"
    RETENTION = "usage_retention"
