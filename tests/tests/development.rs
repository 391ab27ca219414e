//! `scripts/dev` and `scripts/test`: the programs that start servers, and take them along at their end.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use clap::ValueEnum;
use registry_tests::bench::Part;
use registry_tests::bounded::within_a_minute;
use registry_tests::processes::free_ports;
use registry_tests::registry::{TestRegistry, binary, copy};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

/// The folder that a command of `scripts` is run in.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in a workspace")
}

/// The folder of the tools that `scripts/test` has fetched.
fn tools() -> OsString {
    std::env::var_os("TEST_TOOLS").expect("TEST_TOOLS is not set; run the tests with scripts/test")
}

/// The command that runs the example registry on a port, with its data in a folder.
fn dev(folder: &Path, port: u16) -> Command {
    let source = folder.join("source");
    std::fs::create_dir_all(&source).expect("a folder can be made");
    copy(&TestRegistry::example(), &source);
    let mut command = Command::new(binary("dev"));
    command
        .arg("--tools")
        .arg(std::env::var_os("TEST_TOOLS").expect("TEST_TOOLS is not set; run the tests with scripts/test"));
    command.env("DEV_DIR", folder.join("home")).env("DEV_SOURCE", source).env("DEV_PORT", port.to_string());
    command.env_remove("DEV_OCI_REGISTRY").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn dev_publishes_a_change_and_leaves_nothing_when_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_ports(1).unwrap()[0];
    let mut child = dev(folder.path(), port).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    within_a_minute("the registry is ready", async {
        while lines.next_line().await.unwrap().expect("it goes on") != format!("ready http://127.0.0.1:{port}") {}
    })
    .await;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let devfile = folder.path().join("source/stacks/kiln/1.1.0/devfile.yaml");
    let changed = format!("{}# a new glaze\n", std::fs::read_to_string(&devfile).unwrap());
    std::fs::write(devfile, &changed).unwrap();
    let url = format!("http://127.0.0.1:{port}/devfiles/kiln/1.1.0");
    within_a_minute("the change is served", async {
        while registry_tests::http::get(&url).await.unwrap().text().await.unwrap() != changed {}
    })
    .await;

    child.kill().await.unwrap();
    let lock = File::open(folder.path().join("home/lock")).unwrap();
    let ended = tokio::task::spawn_blocking(move || lock.lock());
    within_a_minute("the guardian gives the lock back", ended).await.unwrap().unwrap();
    assert!(registry_tests::http::get(&url).await.is_err());
}

#[tokio::test]
async fn dev_whose_port_is_taken_says_so_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = dev(folder.path(), port).stderr(Stdio::piped()).output().await.unwrap();
    let message =
        format!("error: port {port} is taken; end the process that listens there, or set DEV_PORT to another port\n");
    assert_eq!((String::from_utf8(output.stderr).unwrap(), output.status.code()), (message, Some(1)));
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn dev_of_a_folder_without_stacks_refuses_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = dev(folder.path(), free_ports(1).unwrap()[0]);
    let output = command.env("DEV_SOURCE", folder.path()).stderr(Stdio::piped()).output().await.unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("is no registry repository: it has neither stacks/ nor"), "{message}");
}

#[tokio::test]
async fn command_with_servers_gives_its_status_and_all_that_it_started_ends() {
    let logs = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary("with-servers"));
    command.arg("--tools").arg(tools()).arg("--logs").arg(logs.path());
    // A process in a session of its own, which no signal to a group reaches. It keeps the pipe open until it has ended.
    let script = "setsid sleep 600 & echo $TEST_S3_ENDPOINT $TEST_OCI_REGISTRY; exit 7";
    command.args(["--", "sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut output = String::new();
    let pipe = child.stdout.as_mut().unwrap();
    within_a_minute("the pipe ends with its last holder", pipe.read_to_string(&mut output)).await.unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(7));
    let (s3, oci) = output.trim().split_once(' ').unwrap();
    for url in [s3, &format!("http://{oci}/v2/")] {
        assert!(url.starts_with("http://127.0.0.1:") && registry_tests::http::get(url).await.is_err(), "{url}");
    }
}

#[tokio::test]
async fn help_of_a_script_names_every_option_of_its_program() {
    // Variables, or the script, set these.
    const OTHERS: [&str; 7] = ["help", "source", "port", "home", "tools", "oci-registry", "programs"];
    for name in ["dev", "soak", "bench"] {
        let help = |command: &mut Command| {
            let output = command.current_dir(root()).arg("--help").output();
            async move { String::from_utf8(output.await.unwrap().stdout).unwrap() }
        };
        let script = help(&mut Command::new(root().join("scripts").join(name))).await;
        let program = help(&mut Command::new(binary(name))).await;
        let words =
            program.split(|c: char| !c.is_ascii_lowercase() && c != '-').filter_map(|word| word.strip_prefix("--"));
        let options: Vec<_> = words.filter(|word| !OTHERS.contains(word)).collect();
        assert!(!options.is_empty(), "{name}");
        for option in options {
            assert!(script.contains(&format!("--{option}")), "scripts/{name} --help lacks --{option}");
        }
        let parts = if name == "bench" { Part::value_variants() } else { &[] };
        let parts: Vec<_> = parts.iter().map(|part| part.to_possible_value().unwrap().get_name().to_owned()).collect();
        assert!(script.contains(&parts.join(", ")), "scripts/{name} --help lists other parts than {parts:?}");
    }
}
