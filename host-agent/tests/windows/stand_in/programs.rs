//! The programs that a Windows guest has: PowerShell, and the session tools that people and scripts use. What those print is
//! in the guest's language and its console's code page, with columns that cut names: it shows why nothing of ours reads it.

use super::powershell;
use super::world::{Connect, Edition, World};
use std::fmt::Write as _;

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    pub code: i64,
    pub output: Vec<u8>,
    pub complaint: Vec<u8>,
}

impl Exit {
    pub fn saying(text: &str) -> Exit {
        Exit { code: 0, output: text.into(), complaint: Vec::new() }
    }

    pub fn failing(text: &str) -> Exit {
        Exit { code: 1, output: Vec::new(), complaint: text.into() }
    }
}

/// Runs a program. `Err` is why it cannot be started.
pub fn run(world: &mut World, path: &str, arguments: &[String], input: &[u8]) -> Result<Exit, String> {
    if path == powershell::PATH {
        return powershell::run(world, arguments, input);
    }
    let file = path.rsplit('\\').next().unwrap_or(path).to_ascii_lowercase();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = match (file.trim_end_matches(".exe"), words.as_slice()) {
        ("query", ["session"]) | ("qwinsta", []) => query_session(world),
        ("change", ["logon", option]) | ("chglogon", [option]) if world.edition != Edition::Home => {
            change_logon(world, option)
        }
        _ => return Err("The system cannot find the file specified.".into()),
    };
    Ok(Exit { code: 0, output: world.language.code_page().encode(&said), complaint: Vec::new() })
}

/// `query session`: no domain, and names cut at 20 characters.
fn query_session(world: &World) -> String {
    let words = world.language.words();
    let [session, user, id, state, kind, device] = words.columns;
    let mut table = format!(" {session:<18}{user:<20.20}{id:>9}  {state:<8}{kind:<12}{device}\n");
    for session in &world.sessions {
        let state = match session.state {
            Connect::Active => words.active,
            Connect::Connected => words.connected,
            Connect::Disconnected | Connect::Down => words.disconnected,
            Connect::Listens => words.listens,
        };
        let station = session.station.to_lowercase();
        writeln!(table, " {station:<18}{:<20.20}{:>9}  {state:<8}", session.user, session.id)
            .expect("a text");
    }
    table
}

/// `change logon`.
fn change_logon(world: &mut World, option: &str) -> String {
    let sets = world.edition == Edition::Server;
    match option {
        "/drain" if sets => world.logons.mode = 2,
        "/drainuntilrestart" if sets => world.logons.mode = 1,
        "/disable" => world.logons.disabled = true,
        "/enable" => {
            world.logons.mode = 0;
            world.logons.disabled = false;
        }
        _ => {}
    }
    let words = world.language.words();
    let said = match (world.logons.disabled, world.logons.mode) {
        (true, _) => words.disabled,
        (false, 0) => words.enabled,
        (false, _) => words.drained,
    };
    format!("{said}\n")
}
