from django.apps import AppConfig


class DropsConfig(AppConfig):
    name = "drops"

    def ready(self) -> None:
        from drops import work  # noqa: F401  # registers the due work
        from drops.format import DROP
        from sales import formats

        formats.register(DROP)
