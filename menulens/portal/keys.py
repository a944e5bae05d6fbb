"""Where each entry of the table lies; spelled here and nowhere else.

Partitions are small or spread: items by chunks of lines, counters and queues by shards.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

from menulens.portal.model import Item, iso
from menulens.portal.table import ORDER, QUEUE, WHO, Key

CHUNK: Final = 256
SHARDS: Final = 16
PRIORITIES: Final = 100
MOST_QUEUES: Final = 32
ITEMS_OF_A_QUEUE: Final = 256


def meta(job: str) -> Key:
    """Return the key of a job."""
    return f"job#{job}", "meta"


def listed(job: str = "") -> Key:
    """Return the key of a job's entry in the list of all jobs."""
    return "jobs", job


def item(job: str, item_id: str) -> Key:
    """Return the key of an item."""
    return items(job, int(item_id) // CHUNK), item_id


def items(job: str, chunk: int) -> str:
    """Return a partition of items."""
    return f"items#{job}#{chunk:05d}"


def answer(job: str, answer_id: str) -> Key:
    """Return the key of an answer's record: one of its id, whatever it says."""
    return f"answer#{job}#{answer_id}", "answer"


def outbox(job: str, entry: str = "") -> Key:
    """Return the key of an entry that waits for the log."""
    return f"outbox#{job}", entry


def head(job: str) -> Key:
    """Return the key of what is known of the log's end."""
    return f"job#{job}", "head"


def skills(job: str) -> Key:
    """Return the key of what people's answers were worth when last looked at."""
    return f"job#{job}", "skills"


def person(job: str, person_id: str) -> Key:
    """Return the key of what a job knows of a person."""
    return f"people#{job}", person_id


def gold(job: str, item_id: str = "") -> Key:
    """Return the key of a gold item's mark."""
    return f"gold#{job}", item_id


def addition(job: str, addition_id: str = "") -> Key:
    """Return the key of what became of photos that were added."""
    return f"added#{job}", addition_id


def counter(job: str, shard: int) -> Key:
    """Return the key of a shard of a job's counters."""
    return f"count#{job}#{shard:02d}", "count"


def rate(person_id: str, window: int) -> Key:
    """Return the key of a person's requests in a window of time."""
    return f"rate#{person_id}", f"{window:012d}"


def shard(text: str, shards: int = SHARDS) -> int:
    """Return the shard of a text, the same for ever."""
    return zlib.crc32(text.encode()) % shards


def queues_for(items_: int) -> int:
    """Return into how many queues a job's items go: one for a small job, where looking into many would be in vain."""
    return min(MOST_QUEUES, max(1, items_ // ITEMS_OF_A_QUEUE))


def open_queue(job: str, number: int) -> str:
    """Return a shard of the queue of items that have a place free."""
    return f"open#{job}#{number:02d}"


def held_queue(job: str, number: int) -> str:
    """Return a shard of the queue of items whose places are all leased, by the end of the first lease."""
    return f"held#{job}#{number:02d}"


def review_queue(job: str) -> str:
    """Return the queue of items that wait for an owner, oldest first."""
    return f"review#{job}"


def queue_of(it: Item, *, wanted: int, now: float) -> dict[str, Any]:
    """Return the index attributes of an item as it is: ``queue`` and ``order`` are None for one in no queue.

    Parameters
    ----------
    wanted
        People it still needs, those who hold a lease among them.
    """
    who = frozenset(it.answers)
    if it.state == "review":
        return {QUEUE: review_queue(it.job), ORDER: f"{iso(now)}#{it.id}", WHO: who}
    if it.state != "open" or it.gold is not None:
        return {QUEUE: None, ORDER: None, WHO: who}
    number = shard(it.id, it.queues)
    ends = [end for person_id, (_, end) in it.leases.items() if end > now and person_id not in it.answers]
    if len(ends) >= wanted:
        return {QUEUE: held_queue(it.job, number), ORDER: f"{iso(min(ends))}#{it.id}", WHO: who}
    # Who has begun is finished first: labels settle early, and a snapshot has them.
    begun = PRIORITIES - min(len(it.answers), PRIORITIES)
    return {QUEUE: open_queue(it.job, number), ORDER: f"{it.priority:02d}#{begun:03d}#{it.id}", WHO: who}
