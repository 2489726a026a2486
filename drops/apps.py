from sales.apps import FormatConfig


class DropsConfig(FormatConfig):
    name = "drops"
    format = "drops.format.DROP"
