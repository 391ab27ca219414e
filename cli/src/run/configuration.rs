//! The settings of both functions in one environment, and the socket that a service manager may hand over.

use std::net::TcpListener;
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Context;
use devfile_registry::environment::{Environment, InvalidEnvironment};
use devfile_registry::settings;
use listenfd::ListenFd;

/// The settings of `run`.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) serve: serve::Config,
    pub(super) refresh: refresh::config::Config,
    /// `SCHEDULE_SECONDS`: time between two runs of the schedule.
    pub(super) schedule: Duration,
}

impl Configuration {
    /// Reads the environment.
    ///
    /// # Errors
    /// Variables of either function are missing or malformed; all of them are named.
    pub(super) fn from_env() -> Result<Self, InvalidEnvironment> {
        let mut environment = Environment::of_process();
        let seconds = environment.optional::<NonZeroU32>(&settings::SCHEDULE_SECONDS);
        let seconds = seconds.map_or_else(|| environment.or_default(&settings::SCHEDULE_SECONDS), u32::from);
        let readings = (serve::Config::from_env(), refresh::config::Config::from_env(), environment.finish());
        match readings {
            (Ok(serve), Ok(refresh), Ok(())) => {
                Ok(Self { serve, refresh, schedule: Duration::from_secs(seconds.into()) })
            }
            (serve, refresh, own) => {
                let problems = [serve.err(), refresh.err(), own.err()].into_iter().flatten();
                Err(problems.fold(InvalidEnvironment(Vec::new()), InvalidEnvironment::and))
            }
        }
    }
}

/// The socket that the service manager listens on for this process (sd_listen_fds(3)): it stays open between two processes, so
/// connections wait for the next one.
///
/// # Errors
/// The inherited descriptor is no TCP socket.
pub(crate) fn inherited_listener() -> anyhow::Result<Option<TcpListener>> {
    ListenFd::from_env().take_tcp_listener(0).context("cannot use the socket of the service manager")
}
