from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from core import clock
from sales import counting


class Command(BaseCommand):
    help = "Have sales counted for their shops' page of growth that were settled before there was one. A repeat changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{counting.count_missing(now=clock.now())} sales will be counted.")
