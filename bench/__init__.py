"""Benchmarks: what Dropfront does in a stampede, beside what the same machine can do at all. See README.md."""
