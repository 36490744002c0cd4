//! What a bench found: figures, each beside its floor and its bound, as a table and as JSON.

use serde::Serialize;
use std::fmt::Write as _;

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Unit {
    /// Seconds of wall or CPU time.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
    /// 1024 bytes.
    #[serde(rename = "KiB")]
    KiB,
    /// 1024 * 1024 bytes.
    #[serde(rename = "MiB")]
    MiB,
    /// Hundredths of one core.
    #[serde(rename = "% of a core")]
    PercentOfACore,
    /// A plain number: one time over another.
    #[serde(rename = "x")]
    Times,
}

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    /// At most so many times the floor of the same run.
    TimesTheFloor(f64),
    /// At most this, in the figure's unit.
    AtMost(f64),
    /// It is told for comparison only.
    None,
}

impl Bound {
    /// The same, so many times as generous.
    pub(crate) fn times(self, times: f64) -> Bound {
        match self {
            Bound::TimesTheFloor(most) => Bound::TimesTheFloor(most * times),
            Bound::AtMost(most) => Bound::AtMost(most * times),
            Bound::None => Bound::None,
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// Which row of the bench it belongs to.
    pub(crate) row: &'static str,
    /// What was measured.
    pub(crate) what: String,
    /// What both columns are counted in.
    pub(crate) unit: Unit,
    /// The floor's, measured in the same run; `None` where there is no floor for it.
    pub(crate) floor: Option<f64>,
    /// Curfew's: the median of the rounds, or what `what` says.
    pub(crate) curfew: f64,
    /// What it must reach.
    pub(crate) bound: Bound,
    /// How many rounds are behind it.
    pub(crate) rounds: usize,
}

impl Figure {
    /// Curfew's over the floor's.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.floor.filter(|floor| *floor > 0.0).map(|floor| self.curfew / floor)
    }

    /// Whether it reached its bound; `None` where it has none.
    pub(crate) fn is_met(&self) -> Option<bool> {
        match self.bound {
            Bound::TimesTheFloor(times) => Some(self.ratio()? <= times),
            Bound::AtMost(most) => Some(self.curfew <= most),
            Bound::None => None,
        }
    }
}

/// The value in the middle; 0 of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    percentile(values, 0.5)
}

/// The smallest value that at least this share of them do not exceed; 0 of nothing.
pub(crate) fn percentile(values: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The figures as a table for people.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut text = String::new();
    let mut row = "";
    for figure in figures {
        if figure.row != row {
            row = figure.row;
            let _ = writeln!(text, "{row}");
        }
        let unit = unit(figure.unit);
        let floor = figure.floor.map(|floor| format!("floor {}", number(floor)));
        let ratio = figure.ratio().map(|ratio| format!("{ratio:.2} x"));
        let bound = match figure.bound {
            Bound::TimesTheFloor(times) => format!("at most {times} x"),
            Bound::AtMost(most) => format!("at most {}", number(most)),
            Bound::None => String::new(),
        };
        let verdict = match figure.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        let _ = writeln!(
            text,
            "  {:<58} {:>10} {unit:<11} {:>14} {:>8}  {bound:<15} {verdict}",
            figure.what,
            number(figure.curfew),
            floor.unwrap_or_default(),
            ratio.unwrap_or_default(),
        );
    }
    text
}

fn unit(unit: Unit) -> String {
    serde_json::to_value(unit).ok().and_then(|unit| unit.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Three significant digits are all that a shared machine is good for.
fn number(value: f64) -> String {
    match value.abs() {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(floor: Option<f64>, curfew: f64, bound: Bound) -> Figure {
        Figure { row: "r", what: "w".into(), unit: Unit::Seconds, floor, curfew, bound, rounds: 1 }
    }

    #[test]
    fn a_bound_in_floors_is_met_up_to_that_ratio() {
        assert_eq!(figure(Some(2.0), 3.0, Bound::TimesTheFloor(1.5)).is_met(), Some(true));
        assert_eq!(figure(Some(2.0), 3.1, Bound::TimesTheFloor(1.5)).is_met(), Some(false));
        assert_eq!(figure(None, 3.1, Bound::TimesTheFloor(1.5)).is_met(), None);
    }

    #[test]
    fn the_99th_percentile_of_twenty_is_the_largest() {
        let values = || (1..=20).map(f64::from);
        assert_eq!((percentile(values(), 0.99), median(values())), (20.0, 10.0));
        assert_eq!(percentile([], 0.5), 0.0);
    }
}
