"""CDK apps of tests that read templates alone."""

from typing import Any

import aws_cdk as cdk

UNSTAGED = {"aws:cdk:disable-asset-staging": True}
"""Context under which CDK takes the hash of each asset, but does not copy it: 600 MB less for the whole app."""


def app_of_templates(**flags: Any) -> cdk.App:
    """Return an app whose assets are named, not copied."""
    return cdk.App(context={**flags, **UNSTAGED})
