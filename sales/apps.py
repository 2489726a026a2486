from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import ClassVar

from django.apps import AppConfig
from django.utils.module_loading import import_string


class SalesConfig(AppConfig):
    name = "sales"
    default = True

    def ready(self) -> None:
        from sales import leaving, work  # noqa: F401  # they register themselves


class FormatConfig(AppConfig):
    """The app of a format or several: registers what `formats` (dotted) name, and the due work of its `work.py`, if it has one."""

    default = False  # Django finds this class in the module of every app that derives from it
    formats: ClassVar[Sequence[str]]

    def __init_subclass__(cls) -> None:
        cls.default = True

    def ready(self) -> None:
        from sales.formats import register

        if find_spec(f"{self.name}.work"):
            import_module(f"{self.name}.work")
        for name in self.formats:
            register(import_string(name))
