//! A registry to look at: invented stacks and samples of many kinds, each with a logo.

use registry_tests::registry::TestRegistry;

/// Name, description, language, provider, tags, architectures.
type Stack = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const STACKS: [Stack; 22] = [
    ("anvil", "Forges command line tools that start at once", "Rust", "Smiths", &["CLI", "Musl"], &["amd64", "arm64"]),
    ("basket", "A small web shop with a cart and a till", "TypeScript", "Weavers", &["Web", "Shop", "Node.js"], &[]),
    (
        "bellows",
        "Streams events between services under pressure",
        "Java",
        "Smiths",
        &["Kafka", "Quarkus", "Maven"],
        &[],
    ),
    ("candle", "Serves static pages from memory", "Go", "Lantern", &["Web", "Static"], &["amd64", "arm64", "s390x"]),
    ("chisel", "Carves large data sets into small tables", "Python", "Masons", &["Data", "Pandas", "Pip"], &[]),
    ("compass", "Geometry and maps for the browser", "TypeScript", "Masons", &["Web", "Maps"], &[]),
    ("distaff", "Spins background jobs from queues", "Python", "Weavers", &["Queue", "Celery"], &["amd64"]),
    ("fulling", "An old way to finish cloth in batches", "Perl", "Weavers", &["Batch", "Deprecated"], &[]),
    ("gauge", "Measures services and draws what it finds", "Go", "Lantern", &["Metrics", "gRPC"], &["amd64", "arm64"]),
    ("hammer", "A REST service with a database behind it", "Java", "Smiths", &["Spring Boot", "Maven", "REST"], &[]),
    ("inkwell", "Writes documents from templates", "Ruby", "Scribes", &["Rails", "PDF"], &[]),
    ("jig", "Keeps machine tools in step with a model", "C++", "Smiths", &["CMake", "Realtime"], &["arm64"]),
    ("lathe", "Turns functions into containers", "Go", "Masons", &["Serverless", "Knative"], &["amd64", "arm64"]),
    ("mortar", "Joins services with a typed gateway", "Kotlin", "Masons", &["GraphQL", "Gradle"], &[]),
    ("needle", "Finds words in very large texts", "Rust", "Scribes", &["Search", "WASM"], &["amd64", "arm64"]),
    ("palette", "A design system with a live catalogue", "JavaScript", "Lantern", &["React", "Web"], &[]),
    ("quill", "Markdown in, books out", "Elixir", "Scribes", &["Phoenix", "Markdown"], &[]),
    ("rasp", "Smooths rough APIs for old clients", "PHP", "Weavers", &["Laravel", "REST"], &[]),
    (
        "spindle",
        "Notebooks that run where the data is",
        "Python",
        "Weavers",
        &["Jupyter", "Data"],
        &["amd64", "ppc64le"],
    ),
    ("trowel", "Lays out infrastructure, layer by layer", "TypeScript", "Masons", &["Terraform", "Kubernetes"], &[]),
    ("vise", "Holds releases tight until their tests pass", "Shell", "Smiths", &["CI", "OpenShift"], &[]),
    ("weir", "Holds back floods of requests", "Rust", "Lantern", &["Gateway", "Limits"], &["amd64", "arm64"]),
];

/// A stack with a parent in the same registry.
const SHUTTLE: &str = "schemaVersion: 2.2.2\nmetadata:\n  name: shuttle\n  version: 1.0.0\n  displayName: Shuttle\n  \
                       description: Carries the thread of a candle\n  language: Go\n  projectType: Shuttle\n\
                       parent:\n  id: candle\n  version: 1.0.0\n";

/// Something of all that a README may have.
const README: &str = "# Kiln\n\nBakes *pages*; see the [image](docker/Dockerfile).\n\n## Use\n\n1. Write\n2. Bake\n\n\
                      ```sh\nodo dev --a-long-option-that-does-not-fit-on-a-phone=yes --and-another-one\n```\n\n\
                      | part | for |\n|---|--:|\n| pages | readers |\n\n> Serve warm.\n\n![The logo](logo.svg)\n";

/// A registry with all of them beside the example's entries.
pub(crate) async fn registry() -> TestRegistry {
    let registry = TestRegistry::of(&TestRegistry::example()).await.with("REGISTRY_NAME", "Guild Registry");
    for (number, stack) in STACKS.iter().enumerate() {
        let folder = format!("stacks/{}", stack.0);
        registry.write(&format!("{folder}/devfile.yaml"), devfile(stack, "1.0.0"));
        registry.write(&format!("{folder}/logo.svg"), logo(number));
    }
    registry.write("stacks/kiln/1.0.0/logo.svg", logo(40));
    registry.write("stacks/kiln/1.1.0/logo.svg", logo(41));
    let dates: Vec<_> = STACKS.iter().enumerate().map(|(number, stack)| date(stack.0, "1.0.0", number)).collect();
    let text = std::fs::read_to_string(registry.repository.path().join("last_modified.json")).expect("it is there");
    let mut document: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    document["stacks"].as_array_mut().expect("it is a list").extend(dates);
    registry.write("last_modified.json", document.to_string());
    registry
}

/// The same, published: with a parent, a README and a quarantined stack.
pub(crate) async fn published() -> TestRegistry {
    let registry = registry().await;
    registry.write("stacks/shuttle/devfile.yaml", SHUTTLE);
    registry.write("stacks/kiln/1.1.0/README.md", README);
    registry.refresh().await.expect("the registry is published");
    registry.write("stacks/fulling/devfile.yaml", "schemaVersion: 2.2.2\nmetadata:\n  name: [fulling\n");
    registry.refresh().await.expect("the registry is published without one stack");
    registry
}

fn date(name: &str, version: &str, number: usize) -> serde_json::Value {
    let moment = format!("2025-{:02}-{:02}T10:00:00Z", 1 + number % 12, 1 + number * 7 % 28);
    serde_json::json!({"name": name, "version": version, "lastModified": moment})
}

/// The devfile of a stack.
pub(crate) fn devfile((name, about, language, provider, tags, architectures): &Stack, version: &str) -> String {
    let list = |values: &[&str]| values.iter().map(|value| format!("    - {value}\n")).collect::<String>();
    let architectures =
        if architectures.is_empty() { String::new() } else { format!("  architectures:\n{}", list(architectures)) };
    let title = name[..1].to_uppercase() + &name[1..];
    format!(
        "schemaVersion: 2.2.2\nmetadata:\n  name: {name}\n  version: {version}\n  displayName: {title}\n  description: {about}\n  \
         language: {language}\n  projectType: {title}\n  provider: {provider}\n{architectures}  tags:\n    - {language}\n{}\
         components:\n  - name: tools\n    container:\n      image: quay.io/example/{name}:latest\n      memoryLimit: 1Gi\n\
         commands:\n  - id: build\n    exec:\n      component: tools\n      commandLine: make\n      group:\n        kind: build\n        \
         isDefault: true\n",
        list(tags)
    )
}

/// A shape in a colour, no two alike.
fn logo(number: usize) -> String {
    let hue = number * 47 % 360;
    let shape = match number % 4 {
        0 => "<circle cx='32' cy='32' r='24'/><circle cx='32' cy='32' r='10' fill='#fff'/>".to_owned(),
        1 => "<path d='M32 6l24 44H8z'/><path d='M32 26l10 18H22z' fill='#fff'/>".to_owned(),
        2 => "<rect x='10' y='10' width='44' height='44' rx='10'/><path d='M22 32h20M32 22v20' stroke='#fff' stroke-width='6'/>".to_owned(),
        _ => "<path d='M32 6l22 13v26L32 58 10 45V19z'/><circle cx='32' cy='32' r='9' fill='#fff'/>".to_owned(),
    };
    format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 64 64' fill='hsl({hue} 60% 42%)'>{shape}</svg>\n")
}
