//! A core on a bench: time is a number, and everything it wants done is kept to be looked at.

use curfew_controller_core::record::{Record, Recovered};
use curfew_controller_core::view::{OperationView, TaskView};
use curfew_controller_core::{
    Action, AttachError, Core, Event, Frame, Settings, StartError, StartRequest, Welcome,
};
use curfew_types::agent::{
    Cancel, Finding, Hello, LedgerMark, Order, Report, Safeguards, SafeguardsMark, TaskProgress,
};
use curfew_types::label::Labels;
use curfew_types::{
    Guest, GuestId, HostName, Mono, Now, OperationId, OperationSpec, OsFamily, Outcome, PowerState, Reason,
    Selection, SessionCounts, Stage, StatusCode, TaskId, Verdict, WallTime,
};

/// When every bench begins, on the wall.
const WALL: i64 = 1_795_000_000_000;

pub(crate) fn host(name: &str) -> HostName {
    name.parse().expect("a host name")
}

pub(crate) fn id(text: &str) -> GuestId {
    text.parse().expect("a guest id")
}

/// A running guest whose name is its id.
pub(crate) fn guest(name: &str) -> Guest {
    Guest {
        id: id(name),
        name: name.into(),
        provider: "simulated".into(),
        os: OsFamily::Linux,
        power: PowerState::Running,
        is_host: false,
        labels: Labels::new(),
    }
}

/// The selection of the whole fleet.
pub(crate) fn all() -> Selection {
    Selection { all: true, ..Selection::default() }
}

/// The selection of guests by id.
pub(crate) fn ids(guests: &[&str]) -> Selection {
    Selection { guest_ids: guests.iter().map(|guest| id(guest)).collect(), ..Selection::default() }
}

pub(crate) fn ledger(incarnation: u64, counter: u64) -> LedgerMark {
    LedgerMark { incarnation, counter }
}

/// The hello of an agent that has nothing to tell.
pub(crate) fn hello() -> Hello {
    Hello {
        ledger: ledger(7, 10),
        epoch_seen: 0,
        capabilities: Vec::new(),
        unfinished: Vec::new(),
        first_pending_sequence: 1,
        inventory_digest: 1,
        safeguards: SafeguardsMark::default(),
        drains: Vec::new(),
    }
}

/// What an operator asks for.
pub(crate) fn request(spec: OperationSpec, entropy: u64) -> StartRequest {
    StartRequest {
        requester: "operator".into(),
        spec,
        only: None,
        expected_count: None,
        expected_digest: None,
        entropy,
    }
}

pub(crate) fn succeeded() -> Verdict {
    Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::SessionsEnded, "1 session ended")
}

pub(crate) fn timed_out() -> Verdict {
    Verdict::new(
        Outcome::TimedOut,
        StatusCode::TimedOut,
        Reason::SessionsRemain,
        "1 of 1 sessions did not end",
    )
}

/// A core, the time, and what it wanted done in its last turn.
pub(crate) struct Bench {
    pub(crate) core: Core,
    pub(crate) ms: u64,
    sessions: u64,
    /// Findings that [`Bench::end_well`] made, over all hosts.
    found: u64,
    pub(crate) actions: Vec<Action>,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::recover(Recovered::default(), 0)
    }

    /// A bench that goes on from what a store knows, `ms` after the beginning.
    pub(crate) fn recover(recovered: Recovered, ms: u64) -> Bench {
        Bench::with_settings(Settings::default(), recovered, ms)
    }

    pub(crate) fn with_settings(settings: Settings, recovered: Recovered, ms: u64) -> Bench {
        let mut bench = Bench {
            core: Core::recover(now(ms), settings, recovered),
            ms,
            sessions: 0,
            found: 0,
            actions: vec![],
        };
        bench.drain();
        bench
    }

    /// A fleet of hosts, each with guests, every one attached.
    pub(crate) fn with(hosts: &[(&str, &[&str])]) -> Bench {
        let mut bench = Bench::new();
        bench.add(hosts);
        bench
    }

    /// Attaches hosts with their guests.
    pub(crate) fn add(&mut self, hosts: &[(&str, &[&str])]) {
        for (name, guests) in hosts {
            self.attach(name);
            self.inventory(name, guests.iter().map(|name| guest(name)).collect());
        }
    }

    pub(crate) fn now(&self) -> Now {
        now(self.ms)
    }

    fn drain(&mut self) {
        self.actions = std::iter::from_fn(|| self.core.poll_action()).collect();
    }

    pub(crate) fn handle(&mut self, event: Event) {
        self.core.handle(self.now(), event);
        self.drain();
    }

    /// Lets time pass and wakes the core.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.ms += ms;
        self.handle(Event::Tick);
    }

    pub(crate) fn attach(&mut self, name: &str) -> u64 {
        let hello = hello();
        self.attach_with(name, &hello).expect("attaches");
        self.sessions
    }

    pub(crate) fn attach_with(&mut self, name: &str, hello: &Hello) -> Result<Welcome, AttachError> {
        self.sessions += 1;
        let answer = self.core.attach(self.now(), &host(name), self.sessions, hello, "1.0");
        self.drain();
        answer
    }

    /// The session of the attachment that came last.
    pub(crate) fn last_session(&self) -> u64 {
        self.sessions
    }

    pub(crate) fn detach(&mut self, name: &str, session: u64) {
        self.handle(Event::Detached { host: host(name), session });
    }

    /// Replaces a host's inventory, over the attachment that came last unless the host has an older one.
    pub(crate) fn inventory(&mut self, name: &str, upserts: Vec<Guest>) {
        for session in 1..=self.sessions {
            self.inventory_of(name, session, upserts.clone());
        }
    }

    /// Replaces a host's inventory over this attachment.
    pub(crate) fn inventory_of(&mut self, name: &str, session: u64, upserts: Vec<Guest>) {
        let (host, removed) = (host(name), Vec::new());
        self.handle(Event::InventoryChanged { host, session, replace: true, upserts, removed, digest: 1 });
    }

    pub(crate) fn start(&mut self, spec: OperationSpec) -> OperationId {
        self.try_start(spec).expect("starts").id
    }

    pub(crate) fn try_start(&mut self, spec: OperationSpec) -> Result<OperationView, StartError> {
        let request = request(spec, self.ms);
        let answer = self.core.start(self.now(), request);
        self.drain();
        answer
    }

    /// Starts a plain logoff of the whole fleet.
    pub(crate) fn start_all(&mut self) -> OperationId {
        self.start(OperationSpec::plain(all()))
    }

    pub(crate) fn cancel(&mut self, operation: OperationId) {
        self.core.cancel_operation(self.now(), operation, "operator", "").expect("cancels");
        self.drain();
    }

    pub(crate) fn report(&mut self, name: &str, session: u64, report: Report) {
        self.handle(Event::Reported { host: host(name), session, report });
    }

    /// A task's outcome comes as the finding with this number.
    pub(crate) fn find(&mut self, session: u64, sequence: u64, task: TaskId, verdict: Verdict) {
        let view = self.task(task);
        let (operation, index, guest) = (task.operation, task.index, view.guest);
        let finding = Finding { operation, index, guest, verdict: verdict.into(), late: false };
        let report = Report {
            first_sequence: sequence,
            findings: vec![finding],
            ledger: ledger(7, 10 + sequence),
            ..Report::default()
        };
        self.report(view.host.as_str(), session, report);
    }

    pub(crate) fn progress(&mut self, session: u64, task: TaskId, stage: Stage) {
        let view = self.task(task);
        let progress = vec![progress(task, stage)];
        let report = Report { progress, first_sequence: 1, ledger: ledger(7, 10), ..Report::default() };
        self.report(view.host.as_str(), session, report);
    }

    pub(crate) fn task(&self, id: TaskId) -> TaskView {
        self.core.task(id).expect("in memory")
    }

    pub(crate) fn operation(&self, id: OperationId) -> OperationView {
        self.core.operation(id).expect("in memory")
    }

    /// How the task of this guest ended.
    pub(crate) fn verdict(&self, operation: OperationId, guest: &str) -> Option<Verdict> {
        self.tasks(operation).into_iter().find(|task| task.guest == id(guest)).expect("has it").verdict
    }

    pub(crate) fn tasks(&self, operation: OperationId) -> Vec<TaskView> {
        self.core.tasks(operation, 0, usize::MAX).expect("in memory")
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.actions
            .iter()
            .filter_map(
                |action| if let Action::Record(record) = action { Some(record.clone()) } else { None },
            )
            .collect()
    }

    /// What the last turn had to say to whoever reads the log.
    pub(crate) fn notes(&self) -> Vec<String> {
        let note = |action: &Action| match action {
            Action::Note { text, .. } => Some(text.clone()),
            Action::Record(_) | Action::Publish(_) | Action::Send { .. } | Action::Disconnect { .. } => None,
        };
        self.actions.iter().filter_map(note).collect()
    }

    /// The frames of the last turn, with their host and whether they are urgent.
    pub(crate) fn frames(&self) -> Vec<(HostName, Frame, bool)> {
        let sent = |action: &Action| match action {
            Action::Send { host, frame, urgent, .. } => Some((host.clone(), frame.clone(), *urgent)),
            Action::Record(_) | Action::Publish(_) | Action::Disconnect { .. } | Action::Note { .. } => None,
        };
        self.actions.iter().filter_map(sent).collect()
    }

    pub(crate) fn orders(&self) -> Vec<Order> {
        let frames = self.frames().into_iter();
        frames
            .filter_map(|(_, frame, _)| if let Frame::Order(order) = frame { Some(order) } else { None })
            .collect()
    }

    pub(crate) fn cancels(&self) -> Vec<Cancel> {
        let frames = self.frames().into_iter();
        frames
            .filter_map(|(_, frame, _)| if let Frame::Cancel(cancel) = frame { Some(cancel) } else { None })
            .collect()
    }

    /// The safeguards that the last turn sent, with their hosts.
    pub(crate) fn safeguards(&self) -> Vec<(String, Safeguards)> {
        let frames = self.frames().into_iter();
        frames
            .filter_map(|(host, frame, urgent)| match frame {
                Frame::Safeguards(safeguards) if urgent => Some((host.to_string(), (*safeguards).clone())),
                _ => None,
            })
            .collect()
    }

    /// Lets a request change the core, and keeps what it wants done.
    pub(crate) fn ask<T>(&mut self, work: impl FnOnce(&mut Core, Now) -> T) -> T {
        let now = self.now();
        let answer = work(&mut self.core, now);
        self.drain();
        answer
    }

    /// Ends these tasks well, one finding after the other.
    pub(crate) fn end_well(&mut self, session: u64, operation: OperationId, indices: &[u32]) {
        for index in indices {
            self.found += 1;
            let sequence = self.found;
            self.find(session, sequence, task(operation, *index), succeeded());
        }
    }

    /// The guests that the orders of the last turn name.
    pub(crate) fn ordered(&self) -> Vec<String> {
        self.orders().into_iter().flat_map(|order| order.tasks).map(|task| task.guest.to_string()).collect()
    }

    pub(crate) fn acknowledged(&self) -> Option<u64> {
        let frames = self.frames().into_iter();
        frames
            .filter_map(|(_, frame, _)| if let Frame::Acknowledge(to) = frame { Some(to) } else { None })
            .last()
    }
}

pub(crate) fn progress(task: TaskId, stage: Stage) -> TaskProgress {
    let (operation, index) = (task.operation, task.index);
    TaskProgress { operation, index, stage, sessions: SessionCounts::default() }
}

pub(crate) fn task(operation: OperationId, index: u32) -> TaskId {
    TaskId { operation, index }
}

fn now(ms: u64) -> Now {
    Now { mono: Mono(1_000_000 + ms), wall: WallTime(WALL).plus(ms) }
}
