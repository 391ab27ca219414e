//! Hosts that fail, lie and attack.

use registry_tests::answer::Answer;
use registry_tests::github::{Access, Fault};
use registry_tests::proxy::{Fuse, Proxy};
use registry_tests::registry::TestRegistry;

use crate::fixture::{Project, download, get, git_starter, published, registry};

/// Status, and the cause that the client is told.
fn status_and_reason(answer: &Answer) -> (u16, String) {
    let document = answer.json();
    assert_eq!(document["status"], "the starter project `clay` cannot be fetched");
    (answer.status, document["error"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn every_step_that_fails_is_named() {
    let project = Project::new("clay").await;
    let (refs, command) = ("*/info/refs", "*/git-upload-pack");
    let html = Fault::Body("<html>sign in</html>".into());
    let cases = [
        (refs, Fault::Status { status: 503 }, 502, "status 503"),
        (refs, Fault::Hang, 504, "in time"),
        (refs, html.clone(), 502, "version 2 of the Git protocol"),
        (command, Fault::Status { status: 500 }, 502, "status 500"),
        (command, Fault::CutOff, 502, ""),
        (command, html.clone(), 502, "version 2 of the Git protocol"),
        (refs, Fault::Malformed, 502, "version 2 of the Git protocol"),
        (command, Fault::Malformed, 502, "version 2 of the Git protocol"),
    ];
    for (path, fault, status, cause) in cases {
        let registry = registry(&git_starter("clay", &project.remote(), "", "")).await;
        let serve = published(&registry).await;
        let what = format!("{path} {fault:?}");
        project.host.faults().add(path, fault, 2);
        let (served, reason) = status_and_reason(&get(&serve, "clay").await);
        assert_eq!(served, status, "{what}: {reason}");
        assert!(reason.starts_with("127.0.0.1") && reason.contains(cause), "{what}: {reason}");
        project.host.faults().clear();
        project.host.take_requests();
        assert_eq!(status_and_reason(&get(&serve, "clay").await), (served, reason), "{what}: at once");
        assert_eq!(project.host.take_requests(), Vec::<String>::new(), "{what}: a host that fails is left alone");
        assert_eq!(download(&registry.serve().await, "clay").await, project.files("main", ""), "{what}: afterwards");
    }
}

#[tokio::test]
async fn revision_or_folder_that_a_remote_lacks_is_named() {
    let project = Project::new("clay").await;
    let cases = [
        ("none", "", "no branch or tag `none`"),
        ("0123456789abcdef0123456789abcdef01234567", "", "does not have the commit"),
        ("main", "nowhere", "no folder `nowhere`"),
        ("main", "README.md", "no folder `README.md`"),
    ];
    for (revision, folder, cause) in cases {
        let registry = registry(&git_starter("clay", &project.remote(), revision, folder)).await;
        let (status, reason) = status_and_reason(&get(&published(&registry).await, "clay").await);
        assert_eq!(status, 502, "{reason}");
        assert!(reason.contains(cause), "{revision} {folder}: {reason}");
    }
    std::os::unix::fs::symlink("/etc/passwd", project.path().join("app/link")).unwrap();
    project.commit();
    let registry = registry(&git_starter("clay", &project.remote(), "main", "")).await;
    let (status, reason) = status_and_reason(&get(&published(&registry).await, "clay").await);
    assert_eq!((status, reason.contains("app/link is a link")), (502, true), "{reason}");
}

#[tokio::test]
async fn the_last_good_zip_outlives_its_host() {
    let project = Project::new("clay").await;
    let registry = registry(&git_starter("clay", &project.remote(), "main", "")).await;
    let fresh = get(&published(&registry).await, "clay").await;
    assert_eq!((fresh.status, fresh.headers.get("devfile-registry-stale")), (202, None));
    project.host.faults().add("*/git-upload-pack", Fault::Status { status: 500 }, usize::MAX);
    let serve = registry.serve().await;
    let stale = get(&serve, "clay").await;
    assert_eq!((stale.status, &stale.body), (202, &fresh.body));
    assert!(stale.header("devfile-registry-stale").parse::<u64>().is_ok_and(|seconds| seconds < 600));
    project.host.faults().clear();
    // After the branch is deleted, its last state is still served.
    project.git(&["branch", "--move", "main", "trunk"]);
    let gone = get(&registry.serve().await, "clay").await;
    assert_eq!((gone.status, &gone.body), (202, &fresh.body));
    assert!(gone.headers.contains_key("devfile-registry-stale"));
}

#[tokio::test]
async fn remote_at_a_private_address_is_not_reached() {
    let project = Project::new("clay").await;
    let starter = git_starter("clay", &project.remote(), "main", "");
    for remote in ["https://169.254.169.254/a/b", "https://10.0.0.1/a/b", "https://me:secret@github.com/a/b"] {
        let registry = registry(&git_starter("clay", remote, "", "")).await;
        let (status, reason) = status_and_reason(&get(&published(&registry).await, "clay").await);
        assert!(status == 502 && reason.contains("not allowed") && !reason.contains("secret"), "{remote}: {reason}");
    }
    project.host.take_requests();
    let strict: TestRegistry = registry(&starter).await.with("FETCH_ALLOW_LOOPBACK", "false");
    let (status, reason) = status_and_reason(&get(&published(&strict).await, "clay").await);
    assert!(status == 502 && reason.contains("not allowed"), "{reason}");
    assert_eq!(project.host.take_requests(), Vec::<String>::new(), "nothing was asked");

    // A private repository asks for credentials, and the registry has none for it.
    project.host.set_access(Access::Private { token: "of nobody".into() });
    let (status, reason) = status_and_reason(&get(&published(&registry(&starter).await).await, "clay").await);
    assert!(status == 502 && reason.contains("status 401"), "{reason}");
}

/// Memory stays bounded while a large archive is packed anew.
#[tokio::test]
async fn memory_does_not_grow_with_a_project() {
    let project = Project::new("clay").await;
    for number in 0..6 {
        let line = format!("{number} and some text that packs well\n");
        project.write(&format!("large/{number}"), &line.repeat((14 << 20) / line.len()));
    }
    project.commit();
    // The host sends the pack that it has. Its search for deltas would take seconds of the time that a download has.
    project.git(&["repack", "-a", "-d", "--quiet", "--window=1"]);
    let registry = registry(&git_starter("clay", &project.remote(), "", "")).await;
    let serve = published(&registry).await;
    let peak = serve.peak_memory();
    let before = peak.so_far();
    let answer = get(&serve, "clay").await;
    assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
    let grown = peak.so_far() - before;
    assert!(grown < 64 << 20, "{} MiB", grown >> 20);
}

/// Every call to the bucket that fails is told as such, leaves nothing wrong behind, and only `starter-projects/` is written to.
#[tokio::test]
async fn a_bucket_that_fails_loses_nothing() {
    let project = Project::new("clay").await;
    let endpoint =
        std::env::var("TEST_S3_ENDPOINT").expect("TEST_S3_ENDPOINT is not set; run the tests with scripts/test");
    let s3 = Proxy::start(&endpoint, Fuse::default()).await;
    let registry = registry(&git_starter("clay", &project.remote(), "", "")).await;
    registry.refresh().await.unwrap();
    let below = format!("/{}/starter-projects/", registry.name);
    let registry = registry.with("AWS_ENDPOINT_URL_S3", &format!("http://{}", s3.address()));
    let serve = registry.serve().await;
    for step in ["GET {}*.json", "HEAD {}*.zip", "PUT {}*.zip", "PUT {}*.json", "GET {}*.zip"] {
        let path = step.replace("{}", &below);
        s3.faults().add(&path, Fault::Status { status: 403 }, usize::MAX);
        let (status, reason) = status_and_reason(&get(&serve, "clay").await);
        assert_eq!((status, reason.contains("the store of this registry")), (502, true), "{step}: {reason}");
        s3.faults().clear();
    }
    assert_eq!(download(&serve, "clay").await, project.files("main", ""));
    let requests = s3.take_requests();
    let writes: Vec<_> =
        requests.iter().filter(|request| !request.starts_with("GET ") && !request.starts_with("HEAD ")).collect();
    assert!(
        writes.len() >= 2 && writes.iter().all(|request| request.starts_with(&format!("PUT {below}"))),
        "{writes:?}"
    );
}
