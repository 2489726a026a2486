from sales.apps import FormatConfig


class RaffleConfig(FormatConfig):
    name = "examples.raffle"
    formats = ("examples.raffle.format.RAFFLE",)
