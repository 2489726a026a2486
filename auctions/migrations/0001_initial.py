import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import dsql.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "__first__"),
        ("sales", "0007_sale_entry_minor"),
    ]

    operations = [
        migrations.CreateModel(
            name="English",
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
                ("steps", models.CharField(max_length=600)),
                ("reserve_minor", models.BigIntegerField(blank=True, null=True)),
                ("reserve_salt", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("buy_now_minor", models.BigIntegerField(blank=True, null=True)),
                ("window_s", models.IntegerField(default=180)),
                ("extension_s", models.IntegerField(default=180)),
                ("overtime_s", models.IntegerField(default=3600)),
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
                        condition=models.Q(("fee_bps__gte", 0), ("fee_bps__lte", 10000)), name="english_fee_is_a_share"
                    ),
                    models.CheckConstraint(condition=models.Q(("start_minor__gt", 0)), name="english_start_above_zero"),
                    models.CheckConstraint(
                        condition=models.Q(("reserve_minor__isnull", True), ("reserve_minor__gt", 0), _connector="OR"),
                        name="english_reserve_above_zero",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("buy_now_minor__isnull", True), ("buy_now_minor__gt", 0), _connector="OR"),
                        name="english_buy_now_above_zero",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("extension_s__gte", 0), ("overtime_s__gte", 0), ("window_s__gte", 0)),
                        name="english_times_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("premium_bps__gte", 0), ("premium_bps__lte", 10000)),
                        name="english_premium_is_a_share",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Lot",
            fields=[
                (
                    "sale",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="lot",
                        serialize=False,
                        to="auctions.english",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("sold", "Sold"),
                            ("unsold", "Not sold"),
                            ("cancelled", "Called off"),
                        ],
                        default="open",
                        max_length=9,
                    ),
                ),
                (
                    "leader",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("leader_max_minor", models.BigIntegerField(default=0)),
                ("price_minor", models.BigIntegerField(default=0)),
                ("best_other_max_minor", models.BigIntegerField(default=0)),
                ("seq", models.IntegerField(default=0)),
                ("extensions", models.IntegerField(default=0)),
                ("ends_at", models.DateTimeField()),
                ("hold_id", models.UUIDField(null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("hold_id__isnull", True), ("leader__isnull", True), ("price_minor", 0), ("seq", 0)
                            ),
                            models.Q(
                                ("hold_id__isnull", False),
                                ("leader__isnull", False),
                                ("price_minor__gt", 0),
                                ("seq__gt", 0),
                            ),
                            _connector="OR",
                        ),
                        name="lot_has_a_leader_with_its_first_bid",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("price_minor__lte", models.F("leader_max_minor"))),
                        name="lot_price_within_the_maximum",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Bid",
            fields=[
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                (
                    "sale",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="bids",
                        to="auctions.english",
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
                ("idempotency_key", models.UUIDField()),
                ("seq", models.IntegerField()),
                ("max_minor", models.BigIntegerField()),
                (
                    "answer",
                    models.CharField(
                        choices=[
                            ("leads", "Took the lead"),
                            ("raised", "Raised the own maximum"),
                            ("tied", "As much as the leader, who was earlier"),
                            ("outbid", "Outbid at once"),
                            ("bought", "Bought at once"),
                        ],
                        max_length=6,
                    ),
                ),
                ("received_at", models.DateTimeField()),
                ("frozen_ms", models.BigIntegerField(default=0)),
                ("price_after_minor", models.BigIntegerField()),
                (
                    "leader_after",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("end_after", models.DateTimeField()),
                ("transfer_id", models.UUIDField(null=True)),
                ("terms_sha256", models.CharField(max_length=64)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("sale", "seq"), name="bids_of_a_lot_in_order"),
                    models.UniqueConstraint(fields=("sale", "fan", "idempotency_key"), name="one_bid_per_fan_and_key"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Win",
            fields=[
                ("idempotency_key", models.UUIDField()),
                ("quantity", models.IntegerField()),
                ("transfer_id", models.UUIDField()),
                ("terms_sha256", models.CharField(max_length=64)),
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                (
                    "sale",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="win", to="auctions.english"
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
                        choices=[("won", "Won and paid"), ("refunded", "Refunded")], default="won", max_length=8
                    ),
                ),
                ("price_minor", models.BigIntegerField()),
                ("premium_minor", models.BigIntegerField()),
                ("fee_minor", models.BigIntegerField()),
                ("won_at", models.DateTimeField()),
                ("changed_at", models.DateTimeField()),
                ("passed_on_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("price_minor__gt", 0), ("quantity", 1)), name="win_of_one_lot"
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="win",
            index=models.Index(fields=["fan", "id"], name="win_by_fan"),
        ),
    ]
