//! `--help`, `--version`, completions, and refused arguments. Snapshots hold the texts.

use std::path::Path;

use devfile_registry::settings::{Function, of};

use crate::program::run;

#[tokio::test]
async fn help_of_every_subcommand_is_as_recorded() {
    let here = Path::new(".");
    for arguments in [
        &["--help"][..],
        &["preview", "--help"],
        &["check", "--help"],
        &["index", "--help"],
        &["diff", "--help"],
        &["compare", "--help"],
        &["new", "--help"],
        &["new", "stack", "--help"],
        &["new", "version", "--help"],
        &["run", "--help"],
        &["serve", "--help"],
        &["refresh", "--help"],
        &["completions", "--help"],
        &["refresh", "invoke", "--help"],
    ] {
        let ran = run(here, arguments).await;
        assert_eq!(ran.status, 0, "{arguments:?}: {}", ran.stderr);
        let name = arguments.join("-").replace("---", "-").trim_start_matches('-').to_owned();
        insta::assert_snapshot!(name, ran.stdout);
    }
}

#[tokio::test]
async fn help_of_a_function_names_its_settings() {
    for (name, function) in [("serve", Function::Serve), ("refresh", Function::Refresh), ("run", Function::Run)] {
        let ran = run(Path::new("."), &[name, "--help"]).await;
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains("Usage: devfile-registry "), "{}", ran.stdout);
        for (setting, _) in of(function) {
            assert!(
                ran.stdout.lines().any(|line| line.trim().split(", ").any(|name| name == setting.name)),
                "{}: {}",
                setting.name,
                ran.stdout
            );
        }
    }
}

#[tokio::test]
async fn unknown_arguments_are_errors() {
    for arguments in
        [&["serve", "--port", "1"][..], &["run", "now"], &["refresh", "now"], &["preview", "--live"], &["deploy"]]
    {
        let ran = run(Path::new("."), arguments).await;
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
    let ran = run(Path::new("."), &["preveiw"]).await;
    assert!(ran.status == 2 && ran.stderr.contains("'preview'"), "{}", ran.stderr);
}

#[tokio::test]
async fn missing_settings_are_named() {
    for (command, settings) in [("serve", &["CACHE_BUCKET"][..]), ("run", &["CACHE_BUCKET", "OCI_REGISTRY"])] {
        let ran = run(Path::new("."), &[command]).await;
        assert_eq!(ran.status, 2);
        for setting in settings {
            assert_eq!(ran.stderr.matches(&format!("{setting} is not set; ")).count(), 1, "{}", ran.stderr);
        }
        assert!(ran.stderr.contains("or STORE to a folder"), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn version_and_completions_are_printed() {
    let ran = run(Path::new("."), &["--version"]).await;
    assert_eq!((ran.status, ran.stdout), (0, format!("devfile-registry {}\n", env!("CARGO_PKG_VERSION"))));
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(Path::new("."), &["completions", shell]).await;
        assert!(ran.status == 0 && ran.stdout.contains("preview"), "{shell}: {}", ran.stderr);
    }
}
