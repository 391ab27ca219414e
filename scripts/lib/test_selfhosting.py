"""Tests of the deployments outside AWS: the image, the compose files, the Kubernetes manifests and the units of systemd.

That the manifests are valid Kubernetes is checked by `checks`; here, that they fit the functions.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
import unittest
from pathlib import Path
from typing import Any, Iterator

import yaml

from .test_template import DECLARED, ROOT, SECRETS, code, read_by

FOR_TESTS = {name for name, text in DECLARED.items() if "for tests and development alone" in text}
"""Settings that no operator sets."""

NOT_OURS = re.compile(r"^(AWS_[A-Z0-9_]+|RUST_LOG)$")
"""Variables that libraries read."""

SERVERS = {name for name, text in DECLARED.items() if name.startswith(("CACHE_", "ECR_", "OCI_")) or "always with `STORE`" in text}
"""Settings of the servers that STORE takes the place of."""

VERSION = tomllib.loads(code("Cargo.toml"))["workspace"]["package"]["version"]


def manifests(folder: str = "kubernetes") -> list[dict[str, Any]]:
    paths = sorted((ROOT / "deploy" / folder).glob("*.yaml"))
    return [document for path in paths for document in yaml.safe_load_all(path.read_text())]


def pods(folder: str = "kubernetes") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every pod with the kind and name of its owner."""
    for document in manifests(folder):
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            yield document["kind"], document["metadata"]["name"], spec["template"]


def known_to(function: str, name: str) -> bool:
    return name.removesuffix("_FILE") in read_by(function) or bool(NOT_OURS.match(name))


class Kubernetes(unittest.TestCase):
    def test_there_are_the_three_that_run(self) -> None:
        self.assertEqual(
            {(kind, name.rpartition("-")[2]) for kind, name, _ in pods()},
            {("Deployment", "serve"), ("Deployment", "refresh"), ("CronJob", "reconcile")},
        )

    def test_no_container_has_more_rights_or_memory_than_it_needs(self) -> None:
        for _, name, pod in [*pods(), *pods("kubernetes-store")]:
            spec = pod["spec"]
            self.assertIs(spec["automountServiceAccountToken"], False, name)
            self.assertIs(spec["securityContext"]["runAsNonRoot"], True, name)
            self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"}, name)
            for container in spec["containers"]:
                own = container["securityContext"]
                self.assertEqual((own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"]), (False, True), name)
                self.assertEqual(own["capabilities"], {"drop": ["ALL"]}, name)
                self.assertIn("memory", container["resources"]["limits"], name)
                self.assertIn("/tmp", [mount["mountPath"] for mount in container["volumeMounts"]], name)

    def test_what_listens_is_probed_where_it_listens(self) -> None:
        for kind, name, pod in pods():
            for container in pod["spec"]["containers"]:
                if kind != "Deployment":
                    self.assertNotIn("ports", container)
                    continue
                (port,) = container["ports"]
                address = self.config()["LISTEN_ADDR"]
                self.assertEqual(address, f"0.0.0.0:{port['containerPort']}")
                for probe in ("readinessProbe", "livenessProbe"):
                    way = container[probe]["httpGet"]
                    self.assertEqual(way["port"], port["name"], name)
                    function = container["command"][0]
                    source = "".join(file.read_text() for file in (ROOT / "functions" / function / "src").rglob("*.rs"))
                    self.assertRegex(source, rf'"/?{way["path"][1:]}"', f"a route of {function}")

    def config(self) -> dict[str, str]:
        (config,) = [document for document in manifests() if document["kind"] == "ConfigMap"]
        return config["data"]

    def test_variables_are_known_and_come_from_what_is_there(self) -> None:
        for _, name, pod in pods():
            (container,) = pod["spec"]["containers"]
            function = container["command"][0]
            self.assertNotIn("env", container)
            self.assertEqual(
                container["envFrom"],
                [
                    {"configMapRef": {"name": "devfile-registry"}},
                    {"secretRef": {"name": f"devfile-registry-{function}"}},
                ],
            )
            required = {variable for variable, how in read_by(function).items() if how == "required"}
            self.assertLessEqual(required, set(self.config()), name)
        for variable in self.config():
            self.assertTrue(known_to("serve", variable) or known_to("refresh", variable), variable)
            self.assertNotRegex(variable, "SECRET|TOKEN|PASSWORD|CREDENTIALS|_KEY")

    def test_selectors_and_backends_find_something(self) -> None:
        labels = [pod["metadata"]["labels"] for _, _, pod in pods()]
        services = {}
        for document in manifests():
            if document["kind"] == "Service":
                services[document["metadata"]["name"]] = document["spec"]["selector"]
            selector = document.get("spec", {}).get("selector")
            if selector is not None:
                wanted = selector.get("matchLabels", selector)
                self.assertEqual(sum(wanted.items() <= found.items() for found in labels), 1, document["metadata"])
        (ingress,) = [document for document in manifests() if document["kind"] == "Ingress"]
        routes = {
            path["path"]: path["backend"]["service"]["name"].rpartition("-")[2]
            for rule in ingress["spec"]["rules"]
            for path in rule["http"]["paths"]
        }
        self.assertEqual(routes, {"/refresh": "refresh", "/webhooks/": "refresh", "/": "serve"})
        self.assertEqual(set(services), {"devfile-registry-serve", "devfile-registry-refresh"})

    def test_the_schedule_is_the_one_of_the_template(self) -> None:
        (job,) = [document["spec"] for document in manifests() if document["kind"] == "CronJob"]
        self.assertEqual((job["schedule"], job["concurrencyPolicy"]), ("*/5 * * * *", "Forbid"))
        command = job["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["command"]
        self.assertEqual(command[:2], ["refresh", "invoke"])
        self.assertEqual(json.loads(command[2]), {"action": "schedule"})


def run_settings() -> set[str]:
    """The settings of `devfile-registry run` with STORE."""
    read = {*read_by("serve"), *read_by("refresh"), *read_by("run")}
    return {one for one in read if not one.endswith(("_ARN", "_FILE"))} - FOR_TESTS - SERVERS


class KubernetesStore(unittest.TestCase):
    """The variant in one pod."""

    def test_one_process_runs_everything_on_one_volume(self) -> None:
        [(kind, _, pod)] = pods("kubernetes-store")
        [deployment] = [document for document in manifests("kubernetes-store") if document["kind"] == kind]
        self.assertEqual((deployment["spec"]["replicas"], deployment["spec"]["strategy"]), (1, {"type": "Recreate"}))
        [container] = pod["spec"]["containers"]
        self.assertEqual(container["command"], ["devfile-registry", "run"])
        config = self.config()
        claims = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["spec"]["volumes"] if "persistentVolumeClaim" in volume}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        [claim] = [document for document in manifests("kubernetes-store") if document["kind"] == "PersistentVolumeClaim"]
        self.assertEqual(claims[mounts[config["STORE"]]], claim["metadata"]["name"])
        self.assertEqual(pod["spec"]["securityContext"]["fsGroup"], pod["spec"]["securityContext"]["runAsGroup"])

    def test_variables_are_known_and_come_from_what_is_there(self) -> None:
        [(_, _, pod)] = pods("kubernetes-store")
        sources = [{"configMapRef": {"name": "devfile-registry"}}, {"secretRef": {"name": "devfile-registry"}}]
        self.assertEqual(pod["spec"]["containers"][0]["envFrom"], sources)
        for variable in self.config():
            self.assertTrue(variable in run_settings() or NOT_OURS.match(variable), variable)
            self.assertNotRegex(variable, "SECRET|TOKEN|PASSWORD|CREDENTIALS|_KEY")

    def test_what_listens_is_probed_and_found(self) -> None:
        [(_, _, pod)] = pods("kubernetes-store")
        [container] = pod["spec"]["containers"]
        [port] = container["ports"]
        self.assertEqual(self.config()["LISTEN_ADDR"], f"0.0.0.0:{port['containerPort']}")
        paths = {probe: container[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")}
        self.assertEqual(paths, {"readinessProbe": "/health", "livenessProbe": "/status"})
        [service] = [document for document in manifests("kubernetes-store") if document["kind"] == "Service"]
        self.assertLessEqual(service["spec"]["selector"].items(), pod["metadata"]["labels"].items())
        [ingress] = [document for document in manifests("kubernetes-store") if document["kind"] == "Ingress"]
        [path] = ingress["spec"]["rules"][0]["http"]["paths"]
        self.assertEqual((path["path"], path["backend"]["service"]["name"]), ("/", service["metadata"]["name"]))

    def config(self) -> dict[str, str]:
        [config] = [document for document in manifests("kubernetes-store") if document["kind"] == "ConfigMap"]
        return config["data"]


class ComposeStore(unittest.TestCase):
    """The variant with one process."""

    [SERVICE] = yaml.safe_load((ROOT / "deploy/compose-store.yaml").read_text())["services"].values()

    def test_every_setting_is_passed_on(self) -> None:
        environment = self.SERVICE["environment"]
        settings = run_settings()
        passed = {variable for variable in environment if not NOT_OURS.match(variable)}
        self.assertEqual(passed, settings | {f"{one}_FILE" for one in settings & SECRETS})
        for variable in passed - {"STORE", "LISTEN_ADDR"}:
            self.assertRegex(environment[variable], rf"^\$\{{{variable}:-[^}}]*\}}$")
        self.assertIn("RUST_LOG", environment)

    def test_it_runs_what_the_image_starts_with_a_volume_and_few_rights(self) -> None:
        self.assertNotIn("command", self.SERVICE)
        self.assertNotIn("healthcheck", self.SERVICE, "that of the image")
        volumes = {volume["target"]: volume for volume in self.SERVICE["volumes"]}
        self.assertEqual(volumes[self.SERVICE["environment"]["STORE"]], {"type": "volume", "source": "data", "target": "/data"})
        for target in ("/registry", "/run/secrets"):
            self.assertEqual((volumes[target]["type"], volumes[target]["read_only"]), ("bind", True))
        self.assertEqual((self.SERVICE["read_only"], self.SERVICE["cap_drop"]), (True, ["ALL"]))
        self.assertEqual(self.SERVICE["ports"], ["127.0.0.1:8080:8080"])
        self.assertEqual(self.SERVICE["image"], f"devfile-registry:{VERSION}")

    def test_no_secret_has_a_value_in_the_file(self) -> None:
        for variable, value in self.SERVICE["environment"].items():
            if re.search("SECRET|TOKEN|PASSWORD|CREDENTIALS|APP_KEY", variable):
                self.assertRegex(value, r"^\$\{[A-Z_]+:-\}$", variable)


class Systemd(unittest.TestCase):
    def unit(self, name: str) -> configparser.ConfigParser:
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str
        unit.read(ROOT / "deploy/systemd" / name)
        return unit

    def test_the_socket_is_that_of_the_program_and_outlives_it(self) -> None:
        socket, service = self.unit("devfile-registry.socket"), self.unit("devfile-registry.service")
        default = re.search(r'default: DefaultValue::Value\("(.+?)"\)', DECLARED["LISTEN_ADDR"]).group(1)
        self.assertEqual(socket["Socket"]["ListenStream"], default)
        self.assertEqual(service["Unit"]["Requires"], "devfile-registry.socket")
        self.assertTrue(service["Service"]["ExecStart"].endswith("/devfile-registry run"))

    def test_backup_stops_all_that_starts_the_service(self) -> None:
        units = " ".join(sorted((path.name for path in (ROOT / "deploy/systemd").iterdir()), reverse=True))
        page = code("docs/operators/operate.md")
        for verb in ("stop", "start"):
            self.assertIn(f"\nsystemctl {verb} {units}\n", page)

    def test_the_store_is_the_folder_that_systemd_makes(self) -> None:
        service = self.unit("devfile-registry.service")["Service"]
        self.assertEqual(service["Environment"], f"STORE=/var/lib/{service['StateDirectory']}")
        self.assertEqual((service["DynamicUser"], service["ProtectSystem"]), ("yes", "strict"))


class Compose(unittest.TestCase):
    SERVICES = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]

    FIXED = {"CACHE_BUCKET", "LISTEN_ADDR"}
    """Settings that follow from the file itself."""

    def test_every_setting_is_passed_on(self) -> None:
        for name, function in (("serve", "serve"), ("refresh", "refresh"), ("reconcile", "refresh")):
            environment = self.SERVICES[name]["environment"]
            settings = {one for one in read_by(function) if not one.endswith(("_ARN", "_FILE"))} - FOR_TESTS - {"STORE"}
            files = {f"{one}_FILE" for one in settings & SECRETS}
            passed = {variable for variable in environment if not NOT_OURS.match(variable)}
            self.assertEqual(passed, settings | files, name)
            for variable in passed - self.FIXED:
                self.assertRegex(environment[variable], rf"^\$\{{{variable}:-[^}}]*\}}$", name)
            self.assertIn("RUST_LOG", environment)

    def test_folders_may_have_relative_paths(self) -> None:
        for name in ("refresh", "reconcile"):
            for volume in self.SERVICES[name]["volumes"]:
                self.assertEqual((volume["type"], volume["read_only"]), ("bind", True), "a name in the short form is a volume")
        default = re.search(r":-(.+)\}", self.SERVICES["refresh"]["volumes"][0]["source"]).group(1)
        self.assertTrue((ROOT / "deploy" / default / "stacks").is_dir())

    def test_health_checks_are_understood_by_podman_4(self) -> None:
        for name, service in self.SERVICES.items():
            check = service.get("healthcheck", {"test": ["NONE"]})
            self.assertEqual(set(check) & {"disable"}, set(), name)
            self.assertIn(check["test"][0], ("NONE", "CMD-SHELL"), name)
            self.assertLessEqual(len(check["test"]), 2, name)

    def test_the_schedule_is_the_one_of_the_template(self) -> None:
        (script,) = self.SERVICES["reconcile"]["command"][2:]
        self.assertIn('if refresh invoke "{\\"action\\":\\"schedule\\"}"; then sleep 300;', script)

    def test_images_of_others_are_pinned_by_digest(self) -> None:
        images = {service["image"] for service in self.SERVICES.values()}
        self.assertEqual(len(images), 3)
        for image in images - {f"devfile-registry:{VERSION}"}:
            self.assertRegex(image, r"^docker\.io/[\w/]+:[\w.]+@sha256:[0-9a-f]{64}$")

    def test_no_secret_has_a_value_in_the_file(self) -> None:
        for name, service in self.SERVICES.items():
            for variable, value in service.get("environment", {}).items():
                if re.search("SECRET|TOKEN|PASSWORD|CREDENTIALS|APP_KEY", variable):
                    self.assertRegex(value, r"^\$\{[A-Z_]+(:\?.+|:-)\}$", f"{name}: {variable}")

    def test_it_listens_on_loopback_only_and_the_functions_have_few_rights(self) -> None:
        for name, service in self.SERVICES.items():
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), name)
            if name in ("serve", "refresh", "reconcile"):
                self.assertEqual((service["read_only"], service["cap_drop"]), (True, ["ALL"]), name)

    def test_who_depends_on_a_server_waits_until_it_is_healthy(self) -> None:
        for name, service in self.SERVICES.items():
            for target, how in service.get("depends_on", {}).items():
                self.assertEqual(how, {"condition": "service_healthy"}, name)
                self.assertIn("test", self.SERVICES[target]["healthcheck"])


class Image(unittest.TestCase):
    FILE = code("deploy/Containerfile")

    def test_it_runs_as_nobody_and_is_asked_for_its_health(self) -> None:
        last = self.FILE.rpartition("\nFROM ")[2]
        self.assertRegex(last, r"(?m)^USER [1-9]\d*:[1-9]\d*$")
        self.assertIn("\nHEALTHCHECK ", last)
        json.loads(re.search(r"(?m)^    CMD (\[.*\])$", last).group(1))

    def test_it_starts_a_whole_registry_and_has_a_folder_for_it(self) -> None:
        last = self.FILE.rpartition("\nFROM ")[2]
        user = re.search(r"(?m)^USER (\d+):(\d+)$", last)
        self.assertIn(f"install --directory --owner={user.group(1)} --group={user.group(2)} /data\n", last)
        self.assertTrue(last.endswith('CMD ["devfile-registry", "run"]\n'))

    def test_podman_builds_it_in_the_format_that_has_health_checks(self) -> None:
        pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *(ROOT / "deploy").rglob("*")]
        commands = [line for page in pages if page.is_file() for line in page.read_text().splitlines() if "podman build" in line]
        self.assertGreaterEqual(len(commands), 3)
        for command in commands:
            self.assertIn("podman build --format docker ", command)
        self.assertIn("BUILDAH_FORMAT=docker", code("deploy/compose.yaml"))
        self.assertIn("BUILDAH_FORMAT=docker", code("docs/operators/self-host.md"))

    def test_it_holds_the_binaries_and_is_built_by_the_toolchain_of_the_workspace(self) -> None:
        rust = tomllib.loads(code("Cargo.toml"))["workspace"]["package"]["rust-version"]
        self.assertIn(f"rust:{rust}-", self.FILE)
        for package, binary in (("serve", "serve"), ("refresh", "refresh"), ("devfile-registry", "index-generator"), ("cli", "devfile-registry")):
            self.assertIn(f" -p {package}", self.FILE)
            self.assertIn(f"/build/target/release/{binary} ", self.FILE)

    def test_what_it_is_built_from_is_pinned_by_digest(self) -> None:
        bases = re.findall(r"(?m)^FROM (\S+)", self.FILE)
        self.assertEqual(len(bases), 2)
        for base in bases:
            self.assertRegex(base, r"^docker\.io/library/[a-z]+:[\w.-]+@sha256:[0-9a-f]{64}$")

    def test_its_tag_is_the_version_everywhere(self) -> None:
        texts = [path.read_text() for path in (ROOT / "deploy").rglob("*") if path.is_file()]
        tags = {tag for text in texts for tag in re.findall(r"devfile-registry:(\d[\w.]*)", text)}
        self.assertEqual(tags, {VERSION})


class Workflows(unittest.TestCase):
    PATHS = sorted((ROOT / ".github/workflows").glob("*.yml"))

    def test_foreign_actions_are_pinned_by_commit_with_the_version_beside_it(self) -> None:
        count = 0
        for path in self.PATHS:
            for line in path.read_text().splitlines():
                if re.match(r"\s*(- )?uses:", line):
                    count += 1
                    self.assertRegex(line, r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", path.name)
        self.assertGreaterEqual(count, 4)

    def test_workflows_may_read_and_jobs_say_what_more_they_need(self) -> None:
        for path in self.PATHS:
            workflow = yaml.safe_load(path.read_text())
            self.assertEqual(workflow["permissions"], {"contents": "read"}, path.name)
            # YAML reads the key `on` as true.
            self.assertNotIn("pull_request_target", workflow[True])
            for job in workflow["jobs"].values():
                self.assertIn("timeout-minutes", job, path.name)
                for step in job["steps"]:
                    if step.get("uses", "").startswith("actions/checkout@"):
                        self.assertEqual(step["with"], {"persist-credentials": False}, path.name)
                    self.assertNotIn("${{", step.get("run", ""), "text of others becomes no part of a script")
