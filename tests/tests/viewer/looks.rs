//! How pages look: pictures of each to look at, no side-ways scrolling, nothing that axe-core objects to.

use std::path::{Path, PathBuf};

use registry_tests::browser::{Browser, Look};

use crate::market;

/// Pages with the names of their pictures.
const PAGES: [(&str, &str); 6] = [
    ("list", "/viewer"),
    ("detail", "/viewer/devfiles/guild-registry/kiln"),
    ("compare", "/viewer/devfiles/guild-registry/kiln/compare?from=1.0.0&to=1.1.0"),
    ("status", "/viewer/status"),
    ("nothing", "/viewer?search=kiln&tags=Queue"),
    ("missing", "/viewer/devfiles/guild-registry/kilm"),
];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[tokio::test]
async fn every_page_in_every_look() {
    let registry = market::registry().await;
    registry.refresh().await.unwrap();
    // A version that is held back, for the status.
    registry.write("stacks/fulling/devfile.yaml", "schemaVersion: 2.2.2\nmetadata:\n  name: [fulling\n");
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    let browser = Browser::start().await;
    let folder = project().join("target/screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    for (page, path) in PAGES {
        browser.open(&format!("{}{path}", serve.url)).await;
        for (look, look_name) in Look::ALL {
            browser.look(look).await;
            let whole = browser.picture(true).await;
            std::fs::write(folder.join(format!("{page}-{look_name}.png")), whole).unwrap();
            let wide = browser.script("return document.documentElement.scrollWidth - innerWidth").await;
            assert!(wide.as_i64().unwrap() <= 0, "{page} {look_name} scrolls side-ways by {wide}");
            let problems = browser.accessibility_problems().await;
            assert!(problems.is_empty(), "{page} {look_name}:\n{}", problems.join("\n"));
        }
    }
}
