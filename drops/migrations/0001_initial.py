import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import dsql.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("sales", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Drop",
            fields=[
                (
                    "sale",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="%(class)s",
                        serialize=False,
                        to="sales.sale",
                    ),
                ),
                ("price_minor", models.BigIntegerField()),
                ("units_total", models.IntegerField()),
                ("limit_per_fan", models.IntegerField(blank=True, null=True)),
                ("hold_s", models.IntegerField(default=0)),
                ("cancel_s", models.IntegerField(default=0)),
                ("fee_bps", models.IntegerField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("price_minor__gt", 0)), name="drop_price_above_zero"),
                    models.CheckConstraint(
                        condition=models.Q(("units_total__gt", 0), ("units_total__lte", 10000000)),
                        name="drop_units_within_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("limit_per_fan__isnull", True), ("limit_per_fan__gt", 0), _connector="OR"),
                        name="drop_limit_above_zero",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("cancel_s__gte", 0), ("hold_s__gte", 0)), name="drop_times_not_negative"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("fee_bps__gte", 0), ("fee_bps__lte", 10000)), name="drop_fee_is_a_share"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Settlement",
            fields=[
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                ("number", models.IntegerField()),
                ("orders", models.IntegerField()),
                ("gross_minor", models.BigIntegerField()),
                ("fee_minor", models.BigIntegerField()),
                ("created_at", models.DateTimeField()),
                (
                    "drop",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="settlements",
                        to="drops.drop",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("drop", "number"), name="settlement_chunks_in_order"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                ("idempotency_key", models.UUIDField()),
                ("quantity", models.IntegerField()),
                ("unit_price_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=4)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("held", "Held for you"),
                            ("paid", "Paid"),
                            ("settled", "Paid, and passed on to the seller"),
                            ("cancelled", "Cancelled"),
                            ("expired", "Hold ended"),
                            ("refunded", "Refunded"),
                        ],
                        max_length=10,
                    ),
                ),
                ("is_hold", models.BooleanField()),
                ("transfer_id", models.UUIDField()),
                ("terms_sha256", models.CharField(max_length=64)),
                ("placed_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(null=True)),
                ("changed_at", models.DateTimeField()),
                (
                    "drop",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orders",
                        to="drops.drop",
                    ),
                ),
                (
                    "fan",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orders",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "settlement",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="drops.settlement",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("fan", "idempotency_key"), name="one_order_per_fan_and_key"),
                    models.CheckConstraint(condition=models.Q(("quantity__gt", 0)), name="order_quantity_above_zero"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("settlement__isnull", False), ("state", "settled")),
                            ("state", "refunded"),
                            models.Q(models.Q(("state", "settled"), _negated=True), ("settlement__isnull", True)),
                            _connector="OR",
                        ),
                        name="order_settled_in_a_settlement",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Bucket",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "drop_id", "number", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.IntegerField()),
                ("units_left", models.IntegerField()),
                ("is_closed", models.BooleanField(default=False)),
                ("version", models.BigIntegerField(default=0)),
                (
                    "drop",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="buckets",
                        to="drops.drop",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("units_left__gte", 0)), name="bucket_never_oversold")
                ],
            },
        ),
        migrations.CreateModel(
            name="FanLimit",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "drop_id", "fan_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("units", models.IntegerField()),
                (
                    "drop",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="drops.drop"
                    ),
                ),
                (
                    "fan",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("units__gte", 0)), name="fan_limit_never_negative")
                ],
            },
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["drop", "state", "id"], name="order_by_drop_and_state"),
        ),
    ]
