from django.db import migrations, models


def keep_versions(apps, schema_editor):
    """Frames go on from the version they had: what the buckets had counted goes to the sale's first gate."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE sales_gate SET version = counted.version
              FROM (SELECT drop_id, sum(version) AS version FROM drops_bucket GROUP BY drop_id) AS counted
             WHERE sales_gate.sale_id = counted.drop_id AND sales_gate.number = 0
               AND sales_gate.version < counted.version
            """
        )


class Migration(migrations.Migration):
    dependencies = [
        ("sales", "0003_gates_and_freezing"),
        ("drops", "0001_initial"),
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
            model_name="order",
            name="frozen_ms",
            field=models.BigIntegerField(default=0),
        ),
    ]
