"""People are told by e-mail, once for each event, through a real topic, a real pool and a real table."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError
from botocore.exceptions import ClientError

from benchmarks._portal_room import ANNOTATORS, Room, Session
from menulens.core import deployed
from menulens.portal import decisions, log, telling
from menulens.portal.telling import Teller
from tests.portal.bus import Bus
from tests.portal.people import Annotator
from tests.portal.test_answers import ONE

CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 30_000)
ADDRESS = "https://labels.example.com"


@dataclass
class Mailbox:
    """Somebody who is on a topic, and what came to them."""

    port: int
    address: str
    topic: str

    def mails(self) -> list[dict[str, Any]]:
        sent = httpx.get(f"http://127.0.0.1:{self.port}/_ministack/ses/messages", trust_env=False).json()["messages"]
        return [mail for some in sent.values() for mail in some if self.address in mail["To"]]


@pytest.fixture
def boxes(room: Room, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Mailbox]]:
    """One mailbox for each topic, and the variables of a function that tells."""
    session, found = Session(room.port), {}
    sns = session.client("sns")
    for to, variable in telling.TOPICS.items():
        box = Mailbox(room.port, f"{to}-{uuid.uuid4().hex[:8]}@example.com", "")
        box.topic = sns.create_topic(Name=f"{to}-{uuid.uuid4().hex[:8]}")["TopicArn"]
        sns.subscribe(TopicArn=box.topic, Protocol="email", Endpoint=box.address)
        found[to] = box
        monkeypatch.setenv(variable, box.topic)
    pool = session.client("cognito-idp").create_user_pool(PoolName=uuid.uuid4().hex)["UserPool"]["Id"]
    session.client("cognito-idp").create_group(UserPoolId=pool, GroupName=ANNOTATORS)
    for name, value in {
        deployed.PORTAL_ADDRESS: ADDRESS,
        deployed.USER_POOL_ID: pool,
        deployed.ANNOTATORS_GROUP: ANNOTATORS,
        deployed.LABELING_TABLE: room.portal.table.name,
    }.items():
        monkeypatch.setenv(name, value)
    return found


def any_event(kind: str = "LabelingOpened", **detail: Any) -> dict[str, Any]:
    opened = {"job_name": "spring", "job_kind": "photo", "title": "春", "title_en": "Spring", "open": 3}
    return {
        "id": str(uuid.uuid4()),
        "region": "us-east-1",
        "detail-type": kind,
        "detail": detail or opened,
    }


def should_send_one_mail_about_an_event_that_comes_three_times(room: Room, boxes: dict[str, Mailbox]) -> None:
    event = any_event()
    for _ in range(3):
        Teller(Session(room.port)).tell(event, CONTEXT)
    (mail,) = boxes["annotators"].mails()
    assert mail["Subject"] == "分類をお願いします / Something to label: Spring"
    assert f"{ADDRESS}/?job=spring" in mail["BodyText"]
    assert boxes["owners"].mails() == []
    Teller(Session(room.port)).tell(any_event(), CONTEXT)
    assert len(boxes["annotators"].mails()) == 2, "another event is told of again"


def should_send_one_mail_when_an_event_comes_several_times_at_once(room: Room, boxes: dict[str, Mailbox]) -> None:
    event = any_event()

    def tell(_: int) -> bool:
        try:
            Teller(Session(room.port)).tell(event, CONTEXT)
        except IdempotencyAlreadyInProgressError:
            return False  # the bus brings it again
        return True

    with ThreadPoolExecutor(4) as pool:
        assert any(pool.map(tell, range(4)))
    assert len(boxes["annotators"].mails()) == 1


def should_tell_again_what_could_not_be_told(
    room: Room, boxes: dict[str, Mailbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = any_event()
    with monkeypatch.context() as patched:
        patched.setenv(deployed.NEW_WORK_TOPIC, f"{boxes['annotators'].topic}-gone")
        with pytest.raises(ClientError):
            Teller(Session(room.port)).tell(event, CONTEXT)
    assert boxes["annotators"].mails() == []
    Teller(Session(room.port)).tell(event, CONTEXT)
    assert len(boxes["annotators"].mails()) == 1


def should_tell_owners_by_name_of_who_falls_under_the_accuracy(room: Room, boxes: dict[str, Mailbox]) -> None:
    cognito, pool = Session(room.port).client("cognito-idp"), os.environ[deployed.USER_POOL_ID]
    name = f"ben-{uuid.uuid4().hex[:8]}@example.com"
    made = cognito.admin_create_user(UserPoolId=pool, Username=name, UserAttributes=[{"Name": "email", "Value": name}])[
        "User"
    ]
    cognito.admin_add_user_to_group(UserPoolId=pool, Username=made["Username"], GroupName=ANNOTATORS)
    sub = {one["Name"]: one["Value"] for one in made["Attributes"]}["sub"]

    bus = Bus()
    heard = replace(room, portal=replace(room.portal, events=bus))
    job = heard.job(items=4, options=replace(ONE, gold_share=1.0, gold_min_seen=2, gold_min_accuracy=0.7))
    for item in range(4):
        decisions.set_gold(heard.portal, job.name, f"{item:07d}", by="owner", label=2)
    ben = Annotator(heard, job.name, id=sub)
    for it in ben.lease(4):
        ben.say(it.id, 0)
    assert bus.of("AnnotatorBlocked") == []
    log.seal(heard.portal, job.name)
    (detail,) = bus.of("AnnotatorBlocked")

    for _ in range(2):  # a sealer that was killed tells of it again
        Teller(Session(room.port)).tell(any_event("AnnotatorBlocked", **detail), CONTEXT)
    (mail,) = boxes["owners"].mails()
    assert mail["Subject"] == f"作業を止めた人がいます / An annotator was stopped: {job.name}"[:99]
    assert (
        f"{name} gets no more work of “{job.name}”: 0% of 2 known items were right, and 70% are due."
        in mail["BodyText"]
    )
    assert f"{ADDRESS}/owner.html?job={job.name}&view=people" in mail["BodyText"]


def should_forget_in_time_what_was_told(room: Room, boxes: dict[str, Mailbox]) -> None:
    assert boxes
    Teller(Session(room.port)).tell(any_event(), CONTEXT)
    (entry,) = room.portal.table.query(telling.TOLD)
    assert entry["expires"] > room.portal.clock() + telling.REMEMBERED_SECONDS - 600
