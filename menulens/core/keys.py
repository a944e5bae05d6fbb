"""The names that state machines, Lambdas, the training container and the command line share.

A state machine reads what a handler wrote under exactly these keys, so a key is spelled here and nowhere else.
"""

from typing import Final

# --- augmented manifest ---------------------------------------------------------------------
SOURCE_REF: Final = "source-ref"
SOURCE: Final = "source"
METADATA_SUFFIX: Final = "-metadata"

# --- events (source, detail types, detail keys) -----------------------------------------------
EVENT_SOURCE: Final = "menulens"
LABELS_READY: Final = "LabelsReady"
DATASET_READY: Final = "DatasetReady"
MODEL_READY: Final = "ModelReady"
MODEL_DEPLOYED: Final = "ModelDeployed"
VECTORS_READY: Final = "VectorsReady"
LABELING_OPENED: Final = "LabelingOpened"
LABELING_FINISHED: Final = "LabelingFinished"
ANNOTATOR_BLOCKED: Final = "AnnotatorBlocked"
TITLE: Final = "title"
PERSON: Final = "person"
UNATTENDED: Final = "unattended"

# --- state input and output --------------------------------------------------------------------
ENVIRONMENT: Final = "environment"
PHOTOS: Final = "photos"
MANIFEST: Final = "manifest"
MAX_PHOTOS: Final = "max_photos"
RESUME_FROM: Final = "resume_from"
REINDEX: Final = "reindex"
JOB_NAME: Final = "job_name"
ADDITION: Final = "addition"
JOB_KIND: Final = "job_kind"
JOB_STATUS: Final = "job_status"
LABELING_JOB: Final = "labeling_job"
JOB_ERROR: Final = "job_error"
INPUT_MANIFEST: Final = "input_manifest"
EARLIER_MANIFEST: Final = "earlier_manifest"
CATEGORIES_URI: Final = "categories_uri"
TEMPLATE_URI: Final = "template_uri"
OURS: Final = "ours"
READY: Final = "ready"
WAIT_SECONDS: Final = "wait_seconds"
NAME: Final = "name"
DATASET: Final = "dataset"
DATASET_URI: Final = "dataset_uri"
MANIFEST_URI: Final = "manifest_uri"
TRAINING_JOB: Final = "training_job"
MODEL_PACKAGE: Final = "model_package"
MODEL_VERSION: Final = "model_version"
ENDPOINT: Final = "endpoint"
VECTORS_URI: Final = "vectors_uri"
COUNT: Final = "count"
CHUNK: Final = "chunk"
CHUNKS: Final = "chunks"
LINES: Final = "lines"
DISPLAY_INDEX: Final = "display_index"
TASK_TOKEN: Final = "task_token"  # noqa: S105  a key, no secret
REASON: Final = "reason"
PASSED: Final = "passed"

# --- file names ----------------------------------------------------------------------------------
TRAIN_MANIFEST: Final = "train.manifest"
EVAL_MANIFEST: Final = "eval.manifest"
REJECTS: Final = "rejects.jsonl"
CARD: Final = "card.json"
INBOX_PREFIX: Final = "inbox/"
