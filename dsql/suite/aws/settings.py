"""Settings for Django's test-suite on AWS's adapter. See `base` for what is changed in it."""

from __future__ import annotations

from dsql.suite.settings import (  # noqa: F401
    DEFAULT_AUTO_FIELD,
    PASSWORD_HASHERS,
    SECRET_KEY,
    USE_TZ,
    databases,
)

# Its other mode turns every AutoField into a UUID, which Django's tests do not expect.
DATABASES = databases("dsql.suite.aws", USE_SEQUENCE_AUTOFIELDS=True, SEQUENCE_CACHE_SIZE=1)
TEST_RUNNER = "dsql.suite.runner.SuiteRunner"
