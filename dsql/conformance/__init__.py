"""What DSQL answers, as cases that are asked of strict mode and of a live cluster alike.

`cases.toml` holds the cases and `cases` reads them, `target` is the database that is asked, `runner` asks and
compares, and `report` prints. `manage.py dsql_conformance` runs it all.
"""
