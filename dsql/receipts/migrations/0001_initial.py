import django.core.serializers.json
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Receipt",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("made_by", models.UUIDField(editable=False)),
                ("result", models.JSONField(encoder=django.core.serializers.json.DjangoJSONEncoder, null=True)),
                ("made_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
    ]
