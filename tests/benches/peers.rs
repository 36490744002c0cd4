//! What a user would pick instead, on the same work that does nothing: one command reaches every host, an answer comes
//! back from each, and all are collected. Every peer runs on this machine, with its hosts, as Curfew does.
//!
//! A peer that cannot be had or does not work is named with the reason, never left out.

mod ansible;
pub(crate) mod nats;
mod product;
mod salt;
mod site;
mod ssh;

use crate::report::median;
use anyhow::Context as _;
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// The sizes that the table tells: hosts.
const TOLD: [u32; 2] = [1_000, 10_000];

/// Another way to do the same.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Peer {
    /// What people call it.
    pub(crate) name: &'static str,
    /// What it was made to do.
    pub(crate) what: &'static str,
    /// What a reader must know before comparing.
    pub(crate) note: &'static str,
    /// What it took.
    #[serde(flatten)]
    pub(crate) end: End,
}

/// How it went with a peer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// It was measured.
    Ran(Run),
    /// It was not, for this reason.
    NotRun(String),
}

/// What was measured of a peer, with two numbers of hosts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Run {
    /// Its version, as it tells it.
    pub(crate) version: String,
    /// With few hosts.
    pub(crate) few: Point,
    /// With as many as one machine carries in reasonable time.
    pub(crate) many: Point,
    /// How many rounds are behind each.
    pub(crate) rounds: usize,
}

/// One command to so many hosts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Point {
    /// The hosts it reached, all of which answered.
    pub(crate) hosts: u32,
    /// From the call to the last answer: the median, in seconds.
    pub(crate) seconds: f64,
}

impl Run {
    /// How long it takes for so many hosts, in seconds: as measured, or on the line through both measured points, which
    /// keeps what a call costs once apart from what every host costs.
    pub(crate) fn seconds_for(&self, hosts: u32) -> f64 {
        let Run { few, many, .. } = self;
        if let Some(point) = [few, many].into_iter().find(|point| point.hosts == hosts) {
            return point.seconds;
        }
        let slope = (many.seconds - few.seconds) / (f64::from(many.hosts) - f64::from(few.hosts));
        // Two points so near each other that noise turned them round say nothing about the slope.
        if !slope.is_finite() || slope <= 0.0 {
            return many.seconds * f64::from(hosts) / f64::from(many.hosts);
        }
        many.seconds + slope * (f64::from(hosts) - f64::from(many.hosts))
    }

    fn is_measured(&self, hosts: u32) -> bool {
        self.few.hosts == hosts || self.many.hosts == hosts
    }
}

/// Measures every peer. Those that cannot do `hosts` in reasonable time get fewer; NATS gets ten times as many.
///
/// It is to be called from a thread that lives as long as the bench, as `main`'s does: see [`site::Site::start`].
///
/// # Errors
/// Never for a peer's sake: what is wrong with one is its [`End`].
pub(crate) async fn measure(hosts: u32, rounds: usize) -> anyhow::Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for which in Which::ALL {
        peers.push(which.measure(hosts, rounds).await);
    }
    Ok(peers)
}

/// The peers that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// NATS, the transport of Choria.
    Nats,
    /// pdsh, over ssh.
    Pdsh,
    /// ClusterShell, over ssh.
    ClusterShell,
    /// Ansible without a module.
    AnsibleRaw,
    /// Ansible with one.
    AnsibleCommand,
    /// Salt with its minions.
    Salt,
}

impl Which {
    /// All of them, the nearest to Curfew first.
    pub(crate) const ALL: [Which; 6] = [
        Which::Nats,
        Which::Pdsh,
        Which::ClusterShell,
        Which::AnsibleRaw,
        Which::AnsibleCommand,
        Which::Salt,
    ];

    /// Measures this one.
    pub(crate) async fn measure(self, hosts: u32, rounds: usize) -> Peer {
        let ran = match self {
            Which::Nats => Box::pin(nats::measure(hosts.saturating_mul(10), rounds)).await,
            Which::Pdsh => Box::pin(ssh::measure_pdsh(hosts, rounds)).await,
            Which::ClusterShell => Box::pin(ssh::measure_clush(hosts, rounds)).await,
            Which::AnsibleRaw => Box::pin(ansible::measure("raw", hosts, rounds)).await,
            Which::AnsibleCommand => Box::pin(ansible::measure("command", hosts, rounds)).await,
            Which::Salt => Box::pin(salt::measure(hosts, rounds)).await,
        };
        let end = ran.map_or_else(|error| End::NotRun(format!("{error:#}")), End::Ran);
        let (name, what, note) = self.words();
        Peer { name, what, note, end }
    }

    /// Its name, what it is made to do, and what to know before comparing.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        let one_sshd = "a new connection for each; one sshd on loopback is every host";
        match self {
            Which::Nats => (
                "NATS",
                "request on a broadcast subject, a reply of every agent",
                "the transport of Choria; no TLS, nothing stored, nobody knows who did not answer",
            ),
            Which::Pdsh => ("pdsh", "`echo` over ssh, fan-out 64", one_sshd),
            Which::ClusterShell => ("ClusterShell", "`clush` of `echo` over ssh, fan-out 64", one_sshd),
            Which::AnsibleRaw => (
                "Ansible raw",
                "ad hoc `raw: true`, local connection, 50 forks",
                "no ssh, which would take longer",
            ),
            Which::AnsibleCommand => (
                "Ansible command",
                "ad hoc `command: true`, local connection, 50 forks",
                "no ssh, which would take longer; the module's Python of every host runs on the same cores",
            ),
            Which::Salt => (
                "Salt",
                "`salt test.ping`, a master and real minions",
                "minions on the same cores, and few: it is a long line from them to thousands",
            ),
        }
    }
}

/// Measures one point: as many rounds as asked for, after one that does not count.
async fn point(
    hosts: u32,
    rounds: usize,
    mut round: impl AsyncFnMut() -> anyhow::Result<Duration>,
) -> anyhow::Result<Point> {
    round().await.with_context(|| format!("the first round with {hosts} hosts"))?;
    let mut took = Vec::new();
    for _ in 0..rounds.max(1) {
        took.push(round().await.with_context(|| format!("a round with {hosts} hosts"))?.as_secs_f64());
    }
    Ok(Point { hosts, seconds: median(took) })
}

/// The few hosts beside so many: a quarter.
fn few(many: u32) -> u32 {
    (many / 4).max(1)
}

/// The peers as a table for people, beside what Curfew took for 1,000 and for 10,000 hosts, in seconds.
pub(crate) fn table(peers: &[Peer], curfew: Option<[f64; 2]>) -> String {
    let mut text = String::new();
    for Peer { name, what, note, end } in peers {
        let run = match end {
            End::Ran(run) => run,
            End::NotRun(why) => {
                let _ = writeln!(text, "  {name:<16} NOT RUN: {why}");
                continue;
            }
        };
        let _ = write!(text, "  {name:<16}");
        for (place, hosts) in TOLD.into_iter().enumerate() {
            let seconds = run.seconds_for(hosts);
            let sign = if run.is_measured(hosts) { ' ' } else { '~' };
            let _ = write!(text, " {hosts:>6} hosts: {sign}{seconds:>8.3} s");
            if let Some(curfew) = curfew {
                let _ = write!(text, " {:>8.1} x", seconds / curfew[place]);
            }
        }
        let Run { version, few, many, rounds } = run;
        let (fewer, less, more, most) = (few.hosts, few.seconds, many.hosts, many.seconds);
        let _ = writeln!(text, "\n{:18} {what}; {version}; {note}.", "");
        let _ =
            writeln!(text, "{:18} {fewer} hosts {less:.3} s, {more} hosts {most:.3} s, {rounds} rounds.", "");
    }
    text.push_str("  ~ is on the line through the two numbers of hosts that were measured");
    text.push_str(match curfew {
        Some(_) => "; x is over Curfew's time.\n",
        None => "; how often that is Curfew's time is told beside the row `burst`.\n",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(few: (u32, f64), many: (u32, f64)) -> Run {
        let point = |(hosts, seconds)| Point { hosts, seconds };
        Run { version: "1".into(), few: point(few), many: point(many), rounds: 1 }
    }

    #[test]
    fn what_a_call_costs_once_is_not_multiplied_by_hosts() {
        assert_eq!(run((4, 1.5), (20, 3.5)).seconds_for(1_000), 126.0);
    }

    #[test]
    fn a_measured_number_of_hosts_is_told_as_it_was_measured() {
        let run = run((1_000, 3.0), (10_000, 20.0));
        assert_eq!((run.seconds_for(1_000), run.seconds_for(10_000)), (3.0, 20.0));
    }

    #[test]
    fn two_points_turned_round_by_noise_are_scaled_by_hosts_alone() {
        assert_eq!(run((4, 2.0), (16, 1.5)).seconds_for(160), 15.0);
    }

    #[test]
    fn a_peer_that_did_not_run_is_named_with_the_reason() {
        let end = End::NotRun("no such program".into());
        let peers = [Peer { name: "Salt", what: "test.ping", note: "few minions", end }];

        assert!(table(&peers, Some([1.0, 1.0])).contains("Salt             NOT RUN: no such program"));
    }

    #[test]
    fn without_a_time_of_curfews_nothing_is_told_in_it() {
        let end = End::Ran(run((1_000, 3.0), (10_000, 20.0)));
        let peers = [Peer { name: "pdsh", what: "echo", note: "ssh", end }];

        assert!(table(&peers, Some([1.5, 2.0])).contains("10000 hosts:    20.000 s     10.0 x"));
        let alone = table(&peers, None);
        assert!(alone.contains("10000 hosts:    20.000 s\n") && !alone.contains("x is over"), "{alone}");
    }
}
