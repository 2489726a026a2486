"""Names of the environment variables that tell Django's process what `bin/django-suite` was asked for."""

from __future__ import annotations

OUTCOME_VARIABLE = "DJANGO_SUITE_OUTCOME"  # the file to write the outcome to
FOREIGN_KEYS_VARIABLE = "DJANGO_SUITE_FOREIGN_KEYS"
