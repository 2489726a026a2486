"""What must be true of every drop, at every moment; and, once it is settled, of its money."""

from django.utils.translation import gettext_noop as N_

from core.invariants import GOODS, MONEY, TERMS, Check
from sales.invariants import (
    CLOSING,
    COMMON,
    ESCROW,
    PAUSES,
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
    "drops_drop",
    {
        name: f"drops_drop.{name}"
        for name in ("price_minor", "units_total", "limit_per_fan", "hold_s", "cancel_s", "fee_bps")
    },
)

UNITS_ADD_UP = Check(
    "sold_is_stock_or_demand",
    N_("The units sold are the smaller of the stock and the demand that was met: none lost, none invented."),
    """
    SELECT least(drops_drop.units_total, ordered.units) AS expected,
           drops_drop.units_total - stock.units_left AS found
      FROM drops_drop
     CROSS JOIN LATERAL (SELECT sum(units_left) AS units_left FROM drops_bucket
                          WHERE drop_id = drops_drop.sale_id) AS stock
     CROSS JOIN LATERAL (SELECT coalesce(sum(quantity), 0) AS units FROM drops_order
                          WHERE drop_id = drops_drop.sale_id AND state IN ('held', 'paid', 'settled')) AS ordered
     WHERE drops_drop.sale_id = %(sale_id)s
    """,
    about=GOODS,
)

NEVER_OVERSOLD = Check(
    "oversold",
    N_("No unit was sold that did not exist."),
    """
    SELECT 0 AS expected,
           greatest(0, coalesce((SELECT sum(quantity) FROM drops_order WHERE drop_id = %(sale_id)s
                                    AND state IN ('held', 'paid', 'settled')), 0) - units_total) AS found
      FROM drops_drop WHERE sale_id = %(sale_id)s
    """,
    about=GOODS,
)

ONE_ORDER_PER_KEY = Check(
    "one_order_per_key",
    N_("However often a fan's request was repeated, it made one order."),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT 1 FROM drops_order WHERE drop_id = %(sale_id)s
             GROUP BY fan_id, idempotency_key HAVING count(*) > 1) AS doubled
    """,
    about=GOODS,
)

LIMIT_KEPT = Check(
    "limit_per_fan",
    N_(
        "No fan has more units than the terms allow, and where there is a limit the row that "
        "keeps it counts what the fan has."
    ),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT sum(units) AS units, sum(counted) AS counted
              FROM (SELECT fan_id, quantity AS units, 0 AS counted FROM drops_order
                     WHERE drop_id = %(sale_id)s AND state IN ('held', 'paid', 'settled')
                     UNION ALL
                    SELECT fan_id, 0, units FROM drops_fanlimit WHERE drop_id = %(sale_id)s) AS side
             GROUP BY fan_id) AS taken
      JOIN drops_drop ON drops_drop.sale_id = %(sale_id)s
     WHERE units > limit_per_fan OR counted <> CASE WHEN limit_per_fan IS NULL THEN 0 ELSE units END
    """,
    about=GOODS,
)

PRICE_IS_SEALED = Check(
    "one_sealed_price",
    N_("Every order was placed at the price and terms sealed before the sale opened."),
    """
    SELECT 0 AS expected, coalesce(sum(placed.orders), 0) AS found
      FROM (SELECT unit_price_minor, currency, terms_sha256, count(*) AS orders
              FROM drops_order WHERE drop_id = %(sale_id)s
             GROUP BY unit_price_minor, currency, terms_sha256) AS placed
     CROSS JOIN drops_drop
      JOIN sales_sale ON sales_sale.id = drops_drop.sale_id
     WHERE drops_drop.sale_id = %(sale_id)s
       AND (placed.unit_price_minor <> drops_drop.price_minor
            OR placed.currency <> sales_sale.currency
            OR placed.terms_sha256 <> sales_sale.terms_sha256)
    """,
    about=TERMS,
)

PAID_BY_ITS_FAN = paid_by_its_fan(
    f"""
            SELECT id, fan_id, transfer_id, placed_at AS at, {ESCROW} AS credit_account_id,
                   CASE WHEN is_hold THEN 'pending' ELSE 'plain' END AS kind,
                   CASE WHEN is_hold THEN 'hold' ELSE 'purchase' END AS code,
                   CASE WHEN is_hold THEN 0 ELSE quantity * unit_price_minor END AS amount_minor,
                   CASE WHEN is_hold THEN quantity * unit_price_minor ELSE 0 END AS held_minor
              FROM drops_order WHERE drop_id = %(sale_id)s""",  # noqa: S608  # a constant
)

_MOVED_SINCE = "(sales_sale.frozen_ms - purchase.frozen_ms) * interval '1 millisecond'"

ENDED_FOR_ITS_FAN = ended_for_its_fan(
    "drops_order",
    "drop_id",
    code="""
           CASE WHEN moved.kind = 'pending' THEN 'hold' WHEN moved.kind = 'posted' THEN 'capture'
                WHEN moved.kind = 'voided' AND purchase.state = 'cancelled' THEN 'release'
                WHEN moved.kind = 'voided' AND purchase.state = 'expired' THEN 'expired'
                WHEN moved.kind = 'plain' AND purchase.state = 'refunded' THEN 'refund' END""",
    at=f"""
           CASE WHEN moved.kind = 'pending' THEN moved.at = purchase.placed_at
                WHEN moved.kind = 'posted' THEN moved.at >= purchase.placed_at AND moved.at < purchase.expires_at + {_MOVED_SINCE}
                                            AND (purchase.state <> 'paid' OR moved.at = purchase.changed_at)
                ELSE moved.at = purchase.changed_at AND (moved.code <> 'expired' OR moved.at >= purchase.expires_at) END""",
    expires_at="moved.expires_at = purchase.expires_at",
)

_FROZEN_BEFORE = "drops_order.frozen_ms * interval '1 millisecond'"

IN_TIME = in_time(
    f"""
           (WITH pause AS ({PAUSES})
            SELECT count(*) FROM drops_order JOIN drops_drop ON drops_drop.sale_id = drops_order.drop_id
             WHERE drops_order.drop_id = %(sale_id)s
               AND (placed_at < opens_at + {_FROZEN_BEFORE} OR placed_at >= closes_at + {_FROZEN_BEFORE}
                    OR placed_at >= closed_at + {CLOSING}
                    OR CASE WHEN sales_sale.frozen_ms = 0 THEN drops_order.frozen_ms <> 0
                            ELSE drops_order.frozen_ms
                                 NOT BETWEEN (SELECT coalesce(sum(ms), 0) FROM pause WHERE resumed_at <= placed_at - {CLOSING})
                                         AND (SELECT coalesce(sum(ms), 0) FROM pause WHERE resumed_at <= placed_at + {CLOSING}) END
                    OR expires_at IS DISTINCT FROM CASE WHEN is_hold
                           THEN least(placed_at + hold_s * interval '1 second', closes_at + {_FROZEN_BEFORE}) END
                    OR changed_at <> placed_at
                       AND (drops_order.state = 'held' OR drops_order.state = 'paid' AND NOT is_hold)))""",  # noqa: S608  # a constant
)

SETTLEMENTS_ADD_UP = Check(
    "settlements_add_up",
    N_(
        "Every order that was settled is in one settlement, of the same time, and each "
        "settlement is the sum of its orders."
    ),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT 1 FROM (
                SELECT settlement_id AS id, 1 AS orders, quantity * unit_price_minor AS gross,
                       quantity * unit_price_minor * fee_bps / 10000 AS fee
                  FROM drops_order JOIN drops_drop ON drops_drop.sale_id = drops_order.drop_id
                 WHERE drop_id = %(sale_id)s AND (state = 'settled' OR settlement_id IS NOT NULL)
                 UNION ALL
                SELECT id, -orders, -gross_minor, -fee_minor FROM drops_settlement
                 WHERE drop_id = %(sale_id)s) AS side
             GROUP BY id HAVING sum(orders) <> 0 OR sum(gross) <> 0 OR sum(fee) <> 0
             UNION ALL
            SELECT 1 FROM drops_order JOIN drops_settlement ON drops_settlement.id = drops_order.settlement_id
             WHERE drops_order.drop_id = %(sale_id)s
               AND (state = 'settled' AND changed_at <> created_at OR state <> 'settled' AND changed_at < created_at)) AS wrong
    """,
    about=MONEY,
)

# Two sides that must agree are put in one list and summed by id, not joined: however stale the planner's statistics are,
# that takes time in proportion to the rows.
PAID_ONCE = Check(
    "each_order_paid_once",
    N_("Each order moved exactly its own price once; each one given back before it was settled was sent back whole."),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT id FROM (
                SELECT id,
                       CASE WHEN state IN ('paid', 'settled', 'refunded') THEN quantity * unit_price_minor ELSE 0 END AS paid,
                       CASE WHEN state = 'refunded' AND settlement_id IS NULL
                            THEN quantity * unit_price_minor ELSE 0 END AS refunded,
                       CASE WHEN state = 'held' THEN quantity * unit_price_minor ELSE 0 END AS held
                  FROM drops_order WHERE drop_id = %(sale_id)s
                 UNION ALL
                SELECT moved.subject_id,
                       CASE WHEN moved.code IN ('purchase', 'capture') THEN -moved.amount_minor ELSE 0 END,
                       CASE WHEN moved.code = 'refund' THEN -moved.amount_minor ELSE 0 END,
                       -moved.held_minor
                  FROM ledger_account AS escrow
                  JOIN ledger_transfer AS moved ON moved.credit_account_id = escrow.id OR moved.debit_account_id = escrow.id
                 WHERE escrow.owner_id = %(sale_id)s AND escrow.kind = 'escrow' AND moved.subject_id <> %(sale_id)s) AS side
             GROUP BY id HAVING sum(paid) <> 0 OR sum(refunded) <> 0 OR sum(held) <> 0) AS wrong
    """,
    about=MONEY,
)

SELLER_CREDITED = seller_credited(
    "SELECT id, quantity * unit_price_minor AS paid_minor FROM drops_order "
    "WHERE drop_id = %(sale_id)s AND settlement_id IS NOT NULL",
    "drops_drop",
)

AFTERWARDS = paid_afterwards(
    """
            SELECT id, fan_id, 'refund' AS code, 'fee_back' AS fee_code, changed_at AS at,
                   quantity * unit_price_minor AS amount_minor, quantity * unit_price_minor * fee_bps / 10000 AS fee_minor
              FROM drops_order JOIN drops_drop ON drops_drop.sale_id = drops_order.drop_id
             WHERE drop_id = %(sale_id)s AND drops_order.state = 'refunded' AND settlement_id IS NOT NULL""",
    "EXISTS (SELECT 1 FROM drops_order WHERE id = moved.subject_id AND drop_id = %(sale_id)s)",
)

REFUNDS = refunds_add_up(
    "SELECT id, fan_id, quantity * unit_price_minor AS paid_minor FROM drops_order "
    "WHERE drop_id = %(sale_id)s AND state = 'settled'",
    "drops_drop",
)

PAID_TO_ITS_SELLER = paid_to_its_seller("drops_settlement", "drop_id")

ESCROW_EMPTY = Check(
    "nothing_stays_behind",
    N_("All the money the sale still holds belongs to orders that are paid and not yet settled; after settling, none."),
    """
    SELECT coalesce((SELECT sum(quantity * unit_price_minor) FROM drops_order
                      WHERE drop_id = %(sale_id)s AND state = 'paid'), 0) AS expected,
           coalesce((SELECT sum(CASE WHEN credit_account_id = escrow.id THEN amount_minor ELSE -amount_minor END)
                       FROM ledger_transfer
                      WHERE credit_account_id = escrow.id OR debit_account_id = escrow.id), 0) AS found
      FROM ledger_account AS escrow WHERE escrow.owner_id = %(sale_id)s AND escrow.kind = 'escrow'
    """,
    about=MONEY,
)

NOTHING_UNSETTLED = nothing_unsettled(
    """(SELECT count(*) FROM drops_order WHERE drop_id = %(sale_id)s
                         AND (drops_order.state IN ('held', 'paid')
                              OR sales_sale.state = 'cancelled' AND drops_order.state = 'settled'))""",
)

NONE_SET_ASIDE = none_set_aside("SELECT id FROM drops_order WHERE drop_id = %(sale_id)s")

ROWS_IN_ORDER = rows_in_order(("drops_bucket", "drop_id"), ("drops_settlement", "drop_id"))

# That its payment and its sale exist is seen by `paid_by_its_fan` and `terms_rule`.
NO_ORPHANS = Check(
    "orphans",
    N_("Every order is somebody's who exists."),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM drops_order LEFT JOIN accounts_user ON accounts_user.id = drops_order.fan_id
     WHERE drops_order.drop_id = %(sale_id)s AND accounts_user.id IS NULL
    """,
)

CHECKS = [
    UNITS_ADD_UP, NEVER_OVERSOLD, ONE_ORDER_PER_KEY, LIMIT_KEPT, PRICE_IS_SEALED, TERMS_RULE, *COMMON, IN_TIME, PAID_ONCE,
    PAID_BY_ITS_FAN, ENDED_FOR_ITS_FAN, SETTLEMENTS_ADD_UP, SELLER_CREDITED, AFTERWARDS, REFUNDS, PAID_TO_ITS_SELLER, ESCROW_EMPTY,
    NOTHING_UNSETTLED, NONE_SET_ASIDE, ROWS_IN_ORDER, NO_ORPHANS,
]  # fmt: skip
