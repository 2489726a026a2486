"""What must be true of every falling price, at every moment; and, once it is settled, of its money."""

from django.utils.translation import gettext_noop as N_

from auctions.charges import HOLD_OUTLIVES_END
from core.invariants import GOODS, MONEY, TERMS, Check
from sales.invariants import (
    CLOSING,
    COMMON,
    ESCROW,
    FEES,
    PAUSES,
    PROCEEDS,
    ended_for_its_fan,
    in_time,
    none_set_aside,
    nothing_unsettled,
    paid_by_its_fan,
    paid_to_its_seller,
    refunds_add_up,
    rows_in_order,
    seller_credited,
    terms_rule,
)

TERMS_RULE = terms_rule(
    "auctions_dutch",
    {
        name: f"auctions_dutch.{name}"
        for name in (
            "start_minor", "floor_minor", "step_minor", "interval_s", "units_total", "pays", "premium_bps", "fee_bps",
        )
    },
)  # fmt: skip

_FROZEN_BEFORE = "claim.frozen_ms * interval '1 millisecond'"
_PREMIUM = "claim.quantity * {unit} * premium_bps / 10000"

UNITS_ADD_UP = Check(
    "claimed_is_taken_from_stock",
    N_("The units claimed are the units that are gone from the stock, and never more than there were."),
    """
    SELECT units_total - coalesce((SELECT sum(quantity) FROM auctions_claim WHERE sale_id = %(sale_id)s), 0) AS expected,
           coalesce((SELECT sum(units_left) FROM auctions_dutchbucket WHERE sale_id = %(sale_id)s AND units_left >= 0), -1) AS found
      FROM auctions_dutch WHERE sale_id = %(sale_id)s
    """,
    about=GOODS,
)

NEVER_OVERSOLD = Check(
    "oversold",
    N_("No unit was claimed that did not exist."),
    """
    SELECT 0 AS expected,
           greatest(0, coalesce((SELECT sum(quantity) FROM auctions_claim WHERE sale_id = %(sale_id)s), 0) - units_total) AS found
      FROM auctions_dutch WHERE sale_id = %(sale_id)s
    """,
    about=GOODS,
)

# The price once more, from the sealed terms and from when each claim was received.
PRICE_OF_THE_MOMENT = Check(
    "price_of_the_moment",
    N_(
        "Each claim has the price that the sealed terms give for the moment at which it was received, and that was no more than "
        "its fan had agreed to."
    ),
    f"""
    SELECT 0 AS expected, count(*) AS found
      FROM auctions_claim AS claim JOIN auctions_dutch USING (sale_id) JOIN sales_sale ON sales_sale.id = sale_id
     WHERE sale_id = %(sale_id)s
       AND (unit_price_minor <> greatest(floor_minor, start_minor - step_minor * greatest(0,
                CAST(floor(extract(epoch FROM claimed_at - {_FROZEN_BEFORE} - opens_at) / interval_s) AS bigint)))
            OR unit_price_minor > at_most_minor OR claim.terms_sha256 <> sales_sale.terms_sha256
            OR claim.quantity <= 0 OR at_most_minor <= 0)
    """,  # noqa: S608  # constants of the program
    about=TERMS,
)

PAID_BY_THE_TERMS = Check(
    "paid_by_the_terms",
    N_("Everybody who was charged paid the price that the terms say: their own, or the last one that anybody claimed."),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM auctions_claim AS claim JOIN auctions_dutch USING (sale_id)
     WHERE sale_id = %(sale_id)s AND unit_paid_minor IS NOT NULL
       AND unit_paid_minor <> CASE pays WHEN 'own' THEN unit_price_minor
                              ELSE (SELECT min(unit_price_minor) FROM auctions_claim WHERE sale_id = %(sale_id)s) END
    """,
    about=TERMS,
)

ONE_CLAIM_PER_KEY = Check(
    "one_claim_per_key",
    N_("However often a fan's request was repeated, it made one claim."),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT 1 FROM auctions_claim WHERE sale_id = %(sale_id)s
             GROUP BY fan_id, idempotency_key HAVING count(*) > 1) AS doubled
    """,
    about=GOODS,
)

NO_CLAIMS_OF_THE_SHOP = Check(
    "no_claims_of_the_shop",
    N_("Nobody of the shop has claimed its units; every claim is somebody's who exists."),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM auctions_claim AS claim JOIN sales_sale ON sales_sale.id = claim.sale_id
      LEFT JOIN accounts_user ON accounts_user.id = claim.fan_id
     WHERE claim.sale_id = %(sale_id)s
       AND (accounts_user.id IS NULL
            OR EXISTS (SELECT 1 FROM sellers_member WHERE sellers_member.seller_id = sales_sale.seller_id
                          AND sellers_member.user_id = claim.fan_id AND sellers_member.created_at <= claimed_at))
    """,
    about=GOODS,
)

PAID_BY_ITS_FAN = paid_by_its_fan(
    f"""
            SELECT claim.id, fan_id, transfer_id, claimed_at AS at, {ESCROW} AS credit_account_id,
                   'pending' AS kind, 'hold' AS code, CAST(0 AS bigint) AS amount_minor,
                   claim.quantity * unit_price_minor + {_PREMIUM.format(unit="unit_price_minor")} AS held_minor
              FROM auctions_claim AS claim JOIN auctions_dutch USING (sale_id) WHERE sale_id = %(sale_id)s""",  # noqa: S608  # a constant
)

ENDED_FOR_ITS_FAN = ended_for_its_fan(
    "auctions_claim",
    "sale_id",
    code="""
           CASE WHEN moved.kind = 'pending' THEN 'hold'
                WHEN moved.kind = 'posted' AND purchase.state IN ('paid', 'refunded') THEN 'capture'
                WHEN moved.kind = 'voided' AND purchase.state = 'released' THEN 'release' END""",
    at="""
           CASE WHEN moved.kind = 'pending' THEN moved.at = purchase.claimed_at
                WHEN moved.kind = 'posted'
                THEN moved.at = (SELECT created_at FROM auctions_dutchsettlement WHERE id = purchase.settlement_id)
                     AND moved.amount_minor = purchase.quantity * purchase.unit_paid_minor
                         + purchase.quantity * purchase.unit_paid_minor
                           * (SELECT premium_bps FROM auctions_dutch WHERE auctions_dutch.sale_id = purchase.sale_id) / 10000
                ELSE moved.at = purchase.changed_at END""",
    expires_at=f"""moved.expires_at = sales_sale.closes_at + interval '{HOLD_OUTLIVES_END.days} days'
                                      + purchase.frozen_ms * interval '1 millisecond'""",  # a constant
)

EACH_HOLD_ENDED_ONCE = Check(
    "each_hold_ended_once",
    N_("What was held for each claim is held as long as it waits, and ended once when it was charged or let go."),
    f"""
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT id FROM (
                SELECT claim.id, CASE claim.state WHEN 'held'
                       THEN claim.quantity * unit_price_minor + {_PREMIUM.format(unit="unit_price_minor")} ELSE 0 END AS held,
                       CASE WHEN unit_paid_minor IS NULL THEN 0
                            ELSE claim.quantity * unit_paid_minor + {_PREMIUM.format(unit="unit_paid_minor")} END AS paid
                  FROM auctions_claim AS claim JOIN auctions_dutch USING (sale_id) WHERE sale_id = %(sale_id)s
                 UNION ALL
                SELECT subject_id, -held_minor, -amount_minor FROM ledger_transfer
                 WHERE credit_account_id = {ESCROW}) AS side
             GROUP BY id HAVING sum(held) <> 0 OR sum(paid) <> 0) AS wrong
    """,  # noqa: S608  # constants of the program
    about=MONEY,
)

SETTLEMENTS_ADD_UP = Check(
    "settlements_add_up",
    N_(
        "Every claim that was charged is in one settlement, of the same time, and each settlement is the sum of its claims."
    ),
    f"""
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT 1 FROM (
                SELECT settlement_id AS id, 1 AS claims, claim.quantity * unit_paid_minor AS gross,
                       claim.quantity * unit_paid_minor * fee_bps / 10000 AS fee,
                       {_PREMIUM.format(unit="unit_paid_minor")} AS premium
                  FROM auctions_claim AS claim JOIN auctions_dutch USING (sale_id)
                 WHERE sale_id = %(sale_id)s AND settlement_id IS NOT NULL
                 UNION ALL
                SELECT id, -claims, -gross_minor, -fee_minor, -premium_minor FROM auctions_dutchsettlement
                 WHERE sale_id = %(sale_id)s) AS side
             GROUP BY id HAVING sum(claims) <> 0 OR sum(gross) <> 0 OR sum(fee) <> 0 OR sum(premium) <> 0
             UNION ALL
            SELECT 1 FROM auctions_claim AS claim JOIN auctions_dutchsettlement AS settlement ON settlement.id = claim.settlement_id
             WHERE claim.sale_id = %(sale_id)s
               AND (claim.state = 'paid' AND changed_at <> created_at OR changed_at < created_at
                    OR settlement.sale_id <> claim.sale_id)
             UNION ALL
            SELECT 1 FROM auctions_claim AS claim WHERE claim.sale_id = %(sale_id)s
               AND ((settlement_id IS NOT NULL) <> (claim.state IN ('paid', 'refunded'))
                    OR (unit_paid_minor IS NOT NULL) <> (claim.state IN ('paid', 'refunded'))
                    OR claim.state = 'held' AND changed_at <> claimed_at OR changed_at < claimed_at)) AS wrong
    """,  # noqa: S608  # constants of the program
    about=MONEY,
)

PAID_TO_ITS_SELLER = paid_to_its_seller(
    "auctions_dutchsettlement",
    "sale_id",
    more=f"""
                SELECT id, 'premium', {ESCROW}, {FEES}, premium_minor, created_at, 1
                  FROM auctions_dutchsettlement WHERE sale_id = %(sale_id)s AND premium_minor <> 0""",  # noqa: S608  # a constant
)

_PAID = """SELECT id, fan_id, quantity * unit_paid_minor AS paid_minor FROM auctions_claim
                WHERE sale_id = %(sale_id)s AND settlement_id IS NOT NULL"""

SELLER_CREDITED = seller_credited(_PAID, "auctions_dutch")

REFUNDS = refunds_add_up(_PAID, "auctions_dutch")

# What is given back after it was passed on moves on the accounts of the seller and the house, and the premium from the house alone.
GIVEN_BACK = Check(
    "given_back_whole",
    N_(
        "Of the claims that were charged and given back because the sale was called off, each has all of it back, at its time: the "
        "price from this sale's seller, to whom the house gave its fee back, and the premium from the house; and refunds are what "
        "they say."
    ),
    f"""
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT 1 FROM (
                SELECT claim.id, line.code, changed_at AS at, line.amount_minor,
                       CASE line.code WHEN 'refund' THEN {PROCEEDS} ELSE {FEES} END AS debit_id,
                       CASE line.code WHEN 'fee_back' THEN {PROCEEDS} ELSE wallet.id END AS credit_id, 1 AS sign
                  FROM auctions_claim AS claim JOIN auctions_dutch USING (sale_id)
                  LEFT JOIN ledger_account AS wallet ON wallet.owner_id = claim.fan_id AND wallet.kind = 'wallet'
                        AND wallet.currency = (SELECT currency FROM sales_sale WHERE id = %(sale_id)s)
                 CROSS JOIN LATERAL (
                    SELECT 'refund' AS code, claim.quantity * unit_paid_minor AS amount_minor
                     UNION ALL SELECT 'fee_back', claim.quantity * unit_paid_minor * fee_bps / 10000
                     UNION ALL SELECT 'premium_back', {_PREMIUM.format(unit="unit_paid_minor")}) AS line
                 WHERE sale_id = %(sale_id)s AND claim.state = 'refunded' AND line.amount_minor > 0
                 UNION ALL
                SELECT purchase_id, line.code, refund.at, line.amount_minor,
                       CASE line.code WHEN 'refund' THEN {PROCEEDS} ELSE {FEES} END,
                       CASE line.code WHEN 'fee_back' THEN {PROCEEDS} ELSE wallet.id END, 1
                  FROM sales_refund AS refund
                  LEFT JOIN ledger_account AS wallet ON wallet.owner_id = refund.fan_id AND wallet.kind = 'wallet'
                        AND wallet.currency = (SELECT currency FROM sales_sale WHERE id = %(sale_id)s)
                 CROSS JOIN LATERAL (SELECT 'refund' AS code, refund.amount_minor
                                      UNION ALL SELECT 'fee_back', refund.fee_minor) AS line
                 WHERE refund.sale_id = %(sale_id)s AND line.amount_minor > 0
                 UNION ALL
                SELECT moved.subject_id, moved.code, moved.at,
                       CASE WHEN moved.kind = 'plain' AND moved.pending_id IS NULL AND moved.expires_at IS NULL
                                 AND first.id = first.journal_id AND first.subject_id = moved.subject_id AND first.code = 'refund'
                            THEN moved.amount_minor ELSE -1 END, moved.debit_account_id, moved.credit_account_id, -1
                  FROM ledger_transfer AS moved LEFT JOIN ledger_transfer AS first ON first.id = moved.journal_id
                 WHERE moved.debit_account_id IN ({PROCEEDS}, {FEES}) AND moved.subject_id <> %(sale_id)s
                   AND EXISTS (SELECT 1 FROM auctions_claim WHERE id = moved.subject_id AND sale_id = %(sale_id)s)) AS side
             GROUP BY id, code, at, amount_minor, debit_id, credit_id HAVING sum(sign) <> 0
             UNION ALL
            SELECT 1 FROM auctions_claim AS claim JOIN sales_sale ON sales_sale.id = claim.sale_id
             WHERE claim.sale_id = %(sale_id)s AND claim.state IN ('released', 'refunded')
               AND sales_sale.state <> 'cancelled') AS wrong
    """,  # noqa: S608  # constants of the program
    about=MONEY,
)

IN_TIME = in_time(
    f"""
           (WITH pause AS ({PAUSES})
            SELECT count(*) FROM auctions_claim AS claim
             WHERE claim.sale_id = %(sale_id)s
               AND (claimed_at < opens_at + {_FROZEN_BEFORE} OR claimed_at >= closes_at + {_FROZEN_BEFORE}
                    OR claimed_at >= closed_at + {CLOSING}
                    OR CASE WHEN sales_sale.frozen_ms = 0 THEN claim.frozen_ms <> 0
                            ELSE claim.frozen_ms
                                 NOT BETWEEN (SELECT coalesce(sum(ms), 0) FROM pause WHERE resumed_at <= claimed_at - {CLOSING})
                                         AND (SELECT coalesce(sum(ms), 0) FROM pause WHERE resumed_at <= claimed_at + {CLOSING})
                       END))
           + (SELECT count(*) FROM auctions_dutchsettlement WHERE sale_id = %(sale_id)s AND created_at > settled_at)
           + CASE WHEN settled_at < closed_at THEN 1 ELSE 0 END""",  # noqa: S608  # a constant
)

NOTHING_STAYS = Check(
    "nothing_stays_behind",
    N_("The sale's own account is empty at every moment: what is charged goes on in the same step."),
    f"""
    SELECT 0 AS expected,
           coalesce((SELECT sum(CASE WHEN credit_account_id = {ESCROW} THEN amount_minor ELSE -amount_minor END)
                       FROM ledger_transfer WHERE credit_account_id = {ESCROW} OR debit_account_id = {ESCROW}), 0) AS found
    """,  # noqa: S608  # constants of the program
    about=MONEY,
)

NOTHING_UNSETTLED = nothing_unsettled(
    """(SELECT count(*) FROM auctions_claim
         WHERE sale_id = %(sale_id)s
           AND (auctions_claim.state = 'held' OR auctions_claim.state = 'paid' AND sales_sale.state = 'cancelled'))""",
)

NONE_SET_ASIDE = none_set_aside("SELECT id FROM auctions_claim WHERE sale_id = %(sale_id)s")

ROWS_IN_ORDER = rows_in_order(("auctions_dutchbucket", "sale_id"), ("auctions_dutchsettlement", "sale_id"))

CHECKS = [
    UNITS_ADD_UP, NEVER_OVERSOLD, NO_CLAIMS_OF_THE_SHOP, ONE_CLAIM_PER_KEY, IN_TIME, PRICE_OF_THE_MOMENT, PAID_BY_THE_TERMS,
    TERMS_RULE, PAID_BY_ITS_FAN, ENDED_FOR_ITS_FAN, EACH_HOLD_ENDED_ONCE, SETTLEMENTS_ADD_UP, PAID_TO_ITS_SELLER, SELLER_CREDITED,
    REFUNDS, GIVEN_BACK, NOTHING_STAYS, *COMMON, NOTHING_UNSETTLED, NONE_SET_ASIDE, ROWS_IN_ORDER,
]  # fmt: skip
