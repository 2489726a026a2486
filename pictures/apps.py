from django.apps import AppConfig


class PicturesConfig(AppConfig):
    name = "pictures"

    def ready(self) -> None:
        from pictures import work  # noqa: F401  # registers its due work
