//! Making a failing run short: events are left out, in halves, then one by one, and then some of them all over, as long as it
//! still fails alike.

use crate::plan::Plan;
use crate::world::{Planted, Run};

/// Most runs spent on one failure.
const RUNS_MAX: usize = 1_000;
/// Last lines of a log that are shown.
const LINES_MAX: usize = 160;

/// The shortest plan found that breaks the same invariant as `plan` does.
pub(crate) fn shortest(plan: &Plan, planted: Planted, invariant: u8) -> Plan {
    let mut best = plan.clone();
    let mut runs = 0;
    let mut step = best.events.len().div_ceil(2);
    while step > 0 && runs < RUNS_MAX {
        let mut from = 0;
        let mut shorter = false;
        while from < best.events.len() && runs < RUNS_MAX {
            let mut candidate = best.clone();
            candidate.events.drain(from..(from + step).min(best.events.len()));
            runs += 1;
            let run = Run::of(&candidate, planted, false);
            if run.violation.is_some_and(|violation| violation.invariant == invariant) {
                best = candidate;
                shorter = true;
            } else {
                from += step;
            }
        }
        if !shorter || step > 1 {
            step = if step == 1 { 0 } else { step.div_ceil(2) };
        }
    }
    // Whatever is left out moves the dice of all that follows, which may undo a failure that does not need it. Other choices
    // throw them anew.
    let mut dice = plan.seed | 1;
    while runs < RUNS_MAX {
        let mut candidate = best.clone();
        candidate.events.retain(|_| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            !(dice >> 33).is_multiple_of(4)
        });
        runs += 1;
        let run = Run::of(&candidate, planted, false);
        if candidate.events.len() < best.events.len()
            && run.violation.is_some_and(|violation| violation.invariant == invariant)
        {
            best = candidate;
        }
    }
    best
}

/// Everything a person needs to understand a failure: the seed, the invariant, and the shortest log found.
pub(crate) fn explain(plan: &Plan, planted: Planted) -> String {
    let Some(violation) = Run::of(plan, planted, false).violation else {
        return format!("seed {}: no violation", plan.seed);
    };
    let short = shortest(plan, planted, violation.invariant);
    let run = Run::of(&short, planted, true);
    let text = run.violation.map_or_else(String::new, |violation| violation.text);
    let skipped = run.log.len().saturating_sub(LINES_MAX);
    let log = run.log[skipped..].join("\n");
    format!(
        "seed {} breaks invariant {}: {text}\nreplay it with CURFEW_SIM_SEED={}\n{} of {} planned events are \
         enough; hosts {:?}; {skipped} earlier lines left out\n{log}",
        plan.seed,
        violation.invariant,
        plan.seed,
        short.events.len(),
        plan.events.len(),
        short.hosts,
    )
}
