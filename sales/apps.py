from django.apps import AppConfig


class SalesConfig(AppConfig):
    name = "sales"

    def ready(self) -> None:
        from sales import work  # noqa: F401  # registers the lifecycle's due work
