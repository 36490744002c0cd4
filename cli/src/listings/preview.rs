//! Previews: which guests a logoff would touch, and who is logged on to them.

use crate::output::Listed;
use crate::table::{Cell, Column, Tone};
use crate::words;
use curfew_proto::v1;
use serde::Serialize;

/// A guest of a preview that asked who is logged on.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct LiveGuest(pub(crate) v1::PreviewGuest);

impl Listed for v1::PreviewGuest {
    const KEY: &'static str = "guests";
    const COLUMNS: &'static [Column] = &[
        Column::whole("LOGOFF"),
        Column::cut("GUEST"),
        Column::cut("HOST"),
        Column::cut("NOTE"),
        Column::extra("ID"),
    ];

    fn rows(&self, _: i64) -> Vec<Vec<Cell>> {
        vec![vec![
            logoff(self.included),
            self.guest_name.as_str().into(),
            self.host.as_str().into(),
            note(self, "").into(),
            self.guest_id.as_str().into(),
        ]]
    }

    fn names(&self) -> Vec<String> {
        if self.included { vec![self.guest_id.clone()] } else { Vec::new() }
    }
}

impl Listed for LiveGuest {
    const KEY: &'static str = "guests";
    const COLUMNS: &'static [Column] = &[
        Column::whole("LOGOFF"),
        Column::cut("GUEST"),
        Column::cut("USER"),
        Column::cut("SESSION"),
        Column::cut("STATE"),
        Column::cut("NOTE"),
        Column::extra("HOST"),
        Column::extra("ID"),
    ];

    fn rows(&self, _: i64) -> Vec<Vec<Cell>> {
        let guest = &self.0;
        let row = |is_in, user: Cell, session: Cell, state: Cell, own_note: &str| {
            vec![
                logoff(is_in),
                guest.guest_name.as_str().into(),
                user,
                session,
                state,
                note(guest, own_note).into(),
                guest.host.as_str().into(),
                guest.guest_id.as_str().into(),
            ]
        };
        let none = || Cell::from("");
        if !guest.included {
            return vec![row(false, none(), none(), none(), "")];
        }
        if !words::is_ok(guest.session_status.as_ref()) {
            // It must never look like a guest on which nobody is logged on.
            let unknown = || Cell::toned("?", Tone::Bad);
            let why = format!("not listed: {}", words::status(guest.session_status.as_ref()));
            return vec![row(true, unknown(), unknown(), Cell::toned(&why, Tone::Bad), "")];
        }
        if guest.sessions.is_empty() {
            return vec![row(true, none(), none(), none(), "nobody is logged on")];
        }
        let session_row = |listed: &v1::PreviewSession| {
            let session = listed.session.clone().unwrap_or_default();
            let state = words::session_state(session.state());
            let own_note = match (listed.excluded, listed.excluded_because.as_str()) {
                (false, _) => String::new(),
                (true, "") => "left alone".into(),
                (true, because) => format!("left alone: {because}"),
            };
            row(!listed.excluded, session.user.into(), session.id.into(), state.into(), &own_note)
        };
        guest.sessions.iter().map(session_row).collect()
    }

    fn names(&self) -> Vec<String> {
        self.0.names()
    }
}

fn logoff(is_in: bool) -> Cell {
    if is_in { Cell::toned("yes", Tone::Good) } else { Cell::toned("no", Tone::Busy) }
}

/// What is to be said of a guest: its wave where it has one, the controller's note, and `own`.
fn note(guest: &v1::PreviewGuest, own: &str) -> String {
    let wave = if guest.wave > 0 { format!("wave {}", guest.wave) } else { String::new() };
    let parts: Vec<&str> =
        [wave.as_str(), &guest.note, own].into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("; ")
}
