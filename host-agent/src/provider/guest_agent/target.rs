//! What is kept of a guest between two exchanges with its agent: its turn, and what runs in it.

use curfew_types::OsFamily;
use curfew_types::label::Labels;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long after a guest did not say what runs in it it is asked again. Doubles up to [`OS_PAUSE_MAX`].
const OS_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause between two such questions: the answer is for display and labels only.
const OS_PAUSE_MAX: Duration = Duration::from_secs(15 * 60);

/// A guest and what is kept of it.
pub(super) struct Target<P> {
    pub(super) name: String,
    pub(super) place: P,
    /// Held for one exchange: the agent serves one client at a time, and two of ours would only wait in its queue.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    os: Mutex<Os>,
}

/// What runs in a guest, as far as it said. Forgotten when the guest is seen shut off.
struct Os {
    family: OsFamily,
    labels: Labels,
    /// Not asked again before this moment.
    ask_after: Instant,
    pause: Duration,
}

impl<P: Clone> Target<P> {
    /// One of which nothing is known yet.
    pub(super) fn new(name: &str, place: &P) -> Target<P> {
        Target {
            name: name.to_owned(),
            place: place.clone(),
            turn: Arc::default(),
            os: Mutex::new(Os::unknown()),
        }
    }
}

impl<P> Target<P> {
    /// What runs in it.
    pub(super) fn family(&self) -> OsFamily {
        lock(&self.os).family
    }

    /// What runs in it, and the labels that say it.
    pub(super) fn os(&self) -> (OsFamily, Labels) {
        let os = lock(&self.os);
        (os.family, os.labels.clone())
    }

    /// Keeps what it said.
    pub(super) fn learn(&self, family: OsFamily, labels: Labels) {
        let mut os = lock(&self.os);
        os.family = family;
        os.labels = labels;
    }

    /// It was shut off, and may come back as something else.
    pub(super) fn forget(&self) {
        *lock(&self.os) = Os::unknown();
    }

    /// Whether it is time to ask what runs in it.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let os = lock(&self.os);
        os.family == OsFamily::Unknown && os.ask_after <= now
    }

    /// It is being asked, and not again for a while.
    pub(super) fn put_off(&self, now: Instant) {
        let mut os = lock(&self.os);
        os.ask_after = now + os.pause;
        os.pause = (os.pause * 2).min(OS_PAUSE_MAX);
    }
}

impl Os {
    fn unknown() -> Os {
        Os { family: OsFamily::Unknown, labels: Labels::new(), ask_after: Instant::now(), pause: OS_PAUSE }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
