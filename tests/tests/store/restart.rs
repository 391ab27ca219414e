//! The end of `run`, and the next start on the same socket.

use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use registry_tests::raw;
use registry_tests::registry::{Serving, binary};

use crate::fixture::{World, refresh, until_ready};

/// Starts `run` on a socket that listens already, as systemd hands it over (sd_listen_fds(3)).
async fn run_on(world: &World, listener: &TcpListener) -> Serving {
    let mut command = world.command("sh");
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" run";
    command.args(["-c", script]).arg(binary("devfile-registry"));
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener.try_clone().unwrap())));
    Serving::start(command, "serving on ").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_on_the_socket_of_a_service_manager_loses_no_connection() {
    let world = World::published().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let registry = run_on(&world, &listener).await;
    assert_eq!(registry.url, format!("http://{address}"), "it listens where it was told to");
    let (ended, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let asking = tokio::spawn({
        let (ended, answers) = (Arc::clone(&ended), Arc::clone(&answers));
        async move {
            while !ended.load(Ordering::SeqCst) {
                // A connection each, as of new clients. Its request follows at once: a process that ends waits a second for it.
                let request = "GET /devfiles/loom HTTP/1.1\r\nhost: registry\r\nconnection: close\r\n\r\n";
                assert_eq!(raw::ask(&format!("http://{address}"), request).await.status, 200, "no connection is lost");
                answers.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let mut registry = registry;
    for _ in 0..3 {
        let before = answers.load(Ordering::SeqCst);
        registry.stop().await;
        registry = run_on(&world, &listener).await;
        registry_tests::bounded::within_a_minute("requests are answered", async {
            while answers.load(Ordering::SeqCst) < before + 3 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    ended.store(true, Ordering::SeqCst);
    asking.await.unwrap();
}

#[tokio::test]
async fn stop_lets_a_refresh_end() {
    let world = World::published().await;
    let registry = world.run().await;
    until_ready(&registry).await;
    refresh(&registry).await;
    let commit = world.edit("at the end");
    world.github.faults().add("*", registry_tests::github::Fault::Slow { milliseconds: 500 }, 1);
    world.push(&registry, &commit).await;
    registry.stop().await;
    let serve = world.serve().await;
    assert_eq!(serve.json("/status").await["live"]["commit_hash"], commit.as_str());
}
