"""What is known of people, kept beside the job and looked at again as answers come in."""

from __future__ import annotations

import base64
import json
import time
import zlib
from typing import Final

from menulens.portal import keys
from menulens.portal.context import Portal
from menulens.portal.settling import Skills

FRESH_SECONDS: Final = 15.0
"""For so long an answer may still be judged by what was known before."""

_known: dict[tuple[str, str], tuple[float, Skills]] = {}


def current(portal: Portal, job: str) -> Skills:
    """Return a job's skills, as they were at most some seconds ago."""
    place = (portal.table.name, job)
    read_at, found = _known.get(place, (-FRESH_SECONDS, Skills()))
    now = time.monotonic()
    if now - read_at >= FRESH_SECONDS:
        entry = portal.table.get(keys.skills(job))
        found = decoded(entry["skills"]) if entry and "skills" in entry else Skills()
        _known[place] = (now, found)
    return found


def decoded(text: str) -> Skills:
    """Read the text that :func:`encoded` made."""
    value = json.loads(zlib.decompress(base64.b64decode(text)))
    return Skills(value["people"], tuple(value["priors"]), value.get("met", 0), frozenset(value.get("gone", ())))


def encoded(skills: Skills) -> str:
    """Return skills as text: matrices with four digits, compressed, so that hundreds of people fit into one entry.

    An entry holds 400 KB: some 180 people with 50 categories, 1,200 with twelve.
    """
    people = {
        person: [[round(share, 4) for share in row] for row in matrix] for person, matrix in skills.people.items()
    }
    priors = [round(one, 6) for one in skills.priors]
    told = {"people": people, "priors": priors, "met": skills.met, "gone": sorted(skills.gone)}
    text = json.dumps(told, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()
