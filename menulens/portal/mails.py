"""The mails that people get of what happens: a sentence or two in Japanese and English, and the link to go to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from menulens.core import keys

MOST_SUBJECT: Final = 99
"""Characters that SNS takes in a subject."""

MOST_CAUSE: Final = 1_000
EXECUTION_CHANGED: Final = "Step Functions Execution Status Change"

To = Literal["annotators", "owners", "operators"]


@dataclass(frozen=True, slots=True)
class Mail:
    """What is sent, and whom to."""

    to: To
    subject: str
    text: str


def written(event: Mapping[str, Any], *, address: str, called: Callable[[str], str]) -> Mail | None:
    """Return the mail about an event of the bus; None if nobody needs one.

    Parameters
    ----------
    address
        Where the portal is; no slash at the end.
    called
        Returns what a person of an id is called.

    Raises
    ------
    ValueError
        If it is an event that no mail is written about.
    """
    kind, detail = event["detail-type"], event["detail"]
    if kind == keys.LABELING_OPENED:
        return _opened(detail, address)
    if kind == keys.ANNOTATOR_BLOCKED:
        return _blocked(detail, address, called(detail[keys.PERSON]))
    if kind == EXECUTION_CHANGED:
        return _failed(detail, event["region"])
    raise ValueError(f"{kind}: no mail is written about such an event.")


def _opened(detail: Mapping[str, Any], address: str) -> Mail | None:
    job, count = detail[keys.JOB_NAME], detail[keys.OPEN]
    if not count:
        return None
    ja = detail.get(keys.TITLE) or job
    en = detail.get(keys.TITLE_EN) or ja
    of_texts = detail.get(keys.JOB_KIND) == "text"
    what_ja = f"文章が{count}件" if of_texts else f"写真が{count}枚"
    one = "text" if of_texts else "photo"
    what_en = f"is 1 {one}" if count == 1 else f"are {count:,} {one}s"
    return _mail(
        "annotators",
        f"分類をお願いします / Something to label: {en}",
        ja=f"「{ja}」に、分類していただきたい{what_ja}あります。空いた時間に、下のリンクから始められます。",
        en=f"There {what_en} to label in “{en}”. Start from this link whenever you have a minute.",
        link=f"{address}/?{urlencode({'job': job})}",
    )


def _blocked(detail: Mapping[str, Any], address: str, name: str) -> Mail:
    job, due = detail[keys.JOB_NAME], _percent(detail[keys.DUE])
    if keys.WORTH in detail:
        share = _percent(detail[keys.WORTH])
        why_ja = f"1件の回答から分かることが、メンバーの平均の{share}で、基準の{due}に届いていません。"
        why_en = f"an answer of theirs tells {share} of what one tells here on average, and {due} are due."
    else:
        seen, right = detail[keys.SEEN], _percent(detail[keys.ACCURACY])
        why_ja = f"正解の分かっている{seen}件での正答率が{right}で、基準の{due}に届いていません。"
        why_en = f"{right} of {seen} known items were right, and {due} are due."
    return _mail(
        "owners",
        f"作業を止めた人がいます / An annotator was stopped: {job}",
        ja=f"{name} さんの「{job}」での作業を止めました。{why_ja}"
        "これまでの回答は残ります。再開は、下のリンクの「メンバー」からできます。",
        en=f"{name} gets no more work of “{job}”: {why_en} "
        "Their answers stay. You can let them go on from the page of people, at this link.",
        link=f"{address}/owner.html?{urlencode({'job': job, 'view': 'people'})}",
    )


def _failed(detail: Mapping[str, Any], region: str) -> Mail:
    machine, name = detail["stateMachineArn"].rpartition(":")[2], detail["name"]
    timed_out = detail["status"] == "TIMED_OUT"
    error, cause = detail.get("error") or "", (detail.get("cause") or "")[:MOST_CAUSE]
    why = ": ".join(part for part in (error, cause) if part)
    arn = quote(detail["executionArn"], safe=":")
    return _mail(
        "operators",
        f"{'時間切れ' if timed_out else '失敗'} / {'Timed out' if timed_out else 'Failed'}: {machine} {name}",
        ja=f"{machine} の実行 {name} が{'時間内に終わりませんでした' if timed_out else '失敗しました'}。",
        en=f"The execution {name} of {machine} {'did not end in time' if timed_out else 'failed'}.",
        link=f"https://{region}.console.aws.amazon.com/states/home?region={region}#/v2/executions/details/{arn}",
        more=why,
    )


def _mail(to: To, subject: str, *, ja: str, en: str, link: str, more: str = "") -> Mail:
    parts = [_plain(ja), _plain(en), *([_plain(more)] if more else []), link]
    return Mail(to, _plain(subject)[:MOST_SUBJECT].rstrip(), "\n\n".join(parts) + "\n")


def _plain(text: str) -> str:
    """Return a text on one line: what people name things can end no line and begin no other."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _percent(share: float) -> str:
    return f"{share:.0%}"
