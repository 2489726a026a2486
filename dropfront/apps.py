from django.apps import AppConfig


class DropfrontConfig(AppConfig):
    name = "dropfront"
