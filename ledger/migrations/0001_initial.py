import django.db.models.deletion
from django.db import migrations, models

import dsql.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Account",
            fields=[
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                ("owner_id", models.UUIDField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("wallet", "Wallet"),
                            ("escrow", "Sale's money"),
                            ("proceeds", "Seller's proceeds"),
                            ("fees", "House fees"),
                            ("funding", "Outside world"),
                        ],
                        max_length=10,
                    ),
                ),
                ("currency", models.CharField(max_length=4)),
                ("keeps_balance", models.BooleanField()),
                ("available_minor", models.BigIntegerField(default=0)),
                ("held_minor", models.BigIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("owner_id", "kind", "currency"), name="one_account_per_owner_kind_currency"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("available_minor__gte", 0)), name="account_available_never_negative"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("held_minor__gte", 0)), name="account_held_never_negative"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                ("until", models.DateTimeField()),
                ("available_minor", models.BigIntegerField()),
                ("held_minor", models.BigIntegerField()),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="checkpoints",
                        to="ledger.account",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("account", "until"), name="one_checkpoint_per_account_and_time")
                ],
            },
        ),
        migrations.CreateModel(
            name="Transfer",
            fields=[
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                ("journal_id", models.UUIDField()),
                ("kind", models.CharField(max_length=8)),
                ("amount_minor", models.BigIntegerField()),
                ("held_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=4)),
                ("code", models.CharField(max_length=20)),
                ("subject_id", models.UUIDField()),
                ("pending_id", models.UUIDField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("at", models.DateTimeField()),
                ("recorded_at", models.DateTimeField()),
                (
                    "credit_account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credits",
                        to="ledger.account",
                    ),
                ),
                (
                    "debit_account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="debits",
                        to="ledger.account",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["debit_account", "at"], name="transfer_by_debit_account"),
                    models.Index(fields=["credit_account", "at"], name="transfer_by_credit_account"),
                ],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("amount_minor__gte", 0)), name="transfer_moves_forward"),
                    models.CheckConstraint(
                        condition=models.Q(("debit_account", models.F("credit_account")), _negated=True),
                        name="transfer_has_two_different_accounts",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("amount_minor__gt", 0), ("held_minor", 0), ("kind", "plain")),
                            models.Q(("amount_minor", 0), ("held_minor__gt", 0), ("kind", "pending")),
                            models.Q(
                                ("amount_minor__gt", 0),
                                ("held_minor__lt", 0),
                                ("kind", "posted"),
                                ("pending_id__isnull", False),
                            ),
                            models.Q(
                                ("amount_minor", 0),
                                ("held_minor__lt", 0),
                                ("kind", "voided"),
                                ("pending_id__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="transfer_kind_fits_its_numbers",
                    ),
                ],
            },
        ),
    ]
