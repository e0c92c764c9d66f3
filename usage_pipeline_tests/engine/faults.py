"""Faults of one line in `decide` and `prove`, as somebody might write them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from usage_pipeline_tests.engine import stories
from usage_pipeline_tests.engine.pure import Engine, text_of


@dataclass(frozen=True)
class Fault:
    """One line of one file; chance finds it, or the story does."""

    what: str
    file: str
    line: str
    wrong: str
    story: Callable[[Engine], None] | None = None

    def engine(self) -> Engine:
        right = text_of(self.file)
        assert right.count(self.line) == 1, "the line is no longer there"
        return Engine(**{self.file: right.replace(self.line, self.wrong)})


FAULTS: Final = (
    Fault(
        "a period to come is computed",
        "decide", "if facts.clock < own.starts:", "if False:",
    ),
    Fault(
        "the first day's own week is refused",
        "decide", "if own.ends <= facts.first_day:", "if own.starts < facts.first_day:",
    ),
    Fault(
        "a partial day whose month is pruned is computed",
        "decide", 'own.state in (None, "partial") and own.is_gone', "own.state is None and own.is_gone",
        stories.a_partial_day_goes_with_its_month,
    ),
    Fault(
        "a restatement of what is pruned succeeds",
        "decide", "return Leave(Reason.PRUNED) if intent is Intent.RUN else Refuse(Reason.PRUNED)",
        "return Leave(Reason.PRUNED)",
    ),
    Fault(
        "a call for one user changes a sealed row",
        "decide", 'if intent is Intent.USER and own.state == "sealed":', "if False:",
    ),
    Fault(
        "a call for one user of an open week writes one row",
        "decide", 'facts.own.state == "open" and facts.below is not None:', "False:",
    ),
    Fault(
        "partial counts as missing",
        "decide", "return stand and all(each.state is None for each in self.missing)", "return stand",
        stories.a_week_from_raw_rows_waits_for_a_partial_day,
    ),
    Fault(
        "partial counts as computed",
        "decide", 'if period.state in ("open", "sealed"):', 'if period.state not in (None, "pruned"):',
    ),
    Fault(
        "a day that was never run and whose month is pruned counts as missing",
        "decide", 'if period.state == "pruned" or period.is_gone:', 'if period.state == "pruned":',
    ),
    Fault(
        "days before the first are missing",
        "decide", "if period.ends <= facts.first_day or period", "if period",
    ),
    Fault(
        "days to come are missing",
        "decide", " or period.starts > facts.clock:", ":",
    ),
    Fault(
        "what was never computed before the horizon is missing",
        "decide", "if period.state is None and facts.horizon is not None and period", "if False and period",
    ),
    Fault(
        "the horizon is not checked",
        "decide", "return self.is_raw and facts.horizon is not None and", "return False and",
    ),
    Fault(
        "the horizon is checked for what is made from the periods below",
        "decide", "return self.is_raw and facts.horizon", "return facts.horizon",
    ),
    Fault(
        "a restatement before the horizon succeeds",
        "decide", "if case.is_unchanged and case.intent is not Intent.RUN:", "if False:",
    ),
    Fault(
        "sealed over open ones",
        "decide", "self.facts.clock >= self.facts.seals_from and self.below.is_all_sealed",
        "self.facts.clock >= self.facts.seals_from",
    ),
    Fault(
        "grace counted from the start",
        "decide", "self.facts.clock >= self.facts.seals_from",
        "self.facts.clock - self.facts.own.starts >= self.facts.seals_from - self.facts.own.ends",
    ),
    Fault(
        "a call for one user seals",
        "decide", "not (self.is_sealed or self.is_user)", "not self.is_sealed",
    ),
    Fault(
        "what lasts accepts a loss",
        "decide", "case.is_over and not case.is_one", "not case.is_one",
    ),
    Fault(
        "an open day accepts the loss of one user",
        "decide", "case.is_over and not case.is_one", "case.is_over",
    ),
    Fault(
        "an open week accepts a loss that its days have not accepted",
        "decide", "is_whole = case.is_raw and", "is_whole =",
    ),
    Fault(
        "what is open is restated without a loss",
        "decide", "return None if case.is_accepted and is_whole", "return None if is_whole",
    ),
    Fault(
        "a sealed week is made without a day, the clock set back",
        "decide", "(case.is_sealed or case.is_over)", "case.is_over",
        stories.a_sealed_week_waits_for_an_older_day,
    ),
    Fault(
        "a week that is over is made without a day",
        "decide", "(case.is_sealed or case.is_over)", "case.is_sealed",
    ),
    Fault(
        "a sealed period is rebuilt from open ones",
        "decide", "if case.is_sealed and not case.below.is_all_sealed:", "if False:",
        stories.a_sealed_week_is_not_made_from_an_open_day,
    ),
    Fault(
        "a gap is passed over",
        "decide", "    if below.gap is not None:", "    if False:",
    ),
    Fault(
        "what stands behind a gap is read",
        "decide", "for each, kind in kinds[:before] if", "for each, kind in kinds if",
    ),
    Fault(
        "a day that was cut short is no gap",
        "decide", 'if kind == "stands" and is_cut_short else None', "if False else None",
    ),
    Fault(
        "clock set back lowers coverage",
        "decide", "return max([reached, *read])", "return reached",
    ),
    Fault(
        "a period is covered to its end while it lasts",
        "decide", "reached = min(case.facts.clock, own.ends)", "reached = own.ends",
    ),
    Fault(
        "one user on an open day reads to the clock",
        "decide", 'case.is_unchanged or (case.is_user and own.state == "open")', "case.is_unchanged",
    ),
    Fault(
        "what is unchanged is covered to the clock",
        "decide", 'case.is_unchanged or (case.is_user and own.state == "open")',
        'case.is_user and own.state == "open"',
    ),
    Fault(
        "a sealed period is covered to the clock, which was set back",
        "decide", "        return own.ends", "        return min(own.ends, case.facts.clock)",
    ),
    Fault(
        "an open period that accepts a loss is not recorded",
        "decide", "is_recorded=case.is_sealed or case.is_accepted,", "is_recorded=case.is_sealed,",
    ),
    Fault(
        "what climbs is kept",
        "decide", "keeps=case.is_sealed and case.is_raw and", "keeps=case.is_sealed and",
    ),
    Fault(
        "an accepted loss is kept",
        "decide", "case.is_raw and not case.is_accepted,", "case.is_raw,",
    ),
    Fault(
        "an accepted loss of one user is that of all",
        "decide", "writes_one=case.is_user or (case.is_one and case.is_raw),", "writes_one=case.is_user,",
    ),
    Fault(
        "one user of a sealed week is restated",
        "decide", "(case.is_one and case.is_raw)", "case.is_one",
    ),
    Fault(
        "checksums behind a gap are not stored",
        "decide", "{each.starts: each.checksum for each in below.standing}",
        "{each.starts: each.checksum for each in below.until_gap}",
    ),
    Fault(
        "a call for one user makes an open day partial",
        "decide", '(case.facts.own.state or "partial") if', '"partial" if',
    ),
    Fault(
        "an accepted loss of one user is not verified",
        "decide", "return not case.is_accepted or case.is_one", "return not case.is_accepted",
        stories.an_accepted_loss_of_one_user_is_verified,
    ),
    Fault(
        "a sealed period is not verified",
        "decide", "return not case.is_accepted or case.is_one", "return False",
    ),
    Fault(
        "an accepted loss is refused for altered rows",
        "decide", "return not case.is_accepted or case.is_one", "return True",
    ),
    Fault(
        "altered rows before the horizon are sealed",
        "decide", "is not None and (case.is_unchanged or case.is_user)", "is not None and case.is_user",
    ),
    Fault(
        "a call for one user gives altered rows a checksum",
        "decide", "is not None and (case.is_unchanged or case.is_user)", "is not None and case.is_unchanged",
    ),
    Fault(
        "a day that lasts is guarded",
        "decide", '"open" and case.is_over and not case.is_accepted', '"open" and not case.is_accepted',
    ),
    Fault(
        "what a call has begun is guarded",
        "decide", '=is_anew and own.state == "open"', "=is_anew and own.state is not None",
        stories.what_a_call_has_begun_may_shrink,
    ),
    Fault(
        "an accepted loss is guarded",
        "decide", "case.is_over and not case.is_accepted,", "case.is_over,",
    ),
    Fault(
        "loss guard ignores one-user calls",
        "decide", "case.is_over and not case.is_accepted,",
        "case.is_over and not case.is_accepted and not case.is_user,",
        stories.a_source_that_lost_its_rows_is_not_believed,
    ),
    Fault(
        "what is made from the periods below is guarded",
        "decide", "is_anew = case.is_raw and not", "is_anew = not",
    ),
    Fault(
        "a small period is guarded",
        "prove", "held < LEAST_ROWS", "held < 0",
    ),
    Fault(
        "a period of exactly the least rows is not guarded",
        "prove", "held < LEAST_ROWS", "held <= LEAST_ROWS",
    ),
    Fault(
        "half is most",
        "prove", "if min(remaining, in_source) >= least:", "if min(remaining, in_source) > least:",
    ),
    Fault(
        "calls for one user after another halve a large day",
        "prove", "found.source_rows if plan.reads_one else remaining", "remaining",
        stories.a_source_that_lost_its_rows_is_not_believed,
    ),
    Fault(
        "messages that moved to another user halve a large day",
        "prove", "if min(remaining, in_source) >= least:", "if in_source >= least:",
        stories.messages_that_moved_to_another_user_are_not_lost,
    ),
    Fault(
        "a user who grows is refused for others",
        "prove", " or remaining >= held:", ":",
        stories.a_user_may_grow_while_others_are_lost,
    ),
    Fault(
        "a call for one user must balance",
        "prove", "plan.reads_one or plan.is_unchanged:", "plan.is_unchanged:",
    ),
    Fault(
        "altered rows are refused although all are computed again",
        "prove", "if not plan.is_verified or known", "if known",
    ),
    Fault(
        "altered rows are laundered",
        "prove", "if not plan.is_verified or known", "if known is not None or known",
    ),
    Fault(
        "rows below that differ from their last runs climb",
        "prove", "if left != held:", "if False:",
    ),
    Fault(
        "rows below that lost something climb",
        "prove", "if left != held:", "if left < held:",
    ),
    Fault(
        "of a period from raw rows the sums of those below are compared",
        "prove", "in () if plan.is_raw else added:", "in added:",
    ),
    Fault(
        "every period below is named, not the open ones",
        "decide", 'if each.state == "open"))', "if True))",
        stories.a_sealed_week_is_not_made_from_an_open_day,
    ),
    Fault(
        "what has moved is called lost",
        "prove", "Reason.MOVED if in_source >= least else Reason.LOST", "Reason.LOST",
        stories.messages_that_moved_to_another_user_are_not_lost,
    ),
    Fault(
        "what is lost is called moved",
        "prove", "Reason.MOVED if in_source >= least else Reason.LOST", "Reason.MOVED",
        stories.a_source_that_lost_its_rows_is_not_believed,
    ),
    Fault(
        "a run without a checksum of the rows before passes",
        "prove", "or known is None or before == known:", 'or known is None or before in ("", known):',
        stories.a_checksum_is_compared_with_its_own_kind,
    ),
    Fault(
        "a checksum of another version is compared",
        "prove", 'if before and before.partition(":")[0]', 'if False and before.partition(":")[0]',
        stories.a_checksum_is_compared_with_its_own_kind,
    ),
    Fault(
        "one sum that a period below does not have ends the comparison",
        "prove", "            continue", "            return None",
        stories.sums_that_the_periods_below_do_not_have_are_not_compared,
    ),
    Fault(
        "what a rollup does not count is not missed",
        "prove", "is_whole = found.computed_rows == found.source_rows", "is_whole = True",
        stories.what_replace_lost_is_not_stored,
    ),
    Fault(
        "what was not written is not missed",
        "prove", "is_stored = found.totals[count] == found.source_rows + found.kept_rows", "is_stored = True",
        stories.what_replace_lost_is_not_stored,
    ),
    Fault(
        "states are mixed up",
        "prove", "if is_whole and is_stored and is_same:", "if is_whole and is_stored:",
        stories.what_replace_lost_is_not_stored,
    ),
    Fault(
        "a kept row must be in the state of its source",
        "prove", "is_same = found.kept or all(", "is_same = all(",
        stories.what_replace_lost_is_not_stored,
    ),
)  # fmt: skip
