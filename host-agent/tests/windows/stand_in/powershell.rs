//! `powershell.exe`, which knows two scripts: ours. It checks that it is given them byte for byte, reads the JSON on standard
//! input as they do, and does in the world what they would.

use super::programs::Exit;
use super::world::{Connect, Edition, PowerShell, Session, World};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fmt::Write as _;

pub const PATH: &str = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe";
/// `CreateProcessW` takes so many characters.
const COMMAND_LINE_MAX: usize = 32_767;
/// What the agent's own helper puts before the command line that it was given.
const HELPER_TAKES: usize = 300;
/// The title of every message box.
const TITLE: &str = "Curfew";

const FRAME: &str = include_str!("../../../src/provider/guest_agent/windows/frame.ps1");
const SESSIONS: &str = include_str!("../../../src/provider/guest_agent/windows/sessions.ps1");
const SESSIONS_CODE: &str = include_str!("../../../src/provider/guest_agent/windows/sessions.cs");
const LOGONS: &str = include_str!("../../../src/provider/guest_agent/windows/logons.ps1");

/// Runs it. `Err` is why it cannot be started.
pub fn run(world: &mut World, arguments: &[String], input: &[u8]) -> Result<Exit, String> {
    let length: usize = arguments.iter().map(|argument| argument.len() + 1).sum();
    if PATH.len() + length + HELPER_TAKES > COMMAND_LINE_MAX {
        return Err("The filename or extension is too long.".into());
    }
    let text = |text: &str| world.language.code_page().encode(text);
    let words = world.language.words();
    match world.powershell {
        PowerShell::Missing => return Err("The system cannot find the file specified.".into()),
        PowerShell::BlockedByPolicy => {
            return Ok(Exit { code: 1, output: Vec::new(), complaint: text(words.blocked) });
        }
        PowerShell::BlockedByAntivirus => {
            let complaint = format!("At line:1 char:1\n{}\nScriptContainedMaliciousContent\n", words.blocked);
            return Ok(Exit { code: 1, output: Vec::new(), complaint: text(&complaint) });
        }
        PowerShell::Constrained => return Ok(Exit::saying("{\"curfew\":1,\"fail\":\"language\"}\r\n")),
        PowerShell::Works | PowerShell::NoCompiler | PowerShell::WindowsFails(_) => {}
    }
    let [options @ .., encoded] = arguments else { return Ok(Exit::failing("no script")) };
    if options != ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-EncodedCommand"] {
        return Ok(Exit::failing("other options than were agreed"));
    }
    let ask: Value = match (input.is_ascii(), serde_json::from_slice(input)) {
        (true, Ok(ask)) => ask,
        _ => return Ok(Exit::failing("its input is no JSON of ASCII only")),
    };
    let script = decode(encoded);
    let answer = if script == sessions_script() {
        sessions(world, &ask)
    } else if script == logons_script() {
        logons(world, &ask)
    } else {
        return Ok(Exit::failing("a script that is not known"));
    };
    // What PowerShell and its host say on the side, in the guest's language: nothing that anybody may read.
    let aside = format!("#< CLIXML\n<Objs Version=\"1.1.0.1\"></Objs>\n{}\n", world.language.words().denied);
    Ok(Exit { complaint: world.language.code_page().encode(&aside), ..Exit::saying(&ascii(&answer)) })
}

/// What the sessions' script is, made here from its sources once more: all lines that mean something, without indentation.
fn sessions_script() -> String {
    format!("$code = @'\n{}'@\n{}{}", bare(SESSIONS_CODE, "//"), bare(FRAME, "#"), bare(SESSIONS, "#"))
}

fn logons_script() -> String {
    format!("{}{}", bare(FRAME, "#"), bare(LOGONS, "#"))
}

fn bare(text: &str, comment: &str) -> String {
    let mut bare = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(comment)) {
        bare.push_str(line);
        bare.push('\n');
    }
    bare
}

fn decode(encoded: &str) -> String {
    let bytes = STANDARD.decode(encoded).unwrap_or_default();
    let units: Vec<u16> = bytes.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

/// JSON as the scripts write it: whatever is not plain ASCII is escaped.
fn ascii(answer: &Value) -> String {
    let mut text = String::new();
    for c in answer.to_string().chars() {
        if c.is_ascii() {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(text, "\\u{unit:04x}").expect("a text");
        }
    }
    text
}

fn sessions(world: &mut World, ask: &Value) -> Value {
    let words = world.language.words();
    match world.powershell {
        PowerShell::NoCompiler => {
            return json!({ "curfew": 1, "fail": "error", "code": 0, "why": words.no_compiler });
        }
        PowerShell::WindowsFails(number) => {
            return json!({ "curfew": 1, "fail": "error", "code": number, "why": words.denied });
        }
        _ => {}
    }
    let boot = world.boot.to_string();
    if ask["act"] == "list" {
        return list(world, &boot, ask["programs"] == true);
    }
    if ask["boot"] != boot.as_str() {
        return json!({ "curfew": 1, "fail": "boot" });
    }
    match ask["act"].as_str() {
        Some("tell") => tell(world, ask),
        Some("end") => json!({ "curfew": 1, "end": end(world, ask) }),
        _ => json!({ "curfew": 1, "fail": "error", "code": 0, "why": "an act that is not known" }),
    }
}

/// Somebody is logged on to it, and it is neither the services' nor one that listens.
fn is_persons(session: &Session) -> bool {
    session.id != 0 && session.state != Connect::Listens && !session.user.is_empty()
}

fn list(world: &mut World, boot: &str, programs: bool) -> Value {
    world.looked_at();
    let now = world.clock_ms;
    let people = || world.sessions.iter().filter(|session| is_persons(session));
    let rows: Vec<Value> = people()
        .map(|session| {
            let kind = match (session.protocol, session.station.as_str()) {
                (2, _) => "rdp",
                (_, "Console") => "console",
                _ => "",
            };
            json!({
                "id": session.id, "user": session.user, "domain": session.domain, "station": session.station,
                "client": session.client, "kind": kind, "state": session.word(), "began": session.began_us(),
                "idle": session.idle_ms(now),
            })
        })
        .collect();
    let mut held = json!({});
    for session in people().filter(|_| programs) {
        let names = session.programs.iter().filter(|program| program.is_persons).map(|program| &program.name);
        held[session.id.to_string()] = json!(names.collect::<std::collections::BTreeSet<_>>());
    }
    json!({ "curfew": 1, "boot": boot, "now": now, "sessions": rows, "programs": held })
}

fn tell(world: &mut World, ask: &Value) -> Value {
    let asked = ask["ids"].as_array().expect("ids").iter().zip(ask["began"].as_array().expect("logon times"));
    let mut told = Vec::new();
    for (id, began) in asked {
        let id = u32::try_from(id.as_u64().expect("an id")).expect("an id");
        let found = world.sessions.iter().find(|session| session.id == id && is_persons(session));
        told.push(match found {
            Some(session) if Some(session.began_us()) != began.as_i64() => "gone",
            Some(session) if session.word() != "active" => "away",
            Some(_) if world.clock_ms > ask["latest"].as_i64().expect("a time") => "late",
            Some(_) => {
                let text = ask["text"].as_str().expect("a text").to_owned();
                world.messages.push((id, TITLE.into(), text));
                "shown"
            }
            None => "gone",
        });
    }
    json!({ "curfew": 1, "told": told })
}

fn end(world: &mut World, ask: &Value) -> &'static str {
    let id = u32::try_from(ask["id"].as_u64().expect("an id")).expect("an id");
    let now = world.clock_ms;
    let found = world.sessions.iter().find(|session| session.id == id && is_persons(session));
    let Some(session) = found else { return "gone" };
    if Some(session.began_us()) != ask["began"].as_i64() {
        return "other";
    }
    let state = ask["state"].as_str().expect("a state");
    let holds = (state.is_empty() || state == session.word())
        && session.idle_ms(now) >= ask["idle"].as_i64().expect("a time");
    if session.word() != "closing" && !holds {
        return "changed";
    }
    if now > ask["latest"].as_i64().expect("a time") {
        return "late";
    }
    world.log_off(id, ask["force"] == true);
    "asked"
}

fn logons(world: &mut World, ask: &Value) -> Value {
    if world.clock_ms > ask["latest"].as_i64().expect("a time") {
        return json!({ "curfew": 1, "fail": "late" });
    }
    let logons = &world.logons;
    if ask["act"] == "undrain" {
        world.lift();
    } else if world.drains_for_us() || !(logons.disabled || logons.mode != 0) {
        let for_ms = ask["for"].as_i64().expect("a time").max(10_000);
        if world.edition != Edition::Server {
            return json!({ "curfew": 1, "fail": "drain" });
        }
        world.logons.mark = Some(1);
        world.logons.mode = 1;
        world.logons.task_at_ms = Some(world.clock_ms + for_ms + 1000);
        return json!({ "curfew": 1, "refused": "curfew" });
    }
    let somebody = world.logons.disabled || world.logons.mode != 0;
    json!({ "curfew": 1, "refused": if somebody { "somebody" } else { "nobody" } })
}
