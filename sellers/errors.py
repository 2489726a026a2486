from core.errors import Conflict


class HandleTaken(Conflict):
    code = "handle_taken"
    detail = "This handle belongs to another shop. Please choose a different one."
