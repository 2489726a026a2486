from django.apps import AppConfig


class LiveConfig(AppConfig):
    name = "live"

    def ready(self) -> None:
        from live import tallies  # noqa: F401  # counts what the hot paths refuse
