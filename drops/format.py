"""The drop as a format of the spine."""

from drops.invariants import CHECKS
from drops.services import DropRules
from sales.formats import Format

DROP = Format(name="drop", label="Drop", rules=DropRules(), checks=CHECKS, room_template="drops/room.html")
