from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import clock
from dropfront import demo


class Command(BaseCommand):
    help = "Load demo shops, fans and drops through the services they use themselves. Refused in production."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--logins", action="store_true", help="only print the demo logins")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("Demo data has well-known passwords; it is not loaded in production.")
        if options["logins"]:
            for login in demo.LOGINS:
                self.stdout.write(f"{login.role:<8} {login.email:<26} {demo.PASSWORD}")
            return
        clock.measure()
        for line in demo.load():
            self.stdout.write(line)
