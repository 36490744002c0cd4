//! The guests of an operation that is about to be appended: they are packed while the core makes the operation of them, when the
//! processors have little else to do and the first order waits.

use super::targets::Packing;
use curfew_controller_core::record::TargetHost;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The set that was expected last, until it is appended; another one takes its place.
#[derive(Default)]
pub(super) struct Expected(Mutex<Option<(Arc<[TargetHost]>, Packing)>>);

impl Expected {
    /// Begins to pack a set, if it is so large that it is worth it.
    pub(super) fn begin(&self, hosts: &Arc<[TargetHost]>) {
        let packing = Packing::begin(hosts).filter(Packing::is_large);
        *self.last() = packing.map(|packing| (Arc::clone(hosts), packing));
    }

    /// The packing of a set: the one that has begun, or a new one. `None` if its tasks are not numbered without gaps.
    pub(super) fn packing(&self, hosts: &Arc<[TargetHost]>) -> Option<Packing> {
        match self.last().take_if(|(expected, _)| Arc::ptr_eq(expected, hosts)) {
            Some((_, packing)) => Some(packing),
            None => Packing::begin(hosts),
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<(Arc<[TargetHost]>, Packing)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_controller_core::record::TargetGuest;

    fn set(guests: u32) -> Arc<[TargetHost]> {
        let guest = |number| TargetGuest {
            id: format!("guest-{number}").parse().expect("an id"),
            name: "desk".into(),
            wave: 0,
        };
        let host = "host-1".parse().expect("a name");
        [TargetHost { host, first: 0, guests: (0..guests).map(guest).collect() }].into()
    }

    async fn all(packing: Option<Packing>) -> Vec<Vec<u8>> {
        let mut packing = packing.expect("no gaps");
        let mut all = Vec::new();
        while let Some(part) = packing.next().await {
            all.extend(part.expect("a part"));
        }
        all
    }

    #[tokio::test]
    async fn a_large_set_is_packed_ahead_for_itself_and_for_no_other() {
        let expected = Expected::default();
        let (set_of_many, another) = (set(40_000), set(50_000));
        expected.begin(&set_of_many);
        assert_eq!(all(expected.packing(&another)).await, all(Packing::begin(&another)).await);
        assert!(expected.last().is_some(), "it still waits for its own");
        assert_eq!(all(expected.packing(&set_of_many)).await, all(Packing::begin(&set_of_many)).await);
        assert!(expected.last().is_none(), "it is taken once");
        assert_eq!(all(expected.packing(&set_of_many)).await.len(), 40_000_usize.div_ceil(256));
    }

    #[tokio::test]
    async fn of_several_sets_the_last_is_packed_ahead_and_a_small_one_is_not() {
        let expected = Expected::default();
        let (one, other) = (set(40_000), set(40_001));
        expected.begin(&one);
        expected.begin(&other);
        assert!(expected.last().as_ref().is_some_and(|(hosts, _)| Arc::ptr_eq(hosts, &other)));
        expected.begin(&set(10));
        assert!(expected.last().is_none());
    }
}
