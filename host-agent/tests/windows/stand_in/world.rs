//! What a Windows guest consists of, as far as sessions and logons go: its clock, its boot, who is logged on, who refuses
//! logons. Nothing happens by itself: time goes by when a test says so.

use super::language::Language;

/// A guest.
#[derive(Clone, Debug)]
pub struct World {
    pub language: Language,
    pub edition: Edition,
    pub powershell: PowerShell,
    /// The wall clock, in milliseconds since the Unix epoch.
    pub clock_ms: i64,
    /// When the first session manager began, as a FILETIME.
    pub boot: u64,
    pub sessions: Vec<Session>,
    pub logons: Logons,
    /// Message boxes that were put up: session, title, text.
    pub messages: Vec<(u32, String, String)>,
    /// Sessions that were told to end, each time.
    pub logoffs: Vec<u32>,
}

/// Which Windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    Server,
    /// Has the tools, whose modes change nothing.
    Pro,
    /// Without `chglogon.exe`.
    Home,
}

/// What becomes of our PowerShell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerShell {
    Works,
    Missing,
    Constrained,
    NoCompiler,
    BlockedByPolicy,
    /// The script is taken for malicious and not run.
    BlockedByAntivirus,
    /// `WTSEnumerateSessionsW` fails with this number.
    WindowsFails(u32),
}

/// A session's state, by Windows' numbers (`WTS_CONNECTSTATE_CLASS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connect {
    Active = 0,
    Connected = 1,
    Disconnected = 4,
    Listens = 6,
    Down = 8,
}

/// How a session takes being told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goes {
    AtOnce,
    /// It is listed so many times more.
    AfterLooks(u32),
    /// A program in it does not let go until it is killed.
    WhenForced,
}

/// An entry of the session table.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: u32,
    pub station: String,
    pub state: Connect,
    pub user: String,
    pub domain: String,
    pub client: String,
    /// 0 console, 2 remote desktop.
    pub protocol: u16,
    /// Milliseconds since the Unix epoch; 0 for never.
    pub logon_ms: i64,
    pub input_ms: i64,
    pub disconnect_ms: i64,
    pub programs: Vec<Program>,
    pub goes: Goes,
    pub told_to_end: bool,
}

/// A program in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub name: String,
    /// Runs as the person, not as the system.
    pub is_persons: bool,
}

/// Who refuses logons over the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logons {
    /// `TSServerDrainMode`: 0 nobody, 1 until restart, 2 until it is lifted.
    pub mode: u32,
    /// `WinStationsDisabled`.
    pub disabled: bool,
    /// Our volatile key: the mode that was set.
    pub mark: Option<u32>,
    /// When the task "Curfew undrain" runs, in milliseconds since the Unix epoch.
    pub task_at_ms: Option<i64>,
}

impl World {
    /// A server with what every server has: the services' session, the console's logon screen, the listener.
    pub fn server() -> World {
        let mut world = World {
            language: Language::English,
            edition: Edition::Server,
            powershell: PowerShell::Works,
            clock_ms: 1_790_000_000_000,
            boot: 134_300_000_000_000_001,
            sessions: Vec::new(),
            logons: Logons::default(),
            messages: Vec::new(),
            logoffs: Vec::new(),
        };
        world.sessions = vec![
            Session { state: Connect::Disconnected, ..Session::empty(0, "Services") },
            Session { state: Connect::Connected, ..Session::empty(1, "Console") },
            Session { state: Connect::Listens, ..Session::empty(65_536, "RDP-Tcp") },
        ];
        world
    }

    /// Logs somebody on over remote desktop, an hour ago by the guest's clock.
    pub fn log_on(&mut self, id: u32, domain: &str, user: &str) -> &mut Session {
        let began = self.clock_ms - 3_600_000;
        let program = |name: &str, is_persons| Program { name: name.into(), is_persons };
        self.sessions.push(Session {
            state: Connect::Active,
            user: user.into(),
            domain: domain.into(),
            client: "LAPTOP-7".into(),
            protocol: 2,
            logon_ms: began,
            input_ms: began,
            programs: vec![program("winlogon.exe", false), program("explorer.exe", true)],
            ..Session::empty(id, &format!("RDP-Tcp#{id}"))
        });
        self.sessions.last_mut().expect("just pushed")
    }

    pub fn session(&mut self, id: u32) -> &mut Session {
        self.sessions.iter_mut().find(|session| session.id == id).expect("a session with this id")
    }

    pub fn has_session(&self, id: u32) -> bool {
        self.sessions.iter().any(|session| session.id == id)
    }

    /// Lets time go by, and the task run whose time has come.
    pub fn let_pass(&mut self, ms: i64) {
        self.clock_ms += ms;
        if self.logons.task_at_ms.is_some_and(|at| at <= self.clock_ms) {
            self.lift();
        }
    }

    /// What the task and the script do at a drain's end.
    pub fn lift(&mut self) {
        if self.drains_for_us() {
            self.logons.mode = 0;
        }
        self.logons.mark = None;
        self.logons.task_at_ms = None;
    }

    pub fn drains_for_us(&self) -> bool {
        self.logons.mode != 0 && self.logons.mark == Some(self.logons.mode)
    }

    /// A reboot: nobody is logged on any more, and what goes with a reboot is gone.
    pub fn reboot(&mut self) {
        self.boot += 1_000_000_000;
        self.sessions.retain(|session| session.user.is_empty());
        self.logons.mark = None;
        if self.logons.mode == 1 {
            self.logons.mode = 0;
        }
    }

    /// Tells a session to end.
    pub fn log_off(&mut self, id: u32, force: bool) {
        self.logoffs.push(id);
        let session = self.session(id);
        session.told_to_end = true;
        if force {
            session.programs.retain(|program| !program.is_persons);
        }
        let stays = match session.goes {
            Goes::AtOnce | Goes::AfterLooks(0) => false,
            Goes::AfterLooks(_) => true,
            Goes::WhenForced => !force,
        };
        if !stays {
            self.sessions.retain(|session| session.id != id);
        }
    }

    /// Somebody looked at the sessions: those that take so long come closer to their end.
    pub fn looked_at(&mut self) {
        for session in &mut self.sessions {
            if let (true, Goes::AfterLooks(left)) = (session.told_to_end, &mut session.goes) {
                *left = left.saturating_sub(1);
            }
        }
        self.sessions.retain(|session| !(session.told_to_end && session.goes == Goes::AfterLooks(0)));
    }
}

impl Session {
    fn empty(id: u32, station: &str) -> Session {
        Session {
            id,
            station: station.into(),
            state: Connect::Active,
            user: String::new(),
            domain: String::new(),
            client: String::new(),
            protocol: 0,
            logon_ms: 0,
            input_ms: 0,
            disconnect_ms: 0,
            programs: Vec::new(),
            goes: Goes::AtOnce,
            told_to_end: false,
        }
    }

    /// The connection is lost or left.
    pub fn disconnect(&mut self, at_ms: i64) {
        self.state = Connect::Disconnected;
        self.disconnect_ms = at_ms;
        self.station = String::new();
    }

    /// Somebody comes back to it.
    pub fn reconnect(&mut self, at_ms: i64) {
        self.state = Connect::Active;
        self.input_ms = at_ms;
    }

    /// `sessions.cs`'s word for its state.
    pub fn word(&self) -> &'static str {
        match self.state {
            Connect::Disconnected => "disconnected",
            Connect::Down => "closing",
            Connect::Active | Connect::Connected | Connect::Listens => "active",
        }
    }

    /// Idle for so many milliseconds at this moment; -1 where Windows does not tell.
    pub fn idle_ms(&self, now_ms: i64) -> i64 {
        let left = if self.state == Connect::Disconnected { self.disconnect_ms } else { 0 };
        let used = self.input_ms.max(left);
        if used == 0 { -1 } else { (now_ms - used).max(0) }
    }

    /// Microseconds since the Unix epoch.
    pub fn began_us(&self) -> i64 {
        self.logon_ms * 1000
    }
}
