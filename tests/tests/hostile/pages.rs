//! Pages of the viewer, and answers to strangers.

use devfile_registry::limits::{LOG_LINE_BYTES, PAGE_BYTES, PATH_BYTES};
use futures_util::future::join_all;
use registry_tests::raw;
use registry_tests::registry::{Serving, TestRegistry};

async fn example() -> (TestRegistry, Serving) {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.expect("it is published");
    let serve = registry.serve().await;
    (registry, serve)
}

/// The name of the registry in paths of the viewer.
async fn slug(serve: &Serving) -> String {
    serve.json("/status").await["name"].as_str().unwrap().to_lowercase().replace(' ', "-")
}

/// Every facet with a hundred values that no entry has.
fn seven_hundred_values() -> String {
    let facets = ["types", "tags", "languages", "providers", "architectures", "schemaVersions", "deprecated"];
    let values: String = (0..100).map(|number| format!("x{number},")).collect();
    facets.map(|facet| format!("{facet}={values}")).join("&")
}

#[tokio::test]
async fn list_with_700_picked_values_is_a_bounded_page() {
    let (_registry, serve) = example().await;
    let query = seven_hundred_values();
    for path in [format!("/viewer?{query}"), format!("/viewer?search=kiln&sort=modified&{query}")] {
        let answer = serve.ask("GET", &path, &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.len() <= PAGE_BYTES / 4, "{} bytes", answer.body.len());
    }
}

#[tokio::test]
async fn many_large_lists_at_once_leave_the_memory_as_it_was() {
    let (_registry, serve) = example().await;
    let path = format!("/viewer?{}", seven_hundred_values());
    serve.ask("GET", &path, &[]).await;
    let peak = serve.peak_memory();
    let before = peak.so_far();
    join_all((0..24).map(|_| serve.ask("GET", &path, &[]))).await;
    let more = peak.so_far() - before;
    assert!(more < 16 << 20, "{more} bytes more");
    assert_eq!(serve.get("/health").await.0, 200);
}

#[tokio::test]
async fn path_beyond_its_limit_is_414_on_every_route() {
    let (_registry, serve) = example().await;
    let long = "a".repeat(60_000);
    for start in ["/", "/viewer/devfiles/registry/", "/devfiles/", "/v2/", "/stacks/", "/v2index/", "/viewer/icons/"] {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let answer = serve.ask(method, &format!("{start}{long}"), &[]).await;
            assert_eq!(answer.status, 414, "{method} {start}");
        }
    }
    let longest = format!("/{}", "a".repeat(PATH_BYTES - 1));
    assert_eq!(serve.ask("GET", &longest, &[]).await.status, 404);
    let request = format!("GET {longest}a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = raw::ask(&serve.url, request).await;
    assert_eq!(answer.json()["status"], format!("the path is longer than {PATH_BYTES} bytes"));
}

#[tokio::test]
async fn name_that_no_entry_can_have_gets_no_suggestions() {
    let (_registry, serve) = example().await;
    let registry = slug(&serve).await;
    let missing = |name: String| {
        let (serve, registry) = (&serve, &registry);
        async move {
            let answer = serve.ask("GET", &format!("/viewer/devfiles/{registry}/{name}"), &[]).await;
            (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
        }
    };
    let (status, shown) = missing("kilm".into()).await;
    assert!(status == 404 && shown.contains("Names like it"), "{shown}");
    for name in [format!("kiln{}", "a".repeat(8_000)), "kiln%20%3F".into(), "kiln%0A".into()] {
        let (status, shown) = missing(name).await;
        assert!(status == 404 && !shown.contains("Names like it"), "{shown}");
        assert!(shown.len() < 32 << 10, "{} bytes", shown.len());
    }
}

/// A devfile of 529 kB, none of whose lines is in one of another seed.
fn large_devfile(version: &str, seed: usize) -> String {
    let head = format!(
        "schemaVersion: 2.2.2\nmetadata:\n  name: press\n  displayName: Press\n  description: Prints\n  language: C\n  \
         projectType: Press\n  provider: Printers\n  tags: [Print]\n  icon: https://icons.example/a.svg\n  version: {version}\n"
    );
    let lines = (0..66_000).map(|number| format!("# {seed}{number:05}\n"));
    head + &lines.collect::<String>()
}

#[tokio::test]
async fn pages_of_large_devfiles_are_bounded_and_say_that_they_are_cut() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.write(
        "stacks/press/stack.yaml",
        "name: press\ndisplayName: Press\nicon: https://icons.example/a.svg\nversions:\n  - version: 1.0.0\n  - version: 2.0.0\n    default: true\n",
    );
    for (version, seed) in [("1.0.0", 1), ("2.0.0", 2)] {
        registry.write(&format!("stacks/press/{version}/devfile.yaml"), large_devfile(version, seed));
    }
    let report = registry.refresh().await.expect("it is published");
    assert_eq!(report["quarantined"], serde_json::json!([]), "{report}");
    let serve = registry.serve().await;
    let slug = slug(&serve).await;
    for (path, cut) in [
        (format!("/viewer/devfiles/{slug}/press/compare?from=1.0.0&to=2.0.0"), "is cut here"),
        (format!("/viewer/devfiles/{slug}/press/devfile"), "are not shown here"),
    ] {
        let answer = serve.ask("GET", &path, &[]).await;
        let shown = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{path}");
        assert!(shown.len() <= PAGE_BYTES, "{path}: {} bytes", shown.len());
        assert!(shown.contains(cut) && shown.contains("href=\"/devfiles/press/2.0.0\""), "{path}");
    }
}

#[tokio::test]
async fn log_line_of_a_path_is_cut_and_escaped() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let mut refresh = registry.refreshing().await;
    // The 64th byte is inside of a character.
    let long = format!("/{}{}", "a".repeat(62), "é".repeat(30_000));
    let request = [b"GET ".to_vec(), long.into_bytes(), b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec()];
    raw::ask(&refresh.url, request.concat()).await;
    let line = refresh.logs("refused").await;
    assert!(line.len() < LOG_LINE_BYTES && line.contains("more bytes"), "{} bytes: {line}", line.len());
    let odd = "/a\u{202e}b\u{2028}c\u{85}d";
    let request = [b"GET ".to_vec(), odd.into(), b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec()];
    raw::ask(&refresh.url, request.concat()).await;
    let line = refresh.logs("refused").await;
    assert!(line.contains("202e") && line.contains("2028") && line.is_ascii(), "{line}");
}
