//! A core on a bench: time is a number, guests answer when the test says so, and the ledger is a list.

use curfew_agent_core::call::{
    DrainReply, EndMode, EndReply, Error, NoticeReply, Request, SessionList, UndrainReply,
};
use curfew_agent_core::{Action, Core, Entry, Event, Settings, ledger};
use curfew_types::agent::{Cancel, Finding, Order, OrderedTask, Report, SafeguardsMark};
use curfew_types::{
    Drain, GuestId, Logoff, Mono, Now, OperationId, Session, SessionKey, SessionState, StatusCode, Verdict,
    WallTime,
};

/// A task's time in the orders that a bench gives.
pub(crate) const TIMEOUT_MS: u64 = 20_000;
/// How long what nobody waits for is held back for company.
pub(crate) const COMPANY_MS: u64 = 50;
/// The time of such an order.
pub(crate) const REMAINING_MS: u64 = 60_000;

pub(crate) fn id(guest: &str) -> GuestId {
    guest.parse().expect("a guest id")
}

pub(crate) fn operation(number: u64) -> OperationId {
    OperationId::from_number(number).expect("fits")
}

/// An order of operation 1 for guests, whose tasks are numbered from 0.
pub(crate) fn order(guests: &[&str]) -> Order {
    Order {
        operation: operation(1),
        epoch: 1,
        remaining_ms: REMAINING_MS,
        task_timeout_ms: TIMEOUT_MS,
        logoff: Logoff::default(),
        required_capabilities: Vec::new(),
        safeguards: SafeguardsMark::default(),
        tasks: ordered(guests),
    }
}

fn ordered(guests: &[&str]) -> Vec<OrderedTask> {
    (0..).zip(guests).map(|(index, guest)| OrderedTask { index, guest: id(guest) }).collect()
}

pub(crate) fn cancel(guests: &[&str]) -> Cancel {
    Cancel { operation: operation(1), epoch: 1, tasks: ordered(guests), only_unaccepted: false }
}

/// Entries as a ledger's file gives them back.
pub(crate) fn as_read_back(entries: &[Entry]) -> Vec<Entry> {
    let read_back = |line| {
        let json = serde_json::to_vec(&line).expect("lines are JSON");
        ledger::entries(&json).expect("lines read back")
    };
    ledger::lines(entries).flat_map(read_back).collect()
}

/// A session of the guest's first boot.
pub(crate) fn key(session: &str) -> SessionKey {
    SessionKey { boot: "first".into(), id: session.into(), began_us: 1 }
}

/// What a guest in its first boot lists.
pub(crate) fn listing(sessions: &[&str]) -> SessionList {
    listing_of_boot("first", sessions)
}

pub(crate) fn listing_of_boot(boot: &str, sessions: &[&str]) -> SessionList {
    let session = |name: &&str| Session {
        key: SessionKey { boot: boot.into(), ..key(name) },
        user: format!("user-{name}"),
        state: SessionState::Active,
        kind: "ssh".into(),
        origin: String::new(),
        since: WallTime(0),
        idle_ms: None,
    };
    let sessions = sessions.iter().map(session).collect();
    SessionList { boot: boot.into(), sessions, ..SessionList::default() }
}

pub(crate) fn error(code: StatusCode) -> Error {
    Error::new(code, "the guest said no")
}

/// A call that is out.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    pub(crate) call: u64,
    pub(crate) guest: GuestId,
    pub(crate) request: Request,
    pub(crate) budget_ms: u64,
}

/// A core, the time, its ledger, and what it wanted done in its last turn.
pub(crate) struct Bench {
    pub(crate) core: Core,
    pub(crate) ms: u64,
    boot: String,
    pub(crate) ledger: Vec<Entry>,
    pub(crate) actions: Vec<Action>,
    /// Calls without an answer, oldest first.
    out: Vec<Out>,
    /// The drains as reports told them last.
    pub(crate) drains: Vec<Drain>,
}

impl Bench {
    /// An agent with an empty ledger that has met its controller.
    pub(crate) fn new() -> Bench {
        let mut bench = Bench::recover(Vec::new(), 0, "boot-1");
        bench.handle(Event::Welcomed { epoch: 1, acknowledged: 0 });
        bench
    }

    /// An agent that begins again from a ledger, and has not met its controller.
    pub(crate) fn recover(ledger: Vec<Entry>, ms: u64, boot: &str) -> Bench {
        let core = Core::recover(now(ms), Settings::default(), boot.into(), 7, ledger.clone());
        let mut bench = Bench {
            core,
            ms,
            boot: boot.into(),
            ledger,
            actions: Vec::new(),
            out: Vec::new(),
            drains: Vec::new(),
        };
        bench.end_turn();
        bench
    }

    /// The same machine, whose agent was killed and is back after `ms`.
    pub(crate) fn restart(self, ms: u64) -> Bench {
        let boot = self.boot.clone();
        Bench::recover(self.read_back(), self.ms + ms, &boot)
    }

    /// The ledger as its file gives it back.
    pub(crate) fn read_back(&self) -> Vec<Entry> {
        as_read_back(&self.ledger)
    }

    pub(crate) fn now(&self) -> Now {
        now(self.ms)
    }

    pub(crate) fn handle(&mut self, event: Event) {
        self.hold(event);
        self.end_turn();
    }

    /// Takes an event in and leaves the turn open.
    pub(crate) fn hold(&mut self, event: Event) {
        if let Event::Listed { call, .. }
        | Event::Ended { call, .. }
        | Event::Notified { call, .. }
        | Event::Drained { call, .. }
        | Event::Undrained { call, .. } = &event
        {
            self.out.retain(|out| out.call != *call);
        }
        self.core.handle(self.now(), event);
    }

    pub(crate) fn end_turn(&mut self) {
        self.core.end_turn(self.now());
        self.actions = std::iter::from_fn(|| self.core.poll_action()).collect();
        self.ledger.extend(self.writes());
        self.out.extend(self.calls());
        for told in self.reports().into_iter().filter_map(|report| report.drains) {
            self.drains = told;
        }
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.ms += ms;
        self.handle(Event::Tick);
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.handle(Event::Ordered(order.into()));
    }

    /// Entries of the last turn.
    pub(crate) fn writes(&self) -> Vec<Entry> {
        self.actions
            .iter()
            .filter_map(|action| if let Action::Write(entry) = action { Some(entry.clone()) } else { None })
            .collect()
    }

    /// Calls of the last turn.
    pub(crate) fn calls(&self) -> Vec<Out> {
        let call = |action: &Action| match action {
            Action::Call { call, guest, request, budget_ms } => Some(Out {
                call: *call,
                guest: guest.clone(),
                request: request.clone(),
                budget_ms: *budget_ms,
            }),
            Action::Write(_) | Action::Send(_) | Action::Note { .. } => None,
        };
        self.actions.iter().filter_map(call).collect()
    }

    /// The one call of the last turn.
    pub(crate) fn call(&self) -> Out {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls[0].clone()
    }

    /// The session that the one call of the last turn ends, and how.
    pub(crate) fn ends(&self) -> (String, EndMode) {
        match self.call().request {
            Request::End { session, how, .. } => (session.id.clone(), how),
            other => panic!("it asks for something else: {other:?}"),
        }
    }

    /// Answers the listing that is out in the last turn, or comes within a while.
    pub(crate) fn list(&mut self, answer: Result<SessionList, Error>) {
        let call = self.next_call();
        assert!(matches!(call.request, Request::List(_)), "{call:?}");
        self.handle(Event::Listed { call: call.call, result: answer });
    }

    /// Answers the request to end a session that is out.
    pub(crate) fn ended(&mut self, answer: Result<EndReply, Error>) {
        let call = self.next_call();
        assert!(matches!(call.request, Request::End { .. }), "{call:?}");
        self.handle(Event::Ended { call: call.call, result: answer });
    }

    /// Answers the notice that is out, or comes within a while; returns whom it was shown to, and the text.
    pub(crate) fn notified(&mut self, answer: NoticeReply) -> (Vec<String>, String) {
        let call = self.next_call();
        let Request::Notify { sessions, text } = call.request else { panic!("{call:?}") };
        let result = Ok(vec![answer; sessions.len()]);
        self.handle(Event::Notified { call: call.call, result });
        (sessions.into_iter().map(|session| session.id).collect(), text)
    }

    /// Answers the request to refuse new logons that is out, or comes within a while; returns for how long.
    pub(crate) fn drained(&mut self, answer: Result<DrainReply, Error>) -> u64 {
        let call = self.next_call();
        let Request::Drain(order) = call.request else { panic!("{call:?}") };
        self.handle(Event::Drained { call: call.call, result: answer });
        order.for_ms
    }

    /// Answers the request to take logons again that is out, or comes within a while.
    pub(crate) fn undrained(&mut self, answer: Result<UndrainReply, Error>) {
        let call = self.next_call();
        assert_eq!(call.request, Request::Undrain);
        self.handle(Event::Undrained { call: call.call, result: answer });
    }

    /// Whether nothing is out and nothing comes before `ms` from now on.
    pub(crate) fn is_quiet_for(&mut self, ms: u64) -> bool {
        let end = self.now().mono.plus(ms);
        while self.out.is_empty() {
            match self.core.poll_timeout() {
                Some((at, _)) if at < end => self.pass(at.since(self.now().mono)),
                _ => return true,
            }
        }
        false
    }

    /// The oldest call that is out, or the next one when its moment comes.
    pub(crate) fn next_call(&mut self) -> Out {
        for _ in 0..20 {
            if let Some(out) = self.out.first() {
                return out.clone();
            }
            let (at, _) = self.core.poll_timeout().expect("a moment");
            let wait = at.since(self.now().mono);
            self.pass(wait);
        }
        panic!("no call is made");
    }

    /// Answers every call until the task ends: listings with this one, requests to end with having been made.
    pub(crate) fn run_out(&mut self, list: &SessionList) -> Verdict {
        while self.findings().is_empty() {
            match self.out.first().map(|out| out.request.clone()) {
                Some(Request::List(_)) => self.list(Ok(list.clone())),
                Some(Request::End { .. }) => self.ended(Ok(EndReply::Asked)),
                Some(other) => panic!("it asks for something else: {other:?}"),
                None => {
                    let (at, _) = self.core.poll_timeout().expect("a moment");
                    self.pass(at.since(self.now().mono));
                }
            }
        }
        self.verdict()
    }

    /// Findings of the last turn's reports.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        self.reports().into_iter().flat_map(|report| report.findings).collect()
    }

    pub(crate) fn reports(&self) -> Vec<Report> {
        self.actions
            .iter()
            .filter_map(|action| if let Action::Send(report) = action { Some(report.clone()) } else { None })
            .collect()
    }

    /// The outcome of the last turn.
    pub(crate) fn verdict(&self) -> Verdict {
        let findings = self.findings();
        assert_eq!(findings.len(), 1, "{:?}", self.actions);
        findings[0].verdict.as_ref().clone()
    }

    /// The last outcome in the ledger, of whichever turn.
    pub(crate) fn past_verdict(&self) -> Verdict {
        let finished = self.ledger.iter().rev().find_map(|entry| match entry {
            Entry::Finished { verdict, .. } => Some(verdict.as_ref().clone()),
            _ => None,
        });
        finished.expect("an outcome")
    }

    /// One guest with these sessions, its act moment past, and the first request to end one out.
    pub(crate) fn acting(sessions: &[&str]) -> Bench {
        let mut bench = Bench::new();
        bench.order(order(&["vm-1"]));
        bench.list(Ok(listing(sessions)));
        bench
    }

    /// Every session was told to end once.
    pub(crate) fn asked(sessions: &[&str]) -> Bench {
        let mut bench = Bench::acting(sessions);
        for _ in sessions {
            bench.ended(Ok(EndReply::Asked));
        }
        bench
    }
}

fn now(ms: u64) -> Now {
    Now { mono: Mono(500_000 + ms), wall: WallTime(1_795_000_000_000).plus(ms) }
}
