from sales.apps import FormatConfig


class RaffleConfig(FormatConfig):
    name = "examples.raffle"
    format = "examples.raffle.format.RAFFLE"
