from sales.apps import FormatConfig


class AuctionsConfig(FormatConfig):
    name = "auctions"
    formats = ("auctions.english.format.ENGLISH",)
