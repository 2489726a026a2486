from django.apps import AppConfig


class RalliesConfig(AppConfig):
    name = "rallies"

    def ready(self) -> None:
        from rallies import work  # noqa: F401  # registers the due work
        from rallies.format import RALLY
        from sales import formats

        formats.register(RALLY)
