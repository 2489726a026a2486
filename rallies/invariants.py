"""What must be true of every rally, at every moment; and, once it is settled, of its money."""

from django.utils.translation import gettext_noop as N_

from core.invariants import GOODS, MONEY, TERMS, Check
from rallies.rules import HOLD_OUTLIVES_CLOSE
from sales.invariants import (
    CLOSING,
    COMMON,
    ESCROW,
    FROZEN,
    PROCEEDS,
    as_time,
    ended_for_its_fan,
    in_time,
    none_set_aside,
    nothing_unsettled,
    paid_afterwards,
    paid_by_its_fan,
    paid_to_its_seller,
    refunds_add_up,
    rows_in_order,
    seller_credited,
    terms_rule,
)

TERMS_RULE = terms_rule(
    "rallies_rally",
    {
        **{
            name: f"rallies_rally.{name}"
            for name in (
                "minimum", "cap_units", "limit_per_fan", "audience", "repeats_every_days", "repeats_left", "repeats_zone",
                "fee_bps",
            )
        },
        "tiers_count": "rallies_rally.basis",
        "late_joins": "CASE WHEN rallies_rally.late_joins THEN 'yes' ELSE 'no' END",
        "late_joins_until": as_time("rallies_rally.late_until"),
        "counted_for_good_s": "rallies_rally.firm_s",
        "joins_with_a_limit": "'count only toward the prices they accept'",
        "closed_early": "'at the next price'",
    },
    groups={
        "tier_": """(SELECT string_agg('tier_' || level + 1 || ': ' || price_minor || ' from ' || from_count || ' '
                                  || rallies_rally.basis || E'\\n', '' ORDER BY CAST(level + 1 AS text))
                   FROM rallies_tier WHERE rally_id = rallies_rally.sale_id)"""
    },
)  # fmt: skip

# The joins that have units: all but those who left or were removed.
_IN = "state NOT IN ('left', 'removed')"
# The joins that the count has: also those who left or were removed shortly before the end.
_COUNTED = "(state NOT IN ('left', 'removed') OR stays_counted)"

# What became of the holds of this rally, by way of the sale's own account, which an index leads to. Two sides that must agree
# are put in one list and summed by id, not joined: however stale the planner's statistics are, that takes time in proportion to
# the rows.
_HOLDS = """ledger_account AS escrow JOIN ledger_transfer AS moved ON moved.credit_account_id = escrow.id
             WHERE escrow.owner_id = %(sale_id)s AND escrow.kind = 'escrow'"""

ONE_PRICE = Check(
    "one_price",
    N_(
        "Everybody who paid, paid the same price for a unit: the number of different prices is "
        "one (none when nobody paid)."
    ),
    f"""
    SELECT least(1, count(*)) AS expected, count(DISTINCT paid / units) AS found
      FROM (SELECT sum(paid) AS paid, sum(units) AS units
              FROM (SELECT transfer_id AS id, quantity AS units, 0 AS paid FROM rallies_join WHERE rally_id = %(sale_id)s
                     UNION ALL
                    SELECT moved.pending_id, 0, moved.amount_minor FROM {_HOLDS} AND moved.kind = 'posted'
                     UNION ALL
                    SELECT id, quantity, 0 FROM rallies_latejoin WHERE rally_id = %(sale_id)s
                     UNION ALL
                    SELECT moved.subject_id, 0, moved.amount_minor
                      FROM sales_sale
                      JOIN ledger_account AS proceeds ON proceeds.owner_id = sales_sale.seller_id
                                                     AND proceeds.kind = 'proceeds' AND proceeds.currency = sales_sale.currency
                      JOIN ledger_transfer AS moved ON moved.credit_account_id = proceeds.id AND moved.code = 'late_join'
                     WHERE sales_sale.id = %(sale_id)s) AS side
             GROUP BY id HAVING sum(paid) > 0 AND sum(units) > 0) AS payment
    """,  # noqa: S608  # a constant
    about=TERMS,
)

COUNT_ADDS_UP = Check(
    "joiners",
    N_(
        "The count that made the price is the number of fans who joined and stayed, or left so "
        "late that they stay counted: no join lost, none invented."
    ),
    f"""
    SELECT (SELECT count(*) FROM rallies_join WHERE rally_id = %(sale_id)s AND {_COUNTED}) AS expected,
           (SELECT coalesce(sum(joiners), 0) FROM rallies_bucket WHERE rally_id = %(sale_id)s) AS found
    """,  # noqa: S608  # a constant
    about=GOODS,
)

UNITS_ADD_UP = Check(
    "units",
    N_("The units counted are the units that fans joined with."),
    f"""
    SELECT (SELECT coalesce(sum(quantity), 0) FROM rallies_join WHERE rally_id = %(sale_id)s AND {_COUNTED}) AS expected,
           (SELECT coalesce(sum(units), 0) FROM rallies_bucket WHERE rally_id = %(sale_id)s) AS found
    """,  # noqa: S608  # a constant
    about=GOODS,
)

LIMITS_ADD_UP = Check(
    "joins_with_a_limit",
    N_(
        "Each join is counted in the bucket that it names, and with a limit on the price under "
        "the first price it accepts."
    ),
    f"""
    SELECT 0 AS expected,
           (SELECT count(*) FROM (
                SELECT 1 FROM (
                    SELECT bucket, level, 1 AS joiners, quantity AS units FROM rallies_join
                     WHERE rally_id = %(sale_id)s AND level > 0 AND {_COUNTED}
                     UNION ALL
                    SELECT number, level, -joiners, -units FROM rallies_limitedcount WHERE rally_id = %(sale_id)s) AS side
                 GROUP BY bucket, level HAVING sum(joiners) <> 0 OR sum(units) <> 0) AS wrong)
         + (SELECT count(*) FROM (
                SELECT 1 FROM (
                    SELECT bucket, 1 AS joiners, quantity AS units FROM rallies_join WHERE rally_id = %(sale_id)s AND {_COUNTED}
                     UNION ALL
                    SELECT number, -joiners, -units FROM rallies_bucket WHERE rally_id = %(sale_id)s) AS side
                 GROUP BY bucket HAVING sum(joiners) <> 0 OR sum(units) <> 0) AS wrong)
         + (SELECT count(*)
              FROM rallies_join
              LEFT JOIN rallies_tier AS first ON first.rally_id = rallies_join.rally_id AND first.level = rallies_join.level
              LEFT JOIN rallies_tier AS before ON before.rally_id = first.rally_id AND before.level = first.level - 1
             WHERE rallies_join.rally_id = %(sale_id)s
               AND CASE WHEN only_at_or_below_minor IS NULL THEN first.level = 0
                        ELSE first.price_minor <= only_at_or_below_minor
                             AND (first.level = 0 OR before.price_minor > only_at_or_below_minor) END IS NOT TRUE) AS found
    """,  # noqa: S608  # a constant
    about=GOODS,
)

NO_DOUBLE_JOINS = Check(
    "double_joins",
    N_("No fan is in twice, however often the button was pressed."),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT 1 FROM rallies_join WHERE rally_id = %(sale_id)s GROUP BY fan_id HAVING count(*) > 1) AS doubled
    """,
    about=GOODS,
)

PRICE_IS_THE_TIERS = Check(
    "price_of_the_tier",
    N_(
        "The final price is that of the last sealed tier that enough fans accepted, worked out "
        "again from the joins; of the next one, when the seller closed early."
    ),
    f"""
    SELECT coalesce((SELECT min(price_minor) FROM rallies_tier AS paid
                      WHERE rally_id = %(sale_id)s AND paid.level <=
                            (SELECT max(level) FROM rallies_tier AS tier
                              WHERE rally_id = %(sale_id)s
                                AND (level = 0 OR from_count <=
                                    (SELECT coalesce(sum(CASE WHEN rallies_rally.basis = 'units' THEN quantity ELSE 1 END), 0)
                                       FROM rallies_join
                                      WHERE rallies_join.rally_id = %(sale_id)s AND {_COUNTED}
                                        AND rallies_join.level <= tier.level)))
                          + CASE WHEN rallies_outcome.rally_id IS NOT NULL AND sales_sale.closed_at
                                      < sales_sale.closes_at + sales_sale.frozen_ms * interval '1 millisecond'
                                 THEN 1 ELSE 0 END), 0) AS expected,
           coalesce(rallies_outcome.price_minor,
                    (SELECT min(price_minor) FROM rallies_tier AS tier
                      WHERE rally_id = %(sale_id)s
                        AND (level = 0 OR from_count <=
                            (SELECT coalesce(sum(CASE WHEN rallies_rally.basis = 'units' THEN units ELSE joiners END), 0)
                               FROM rallies_bucket WHERE rallies_bucket.rally_id = %(sale_id)s)
                          - (SELECT coalesce(sum(CASE WHEN rallies_rally.basis = 'units' THEN units ELSE joiners END), 0)
                               FROM rallies_limitedcount
                              WHERE rallies_limitedcount.rally_id = %(sale_id)s
                                AND rallies_limitedcount.level > tier.level)))) AS found
      FROM rallies_rally JOIN sales_sale ON sales_sale.id = rallies_rally.sale_id
      LEFT JOIN rallies_outcome ON rallies_outcome.rally_id = rallies_rally.sale_id
     WHERE rallies_rally.sale_id = %(sale_id)s
    """,  # noqa: S608  # a constant
    about=TERMS,
)

JOINED_UNDER_THE_TERMS = Check(
    "terms_agreed",
    N_("Every join, a late one too, was made under the sealed terms."),
    """
    SELECT 0 AS expected,
           (SELECT count(*) FROM rallies_join WHERE rally_id = %(sale_id)s AND terms_sha256 <> sales_sale.terms_sha256)
         + (SELECT count(*) FROM rallies_latejoin WHERE rally_id = %(sale_id)s AND terms_sha256 <> sales_sale.terms_sha256) AS found
      FROM sales_sale WHERE id = %(sale_id)s
    """,
    about=TERMS,
)

OUTCOME_WORKED_OUT = Check(
    "outcome",
    N_(
        "What the rally ended at is what its joins make of it, worked out again: how many "
        "accept the final price and for how many units, whether they are as many as the "
        "minimum asks for, and that it ended at all."
    ),
    f"""
    SELECT 0 AS expected,
           (SELECT count(*)
              FROM rallies_outcome
              JOIN rallies_rally ON rallies_rally.sale_id = rallies_outcome.rally_id
              LEFT JOIN rallies_tier ON rallies_tier.rally_id = rallies_outcome.rally_id
                                    AND rallies_tier.level = rallies_outcome.level
             CROSS JOIN LATERAL (SELECT count(*) AS joiners, coalesce(sum(quantity), 0) AS units FROM rallies_join
                                  WHERE rally_id = %(sale_id)s AND rallies_join.level <= rallies_outcome.level
                                    AND {_COUNTED}) AS crowd
             WHERE rallies_outcome.rally_id = %(sale_id)s
               AND (rallies_outcome.joiners <> crowd.joiners OR rallies_outcome.units <> crowd.units
                    OR rallies_tier.price_minor IS DISTINCT FROM rallies_outcome.price_minor
                    OR did_run <> (CASE WHEN basis = 'units' THEN crowd.units ELSE crowd.joiners END >= minimum)
                    OR fixed_at <> (SELECT coalesce(min(created_at), fixed_at) FROM rallies_settlement
                                     WHERE rally_id = %(sale_id)s)))
         + CASE WHEN state = 'closed' OR state = 'cancelled' AND EXISTS (SELECT 1 FROM sales_staffaction AS done
                                                                          WHERE done.sale_id = %(sale_id)s AND kind = 'void')
                THEN 0
                WHEN EXISTS (SELECT 1 FROM rallies_outcome WHERE rally_id = %(sale_id)s) <> (state IN ('settling', 'settled'))
                THEN 1 ELSE 0 END AS found
      FROM sales_sale WHERE id = %(sale_id)s
    """,  # noqa: S608  # a constant
    about=TERMS,
)

PAID_BY_ITS_FAN = paid_by_its_fan(
    f"""
            SELECT rallies_join.id, fan_id, transfer_id, joined_at AS at, 'pending' AS kind, 'hold' AS code,
                   {ESCROW} AS credit_account_id, 0 AS amount_minor, coalesce(price_minor * quantity, 0) AS held_minor
              FROM rallies_join
              LEFT JOIN rallies_tier ON rallies_tier.rally_id = rallies_join.rally_id AND rallies_tier.level = rallies_join.level
             WHERE rallies_join.rally_id = %(sale_id)s
             UNION ALL
            SELECT id, fan_id, transfer_id, joined_at, 'plain', 'late_join', {PROCEEDS}, coalesce(price_minor * quantity, 0), 0
              FROM rallies_latejoin LEFT JOIN rallies_outcome ON rallies_outcome.rally_id = rallies_latejoin.rally_id
             WHERE rallies_latejoin.rally_id = %(sale_id)s""",  # noqa: S608  # a constant
)

_HOLD_ENDS = f"closes_at + interval '{HOLD_OUTLIVES_CLOSE.days} days'"

# A fan who left and came again has an earlier hold, which began and ended before.
ENDED_FOR_ITS_FAN = ended_for_its_fan(
    "rallies_join",
    "rally_id",
    code="CASE moved.kind WHEN 'pending' THEN 'hold' WHEN 'posted' THEN 'capture' WHEN 'voided' THEN 'release' END",
    at="""
           CASE WHEN coalesce(moved.pending_id, moved.id) <> purchase.transfer_id
                THEN moved.kind <> 'posted' AND moved.at >= opens_at AND moved.at <= purchase.joined_at
                WHEN moved.kind = 'pending' THEN moved.at = purchase.joined_at
                WHEN moved.kind = 'voided' OR purchase.state = 'paid' THEN moved.at = purchase.changed_at
                ELSE TRUE END""",
    expires_at=f"moved.expires_at >= {_HOLD_ENDS} AND moved.expires_at <= {_HOLD_ENDS} + {FROZEN}",
)

SETTLEMENTS_ADD_UP = Check(
    "settlements_add_up",
    N_(
        "Every join that was charged or let go at the end is in a settlement of that time, and "
        "the settlements of a time are the sum of their joins."
    ),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT 1 FROM (
                SELECT moved.at, 1 AS charged, 0 AS released, moved.amount_minor AS gross,
                       moved.amount_minor * fee_bps / 10000 AS fee
                  FROM rallies_rally
                  JOIN ledger_account AS escrow ON escrow.owner_id = rallies_rally.sale_id AND escrow.kind = 'escrow'
                  JOIN ledger_transfer AS moved ON moved.credit_account_id = escrow.id AND moved.kind = 'posted'
                 WHERE rallies_rally.sale_id = %(sale_id)s
                 UNION ALL
                SELECT changed_at, 0, 1, 0, 0 FROM rallies_join JOIN sales_sale ON sales_sale.id = rally_id
                 WHERE rally_id = %(sale_id)s AND rallies_join.state = 'released'
                   AND (sales_sale.state <> 'cancelled'
                        OR changed_at IN (SELECT created_at FROM rallies_settlement WHERE rally_id = %(sale_id)s))
                 UNION ALL
                SELECT created_at, -charged, -released, -gross_minor, -fee_minor FROM rallies_settlement
                 WHERE rally_id = %(sale_id)s) AS side
             GROUP BY at HAVING sum(charged) <> 0 OR sum(released) <> 0 OR sum(gross) <> 0 OR sum(fee) <> 0) AS wrong
    """,
    about=MONEY,
)

IN_TIME = in_time(
    f"""
           (SELECT count(*) FROM rallies_join JOIN rallies_rally ON rallies_rally.sale_id = rallies_join.rally_id
             WHERE rally_id = %(sale_id)s
               AND (joined_at < opens_at OR joined_at >= closes_at + {FROZEN} OR joined_at >= closed_at + {CLOSING}
                    OR changed_at < joined_at AND rallies_join.state IN ('joined', 'left', 'removed')
                    OR changed_at > joined_at AND rallies_join.state = 'joined'
                    OR rallies_join.state IN ('left', 'removed')
                       AND (changed_at >= closes_at + {FROZEN} OR changed_at >= closed_at + {CLOSING}
                            OR stays_counted AND changed_at < closes_at - firm_s * interval '1 second'
                            OR NOT stays_counted AND changed_at >= closes_at + {FROZEN} - firm_s * interval '1 second')
                    OR stays_counted AND rallies_join.state NOT IN ('left', 'removed')))
         + (SELECT count(*) FROM rallies_latejoin
              JOIN rallies_rally ON rallies_rally.sale_id = rallies_latejoin.rally_id
              LEFT JOIN rallies_outcome ON rallies_outcome.rally_id = rallies_latejoin.rally_id
             WHERE rallies_latejoin.rally_id = %(sale_id)s
               AND (did_run AND joined_at >= closed_at - {CLOSING} AND joined_at < late_until + {FROZEN}) IS NOT TRUE)""",  # noqa: S608  # a constant
)

AFTERWARDS = paid_afterwards(
    """
            SELECT rallies_join.id, fan_id, 'refund' AS code, 'fee_back' AS fee_code, changed_at AS at,
                   price_minor * quantity AS amount_minor, price_minor * quantity * fee_bps / 10000 AS fee_minor
              FROM rallies_join
              JOIN rallies_rally ON rallies_rally.sale_id = rallies_join.rally_id
              JOIN rallies_outcome ON rallies_outcome.rally_id = rallies_join.rally_id
             WHERE rallies_join.rally_id = %(sale_id)s AND rallies_join.state = 'refunded'
             UNION ALL
            SELECT rallies_latejoin.id, fan_id, 'late_join', 'late_fee', joined_at, price_minor * quantity,
                   price_minor * quantity * fee_bps / 10000
              FROM rallies_latejoin
              JOIN rallies_rally ON rallies_rally.sale_id = rallies_latejoin.rally_id
              JOIN rallies_outcome ON rallies_outcome.rally_id = rallies_latejoin.rally_id
             WHERE rallies_latejoin.rally_id = %(sale_id)s""",
    """moved.subject_id IN (SELECT id FROM rallies_join WHERE rally_id = %(sale_id)s UNION ALL
                                        SELECT id FROM rallies_latejoin WHERE rally_id = %(sale_id)s)""",
)


def _paid(states: str) -> str:
    """Joins in these states, and all late ones, with what was paid for each."""
    return f"""
            SELECT id, fan_id, price_minor * quantity AS paid_minor
              FROM (SELECT rally_id, id, fan_id, quantity FROM rallies_join WHERE rally_id = %(sale_id)s AND state IN ({states})
                     UNION ALL
                    SELECT rally_id, id, fan_id, quantity FROM rallies_latejoin WHERE rally_id = %(sale_id)s) AS paid
              JOIN rallies_outcome ON rallies_outcome.rally_id = paid.rally_id"""  # noqa: S608  # constants of the program


REFUNDS = refunds_add_up(_paid("'paid'"), "rallies_rally")

NO_DOUBLE_CHARGES = Check(
    "double_charges",
    N_("No join was charged more than once."),
    f"""
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT 1 FROM (SELECT moved.pending_id FROM {_HOLDS} AND moved.pending_id IS NOT NULL) AS ending
             GROUP BY pending_id HAVING count(*) > 1) AS doubled
    """,  # noqa: S608  # a constant
    about=MONEY,
)

HOLDS_END = Check(
    "held_captured_released",
    N_(
        "Of each join, what was held is still held, or was captured or released, to the last "
        "cent: held less captured less released is nothing."
    ),
    f"""
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT id FROM (
                SELECT rallies_join.id,
                       CASE WHEN state = 'joined' THEN rallies_tier.price_minor * quantity ELSE 0 END AS held,
                       CASE WHEN state IN ('paid', 'refunded')
                            THEN coalesce(rallies_outcome.price_minor, rallies_tier.price_minor) * quantity ELSE 0 END AS paid
                  FROM rallies_join
                  JOIN rallies_tier ON rallies_tier.rally_id = rallies_join.rally_id AND rallies_tier.level = rallies_join.level
                  LEFT JOIN rallies_outcome ON rallies_outcome.rally_id = rallies_join.rally_id
                 WHERE rallies_join.rally_id = %(sale_id)s
                 UNION ALL
                SELECT moved.subject_id, -moved.held_minor, -moved.amount_minor FROM {_HOLDS}) AS side
             GROUP BY id HAVING sum(held) <> 0 OR sum(paid) <> 0) AS wrong
    """,  # noqa: S608  # a constant
    about=MONEY,
)

LIMIT_KEPT = Check(
    "limit_kept",
    N_(
        "Nobody paid more than they agreed to, and everybody who accepted the final price of a "
        "rally that ran was charged."
    ),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM rallies_join
      JOIN rallies_outcome ON rallies_outcome.rally_id = rallies_join.rally_id
      JOIN sales_sale ON sales_sale.id = rallies_join.rally_id
     WHERE rallies_join.rally_id = %(sale_id)s
       AND (rallies_join.state IN ('paid', 'refunded') OR rallies_join.state = 'released' AND sales_sale.state <> 'cancelled')
       AND (rallies_join.state <> 'released')
        <> (rallies_outcome.did_run AND rallies_join.level <= rallies_outcome.level
            AND coalesce(rallies_outcome.price_minor <= rallies_join.only_at_or_below_minor, TRUE))
    """,
    about=GOODS,
)

FAN_LIMIT_KEPT = Check(
    "limit_per_fan",
    N_("No fan has more units than the terms allow."),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT fan_id, quantity FROM rallies_join WHERE rally_id = %(sale_id)s AND state IN ('joined', 'paid')
             UNION ALL
            SELECT fan_id, quantity FROM rallies_latejoin WHERE rally_id = %(sale_id)s) AS taken
     WHERE fan_id IN (SELECT fan_id FROM (
               SELECT fan_id, quantity FROM rallies_join WHERE rally_id = %(sale_id)s AND state IN ('joined', 'paid')
                UNION ALL
               SELECT fan_id, quantity FROM rallies_latejoin WHERE rally_id = %(sale_id)s) AS each_taken
            GROUP BY fan_id
           HAVING sum(quantity) > (SELECT limit_per_fan FROM rallies_rally WHERE sale_id = %(sale_id)s))
    """,
    about=GOODS,
)

CAP_KEPT = Check(
    "cap",
    N_("Under a cap, the units taken and the units left are the cap: none was sold that did not exist."),
    f"""
    SELECT coalesce(cap_units, 0) AS expected,
           CASE WHEN EXISTS (SELECT 1 FROM rallies_bucket
                              WHERE rally_id = %(sale_id)s AND (units_left IS NULL) <> (cap_units IS NULL)) THEN -1
                WHEN cap_units IS NULL THEN 0
                ELSE (SELECT sum(units_left) FROM rallies_bucket WHERE rally_id = %(sale_id)s)
                   + (SELECT coalesce(sum(quantity), 0) FROM rallies_join
                       WHERE rally_id = %(sale_id)s AND {_IN} AND state <> 'released')
                   + (SELECT coalesce(sum(quantity), 0) FROM rallies_latejoin WHERE rally_id = %(sale_id)s) END AS found
      FROM rallies_rally WHERE sale_id = %(sale_id)s
    """,  # noqa: S608  # a constant
    about=GOODS,
)

SELLER_CREDITED = seller_credited(_paid("'paid', 'refunded'"), "rallies_rally")

ESCROW_EMPTY = Check(
    "nothing_stays_behind",
    N_("What is captured goes to the seller in the same step: the sale itself never keeps money."),
    """
    SELECT 0 AS expected,
           coalesce((SELECT sum(CASE WHEN credit_account_id = escrow.id THEN amount_minor ELSE -amount_minor END)
                       FROM ledger_transfer
                      WHERE credit_account_id = escrow.id OR debit_account_id = escrow.id), 0) AS found
      FROM ledger_account AS escrow WHERE escrow.owner_id = %(sale_id)s AND escrow.kind = 'escrow'
    """,
    about=MONEY,
)

NOTHING_UNSETTLED = nothing_unsettled(
    """(SELECT count(*) FROM rallies_join WHERE rally_id = %(sale_id)s
                         AND (rallies_join.state = 'joined'
                              OR sales_sale.state = 'cancelled' AND rallies_join.state = 'paid'))""",
)

NONE_SET_ASIDE = none_set_aside("SELECT id FROM rallies_join WHERE rally_id = %(sale_id)s")

PAID_TO_ITS_SELLER = paid_to_its_seller("rallies_settlement", "rally_id")

ROWS_IN_ORDER = rows_in_order(("rallies_bucket", "rally_id"), ("rallies_settlement", "rally_id"))

# That its hold and its sale exist is seen by `paid_by_its_fan` and `terms_rule`.
NO_ORPHANS = Check(
    "orphans",
    N_("Every join is somebody's who exists, and whoever brought the fan is in the rally too."),
    """
    SELECT 0 AS expected,
           (SELECT count(*) FROM rallies_join
              LEFT JOIN accounts_user ON accounts_user.id = rallies_join.fan_id
              LEFT JOIN rallies_join AS inviter ON inviter.rally_id = rallies_join.rally_id
                                               AND inviter.fan_id = rallies_join.invited_by_id
             WHERE rallies_join.rally_id = %(sale_id)s
               AND (accounts_user.id IS NULL OR (rallies_join.invited_by_id IS NOT NULL AND inviter.fan_id IS NULL))) AS found
    """,
)

CHECKS = [
    ONE_PRICE, COUNT_ADDS_UP, UNITS_ADD_UP, LIMITS_ADD_UP, NO_DOUBLE_JOINS, PRICE_IS_THE_TIERS, OUTCOME_WORKED_OUT, TERMS_RULE,
    JOINED_UNDER_THE_TERMS, *COMMON, IN_TIME, NO_DOUBLE_CHARGES, HOLDS_END, PAID_BY_ITS_FAN, ENDED_FOR_ITS_FAN, LIMIT_KEPT,
    FAN_LIMIT_KEPT, CAP_KEPT, SETTLEMENTS_ADD_UP, SELLER_CREDITED, PAID_TO_ITS_SELLER, AFTERWARDS, REFUNDS, ESCROW_EMPTY,
    NOTHING_UNSETTLED, NONE_SET_ASIDE, ROWS_IN_ORDER, NO_ORPHANS,
]  # fmt: skip
