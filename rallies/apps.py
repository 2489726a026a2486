from sales.apps import FormatConfig


class RalliesConfig(FormatConfig):
    name = "rallies"
    formats = ("rallies.format.RALLY",)
