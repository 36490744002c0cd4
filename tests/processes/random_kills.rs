//! SIGKILL at random moments, again and again, while operations run: nothing is lost and nothing is done twice.
//!
//! `CURFEW_FAULT_SEED` replays a run's dice; what the machine does in between it cannot replay.

#![allow(clippy::print_stdout, reason = "the test runner shows it for a test that failed")]

mod books;
mod dice;
mod hold;
mod watch;

use anyhow::{Context as _, ensure};
use books::HostBooks;
use curfew_agent::provider::simulated::SimulatedConfig;
use curfew_tests::processes::{Output, ProcessFleet, provider};
use dice::Dice;
use hold::Holds;
use std::time::Duration;
use watch::{Operation, Watched, outcome};

const HOSTS: [&str; 3] = ["host-1", "host-2", "host-3"];
const GUESTS_PER_HOST: u32 = 4;
const GUESTS: usize = HOSTS.len() * GUESTS_PER_HOST as usize;
const SESSIONS: u32 = 2;
/// How long a session takes to go: long enough for kills to hit a task in each of its stages.
const SESSION_GOES_MS: u64 = 250;
/// Operations under way at a time: later ones wait for the guests of earlier ones.
const UNDER_WAY: usize = 3;
/// Longest time a process is left alone: about as long as a task takes here.
const QUIET_MAX_MS: u64 = 600;
/// Time for what is under way when the kills are over. Agents come back within half a minute, the longest pause
/// between two dials.
const SETTLE_WITHIN: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_dozen_kills_lose_nothing_and_do_nothing_twice() -> anyhow::Result<()> {
    survive(12).await
}

/// What takes minutes.
mod long {
    #[tokio::test]
    async fn two_hundred_kills_lose_nothing_and_do_nothing_twice() -> anyhow::Result<()> {
        super::survive(200).await
    }
}

async fn survive(kills: u32) -> anyhow::Result<()> {
    let seed = dice::seed()?;
    println!("CURFEW_FAULT_SEED={seed}");
    let replay = || format!("CURFEW_FAULT_SEED={seed} throws the same dice");
    let mut chaos = Chaos::begin(seed).await.with_context(replay)?;
    for kill in 1..=kills {
        chaos.step().await.with_context(|| format!("at kill {kill} of {kills}")).with_context(replay)?;
    }
    chaos.settle().await.with_context(replay)
}

struct Chaos {
    fleet: ProcessFleet,
    dice: Dice,
    seed: u64,
    books: Vec<HostBooks>,
    /// In the order in which they were asked for.
    operations: Vec<Operation>,
    watched: Watched,
    holds: Holds,
}

impl Chaos {
    async fn begin(seed: u64) -> anyhow::Result<Chaos> {
        let mut fleet = ProcessFleet::start().await?;
        let mut books = Vec::new();
        for host in HOSTS {
            let (state, logons) =
                (fleet.path(&format!("{host}.state")), fleet.path(&format!("{host}.logons")));
            std::fs::write(&logons, "")?;
            let guests = SimulatedConfig {
                sessions_per_guest: SESSIONS,
                delay_ms: SESSION_GOES_MS,
                name_prefix: format!("{host}-desk-"),
                state_file: Some(state.clone()),
                logons_file: Some(logons.clone()),
                ..SimulatedConfig::healthy(GUESTS_PER_HOST)
            };
            fleet.add_agent(host, provider("simulated", &guests)?).await?;
            let ledger = fleet.path(&format!("{host}.ledger")).join("ledger");
            books.push(HostBooks::new(ledger, state, logons));
        }
        fleet.wait_for_guests(GUESTS).await?;
        let (dice, operations) = (Dice::new(seed), Vec::new());
        let (watched, holds) = (Watched::default(), Holds::default());
        Ok(Chaos { fleet, dice, seed, books, operations, watched, holds })
    }

    /// Something is asked of the controller; meanwhile or after it, a process is killed and started again.
    async fn step(&mut self) -> anyhow::Result<()> {
        let host = HOSTS[self.dice.below(HOSTS.len())];
        let is_controller = self.dice.below(3) == 0;
        let victim = if is_controller { self.fleet.controller()? } else { self.fleet.agent(host)? };
        let pid = victim.pid().context("the victim has ended by itself")?;
        let quiet = Duration::from_millis(self.dice.up_to(QUIET_MAX_MS));
        let kill = async {
            tokio::time::sleep(quiet).await;
            kill(pid)
        };
        let plan = self.plan();
        let ask = ask(&self.fleet, plan, &mut self.operations, &mut self.watched, &mut self.holds);
        let (killed, asked) = tokio::join!(kill, ask);
        killed?;
        asked?;
        self.read_books()?;
        let pause = Duration::from_millis(self.dice.up_to(QUIET_MAX_MS / 2));
        if is_controller {
            self.fleet.controller()?.wait().await?;
            tokio::time::sleep(pause).await;
            self.fleet.start_controller().await
        } else {
            self.fleet.agent(host)?.wait().await?;
            tokio::time::sleep(pause).await;
            self.fleet.start_agent(host, None).await
        }
    }

    /// What to ask next.
    fn plan(&mut self) -> Ask {
        let open: Vec<usize> =
            (0..self.operations.len()).filter(|at| !self.operations[*at].has_ended).collect();
        if open.len() < UNDER_WAY {
            let options: &[&'static str] = match self.dice.below(8) {
                0 => &[],
                1 => &["--max-in-flight", "1"],
                2 => &["--max-in-flight", "40%", "--max-per-host", "1"],
                3 => &["--grace", "600ms"],
                4 => &["--grace", "1s", "--drain-for", "3s"],
                5 => &["--drain", "--force-after", "1s"],
                6 => &["--exclude-user", "alice", "--drain-for", "1s"],
                _ => &["--waves", "2,50%", "--wave-pause", "200ms"],
            };
            return Ask::Start(Operation::new(
                format!("kill-{}-{}", self.seed, self.operations.len()),
                options,
            ));
        }
        let at = open[self.dice.below(open.len())];
        match self.dice.below(9) {
            0 => Ask::Cancel(at),
            1 | 2 => Ask::StartAgain(at),
            3 => Ask::PauseOrResume(at),
            4 | 5 => {
                let host = HOSTS[self.dice.below(HOSTS.len())];
                Ask::Hold(format!("{host}-desk-{}", 1 + self.dice.below(GUESTS_PER_HOST as usize)))
            }
            _ => Ask::Look(at),
        }
    }

    fn read_books(&mut self) -> anyhow::Result<()> {
        self.books.iter_mut().try_for_each(HostBooks::read)
    }

    /// Nobody is killed any more: everything ends, and then every book tells the same.
    async fn settle(mut self) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + SETTLE_WITHIN;
        while !self.holds.release(&self.fleet).await? {
            ensure!(tokio::time::Instant::now() < until, "a hold is not released");
        }
        for operation in &mut self.operations {
            operation.resume(&self.fleet).await?;
        }
        for at in 0..self.operations.len() {
            loop {
                self.read_books()?;
                // The answer to a start may have been lost with its last process: the request id finds it.
                self.operations[at].ensure_started(&self.fleet).await?;
                if self.watched.look(&self.fleet, &mut self.operations[at]).await? {
                    break;
                }
                let operation = &self.operations[at];
                ensure!(tokio::time::Instant::now() < until, "an operation does not end: {operation:?}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        self.read_books()?;
        for operation in &mut self.operations {
            self.watched.look(&self.fleet, operation).await?;
        }
        self.watched.check(&self.operations, GUESTS)?;
        for books in &mut self.books {
            books.check_sessions()?;
            books.wait_for_logons().await?;
            self.holds.check(&books.record()?)?;
            books.check_outcomes(&self.watched)?;
        }
        let is_done = |verdict| matches!(outcome(verdict).as_str(), "succeeded" | "nothing_to_do");
        for (task, verdict) in self.watched.iter().filter(|(_, verdict)| is_done(verdict)) {
            let knowing = self.books.iter().filter(|books| books.has_outcome(task)).count();
            ensure!(knowing == 1, "{knowing} ledgers have {task}, which ended as {verdict}");
        }
        let (tasks, sessions) = (self.watched.len(), self.books.iter().map(HostBooks::ended).sum::<usize>());
        let (operations, holds) = (self.operations.len(), self.holds.past.len());
        println!("{operations} operations, {tasks} tasks, {sessions} sessions ended, {holds} holds");
        ensure!(sessions > 0, "nobody was logged off at all");
        self.fleet.finish().await
    }
}

/// A question of an operator.
enum Ask {
    Start(Operation),
    /// The same request once more, as if its answer had been lost.
    StartAgain(usize),
    Cancel(usize),
    PauseOrResume(usize),
    Hold(String),
    Look(usize),
}

/// Asks. Whether it is answered depends on who is killed meanwhile.
async fn ask(
    fleet: &ProcessFleet,
    plan: Ask,
    operations: &mut Vec<Operation>,
    watched: &mut Watched,
    holds: &mut Holds,
) -> anyhow::Result<()> {
    match plan {
        Ask::Start(mut operation) => {
            let started = operation.start(fleet).await?;
            operations.push(operation);
            ensure_answer(&started)
        }
        Ask::StartAgain(at) => ensure_answer(&operations[at].start(fleet).await?),
        Ask::Cancel(at) => operations[at].cancel(fleet).await,
        Ask::PauseOrResume(at) if operations[at].is_paused => operations[at].resume(fleet).await,
        Ask::PauseOrResume(at) => operations[at].pause(fleet).await,
        Ask::Hold(guest) => holds.step(fleet, guest).await,
        Ask::Look(at) => watched.look(fleet, &mut operations[at]).await.map(drop),
    }
}

/// The same request asked twice is answered, or the connection was lost; it is never refused.
fn ensure_answer(started: &Output) -> anyhow::Result<()> {
    let is_lost = !started.stderr.contains("ALREADY_EXISTS") && !started.stderr.contains("INVALID");
    ensure!(started.code == Some(0) || is_lost, "the request was refused: {started:?}");
    Ok(())
}

fn kill(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).context("a process id")?;
    Ok(rustix::process::kill_process(pid, rustix::process::Signal::KILL)?)
}
