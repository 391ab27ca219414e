//! Components: names, volumes, environment, quantities, endpoints, annotations, URIs and images.

use std::collections::HashMap;

use super::elements::{Element, FlatDevfile, duplicates, where_is};
use crate::validate::findings::Findings;
use crate::validate::quantity::Quantity;
use crate::validate::uri;
use crate::yaml::{Data, FilePosition, Node};

/// Variables that the client sets in every container.
const RESERVED_ENV: [&str; 2] = ["PROJECT_SOURCE", "PROJECTS_ROOT"];

const QUANTITY_HINT: &str = "write a number with a unit, such as 512Mi, 2Gi, 500m or 1.5";

pub(super) fn check(devfile: &FlatDevfile<'_>, findings: &mut Findings) {
    let components = &devfile.components;
    duplicates(components.iter().map(|component| (component.name, component.name_at)), |name, at, first| {
        let message = format!("the component `{name}` is already there, {}", where_is(first, at));
        findings.error(at, "component/duplicate", message, "rename one of them; names are unique over all kinds");
    });
    for component in components {
        match component.kind {
            Some(("container", container)) => check_container(devfile, component, container, findings),
            Some(("kubernetes" | "openshift", cluster)) => check_uri(cluster, findings),
            Some(("volume", volume)) => {
                quantity(volume, "size", "volume/size", findings);
            }
            Some(("image", image)) => check_image(component, image, findings),
            _ => {}
        }
    }
    check_endpoints(components, findings);
    check_annotations(components, findings);
}

fn check_container(devfile: &FlatDevfile<'_>, component: &Element<'_>, container: &Node, findings: &mut Findings) {
    let volumes = || devfile.components.iter().filter(|component| component.of("volume").is_some());
    for mount in container.items_of("volumeMounts").iter().filter_map(|mount| mount.get("name")) {
        let name = mount.text().unwrap_or_default();
        let known = devfile.component(name).is_some_and(|other| other.kind.is_none() || other.of("volume").is_some());
        if !known && devfile.complete {
            let message = format!("there is no volume component `{name}`");
            let hint = match findings.nearest(name, volumes().map(|volume| volume.name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add a component `{name}` with `volume: {{}}`"),
            };
            findings.error(mount.file_position(), "component/volumeMount", message, hint);
        }
    }
    for name in container.items_of("env").iter().filter_map(|env| env.get("name")) {
        if let Some(reserved) = name.text().filter(|name| RESERVED_ENV.contains(name)) {
            let message = format!("`{reserved}` is set by the client and cannot be set in a container");
            findings.error(name.at, "component/reservedEnv", message, "choose another name");
        }
    }
    if container.text_of("image").is_some_and(|image| image.trim().is_empty()) {
        let message = format!("the image of `{}` is empty", component.name);
        let at = container.get("image").map_or(container.key_at, Node::file_position);
        findings.warning(at, "component/image", message, "name an image");
    }
    for (limit_key, request_key) in [("memoryLimit", "memoryRequest"), ("cpuLimit", "cpuRequest")] {
        let limit = quantity(container, limit_key, "quantity/bad", findings);
        let request = quantity(container, request_key, "quantity/bad", findings);
        if let (Some((limit, _)), Some((request, at))) = (limit, request)
            && !limit.is_zero()
            && request > limit
        {
            let message = format!("{request_key} is greater than {limit_key}");
            findings.error(at, "quantity/requestOverLimit", message, "ask for at most the limit");
        }
    }
}

/// Reads and checks a quantity; an empty one counts as none.
fn quantity(node: &Node, key: &str, rule: &str, findings: &mut Findings) -> Option<(Quantity, FilePosition)> {
    let value = node.get(key)?;
    let text = value.text().filter(|text| !text.is_empty())?;
    let quantity = Quantity::parse(text);
    if quantity.is_none() {
        let hint = if text.contains("{{") && key.starts_with("cpu") {
            format!("variables are not replaced in {key}; write the value itself")
        } else {
            QUANTITY_HINT.to_owned()
        };
        findings.error(value.at, rule, format!("`{text}` is not a quantity"), hint);
    } else if text.starts_with('-') {
        findings.warning(value.at, "quantity/negative", format!("{key} is negative"), QUANTITY_HINT);
    }
    Some((quantity?, value.at))
}

fn check_uri(cluster: &Node, findings: &mut Findings) {
    let Some(value) = cluster.get("uri") else { return };
    let text = value.text().unwrap_or_default();
    if let Some(problem) = uri::problem(text) {
        let hint = "write a path relative to the devfile, or a whole web address";
        findings.error(value.file_position(), "uri/format", format!("`{text}` is not a URI: {problem}"), hint);
    }
}

fn check_image(component: &Element<'_>, image: &Node, findings: &mut Findings) {
    let Some(git) = image.at_path(&["dockerfile", "git"]) else { return };
    let what = format!("the image `{}`", component.name);
    super::projects::exactly_one_remote(git, &what, "image/remotes", findings);
}

/// Endpoint names are unique in a devfile, and two containers do not share a port.
fn check_endpoints(components: &[Element<'_>], findings: &mut Findings) {
    let kinds = ["container", "kubernetes", "openshift"];
    let endpoints = || {
        components.iter().enumerate().flat_map(move |(index, component)| {
            let body = component.kind.filter(|(kind, _)| kinds.contains(kind));
            let endpoints = body.map_or(&[][..], |(_, body)| body.items_of("endpoints"));
            endpoints.iter().map(move |endpoint| (index, component, endpoint))
        })
    };
    let names = endpoints().filter_map(|(_, _, endpoint)| {
        let name = endpoint.get("name")?;
        Some((name.text()?, name.at))
    });
    duplicates(names, |name, at, first| {
        let message = format!("the endpoint `{name}` is already there, {}", where_is(first, at));
        findings.error(at, "endpoint/name", message, "rename one of them; names are unique in a devfile");
    });

    let mut owners: HashMap<i64, (usize, &str)> = HashMap::new();
    for (index, component, endpoint) in endpoints() {
        let Some(Node { data: Data::Number(number), at, .. }) = endpoint.get("targetPort") else { continue };
        let Some(port) = number.as_i64() else { continue };
        if !(1..=65535).contains(&port) {
            let message = format!("no program can listen on port {port}");
            findings.warning(*at, "endpoint/portRange", message, "ports go from 1 to 65535");
        }
        if component.of("container").is_none() {
            continue;
        }
        let (owner, name) = *owners.entry(port).or_insert((index, component.name));
        if owner != index {
            let message = format!("port {port} belongs to the container `{name}` already");
            findings.error(*at, "endpoint/port", message, "containers share one pod; give each its own ports");
        }
    }
}

/// Containers of one pod have to agree on the values of annotations.
fn check_annotations(components: &[Element<'_>], findings: &mut Findings) {
    for kind in ["deployment", "service"] {
        let mut first: HashMap<&str, (&Data, FilePosition)> = HashMap::new();
        let shared = components.iter().filter_map(|component| component.of("container"));
        for container in shared.filter(|container| !container.is_true("dedicatedPod")) {
            let annotations = container.at_path(&["annotation", kind]).map_or(&[][..], Node::entries);
            for (key, value) in annotations {
                let (data, at) = *first.entry(key).or_insert((&value.data, value.at));
                if let (Data::Text(one), Data::Text(other)) = (data, &value.data)
                    && one != other
                {
                    let first_position = where_is(at, value.at);
                    let message = format!("the {kind} annotation `{key}` has another value {first_position}");
                    let hint = "use one value, or give the container a pod of its own (dedicatedPod: true)";
                    findings.error(value.at, "annotation/conflict", message, hint);
                }
            }
        }
    }
}
