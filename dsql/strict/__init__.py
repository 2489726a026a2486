"""Strict mode: an ordinary PostgreSQL that refuses what DSQL refuses.

`rules` says what each statement is, `session` watches a transaction, `cursor` and `connection` apply both, and
`jobs` stands in for the asynchronous index builds.
"""
