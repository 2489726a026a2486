"""Files under names that change with what they say, so that browsers keep them for ever; compressed once, beside them."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    support_js_module_import_aggregation = True  # modules name one another by these names too
