"""What must be true of the books as a whole; and the same of what came since they were last checked."""

from django.utils.translation import gettext_noop as N_

from core.invariants import Check

WALLETS_NEVER_NEGATIVE = Check(
    "wallets_never_negative",
    N_("No wallet is below zero, in what it can spend or in what is held."),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM ledger_account WHERE available_minor < 0 OR held_minor < 0
    """,
)

DRIFT_PER_ACCOUNT = Check(
    "drift_per_account",
    N_("The balance on every wallet equals the sum of its transfers, to the unit."),
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
    N_("All the money in wallets, and all that stands on every other account, sums to zero."),
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
    N_("Both accounts of every transfer are in the transfer's own currency."),
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
    N_("Every hold was ended at most once, for exactly the amount that was held."),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT pending_id, count(*) AS endings, sum(held_minor) AS ended
              FROM ledger_transfer WHERE pending_id IS NOT NULL GROUP BY pending_id) AS resolved
      LEFT JOIN ledger_transfer AS pending ON pending.id = resolved.pending_id AND pending.kind = 'pending'
     WHERE resolved.endings <> 1 OR pending.id IS NULL OR pending.held_minor + resolved.ended <> 0
    """,
)

ONLY_WALLETS_KEEP_BALANCES = Check(
    "only_wallets_keep_balances",
    N_("Wallets, and no other accounts, keep a balance: what stands anywhere else is the sum of its transfers."),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM ledger_account
     WHERE keeps_balance <> (kind = 'wallet') OR NOT keeps_balance AND (available_minor <> 0 OR held_minor <> 0)
    """,
)

CHECKS = [
    WALLETS_NEVER_NEGATIVE, ONLY_WALLETS_KEEP_BALANCES, DRIFT_PER_ACCOUNT, DRIFT_IN_TOTAL, CURRENCIES_NEVER_MIX,
    HOLDS_END_ONCE,
]  # fmt: skip

# Only of the books as a whole. The newest of an account is the one that its balance is read from.
CHECKPOINTS_ADD_UP = Check(
    "checkpoints_add_up",
    N_("Where a sum of earlier transfers is kept to spare work, it is their sum."),
    """
    WITH newest AS (
        SELECT account_id, available_minor, held_minor, until FROM ledger_checkpoint
         WHERE (account_id, until) IN (SELECT account_id, max(until) FROM ledger_checkpoint GROUP BY account_id)
    )
    SELECT 0 AS expected,
           (SELECT count(*) FROM (
                SELECT 1 FROM (
                    SELECT account_id, available_minor AS available, held_minor AS held FROM newest
                     UNION ALL
                    SELECT account_id, amount_minor + transfer.held_minor, -transfer.held_minor
                      FROM newest JOIN ledger_transfer AS transfer ON debit_account_id = account_id AND recorded_at < until
                     UNION ALL
                    SELECT account_id, -amount_minor, 0
                      FROM newest JOIN ledger_transfer AS transfer ON credit_account_id = account_id AND recorded_at < until
                    ) AS side GROUP BY account_id HAVING sum(available) <> 0 OR sum(held) <> 0) AS wrong)
         + (SELECT count(*) FROM ledger_bookscheckpoint
             WHERE collected_minor <>
                   (SELECT coalesce(sum(CASE WHEN credit.keeps_balance THEN 0 ELSE amount_minor END
                                        - CASE WHEN debit.keeps_balance THEN 0 ELSE amount_minor END), 0)
                      FROM ledger_transfer
                      LEFT JOIN ledger_account AS debit ON debit.id = debit_account_id
                      LEFT JOIN ledger_account AS credit ON credit.id = credit_account_id
                     WHERE recorded_at < until)) AS found
    """,
)

WHOLE_CHECKS = [*CHECKS, CHECKPOINTS_ADD_UP]

# The same promises, each kept by what was recorded since `since`, so that a run costs what is new. A wallet is summed over all
# of its own transfers; `collected` is what stood on the collecting accounts before.

DRIFT_PER_ACCOUNT_NEWS = Check(
    DRIFT_PER_ACCOUNT.name,
    DRIFT_PER_ACCOUNT.sentence,
    """
    WITH touched AS (
        SELECT debit_account_id AS id FROM ledger_transfer WHERE recorded_at >= %(since)s
         UNION
        SELECT credit_account_id FROM ledger_transfer WHERE recorded_at >= %(since)s
    )
    SELECT 0 AS expected, count(*) AS found
      FROM touched JOIN ledger_account AS account ON account.id = touched.id AND account.keeps_balance
     CROSS JOIN LATERAL (SELECT coalesce(sum(amount_minor + held_minor), 0) AS left_it, coalesce(sum(held_minor), 0) AS held
                           FROM ledger_transfer WHERE debit_account_id = account.id) AS outgoing
     CROSS JOIN LATERAL (SELECT coalesce(sum(amount_minor), 0) AS came_in
                           FROM ledger_transfer WHERE credit_account_id = account.id) AS incoming
     WHERE account.available_minor <> incoming.came_in - outgoing.left_it OR account.held_minor <> outgoing.held
    """,
)

DRIFT_IN_TOTAL_NEWS = Check(
    DRIFT_IN_TOTAL.name,
    DRIFT_IN_TOTAL.sentence,
    """
    SELECT 0 AS expected,
           coalesce((SELECT sum(available_minor + held_minor) FROM ledger_account WHERE keeps_balance), 0)
           + CAST(%(collected)s AS bigint)
           + coalesce((SELECT sum(entry.amount_minor)
                         FROM (SELECT credit_account_id AS account_id, amount_minor
                                 FROM ledger_transfer WHERE recorded_at >= %(since)s
                                UNION ALL
                               SELECT debit_account_id, -amount_minor
                                 FROM ledger_transfer WHERE recorded_at >= %(since)s) AS entry
                         LEFT JOIN ledger_account AS account ON account.id = entry.account_id
                        WHERE account.keeps_balance IS NOT TRUE), 0) AS found
    """,
)

CURRENCIES_NEVER_MIX_NEWS = Check(
    CURRENCIES_NEVER_MIX.name,
    CURRENCIES_NEVER_MIX.sentence,
    """
    SELECT 0 AS expected, count(*) AS found
      FROM ledger_transfer AS transfer
      LEFT JOIN ledger_account AS debit ON debit.id = transfer.debit_account_id
      LEFT JOIN ledger_account AS credit ON credit.id = transfer.credit_account_id
     WHERE transfer.recorded_at >= %(since)s
       AND (debit.currency IS DISTINCT FROM transfer.currency OR credit.currency IS DISTINCT FROM transfer.currency)
    """,
)

HOLDS_END_ONCE_NEWS = Check(
    HOLDS_END_ONCE.name,
    HOLDS_END_ONCE.sentence,
    """
    WITH resolved AS (
        SELECT DISTINCT pending_id, debit_account_id FROM ledger_transfer
         WHERE recorded_at >= %(since)s AND pending_id IS NOT NULL
    )
    SELECT 0 AS expected, count(*) AS found
      FROM resolved
      LEFT JOIN ledger_transfer AS pending ON pending.id = resolved.pending_id AND pending.kind = 'pending'
     CROSS JOIN LATERAL (SELECT count(*) AS endings, sum(held_minor) AS ended FROM ledger_transfer AS ending
                          WHERE ending.debit_account_id = resolved.debit_account_id
                            AND ending.pending_id = resolved.pending_id) AS told
     WHERE pending.id IS NULL OR pending.debit_account_id <> resolved.debit_account_id
        OR told.endings <> 1 OR pending.held_minor + told.ended <> 0
    """,
)

NEWS_CHECKS = [
    WALLETS_NEVER_NEGATIVE, ONLY_WALLETS_KEEP_BALANCES, DRIFT_PER_ACCOUNT_NEWS, DRIFT_IN_TOTAL_NEWS,
    CURRENCIES_NEVER_MIX_NEWS, HOLDS_END_ONCE_NEWS,
]  # fmt: skip

# What stands on collecting accounts by the transfers recorded in [`since`, `until`).
COLLECTED = """
    SELECT coalesce(sum(entry.amount_minor), 0)
      FROM (SELECT credit_account_id AS account_id, amount_minor FROM ledger_transfer
             WHERE recorded_at >= %(since)s AND recorded_at < %(until)s
             UNION ALL
            SELECT debit_account_id, -amount_minor FROM ledger_transfer
             WHERE recorded_at >= %(since)s AND recorded_at < %(until)s) AS entry
      LEFT JOIN ledger_account AS account ON account.id = entry.account_id
     WHERE account.keeps_balance IS NOT TRUE
"""
