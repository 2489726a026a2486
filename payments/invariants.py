"""What must be true of money from outside: it came in by paid top-ups, and by nothing else."""

from django.utils.translation import gettext_noop as N_

from core.invariants import Check
from ledger.models import HOUSE

_NAME = "funding_is_paid_top_ups"
_SENTENCE = N_(
    "The money that came in from outside is that of the paid top-ups: each came in once, "
    "whole, at its time, into the wallet of the fan who paid it."
)

# Of a top-up from before its transfer had an id of its own, the transfer has the top-up's.
_DIFFER = f"""
       moved.id IS NULL OR paid.id IS NULL OR paid.state <> 'paid' OR paid.completed_at IS DISTINCT FROM moved.at
       OR moved.subject_id <> paid.id OR moved.journal_id <> moved.id OR moved.code <> 'top_up' OR moved.kind <> 'plain'
       OR moved.amount_minor <> paid.amount_minor OR moved.currency <> paid.currency
       OR moved.pending_id IS NOT NULL OR moved.expires_at IS NOT NULL
       OR wallet.kind IS DISTINCT FROM 'wallet' OR wallet.owner_id IS DISTINCT FROM paid.user_id
       OR source.kind IS DISTINCT FROM 'funding' OR source.owner_id IS DISTINCT FROM '{HOUSE}'"""

FUNDING_IS_PAID = Check(
    _NAME,
    _SENTENCE,
    f"""
    SELECT 0 AS expected,
           (SELECT count(*)
              FROM (SELECT *, coalesce(transfer_id, id) AS came_in_as FROM payments_topup
                     WHERE state = 'paid' OR transfer_id IS NOT NULL) AS paid
              FULL JOIN (SELECT ledger_transfer.* FROM ledger_account AS account
                           JOIN ledger_transfer ON account.id IN (debit_account_id, credit_account_id)
                          WHERE account.kind = 'funding') AS moved ON moved.id = paid.came_in_as
              LEFT JOIN ledger_account AS wallet ON wallet.id = moved.credit_account_id
              LEFT JOIN ledger_account AS source ON source.id = moved.debit_account_id
             WHERE {_DIFFER}) AS found
    """,  # noqa: S608  # a constant
)

FUNDING_IS_PAID_NEWS = Check(
    _NAME,
    _SENTENCE,
    f"""
    SELECT 0 AS expected,
           (SELECT count(*)
              FROM ledger_transfer AS moved
              LEFT JOIN ledger_account AS wallet ON wallet.id = moved.credit_account_id
              LEFT JOIN ledger_account AS source ON source.id = moved.debit_account_id
              LEFT JOIN payments_topup AS paid ON paid.id = moved.subject_id AND moved.id = coalesce(paid.transfer_id, paid.id)
             WHERE moved.recorded_at >= %(since)s
               AND (moved.code = 'top_up' OR source.kind = 'funding' OR wallet.kind = 'funding') AND ({_DIFFER}))
         + (SELECT count(*)
              FROM payments_topup AS paid LEFT JOIN ledger_transfer AS moved ON moved.id = coalesce(paid.transfer_id, paid.id)
             WHERE paid.completed_at >= %(since)s AND paid.state = 'paid' AND moved.id IS NULL) AS found
    """,  # noqa: S608  # a constant
)

CHECKS = [FUNDING_IS_PAID]
NEWS_CHECKS = [FUNDING_IS_PAID_NEWS]
