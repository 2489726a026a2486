import django.db.models.deletion
from django.db import migrations, models

import dsql.fields

GATES = 64


def open_gates(apps, schema_editor):
    """Sales that run already get their gates, each sale in a transaction of its own."""
    Sale, Gate = apps.get_model("sales", "Sale"), apps.get_model("sales", "Gate")
    for sale in Sale.objects.filter(published_at__isnull=False).iterator():
        there = set(Gate.objects.filter(sale_id=sale.id).values_list("number", flat=True))
        Gate.objects.bulk_create(Gate(sale_id=sale.id, number=n) for n in range(GATES) if n not in there)


class Migration(migrations.Migration):
    dependencies = [
        ("sales", "0002_reminder_telling"),
    ]

    operations = [
        migrations.AddField(
            model_name="sale",
            name="frozen_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="sale",
            name="frozen_ms",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="sale",
            name="state",
            field=models.CharField(
                choices=[
                    ("draft", "Draft"),
                    ("scheduled", "Scheduled"),
                    ("live", "Live"),
                    ("frozen", "Paused by staff"),
                    ("closed", "Closed"),
                    ("settling", "Settling"),
                    ("settled", "Settled"),
                    ("cancelled", "Cancelled"),
                ],
                default="draft",
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="Gate",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sale_id", "number", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.IntegerField()),
                ("version", models.BigIntegerField(default=0)),
                (
                    "sale",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="gates",
                        to="sales.sale",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="StuckRow",
            fields=[
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                ("row_id", models.UUIDField()),
                ("error", models.CharField(max_length=500)),
                ("made_at", models.DateTimeField()),
                (
                    "sale",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="stuck_rows", to="sales.sale"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("sale", "row_id"), name="a_row_is_stuck_once")],
            },
        ),
        migrations.RunPython(open_gates, migrations.RunPython.noop, atomic=False),
    ]
