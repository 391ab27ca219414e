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
        &["new", "stack", "--help"],
        &["new", "version", "--help"],
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
    for (name, function) in [("serve", Function::Serve), ("refresh", Function::Refresh)] {
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
    for arguments in [&["serve", "--port", "1"][..], &["refresh", "now"], &["preview", "--live"], &["deploy"]] {
        let ran = run(Path::new("."), arguments).await;
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn missing_settings_are_named() {
    let ran = run(Path::new("."), &["serve"]).await;
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("CACHE_BUCKET is not set"), "{}", ran.stderr);
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
