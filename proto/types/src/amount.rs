//! A number of guests, or a share of them: `10` or `10%`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A number of guests, or a share of all guests of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Amount {
    /// This many.
    Number(u32),
    /// This many of a hundred.
    Percent(u8),
}

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Neither a number nor a percentage.
    #[error("{0:?} is neither a number nor a percentage; write 10 or 10%")]
    Malformed(String),
    /// More than everything.
    #[error("{0} % is more than everything; write 0% to 100%")]
    MoreThanAll(u32),
}

impl Amount {
    /// As a limit on something that must be able to go on: a share rounds up, and nothing is ever 0.
    pub fn as_limit(self, total: u64) -> u64 {
        match self {
            Amount::Number(number) => u64::from(number).max(1),
            Amount::Percent(percent) => (total * u64::from(percent)).div_ceil(100).max(1),
        }
    }

    /// As a budget for what may go wrong: a share rounds down, and may be 0.
    pub fn as_budget(self, total: u64) -> u64 {
        match self {
            Amount::Number(number) => u64::from(number),
            Amount::Percent(percent) => total * u64::from(percent) / 100,
        }
    }

    /// Whether it is 0 or 0 %.
    pub fn is_zero(self) -> bool {
        matches!(self, Amount::Number(0) | Amount::Percent(0))
    }

    /// A share, if it is no more than everything.
    ///
    /// # Errors
    /// When it is more than 100.
    pub fn percent(percent: u32) -> Result<Amount, AmountError> {
        match u8::try_from(percent) {
            Ok(share) if share <= 100 => Ok(Amount::Percent(share)),
            _ => Err(AmountError::MoreThanAll(percent)),
        }
    }
}

impl std::str::FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Amount, AmountError> {
        let malformed = || AmountError::Malformed(text.into());
        // `parse` would take a sign.
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(malformed());
        }
        match text.strip_suffix('%') {
            Some(share) => Amount::percent(share.parse().map_err(|_| malformed())?),
            None => Ok(Amount::Number(text.parse().map_err(|_| malformed())?)),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Number(number) => write!(f, "{number}"),
            Amount::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// As it is stored: a number stays one, so that limits stored before there were shares can be read.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u32),
    Text(String),
}

impl TryFrom<Written> for Amount {
    type Error = AmountError;
    fn try_from(written: Written) -> Result<Amount, AmountError> {
        match written {
            Written::Number(number) => Ok(Amount::Number(number)),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<Amount> for Written {
    fn from(amount: Amount) -> Written {
        match amount {
            Amount::Number(number) => Written::Number(number),
            Amount::Percent(_) => Written::Text(amount.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_limit_rounds_up_and_is_never_nothing() {
        assert_eq!(Amount::Percent(10).as_limit(101), 11);
        assert_eq!(Amount::Percent(1).as_limit(3), 1);
        assert_eq!(Amount::Percent(0).as_limit(1000), 1);
        assert_eq!(Amount::Number(0).as_limit(1000), 1);
        assert_eq!(Amount::Percent(100).as_limit(7), 7);
    }

    #[test]
    fn a_share_of_a_budget_rounds_down_and_may_be_nothing() {
        assert_eq!(Amount::Percent(10).as_budget(109), 10);
        assert_eq!(Amount::Percent(10).as_budget(9), 0);
        assert_eq!(Amount::Number(0).as_budget(9), 0);
    }

    #[test]
    fn amounts_read_back_from_what_they_say() {
        for (text, amount) in [
            ("0", Amount::Number(0)),
            ("12", Amount::Number(12)),
            ("0%", Amount::Percent(0)),
            ("100%", Amount::Percent(100)),
        ] {
            assert_eq!(text.parse(), Ok(amount));
            assert_eq!(amount.to_string(), text);
        }
        for wrong in ["", "%", "-1", "+1", "1.5", "10 %", "x", "101%", "300%", "99999999999"] {
            assert!(wrong.parse::<Amount>().is_err(), "{wrong:?}");
        }
    }
}
