//! Sources that are fetched again, sources that are not, and the answers for both.

use crate::fixture::{Files, Project, download, get, git_starter, noise, published, registry};

const CLAY: &str = "/devfiles/loom/starter-projects/clay";

#[tokio::test]
async fn project_is_packed_once_for_concurrent_requests_and_instances() {
    let project = Project::new("clay").await;
    let registry = registry(&git_starter("clay", &project.remote(), "", "")).await;
    let serve = published(&registry).await;
    project.host.take_requests();
    let all = futures_util::future::join_all((0..8).map(|_| get(&serve, "clay"))).await;
    assert!(all.iter().all(|answer| answer.status == 202 && answer.body == all[0].body));
    let asked = project.host.take_requests();
    let (refs, command) = ("GET /example/registry/info/refs", "POST /example/registry/git-upload-pack");
    assert_eq!(asked, [command, refs, command], "one for the branch, two for the pack");

    // Another instance finds the zip in the bucket, and looks whether it is current.
    let other = registry.serve().await;
    assert_eq!(get(&other, "clay").await.body, all[0].body);
    let asked = project.host.take_requests();
    assert_eq!(asked, [command]);

    // A third one, after a push, serves the new state.
    project.write("README.md", "new clay");
    project.commit();
    assert_eq!(download(&registry.serve().await, "clay").await, project.files("main", ""));
    assert_eq!(get(&serve, "clay").await.body, all[0].body, "a check counts for five minutes");
}

#[tokio::test]
async fn requests_can_be_conditional_and_partial() {
    let project = Project::new("clay").await;
    let registry = registry(&git_starter("clay", &project.remote(), "", "")).await;
    let serve = published(&registry).await;
    let whole = get(&serve, "clay").await;
    let etag = whole.header("etag");
    assert!(etag.starts_with('"'), "{etag}");
    assert_eq!(whole.header("cache-control"), "public, max-age=60");
    let head = serve.ask("HEAD", CLAY, &[]).await;
    assert_eq!((head.status, head.body.len()), (202, 0));
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
    assert_eq!((head.header("etag"), head.header("content-type")), (etag, "application/zip"));
    let known = serve.ask("GET", CLAY, &[("if-none-match", etag)]).await;
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, etag));
    let part = serve.ask("GET", CLAY, &[("range", "bytes=2-5")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[2..=5]));
    assert_eq!(part.header("content-range"), format!("bytes 2-5/{}", whole.body.len()));
    let beyond = serve.ask("GET", CLAY, &[("range", "bytes=9999999-")]).await;
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, format!("bytes */{}", whole.body.len()).as_str())
    );
    let preflight = serve.ask("OPTIONS", CLAY, &[]).await;
    assert_eq!(preflight.status, 204);
}

#[tokio::test]
async fn large_projects_are_given_by_the_bucket() {
    let project = Project::new("clay").await;
    project.write("noise", &noise(7 << 20));
    project.commit();
    let registry = registry(&git_starter("clay", &project.remote(), "", "")).await;
    let serve = published(&registry).await;
    let answer = get(&serve, "clay").await;
    assert_eq!((answer.status, answer.body.len()), (307, 0));
    let there = registry_tests::http::get(answer.header("location")).await.unwrap();
    assert_eq!(there.status().as_u16(), 200);
    let name = there.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert_eq!(name, "attachment; filename=\"clay.zip\"");
    let zip = there.bytes().await.unwrap();
    assert!(zip.len() > 4 << 20);
    assert_eq!(Files::unzipped(&zip), project.files("main", ""));
    assert_eq!(serve.ask("HEAD", CLAY, &[]).await.header("content-length"), zip.len().to_string());

    let sending = registry.with("REDIRECT_BLOBS", "false").serve().await;
    let sent = get(&sending, "clay").await;
    assert_eq!((sent.status, sent.body.len()), (202, zip.len()));
    assert!(sent.body == zip);
    let part = sending.ask("GET", CLAY, &[("range", "bytes=-10")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &zip[zip.len() - 10..]));
}

#[tokio::test]
async fn a_zip_that_is_gone_is_made_again() {
    let project = Project::new("clay").await;
    let registry = registry(&git_starter("clay", &project.remote(), "", "")).await;
    let first = get(&published(&registry).await, "clay").await;
    assert_eq!(first.status, 202);
    let keys = registry.keys("starter-projects/").await;
    assert_eq!(keys.iter().filter(|key| key.ends_with(".zip")).count(), 1, "{keys:?}");
    // An instance that knows of the zip and has not read it.
    let serve = registry.serve().await;
    assert_eq!(serve.ask("HEAD", CLAY, &[]).await.status, 202);
    registry.remove(&keys).await;
    assert_eq!(get(&serve, "clay").await.body, first.body);
}
