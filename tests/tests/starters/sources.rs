//! The sources of files: hosts, revisions, folders, zips.

use crate::fixture::{Files, Project, download, git_starter, published, registry, set_starters};

/// The files are those that Git checks out, for every kind of revision.
#[tokio::test]
async fn revision_and_folder_give_the_files_that_git_checks_out() {
    let project = Project::new("one").await;
    let first = project.git(&["rev-parse", "HEAD"]).trim().to_owned();
    project.write("README.md", "two");
    project.write("docs/über uns.md", "umlauts and spaces");
    project.git(&["checkout", "--quiet", "-b", "feature/blue"]);
    project.commit();
    project.git(&["checkout", "--quiet", "main"]);
    project.write("app/src/lib.rs", &"// a long file\n".repeat(20_000));
    project.commit();
    let revisions = [
        ("default", "", "main"),
        ("branch", "feature/blue", "feature/blue"),
        ("tag", "v1", "v1"),
        ("commit", &first, &first),
        ("capitals", &first.to_uppercase(), &first),
    ];
    let mut starters = String::new();
    for (name, revision, _) in revisions {
        starters += &git_starter(name, &project.remote(), revision, "");
        starters += &git_starter(&format!("{name}-app"), &format!("{}.git", project.remote()), revision, "/app");
    }
    let registry = registry(&starters).await;
    let serve = published(&registry).await;
    for (name, _, checked_out) in revisions {
        assert_eq!(download(&serve, name).await, project.files(checked_out, ""), "{name}");
        let app = download(&serve, &format!("{name}-app")).await;
        assert_eq!(app, project.files(checked_out, "app"), "{name}");
        assert!(app.0["build.sh"].0 && !app.0["src/main.rs"].0, "the owner may run the script");
    }
}

#[tokio::test]
async fn zip_of_the_registry_or_of_another_host_is_served() {
    let project = Project::new("zipped").await;
    let zip = |arguments: &[&str]| {
        let file = project.path().join("out.zip");
        let out = format!("--output={}", file.display());
        project.git(&[&["archive", "--format=zip", &out], arguments].concat());
        std::fs::read(file).unwrap()
    };
    let commit = project.git(&["rev-parse", "HEAD"]);
    let upstream = format!("{}/-/archive/{}/x.zip", project.remote(), commit.trim());
    let starters = format!(
        "  - name: here\n    zip: {{location: loom-offline.zip}}\n  - name: here-app\n    subDir: app\n    zip: {{location: \
         loom-offline.zip}}\n  - name: there\n    zip: {{location: '{upstream}'}}\n  - name: there-app\n    subDir: app\n    \
         zip: {{location: '{upstream}'}}\n"
    );
    let registry = registry(&starters).await;
    registry.write("stacks/loom/loom-offline.zip", zip(&["HEAD"]));
    let serve = published(&registry).await;
    assert_eq!(download(&serve, "here").await, project.files("main", ""));
    assert_eq!(download(&serve, "here-app").await, project.files("main", "app"));
    let there = download(&serve, "there").await;
    let top = format!("registry-{}/README.md", commit.trim());
    assert!(there.names().contains(&top.as_str()), "a zip keeps its layout: {there:?}");
    assert_eq!(download(&serve, "there-app").await, project.files("main", "app"));

    // A new file under the old name is another project.
    registry.write("stacks/loom/loom-offline.zip", zip(&["--prefix=new/", "HEAD"]));
    registry.refresh().await.unwrap();
    serve.until_serves(&registry).await;
    assert!(download(&serve, "here").await.names().contains(&"new/README.md"));
}

#[tokio::test]
async fn missing_project_or_source_has_its_status_and_reason() {
    let starters = "  - name: nothing\n    zip: {}\n  - name: ssh\n    git: {remotes: {origin: 'ssh://git@example.com/a/b.git'}}\n  \
                    - name: lost\n    zip: {location: lost.zip}\n";
    let registry = registry(starters).await;
    let serve = published(&registry).await;
    let status = async |path: &str| {
        let answer = serve.ask("GET", path, &[]).await;
        let document = answer.json();
        assert!(document["status"].is_string(), "{path}: {document}");
        assert!(!answer.headers.contains_key("content-disposition"), "{path}");
        answer.status
    };
    for (path, expected) in [
        ("/devfiles/loom/starter-projects/none", 404),
        ("/devfiles/loom/starter-projects/", 404),
        ("/devfiles/loom/starter-projects/NOTHING", 404),
        ("/devfiles/loom/9.9.9/starter-projects/nothing", 404),
        ("/devfiles/none/starter-projects/nothing", 404),
        ("/devfiles/pot/starter-projects/nothing", 404),
        ("/devfiles/loom/starter-projects/..%2f..%2fetc", 404),
        ("/devfiles/loom/starter-projects/lost", 404),
        ("/devfiles/loom/starter-projects/nothing", 400),
        ("/devfiles/loom/0.3.0/starter-projects/ssh", 400),
        ("/devfiles/loom/latest/starter-projects/ssh", 400),
        ("/devfiles/loom/latest/starter-projects/ssh?minSchemaVersion=x", 400),
    ] {
        assert_eq!(status(path).await, expected, "{path}");
    }
    assert_eq!(serve.ask("POST", "/devfiles/loom/starter-projects/ssh", &[]).await.status, 405);
}

/// Two projects of one name, asked for at once, never get into each other's files.
#[tokio::test]
async fn projects_of_one_name_are_kept_apart() {
    let (one, two) = (Project::new("one").await, Project::new("two").await);
    let first = registry(&git_starter("clay", &one.remote(), "", "")).await;
    first.write(
        "stacks/kiln/1.0.0/devfile.yaml",
        format!(
            "schemaVersion: 2.2.2\nmetadata: {{name: kiln, version: 1.0.0, displayName: Kiln, language: Python, projectType: \
             Kiln}}\nstarterProjects:\n{}",
            git_starter("clay", &two.remote(), "", "")
        ),
    );
    let serve = published(&first).await;
    let (one_path, two_path) = ("/devfiles/loom/starter-projects/clay", "/devfiles/kiln/1.0.0/starter-projects/clay");
    let asked = [one_path, two_path].repeat(4);
    let answers = futures_util::future::join_all(asked.iter().map(|path| serve.ask("GET", path, &[]))).await;
    for (path, answer) in asked.iter().zip(answers) {
        let project = if *path == one_path { &one } else { &two };
        assert_eq!(answer.status, 202, "{path}");
        assert_eq!(Files::unzipped(&answer.body), project.files("main", ""), "{path}");
    }
    set_starters(&first, &git_starter("clay", &two.remote(), "", ""));
    first.refresh().await.unwrap();
    serve.until_serves(&first).await;
    assert_eq!(download(&serve, "clay").await, two.files("main", ""), "the devfile says so now");
}
