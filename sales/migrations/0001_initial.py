import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import dsql.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("sellers", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Sale",
            fields=[
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                ("format", models.CharField(max_length=10)),
                ("title", models.CharField(max_length=120)),
                ("slug", models.SlugField(max_length=80)),
                ("story", models.TextField(blank=True, max_length=5000)),
                ("currency", models.CharField(default="EUR", max_length=4)),
                ("opens_at", models.DateTimeField()),
                ("closes_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("scheduled", "Scheduled"),
                            ("live", "Live"),
                            ("closed", "Closed"),
                            ("settling", "Settling"),
                            ("settled", "Settled"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="draft",
                        max_length=10,
                    ),
                ),
                ("terms_version", models.IntegerField(default=0)),
                ("terms_sha256", models.CharField(blank=True, default="", max_length=64)),
                ("version", models.BigIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("published_at", models.DateTimeField(null=True)),
                ("closed_at", models.DateTimeField(null=True)),
                ("settled_at", models.DateTimeField(null=True)),
                (
                    "seller",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="sales",
                        to="sellers.seller",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("seller", "slug"), name="sale_slug_unique_per_seller"),
                    models.CheckConstraint(
                        condition=models.Q(("closes_at__gt", models.F("opens_at"))), name="sale_closes_after_it_opens"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SealedTerms",
            fields=[
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                ("version", models.IntegerField()),
                ("text", models.TextField()),
                ("sha256", models.CharField(max_length=64)),
                ("sealed_at", models.DateTimeField()),
                (
                    "sale",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="sealed_terms",
                        to="sales.sale",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("sale", "version"), name="one_text_per_terms_version"),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="sale",
            index=models.Index(fields=["state", "opens_at"], name="sale_by_state_and_time"),
        ),
    ]
