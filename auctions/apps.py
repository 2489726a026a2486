from sales.apps import FormatConfig


class AuctionsConfig(FormatConfig):
    name = "auctions"
    formats = ("auctions.english.format.ENGLISH", "auctions.dutch.format.DUTCH")

    def ready(self) -> None:
        super().ready()
        from auctions import leaving  # noqa: F401  # it registers itself
