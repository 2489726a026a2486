from django.db import migrations

# The same rows as accountants read them: two sides a transfer, minus for the debit account. Held money is not an entry.
CREATE = """
CREATE VIEW ledger_entry AS
SELECT id AS transfer_id, journal_id, debit_account_id AS account_id, -amount_minor AS amount_minor, currency, code,
       subject_id, at
  FROM ledger_transfer WHERE amount_minor > 0
UNION ALL
SELECT id, journal_id, credit_account_id, amount_minor, currency, code, subject_id, at
  FROM ledger_transfer WHERE amount_minor > 0
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ledger", "0001_initial")]

    operations = [migrations.RunSQL(CREATE, "DROP VIEW ledger_entry")]
