"""What must be true of every sale, whatever its format. Formats put these into their lists; the functions make a format's variant.

A check that compares rows with rows of the same writer can be fooled by the writer. So each of these begins at another place:
the published hash, the sealed times, the accounts that the money moved between.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_noop as N_

from core.invariants import GOODS, MONEY, TERMS, Check
from ledger.models import HOUSE
from sales.gates import GATES

# An early close has the time at which it was begun, and what arrives until it commits is still in time.
CLOSING = "interval '10 seconds'"
FROZEN = "sales_sale.frozen_ms * interval '1 millisecond'"

# The sale's own account, and where its money goes. Each is looked up once, not for each row.
ESCROW = """(SELECT account.id FROM ledger_account AS account JOIN sales_sale ON sales_sale.id = account.owner_id
                    AND sales_sale.currency = account.currency WHERE account.owner_id = %(sale_id)s AND account.kind = 'escrow')"""
PROCEEDS = """(SELECT account.id FROM ledger_account AS account JOIN sales_sale ON sales_sale.seller_id = account.owner_id
                      AND sales_sale.currency = account.currency
                WHERE sales_sale.id = %(sale_id)s AND account.kind = 'proceeds')"""
FEES = f"""(SELECT account.id FROM ledger_account AS account JOIN sales_sale ON sales_sale.currency = account.currency
              WHERE sales_sale.id = %(sale_id)s AND account.kind = 'fees' AND account.owner_id = '{HOUSE}')"""  # noqa: S608

TERMS_HASH_HOLDS = Check(
    "terms_hash",
    N_("The sealed terms still have the hash that every receipt shows, and were sealed when the sale was published."),
    """
    SELECT 1 AS expected, count(*) AS found
      FROM sales_sale JOIN sales_sealedterms ON sales_sealedterms.sale_id = sales_sale.id
                                            AND sales_sealedterms.version = sales_sale.terms_version
     WHERE sales_sale.id = %(sale_id)s
       AND encode(sha256(convert_to(sales_sealedterms.text, 'UTF8')), 'hex') = sales_sale.terms_sha256
       AND sales_sealedterms.sha256 = sales_sale.terms_sha256
       AND sales_sealedterms.sealed_at = sales_sale.published_at
    """,
    about=TERMS,
)

STANDS_WHERE_IT_SAYS = Check(
    "stands_where_it_says",
    N_(
        "The sale's times fit where it stands: only what has ended was closed, and only what "
        "is settled has a time for it."
    ),
    """
    SELECT 1 AS expected, count(*) AS found
      FROM sales_sale
     WHERE id = %(sale_id)s AND frozen_ms >= 0 AND (closed_at IS NULL OR closed_at >= published_at)
       AND CASE WHEN state IN ('scheduled', 'live') THEN closed_at IS NULL AND settled_at IS NULL AND frozen_at IS NULL
                WHEN state = 'frozen' THEN closed_at IS NULL AND settled_at IS NULL AND frozen_at IS NOT NULL
                WHEN state IN ('closed', 'settling') THEN closed_at IS NOT NULL AND settled_at IS NULL AND frozen_at IS NULL
                WHEN state = 'settled' THEN closed_at IS NOT NULL AND settled_at IS NOT NULL AND frozen_at IS NULL
                WHEN state = 'cancelled' THEN closed_at IS NOT NULL AND settled_at IS NULL
                ELSE FALSE END
    """,
)

GATES_STAND = Check(
    "gates",
    N_("Every purchase and the end of the sale still meet: none of the rows that keep them apart is missing."),
    f"""
    SELECT {GATES} AS expected, count(*) AS found
      FROM sales_gate WHERE sale_id = %(sale_id)s AND number >= 0 AND number < {GATES}
    """,  # noqa: S608  # a constant
)

# The sale's pauses that are over: when it went on, and by how many milliseconds its deadlines moved then.
_ACTIONS = """(SELECT *, row_number() OVER (PARTITION BY kind ORDER BY at, id) AS number
                    FROM sales_staffaction WHERE sale_id = %(sale_id)s)"""

PAUSES = f"""SELECT resumed.at AS resumed_at, ceil(extract(epoch FROM resumed.at - began.at) * 1000) AS ms
                   FROM {_ACTIONS} AS began JOIN {_ACTIONS} AS resumed ON resumed.number = began.number
                  WHERE began.kind = 'freeze' AND resumed.kind = 'resume'"""  # noqa: S608  # a constant

PAUSES_ADD_UP = Check(
    "pauses",
    N_(
        "Every deadline is later by the pauses that staff have given a reason for, together, "
        "and by no more; a sale that they called off is called off."
    ),
    f"""
    SELECT 1 AS expected, count(*) AS found
      FROM sales_sale
     CROSS JOIN (SELECT count(*) FILTER (WHERE kind = 'freeze') - count(*) FILTER (WHERE kind = 'resume') AS going_on,
                        max(at) FILTER (WHERE kind = 'freeze') AS began_at, count(*) FILTER (WHERE kind = 'void') AS called_off,
                        max(at) FILTER (WHERE kind = 'void') AS called_off_at,
                        count(*) FILTER (WHERE kind NOT IN ('freeze', 'resume', 'void')) AS unknown
                   FROM {_ACTIONS} AS action) AS told
     CROSS JOIN (SELECT coalesce(sum(ms), 0) AS frozen_ms FROM ({PAUSES}) AS pause) AS pauses
     WHERE id = %(sale_id)s AND sales_sale.frozen_ms = pauses.frozen_ms AND unknown = 0
       AND going_on = CASE WHEN frozen_at IS NULL THEN 0 ELSE 1 END AND (frozen_at IS NULL OR frozen_at = began_at)
       AND (called_off = 0 OR called_off = 1 AND state = 'cancelled' AND called_off_at >= closed_at)
    """,  # noqa: S608  # a constant
)

COMMON = [TERMS_HASH_HOLDS, STANDS_WHERE_IT_SAYS, PAUSES_ADD_UP, GATES_STAND]

# Of all sales together, beside the books.
NOTHING_HIDDEN = Check(
    "nothing_hidden",
    N_(
        "Every sale whose terms were sealed can be seen and is proved, and none was hidden "
        "after it took money; what was set aside, or done by staff, was in one of them."
    ),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT sale_id FROM sales_sealedterms UNION ALL SELECT sale_id FROM sales_stuckrow
             UNION ALL SELECT sale_id FROM sales_staffaction) AS known
      LEFT JOIN sales_sale ON sales_sale.id = known.sale_id
     WHERE sales_sale.published_at IS NULL OR sales_sale.state = 'draft'
    """,
)


# -- the terms


def as_time(column: str) -> str:
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""


def as_words(column: str) -> str:
    """One blank for what Python takes as blanks, as in the sealed text."""
    blanks = r"[\s\u001c-\u001f\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"
    return f"btrim(regexp_replace({column}, '{blanks}', ' ', 'g'))"


_COMMON_TERMS = {
    "sale": "sales_sale.id",
    "seller": "sellers_seller.handle",
    "format": "sales_sale.format",
    "title": as_words("sales_sale.title"),
    "currency": "sales_sale.currency",
    "opens_at": as_time("sales_sale.opens_at"),
    "closes_at": as_time("sales_sale.closes_at"),
}


def terms_rule(table: str, terms: Mapping[str, str], *, groups: Mapping[str, str] | None = None) -> Check:
    """The sealed text written down again. `table` has the format's row of the sale; `terms` is name → SQL of the value, NULL for
    none; `groups` is a prefix of names → SQL of all their lines together."""
    lines = {
        name: f"'{name}: ' || coalesce(CAST({value} AS text), 'none') || E'\\n'"
        for name, value in (_COMMON_TERMS | dict(terms)).items()
    } | dict(groups or {})
    text = "\n                || ".join(lines[name] for name in sorted(lines))
    return Check(
        "terms_rule",
        N_(
            "The terms that rule are the ones that were sealed: written down again from the rows "
            "that the sale goes by, they have the published hash."
        ),
        f"""
    SELECT 1 AS expected, count(*) AS found
      FROM sales_sale
      JOIN sellers_seller ON sellers_seller.id = sales_sale.seller_id
      JOIN {table} ON {table}.sale_id = sales_sale.id
     WHERE sales_sale.id = %(sale_id)s
       AND encode(sha256(convert_to(
                {text},
               'UTF8')), 'hex') = sales_sale.terms_sha256
    """,  # noqa: S608  # constants of the program
        about=TERMS,
    )


# -- who pays, and to whom


def paid_by_its_fan(purchases: str) -> Check:
    """`purchases` selects id, fan_id, transfer_id, at, kind, code, credit_account_id, amount_minor, held_minor: what the
    transfer that pays for each, or holds its money, has to say."""
    return Check(
        "paid_by_its_fan",
        N_(
            "Each of the purchases was paid, or its money held, from its own fan's wallet, for its "
            "own price, at its own time, and went to where this sale's money goes."
        ),
        f"""
    SELECT 0 AS expected, count(*) AS found
      FROM ({purchases}) AS purchase
      JOIN sales_sale ON sales_sale.id = %(sale_id)s
      LEFT JOIN ledger_transfer AS moved ON moved.id = purchase.transfer_id
      LEFT JOIN ledger_account AS wallet ON wallet.id = moved.debit_account_id
     WHERE wallet.owner_id IS DISTINCT FROM purchase.fan_id OR wallet.kind <> 'wallet'
        OR wallet.currency <> sales_sale.currency OR moved.currency <> sales_sale.currency
        OR moved.credit_account_id IS DISTINCT FROM purchase.credit_account_id
        OR moved.subject_id <> purchase.id OR moved.journal_id <> moved.id OR moved.at <> purchase.at
        OR moved.kind <> purchase.kind OR moved.code <> purchase.code
        OR moved.amount_minor <> purchase.amount_minor OR moved.held_minor <> purchase.held_minor
        OR moved.pending_id IS NOT NULL OR (moved.expires_at IS NULL) <> (moved.kind = 'plain')
    """,  # noqa: S608  # constants of the program
        about=MONEY,
    )


def ended_for_its_fan(table: str, sale: str, *, code: str, at: str, expires_at: str) -> Check:
    """What was held, and what became of it. `table` has the purchases, with their fan and payment, and `sale` is its column of the
    sale; `code` is SQL of the reason that its kind and the purchase's state call for, `at` whether it came at its time, and
    `expires_at` whether a hold ends when it should."""
    return Check(
        "ended_for_its_fan",
        N_(
            "All that was held for the purchases, captured, released or given back was the money "
            "of the fan whose it was for, moved at the time that it says, and for the reason that "
            "it says."
        ),
        f"""
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT *, debit_account_id AS wallet_id FROM ledger_transfer
             WHERE credit_account_id = {ESCROW} AND kind <> 'plain'
             UNION ALL
            SELECT *, credit_account_id FROM ledger_transfer
             WHERE debit_account_id = {ESCROW} AND subject_id <> %(sale_id)s) AS moved
      JOIN sales_sale ON sales_sale.id = %(sale_id)s
      LEFT JOIN {table} AS purchase ON purchase.id = moved.subject_id AND purchase.{sale} = sales_sale.id
      LEFT JOIN ledger_account AS wallet ON wallet.id = moved.wallet_id
     WHERE wallet.owner_id IS DISTINCT FROM purchase.fan_id OR wallet.kind IS DISTINCT FROM 'wallet'
        OR moved.journal_id <> coalesce(moved.pending_id, CASE WHEN moved.kind = 'pending' THEN moved.id
                                                               ELSE purchase.transfer_id END)
        OR (moved.pending_id IS NULL) <> (moved.kind IN ('plain', 'pending'))
        OR moved.code IS DISTINCT FROM {code}
        OR ({at}) IS NOT TRUE
        OR CASE WHEN moved.kind = 'pending' THEN ({expires_at}) IS NOT TRUE ELSE moved.expires_at IS NOT NULL END
    """,  # noqa: S608  # constants of the program
        about=MONEY,
    )


def paid_to_its_seller(table: str, sale: str, *, more: str = "") -> Check:
    """`table` has the settlements, and `sale` is its column of the sale. `more` selects what else they passed on: journal_id, code,
    debit_id, credit_id, amount_minor, at and 1."""
    more = f" UNION ALL {more}" if more else ""
    return Check(
        "paid_to_its_seller",
        N_(
            "What was passed on is what the settlements say, each in one journal of its own: to this sale's own seller, and from "
            "there the fee to the house."
        ),
        f"""
    SELECT 0 AS expected,
           (SELECT count(*) FROM (
            SELECT journal_id, code, debit_id, credit_id, amount_minor, at FROM (
                SELECT id AS journal_id, 'proceeds' AS code, {ESCROW} AS debit_id, {PROCEEDS} AS credit_id,
                       gross_minor AS amount_minor, created_at AS at, 1 AS sign
                  FROM {table} WHERE {sale} = %(sale_id)s AND gross_minor <> 0
                 UNION ALL
                SELECT id, 'fee', {PROCEEDS}, {FEES}, fee_minor, created_at, 1
                  FROM {table} WHERE {sale} = %(sale_id)s AND fee_minor <> 0
                {more}
                 UNION ALL
                SELECT CASE WHEN code = 'proceeds' AND id <> journal_id THEN NULL ELSE journal_id END, code, debit_account_id,
                       credit_account_id, CASE WHEN kind = 'plain' AND pending_id IS NULL AND expires_at IS NULL
                                               THEN amount_minor ELSE 0 END, at, -1
                  FROM ledger_transfer
                 WHERE debit_account_id IN ({ESCROW}, {PROCEEDS}, {FEES}) AND subject_id = %(sale_id)s) AS side
             GROUP BY journal_id, code, debit_id, credit_id, amount_minor, at HAVING sum(sign) <> 0) AS wrong)
         + (SELECT count(*) FROM {table} WHERE {sale} = %(sale_id)s AND created_at > settled_at) AS found
      FROM sales_sale WHERE sales_sale.id = %(sale_id)s
    """,  # noqa: S608  # constants of the program
        about=MONEY,
    )


def seller_credited(settled: str, table: str) -> Check:
    """`settled` selects id and paid_minor of all that was passed on, whatever has become of it since; `table` has the format's row
    of the sale."""
    return Check(
        "seller_credited",
        N_(
            "The seller was credited exactly what was paid for each of the purchases that were "
            "settled or made after the end, less the fee of each; refunds come after that."
        ),
        f"""
    SELECT (SELECT coalesce(sum(paid_minor - paid_minor * fee_bps / 10000), 0) FROM ({settled}) AS settled) AS expected,
           (SELECT coalesce(sum(CASE WHEN code IN ('proceeds', 'late_join') THEN amount_minor ELSE -amount_minor END), 0)
              FROM ledger_transfer
             WHERE (debit_account_id = {PROCEEDS} OR credit_account_id = {PROCEEDS})
               AND (code IN ('proceeds', 'fee') AND subject_id = %(sale_id)s
                    OR code IN ('late_join', 'late_fee') AND subject_id IN (SELECT id FROM ({settled}) AS settled))) AS found
      FROM {table} WHERE sale_id = %(sale_id)s
    """,  # noqa: S608  # constants of the program
        about=MONEY,
    )


def paid_afterwards(given: str, of_the_sale: str) -> Check:
    """What moves on the seller's account beside the settlements: the refunds, and what `given` selects: id, fan_id, code, at and
    amount_minor, with fee_code and fee_minor for the house's part. `of_the_sale` is whether the transfer `moved` is for one of
    the sale's."""
    return Check(
        "paid_afterwards",
        N_(
            "Of the purchases that were refunded after they were settled, or made after the end, each moved what it says once "
            "and whole, at its time: between its own fan and this sale's own seller, and the fee between the seller and the house."
        ),
        f"""
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT 1 FROM (
                SELECT given.id AS subject_id, line.code, TRUE AS in_its_journal, given.at, line.amount_minor,
                       CASE line.code WHEN 'late_join' THEN wallet.id WHEN 'fee_back' THEN {FEES} ELSE {PROCEEDS} END AS debit_id,
                       CASE line.code WHEN 'refund' THEN wallet.id WHEN 'late_fee' THEN {FEES} ELSE {PROCEEDS} END AS credit_id,
                       1 AS sign
                  FROM ({given}
             UNION ALL
            SELECT purchase_id, fan_id, 'refund', 'fee_back', at, amount_minor, fee_minor FROM sales_refund
             WHERE sale_id = %(sale_id)s) AS given
                  JOIN sales_sale ON sales_sale.id = %(sale_id)s
                  LEFT JOIN ledger_account AS wallet ON wallet.owner_id = given.fan_id AND wallet.kind = 'wallet'
                                                    AND wallet.currency = sales_sale.currency
                 CROSS JOIN LATERAL (SELECT given.code, given.amount_minor
                                      UNION ALL SELECT given.fee_code, given.fee_minor) AS line (code, amount_minor)
                 WHERE line.amount_minor > 0
                 UNION ALL
                SELECT moved.subject_id, moved.code,
                       moved.kind = 'plain' AND moved.pending_id IS NULL AND moved.expires_at IS NULL
                       AND first.id = first.journal_id AND first.subject_id = moved.subject_id
                       AND first.code IN ('refund', 'late_join'),
                       moved.at, moved.amount_minor, moved.debit_account_id, moved.credit_account_id, -1
                  FROM ledger_transfer AS moved LEFT JOIN ledger_transfer AS first ON first.id = moved.journal_id
                 WHERE (moved.debit_account_id = {PROCEEDS} OR moved.credit_account_id = {PROCEEDS})
                   AND moved.subject_id <> %(sale_id)s AND {of_the_sale}) AS side
             GROUP BY subject_id, code, in_its_journal, at, amount_minor, debit_id, credit_id HAVING sum(sign) <> 0) AS wrong
    """,  # noqa: S608  # constants of the program
        about=MONEY,
    )


def refunds_add_up(paid: str, table: str) -> Check:
    """`paid` selects id, fan_id and paid_minor of the purchases that were settled; `table` has the format's row of the sale."""
    return Check(
        "refunds",
        N_(
            "No more was ever refunded of the purchases than was paid for each: its refunds are "
            "numbered, none of a sale that is not settled, each by the fee that is on it, and "
            "together they are what the last one says."
        ),
        f"""
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT refund.*, row_number() OVER before AS place,
                   (sum(amount_minor) OVER before)::bigint AS amounts, (sum(fee_minor) OVER before)::bigint AS fees
              FROM sales_refund AS refund WHERE sale_id = %(sale_id)s
            WINDOW before AS (PARTITION BY purchase_id ORDER BY number)) AS refund
      JOIN sales_sale ON sales_sale.id = refund.sale_id
      JOIN {table} AS terms ON terms.sale_id = refund.sale_id
      LEFT JOIN ({paid}) AS purchase ON purchase.id = refund.purchase_id
     WHERE purchase.fan_id IS DISTINCT FROM refund.fan_id OR purchase.paid_minor <> refund.paid_minor
        OR refund.number <> refund.place OR refund.refunded_minor <> refund.amounts OR refund.amounts > refund.paid_minor
        OR refund.amount_minor <= 0 OR sales_sale.settled_at IS NULL
        OR refund.fees <> refund.paid_minor * fee_bps / 10000 - (refund.paid_minor - refund.amounts) * fee_bps / 10000
    """,  # noqa: S608  # constants of the program
        about=MONEY,
    )


# -- when, and what is left over


def in_time(found: str) -> Check:
    """`found` is SQL of how many are outside the sale's time, from its row and the format's."""
    return Check(
        "in_time",
        N_(
            "None of the purchases is from outside the sale's time: before it opened, after it "
            "ended, or past its own deadline."
        ),
        f"""
    SELECT 0 AS expected, {found} AS found
      FROM sales_sale WHERE sales_sale.id = %(sale_id)s
    """,  # noqa: S608  # constants of the program
        about=GOODS,
    )


def none_set_aside(purchases: str) -> Check:
    """`purchases` selects the ids of the sale's purchases that a step may have set aside."""
    return Check(
        "none_set_aside",
        N_(
            "None of the purchases that a step could not do was forgotten: each waits as a part of "
            "this sale, and once the sale is settled none does."
        ),
        f"""
    SELECT 0 AS expected, count(*) AS found
      FROM sales_stuckrow JOIN sales_sale ON sales_sale.id = sales_stuckrow.sale_id
     WHERE sales_sale.id = %(sale_id)s
       AND (sales_sale.state IN ('draft', 'settled') OR sales_stuckrow.row_id NOT IN ({purchases}))
    """,  # noqa: S608  # constants of the program
    )


def nothing_unsettled(unsettled: str) -> Check:
    """`unsettled` is SQL of how many purchases still have money held, or not passed on."""
    return Check(
        "nothing_unsettled",
        N_(
            "No hold outlives its sale: once it is settled, or called off and everybody has been "
            "given their money back, none of the purchases is left with money in it."
        ),
        f"""
    SELECT 0 AS expected,
           CASE WHEN state = 'settled' OR state = 'cancelled' AND NOT EXISTS (
                     SELECT 1 FROM core_duework WHERE kind = 'sales.unwind' AND subject_id = %(sale_id)s AND done_at IS NULL)
                THEN {unsettled} ELSE 0 END AS found
      FROM sales_sale WHERE id = %(sale_id)s
    """,  # noqa: S608  # constants of the program
        about=MONEY,
    )


def numbered(table: str, sale: str) -> str:
    """SQL: 0 when the rows of the sale are numbered from zero without a gap, otherwise 1."""
    return f"""(SELECT CASE WHEN count(*) = coalesce(max(number) + 1, 0) AND coalesce(min(number), 0) = 0 THEN 0 ELSE 1 END
                  FROM {table} WHERE {sale} = %(sale_id)s)"""  # noqa: S608  # constants of the program


def rows_in_order(*tables: tuple[str, str]) -> Check:
    """`tables` are pairs of a table and its column of the sale."""
    return Check(
        "rows_in_order",
        N_(
            "The rows among which the sale's numbers are spread, and its settlements, are numbered "
            "without a gap: none is missing."
        ),
        f"SELECT 0 AS expected, {' + '.join(numbered(*table) for table in tables)} AS found",
    )
