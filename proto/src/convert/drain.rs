//! Drains, to and from the wire: as an agent tells them, and as somebody asks for them by hand.

use super::ConvertError;
use super::agent::{guest_id, operation};
use super::checks::Checks;
use super::operation::SpecError;
use super::words::{known, timestamp, wall_time};
use crate::agent::v1 as wire;
use crate::v1;
use curfew_types::drain::DRAINS_MAX;
use curfew_types::logoff::{DRAIN_MAX_MS, DRAIN_MIN_MS};
use curfew_types::operation::TEXT_MAX;
use curfew_types::{Drain, DrainAsk, DrainOwner, DrainWish, Violation};
use pbjson_types::Duration;

/// How long a drain by hand is to last, in milliseconds.
///
/// # Errors
/// When it is missing or out of range; `field` is its name in the request.
pub fn drain_time(field: &str, time: Option<Duration>) -> Result<u64, SpecError> {
    if time.is_none() {
        let why = "it is required: every drain has an end; say after how long";
        return Err(SpecError::Missing(vec![Violation::new(field, why)]));
    }
    let mut checks = Checks::default();
    let ms = checks.time(field, time, DRAIN_MIN_MS, DRAIN_MIN_MS..=DRAIN_MAX_MS);
    if checks.0.is_empty() { Ok(ms) } else { Err(SpecError::Invalid(checks.0)) }
}

impl From<Drain> for v1::Drain {
    /// The guest's name and its host are the controller's to add.
    fn from(drain: Drain) -> v1::Drain {
        v1::Drain {
            guest_id: drain.guest.to_string(),
            guest_name: String::new(),
            host: String::new(),
            operation_id: match drain.owner {
                DrainOwner::Hand => String::new(),
                DrainOwner::Operation(operation) => operation.to_string(),
            },
            expire_time: Some(timestamp(drain.until)),
            requester: drain.by,
            reason: drain.reason,
            state: v1::DrainState::from(drain.state).into(),
            problem: drain.problem,
        }
    }
}

impl TryFrom<v1::Drain> for Drain {
    type Error = ConvertError;
    fn try_from(drain: v1::Drain) -> Result<Drain, ConvertError> {
        let owner = match drain.operation_id.as_str() {
            "" => DrainOwner::Hand,
            id => DrainOwner::Operation(id.parse().map_err(|error: curfew_types::id::IdError| {
                ConvertError::new("drain.operation_id", error.to_string())
            })?),
        };
        let until = drain.expire_time.as_ref().map(wall_time);
        if [&drain.requester, &drain.reason, &drain.problem].iter().any(|text| text.len() > TEXT_MAX) {
            return Err(ConvertError::new("drain", format!("a text is longer than {TEXT_MAX} bytes")));
        }
        Ok(Drain {
            guest: guest_id("drain.guest_id", &drain.guest_id)?,
            owner,
            until: until.ok_or_else(|| ConvertError::new("drain.expire_time", "it is missing"))?,
            by: drain.requester,
            reason: drain.reason,
            state: known::<v1::DrainState>("drain.state", drain.state)?.try_into()?,
            problem: drain.problem,
        })
    }
}

/// All drains of a host, to the wire.
pub(super) fn told(drains: Vec<Drain>) -> wire::Drains {
    wire::Drains { drains: drains.into_iter().map(Into::into).collect() }
}

/// All drains of a host, from the wire.
pub(super) fn all(drains: wire::Drains) -> Result<Vec<Drain>, ConvertError> {
    if drains.drains.len() > DRAINS_MAX {
        return Err(ConvertError::new("drains", format!("there are more than {DRAINS_MAX}")));
    }
    drains.drains.into_iter().map(TryInto::try_into).collect()
}

impl From<DrainAsk> for wire::DrainRequest {
    fn from(ask: DrainAsk) -> wire::DrainRequest {
        use wire::drain_request::Wish;
        let wish = match ask.what {
            DrainWish::Set { for_ms, by, reason } => {
                Wish::Set(wire::SetDrain { for_ms, requester: by, reason })
            }
            DrainWish::Lift(DrainOwner::Hand) => Wish::LiftByHand(true),
            DrainWish::Lift(DrainOwner::Operation(operation)) => Wish::LiftOperation(operation.number()),
            DrainWish::LiftAll => Wish::LiftAll(true),
        };
        wire::DrainRequest { guest_id: ask.guest.to_string(), wish: Some(wish) }
    }
}

impl TryFrom<wire::DrainRequest> for DrainAsk {
    type Error = ConvertError;
    fn try_from(request: wire::DrainRequest) -> Result<DrainAsk, ConvertError> {
        use wire::drain_request::Wish;
        let what = match request.wish {
            Some(Wish::Set(wire::SetDrain { for_ms, requester, reason })) => {
                let fits = (DRAIN_MIN_MS..=DRAIN_MAX_MS).contains(&for_ms)
                    && requester.len() <= TEXT_MAX
                    && reason.len() <= TEXT_MAX;
                if !fits {
                    return Err(ConvertError::new("drain.set", "its time or a text is out of range"));
                }
                DrainWish::Set { for_ms, by: requester, reason }
            }
            Some(Wish::LiftByHand(_)) => DrainWish::Lift(DrainOwner::Hand),
            Some(Wish::LiftOperation(number)) => DrainWish::Lift(DrainOwner::Operation(operation(number)?)),
            Some(Wish::LiftAll(_)) => DrainWish::LiftAll,
            None => return Err(ConvertError::new("drain.wish", "this version does not know what is wished")),
        };
        Ok(DrainAsk { guest: guest_id("drain.guest_id", &request.guest_id)?, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_by_hand_reads_back_as_written() {
        let set = DrainWish::Set { for_ms: 60_000, by: "alice".into(), reason: "patching".into() };
        for what in [set, DrainWish::Lift(DrainOwner::Hand), DrainWish::LiftAll] {
            let ask = DrainAsk { guest: "host-1/simulated/vm-1".parse().expect("an id"), what };
            assert_eq!(DrainAsk::try_from(wire::DrainRequest::from(ask.clone())), Ok(ask));
        }
    }

    #[test]
    fn a_drain_without_an_end_is_none() {
        assert!(matches!(drain_time("drain_for", None), Err(SpecError::Missing(_))));
        let zero = Some(super::super::words::duration(0));
        assert!(matches!(drain_time("drain_for", zero), Err(SpecError::Invalid(_))));
    }
}
