//! A preview in a browser: its banner, and links that stay in it.

use registry_tests::browser::{Appearance, Browser};
use registry_tests::github::GitHub;
use registry_tests::registry::TestRegistry;
use serde_json::json;

/// Paths of the registry that leave the preview, as an expression of JavaScript. Starter projects have no preview.
const STRAY: &str = "[...document.querySelectorAll('a[href], form[action], img[src]')]
    .map((element) => new URL(element.href || element.action || element.src, location.href))
    .filter((url) => url.origin === location.origin && /^\\/(viewer|devfiles|stacks|index|v2index)\\b/.test(url.pathname))
    .filter((url) => !url.pathname.includes('/starter-projects/'))
    .map((url) => url.pathname).join()";

#[tokio::test]
async fn banner_names_the_proposal_and_links_stay_in_the_preview() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let main = registry.commit();
    let github = GitHub::start_example(registry.repository.path()).await.unwrap();
    let repository = format!("{}/example/registry", github.url());
    let registry = registry.with("REGISTRY_REPO_URL", &repository).with("PREVIEWS", "members");
    registry.refresh().await.unwrap();
    registry.git(&["checkout", "--quiet", "-b", "glaze"]);
    let devfile = "stacks/loom/devfile.yaml";
    let before = std::fs::read_to_string(registry.repository.path().join(devfile)).unwrap();
    registry.write(devfile, format!("{before}# a new glaze\n"));
    let head = registry.commit();
    let page = "https://github.com/example/registry/pull/7";
    let act = json!({
        "action": "preview", "number": 7, "commit_hash": head,
        "title": "<b>Glaze</b> the loom", "author": "potter", "url": page,
    });
    registry.invoke(&act).await.unwrap();
    let (serve, browser) = (registry.serve().await, Browser::start().await);

    browser.open(&format!("{}/previews/7", serve.url)).await;
    browser.until("location.pathname === '/previews/7/viewer'").await;
    let banner = browser.text("aside[data-preview='7']").await;
    let changes = "0 new, 1 changed, 0 removed";
    for part in ["#7", "<b>Glaze</b> the loom", "potter", &head[..7], &main[..7], changes, "stacks/loom"] {
        assert!(banner.contains(part), "{part} in {banner}");
    }
    assert_eq!(browser.find("aside[data-preview] a").await.attr("href").await.unwrap().as_deref(), Some(page));
    assert_eq!(serve.ask("GET", "/previews/7/viewer", &[]).await.header("x-robots-tag"), "noindex, nofollow");
    for appearance in [Appearance::Light, Appearance::Dark, Appearance::Narrow] {
        browser.show_as(appearance).await;
        assert_eq!(browser.accessibility_problems().await, [""; 0], "{appearance:?}");
        browser.until("document.documentElement.scrollWidth <= innerWidth").await;
    }
    assert_eq!(browser.script(&format!("return {STRAY}")).await, "");

    // Results that a script puts on the page stay in the preview as well.
    browser.find("#search").await.send_keys("loom").await.unwrap();
    browser.until("location.search === '?search=loom' && document.querySelectorAll('.card').length === 1").await;
    assert_eq!(browser.script(&format!("return location.pathname + ' ' + {STRAY}")).await, "/previews/7/viewer ");
    browser.click(".card a").await;
    browser.until("location.pathname.startsWith('/previews/7/viewer/devfiles/')").await;
    browser.find("aside[data-preview='7']").await;
    assert_eq!(browser.script(&format!("return {STRAY}")).await, "");

    browser.open(&format!("{}/viewer", serve.url)).await;
    assert_eq!(browser.script("return document.querySelectorAll('[data-preview]').length").await, 0);
}
