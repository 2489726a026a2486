"""An app of its own, so that only projects that want receipts get the table: INSTALLED_APPS = [..., "dsql.receipts"]."""
