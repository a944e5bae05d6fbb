"""The scripted annotators: wrong as often as told, and the same way every time."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from demo.annotators import CONFUSED_WITH, HABITS, Annotator, AnnotatorError, Habits, annotators, invitations
from demo.concepts import SHARES
from stacks.workforce_stack import INVITATION


def any_photos(count: int, category: str = "fruit") -> dict[bytes, str]:
    return {f"photo {number}".encode(): category for number in range(count)}


def looked_at(person: Annotator, photos: dict[bytes, str]) -> list[tuple[str, str]]:
    truth = {hashlib.sha256(photo).hexdigest(): category for photo, category in photos.items()}
    return [person.look(photo, truth) for photo in photos]


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.12, 1.0])
def should_be_wrong_as_often_as_told(rate):
    seen = looked_at(Annotator("a@example.com", Habits(rate), 1), any_photos(3000))

    assert sum(said != due for due, said in seen) / 3000 == pytest.approx(rate, abs=0.02)


def should_be_worse_at_what_it_is_weak_at():
    weak = Annotator("a@example.com", Habits(0.05, "fruit"), 1)

    assert sum(said != due for due, said in looked_at(weak, any_photos(3000))) / 3000 == pytest.approx(0.15, abs=0.02)


def should_confuse_only_what_can_be_confused():
    seen = looked_at(Annotator("a@example.com", Habits(1.0), 1), any_photos(500))

    assert {said for _, said in seen} == set(CONFUSED_WITH["fruit"])


def should_answer_the_same_way_again():
    photos = any_photos(300)

    assert looked_at(Annotator("a", Habits(0.5), 7), photos) == looked_at(Annotator("a", Habits(0.5), 7), photos)
    assert looked_at(Annotator("a", Habits(0.5), 7), photos) != looked_at(Annotator("b", Habits(0.5), 8), photos)


def should_refuse_a_photo_that_is_not_in_the_set():
    with pytest.raises(AnnotatorError, match="not in the set"):
        Annotator("a@example.com", HABITS[0], 1).look(b"another", {})


def should_confuse_unknown_categories_with_each_other():
    photos = {b"one": "ramen", b"two": "sushi"}

    assert looked_at(Annotator("a", Habits(1.0), 1), photos) == [("ramen", "sushi"), ("sushi", "ramen")]


def should_give_every_member_habits_and_a_seed_of_its_own():
    people = annotators([f"{number}@example.com" for number in range(6)])

    assert len({person.seed for person in people}) == 6
    assert [person.habits for person in people] == list(HABITS)


def should_name_only_known_categories_in_confusions():
    assert set(CONFUSED_WITH) == set(SHARES)
    for category, others in CONFUSED_WITH.items():
        assert set(others) < set(SHARES) - {category}
        assert sum(others.values()) == pytest.approx(1.0)


def should_read_the_temporary_password_out_of_the_invitation_mail():
    password = "Zx9!a(b)c.d;eQ"
    # The mail as the stack words it.
    html = INVITATION.format(address="http://127.0.0.1:4580/")
    html = html.replace("{username}", "Aki@example.com").replace("{####}", password)
    body = json.dumps({"messages": {"000000000000": [{"To": ["Aki@example.com"], "BodyText": "", "BodyHtml": html}]}})

    class Mails(BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/_ministack/ses/messages"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            return

    with HTTPServer(("127.0.0.1", 0), Mails) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert invitations(f"http://127.0.0.1:{server.server_port}") == {"aki@example.com": password}
        thread.join()
