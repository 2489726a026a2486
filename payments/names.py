"""What `PAYMENT_PROVIDER` may be beside the names of real providers. Settings read this, so nothing of Django is needed here."""

SIMULATED = "simulated"
NONE = "none"  # nobody can add money
REAL: frozenset[str] = frozenset()  # a real one is written down here and in `payments.providers`
