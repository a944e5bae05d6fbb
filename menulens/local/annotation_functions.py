"""The two functions of a labeling job: pre-annotation and consolidation, built in or a Lambda of one's own."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from menulens.local.config import LocalConfig
from menulens.local.consolidation import Consolidator
from menulens.local.errors import JobFailedError
from menulens.local.labeling_items import Item
from menulens.local.labeling_output import JobOutput, failed, labeled

_VERSION = "2018-10-16"
_BUILT_IN_PRE = "PRE-ImageMultiClass"
_BUILT_IN_ACS = "ACS-ImageMultiClass"


class FunctionError(Exception):
    """A function that failed for one object; the message becomes its failure reason."""


def invoke(config: LocalConfig, arn: str, event: dict[str, Any]) -> Any:
    """Call a Lambda and return its answer.

    Raises
    ------
    FunctionError
        If it can't be called, fails, or answers no JSON.
    """
    try:
        answer = config.client("lambda").invoke(FunctionName=arn, Payload=json.dumps(event).encode())
        payload = answer["Payload"].read()
        value = json.loads(payload or b"null")
    except (BotoCoreError, ClientError, ValueError) as error:
        raise FunctionError(f"{arn}: {error}") from None
    if answer.get("FunctionError"):
        said = value.get("errorMessage", payload.decode("utf-8", "replace")) if isinstance(value, dict) else str(value)
        raise FunctionError(f"{arn}: {said}")
    return value


class PreAnnotation:
    """Turns a manifest line into a task's input."""

    def __init__(self, config: LocalConfig, arn: str, job_arn: str) -> None:
        self._config, self._arn, self._job_arn = config, arn, job_arn
        self.built_in = arn.endswith(f":{_BUILT_IN_PRE}")

    def prepare(self, item: Item) -> tuple[dict[str, Any], bool]:
        """Return a task's input, and whether a person is needed.

        Raises
        ------
        FunctionError
            If the function fails or answers without ``taskInput``.
        """
        if self.built_in:
            return {"taskObject": item.data.get("source-ref", item.data.get("source"))}, True
        event = {"version": _VERSION, "labelingJobArn": self._job_arn, "dataObject": item.data}
        answer = invoke(self._config, self._arn, event)
        if not isinstance(answer, dict) or not isinstance(answer.get("taskInput"), dict):
            raise FunctionError(f"{self._arn}: the answer has no taskInput object.")
        needed = answer.get("isHumanAnnotationRequired", answer.get("humanAnnotationRequired", True))
        return answer["taskInput"], str(needed).lower() != "false"


class Consolidation:
    """Turns the answers of answered items into what their lines gain."""

    def __init__(
        self, config: LocalConfig, request: dict[str, Any], job_arn: str, categories: Sequence[str], output: JobOutput
    ) -> None:
        acs = request["HumanTaskConfig"]["AnnotationConsolidationConfig"]["AnnotationConsolidationLambdaArn"]
        self._config, self._arn, self._job_arn = config, acs, job_arn
        self._job = request["LabelingJobName"]
        self._attribute = request["LabelAttributeName"]
        self._role = request["RoleArn"]
        self._categories = list(categories)
        self._output = output
        self._built_in = Consolidator(categories) if acs.endswith(f":{_BUILT_IN_ACS}") else None
        self._number = 0

    def consolidate(self, items: Sequence[Item]) -> None:
        """Give each item its output and its state, ``labeled`` or ``failed``, and write the files that tell of it."""
        self._number += 1
        self._output.write_responses(items)
        request = [self._asked(item) for item in items]
        if self._built_in is not None:
            response = [self._consolidated(item, self._built_in) for item in items]
        else:
            response = self._by_function(request)
        self._output.write_consolidation(self._number, request, response)
        by_id = {str(entry.get("datasetObjectId")): entry for entry in response if isinstance(entry, dict)}
        for item in items:
            content = (by_id.get(str(item.index)) or {}).get("consolidatedAnnotation", {}).get("content")
            if isinstance(content, dict) and self._attribute in content:
                item.output, item.state = content, "labeled"
            else:
                reason = "Annotation consolidation gave no label for this object."
                item.output = failed(self._attribute, reason, self._job, time.time())
                item.state = "failed"

    def _asked(self, item: Item) -> dict[str, Any]:
        ref = item.data.get("source-ref")
        return {
            "datasetObjectId": str(item.index),
            "dataObject": {"s3Uri": ref} if ref else {"content": item.data.get("source")},
            "annotations": [
                {
                    "workerId": given.worker.sub,
                    "annotationData": {"content": json.dumps({"crowd-image-classifier": {"label": given.answer}})},
                }
                for given in item.answers.values()
            ],
        }

    def _consolidated(self, item: Item, consolidator: Consolidator) -> dict[str, Any]:
        name, confidence = consolidator.consolidate({sub: given.answer for sub, given in item.answers.items()})
        content = labeled(
            self._attribute, self._categories.index(name), name, confidence, job=self._job, now=time.time()
        )
        return {"datasetObjectId": str(item.index), "consolidatedAnnotation": {"content": content}}

    def _by_function(self, request: list[dict[str, Any]]) -> list[Any]:
        self._output.write_request(self._number, request)
        event = {
            "version": _VERSION,
            "labelingJobArn": self._job_arn,
            "labelCategories": self._categories,
            "labelAttributeName": self._attribute,
            "roleArn": self._role,
            "payload": {"s3Uri": self._output.request_uri(self._number)},
        }
        try:
            answer = invoke(self._config, self._arn, event)
        except FunctionError as error:
            raise JobFailedError(f"ClientError: annotation consolidation failed: {error}") from None
        if isinstance(answer, dict) and "body" in answer:
            answer = answer["body"]
        if not isinstance(answer, list):
            raise JobFailedError(f"ClientError: annotation consolidation: {self._arn} answered no list.")
        return answer
