"""The operations on labeling jobs."""

from __future__ import annotations

from dataclasses import dataclass, field

from menulens.local import objects
from menulens.local.context import Context, Operation, Params
from menulens.local.errors import in_use, invalid, not_found
from menulens.local.labeling_job import LabelingJob
from menulens.local.paging import page
from menulens.local.workforce import Workforces


@dataclass
class LabelingJobs:
    """The labeling jobs of this cloud."""

    context: Context
    workforces: Workforces
    jobs: dict[str, LabelingJob] = field(default_factory=dict)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateLabelingJob": self.create,
            "DescribeLabelingJob": lambda params: self.get(params["LabelingJobName"]).describe(),
            "ListLabelingJobs": self.list_jobs,
            "ListLabelingJobsForWorkteam": self.list_for_team,
            "StopLabelingJob": self.stop,
        }

    def get(self, name: str) -> LabelingJob:
        """Return a job; names are the same in any case."""
        try:
            return self.jobs[name.lower()]
        except KeyError:
            raise not_found(f"LabelingJob {name} does not exist.") from None

    def create(self, params: Params) -> Params:
        """Start a job."""
        self._check(params)
        key = params["LabelingJobName"].lower()
        with self.context.lock:
            if key in self.jobs:
                raise in_use(
                    "Labeling job names must be unique within an AWS account and region, ignoring case, and a "
                    f"labeling job with this name already exists ({self.jobs[key].arn})"
                )
            job = self.jobs[key] = LabelingJob(self.context, params)
            self.context.tags.set(job.arn, params.get("Tags"))
        job.start(job.run, job.publish, "labeling")
        return {"LabelingJobArn": job.arn}

    def _check(self, params: Params) -> None:
        attribute = params["LabelAttributeName"]
        if attribute.endswith(("-metadata", "-ref")):
            raise invalid(f"LabelAttributeName {attribute!r} must not end in -metadata or -ref.")
        source = params["InputConfig"]["DataSource"].get("S3DataSource")
        if source is None:
            raise invalid("A streaming labeling job (SnsDataSource) can't run here; give an S3DataSource.")
        human = params["HumanTaskConfig"]
        if "LabelCategoryConfigS3Uri" not in params:
            raise invalid("LabelCategoryConfigS3Uri is required for image classification.")
        if "AnnotationConsolidationConfig" not in human or "PreHumanTaskLambdaArn" not in human:
            raise invalid(
                "PreHumanTaskLambdaArn and AnnotationConsolidationConfig are required for image classification."
            )
        for uri in (
            source["ManifestS3Uri"],
            params["LabelCategoryConfigS3Uri"],
            params["OutputConfig"]["S3OutputPath"],
        ):
            objects.split_uri(uri)
        template = human["UiConfig"].get("UiTemplateS3Uri")
        if template and not objects.exists(self.context.config.client("s3"), template):
            raise invalid(f"The worker task template {template} is not there.")
        self.workforces.team(human["WorkteamArn"])

    def list_jobs(self, params: Params) -> Params:
        """List jobs."""
        summaries = [job.summary() for job in list(self.jobs.values())]
        return page(
            summaries, params, into="LabelingJobSummaryList", name="LabelingJobName", status="LabelingJobStatus",
            order="Ascending",
        )  # fmt: skip

    def list_for_team(self, params: Params) -> Params:
        """List the jobs of a work team."""
        kept = [
            {
                "LabelingJobName": job.name,
                "JobReferenceCode": job.record["JobReferenceCode"],
                "WorkRequesterAccountId": self.context.config.account,
                "CreationTime": job.record["CreationTime"],
                "LabelCounters": {
                    "HumanLabeled": job.record["LabelCounters"]["HumanLabeled"],
                    "PendingHuman": job.record["LabelCounters"]["Unlabeled"],
                    "Total": sum(
                        job.record["LabelCounters"][key]
                        for key in ("TotalLabeled", "FailedNonRetryableError", "Unlabeled")
                    ),
                },
                "NumberOfHumanWorkersPerDataObject": job.human["NumberOfHumanWorkersPerDataObject"],
            }
            for job in list(self.jobs.values())
            if job.human["WorkteamArn"] == params["WorkteamArn"]
        ]
        return page(kept, params, into="LabelingJobSummaryList", name="LabelingJobName", order="Ascending")

    def stop(self, params: Params) -> Params:
        """Ask a job to stop; what is labeled by then is its output."""
        job = self.get(params["LabelingJobName"])
        with self.context.lock:
            if job.status in ("Initializing", "InProgress"):
                job.update(LabelingJobStatus="Stopping")
                job.stopping.set()
            elif job.status != "Stopping":
                raise invalid(f"The request was rejected because the labeling job is in status {job.status}.")
        job.publish()
        return {}
