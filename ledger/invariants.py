"""What must be true of the books as a whole."""

from core.invariants import Check

WALLETS_NEVER_NEGATIVE = Check(
    "wallets_never_negative",
    "No wallet is below zero, in what it can spend or in what is held.",
    """
    SELECT 0 AS expected, count(*) AS found
      FROM ledger_account WHERE available_minor < 0 OR held_minor < 0
    """,
)

DRIFT_PER_ACCOUNT = Check(
    "drift_per_account",
    "The balance on every wallet equals the sum of its transfers, to the unit.",
    """
    WITH moved AS (
        SELECT account_id, sum(available) AS available, sum(held) AS held
          FROM (SELECT debit_account_id AS account_id, -amount_minor - held_minor AS available, held_minor AS held
                  FROM ledger_transfer
                UNION ALL
                SELECT credit_account_id, amount_minor, 0 FROM ledger_transfer) AS entry
         GROUP BY account_id
    )
    SELECT 0 AS expected, count(*) AS found
      FROM ledger_account AS account LEFT JOIN moved ON moved.account_id = account.id
     WHERE account.keeps_balance
       AND (account.available_minor <> coalesce(moved.available, 0) OR account.held_minor <> coalesce(moved.held, 0))
    """,
)

DRIFT_IN_TOTAL = Check(
    "drift_in_total",
    "All the money in wallets, and all that stands on every other account, sums to zero.",
    """
    SELECT 0 AS expected,
           coalesce((SELECT sum(available_minor + held_minor) FROM ledger_account WHERE keeps_balance), 0)
           + coalesce((SELECT sum(entry.amount_minor) FROM ledger_entry AS entry
                         LEFT JOIN ledger_account AS account ON account.id = entry.account_id
                        WHERE account.keeps_balance IS NOT TRUE), 0) AS found
    """,
)

CURRENCIES_NEVER_MIX = Check(
    "currencies_never_mix",
    "Both accounts of every transfer are in the transfer's own currency.",
    """
    SELECT 0 AS expected, count(*) AS found
      FROM ledger_transfer AS transfer
      LEFT JOIN ledger_account AS debit ON debit.id = transfer.debit_account_id
      LEFT JOIN ledger_account AS credit ON credit.id = transfer.credit_account_id
     WHERE debit.currency IS DISTINCT FROM transfer.currency OR credit.currency IS DISTINCT FROM transfer.currency
    """,
)

HOLDS_END_ONCE = Check(
    "holds_end_once",
    "Every hold was ended at most once, for exactly the amount that was held.",
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT pending_id, count(*) AS endings, sum(held_minor) AS ended
              FROM ledger_transfer WHERE pending_id IS NOT NULL GROUP BY pending_id) AS resolved
      LEFT JOIN ledger_transfer AS pending ON pending.id = resolved.pending_id AND pending.kind = 'pending'
     WHERE resolved.endings <> 1 OR pending.id IS NULL OR pending.held_minor + resolved.ended <> 0
    """,
)

CHECKS = [WALLETS_NEVER_NEGATIVE, DRIFT_PER_ACCOUNT, DRIFT_IN_TOTAL, CURRENCIES_NEVER_MIX, HOLDS_END_ONCE]
