from django.db import migrations, models

import dsql.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="DueWork",
            fields=[
                ("id", dsql.fields.UUIDv7Field(primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=60)),
                ("subject_id", models.UUIDField()),
                ("due_at", models.DateTimeField()),
                ("leased_until", models.DateTimeField()),
                ("attempts", models.IntegerField(default=0)),
                ("last_error", models.CharField(blank=True, default="", max_length=500)),
                ("done_at", models.DateTimeField(null=True)),
                ("parked_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["done_at", "parked_at", "due_at"], name="due_work_by_time")],
                "constraints": [
                    models.UniqueConstraint(fields=("kind", "subject_id"), name="one_due_work_per_subject")
                ],
            },
        ),
    ]
