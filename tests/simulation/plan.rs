//! What befalls a world, as data: a failing run can be shortened by leaving out.

use curfew_controller_core::ApprovalRule;
use curfew_types::{Amount, BetweenWaves, Budgets, Logoff, NotRunning};

/// When nothing more is planned and everything is mended.
pub(crate) const HEAL_AT: u64 = 240_000;

/// A world's size and what befalls it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// How many guests each host has.
    pub(crate) hosts: Vec<usize>,
    /// Which operations a second person has to approve.
    pub(crate) approval: ApprovalRule,
    /// Operators tend what waits for them once everything is mended; otherwise it waits until its time is over.
    pub(crate) tended: bool,
    /// What happens when, by time.
    pub(crate) events: Vec<(u64, Planned)>,
}

/// Which guests an operator asks for.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// The whole fleet.
    All,
    /// Everything on one host.
    Host(usize),
    /// These guests.
    Guests(Vec<usize>),
    /// What carries the label that operators set now and then.
    Labelled,
    /// The whole fleet but one guest.
    AllBut(usize),
}

/// What an operator asks for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) wanted: Wanted,
    pub(crate) max_in_flight: Option<Amount>,
    pub(crate) waves: Vec<Amount>,
    pub(crate) between: BetweenWaves,
    pub(crate) wave_seed: Option<u64>,
    pub(crate) max_per_host: Option<u32>,
    /// At most so many guests of a rack at a time.
    pub(crate) max_per_rack: Option<u32>,
    pub(crate) budgets: Budgets,
    pub(crate) expectation: Expectation,
    pub(crate) task_timeout_ms: u64,
    pub(crate) deliver_within_ms: u64,
    pub(crate) deadline_ms: u64,
    pub(crate) not_running: NotRunning,
    pub(crate) with_request_id: bool,
    /// How people are logged off; `logged_on_before` is counted from the request.
    pub(crate) logoff: Logoff,
}

/// Somebody who logs on, and how he behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Person {
    pub(crate) ignores_hup: bool,
    pub(crate) ignores_term: bool,
    /// Not even force ends the session.
    pub(crate) is_immortal: bool,
    /// Nothing can be shown to the session.
    pub(crate) has_no_terminal: bool,
    /// Nobody can tell how long the session has been idle.
    pub(crate) hides_idle: bool,
    pub(crate) begins_disconnected: bool,
    /// He has a way in, whatever refuses new logons.
    pub(crate) slips_in: bool,
    /// He leaves by himself so long after his first notice.
    pub(crate) leaves_after_ms: Option<u64>,
}

/// Whose drains an operator lifts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lifted {
    /// The one by hand.
    ByHand,
    /// An operation's.
    Of { nth: usize },
    /// All of them.
    All,
}

/// What the requester expects of the set of guests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expectation {
    /// Nothing is said.
    None,
    /// What a preview has just shown.
    AsPreviewed,
    /// A set that is another one by now.
    Outdated,
}

/// Who approves, and what they looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Approver {
    /// Somebody else, who has looked a moment ago.
    Second,
    /// Somebody else, who looked when the operation was new.
    SecondWithFirstDigest,
    /// The requester.
    Requester,
}

/// At which point of a turn a process is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CrashPoint {
    /// Between two turns.
    Idle,
    /// Written, not yet synced.
    BeforeSync,
    /// Synced, nothing carried out.
    AfterSync,
    /// Some of what follows was carried out.
    Halfway,
}

/// What a guest can suffer from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It answers nothing; what was sent to it waits inside.
    Frozen,
    /// Paused by its hypervisor, which says so.
    Paused,
    /// Shut off.
    Stopped,
    /// It shuts off and comes back.
    Rebooting,
    /// Its agent does not answer yet.
    NotAvailable,
    /// Its sessions cannot be listed reliably.
    Unlistable,
    /// Ending sessions is not allowed.
    Denied,
    /// Requests meet errors that nobody can explain, some after they were carried out.
    Flaky,
}

/// One planned event. `nth` names an operation among those that are known, the newest first.
#[derive(Clone, Debug)]
pub(crate) enum Planned {
    Start(Box<Asked>),
    AskAgain {
        nth: usize,
        changed: bool,
    },
    Retry {
        nth: usize,
    },
    CancelOperation {
        nth: usize,
    },
    CancelTask {
        nth: usize,
        index: u32,
    },
    Pause {
        nth: usize,
    },
    Resume {
        nth: usize,
        larger: bool,
    },
    Promote {
        nth: usize,
        wave: u32,
    },
    Approve {
        nth: usize,
        by: Approver,
    },
    Reject {
        nth: usize,
    },
    Freeze {
        hard: bool,
    },
    Unfreeze,
    Hold {
        guest: usize,
        ms: Option<u64>,
    },
    Release {
        guest: usize,
    },
    Protect {
        pattern: usize,
    },
    Unprotect {
        pattern: usize,
    },
    LabelHost {
        host: usize,
        label: Label,
    },
    LabelGuest {
        guest: usize,
        label: Label,
    },
    RemoveHost {
        host: usize,
        force: bool,
    },
    LogOn {
        guest: usize,
        person: Person,
    },
    LogOff {
        guest: usize,
    },
    /// Somebody comes back to a session, or goes away from it.
    SessionChanges {
        guest: usize,
        nth: usize,
        goes_away: bool,
    },
    /// People come back to all sessions, or go away from them.
    EverybodyChanges {
        goes_away: bool,
    },
    /// Somebody logs on everywhere.
    Rush {
        person: Person,
    },
    /// Somebody else than Curfew lets a guest refuse new logons, or take them again.
    OthersMoveDoor {
        guest: usize,
        closes: bool,
    },
    /// An operator drains a guest by hand.
    Drain {
        guest: usize,
        ms: u64,
    },
    /// An operator lifts drains.
    Undrain {
        guest: usize,
        lifted: Lifted,
    },
    Afflict {
        guest: usize,
        condition: Condition,
        ms: u64,
    },
    AgentCrashes {
        host: usize,
        point: CrashPoint,
        ms: u64,
    },
    AgentStops {
        host: usize,
        ms: u64,
    },
    HostReboots {
        host: usize,
        ms: u64,
        guests_survive: bool,
    },
    LedgerLost {
        host: usize,
        ms: u64,
    },
    LedgerRolledBack {
        host: usize,
        ms: u64,
    },
    LedgerRewritten {
        host: usize,
    },
    ControllerCrashes {
        point: CrashPoint,
        ms: u64,
        reboots: bool,
    },
    ControllerStops {
        ms: u64,
    },
    StoreAway {
        ms: u64,
    },
    BackedUp,
    Restored {
        ms: u64,
    },
    /// Somebody sets a machine's wall clock: a host's, or the controller's.
    ClockSet {
        host: Option<usize>,
        by_ms: i64,
    },
    StreamCut {
        host: usize,
    },
    Partition {
        host: usize,
        ms: u64,
    },
    Noise {
        host: usize,
        ms: u64,
        loss: u64,
        disorder: u64,
        repeats: u64,
    },
    OldFramesReturn {
        host: usize,
    },
    Impostor {
        host: usize,
    },
    Claimed {
        guest: usize,
        by: usize,
    },
}

/// A label that operators set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Label {
    /// The one that selections name.
    Lab,
    /// The one that limits name, with one of its values.
    Rack(u8),
    /// The rack is not known any more.
    NoRack,
}
