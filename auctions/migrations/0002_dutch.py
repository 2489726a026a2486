import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import dsql.fields


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "__first__"),
        ("auctions", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Dutch",
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
                ("fee_bps", models.IntegerField()),
                ("start_minor", models.BigIntegerField()),
                ("floor_minor", models.BigIntegerField()),
                ("step_minor", models.BigIntegerField()),
                ("interval_s", models.IntegerField(default=60)),
                ("units_total", models.IntegerField(default=1)),
                (
                    "pays",
                    models.CharField(
                        choices=[
                            ("own", "Each the price at which they claimed"),
                            ("last", "All the last price that was claimed"),
                        ],
                        default="own",
                        max_length=4,
                        verbose_name="What buyers pay",
                    ),
                ),
                (
                    "premium_bps",
                    models.IntegerField(
                        choices=[
                            (0, "None"),
                            (500, "5 %"),
                            (1000, "10 %"),
                            (1250, "12.5 %"),
                            (1500, "15 %"),
                            (2000, "20 %"),
                            (2500, "25 %"),
                        ],
                        default=0,
                        verbose_name="Buyer's premium",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("fee_bps__gte", 0), ("fee_bps__lte", 10000)), name="dutch_fee_is_a_share"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("floor_minor__gt", 0),
                            ("interval_s__gt", 0),
                            ("start_minor__gt", models.F("floor_minor")),
                            ("step_minor__gt", 0),
                        ),
                        name="dutch_price_falls",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("units_total__gt", 0), ("units_total__lte", 1000000)),
                        name="dutch_units_within_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("premium_bps__gte", 0), ("premium_bps__lte", 10000)),
                        name="dutch_premium_is_a_share",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DutchBucket",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sale_id", "number", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "sale",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="buckets",
                        to="auctions.dutch",
                    ),
                ),
                ("number", models.IntegerField()),
                ("units_left", models.IntegerField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("units_left__gte", 0)), name="dutch_bucket_never_oversold"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="DutchSettlement",
            fields=[
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                ("number", models.IntegerField()),
                ("gross_minor", models.BigIntegerField()),
                ("fee_minor", models.BigIntegerField()),
                ("created_at", models.DateTimeField()),
                (
                    "sale",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="settlements",
                        to="auctions.dutch",
                    ),
                ),
                ("claims", models.IntegerField()),
                ("premium_minor", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("sale", "number"), name="dutch_settlement_chunks_in_order")
                ],
            },
        ),
        migrations.CreateModel(
            name="Claim",
            fields=[
                ("idempotency_key", models.UUIDField()),
                ("quantity", models.IntegerField()),
                ("transfer_id", models.UUIDField()),
                ("terms_sha256", models.CharField(max_length=64)),
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                (
                    "sale",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="claims",
                        to="auctions.dutch",
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
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("held", "Claimed"),
                            ("paid", "Paid, and passed on to the seller"),
                            ("released", "Not charged"),
                            ("refunded", "Refunded"),
                        ],
                        max_length=8,
                    ),
                ),
                ("at_most_minor", models.BigIntegerField()),
                ("unit_price_minor", models.BigIntegerField()),
                ("unit_paid_minor", models.BigIntegerField(null=True)),
                ("claimed_at", models.DateTimeField()),
                ("frozen_ms", models.BigIntegerField(default=0)),
                ("changed_at", models.DateTimeField()),
                (
                    "settlement",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="auctions.dutchsettlement",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("sale", "fan", "idempotency_key"), name="one_claim_per_fan_and_key"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("quantity__gt", 0), ("unit_price_minor__gt", 0)), name="claim_of_some_units"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("settlement__isnull", True), ("state", "held"), ("unit_paid_minor__isnull", True)
                            ),
                            models.Q(
                                ("settlement__isnull", True), ("state", "released"), ("unit_paid_minor__isnull", True)
                            ),
                            models.Q(
                                ("settlement__isnull", False),
                                ("state__in", ["paid", "refunded"]),
                                ("unit_paid_minor__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="claim_paid_in_a_settlement",
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(fields=["sale", "state", "id"], name="claim_by_sale_and_state"),
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(fields=["fan", "id"], name="claim_by_fan"),
        ),
    ]
