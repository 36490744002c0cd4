//! Drains: guests that refuse new logons, for whom, and until when.

use crate::output::{Listed, Shown};
use crate::table::{Cell, Column, Tone};
use crate::words;
use curfew_proto::v1;

impl Listed for v1::Drain {
    const KEY: &'static str = "drains";
    const COLUMNS: &'static [Column] = &[
        Column::cut("GUEST"),
        Column::whole("STATE"),
        Column::cut("OF"),
        Column::whole("UNTIL"),
        Column::extra("HOST"),
        Column::extra("BY"),
        Column::extra("REASON"),
        Column::extra("PROBLEM"),
        Column::extra("ID"),
    ];

    fn rows(&self, _: i64) -> Vec<Vec<Cell>> {
        vec![vec![
            self.guest_name.as_str().into(),
            state(self.state()),
            owner(self).into(),
            words::time(self.expire_time.as_ref()).into(),
            self.host.as_str().into(),
            self.requester.as_str().into(),
            self.reason.as_str().into(),
            self.problem.as_str().into(),
            self.guest_id.as_str().into(),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.guest_id.clone()]
    }
}

impl Shown for v1::Drain {
    fn name(&self) -> String {
        self.guest_id.clone()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Guest", format!("{} ({})", self.guest_name, self.guest_id)),
            ("Host", self.host.clone()),
            ("State", state(self.state()).text().to_owned()),
            ("Problem", self.problem.clone()),
            ("Of", owner(self)),
            ("Until", words::time(self.expire_time.as_ref())),
            ("By", self.requester.clone()),
            ("Reason", self.reason.clone()),
        ]
    }
}

/// Whose it is.
pub(crate) fn owner(drain: &v1::Drain) -> String {
    if drain.operation_id.is_empty() { "by hand".into() } else { drain.operation_id.clone() }
}

fn state(state: v1::DrainState) -> Cell {
    let word = words::drain_state(state);
    match state {
        v1::DrainState::Unspecified => word.into(),
        v1::DrainState::InForce => Cell::toned(word, Tone::Good),
        v1::DrainState::Pending | v1::DrainState::SomebodyElses | v1::DrainState::Lifting => {
            Cell::toned(word, Tone::Busy)
        }
    }
}
