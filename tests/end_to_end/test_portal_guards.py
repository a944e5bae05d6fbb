"""Who tries to get at what is not theirs, over the deployed portal's own address: each is refused."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from menulens.client.portal import PortalClient, PortalClientError, label
from menulens.client.sign_in import HostedSignIn, read_form
from tests.end_to_end.cloud import PASSWORD, Site


@pytest.fixture(scope="module")
def jobs(site: Site) -> Iterator[tuple[str, str]]:
    """Two open jobs."""
    names = ("guarded", "other")
    for name in names:
        site.start("label", photos="photos/", job_name=name, max_photos=30)
    for name in names:
        site.open_job(name)
    yield names
    for name in names:
        site.owner.post(f"/api/owner/jobs/{name}/stop")


def _get(site: Site, path: str, token: str | None, method: str = "GET") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body: dict[str, Any] = {"json": {}} if method != "GET" else {}
    return httpx.request(method, site.portal_url + path, headers=headers, trust_env=False, timeout=30, **body)


def _refused(person: PortalClient, method: str, path: str, body: dict[str, Any] | None = None) -> PortalClientError:
    with pytest.raises(PortalClientError) as caught:
        person.request(method, path, body)
    return caught.value


def should_show_a_photo_to_who_holds_its_token_only(site: Site, jobs: tuple[str, str]) -> None:
    aki, ben = site.members[0], site.members[1]
    (task,) = aki.lease(jobs[0], 1).tasks
    path = task.photo or ""
    photo = aki.request("GET", path)
    assert photo.headers["content-type"] == "image/jpeg"
    assert "private" in photo.headers["cache-control"]
    assert photo.headers["x-content-type-options"] == "nosniff"
    assert _refused(ben, "GET", path).status == 403
    for at in (len(path) // 3, len(path) // 2, -2):
        changed = path[:at] + ("A" if path[at] != "A" else "B") + path[at + 1 :]
        assert _refused(aki, "GET", changed).status in (403, 404, 422)
    # Another job's or item's token can't be made of one's own: what it names is signed.
    payload, _, mark = path.rpartition("/")[2].partition(".")
    told = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    for place, value in ((0, jobs[1]), (1, "0000000"), (-1, int(time.time()) + 86_400)):
        forged = [*told]
        forged[place] = value
        text = base64.urlsafe_b64encode(json.dumps(forged, separators=(",", ":")).encode()).rstrip(b"=").decode()
        if text != payload:
            assert _refused(aki, "GET", f"/api/photos/{text}.{mark}").status == 403
    assert _get(site, path, None).status_code == 401
    aki.release(jobs[0], [task.item])


def should_keep_annotators_out_of_the_owners_side(site: Site, jobs: tuple[str, str]) -> None:
    aki, job = site.members[0], jobs[0]
    for method, path in (
        ("GET", "/api/owner/jobs"),
        ("GET", f"/api/owner/jobs/{job}"),
        ("POST", f"/api/owner/jobs/{job}/stop"),
        ("GET", f"/api/owner/jobs/{job}/review"),
        ("GET", f"/api/owner/jobs/{job}/gold"),
        ("GET", f"/api/owner/jobs/{job}/log/verify"),
    ):
        assert _refused(aki, method, path).status == 403, path
    assert site.job(job)["state"] == "open"


def should_give_nothing_to_who_is_in_no_group(site: Site, jobs: tuple[str, str]) -> None:
    pools, name = site.cloud.client("cognito-idp"), "nobody@example.com"
    attributes = [{"Name": "email", "Value": name}, {"Name": "email_verified", "Value": "true"}]
    pools.admin_create_user(UserPoolId=site.pool, Username=name, UserAttributes=attributes)
    with contextlib.closing(site.sign_in(name)) as nobody:
        assert _refused(nobody, "GET", "/api/me").status == 403
        assert _refused(nobody, "POST", f"/api/jobs/{jobs[0]}/leases", {"limit": 1, "have": []}).status == 403


def should_take_no_token_but_cognitos(site: Site, jobs: tuple[str, str]) -> None:
    genuine = site.members[0].tokens
    claims = jwt.decode(genuine.access, options={"verify_signature": False})
    kid = jwt.get_unverified_header(genuine.access)["kid"]
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    owners = {**claims, "cognito:groups": ["menulens-local-owners"]}
    head, _, mark = genuine.access.split(".")
    body = base64.urlsafe_b64encode(json.dumps(owners).encode()).rstrip(b"=").decode()
    for forged in (
        f"{head}.{body}.{mark}",
        jwt.encode(owners, own, "RS256", headers={"kid": kid}),
        jwt.encode(owners, "", "none", headers={"kid": kid}),
        jwt.encode({**claims, "exp": int(time.time()) - 10}, own, "RS256", headers={"kid": kid}),
        genuine.identity,
        genuine.refresh,
        "",
    ):
        answer = _get(site, "/api/owner/jobs", forged or None)
        assert answer.status_code in (401, 403), forged[:40]
        assert "guarded" not in answer.text


def should_tell_nothing_by_guessed_names(site: Site, jobs: tuple[str, str]) -> None:
    aki = site.members[0]
    assert _refused(aki, "GET", "/api/jobs/no-such-job").status == 404
    assert _refused(aki, "POST", "/api/jobs/no-such-job/leases", {"limit": 1, "have": []}).status == 404
    for item in ("0000000", "0000001", "9999999"):  # ids are easy to guess; without a lease they are nobody's
        (told,) = aki.record(jobs[1], [label(item, "meal")])
        assert (told["status"], told["code"]) == ("rejected", "no-item"), item
    (task,) = site.members[2].lease(jobs[0], 1).tasks
    thief = site.members[3]  # never had it: what was leased to somebody once, they may answer late
    (stolen,) = thief.record(jobs[0], [label(task.item, "meal")])
    assert stolen["status"] == "rejected"
    # An id that was used for another answer is no second answer.
    (mine,) = aki.lease(jobs[0], 1).tasks
    given = label(mine.item, "meal")
    assert aki.record(jobs[0], [given])[0]["status"] == "accepted"
    theirs = {**label(task.item, "meal"), "id": given["id"]}
    assert site.members[2].record(jobs[0], [theirs])[0]["status"] == "rejected"


def should_serve_the_page_under_a_strict_policy_and_no_bucket_beside_it(site: Site) -> None:
    page = httpx.get(f"{site.portal_url}/", trust_env=False)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "<script>" not in page.text
    for path in ("/../", "/%2e%2e/", "/log/", "/inputs/", "/?list-type=2", "/index.html?acl"):
        answer = httpx.get(site.portal_url + path, trust_env=False)
        assert "<ListBucketResult" not in answer.text
        assert "AccessControlPolicy" not in answer.text


def should_lock_who_guesses_a_password(site: Site) -> None:
    pools, name = site.cloud.client("cognito-idp"), "guessed@example.com"
    pools.admin_create_user(UserPoolId=site.pool, Username=name, MessageAction="SUPPRESS")
    pools.admin_set_user_password(UserPoolId=site.pool, Username=name, Password=PASSWORD, Permanent=True)
    with httpx.Client(timeout=30, trust_env=False) as http:
        ready = HostedSignIn(http, site.portal_url)
        page = ready.open()  # before the lock, which begins with one second
        for _ in range(5):
            with pytest.raises(Exception, match="Incorrect"):
                PortalClient.signed_in(site.portal_url, name, "wrong")
        locked = ready.submit(page, {"username": name, "password": PASSWORD})
    assert "Too many attempts" in read_form(locked.text).said
