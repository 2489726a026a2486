from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0002_entry_view"),
    ]

    operations = [
        migrations.CreateModel(
            name="BooksCheckpoint",
            fields=[
                ("id", models.IntegerField(default=1, primary_key=True, serialize=False)),
                ("until", models.DateTimeField()),
                ("collected_minor", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="one_checkpoint_of_the_books"),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="transfer",
            index=models.Index(fields=["recorded_at"], name="transfer_by_recording"),
        ),
    ]
