//! Collects everything that is wrong with a request, so that nobody has to mend it field by field.

use crate::convert::words::milliseconds;
use crate::v1;
use curfew_types::operation::TEXT_MAX;
use curfew_types::{Amount, Violation};
use pbjson_types::Duration;
use std::ops::RangeInclusive;

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Checks(pub(super) Vec<Violation>);

impl Checks {
    /// Notes that `field` is wrong.
    pub(super) fn wrong(&mut self, field: &str, why: impl Into<String>) {
        self.0.push(Violation::new(field, why));
    }

    /// A time in milliseconds; `default` where none is given.
    pub(super) fn time(
        &mut self,
        field: &str,
        given: Option<Duration>,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let Some(given) = given else { return default };
        match milliseconds(&given).filter(|ms| range.contains(ms)) {
            Some(ms) => ms,
            None => {
                let (from, to) = (*range.start(), *range.end());
                self.wrong(
                    field,
                    format!("it must be between {} s and {} s", from as f64 / 1000.0, to as f64 / 1000.0),
                );
                default
            }
        }
    }

    /// A text of bounded length.
    pub(super) fn text(&mut self, field: &str, text: &str) {
        if text.len() > TEXT_MAX {
            self.wrong(field, format!("it is longer than {TEXT_MAX} bytes"));
        }
    }

    /// An amount, if it has a value that fits.
    pub(super) fn amount(&mut self, field: &str, given: v1::Amount) -> Option<Amount> {
        use v1::amount::Amount as Given;
        match given.amount {
            Some(Given::Number(number)) => Some(Amount::Number(number)),
            Some(Given::Percent(percent)) => {
                Amount::percent(percent).map_err(|error| self.wrong(field, error.to_string())).ok()
            }
            None => {
                self.wrong(field, "it has no value; give number or percent, or leave the whole field out");
                None
            }
        }
    }

    /// An amount that must be able to go on.
    pub(super) fn limit(&mut self, field: &str, given: v1::Amount) -> Option<Amount> {
        let amount = self.amount(field, given)?;
        if amount.is_zero() {
            self.wrong(field, format!("{amount} guests at a time would never begin; give 1 or 1% at least"));
            return None;
        }
        Some(amount)
    }
}
