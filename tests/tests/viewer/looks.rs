//! The appearance of pages: pictures of each to look at, no side-ways scrolling, no objection of axe-core.

use std::path::{Path, PathBuf};

use registry_tests::browser::{Appearance, Browser};

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

pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests are in a folder").to_owned()
}

/// Whether pictures that are kept are taken anew: `UPDATE_PICTURES` is set.
pub(crate) fn are_taken_anew() -> bool {
    std::env::var_os("UPDATE_PICTURES").is_some()
}

/// Keeps a picture for the README. Taken anew, it takes the place of the one in the documentation.
fn readme_picture(name: &str, picture: &[u8]) {
    assert!(picture.len() < 150_000, "{name} is too large for a README: {} bytes", picture.len());
    std::fs::write(project().join(format!("target/screenshots/readme-{name}.png")), picture)
        .expect("the picture is kept");
    if are_taken_anew() {
        let folder = project().join("docs/images");
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("the picture is kept");
    }
}

#[tokio::test]
async fn every_page_in_every_look() {
    let registry = market::published().await;
    let serve = registry.serve().await;
    let browser = Browser::start().await;
    let folder = project().join("target/screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    let mut wrong = Vec::new();
    for (page, path) in PAGES {
        browser.open(&format!("{}{path}", serve.url)).await;
        for (look, look_name) in Appearance::ALL {
            browser.show_as(look).await;
            let whole = browser.whole_picture().await;
            std::fs::write(folder.join(format!("{page}-{look_name}.png")), whole).unwrap();
            let wide = browser.script("return document.documentElement.scrollWidth - innerWidth").await;
            if wide.as_i64().unwrap() > 0 {
                wrong.push(format!("{page} {look_name}: scrolls side-ways by {wide}"));
            }
            let problems = browser.accessibility_problems().await;
            wrong.extend(problems.into_iter().map(|problem| format!("{page} {look_name}: {problem}")));
        }
    }
    for (name, path, look) in
        [("list-light", PAGES[0].1, Appearance::Light), ("detail-dark", PAGES[1].1, Appearance::Dark)]
    {
        browser.show_as(look).await;
        browser.open(&format!("{}{path}", serve.url)).await;
        readme_picture(name, &browser.picture().await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
