from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("rallies", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="rally",
            name="next_id",
            field=models.UUIDField(editable=False, null=True),
        ),
    ]
