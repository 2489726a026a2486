"""Real PostgreSQL and Valkey from pip wheels, run on one machine with no account anywhere.

`python -m embedded run --data DIR -- CMD…` runs a command beside its own servers; `bin/up` runs the whole site.
Nothing here imports Django: the servers must be up before settings are read.
"""
