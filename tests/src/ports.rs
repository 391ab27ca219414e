//! Loopback ports that are free.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use anyhow::{Result, ensure};

/// Ports below those that systems hand out to outgoing connections: nothing but another server takes them between their choice and their
/// use.
const OF_SERVERS: Range<u16> = 20_000..26_000;

/// Ports of the same kind for programs that are told one: servers, which take many, leave it free until the program listens there.
const OF_PROGRAMS: Range<u16> = 26_000..32_000;

/// Returns distinct ports that are free, for servers.
///
/// # Errors
/// There are not so many.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    free_ports_in(OF_SERVERS, count)
}

/// Returns a port that is free, for a program.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    Ok(free_ports_in(OF_PROGRAMS, 1)?.remove(0))
}

fn free_ports_in(range: Range<u16>, count: usize) -> Result<Vec<u16>> {
    let length = range.end - range.start;
    let start = u16::try_from(random() % u64::from(length))?;
    let ports = (0..length).map(|offset| range.start + (start + offset) % length);
    let ports: Vec<u16> = ports.filter(|port| is_free(*port)).take(count).collect();
    ensure!(ports.len() == count, "there are no {count} free ports on 127.0.0.1");
    Ok(ports)
}

/// Returns whether a server could listen on a loopback port now.
pub fn is_free(port: u16) -> bool {
    std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Returns a number that differs with each call.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn free_ports_are_distinct_and_one_that_is_taken_is_not_free() {
        let ports = free_ports(20).unwrap();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 20);
        assert!(ports.iter().all(|port| OF_SERVERS.contains(port)));
        assert!(OF_PROGRAMS.contains(&free_port().unwrap()), "no server takes it");
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!is_free(taken.local_addr().unwrap().port()));
    }
}
