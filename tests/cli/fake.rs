//! A controller that only plays one: answers with what the test wrote down, and writes down what it was asked.

mod fleet;
mod operations;
mod tls;

use curfew_proto::v1;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tonic::Status;

/// What one watch shows, and how its stream ends.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    /// One picture after another.
    pub(crate) pictures: Vec<v1::Operation>,
    /// What comes after the last.
    pub(crate) then: Then,
}

/// What comes after the last picture of a watch.
#[derive(Clone, Debug)]
pub(crate) enum Then {
    /// The stream ends, as it does when the operation ended.
    End,
    /// The stream stays open, and silent.
    Silence,
    /// Every connection is cut.
    Cut,
}

/// What the controller knows.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) hosts: Vec<v1::Host>,
    pub(crate) guests: Vec<v1::Guest>,
    pub(crate) sessions: Vec<v1::ListSessionsResponse>,
    /// Guests that answer only once the test says so.
    pub(crate) slow_sessions: Option<(Arc<Notify>, Vec<v1::ListSessionsResponse>)>,
    pub(crate) preview: Vec<v1::PreviewGuest>,
    /// What a preview says beside the guests.
    pub(crate) preview_as: v1::PreviewOperationResponse,
    /// The guests that are there once a set that was shown is to be started.
    pub(crate) preview_then: Option<Vec<v1::PreviewGuest>>,
    /// What an approval is answered with; approved if it is not given.
    pub(crate) approval: Option<v1::ApproveOperationResponse>,
    pub(crate) holds: Vec<v1::Hold>,
    pub(crate) drains: Vec<v1::Drain>,
    /// Hosts whose drains are as they were told last.
    pub(crate) unconnected_hosts: u64,
    pub(crate) users: Vec<v1::ProtectedUser>,
    pub(crate) freeze: Option<v1::FreezeState>,
    /// The store is away.
    pub(crate) is_store_away: bool,
    /// How many starts get no answer before one does.
    pub(crate) unanswered_starts: usize,
    /// Refuses every call.
    pub(crate) refusal: Option<Status>,
    /// Refuses what is asked with this word.
    pub(crate) refusal_of: Option<(&'static str, Status)>,
    /// One for each watch that comes.
    pub(crate) watches: VecDeque<Watch>,
    /// The operation, as it reads between watches.
    pub(crate) operation: v1::Operation,
    pub(crate) tasks: Vec<v1::Task>,
    /// What was started, or was to be.
    pub(crate) specs: Vec<v1::OperationSpec>,
    /// What was asked, in order.
    pub(crate) asked: Vec<String>,
    /// Connections that are open.
    pub(crate) connections: Vec<AbortHandle>,
}

/// A running controller.
#[derive(Clone)]
pub(crate) struct Fake {
    script: Arc<Mutex<Script>>,
    files: Arc<tls::Files>,
}

impl Fake {
    /// Starts one on a port of its own.
    pub(crate) async fn start(script: Script) -> Fake {
        let script = Arc::new(Mutex::new(script));
        let files = tls::serve(Service { script: script.clone() }).await;
        Fake { script, files: Arc::new(files) }
    }

    /// The file with the context that leads here.
    pub(crate) fn config(&self) -> &str {
        &self.files.config
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.lock().asked.clone()
    }

    /// What was started last.
    pub(crate) fn last_spec(&self) -> v1::OperationSpec {
        self.lock().specs.last().cloned().expect("something was started")
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no test panicked while it held the script")
    }
}

/// Both services.
#[derive(Clone)]
struct Service {
    script: Arc<Mutex<Script>>,
}

impl Service {
    /// Writes down what was asked, and refuses where the script says so.
    fn asked(&self, what: String) -> Result<MutexGuard<'_, Script>, Status> {
        let mut script = self.script.lock().map_err(|_| Status::internal("a test panicked"))?;
        let refusal = match &script.refusal_of {
            Some((word, status)) if what.starts_with(word) => Some(status.clone()),
            Some(_) | None => script.refusal.clone(),
        };
        script.asked.push(what);
        refusal.map_or(Ok(script), Err)
    }
}

impl Script {
    fn cut_connections(&mut self) {
        self.connections.drain(..).for_each(|connection| connection.abort());
    }
}

/// A page of a list, as the API pages: the token is the place of the next item.
fn page<T: Clone>(all: &[T], size: u32, token: &str) -> (Vec<T>, String) {
    let from: usize = token.parse().unwrap_or(0);
    let to = (from + size as usize).min(all.len());
    (all[from..to].to_vec(), if to < all.len() { to.to_string() } else { String::new() })
}

/// The digest of a set of guests, as far as a fake needs one.
fn digest(guests: &[v1::PreviewGuest]) -> String {
    match guests.len() {
        0 | 4 => "digest".into(),
        other => format!("digest-of-{other}"),
    }
}

/// An operation of three guests: two well, one timed out if it has ended.
pub(crate) fn operation(revision: u64, ended: u64) -> v1::Operation {
    let count = |outcome: v1::Outcome, tasks| v1::OutcomeCount { outcome: outcome.into(), tasks };
    let outcomes = match ended {
        0 => Vec::new(),
        1 | 2 => vec![count(v1::Outcome::Succeeded, ended)],
        _ => vec![count(v1::Outcome::Succeeded, 2), count(v1::Outcome::TimedOut, 1)],
    };
    let state = if ended < 3 { v1::OperationState::Running } else { v1::OperationState::Ended };
    let time = |seconds| Some(pbjson_types::Timestamp { seconds, nanos: 0 });
    v1::Operation {
        id: "op-0123456789abc".into(),
        state: state.into(),
        revision,
        task_count: 3,
        percent_completed: u32::try_from(ended * 100 / 3).expect("at most 100"),
        outcomes,
        ended_well_count: ended.min(2),
        selection_digest: "digest".into(),
        requester: "tester".into(),
        create_time: time(1_795_000_000),
        end_time: if ended < 3 { None } else { time(1_795_000_004) },
        recorded: true,
        ..Default::default()
    }
}

/// The same operation when all three ended well.
pub(crate) fn ended_well(revision: u64) -> v1::Operation {
    let outcome = v1::Outcome::Succeeded.into();
    v1::Operation {
        outcomes: vec![v1::OutcomeCount { outcome, tasks: 3 }],
        ended_well: true,
        ended_well_count: 3,
        ..operation(revision, 3)
    }
}

/// The task that timed out.
pub(crate) fn timed_out() -> v1::Task {
    v1::Task {
        id: "op-0123456789abc/2".into(),
        operation_id: "op-0123456789abc".into(),
        guest_id: "host-1/simulated/2".into(),
        guest_name: "desk-2".into(),
        host: "host-1".into(),
        stage: v1::Stage::Done.into(),
        percent_completed: 100,
        is_complete: true,
        result: v1::TaskResult::TimeOutError.into(),
        result_value: 6,
        verdict: Some(v1::Verdict {
            outcome: v1::Outcome::TimedOut.into(),
            status: Some(v1::Status { code: v1::StatusCode::TimedOut.into(), hresult: 0xA004_0202 }),
            reason: "guest_silent".into(),
            message: "the guest did not answer".into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A preview of three guests that are in and one that is not.
pub(crate) fn preview() -> Vec<v1::PreviewGuest> {
    let guest = |number: u32, included, note: &str| v1::PreviewGuest {
        guest_id: format!("host-1/simulated/{number}"),
        guest_name: format!("desk-{number}"),
        host: "host-1".into(),
        included,
        note: note.into(),
        ..v1::PreviewGuest::default()
    };
    vec![guest(0, true, ""), guest(1, true, ""), guest(2, true, ""), guest(3, false, "not running")]
}

/// A script in which a logoff of three guests goes through these watches.
pub(crate) fn logoff_script(watches: Vec<Watch>) -> Script {
    Script {
        preview: preview(),
        operation: operation(1, 0),
        tasks: vec![timed_out()],
        watches: watches.into(),
        ..Script::default()
    }
}
