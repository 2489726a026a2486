"""A sale for people's calendars (RFC 5545)."""

from __future__ import annotations

import datetime as dt

from django.utils.translation import gettext as _
from icalendar import Alarm, Calendar, Event

from sales.models import Sale
from sales.phases import ends_at, opens_at

ALARM_BEFORE = dt.timedelta(minutes=10)


def calendar_entry(sale: Sale, url: str, *, now: dt.datetime) -> bytes:
    """From the opening to the end, as they stand now. Its id is the sale's, so that a newer one takes the older one's place."""
    event = Event()
    event.add("uid", f"{sale.id}@dropfront")
    event.add("dtstamp", now)
    event.add("summary", f"{sale.title} ({sale.seller.name})")
    event.add("dtstart", opens_at(sale))
    event.add("dtend", ends_at(sale))
    event.add("url", url)
    event.add("sequence", sale.version)
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", _("{title} opens").format(title=sale.title))
    alarm.add("trigger", -ALARM_BEFORE)
    event.add_component(alarm)
    calendar = Calendar()
    calendar.add("prodid", "-//Dropfront//Sales//EN")
    calendar.add("version", "2.0")
    calendar.add_component(event)
    return bytes(calendar.to_ical())
