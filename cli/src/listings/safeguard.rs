//! Holds, protected users and the freeze.

use super::yes;
use crate::output::{Listed, Shown};
use crate::table::{Cell, Column, Tone};
use crate::words;
use curfew_proto::v1;

impl Listed for v1::Hold {
    const KEY: &'static str = "holds";
    const COLUMNS: &'static [Column] = &[
        Column::cut("GUEST"),
        Column::whole("STATE"),
        Column::cut("BY"),
        Column::whole("AGE"),
        Column::whole("UNTIL"),
        Column::extra("REASON"),
        Column::extra("ID"),
    ];

    fn rows(&self, now: i64) -> Vec<Vec<Cell>> {
        vec![vec![
            self.guest_name.as_str().into(),
            if self.confirmed { Cell::toned("held", Tone::Good) } else { Cell::toned("pending", Tone::Busy) },
            self.holder.as_str().into(),
            words::age(self.create_time.as_ref(), now).into(),
            words::time(self.expire_time.as_ref()).into(),
            self.reason.as_str().into(),
            self.guest_id.as_str().into(),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.guest_id.clone()]
    }
}

impl Shown for v1::Hold {
    fn name(&self) -> String {
        self.guest_id.clone()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Guest", format!("{} ({})", self.guest_name, self.guest_id)),
            ("Confirmed", yes(self.confirmed)),
            ("Held by", self.holder.clone()),
            ("Reason", self.reason.clone()),
            ("Since", words::time(self.create_time.as_ref())),
            ("Until", words::time(self.expire_time.as_ref())),
        ]
    }
}

impl Listed for v1::ProtectedUser {
    const KEY: &'static str = "users";
    const COLUMNS: &'static [Column] =
        &[Column::whole("USER"), Column::cut("BY"), Column::whole("AGE"), Column::extra("REASON")];

    fn rows(&self, now: i64) -> Vec<Vec<Cell>> {
        vec![vec![
            self.pattern.as_str().into(),
            self.requester.as_str().into(),
            words::age(self.create_time.as_ref(), now).into(),
            self.reason.as_str().into(),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.pattern.clone()]
    }
}

/// What is to be said of a freeze.
pub(crate) fn frozen(freeze: &v1::FreezeState) -> Vec<(&'static str, String)> {
    vec![
        ("Frozen by", freeze.requester.clone()),
        ("Reason", freeze.reason.clone()),
        ("Since", words::time(freeze.create_time.as_ref())),
        ("Hard", yes(freeze.hard)),
    ]
}
