"""Workforce and work teams: who may label, told by a Cognito user pool's groups."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from menulens.local.context import Context, Operation, Params
from menulens.local.errors import in_use, invalid, limit_exceeded
from menulens.local.paging import page


def _last(name_or_arn: str) -> str:
    return name_or_arn.rpartition("/")[2]


@dataclass
class Workforces:
    """The operations on workforces and work teams; an account and region has one private workforce."""

    context: Context
    workforces: dict[str, dict[str, Any]] = field(default_factory=dict)
    teams: dict[str, dict[str, Any]] = field(default_factory=dict)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateWorkforce": self.create_workforce,
            "DescribeWorkforce": lambda params: {"Workforce": dict(self.workforce(params["WorkforceName"]))},
            "UpdateWorkforce": self.update_workforce,
            "ListWorkforces": self.list_workforces,
            "DeleteWorkforce": self.delete_workforce,
            "CreateWorkteam": self.create_team,
            "DescribeWorkteam": lambda params: {"Workteam": dict(self.team(params["WorkteamName"]))},
            "UpdateWorkteam": self.update_team,
            "ListWorkteams": self.list_teams,
            "DeleteWorkteam": self.delete_team,
        }

    def workforce(self, name: str) -> dict[str, Any]:
        """Return a workforce by name or ARN."""
        try:
            return self.workforces[_last(name)]
        except KeyError:
            raise invalid(f"Workforce {name} does not exist.") from None

    def team(self, name: str) -> dict[str, Any]:
        """Return a work team by name or ARN."""
        try:
            return self.teams[_last(name)]
        except KeyError:
            raise invalid(f"Workteam {name} does not exist.") from None

    def create_workforce(self, params: Params) -> Params:
        """Make the workforce."""
        name = params["WorkforceName"]
        if ("CognitoConfig" in params) == ("OidcConfig" in params):
            raise invalid("Either CognitoConfig or OidcConfig is due, and not both.")
        arn = self.context.config.arn("workforce", name)
        with self.context.lock:
            if name in self.workforces:
                raise in_use(f"Workforce {arn} already exists.")
            if self.workforces:
                raise limit_exceeded("Only one private workforce is allowed in an account and region.")
            self.workforces[name] = {
                "WorkforceName": name,
                "WorkforceArn": arn,
                "LastUpdatedDate": time.time(),
                "CreateDate": time.time(),
                "SubDomain": self.context.config.labeling_url.removeprefix("http://"),
                "Status": "Active",
                **{key: params[key] for key in ("CognitoConfig", "SourceIpConfig", "IpAddressType") if key in params},
            }
            if "OidcConfig" in params:
                secretless = {key: value for key, value in params["OidcConfig"].items() if key != "ClientSecret"}
                self.workforces[name]["OidcConfig"] = secretless
            self.context.tags.set(arn, params.get("Tags"))
        return {"WorkforceArn": arn}

    def update_workforce(self, params: Params) -> Params:
        """Change the workforce."""
        with self.context.lock:
            workforce = self.workforce(params["WorkforceName"])
            for key in ("SourceIpConfig", "IpAddressType"):
                if key in params:
                    workforce[key] = params[key]
            workforce["LastUpdatedDate"] = time.time()
        return {"Workforce": dict(workforce)}

    def list_workforces(self, params: Params) -> Params:
        """List workforces."""
        kept = [{**item, "CreationTime": item["CreateDate"]} for item in self.workforces.values()]
        answer = page(kept, {**params, "SortBy": "CreateDate"}, into="Workforces", name="WorkforceName")
        for item in answer["Workforces"]:
            del item["CreationTime"]
        return answer

    def delete_workforce(self, params: Params) -> Params:
        """Delete the workforce, once it has no teams."""
        with self.context.lock:
            workforce = self.workforce(params["WorkforceName"])
            if any(team["WorkforceArn"] == workforce["WorkforceArn"] for team in self.teams.values()):
                raise invalid("The workforce still has work teams; delete them first.")
            del self.workforces[workforce["WorkforceName"]]
            self.context.tags.drop(workforce["WorkforceArn"])
        return {}

    def create_team(self, params: Params) -> Params:
        """Make a work team."""
        name = params["WorkteamName"]
        arn = self.context.config.arn("workteam/private-crowd", name)
        with self.context.lock:
            if name in self.teams:
                raise in_use(f"Workteam {arn} already exists.")
            workforce = self._workforce_of(params)
            self.teams[name] = {
                "WorkteamName": name,
                "WorkteamArn": arn,
                "MemberDefinitions": params["MemberDefinitions"],
                "WorkforceArn": workforce["WorkforceArn"],
                "SubDomain": self.context.config.labeling_url.removeprefix("http://"),
                "Description": params["Description"],
                "CreateDate": time.time(),
                "LastUpdatedDate": time.time(),
                **{k: params[k] for k in ("NotificationConfiguration", "WorkerAccessConfiguration") if k in params},
            }
            self.context.tags.set(arn, params.get("Tags"))
        return {"WorkteamArn": arn}

    def _workforce_of(self, params: Params) -> dict[str, Any]:
        if name := params.get("WorkforceName"):
            workforce = self.workforce(name)
        elif self.workforces:
            workforce = next(iter(self.workforces.values()))
        else:
            raise invalid("There is no private workforce; create it first.")
        pool = workforce.get("CognitoConfig", {}).get("UserPool")
        for member in params["MemberDefinitions"]:
            cognito = member.get("CognitoMemberDefinition")
            if cognito and cognito["UserPool"] != pool:
                raise invalid(f"User pool {cognito['UserPool']} is not the workforce's ({pool}).")
        return workforce

    def update_team(self, params: Params) -> Params:
        """Change a team's members, description or notification."""
        with self.context.lock:
            team = self.team(params["WorkteamName"])
            for key in (
                "MemberDefinitions",
                "Description",
                "NotificationConfiguration",
                "WorkerAccessConfiguration",
            ):
                if key in params:
                    team[key] = params[key]
            team["LastUpdatedDate"] = time.time()
        return {"Workteam": dict(team)}

    def list_teams(self, params: Params) -> Params:
        """List teams."""
        kept = [{**item, "CreationTime": item["CreateDate"]} for item in self.teams.values()]
        answer = page(kept, params, into="Workteams", name="WorkteamName")
        for item in answer["Workteams"]:
            del item["CreationTime"]
        return answer

    def delete_team(self, params: Params) -> Params:
        """Delete a team."""
        with self.context.lock:
            team = self.team(params["WorkteamName"])
            del self.teams[team["WorkteamName"]]
            self.context.tags.drop(team["WorkteamArn"])
        return {"Success": True}
