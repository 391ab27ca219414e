//! `scripts/dev` and `scripts/test`: the programs that start servers, and take them along at their end.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use clap::ValueEnum;
use registry_tests::bench::Part;
use registry_tests::bounded::within_a_minute;
use registry_tests::ports::free_port;
use registry_tests::registry::{TestRegistry, binary, copy};
use registry_tests::tools;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// The folder that a command of `scripts` is run in.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in a workspace")
}

/// The command that runs the example registry on a port, with its data in a folder.
fn dev(folder: &Path, port: u16) -> Command {
    let source = folder.join("source");
    std::fs::create_dir_all(&source).expect("a folder can be made");
    copy(&TestRegistry::example(), &source);
    let mut command = Command::new(binary("dev"));
    command.arg("--tools").arg(tools::folder());
    command.env("DEV_DIR", folder.join("home")).env("DEV_SOURCE", source).env("DEV_PORT", port.to_string());
    command.env_remove("DEV_OCI_REGISTRY").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn dev_publishes_a_change_and_leaves_nothing_when_it_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let port = free_port().unwrap();
    let mut child = dev(home.path(), port).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    within_a_minute("the registry is ready", async {
        while lines.next_line().await.unwrap().expect("it goes on") != format!("ready http://127.0.0.1:{port}") {}
    })
    .await;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let devfile = home.path().join("source/stacks/kiln/1.1.0/devfile.yaml");
    let changed = format!("{}# a new glaze\n", std::fs::read_to_string(&devfile).unwrap());
    std::fs::write(devfile, &changed).unwrap();
    let url = format!("http://127.0.0.1:{port}/devfiles/kiln/1.1.0");
    within_a_minute("the change is served", async {
        while registry_tests::http::get(&url).await.unwrap().text().await.unwrap() != changed {}
    })
    .await;

    child.kill().await.unwrap();
    let lock = File::open(home.path().join("home/lock")).unwrap();
    let ended = tokio::task::spawn_blocking(move || lock.lock());
    within_a_minute("the guardian gives the lock back", ended).await.unwrap().unwrap();
    assert!(registry_tests::http::get(&url).await.is_err());
}

#[tokio::test]
async fn dev_whose_port_is_taken_says_so_in_one_sentence() {
    let home = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = dev(home.path(), port).stderr(Stdio::piped()).output().await.unwrap();
    let message =
        format!("error: port {port} is taken; end the process that listens there, or set DEV_PORT to another port\n");
    assert_eq!((String::from_utf8(output.stderr).unwrap(), output.status.code()), (message, Some(1)));
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn dev_of_a_folder_without_stacks_refuses_it() {
    let home = tempfile::tempdir().unwrap();
    let mut command = dev(home.path(), free_port().unwrap());
    let output = command.env("DEV_SOURCE", home.path()).stderr(Stdio::piped()).output().await.unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("is no registry repository: it has neither stacks/ nor"), "{message}");
}

/// The command that runs a script with servers beside it, with their logs in a folder. The shell, which reports the signals that end its
/// commands, writes no messages, so that standard error holds those of the program alone.
fn with_servers(logs: &Path, options: &[&str], script: &str) -> Command {
    let mut command = Command::new(binary("with-servers"));
    let script = format!("exec 2>/dev/null; {script}");
    command.arg("--tools").arg(tools::folder()).arg("--logs").arg(logs).args(options).args(["--", "sh", "-c", &script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Reads the output of a command until the last process has ended that holds it, and returns it with the command's status.
async fn end(child: &mut Child) -> (String, Option<i32>) {
    let (mut output, mut pipe) = (String::new(), child.stdout.take().expect("its output is piped"));
    let read = within_a_minute("the pipe ends with its last holder", pipe.read_to_string(&mut output)).await;
    read.expect("its output is text");
    (output, child.wait().await.expect("it has ended").code())
}

#[tokio::test]
async fn command_with_servers_gives_its_status_and_all_that_it_started_ends() {
    let logs = tempfile::tempdir().unwrap();
    // A process in a session of its own, which no signal to a group reaches. It keeps the pipe open until it has ended.
    let script = "setsid sleep 600 & echo $TEST_S3_ENDPOINT $TEST_OCI_REGISTRY; exit 7";
    let (output, status) = end(&mut with_servers(logs.path(), &[], script).spawn().unwrap()).await;
    assert_eq!(status, Some(7));
    let (s3, oci) = output.trim().split_once(' ').unwrap();
    for url in [s3, &format!("http://{oci}/v2/")] {
        assert!(url.starts_with("http://127.0.0.1:") && registry_tests::http::get(url).await.is_err(), "{url}");
    }
}

#[tokio::test]
async fn command_with_servers_ends_on_a_signal_with_its_caller_and_with_a_server() {
    let logs = tempfile::tempdir().unwrap();
    let signal = with_servers(logs.path(), &[], "kill -TERM $PPID; sleep 600");
    let tied = with_servers(logs.path(), &["--tied"], "echo up; exec sleep 600");
    // The parent of a server is the program that started it.
    let server = with_servers(logs.path(), &[], "pkill -KILL -P $PPID weed; sleep 600");
    for (mut command, expected, message) in [(signal, 143, ""), (tied, 143, ""), (server, 1, "error: SeaweedFS (log: ")]
    {
        let mut child = command.spawn().unwrap();
        drop(child.stdin.take());
        let mut errors = child.stderr.take().unwrap();
        let (_, status) = end(&mut child).await;
        let mut error = String::new();
        errors.read_to_string(&mut error).await.unwrap();
        assert_eq!(status, Some(expected), "{error}");
        assert!(error.starts_with(message) && error.lines().count() <= 1, "{error}");
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
