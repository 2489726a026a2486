"""The drop as a format of the spine."""

from drops.invariants import CHECKS
from drops.presenters import DropPresenter
from drops.services import DropRules
from sales.formats import Format

DROP = Format(name="drop", label="Drop", rules=DropRules(), checks=CHECKS, presenter=DropPresenter())
