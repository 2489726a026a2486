"""What must be true of every drop, at every moment; and, once it is settled, of its money."""

from core.invariants import Check
from sales.invariants import TERMS_HASH_HOLDS

UNITS_ADD_UP = Check(
    "sold_is_stock_or_demand",
    "The units sold are the smaller of the stock and the demand that was met: none lost, none invented.",
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
)

NEVER_OVERSOLD = Check(
    "oversold",
    "No unit was sold that did not exist.",
    """
    SELECT 0 AS expected,
           greatest(0, coalesce((SELECT sum(quantity) FROM drops_order WHERE drop_id = %(sale_id)s
                                    AND state IN ('held', 'paid', 'settled')), 0) - units_total) AS found
      FROM drops_drop WHERE sale_id = %(sale_id)s
    """,
)

ONE_ORDER_PER_KEY = Check(
    "one_order_per_key",
    "However often a fan's request was repeated, it made one order.",
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT 1 FROM drops_order WHERE drop_id = %(sale_id)s
             GROUP BY fan_id, idempotency_key HAVING count(*) > 1) AS doubled
    """,
)

LIMIT_KEPT = Check(
    "limit_per_fan",
    "No fan has more units than the terms allow.",
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT sum(quantity) AS units FROM drops_order
             WHERE drop_id = %(sale_id)s AND state IN ('held', 'paid', 'settled') GROUP BY fan_id) AS taken
     WHERE units > (SELECT limit_per_fan FROM drops_drop WHERE sale_id = %(sale_id)s)
    """,
)

PRICE_IS_SEALED = Check(
    "one_sealed_price",
    "Every order was placed at the price and terms sealed before the sale opened.",
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
            OR placed.terms_sha256 <> sales_sale.terms_sha256
            OR NOT EXISTS (SELECT 1 FROM sales_sealedterms
                            WHERE sale_id = sales_sale.id AND version = sales_sale.terms_version
                              AND text LIKE '%%price_minor: ' || placed.unit_price_minor || E'\\n%%'))
    """,
)

# Two sides that must agree are put in one list and summed by id, not joined: however stale the planner's statistics are,
# that takes time in proportion to the rows.
PAID_ONCE = Check(
    "each_order_paid_once",
    "Each order moved exactly its own price once; each one given back before it was settled was sent back whole.",
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
)

SELLER_CREDITED = Check(
    "seller_credited",
    "The seller was credited exactly the sum of the orders that were settled, less the fee of each.",
    """
    SELECT (SELECT coalesce(sum(quantity * unit_price_minor
                                - quantity * unit_price_minor * drops_drop.fee_bps / 10000), 0)
              FROM drops_order WHERE drop_id = %(sale_id)s AND settlement_id IS NOT NULL) AS expected,
           (SELECT coalesce(sum(CASE WHEN code = 'proceeds' THEN amount_minor ELSE -amount_minor END), 0)
              FROM ledger_transfer WHERE subject_id = %(sale_id)s AND code IN ('proceeds', 'fee')) AS found
      FROM drops_drop WHERE sale_id = %(sale_id)s
    """,
)

REFUNDED_WHOLE = Check(
    "refunded_after_settling",
    "Each order that was refunded after it was settled came back whole from the seller, who got the house's fee back.",
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT id FROM (
                SELECT drops_order.id, quantity * unit_price_minor AS paid, quantity * unit_price_minor * fee_bps / 10000 AS fee
                  FROM drops_order JOIN drops_drop ON drops_drop.sale_id = drops_order.drop_id
                 WHERE drop_id = %(sale_id)s AND state = 'refunded' AND settlement_id IS NOT NULL
                 UNION ALL
                SELECT moved.subject_id,
                       CASE WHEN moved.code = 'refund' THEN -moved.amount_minor ELSE 0 END,
                       CASE WHEN moved.code = 'fee_back' THEN -moved.amount_minor ELSE 0 END
                  FROM sales_sale
                  JOIN ledger_account AS proceeds ON proceeds.owner_id = sales_sale.seller_id AND proceeds.kind = 'proceeds'
                                                 AND proceeds.currency = sales_sale.currency
                  JOIN ledger_transfer AS moved ON (moved.debit_account_id = proceeds.id AND moved.code = 'refund')
                                                OR (moved.credit_account_id = proceeds.id AND moved.code = 'fee_back')
                  JOIN drops_order ON drops_order.id = moved.subject_id AND drops_order.drop_id = sales_sale.id
                 WHERE sales_sale.id = %(sale_id)s) AS side
             GROUP BY id HAVING sum(paid) <> 0 OR sum(fee) <> 0) AS wrong
    """,
)

ESCROW_EMPTY = Check(
    "nothing_stays_behind",
    "All the money the sale still holds belongs to orders that are paid and not yet settled; after settling, none.",
    """
    SELECT coalesce((SELECT sum(quantity * unit_price_minor) FROM drops_order
                      WHERE drop_id = %(sale_id)s AND state = 'paid'), 0) AS expected,
           coalesce((SELECT sum(CASE WHEN credit_account_id = escrow.id THEN amount_minor ELSE -amount_minor END)
                       FROM ledger_transfer
                      WHERE credit_account_id = escrow.id OR debit_account_id = escrow.id), 0) AS found
      FROM ledger_account AS escrow WHERE escrow.owner_id = %(sale_id)s AND escrow.kind = 'escrow'
    """,
)

NOTHING_UNSETTLED = Check(
    "nothing_unsettled",
    "Once the sale is settled, no order is left held or unpaid to the seller.",
    """
    SELECT 0 AS expected,
           (SELECT count(*) FROM drops_order WHERE drop_id = %(sale_id)s AND state IN ('held', 'paid')
               AND sales_sale.state = 'settled') AS found
      FROM sales_sale WHERE id = %(sale_id)s
    """,
)

NO_ORPHANS = Check(
    "orphans",
    "Every order, payment and stock row belongs to something that exists.",
    """
    SELECT 0 AS expected,
           (SELECT count(*) FROM drops_order
              LEFT JOIN accounts_user ON accounts_user.id = drops_order.fan_id
              LEFT JOIN ledger_transfer ON ledger_transfer.id = drops_order.transfer_id
              LEFT JOIN sales_sale ON sales_sale.id = drops_order.drop_id
             WHERE drops_order.drop_id = %(sale_id)s
               AND (accounts_user.id IS NULL OR ledger_transfer.id IS NULL OR sales_sale.id IS NULL)) AS found
    """,
)

CHECKS = [
    UNITS_ADD_UP, NEVER_OVERSOLD, ONE_ORDER_PER_KEY, LIMIT_KEPT, PRICE_IS_SEALED, TERMS_HASH_HOLDS, PAID_ONCE,
    SELLER_CREDITED, REFUNDED_WHOLE, ESCROW_EMPTY, NOTHING_UNSETTLED, NO_ORPHANS,
]  # fmt: skip
