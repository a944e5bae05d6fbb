import pytest

from menulens.serving.deployment import _action


@pytest.mark.parametrize(
    ("status", "current", "action"),
    [
        ("", "", "create"),
        ("InService", "old", "update"),
        ("InService", "wanted", "keep"),
        ("Creating", "wanted", "wait"),
        ("Updating", "old", "wait"),
        ("SystemUpdating", "wanted", "wait"),
        ("RollingBack", "old", "wait"),
        ("Deleting", "old", "wait"),
        ("Failed", "old", "replace"),
        ("OutOfService", "wanted", "replace"),
        ("UpdateRollbackFailed", "old", "replace"),
    ],
)
def should_do_the_next_thing_for_each_state_of_the_endpoint(status: str, current: str, action: str) -> None:
    assert _action(status, current, "wanted") == action
