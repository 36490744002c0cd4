//! Hosts, guests and sessions.

use super::yes;
use crate::output::{Listed, Shown};
use crate::table::{Cell, Column, Tone};
use crate::words;
use curfew_proto::v1;

impl Listed for v1::Host {
    const KEY: &'static str = "hosts";
    const COLUMNS: &'static [Column] = &[
        Column::whole("NAME"),
        Column::whole("STATE"),
        Column::number("GUESTS"),
        Column::whole("SEEN"),
        Column::extra("VERSION"),
        Column::extra("LABELS"),
    ];

    fn rows(&self, now: i64) -> Vec<Vec<Cell>> {
        vec![vec![
            self.name.as_str().into(),
            connection(self.connected),
            u64::from(self.guest_count).into(),
            words::age(self.last_seen_time.as_ref(), now).into(),
            self.agent_version.as_str().into(),
            words::labels(&self.labels).into(),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

impl Shown for v1::Host {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Name", self.name.clone()),
            ("Connected", yes(self.connected)),
            ("Last seen", words::time(self.last_seen_time.as_ref())),
            ("Guests", self.guest_count.to_string()),
            ("Agent version", self.agent_version.clone()),
            ("Labels", words::labels(&self.labels)),
        ]
    }
}

impl Listed for v1::Guest {
    const KEY: &'static str = "guests";
    const COLUMNS: &'static [Column] = &[
        Column::cut("NAME"),
        Column::cut("HOST"),
        Column::whole("STATE"),
        Column::extra("ID"),
        Column::extra("OS"),
        Column::extra("PROVIDER"),
    ];

    fn rows(&self, _: i64) -> Vec<Vec<Cell>> {
        let state = words::power_state(self.power_state());
        let state = match (self.host_connected, self.power_state()) {
            (false, _) => Cell::toned("host away", Tone::Bad),
            (true, _) if self.held => Cell::toned(&format!("{state}, held"), Tone::Busy),
            (true, v1::PowerState::Running) => Cell::toned(state, Tone::Good),
            (true, v1::PowerState::Paused | v1::PowerState::Stopped) => Cell::toned(state, Tone::Busy),
            (true, v1::PowerState::Unspecified | v1::PowerState::Unknown) => state.into(),
        };
        let host = if self.other_hosts.is_empty() {
            self.host.clone()
        } else {
            format!("{} (claimed twice)", self.host)
        };
        vec![vec![
            self.name.as_str().into(),
            host.into(),
            state,
            self.id.as_str().into(),
            self.os.as_str().into(),
            self.provider.as_str().into(),
        ]]
    }

    fn names(&self) -> Vec<String> {
        vec![self.id.clone()]
    }
}

impl Shown for v1::Guest {
    fn name(&self) -> String {
        self.id.clone()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Id", self.id.clone()),
            ("Name", self.name.clone()),
            ("Host", self.host.clone()),
            ("Claimed by", self.other_hosts.join(", ")),
            ("Host connected", yes(self.host_connected)),
            ("Provider", self.provider.clone()),
            ("Operating system", self.os.clone()),
            ("State", words::power_state(self.power_state()).into()),
            ("Held", if self.held { "yes: curfew guest holds tells why".into() } else { String::new() }),
            ("Host itself", if self.is_host { yes(true) } else { String::new() }),
            ("Labels", words::labels(&self.labels)),
        ]
    }
}

impl Listed for v1::ListSessionsResponse {
    const KEY: &'static str = "guests";
    const COLUMNS: &'static [Column] = &[
        Column::cut("GUEST"),
        Column::whole("SESSION"),
        Column::cut("USER"),
        Column::cut("STATE"),
        Column::extra("HOST"),
        Column::extra("KIND"),
        Column::extra("FROM"),
        Column::extra("SINCE"),
        Column::extra("IDLE"),
    ];

    fn rows(&self, now: i64) -> Vec<Vec<Cell>> {
        let guest = || Cell::from(self.guest_name.as_str());
        let host = || Cell::from(self.host.as_str());
        if !words::is_ok(self.status.as_ref()) {
            // A guest that cannot be listed has a row of its own: it must never look like an empty one.
            let unknown = || Cell::toned("?", Tone::Bad);
            let why = Cell::toned(&format!("not listed: {}", words::status(self.status.as_ref())), Tone::Bad);
            let none = || Cell::from("");
            return vec![vec![guest(), unknown(), unknown(), why, host(), none(), none(), none(), none()]];
        }
        let row = |session: &v1::Session| {
            let idle =
                session.idle.as_ref().map(|idle| std::time::Duration::from_secs(idle.seconds.max(0) as u64));
            vec![
                guest(),
                session.id.as_str().into(),
                session.user.as_str().into(),
                words::session_state(session.state()).into(),
                host(),
                session.kind.as_str().into(),
                session.origin.as_str().into(),
                words::age(session.begin_time.as_ref(), now).into(),
                idle.map(words::span).unwrap_or_default().into(),
            ]
        };
        self.sessions.iter().map(row).collect()
    }

    fn names(&self) -> Vec<String> {
        self.sessions.iter().map(|session| format!("{}/{}", self.guest_id, session.id)).collect()
    }
}

fn connection(connected: bool) -> Cell {
    if connected { Cell::toned("connected", Tone::Good) } else { Cell::toned("away", Tone::Bad) }
}
