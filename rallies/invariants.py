"""What must be true of every rally, at every moment; and, once it is settled, of its money."""

from core.invariants import Check
from sales.invariants import TERMS_HASH_HOLDS

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
    "Everybody who paid, paid the same price for a unit: the number of different prices is one (none when nobody paid).",
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
)

COUNT_ADDS_UP = Check(
    "joiners",
    "The count that made the price is the number of fans who joined and stayed, or left so late that they stay counted: no join "
    "lost, none invented.",
    f"""
    SELECT (SELECT count(*) FROM rallies_join WHERE rally_id = %(sale_id)s AND {_COUNTED}) AS expected,
           (SELECT coalesce(sum(joiners), 0) FROM rallies_bucket WHERE rally_id = %(sale_id)s) AS found
    """,  # noqa: S608  # a constant
)

UNITS_ADD_UP = Check(
    "units",
    "The units counted are the units that fans joined with.",
    f"""
    SELECT (SELECT coalesce(sum(quantity), 0) FROM rallies_join WHERE rally_id = %(sale_id)s AND {_COUNTED}) AS expected,
           (SELECT coalesce(sum(units), 0) FROM rallies_bucket WHERE rally_id = %(sale_id)s) AS found
    """,  # noqa: S608  # a constant
)

LIMITS_ADD_UP = Check(
    "joins_with_a_limit",
    "Joins with a limit on the price are counted under the first price they accept, in every bucket.",
    f"""
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT bucket, level, count(*) AS joiners, sum(quantity) AS units FROM rallies_join
             WHERE rally_id = %(sale_id)s AND level > 0 AND {_COUNTED} GROUP BY bucket, level) AS joined
      FULL JOIN (SELECT number, level, joiners, units FROM rallies_limitedcount
                  WHERE rally_id = %(sale_id)s AND (joiners > 0 OR units > 0)) AS counted
        ON counted.number = joined.bucket AND counted.level = joined.level
     WHERE joined.joiners IS DISTINCT FROM counted.joiners OR joined.units IS DISTINCT FROM counted.units
    """,  # noqa: S608  # a constant
)

NO_DOUBLE_JOINS = Check(
    "double_joins",
    "No fan is in twice, however often the button was pressed.",
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT 1 FROM rallies_join WHERE rally_id = %(sale_id)s GROUP BY fan_id HAVING count(*) > 1) AS doubled
    """,
)

PRICE_IS_THE_TIERS = Check(
    "price_of_the_tier",
    "The final price is that of the last sealed tier that enough fans accepted, worked out again from the joins; of the next one, "
    "when the seller closed early.",
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
)

TIERS_ARE_SEALED = Check(
    "tiers_sealed",
    "The tiers are the ones sealed before the rally opened, and every join was made under those terms.",
    """
    SELECT 0 AS expected,
           (SELECT count(*) FROM rallies_tier, rallies_rally, sales_sealedterms
             WHERE rallies_tier.rally_id = %(sale_id)s AND rallies_rally.sale_id = %(sale_id)s
               AND sales_sealedterms.sale_id = %(sale_id)s AND sales_sealedterms.version = sales_sale.terms_version
               AND position('tier_' || rallies_tier.level + 1 || ': ' || rallies_tier.price_minor || ' from '
                            || rallies_tier.from_count || ' ' || rallies_rally.basis || E'\\n' IN sales_sealedterms.text) = 0)
         + (SELECT count(*) FROM rallies_join
             WHERE rally_id = %(sale_id)s AND rallies_join.terms_sha256 <> sales_sale.terms_sha256) AS found
      FROM sales_sale WHERE id = %(sale_id)s
    """,
)

NO_DOUBLE_CHARGES = Check(
    "double_charges",
    "No join was charged more than once.",
    f"""
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT 1 FROM (SELECT moved.pending_id FROM {_HOLDS} AND moved.pending_id IS NOT NULL) AS ending
             GROUP BY pending_id HAVING count(*) > 1) AS doubled
    """,  # noqa: S608  # a constant
)

HOLDS_END = Check(
    "held_captured_released",
    "Of each join, what was held is still held, or was captured or released, to the last cent: held less captured less "
    "released is nothing.",
    f"""
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT id FROM (
                SELECT rallies_join.id,
                       CASE WHEN state = 'joined' THEN rallies_tier.price_minor * quantity ELSE 0 END AS held,
                       CASE WHEN state IN ('paid', 'refunded') THEN rallies_outcome.price_minor * quantity ELSE 0 END AS paid
                  FROM rallies_join
                  JOIN rallies_tier ON rallies_tier.rally_id = rallies_join.rally_id AND rallies_tier.level = rallies_join.level
                  LEFT JOIN rallies_outcome ON rallies_outcome.rally_id = rallies_join.rally_id
                 WHERE rallies_join.rally_id = %(sale_id)s
                 UNION ALL
                SELECT moved.subject_id, -moved.held_minor, -moved.amount_minor FROM {_HOLDS}) AS side
             GROUP BY id HAVING sum(held) <> 0 OR sum(paid) <> 0) AS wrong
    """,  # noqa: S608  # a constant
)

LIMIT_KEPT = Check(
    "limit_kept",
    "Nobody paid more than they agreed to, and everybody who accepted the final price of a rally that ran was charged.",
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
)

FAN_LIMIT_KEPT = Check(
    "limit_per_fan",
    "No fan has more units than the terms allow.",
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
)

CAP_KEPT = Check(
    "cap",
    "Under a cap, the units taken and the units left are the cap: none was sold that did not exist.",
    f"""
    SELECT coalesce(cap_units, 0) AS expected,
           CASE WHEN cap_units IS NULL THEN 0
                ELSE (SELECT sum(units_left) FROM rallies_bucket WHERE rally_id = %(sale_id)s)
                   + (SELECT coalesce(sum(quantity), 0) FROM rallies_join
                       WHERE rally_id = %(sale_id)s AND {_IN} AND state <> 'released')
                   + (SELECT coalesce(sum(quantity), 0) FROM rallies_latejoin WHERE rally_id = %(sale_id)s) END AS found
      FROM rallies_rally WHERE sale_id = %(sale_id)s
    """,  # noqa: S608  # a constant
)

SELLER_CREDITED = Check(
    "seller_credited",
    "The seller was credited exactly the final price for every unit paid, less the fee of each join.",
    """
    SELECT (SELECT coalesce(sum(rallies_outcome.price_minor * quantity
                                - rallies_outcome.price_minor * quantity * rallies_rally.fee_bps / 10000), 0)
              FROM (SELECT quantity FROM rallies_join WHERE rally_id = %(sale_id)s AND state = 'paid'
                     UNION ALL
                    SELECT quantity FROM rallies_latejoin WHERE rally_id = %(sale_id)s) AS paid) AS expected,
           (SELECT coalesce(sum(CASE WHEN code IN ('proceeds', 'late_join', 'fee_back') THEN amount_minor
                                     ELSE -amount_minor END), 0)
              FROM ledger_transfer
             WHERE (debit_account_id = proceeds.id OR credit_account_id = proceeds.id)
               AND ((subject_id = %(sale_id)s AND code IN ('proceeds', 'fee'))
                OR (subject_id IN (SELECT id FROM rallies_join WHERE rally_id = %(sale_id)s AND state = 'refunded')
                    AND code IN ('refund', 'fee_back'))
                OR (subject_id IN (SELECT id FROM rallies_latejoin WHERE rally_id = %(sale_id)s)
                    AND code IN ('late_join', 'late_fee')))) AS found
      FROM rallies_rally
      JOIN sales_sale ON sales_sale.id = rallies_rally.sale_id
      JOIN ledger_account AS proceeds ON proceeds.owner_id = sales_sale.seller_id AND proceeds.kind = 'proceeds'
                                     AND proceeds.currency = sales_sale.currency
      LEFT JOIN rallies_outcome ON rallies_outcome.rally_id = rallies_rally.sale_id
     WHERE rallies_rally.sale_id = %(sale_id)s
    """,
)

ESCROW_EMPTY = Check(
    "nothing_stays_behind",
    "What is captured goes to the seller in the same step: the sale itself never keeps money.",
    """
    SELECT 0 AS expected,
           coalesce((SELECT sum(CASE WHEN credit_account_id = escrow.id THEN amount_minor ELSE -amount_minor END)
                       FROM ledger_transfer
                      WHERE credit_account_id = escrow.id OR debit_account_id = escrow.id), 0) AS found
      FROM ledger_account AS escrow WHERE escrow.owner_id = %(sale_id)s AND escrow.kind = 'escrow'
    """,
)

NOTHING_UNSETTLED = Check(
    "nothing_unsettled",
    "Once the rally is settled, nobody's money is still held.",
    """
    SELECT 0 AS expected,
           (SELECT count(*) FROM rallies_join WHERE rally_id = %(sale_id)s AND state = 'joined'
               AND sales_sale.state = 'settled') AS found
      FROM sales_sale WHERE id = %(sale_id)s
    """,
)

NO_ORPHANS = Check(
    "orphans",
    "Every join, hold and invitation belongs to something that exists.",
    """
    SELECT 0 AS expected,
           (SELECT count(*) FROM rallies_join
              LEFT JOIN accounts_user ON accounts_user.id = rallies_join.fan_id
              LEFT JOIN ledger_transfer ON ledger_transfer.id = rallies_join.transfer_id
              LEFT JOIN sales_sale ON sales_sale.id = rallies_join.rally_id
              LEFT JOIN rallies_join AS inviter ON inviter.rally_id = rallies_join.rally_id
                                               AND inviter.fan_id = rallies_join.invited_by_id
             WHERE rallies_join.rally_id = %(sale_id)s
               AND (accounts_user.id IS NULL OR ledger_transfer.id IS NULL OR sales_sale.id IS NULL
                    OR (rallies_join.invited_by_id IS NOT NULL AND inviter.fan_id IS NULL))) AS found
    """,
)

CHECKS = [
    ONE_PRICE, COUNT_ADDS_UP, UNITS_ADD_UP, LIMITS_ADD_UP, NO_DOUBLE_JOINS, PRICE_IS_THE_TIERS, TIERS_ARE_SEALED,
    TERMS_HASH_HOLDS, NO_DOUBLE_CHARGES, HOLDS_END, LIMIT_KEPT, FAN_LIMIT_KEPT, CAP_KEPT, SELLER_CREDITED, ESCROW_EMPTY,
    NOTHING_UNSETTLED, NO_ORPHANS,
]  # fmt: skip
