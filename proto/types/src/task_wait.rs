//! `IVMTask.WaitForCompletion(ms)`: which waits the contract knows.

use std::time::Duration;

/// Longest wait of the contract that is not for ever.
pub const WAIT_MAX_MS: i64 = 4_000_000;

/// A wait as the contract has it. One that runs out is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// -1.
    ForEver,
    /// 0 to 4,000,000 ms.
    For(Duration),
}

impl Wait {
    /// Reads the contract's number.
    ///
    /// # Errors
    /// `E_INVALIDARG` in words, for every other number.
    pub fn from_ms(ms: i64) -> Result<Wait, &'static str> {
        match ms {
            -1 => Ok(Wait::ForEver),
            0..=WAIT_MAX_MS => Ok(Wait::For(Duration::from_millis(ms.unsigned_abs()))),
            _ => Err("it must be -1, which waits for ever, or 0 to 4000000"),
        }
    }

    /// The limit, if there is one.
    pub fn limit(self) -> Option<Duration> {
        match self {
            Wait::ForEver => None,
            Wait::For(limit) => Some(limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_waits_of_the_contract_are_taken() {
        assert_eq!(Wait::from_ms(-1), Ok(Wait::ForEver));
        assert_eq!(Wait::from_ms(0), Ok(Wait::For(Duration::ZERO)));
        assert_eq!(Wait::from_ms(4_000_000), Ok(Wait::For(Duration::from_secs(4000))));
        assert!(Wait::from_ms(-2).is_err());
        assert!(Wait::from_ms(4_000_001).is_err());
    }
}
