from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="topup",
            name="transfer_id",
            field=models.UUIDField(editable=False, null=True),
        ),
        migrations.AddConstraint(
            model_name="topup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("currency", "PLAY"), _negated=True), ("transfer_id__isnull", True), _connector="OR"
                ),
                name="top_up_brings_no_play_money",
            ),
        ),
    ]
