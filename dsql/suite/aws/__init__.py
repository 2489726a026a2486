"""AWS's adapter for Django, aurora-dsql-django, on strict mode: for a comparison only."""
