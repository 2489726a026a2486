"""A Django database backend for Amazon Aurora DSQL. Use it with `ENGINE = "dsql"`."""
