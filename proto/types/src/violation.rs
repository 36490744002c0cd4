//! A field of a request that is not as it must be.

/// One field that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, as a path in the request.
    pub field: String,
    /// What is wrong and what to do.
    pub why: String,
}

impl Violation {
    /// A violation of `field`.
    pub fn new(field: impl Into<String>, why: impl Into<String>) -> Violation {
        Violation { field: field.into(), why: why.into() }
    }

    /// All of them in one line, for people.
    pub fn describe(violations: &[Violation]) -> String {
        let one = |violation: &Violation| format!("{}: {}", violation.field, violation.why);
        violations.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}
