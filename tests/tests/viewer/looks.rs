//! The appearance of pages: pictures of each to look at, no side-ways scrolling, no objection of axe-core.

use std::path::{Path, PathBuf};

use registry_tests::browser::{Browser, Look};

use crate::market;

/// Pages with the names of their pictures.
const PAGES: [(&str, &str); 12] = [
    ("list", "/viewer"),
    ("detail", "/viewer/devfiles/guild-registry/kiln"),
    ("commands", "/viewer/devfiles/guild-registry/kiln/commands"),
    ("components", "/viewer/devfiles/guild-registry/kiln/components"),
    ("devfile", "/viewer/devfiles/guild-registry/kiln/devfile"),
    ("flattened", "/viewer/devfiles/guild-registry/shuttle/flattened"),
    ("file", "/viewer/devfiles/guild-registry/kiln/files/docker/Dockerfile"),
    ("versions", "/viewer/devfiles/guild-registry/kiln/versions"),
    ("compare", "/viewer/devfiles/guild-registry/kiln/compare?from=1.0.0&to=1.1.0"),
    ("status", "/viewer/status"),
    ("nothing", "/viewer?search=kiln&tags=Queue"),
    ("missing", "/viewer/devfiles/guild-registry/kilm"),
];

/// A stack with a parent in the same registry.
const SHUTTLE: &str = "schemaVersion: 2.2.2\nmetadata:\n  name: shuttle\n  version: 1.0.0\n  displayName: Shuttle\n  \
                       description: Carries the thread of a candle\n  language: Go\n  projectType: Shuttle\n\
                       parent:\n  id: candle\n  version: 1.0.0\n";

/// Something of all that a README may have.
const README: &str = "# Kiln\n\nBakes *pages*; see the [image](docker/Dockerfile).\n\n## Use\n\n1. Write\n2. Bake\n\n\
                      ```sh\nodo dev --a-long-option-that-does-not-fit-on-a-phone=yes --and-another-one\n```\n\n\
                      | part | for |\n|---|--:|\n| pages | readers |\n\n> Serve warm.\n\n![The logo](logo.svg)\n";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests are in a folder").to_owned()
}

/// Keeps a picture for the README. With `UPDATE_PICTURES` set it takes the place of the one in the documentation.
fn readme_picture(name: &str, picture: &[u8]) {
    assert!(picture.len() < 150_000, "{name} is too large for a README: {} bytes", picture.len());
    std::fs::write(project().join(format!("target/screenshots/readme-{name}.png")), picture)
        .expect("the picture is kept");
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        let folder = project().join("docs/images");
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("the picture is kept");
    }
}

#[tokio::test]
async fn every_page_in_every_look() {
    let registry = market::registry().await;
    registry.write("stacks/shuttle/devfile.yaml", SHUTTLE);
    registry.write("stacks/kiln/1.1.0/README.md", README);
    registry.refresh().await.unwrap();
    // A version that is quarantined, for the status.
    registry.write("stacks/fulling/devfile.yaml", "schemaVersion: 2.2.2\nmetadata:\n  name: [fulling\n");
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    let browser = Browser::start().await;
    let folder = project().join("target/screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    let mut wrong = Vec::new();
    for (page, path) in PAGES {
        browser.open(&format!("{}{path}", serve.url)).await;
        for (look, look_name) in Look::ALL {
            browser.look(look).await;
            let whole = browser.picture(true).await;
            std::fs::write(folder.join(format!("{page}-{look_name}.png")), whole).unwrap();
            let wide = browser.script("return document.documentElement.scrollWidth - innerWidth").await;
            if wide.as_i64().unwrap() > 0 {
                wrong.push(format!("{page} {look_name}: scrolls side-ways by {wide}"));
            }
            let problems = browser.accessibility_problems().await;
            wrong.extend(problems.into_iter().map(|problem| format!("{page} {look_name}: {problem}")));
        }
    }
    for (name, path, look) in [("list-light", PAGES[0].1, Look::Light), ("detail-dark", PAGES[1].1, Look::Dark)] {
        browser.look(look).await;
        browser.open(&format!("{}{path}", serve.url)).await;
        readme_picture(name, &browser.picture(false).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
