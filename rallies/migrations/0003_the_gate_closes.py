from django.db import migrations, models


def keep_versions(apps, schema_editor):
    """Frames go on from the version they had: what the buckets had counted goes to the sale's first gate."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE sales_gate SET version = counted.version
              FROM (SELECT rally_id, sum(version) AS version FROM rallies_bucket GROUP BY rally_id) AS counted
             WHERE sales_gate.sale_id = counted.rally_id AND sales_gate.number = 0
               AND sales_gate.version < counted.version
            """
        )


class Migration(migrations.Migration):
    dependencies = [
        ("sales", "0003_gates_and_freezing"),
        ("rallies", "0002_rally_next_id"),
    ]

    operations = [
        migrations.RunPython(keep_versions, migrations.RunPython.noop, atomic=False),
        migrations.RemoveField(
            model_name="bucket",
            name="is_closed",
        ),
        migrations.RemoveField(
            model_name="bucket",
            name="version",
        ),
        migrations.AddField(
            model_name="join",
            name="stays_counted",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="rally",
            name="firm_s",
            field=models.IntegerField(default=0),
        ),
        migrations.AddField(
            model_name="rally",
            name="late_until",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="rally",
            name="repeats_zone",
            field=models.CharField(default="UTC", max_length=40),
        ),
    ]
