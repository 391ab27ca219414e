"""Tests of template.yaml against the code it deploys, and of rules that cfn-lint lacks.

They read it with the libraries of `sam` (see `checks`), in the long form: `{"Ref": name}`, `{"Fn::Sub": text}`.
"""

from __future__ import annotations

import fnmatch
import json
import re
import tomllib
import unittest
from pathlib import Path
from typing import Any, Iterator

from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATE = yaml_parse((ROOT / "template.yaml").read_text())
PARAMETERS, RESOURCES = TEMPLATE["Parameters"], TEMPLATE["Resources"]



def code(path: str) -> str:
    return (ROOT / path).read_text()


_DECLARATIONS = "".join(path.read_text() for path in sorted((ROOT / "shared/src/settings/declared").glob("*.rs")))

DECLARED = dict(re.findall(r"(?ms)^pub static ([A-Z_]+): Setting = Setting \{(.*?)^\};", _DECLARATIONS))
"""The declarations of settings, by name."""

SECRETS = {name for name, text in DECLARED.items() if "template: Template::Secret" in text}
"""Settings that are secrets: the template names where they are, in `NAME_ARN`."""

NOT_DEPLOYED = {name for name, text in DECLARED.items() if "template: Template::Unset" in text}
"""Settings that the template leaves at their defaults."""


def read_by(function: str) -> dict[str, str]:
    """The settings that a function reads, each with whether it is required or optional."""
    used = {name: text for name, text in DECLARED.items() if f"Function::{function.title()}" in text}
    return {name: "required" if "default: DefaultValue::Required" in text else "optional" for name, text in used.items()}


def set_for(function: str) -> dict[str, Any]:
    """The variables that the template sets for a function."""
    return RESOURCES[function.title()]["Properties"]["Environment"]["Variables"]


def walk(node: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """Every part of a document with its place."""
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(value, (*path, index))


def of_type(kind: str) -> dict[str, dict]:
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


def sub(text: str) -> set[str]:
    """The names in the text of a Sub."""
    return set(re.findall(r"\$\{([A-Za-z0-9:.]+)\}", text))


def references(node: Any) -> Iterator[tuple[str, str]]:
    """Names of parameters and resources that a part of the template refers to, each with where."""
    for path, value in walk(node):
        where = ".".join(map(str, path))
        if not isinstance(value, dict):
            continue
        if isinstance(name := value.get("Ref"), str):
            yield name, where
        if "Fn::GetAtt" in value:
            target = value["Fn::GetAtt"]
            yield (target.split(".")[0] if isinstance(target, str) else target[0]), where
        if isinstance(text := value.get("Fn::Sub"), str):
            yield from ((name.split(".")[0], where) for name in sub(text))


def statements(role: str, without: tuple[str, ...] = ("log", "trace")) -> dict[str, set[str]]:
    """The permissions of a role: the resources of each action."""
    allowed: dict[str, set[str]] = {}
    for policy in RESOURCES[role]["Properties"]["Policies"]:
        policy = policy.get("Fn::If", [None, policy])[1]
        if policy["PolicyName"] in without:
            continue
        for statement in policy["PolicyDocument"]["Statement"]:
            actions, resources = statement["Action"], statement["Resource"]
            for action in actions if isinstance(actions, list) else [actions]:
                for resource in resources if isinstance(resources, list) else [resources]:
                    allowed.setdefault(action, set()).add(_resource(resource))
    return allowed


def _resource(resource: Any) -> str:
    if isinstance(resource, str):
        return resource
    if "Fn::If" in resource:
        return _resource(resource["Fn::If"][1])
    if "Ref" in resource:
        return resource["Ref"]
    if isinstance(resource.get("Fn::Sub"), list):
        return resource["Fn::Sub"][0]
    target = resource.get("Fn::GetAtt")
    return resource["Fn::Sub"] if target is None else ".".join(target if isinstance(target, list) else [target])


class Names(unittest.TestCase):
    def test_nothing_refers_to_what_is_not_there(self) -> None:
        known = {*PARAMETERS, *RESOURCES}
        for section in ("Resources", "Outputs", "Conditions", "Rules"):
            for name, where in references(TEMPLATE[section]):
                self.assertTrue(name in known or name.startswith("AWS::"), f"{section}.{where}: there is no {name}")

    def test_every_condition_is_there_and_used(self) -> None:
        used = set()
        for _, node in walk(TEMPLATE):
            if isinstance(node, dict):
                used |= {node["Fn::If"][0]} if "Fn::If" in node else set()
                used |= {node["Condition"]} if isinstance(node.get("Condition"), str) else set()
        self.assertEqual(used, set(TEMPLATE["Conditions"]))

    def test_every_parameter_is_used_grouped_and_described(self) -> None:
        used = {name for section in ("Resources", "Globals", "Conditions") for name, _ in references(TEMPLATE[section])}
        groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        self.assertEqual(sorted(name for group in groups for name in group["Parameters"]), sorted(PARAMETERS))
        for name, parameter in PARAMETERS.items():
            self.assertIn(name, used)
            self.assertTrue(parameter["Description"].endswith("."), name)
            checks = ("AllowedPattern", "AllowedValues", "MinValue")
            self.assertTrue(any(check in parameter for check in checks), f"{name} takes anything")

    def test_defaults_are_allowed_and_control_characters_are_not(self) -> None:
        for name, parameter in PARAMETERS.items():
            if pattern := parameter.get("AllowedPattern"):
                self.assertTrue(pattern.startswith("^") and pattern.endswith("$"), name)
                if "Default" in parameter:
                    self.assertRegex(parameter["Default"], pattern, name)
                self.assertIsNone(re.fullmatch(pattern, "x\ny"), name)


class Environment(unittest.TestCase):
    def test_the_code_is_understood(self) -> None:
        for function, required in (("serve", {"CACHE_BUCKET"}), ("refresh", {"CACHE_BUCKET", "OCI_REGISTRY"})):
            self.assertEqual({name for name, how in read_by(function).items() if how == "required"}, required)
            self.assertIn("LISTEN_ADDR", read_by(function))

    def test_what_is_set_is_read_and_the_rest_is_left_on_purpose(self) -> None:
        self.assertIn('"RUST_LOG"', code("shared/src/logging.rs"))
        for function in ("serve", "refresh"):
            wanted = {*read_by(function), "RUST_LOG"} - NOT_DEPLOYED
            named = {f"{name}_ARN" if name in SECRETS else name for name in wanted if not name.endswith(("_ARN", "_FILE"))}
            own = {"REFRESH_FUNCTION"} if function == "refresh" else set()
            self.assertEqual(set(set_for(function)), named | own, function)
        self.assertIn('"REFRESH_FUNCTION"', code("functions/refresh/src/handover.rs"))

    def test_what_is_required_always_has_a_value(self) -> None:
        for function in ("serve", "refresh"):
            for name, how in read_by(function).items():
                if how == "required":
                    value = set_for(function)[name]
                    if "Fn::If" in value:
                        condition, default, given = value["Fn::If"]
                        self.assertEqual(TEMPLATE["Conditions"][condition], {"Fn::Equals": [given, ""]}, name)
                        self.assertIn("Fn::Sub", default, "an empty parameter has a value of its own")
                    else:
                        self.assertTrue(value["Ref"] in RESOURCES or "Default" not in PARAMETERS[value["Ref"]], name)

    def test_secrets_are_read_at_run_time_and_are_no_values(self) -> None:
        sounding = {name for name in DECLARED if re.search(r"(SECRET|TOKEN|PASSWORD|KEY|CREDENTIALS)$", name)}
        self.assertEqual(sounding - SECRETS, {"ECR_KMS_KEY"}, "the name of a key is no secret")
        self.assertFalse(SECRETS & set(set_for("refresh")), "a value would be in GetFunctionConfiguration")
        self.assertFalse([name for name in set_for("serve") if name.endswith("_ARN")], "serve needs no secret")
        self.assertNotIn("{{resolve:", code("template.yaml"))
        allowed = statements("RefreshRole")
        named = {set_for("refresh")[f"{name}_ARN"]["Ref"] for name in SECRETS}
        self.assertEqual(allowed["secretsmanager:GetSecretValue"], named)
        self.assertEqual(allowed["ssm:GetParameter"], named)

    def test_every_level_of_the_log_reaches_it(self) -> None:
        for function in ("Serve", "Refresh", "Webhooks"):
            config = RESOURCES[function]["Properties"]["LoggingConfig"]
            self.assertEqual((config["LogFormat"], config["ApplicationLogLevel"]), ("JSON", "TRACE"), "RUST_LOG decides")


class Triggers(unittest.TestCase):
    def test_routes_lead_where_the_router_of_development_leads(self) -> None:
        manifest = tomllib.loads(code("Cargo.toml"))
        router = manifest["workspace"]["metadata"]["lambda"]["watch"]["router"]
        expected = {f"POST {path}": function for path, function in router.items() if function == "refresh"}
        # The same program, as a function of its own.
        expected["POST /webhooks/{host}"] = {"refresh": "webhooks"}[expected["POST /webhooks/{host}"]]
        expected["$default"] = router["/{*any}"]
        integrations = {
            name: properties["IntegrationUri"]["Fn::GetAtt"][0].lower()
            for name, properties in of_type("AWS::ApiGatewayV2::Integration").items()
        }
        routes = {
            properties["RouteKey"]: integrations[sub(properties["Target"]["Fn::Sub"]).pop()]
            for properties in of_type("AWS::ApiGatewayV2::Route").values()
        }
        self.assertEqual(routes, expected)

    def test_the_gateway_may_call_what_its_routes_lead_to(self) -> None:
        allowed = {
            (properties["SourceArn"]["Fn::Sub"].split("/*/")[1], properties["FunctionName"]["Ref"].lower())
            for properties in of_type("AWS::Lambda::Permission").values()
            if properties["Principal"] == "apigateway.amazonaws.com"
        }
        self.assertEqual(allowed, {("$default", "serve"), ("POST/refresh", "refresh"), ("POST/webhooks/*", "webhooks")})

    def test_webhook_is_queued_while_every_refresh_is_busy(self) -> None:
        webhooks, refresh = (RESOURCES[name]["Properties"] for name in ("Webhooks", "Refresh"))
        self.assertNotIn("ReservedConcurrentExecutions", webhooks, "refreshes that run would refuse webhooks")
        self.assertIn("ReservedConcurrentExecutions", refresh)
        self.assertEqual(webhooks["CodeUri"], refresh["CodeUri"])
        self.assertEqual(webhooks["Environment"], refresh["Environment"])
        self.assertEqual(set_for("webhooks")["REFRESH_FUNCTION"], refresh["FunctionName"])
        (invoked,) = statements("WebhooksRole")["lambda:InvokeFunction"]
        self.assertTrue(invoked.endswith(f":function:{refresh['FunctionName']['Fn::Sub']}"))
        self.assertGreaterEqual(refresh["EventInvokeConfig"]["MaximumEventAgeInSeconds"], 300, "longer than a refresh")

    def test_the_stage_has_no_prefix(self) -> None:
        (stage,) = of_type("AWS::ApiGatewayV2::Stage").values()
        self.assertEqual(stage["StageName"], "$default")
        keys = {properties["RouteKey"] for properties in of_type("AWS::ApiGatewayV2::Route").values()}
        self.assertLessEqual(set(stage["RouteSettings"]), keys)

    def test_schedules_are_well_formed_and_their_action_is_known(self) -> None:
        one, many = r"1 (minute|hour|day)", r"([2-9]|[1-9]\d+) (minutes|hours|days)"
        (rule,) = of_type("AWS::Events::Rule").values()
        self.assertRegex(rule["ScheduleExpression"], rf"^rate\(({one}|{many})\)$")
        source = "".join(path.read_text() for path in (ROOT / "functions/refresh/src").rglob("*.rs"))
        actions = re.search(r"pub enum Action \{(.*?)\n\}", source, re.DOTALL)
        known = {name.lower() for name in re.findall(r"^    ([A-Z]\w+)", actions.group(1), re.MULTILINE)}
        (target,) = rule["Targets"]
        self.assertEqual(target["Arn"]["Fn::GetAtt"], ["Refresh", "Arn"])
        action = json.loads(target["Input"])["action"]
        self.assertIn(action, known)
        self.assertEqual(action, "schedule", "reconcile reads the whole registry each time")
        (permission,) = [
            properties
            for properties in of_type("AWS::Lambda::Permission").values()
            if properties["Principal"] == "events.amazonaws.com"
        ]
        self.assertEqual(permission["SourceArn"]["Fn::GetAtt"], ["Schedule", "Arn"])

    def test_asynchronous_work_is_tried_again_and_kept(self) -> None:
        config = RESOURCES["Refresh"]["Properties"]["EventInvokeConfig"]
        self.assertGreater(config["MaximumRetryAttempts"], 0)
        self.assertEqual(config["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"], ["FailedRefreshes", "Arn"])


class Roles(unittest.TestCase):
    BUCKET = "CacheBucket.Arn"

    def test_serve_reads_and_writes_starter_projects_only(self) -> None:
        self.assertEqual(
            statements("ServeRole"),
            {
                "s3:GetObject": {f"${{{self.BUCKET}}}/*"},
                "s3:ListBucket": {self.BUCKET},
                "s3:PutObject": {f"${{{self.BUCKET}}}/starter-projects/*"},
            },
        )

    def test_refresh_writes_the_rest_and_can_call_only_itself(self) -> None:
        parts = {f"${{{self.BUCKET}}}/{part}" for part in ("releases/*", "blobs/*", "previews/*")}
        own_name = RESOURCES["Refresh"]["Properties"]["FunctionName"]["Fn::Sub"]
        written = parts | {f"${{{self.BUCKET}}}/{name}.json" for name in ("index", "last-refresh", "pending", "progress")}
        function = f"arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{own_name}"
        self.assertEqual(
            {
                "s3:GetObject": written,
                "s3:PutObject": written,
                "s3:DeleteObject": parts,
                "s3:ListBucket": {self.BUCKET},
                "lambda:InvokeFunction": {function},
                "sqs:SendMessage": {"FailedRefreshes.Arn"},
                "kms:Decrypt": {"arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*"},
                **{f"kms:{action}": {"EcrKmsKeyArn"} for action in ("CreateGrant", "DescribeKey", "RetireGrant")},
            },
            {
                action: resources
                for action, resources in statements("RefreshRole").items()
                if not action.startswith(("ecr:", "secretsmanager:", "ssm:"))
            },
        )

    def test_refresh_pushes_below_its_prefix_of_ecr_and_removes_nothing(self) -> None:
        allowed = {
            action: resources for action, resources in statements("RefreshRole").items() if action.startswith("ecr:")
        }
        self.assertEqual(allowed.pop("ecr:GetAuthorizationToken"), {"*"})
        below = {
            "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/${AWS::StackName}/*",
            "arn:${AWS::Partition}:ecr:${Region}:${Account}:repository${Path}/*",
        }
        for action, resources in allowed.items():
            self.assertEqual(resources, below, action)
            self.assertNotRegex(action, "Delete|Policy|Lifecycle", "the record is kept")
        self.assertLessEqual({"ecr:PutImage", "ecr:BatchGetImage", "ecr:CreateRepository"}, set(allowed))
        _, default, _ = set_for("refresh")["OCI_REGISTRY"]["Fn::If"]
        self.assertTrue(default["Fn::Sub"].endswith("/${AWS::StackName}"), "the prefix that the role allows")

    def test_keys_open_secrets_alone(self) -> None:
        (statement,) = [
            statement
            for policy in RESOURCES["RefreshRole"]["Properties"]["Policies"]
            for statement in policy.get("PolicyDocument", {}).get("Statement", [])
            if statement["Action"] == "kms:Decrypt"
        ]
        services = statement["Condition"]["StringEquals"]["kms:ViaService"]
        self.assertEqual([_resource(one).partition(".")[0] for one in services], ["secretsmanager", "ssm"])

    def test_webhooks_read_secrets_and_hand_over_and_nothing_else(self) -> None:
        actions = {"secretsmanager:GetSecretValue", "ssm:GetParameter", "kms:Decrypt", "lambda:InvokeFunction"}
        self.assertEqual(set(statements("WebhooksRole")), actions)
        read = statements("WebhooksRole")["secretsmanager:GetSecretValue"]
        self.assertEqual(read, {"WebhookSecret", "GitHubTokenSecretArn", "GitHubAppKeySecretArn"})

    def test_the_keys_of_the_code_are_what_refresh_may_write(self) -> None:
        source = code("shared/src/cache/mod.rs")
        texts = re.findall(r'(?:_KEY: &str = |format!\()"([^"{]+)', source)
        keys = {f"{text}x" if text.endswith("/") else text for text in texts if "/" in text or text.endswith(".json")}
        self.assertLessEqual({"index.json", "releases/x", "blobs/sha256/x"}, keys)
        allowed = [resource.partition("/")[2] for resource in statements("RefreshRole")["s3:PutObject"]]
        for key in keys:
            self.assertTrue(any(fnmatch.fnmatch(key, pattern) for pattern in allowed), key)

    def test_nothing_is_allowed_on_everything_but_tracing(self) -> None:
        for role in of_type("AWS::IAM::Role"):
            for action, resources in statements(role, without=()).items():
                self.assertNotIn("*", action)
                general = action.startswith("xray:") or action == "ecr:GetAuthorizationToken"
                self.assertTrue("*" not in resources or general, action)

    def test_each_function_has_its_own_role_and_log(self) -> None:
        for name in ("Serve", "Refresh", "Webhooks"):
            properties = RESOURCES[name]["Properties"]
            self.assertEqual(properties["Role"]["Fn::GetAtt"], [f"{name}Role", "Arn"])
            self.assertEqual(properties["LoggingConfig"]["LogGroup"]["Ref"], f"{name}Log")
            self.assertEqual(statements(f"{name}Role", ("trace",))["logs:PutLogEvents"], {f"{name}Log.Arn"})
            self.assertIn("RetentionInDays", RESOURCES[f"{name}Log"]["Properties"])

    def test_binaries_are_those_of_the_workspace(self) -> None:
        for name in ("Serve", "Refresh", "Webhooks"):
            metadata = RESOURCES[name]["Metadata"]
            binary = metadata["BuildProperties"]["Binary"]
            self.assertEqual(metadata["BuildMethod"], "rust-cargolambda")
            folder = RESOURCES[name]["Properties"]["CodeUri"]
            self.assertIn(f'name = "{binary}"', code(f"{folder}/Cargo.toml"), "built from its own folder, it is built alone")


class Bucket(unittest.TestCase):
    def test_it_is_private_encrypted_versioned_and_kept(self) -> None:
        bucket = RESOURCES["CacheBucket"]
        kept = (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"])
        self.assertEqual(kept, ("RetainExceptOnCreate", "Retain"), "a failed creation leaves no bucket")
        self.assertTrue(all(bucket["Properties"]["PublicAccessBlockConfiguration"].values()))
        self.assertIn("BucketEncryption", bucket["Properties"])
        self.assertEqual(bucket["Properties"]["VersioningConfiguration"], {"Status": "Enabled"})

    def test_pages_of_any_origin_may_follow_redirects_to_it(self) -> None:
        (rule,) = RESOURCES["CacheBucket"]["Properties"]["CorsConfiguration"]["CorsRules"]
        self.assertEqual((rule["AllowedOrigins"], rule["AllowedMethods"]), (["*"], ["GET", "HEAD"]))
        exposed = re.search(r'(?s)const EXPOSED: &str = "(.*?)";', code("functions/serve/src/router.rs")).group(1)
        by_serve = {name.strip(" \\\n") for name in exposed.split(",")}
        # The others are of answers that serve gives itself.
        of_objects = {"etag", "content-length", "content-range", "accept-ranges", "content-disposition"}
        self.assertLessEqual(of_objects, by_serve)
        self.assertEqual({name.lower() for name in rule["ExposedHeaders"]}, of_objects)

    def test_nothing_is_written_to_it_before_the_creation_can_only_succeed(self) -> None:
        self.assertEqual(RESOURCES["Schedule"]["DependsOn"], ["Distribution", "ApiStage", "Dashboard"])

    def test_it_speaks_tls_only(self) -> None:
        (policy,) = of_type("AWS::S3::BucketPolicy").values()
        (statement,) = policy["PolicyDocument"]["Statement"]
        self.assertEqual((statement["Effect"], statement["Action"]), ("Deny", "s3:*"))
        self.assertEqual(statement["Condition"], {"Bool": {"aws:SecureTransport": "false"}})
        self.assertEqual({_resource(part) for part in statement["Resource"]}, {"CacheBucket.Arn", "${CacheBucket.Arn}/*"})

    def test_no_rule_expires_what_may_be_live(self) -> None:
        for rule in RESOURCES["CacheBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]:
            if "ExpirationInDays" in rule or "ExpirationDate" in rule:
                self.assertEqual(rule["Prefix"], "starter-projects/")
                days = re.search(r"KEPT_STARTER_SECONDS: i64 = (\d+) \* 24 \* 3600;", code("shared/src/limits.rs"))
                self.assertEqual(rule["ExpirationInDays"], int(days.group(1)), "as in a folder")


class Edge(unittest.TestCase):
    def setUp(self) -> None:
        config = RESOURCES["Distribution"]["Properties"]["DistributionConfig"]
        self.behaviours = [config["DefaultCacheBehavior"], *config["CacheBehaviors"]]
        self.config = config

    def test_every_method_passes(self) -> None:
        for behaviour in self.behaviours:
            self.assertEqual(len(behaviour["AllowedMethods"]), 7)
            self.assertEqual(behaviour["TargetOriginId"], self.config["Origins"][0]["Id"])

    def test_triggers_are_not_cached_and_everything_else_by_what_it_varies_by(self) -> None:
        triggers = [b for b in self.behaviours if b.get("PathPattern") in ("/refresh", "/webhooks/*")]
        self.assertEqual(len(triggers), 2)
        for behaviour in self.behaviours:
            policy = behaviour["CachePolicyId"]
            self.assertEqual(behaviour in triggers, isinstance(policy, str))
            if behaviour not in triggers:
                config = RESOURCES[policy["Ref"]]["Properties"]["CachePolicyConfig"]
                key = config["ParametersInCacheKeyAndForwardedToOrigin"]
                self.assertEqual(key["HeadersConfig"]["Headers"], ["Accept"], "serve varies by no other header")
                self.assertEqual(key["QueryStringsConfig"], {"QueryStringBehavior": "all"})
                self.assertTrue(key["EnableAcceptEncodingGzip"] and key["EnableAcceptEncodingBrotli"])
                self.assertEqual((config["MinTTL"], config["DefaultTTL"]), (0, 0), "serve decides")

    def test_only_what_a_digest_names_is_kept_long(self) -> None:
        long = [b["PathPattern"] for b in self.behaviours if b["CachePolicyId"] == {"Ref": "ImmutablePolicy"}]
        matches = lambda path: any(fnmatch.fnmatchcase(path, pattern) for pattern in long)  # noqa: E731
        self.assertTrue(matches("/v2/devfile-catalog/go/blobs/sha256:0a"))
        self.assertTrue(matches("/v2/devfile-catalog/go/manifests/sha256:0a"))
        self.assertTrue(matches("/viewer/assets/style-0a.css"))
        for path in ("/v2/devfile-catalog/go/manifests/1.0.0", "/v2index/all", "/devfiles/go", "/viewer", "/viewer/devfiles/x/go"):
            self.assertFalse(matches(path), path)

    def test_errors_are_kept_as_long_as_serve_says(self) -> None:
        kept = {error["ErrorCode"]: error["ErrorCachingMinTTL"] for error in self.config["CustomErrorResponses"]}
        self.assertEqual(set(kept.values()), {0})
        self.assertLessEqual({400, 404, 405, 500, 502, 503, 504}, set(kept))


class Alarms(unittest.TestCase):
    def setUp(self) -> None:
        self.alarms = of_type("AWS::CloudWatch::Alarm")
        self.runbook = code("docs/operators/operate.md")

    def test_each_is_sent_shown_and_has_a_page(self) -> None:
        dashboard = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        json.loads(re.sub(r"\$\{[^}]+\}", "x", dashboard))
        for name, alarm in self.alarms.items():
            self.assertEqual(alarm["AlarmActions"], [{"Ref": "AlarmTopic"}], name)
            self.assertEqual(alarm["OKActions"], [{"Ref": "AlarmTopic"}], name)
            self.assertIn("${%s.Arn}" % name, dashboard)
            self.assertRegex(self.runbook, rf"(?m)^### {name}$", "the runbook says what to do")

    def test_own_metrics_are_those_of_the_contract(self) -> None:
        contract = dict(re.findall(r"^\| `([A-Z]\w+)` \| ([^|]*?) \|", self.runbook, re.MULTILINE))
        own = [
            (node["MetricName"], [dimension["Name"] for dimension in node.get("Dimensions", [])])
            for _, node in walk(list(self.alarms.values()))
            if isinstance(node, dict) and node.get("Namespace") == "DevfileRegistry"
        ]
        self.assertGreaterEqual(len(own), 3)
        for metric, dimensions in own:
            self.assertEqual(contract.get(metric), ", ".join(f"`{name}`" for name in dimensions) or "none", metric)
