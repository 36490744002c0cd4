//! Hosts and guests.

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
        let marks = [(self.held, ", held"), (self.drain_expire_time.is_some(), ", drained")];
        let marks: String = marks.iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| *mark).collect();
        let state = match (self.host_connected, self.power_state()) {
            (false, _) => Cell::toned("host away", Tone::Bad),
            (true, _) if !marks.is_empty() => Cell::toned(&format!("{state}{marks}"), Tone::Busy),
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
        let drained = self.drain_expire_time.as_ref();
        let drained =
            drained.map(|end| format!("until {}: curfew guest drains tells why", words::time(Some(end))));
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
            ("Drained", drained.unwrap_or_default()),
            ("Host itself", if self.is_host { yes(true) } else { String::new() }),
            ("Labels", words::labels(&self.labels)),
        ]
    }
}

fn connection(connected: bool) -> Cell {
    if connected { Cell::toned("connected", Tone::Good) } else { Cell::toned("away", Tone::Bad) }
}
