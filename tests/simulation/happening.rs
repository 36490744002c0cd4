//! Everything that can happen in the simulated world, by itself or because the plan says so.

use curfew_agent_core::Event;
use curfew_agent_core::call::{DrainReply, EndReply, Error, NoticeReply, Request, SessionList, UndrainReply};
use curfew_controller_core::{Frame, Welcome};
use curfew_types::agent::{Hello, Report};
use curfew_types::{Guest, GuestId};

/// What an agent says over its stream.
#[derive(Clone, Debug)]
pub(crate) enum Up {
    /// The first thing on a stream.
    Hello(Box<Hello>),
    /// A report.
    Report(Box<Report>),
    /// The whole inventory.
    Inventory {
        /// All guests.
        guests: Vec<Guest>,
        /// Guests that are gone since.
        removed: Vec<GuestId>,
        /// Whether this is everything.
        replace: bool,
        /// The digest of all afterwards.
        digest: u64,
    },
}

/// What the controller says over a stream.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "most of them are the large one")]
pub(crate) enum Down {
    /// The answer to the hello.
    Welcome(Welcome),
    /// The hello was refused, or the controller ends the stream.
    Refused,
    /// A frame of the core's.
    Frame(Frame),
}

/// What a guest answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// To a listing.
    Listed(Result<SessionList, Error>),
    /// To a request to end a session.
    Ended(Result<EndReply, Error>),
    /// To a request to show a notice.
    Notified(Result<Vec<NoticeReply>, Error>),
    /// To a request to refuse new logons.
    Drained(Result<DrainReply, Error>),
    /// To a request to allow new logons again.
    Undrained(Result<UndrainReply, Error>),
}

impl Answer {
    /// The answer to a request that failed.
    pub(crate) fn failed(request: &Request, error: Error) -> Answer {
        match request {
            Request::List(_) => Answer::Listed(Err(error)),
            Request::End { .. } => Answer::Ended(Err(error)),
            Request::Notify { .. } => Answer::Notified(Err(error)),
            Request::Drain(_) => Answer::Drained(Err(error)),
            Request::Undrain => Answer::Undrained(Err(error)),
        }
    }

    /// As the agent's core hears it.
    pub(crate) fn into_event(self, call: u64) -> Event {
        match self {
            Answer::Listed(result) => Event::Listed { call, result },
            Answer::Ended(result) => Event::Ended { call, result },
            Answer::Notified(result) => Event::Notified { call, result },
            Answer::Drained(result) => Event::Drained { call, result },
            Answer::Undrained(result) => Event::Undrained { call, result },
        }
    }
}

/// One thing that happens at one moment.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// The plan has something in store.
    Planned(usize),
    /// A frame reaches the controller's machine.
    ReachedController { stream: u64, frame: Up },
    /// A frame reaches the agent's machine.
    ReachedAgent { stream: u64, frame: Down },
    /// An agent dials.
    Dial { host: usize, process: u64 },
    /// The agent's side of a stream is noticed to be dead.
    AgentNotices { stream: u64 },
    /// The controller's side of a stream is noticed to be dead.
    ControllerNotices { stream: u64 },
    /// An agent's core asked to be woken, or its shell ends a turn that it held open.
    AgentTurn { host: usize, process: u64 },
    /// The controller's core asked to be woken.
    ControllerTick { process: u64 },
    /// The append that the controller waits for has come back.
    Appended { process: u64 },
    /// The controller tries its store again.
    StoreTried { process: u64 },
    /// A call's request reaches its guest.
    CallReached { call: usize },
    /// A call's time is over.
    CallOver { call: usize },
    /// A call's answer reaches the agent.
    CallAnswered { call: usize, answer: Answer },
    /// A guest's own timer ends what Curfew set for that time.
    DoorTimer { guest: usize, set: u64 },
    /// A session's processes are gone.
    SessionDies { guest: usize, id: u64 },
    /// A guest's condition is over.
    GuestRecovers { guest: usize },
    /// An agent's process starts.
    AgentStarts { host: usize },
    /// A process that was asked to stop leaves: an agent's, or the controller's.
    Leaves { host: Option<usize>, process: u64, back_in_ms: u64 },
    /// The controller's process starts.
    ControllerStarts,
    /// The store can be written again.
    StoreHeals,
    /// A host can be reached again.
    PartitionHeals { host: usize },
    /// Everything that was broken is mended, and nothing new befalls the world.
    Heal,
    /// Operators look after what waits for them.
    Tended,
}
