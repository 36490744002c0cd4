//! A stand-in for a host's agent: attaches, says its guests, and does with orders what the test wants.

use curfew_proto::agent::v1::agent_service_client::AgentServiceClient;
use curfew_proto::agent::v1::{
    self as wire, AttachRequest, attach_request::Message as Up, attach_response::Message as Down,
};
use curfew_proto::dial::Dial;
use curfew_proto::v1;
use curfew_types::agent::{
    Cancel, Finding, Hello, LedgerMark, Order, OrderedTask, Report, Safeguards, SafeguardsMark,
};
use curfew_types::outcome::{RESULTS_MAX, SESSION_WHY_MAX};
use curfew_types::session::USER_MAX;
use curfew_types::{
    Drain, DrainAsk, DrainOwner, DrainState, DrainWish, OperationId, Outcome, Reason, SessionCounts,
    SessionFate, SessionResult, StatusCode, Verdict, WallTime,
};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// What becomes of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Succeed,
    Fail,
    /// Each guest had as many sessions as a verdict tells, with as much to say of each.
    SucceedWithMany,
    Nothing,
}

/// What the test and the stream share.
pub(crate) struct State {
    pub(crate) does: Does,
    /// Whether it confirms safeguards.
    pub(crate) confirms: bool,
    pub(crate) guests: u32,
    /// Who is logged on to every guest.
    pub(crate) users: Vec<&'static str>,
    /// Sessions of every guest, beside those of the users, and what its clock shows when it is asked.
    pub(crate) sessions: Vec<v1::Session>,
    pub(crate) clock: Option<WallTime>,
    /// Options that it knows.
    knows: Vec<&'static str>,
    /// All drains of its guests, and what it has been asked about them.
    pub(crate) drains: Vec<Drain>,
    pub(crate) asked: Vec<DrainAsk>,
    /// How a new drain stands; `None`: it does nothing about what it is asked.
    pub(crate) drains_so: Option<DrainState>,
    pub(crate) safeguards: Safeguards,
    /// Tasks that were taken back.
    pub(crate) cancelled: usize,
    pub(crate) ordered: Vec<Order>,
    confirmed: SafeguardsMark,
    outbox: Vec<Finding>,
    acknowledged: u64,
}

/// A host's agent; attaches again for as long as it is there.
pub(crate) struct Agent {
    pub(crate) host: String,
    pub(crate) state: Arc<Mutex<State>>,
    nudge: mpsc::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Agent {
    /// `dial` tells where the controller is now.
    pub(crate) fn start(
        host: &str,
        guests: u32,
        knows: &[&'static str],
        dial: impl Fn() -> Dial + Send + Sync + 'static,
    ) -> Agent {
        let state = State {
            does: Does::Succeed,
            confirms: true,
            guests,
            users: Vec::new(),
            sessions: Vec::new(),
            clock: None,
            knows: knows.to_vec(),
            drains: Vec::new(),
            asked: Vec::new(),
            drains_so: Some(DrainState::InForce),
            safeguards: Safeguards::default(),
            cancelled: 0,
            ordered: Vec::new(),
            confirmed: SafeguardsMark::default(),
            outbox: Vec::new(),
            acknowledged: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let (nudge, mut nudged) = mpsc::channel(4);
        let (name, shared) = (host.to_owned(), state.clone());
        let task = tokio::spawn(async move {
            loop {
                // A controller that is being restarted is tried again.
                let _ = attach(&name, &shared, &dial(), &mut nudged).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Agent { host: host.to_owned(), state, nudge, task }
    }

    /// Changes what it does; what it has to say by now is said.
    pub(crate) async fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("the state"));
        self.nudge.send(()).await.expect("the agent");
    }
}

fn guest_id(host: &str, number: u32) -> String {
    format!("{host}/sim/vm-{number}")
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn attach(host: &str, state: &Mutex<State>, dial: &Dial, nudged: &mut mpsc::Receiver<()>) -> Ended {
    let (up, queue) = mpsc::channel(64);
    up.send(AttachRequest { message: Some(Up::Hello(hello(host, state))) }).await?;
    let channel = dial.connect().await?;
    let mut down = AgentServiceClient::new(channel).attach(ReceiverStream::new(queue)).await?.into_inner();
    loop {
        let said: Vec<Up> = tokio::select! {
            message = down.message() => match message? {
                Some(message) => heard(host, &mut state.lock().expect("the state"), message)?,
                None => return Ok(()),
            },
            Some(()) = nudged.recv() => {
                let state = &mut state.lock().expect("the state");
                let mark = if state.confirms { state.safeguards.mark } else { state.confirmed };
                state.confirmed = mark;
                vec![drains(state), inventory(host, state)]
            }
        };
        for message in said {
            up.send(AttachRequest { message: Some(message) }).await?;
        }
    }
}

fn hello(host: &str, state: &Mutex<State>) -> wire::Hello {
    let state = state.lock().expect("the state");
    let hello = Hello {
        ledger: ledger(&state),
        epoch_seen: 0,
        capabilities: state.knows.iter().map(|name| (*name).to_owned()).collect(),
        unfinished: Vec::new(),
        first_pending_sequence: state.acknowledged + 1,
        inventory_digest: 0,
        safeguards: state.confirmed,
        drains: Vec::new(),
    };
    wire::Hello::new(hello, host, "test")
}

fn ledger(state: &State) -> LedgerMark {
    LedgerMark { incarnation: 7, counter: state.acknowledged + state.outbox.len() as u64 + 1 }
}

fn heard(
    host: &str,
    state: &mut State,
    message: wire::AttachResponse,
) -> Result<Vec<Up>, Box<dyn std::error::Error + Send + Sync>> {
    Ok(match message.message {
        Some(Down::Welcome(_)) => vec![drains(state), inventory(host, state)],
        Some(Down::Inventory(_)) => vec![inventory(host, state)],
        Some(Down::Drain(request)) => {
            let ask = DrainAsk::try_from(request)?;
            state.asked.push(ask.clone());
            let Some(stands) = state.drains_so else { return Ok(Vec::new()) };
            take_wish(state, ask, stands);
            vec![drains(state)]
        }
        Some(Down::Order(order)) => {
            let order: Order = order.try_into()?;
            state.ordered.push(order.clone());
            let verdict = match state.does {
                Does::Succeed => {
                    Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::SessionsEnded, "1 session ended")
                }
                Does::Fail => {
                    Verdict::new(Outcome::Failed, StatusCode::Unexpected, Reason::ProviderFailed, "it broke")
                }
                Does::SucceedWithMany => with_many(),
                Does::Nothing => return Ok(Vec::new()),
            };
            finish(state, order.operation, order.tasks, &verdict)
        }
        Some(Down::Cancel(cancel)) => {
            let cancel: Cancel = cancel.try_into()?;
            state.cancelled += cancel.tasks.len();
            let verdict = Verdict::new(Outcome::Cancelled, StatusCode::Ok, Reason::NotStarted, "taken back");
            finish(state, cancel.operation, cancel.tasks, &verdict)
        }
        Some(Down::Acknowledgement(acknowledgement)) => {
            let new = acknowledgement.sequence.saturating_sub(state.acknowledged);
            state.outbox.drain(..usize::try_from(new)?.min(state.outbox.len()));
            state.acknowledged = acknowledgement.sequence.max(state.acknowledged);
            Vec::new()
        }
        Some(Down::Safeguards(safeguards)) => {
            state.safeguards = safeguards.try_into()?;
            if !state.confirms {
                return Ok(Vec::new());
            }
            state.confirmed = state.safeguards.mark;
            vec![report(state)]
        }
        Some(Down::Sessions(query)) => {
            let answer = |guest_id| {
                let session = |user: &&str| v1::Session { user: (*user).into(), ..v1::Session::default() };
                Up::Sessions(wire::SessionsAnswer {
                    query: query.query,
                    guest_id,
                    status: Some(StatusCode::Ok.into()),
                    message: String::new(),
                    sessions: state.users.iter().map(session).chain(state.sessions.clone()).collect(),
                    clock: state.clock.map(curfew_proto::convert::timestamp),
                })
            };
            query.guest_ids.into_iter().map(answer).collect()
        }
        Some(Down::Heartbeat(_)) | None => Vec::new(),
    })
}

fn with_many() -> Verdict {
    let result = |number: usize| SessionResult {
        id: number.to_string(),
        user: "u".repeat(USER_MAX),
        fate: SessionFate::Ended,
        notices: 1,
        why: "w".repeat(SESSION_WHY_MAX),
    };
    let counts = SessionCounts { found: 100, ended: 100, ..SessionCounts::default() };
    Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::SessionsEnded, "100 sessions ended")
        .with_sessions(counts, (0..RESULTS_MAX).map(result).collect())
}

fn finish(state: &mut State, operation: OperationId, tasks: Vec<OrderedTask>, verdict: &Verdict) -> Vec<Up> {
    let finding = |task: OrderedTask| Finding {
        operation,
        index: task.index,
        guest: task.guest,
        verdict: verdict.clone().into(),
        late: false,
    };
    state.outbox.extend(tasks.into_iter().map(finding));
    vec![report(state)]
}

/// The wall clock of the machine.
pub(crate) fn now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time");
    WallTime(i64::try_from(since.as_millis()).expect("a time"))
}

fn take_wish(state: &mut State, ask: DrainAsk, stands: DrainState) {
    match ask.what {
        DrainWish::Set { for_ms, by, reason } => {
            state.drains.retain(|drain| drain.guest != ask.guest || drain.owner != DrainOwner::Hand);
            let problem = if stands == DrainState::Pending { "the guest does not answer" } else { "" }.into();
            let (owner, until) = (DrainOwner::Hand, now().plus(for_ms));
            state.drains.push(Drain { guest: ask.guest, owner, until, by, reason, state: stands, problem });
        }
        DrainWish::Lift(owner) => {
            state.drains.retain(|drain| drain.guest != ask.guest || drain.owner != owner);
        }
        DrainWish::LiftAll => state.drains.retain(|drain| drain.guest != ask.guest),
    }
}

/// Everything that is not acknowledged, and the safeguards in force.
fn report(state: &State) -> Up {
    Up::Report(to_report(state).into())
}

/// The same with all drains.
fn drains(state: &State) -> Up {
    Up::Report(Report { drains: Some(state.drains.clone()), ..to_report(state) }.into())
}

fn to_report(state: &State) -> Report {
    Report {
        first_sequence: state.acknowledged + 1,
        findings: state.outbox.clone(),
        ledger: ledger(state),
        safeguards: state.confirmed,
        ..Report::default()
    }
}

fn inventory(host: &str, state: &State) -> Up {
    let guest = |number| wire::Guest {
        id: guest_id(host, number),
        name: format!("{host}-vm-{number}"),
        provider: "sim".into(),
        os: "linux".into(),
        power_state: v1::PowerState::Running.into(),
        is_host: false,
        labels: Default::default(),
    };
    let upserts = (0..state.guests).map(guest).collect();
    Up::Inventory(wire::Inventory {
        replace: true,
        upserts,
        removed: Vec::new(),
        digest: u64::from(state.guests),
    })
}
