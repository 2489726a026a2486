"""The site with the examples installed, for their tests: beside the suite's database, in one of its own."""

from dropfront.settings import *  # noqa: F403
from dropfront.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "examples.raffle"]
DATABASES["default"]["TEST"] = {"NAME": "test_examples"}
