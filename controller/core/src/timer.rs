//! The core's timers: a heap of moments with what to look at then. A timer that no longer applies does nothing.

use curfew_types::{Mono, OperationId};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What to look at when a moment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Orders handed to this host may be over.
    OrdersOver { operation: OperationId, host: u32 },
    /// Orders or cancels for this host may have been lost on the way.
    Repeat { operation: OperationId, host: u32 },
    /// The host may have been away for too long.
    HostAway { operation: OperationId, host: u32 },
    /// The operation's deadline.
    Deadline { operation: OperationId },
    /// An ended operation may leave memory.
    Forget { operation: OperationId },
    /// The pause before an operation's next wave may be over.
    NextWave { operation: OperationId },
    /// Nobody may have approved an operation in time.
    Approval { operation: OperationId },
    /// A hold may be over.
    HoldsOver,
    /// More of an operation may start.
    GoOn { operation: OperationId },
}

impl Timer {
    /// Why the core wants to be woken, for the shell's trace.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Timer::OrdersOver { .. } => "orders over",
            Timer::Repeat { .. } => "repeat orders and cancels",
            Timer::HostAway { .. } => "host away",
            Timer::Deadline { .. } => "operation deadline",
            Timer::Forget { .. } => "forget an ended operation",
            Timer::NextWave { .. } => "pause between waves over",
            Timer::Approval { .. } => "approval over",
            Timer::HoldsOver => "a hold over",
            Timer::GoOn { .. } => "more to start",
        }
    }
}

/// Timers by moment.
#[derive(Debug, Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<(Mono, Timer)>>);

impl Timers {
    /// Looks at `timer` at `at`.
    pub(crate) fn set(&mut self, at: Mono, timer: Timer) {
        self.0.push(Reverse((at, timer)));
    }

    /// The next moment.
    pub(crate) fn next(&self) -> Option<(Mono, Timer)> {
        self.0.peek().map(|Reverse(entry)| *entry)
    }

    /// Takes a timer whose moment has come.
    pub(crate) fn take_due(&mut self, now: Mono) -> Option<Timer> {
        match self.next() {
            Some((at, timer)) if at <= now => {
                self.0.pop();
                Some(timer)
            }
            _ => None,
        }
    }
}
