"""A family that is a folder and a line: what the engine does with tokens it does with any."""

from datetime import date
from decimal import Decimal

import psycopg
import pytest
from psycopg import sql

from usage_pipeline.engine import functions, prove
from usage_pipeline.engine.plan import Intent
from usage_pipeline.families.registry import FAMILIES
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline_tests.families import oracle
from usage_pipeline_tests.families.oracle import Call
from usage_pipeline_tests.families.toy import TOY, WHOLE
from usage_pipeline_tests.families.world import DAY, FLOORS, LAST, MEASURES, NEXT, Toy, fill


@pytest.fixture
def toy(superuser: psycopg.Connection, warehouse: Warehouse) -> Toy:
    superuser.execute("set session_replication_role = origin")
    found = Toy(superuser, warehouse)
    for each in (functions.of_window(TOY), functions.ladder((*FAMILIES, TOY))):
        superuser.execute(each.text.encode())
    found.at(NEXT)
    return found


def test_hours_of_a_daily_run(toy: Toy) -> None:
    """A run of one day writes rows of 24 hours, and a subtotal is counted once."""
    fill(toy)
    ran = toy.run()
    assert toy.stored() == toy.wanted()
    assert ran.inserted == len(toy.wanted())
    state, source_rows, states, totals, *_ = toy.ledger()
    whole = oracle.rows(toy.calls.values(), FLOORS["toy_hourly"])
    assert (state, source_rows, totals["calls"]) == ("open", 60, 60)
    assert states == {
        "unattributed": sum(call.agent is None for call in toy.calls.values()),
        "untimed": sum(call.ms is None for call in toy.calls.values()),
        "failed": sum(not call.is_ok for call in toy.calls.values()),
    }
    costs = [row["cost"] for (_, _, channel), row in whole.items() if channel == WHOLE and row["cost"]]
    assert Decimal(totals["cost"]) == sum(costs)
    assert sum(ran.entry.hourly_rows or ()) == 60


def test_every_measure_climbs(toy: Toy) -> None:
    """Rounded money adds up to what the hours say; all else is what the calls say."""
    days = (DAY, NEXT)
    toy.at(date(2026, 3, 6))
    toy.superuser.execute("update usage.rollup_policy set first_day = %s where family = 'toy'", [DAY])
    fill(toy, days)
    for day in days:
        toy.run(day=day)
        toy.run("toy_daily", day)
    toy.run("toy_monthly")
    toy.run("toy_yearly")
    for asset in ("toy_daily", "toy_monthly", "toy_yearly"):
        found, wanted = toy.stored(asset), toy.wanted(asset, days)
        for key, row in wanted.items():
            hours = [
                hour["cost"]
                for (start, *rest), hour in toy.stored().items()
                if (FLOORS[asset](start), *rest) == key and hour["cost"] is not None
            ]
            row["cost"] = sum(hours) if hours else None
        assert found == wanted, asset
    averages = toy.superuser.execute(
        "select average_ms, ms_sum::numeric / calls from usage.toy_usage"
    ).fetchall()
    assert all(stored == again for stored, again in averages)
    assert toy.ledger("toy_yearly")[2] == toy.ledger("toy_monthly")[2]


@pytest.mark.parametrize("asset", ["toy_hourly", "toy_daily", "toy_monthly"])
def test_twice_is_once(toy: Toy, asset: str) -> None:
    toy.superuser.execute("update usage.rollup_policy set first_day = %s where family = 'toy'", [DAY])
    fill(toy)
    for each in ("toy_hourly", "toy_daily", "toy_monthly"):
        toy.run(each)
    before = toy.versions()
    assert toy.run(asset).entry.checksum == toy.ledger(asset)[-1]
    assert toy.versions() == before


def test_an_open_day_follows_its_source(toy: Toy) -> None:
    calls = fill(toy)
    toy.run()
    toy.lose(*calls[:10])
    toy.change(calls[20], channel="post", cost=Decimal("9.99"))
    toy.call(agent="eve", ms=3)
    toy.run()
    assert toy.stored() == toy.wanted()


def test_the_checksum_is_that_of_the_stored_rows(toy: Toy) -> None:
    """It is made from what was computed and written: a second reading must come to the same."""
    fill(toy)
    toy.run()
    toy.run("toy_daily")
    again = sql.SQL(
        "select 'v2:' || sum(hash_record_extended(row({}), 0)) from usage.toy_usage where grain = %s"
    )
    columns = ("agent", "channel", *MEASURES)
    for asset, named in (("toy_hourly", ("period_start", *columns)), ("toy_daily", columns)):
        statement = again.format(sql.SQL(", ").join(map(sql.Identifier, named)))
        read = toy.superuser.execute(statement, [TOY.grain(asset).stored_as]).fetchone()
        assert read == (toy.ledger(asset)[-1],)


@pytest.fixture
def sealed(toy: Toy) -> Toy:
    """A day that was sealed with two agents, of whom each has two channels in two hours."""
    for agent in ("ada", "bob"):
        for channel in ("mail", "chat"):
            for hour in (9, 10):
                toy.call(hour=hour, agent=agent, channel=channel, ms=5)
    toy.at(LAST)
    toy.run()
    assert toy.ledger()[0] == "sealed"
    return toy


def of(toy: Toy, agent: str) -> list[Call]:
    return [each for each in toy.calls.values() if each.agent == agent]


def test_a_unit_is_kept_or_restated_whole(sealed: Toy) -> None:
    """Row by row, a renamed channel would be kept beside its new name, and counted twice."""
    before = sealed.stored()
    sealed.lose(of(sealed, "ada")[0])
    renamed = of(sealed, "bob")
    for each in renamed[:2]:
        sealed.change(each, channel="post")
    sealed.call(agent="eve")
    ran = sealed.run()
    stored, wanted = sealed.stored(), sealed.wanted()
    assert {key: row for key, row in stored.items() if key[1] == "ada"} == {
        key: row for key, row in before.items() if key[1] == "ada"
    }
    assert {key: row for key, row in stored.items() if key[1] != "ada"} == {
        key: row for key, row in wanted.items() if key[1] != "ada"
    }
    assert (ran.entry.kept, ran.entry.kept_rows) == ({"ada": {"calls": 1}}, 1)
    assert (ran.deleted, ran.entry.source_rows, ran.entry.totals["calls"]) == (2, 8, 9)
    hours = ["2026-03-04T09:00:00+00:00", "2026-03-04T10:00:00+00:00"]
    assert sealed.restated() == [
        *(("bob", "mail", hour, "1", None) for hour in hours),
        *(("bob", "post", hour, None, "1") for hour in hours),
        *(("eve", channel, hours[0], None, "1") for channel in (WHOLE, "mail")),
    ]


def test_what_is_accepted_goes(sealed: Toy) -> None:
    sealed.lose(*of(sealed, "ada")[:3])
    ran = sealed.run(intent=Intent.ACCEPT, reason="deleted on request")
    assert sealed.stored() == sealed.wanted()
    assert (ran.entry.kept, sealed.ledger()[0]) == ({}, "sealed")


def test_one_unit_is_restated_alone(sealed: Toy) -> None:
    for agent in ("ada", "bob"):
        sealed.lose(of(sealed, agent)[0])
    sealed.run(intent=Intent.ACCEPT, unit="bob", reason="of bob alone")
    assert {key[0] for key in sealed.restated()} == {"bob"}
    assert sealed.ledger()[4] == {"ada": {"calls": 1}}


def test_the_seal_is_guarded(sealed: Toy) -> None:
    """The guard knows the family from its arguments, and a row of an hour by its day."""
    with pytest.raises(psycopg.Error, match="toy_hourly of 2026-03-04 is sealed"):
        sealed.superuser.execute("update usage.toy_usage set calls = 9 where channel = 'mail'")


def test_altered_rows_are_refused(sealed: Toy) -> None:
    sealed.superuser.execute("set session_replication_role = replica")
    sealed.superuser.execute("update usage.toy_usage set calls = calls + 1 where channel = 'mail'")
    with pytest.raises(
        Refusal, match="toy_hourly of 2026-03-04 holds rows that were altered since its last run"
    ):
        sealed.run()


def test_a_source_that_lost_most_is_refused(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove, "LEAST_ROWS", 4)
    calls = fill(toy)
    toy.run()
    toy.lose(*calls[:40])
    with pytest.raises(Refusal, match="would lose most of its calls: 60 are stored, the source has 20"):
        toy.run()
    assert len(toy.stored()) > 0


def test_a_day_needs_its_hours(toy: Toy) -> None:
    with pytest.raises(
        Refusal, match=r"toy_daily of 2026-03-04 is not computed: never computed of toy_hourly: 2026-03-04"
    ):
        toy.run("toy_daily")


def test_one_unit_of_an_open_day(toy: Toy) -> None:
    """What a call for one unit does: its rows alone, as far as the day was read."""
    fill(toy)
    toy.run()
    ada, bob = toy.call(agent="ada", ms=1), toy.call(agent="bob", ms=1)
    ran = toy.run(intent=Intent.USER, unit="ada")
    assert ran.entry.source_rows == 61
    assert {key: row for key, row in toy.stored().items() if key[1] == "ada"} == {
        key: row for key, row in toy.wanted().items() if key[1] == "ada"
    }
    toy.lose(bob)
    assert toy.stored() == toy.wanted()
    assert ada.id in toy.calls
