"""Mails: whom they go to, what they say in both languages, and what a name can't do to them."""

from __future__ import annotations

from typing import Any

import pytest

from menulens.portal.mails import MOST_SUBJECT, Mail, written

ADDRESS = "https://labels.example.com"
OPENED = {"job_name": "spring", "job_kind": "photo", "title": "春のメニュー", "title_en": "Spring menu", "open": 1_200}
BLOCKED = {"job_name": "spring", "person": "3f1c", "accuracy": 0.4286, "seen": 14, "due": 0.7}
ARN = "arn:aws:states:ap-northeast-1:123456789012"
FAILED = {
    "executionArn": f"{ARN}:execution:menulens-live-train:dataset-1",
    "stateMachineArn": f"{ARN}:stateMachine:menulens-live-train",
    "name": "dataset-1",
    "status": "FAILED",
    "error": "TrainingFailed",
    "cause": "No GPU was free.\nTry again.",
}


def about(kind: str, detail: dict[str, Any], **changes: Any) -> Mail | None:
    event = {"id": "1", "region": "ap-northeast-1", "detail-type": kind, "detail": {**detail, **changes}}
    return written(event, address=ADDRESS, called={"3f1c": "ben@example.com"}.__getitem__)


def mail(kind: str, detail: dict[str, Any], **changes: Any) -> Mail:
    found = about(kind, detail, **changes)
    assert found is not None
    return found


def should_tell_annotators_of_new_work() -> None:
    told = mail("LabelingOpened", OPENED)
    assert told.to == "annotators"
    assert told.subject == "分類をお願いします / Something to label: Spring menu"
    assert "「春のメニュー」に、分類していただきたい写真が1200枚あります" in told.text
    assert "There are 1,200 photos to label in “Spring menu”." in told.text
    assert told.text.endswith(f"\n\n{ADDRESS}/?job=spring\n")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"open": 1}, "There is 1 photo to label"),
        ({"open": 2, "job_kind": "text"}, "There are 2 texts to label"),
        ({"open": 2, "job_kind": "text"}, "文章が2件"),
        ({"title_en": None}, "in “春のメニュー”"),
    ],
)
def should_say_how_much_of_what_there_is(changes: dict[str, Any], says: str) -> None:
    assert says in mail("LabelingOpened", OPENED, **changes).text


def should_tell_nobody_of_a_job_with_nothing_to_do() -> None:
    assert about("LabelingOpened", OPENED, open=0) is None


def should_tell_owners_who_was_stopped_and_why() -> None:
    told = mail("AnnotatorBlocked", BLOCKED)
    assert told.to == "owners"
    assert told.subject == "作業を止めた人がいます / An annotator was stopped: spring"
    assert "ben@example.com さんの「spring」での作業を止めました。正解の分かっている14件での正答率が43%" in told.text
    assert (
        "ben@example.com gets no more work of “spring”: 43% of 14 known items were right, and 70% are due." in told.text
    )
    assert f"\n\n{ADDRESS}/owner.html?job=spring&view=people\n" in told.text


def should_tell_owners_whose_answers_tell_too_little() -> None:
    told = mail("AnnotatorBlocked", {"job_name": "spring", "person": "3f1c", "worth": 0.314, "due": 0.75})
    assert told.to == "owners"
    assert told.subject == "作業を止めた人がいます / An annotator was stopped: spring"
    assert "1件の回答から分かることが、メンバーの平均の31%で、基準の75%に届いていません。" in told.text
    assert (
        "ben@example.com gets no more work of “spring”: an answer of theirs tells 31% of what one tells here on "
        "average, and 75% are due. Their answers stay." in told.text
    )


def should_tell_operators_what_failed_and_why() -> None:
    told = mail("Step Functions Execution Status Change", FAILED)
    assert told.to == "operators"
    assert told.subject == "失敗 / Failed: menulens-live-train dataset-1"
    assert "menulens-live-train の実行 dataset-1 が失敗しました。" in told.text
    assert "The execution dataset-1 of menulens-live-train failed." in told.text
    assert "TrainingFailed: No GPU was free. Try again." in told.text
    assert f"/v2/executions/details/{FAILED['executionArn']}\n" in told.text


def should_tell_operators_what_ran_out_of_time_without_a_reason() -> None:
    told = mail("Step Functions Execution Status Change", FAILED, status="TIMED_OUT", error=None, cause=None)
    assert told.subject.startswith("時間切れ / Timed out: ")
    assert "did not end in time" in told.text
    assert "None" not in told.text


@pytest.mark.parametrize(
    "title", ["A\r\nBcc: all@example.com\n\nhttps://evil.example", "長" * 300, "\x00\x1b[31m\u2028x"]
)
def should_keep_names_on_their_line_and_subjects_as_short_as_they_must_be(title: str) -> None:
    told = mail("LabelingOpened", OPENED, title=title, title_en=title)
    assert 0 < len(told.subject) <= MOST_SUBJECT
    assert told.subject.isprintable()
    lines = told.text.split("\n")
    assert [line for line in lines if line] == [lines[0], lines[2], f"{ADDRESS}/?job=spring"]
    assert all(line.isprintable() for line in lines)


def should_write_about_nothing_else() -> None:
    with pytest.raises(ValueError, match="DatasetReady"):
        about("DatasetReady", {})
