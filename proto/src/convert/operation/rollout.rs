//! How an operation spreads over its guests and how much may go wrong, to and from the wire.

use super::SpecError;
use crate::convert::checks::Checks;
use crate::convert::words::duration;
use crate::v1;
use curfew_types::label::check_key;
use curfew_types::rollout::{SPREADS_MAX, WAVE_PAUSE_MAX_MS, WAVES_MAX};
use curfew_types::{Amount, BetweenWaves, Budgets, Rollout, Spread};

/// Failure budgets that stand by themselves in a request; none of them where the field is absent.
///
/// # Errors
/// Every budget that is not as it must be; `field` is the name of the message in the request.
pub fn failure_budgets(field: &str, budgets: Option<v1::FailureBudgets>) -> Result<Budgets, SpecError> {
    let mut checks = Checks::default();
    let budgets = checks.budgets(field, budgets);
    if checks.0.is_empty() { Ok(budgets) } else { Err(SpecError::Invalid(checks.0)) }
}

impl Checks {
    /// How the operation spreads; all at once where nothing is said.
    pub(super) fn rollout(&mut self, rollout: Option<v1::Rollout>) -> Rollout {
        let Some(rollout) = rollout else { return Rollout::default() };
        let pause = self.time("spec.rollout.wave_pause", rollout.wave_pause, 0, 0..=WAVE_PAUSE_MAX_MS);
        let between = match (pause, rollout.promotion) {
            (0, false) => BetweenWaves::Nothing,
            (0, true) => BetweenWaves::Promotion,
            (pause, false) => BetweenWaves::Pause(pause),
            (_, true) => {
                let why = "it goes without promotion: either time or a person begins the next wave; give one of them";
                self.wrong("spec.rollout.wave_pause", why);
                BetweenWaves::Promotion
            }
        };
        Rollout {
            waves: self.waves(rollout.waves),
            between,
            seed: rollout.seed,
            max_per_host: (rollout.max_per_host > 0).then_some(rollout.max_per_host),
            spread: self.spread(rollout.spread),
        }
    }

    fn waves(&mut self, given: Vec<v1::Amount>) -> Vec<Amount> {
        let field = "spec.rollout.waves";
        if given.len() > WAVES_MAX {
            self.wrong(
                field,
                format!("there are more than {WAVES_MAX}; what is left after the last is a wave anyhow"),
            );
        }
        let waves: Vec<Amount> =
            given.into_iter().take(WAVES_MAX).filter_map(|amount| self.limit(field, amount)).collect();
        // How a number and a share compare is not known before the guests are.
        let (mut number_before, mut share_before) = (0, 0);
        for wave in &waves {
            let (before, now, sign) = match *wave {
                Amount::Number(number) => (std::mem::replace(&mut number_before, number), number, ""),
                Amount::Percent(share) => {
                    (std::mem::replace(&mut share_before, u32::from(share)), u32::from(share), "%")
                }
            };
            if now <= before {
                self.wrong(
                    field,
                    format!(
                        "{now}{sign} comes after {before}{sign}; each wave counts the guests of the waves before it \
                         too, so write them in a growing order"
                    ),
                );
            }
        }
        waves
    }

    fn spread(&mut self, given: Vec<v1::SpreadLimit>) -> Vec<Spread> {
        let field = "spec.rollout.spread";
        if given.len() > SPREADS_MAX {
            self.wrong(field, format!("there are more than {SPREADS_MAX}; leave some out"));
        }
        let mut spread: Vec<Spread> = Vec::with_capacity(given.len().min(SPREADS_MAX));
        for v1::SpreadLimit { label, max } in given.into_iter().take(SPREADS_MAX) {
            if let Err(error) = check_key(&label) {
                self.wrong(&format!("{field}.label"), error.to_string());
            } else if spread.iter().any(|other| other.label == label) {
                self.wrong(
                    &format!("{field}.label"),
                    format!("{label} is given twice; keep the smaller one"),
                );
            } else if max == 0 {
                let why = format!("0 guests of one {label} at a time would never begin; give 1 at least");
                self.wrong(&format!("{field}.max"), why);
            } else {
                spread.push(Spread { label, max });
            }
        }
        spread
    }

    /// How much may go wrong; no limit where nothing is said.
    pub(super) fn budgets(&mut self, field: &str, budgets: Option<v1::FailureBudgets>) -> Budgets {
        let v1::FailureBudgets { failed, timed_out, unreachable, refused } = budgets.unwrap_or_default();
        let mut budget = |name: &str, given: Option<v1::Amount>| {
            given.and_then(|amount| self.amount(&format!("{field}.{name}"), amount))
        };
        Budgets {
            failed: budget("failed", failed),
            timed_out: budget("timed_out", timed_out),
            unreachable: budget("unreachable", unreachable),
            refused: budget("refused", refused),
        }
    }
}

impl From<Amount> for v1::Amount {
    fn from(amount: Amount) -> v1::Amount {
        use v1::amount::Amount as Wire;
        let amount = match amount {
            Amount::Number(number) => Wire::Number(number),
            Amount::Percent(percent) => Wire::Percent(percent.into()),
        };
        v1::Amount { amount: Some(amount) }
    }
}

impl From<Rollout> for v1::Rollout {
    fn from(rollout: Rollout) -> v1::Rollout {
        let limit = |Spread { label, max }: Spread| v1::SpreadLimit { label, max };
        v1::Rollout {
            waves: rollout.waves.into_iter().map(v1::Amount::from).collect(),
            wave_pause: match rollout.between {
                BetweenWaves::Pause(ms) => Some(duration(ms)),
                BetweenWaves::Nothing | BetweenWaves::Promotion => None,
            },
            promotion: rollout.between == BetweenWaves::Promotion,
            seed: rollout.seed,
            max_per_host: rollout.max_per_host.unwrap_or(0),
            spread: rollout.spread.into_iter().map(limit).collect(),
        }
    }
}

impl From<Budgets> for v1::FailureBudgets {
    fn from(budgets: Budgets) -> v1::FailureBudgets {
        let Budgets { failed, timed_out, unreachable, refused } = budgets;
        v1::FailureBudgets {
            failed: failed.map(v1::Amount::from),
            timed_out: timed_out.map(v1::Amount::from),
            unreachable: unreachable.map(v1::Amount::from),
            refused: refused.map(v1::Amount::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::operation_spec;

    fn number(number: u32) -> v1::Amount {
        Amount::Number(number).into()
    }

    fn share(percent: u32) -> v1::Amount {
        v1::Amount { amount: Some(v1::amount::Amount::Percent(percent)) }
    }

    /// What is said of a request for the whole fleet with these parts.
    fn said(rollout: v1::Rollout, budgets: v1::FailureBudgets) -> Vec<(String, String)> {
        let selection = v1::Selection { all: true, ..v1::Selection::default() };
        let spec = v1::OperationSpec {
            selection: Some(selection),
            rollout: Some(rollout),
            budgets: Some(budgets),
            ..v1::OperationSpec::default()
        };
        match operation_spec(Some(spec), String::new()) {
            Err(SpecError::Invalid(violations)) => {
                violations.into_iter().map(|violation| (violation.field, violation.why)).collect()
            }
            Err(SpecError::Missing(violations)) => panic!("nothing is missing: {violations:?}"),
            Ok(_) => Vec::new(),
        }
    }

    fn waves(waves: Vec<v1::Amount>) -> Vec<(String, String)> {
        said(v1::Rollout { waves, ..v1::Rollout::default() }, v1::FailureBudgets::default())
    }

    fn spread(limits: &[(&str, u32)]) -> Vec<(String, String)> {
        let limit = |(label, max): &(&str, u32)| v1::SpreadLimit { label: (*label).into(), max: *max };
        let spread = limits.iter().map(limit).collect();
        said(v1::Rollout { spread, ..v1::Rollout::default() }, v1::FailureBudgets::default())
    }

    #[test]
    fn waves_grow_where_they_can_be_compared() {
        assert!(waves(vec![number(1), share(10), number(50), share(100)]).is_empty());
        for wrong in [vec![number(5), number(5)], vec![share(10), number(1), share(5)]] {
            let said = waves(wrong);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].0 == "spec.rollout.waves" && said[0].1.contains("growing order"), "{said:?}");
        }
    }

    #[test]
    fn a_wave_of_nobody_of_more_than_all_or_without_a_value_is_refused() {
        for wrong in [number(0), share(0), share(101), v1::Amount::default()] {
            let said = waves(vec![wrong]);
            assert!(said.len() == 1 && said[0].0 == "spec.rollout.waves", "{said:?}");
        }
        assert!(waves((1..=16).map(number).collect()).is_empty());
        assert_eq!(waves((1..=17).map(number).collect()).len(), 1);
    }

    #[test]
    fn time_and_a_person_between_waves_exclude_one_another() {
        let wave_pause = Some(duration(1000));
        let both = v1::Rollout { wave_pause, promotion: true, ..v1::Rollout::default() };
        assert_eq!(said(both, v1::FailureBudgets::default())[0].0, "spec.rollout.wave_pause");
        let wave_pause = Some(duration(WAVE_PAUSE_MAX_MS + 1));
        let long = v1::Rollout { wave_pause, ..v1::Rollout::default() };
        assert_eq!(said(long, v1::FailureBudgets::default())[0].0, "spec.rollout.wave_pause");
    }

    #[test]
    fn limits_for_a_label_name_what_is_wrong_with_them() {
        assert!(spread(&[("rack", 2), ("host", 1), ("agent/os-version", 9)]).is_empty());
        assert_eq!(spread(&[("no key", 2)])[0].0, "spec.rollout.spread.label");
        assert_eq!(spread(&[("rack", 2), ("rack", 3)])[0].0, "spec.rollout.spread.label");
        assert_eq!(spread(&[("rack", 0)])[0].0, "spec.rollout.spread.max");
        assert_eq!(spread(&[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)])[0].0, "spec.rollout.spread");
    }

    #[test]
    fn a_budget_may_be_nothing_but_must_be_an_amount() {
        let none =
            v1::FailureBudgets { failed: Some(number(0)), refused: Some(share(0)), ..Default::default() };
        assert!(said(v1::Rollout::default(), none).is_empty());
        let wrong = v1::FailureBudgets {
            timed_out: Some(v1::Amount::default()),
            unreachable: Some(share(200)),
            ..v1::FailureBudgets::default()
        };
        let Err(SpecError::Invalid(violations)) = failure_budgets("budgets", Some(wrong)) else {
            panic!("it must be invalid");
        };
        let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["budgets.timed_out", "budgets.unreachable"]);
        assert_eq!(failure_budgets("budgets", None), Ok(Budgets::default()));
    }
}
