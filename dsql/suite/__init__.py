"""Django's own test-suite, run against this backend: `bin/django-suite`.

`source` fetches the tests, `settings` says which databases they use, `runner` counts inside Django's process, `report`
prints, `skips` lists what DSQL cannot do, and `aws` does the same for the adapter that AWS publishes.
"""
