"""Strict mode: an ordinary PostgreSQL that refuses what DSQL refuses.

`rules` says what each statement is; `queries` and `tables` know the details, `catalog` what only the database can tell,
and `sizes` looks at the values. `session` watches a transaction, `cursor` and `connection` apply both, and
`jobs` stands in for the asynchronous index builds. `shadows` lets a transaction go on after a conflict until COMMIT, `locks`
gives row locks a trace, `cascades` knows whether row counts tell all, and `tree` walks parse trees.
"""
