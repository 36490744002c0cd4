//! Who is logged on, guest by guest as their answers come.

use crate::output::Listed;
use crate::table::{Cell, Column, Tone};
use crate::words;
use curfew_proto::v1;

impl Listed for v1::ListSessionsResponse {
    const KEY: &'static str = "guests";
    const COLUMNS: &'static [Column] = &[
        Column::cut("GUEST"),
        Column::cut("HOST"),
        Column::whole("SESSION"),
        Column::cut("USER"),
        Column::cut("STATE"),
        Column::extra("IDLE"),
        Column::extra("SINCE"),
        Column::extra("KIND"),
        Column::extra("FROM"),
    ];

    fn rows(&self, now: i64) -> Vec<Vec<Cell>> {
        let guest = || [Cell::from(self.guest_name.as_str()), Cell::from(self.host.as_str())];
        let row = |rest: [Cell; 7]| guest().into_iter().chain(rest).collect();
        if !words::is_ok(self.status.as_ref()) {
            // A guest that cannot be listed has a row of its own: it must never look like an empty one.
            let unknown = || Cell::toned("?", Tone::Bad);
            let why = Cell::toned(&format!("not listed: {}", words::status(self.status.as_ref())), Tone::Bad);
            let none = || Cell::from("");
            return vec![row([unknown(), unknown(), why, none(), none(), none(), none()])];
        }
        let session_row = |session: &v1::Session| {
            row([
                session.id.as_str().into(),
                session.user.as_str().into(),
                words::session_state(session.state()).into(),
                session
                    .idle
                    .as_ref()
                    .map(|idle| words::span(words::from_wire(idle)))
                    .unwrap_or_default()
                    .into(),
                words::age(session.begin_time.as_ref(), now).into(),
                session.kind.as_str().into(),
                session.origin.as_str().into(),
            ])
        };
        self.sessions.iter().map(session_row).collect()
    }

    fn names(&self) -> Vec<String> {
        self.sessions.iter().map(|session| format!("{}/{}", self.guest_id, session.id)).collect()
    }
}
