from django.apps import AppConfig


class RalliesConfig(AppConfig):
    name = "rallies"
