import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import dsql.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("sales", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Rally",
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
                (
                    "basis",
                    models.CharField(
                        choices=[("joiners", "Joiners"), ("units", "Units")], default="joiners", max_length=7
                    ),
                ),
                ("minimum", models.IntegerField(default=1)),
                ("cap_units", models.IntegerField(blank=True, null=True)),
                ("limit_per_fan", models.IntegerField(default=1)),
                (
                    "audience",
                    models.CharField(
                        choices=[("everyone", "Every verified fan"), ("invited", "Only fans with an invite link")],
                        default="everyone",
                        max_length=8,
                    ),
                ),
                ("late_joins", models.BooleanField(default=False)),
                ("seller_invite", models.CharField(max_length=16)),
                ("repeats_every_days", models.IntegerField(blank=True, null=True)),
                ("repeats_left", models.IntegerField(default=0)),
                ("fee_bps", models.IntegerField()),
            ],
            options={
                "verbose_name_plural": "rallies",
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("minimum__gt", 0)), name="rally_minimum_above_zero"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("cap_units__isnull", True),
                            models.Q(("cap_units__gt", 0), ("cap_units__lte", 10000000)),
                            _connector="OR",
                        ),
                        name="rally_cap_within_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("limit_per_fan__gt", 0), ("limit_per_fan__lte", 1000)),
                        name="rally_limit_within_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("late_joins", False), ("cap_units__isnull", False), _connector="OR"),
                        name="rally_late_joins_need_a_cap",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("repeats_every_days__isnull", True), ("repeats_left", 0)),
                            models.Q(("repeats_every_days__gt", 0), ("repeats_left__gte", 0)),
                            _connector="OR",
                        ),
                        name="rally_repeats_after_days",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("fee_bps__gte", 0), ("fee_bps__lte", 10000)), name="rally_fee_is_a_share"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Tier",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "rally_id", "level", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "rally",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="tiers",
                        to="rallies.rally",
                    ),
                ),
                ("level", models.IntegerField()),
                ("from_count", models.IntegerField()),
                ("price_minor", models.BigIntegerField()),
            ],
            options={
                "ordering": ["level"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("from_count__gt", 0), ("price_minor__gt", 0)), name="rally_tier_above_zero"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Bucket",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "rally_id", "number", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "rally",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="buckets",
                        to="rallies.rally",
                    ),
                ),
                ("number", models.IntegerField()),
                ("joiners", models.IntegerField(default=0)),
                ("units", models.IntegerField(default=0)),
                ("units_left", models.IntegerField(null=True)),
                ("is_closed", models.BooleanField(default=False)),
                ("version", models.BigIntegerField(default=0)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("joiners__gte", 0), ("units__gte", 0)),
                        name="rally_bucket_count_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("units_left__isnull", True), ("units_left__gte", 0), _connector="OR"),
                        name="rally_bucket_never_oversold",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LimitedCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "rally_id", "number", "level", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "rally",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="rallies.rally",
                    ),
                ),
                ("number", models.IntegerField()),
                ("level", models.IntegerField()),
                ("joiners", models.IntegerField()),
                ("units", models.IntegerField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("level__gt", 0)), name="rally_limited_has_a_level"),
                    models.CheckConstraint(
                        condition=models.Q(("joiners__gte", 0), ("units__gte", 0)), name="rally_limited_not_negative"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Join",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "rally_id", "fan_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "rally",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="joins",
                        to="rallies.rally",
                    ),
                ),
                (
                    "fan",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="joins",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("id", models.UUIDField(unique=True)),
                ("idempotency_key", models.UUIDField()),
                ("quantity", models.IntegerField()),
                ("only_at_or_below_minor", models.BigIntegerField(null=True)),
                ("level", models.IntegerField()),
                ("bucket", models.IntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("joined", "Joined"),
                            ("left", "Left"),
                            ("removed", "Removed by the seller"),
                            ("paid", "Paid"),
                            ("released", "Not charged"),
                            ("refunded", "Refunded"),
                        ],
                        max_length=8,
                    ),
                ),
                ("transfer_id", models.UUIDField()),
                ("invite_code", models.CharField(max_length=16)),
                (
                    "invited_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("terms_sha256", models.CharField(max_length=64)),
                ("joined_at", models.DateTimeField()),
                ("changed_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("rally", "invite_code"), name="rally_invite_code_names_one_fan"),
                    models.CheckConstraint(
                        condition=models.Q(("quantity__gt", 0)), name="rally_join_quantity_above_zero"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Outcome",
            fields=[
                (
                    "rally",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="outcome",
                        serialize=False,
                        to="rallies.rally",
                    ),
                ),
                ("joiners", models.IntegerField()),
                ("units", models.IntegerField()),
                ("level", models.IntegerField()),
                ("price_minor", models.BigIntegerField()),
                ("did_run", models.BooleanField()),
                ("fixed_at", models.DateTimeField()),
                ("settled_up_to", models.UUIDField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Settlement",
            fields=[
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                (
                    "rally",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="settlements",
                        to="rallies.rally",
                    ),
                ),
                ("number", models.IntegerField()),
                ("charged", models.IntegerField()),
                ("released", models.IntegerField()),
                ("gross_minor", models.BigIntegerField()),
                ("fee_minor", models.BigIntegerField()),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("rally", "number"), name="rally_settlement_chunks_in_order")
                ],
            },
        ),
        migrations.CreateModel(
            name="LateJoin",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "rally_id", "fan_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "rally",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="late_joins_made",
                        to="rallies.rally",
                    ),
                ),
                (
                    "fan",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="late_joins",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("id", models.UUIDField(unique=True)),
                ("idempotency_key", models.UUIDField()),
                ("quantity", models.IntegerField()),
                ("transfer_id", models.UUIDField()),
                ("terms_sha256", models.CharField(max_length=64)),
                ("joined_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("quantity__gt", 0)), name="rally_late_quantity_above_zero"
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="join",
            index=models.Index(fields=["fan", "joined_at"], name="rally_join_by_fan"),
        ),
        migrations.AddIndex(
            model_name="join",
            index=models.Index(fields=["rally", "invited_by"], name="rally_join_by_inviter"),
        ),
    ]
