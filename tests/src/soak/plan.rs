//! The plan: which target fails how, and for how long.

use std::fmt;
use std::time::Duration;

use crate::tcp_proxy::TcpFault;

const LONGEST_FAULT_SECONDS: f64 = 10.0;
const SHORTEST_FAULT_SECONDS: f64 = 1.2;

/// A server that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Bucket,
    OciRegistry,
    GitHub,
}

impl Target {
    /// Every target.
    pub(super) const ALL: [Self; 3] = [Self::Bucket, Self::OciRegistry, Self::GitHub];
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bucket => "bucket",
            Self::OciRegistry => "OCI registry",
            Self::GitHub => "GitHub",
        })
    }
}

/// A stretch of time with one fault, or with none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    pub(super) trouble: Option<(Target, TcpFault)>,
    pub(super) length: Duration,
}

impl Phase {
    /// The name of all phases of this kind.
    pub(super) fn name(&self) -> String {
        self.trouble.map_or_else(|| "all well".to_owned(), |(target, fault)| format!("{target}: {fault}"))
    }
}

/// Plans so much time: every fault of every target, and as long without any after each.
pub(super) fn phases(seconds: f64, targets: &[Target]) -> Vec<Phase> {
    let troubles: Vec<(Target, TcpFault)> =
        TcpFault::ALL.iter().flat_map(|fault| targets.iter().map(|target| (*target, *fault))).collect();
    let in_one_round = 2.0 * troubles.len() as f64;
    let length = (seconds / in_one_round).clamp(SHORTEST_FAULT_SECONDS, LONGEST_FAULT_SECONDS);
    let rounds = (seconds / (length * in_one_round)).round().max(1.0) as usize;
    let length = Duration::from_secs_f64(length);
    let round = troubles.into_iter().flat_map(|trouble| [Some(trouble), None]);
    std::iter::repeat_n(round, rounds).flatten().map(|trouble| Phase { trouble, length }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_target_has_every_fault_and_heals() {
        for (targets, seconds, off) in [
            (&Target::ALL[..], 30.0, 3.3),
            (&Target::ALL, 120.0, 1.0),
            (&Target::ALL, 600.0, 60.0),
            (&[Target::GitHub], 12.0, 0.1),
        ] {
            let plan = phases(seconds, targets);
            let troubles: HashSet<String> = plan.iter().step_by(2).map(Phase::name).collect();
            let expected = targets.iter().flat_map(|target| TcpFault::ALL.map(|fault| format!("{target}: {fault}")));
            assert_eq!(troubles, expected.collect(), "{seconds}");
            assert!(plan.iter().skip(1).step_by(2).all(|phase| phase.name() == "all well"), "{seconds}");
            let planned: f64 = plan.iter().map(|phase| phase.length.as_secs_f64()).sum();
            assert!((planned - seconds).abs() <= off, "{planned} instead of {seconds}");
        }
    }
}
