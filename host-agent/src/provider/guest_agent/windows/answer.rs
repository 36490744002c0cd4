//! What the scripts in a Windows guest answer, read strictly: a guest is not trusted, so that each number, word and length is
//! checked before it is believed.

use super::super::channel::{shown, unexpected};
use super::super::exec::Ended;
use super::super::json;
use crate::provider::login1::printable;
use crate::provider::{EndReply, Error, NoticeReply, SessionList};
use curfew_types::session::USER_MAX;
use curfew_types::{Session, SessionKey, SessionState, StatusCode, WallTime};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most sessions that are believed: several times a large terminal server.
const SESSIONS_MAX: usize = 2_000;
/// Most names of programs in one session; the script stops there itself.
const PROGRAMS_MAX: usize = 32;
/// Longest name of a program kept.
const PROGRAM_NAME_MAX: usize = 64;
/// Longest name of a station or client kept.
const WORD_MAX: usize = 256;
/// Fields of a session, names of its programs, and both lists' own entries.
const VALUES_MAX: usize = SESSIONS_MAX * (12 + PROGRAMS_MAX);
/// Highest session id: Windows' own count is a signed 32-bit number in our program.
pub(super) const ID_MAX: u32 = i32::MAX as u32;

/// Windows' numbers for what passes when the guest has booted, or is gone when it has shut down: the RPC server is
/// unavailable, the call failed, the interface is unknown, the service is not active, a shutdown is under way.
const NOT_NOW: [i64; 5] = [1722, 1726, 1717, 1062, 1115];
/// Windows' number for access denied.
const ACCESS_DENIED: i64 = 5;

/// What a script answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer<T> {
    /// It did what it was asked.
    Done(T),
    /// The system has booted since the session that was meant.
    OtherBoot,
    /// This edition cannot.
    Unavailable,
}

/// All sessions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    #[serde(rename = "curfew")]
    _version: Version,
    boot: String,
    now: i64,
    sessions: Vec<Row>,
    programs: BTreeMap<String, Vec<String>>,
}

/// What became of notices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    #[serde(rename = "curfew")]
    _version: Version,
    told: Vec<Value>,
}

/// What became of a session's end.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndSaid {
    #[serde(rename = "curfew")]
    _version: Version,
    pub(super) end: EndWord,
}

/// Who refuses logons now.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drained {
    #[serde(rename = "curfew")]
    _version: Version,
    pub(super) refused: Refuser,
}

/// The answers' version, always 1.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u8")]
struct Version;

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EndWord {
    Asked,
    Gone,
    Other,
    Changed,
    Late,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Refuser {
    Curfew,
    Somebody,
    Nobody,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: u32,
    user: String,
    domain: String,
    station: String,
    client: String,
    kind: String,
    state: SessionState,
    /// Microseconds since the Unix epoch.
    began: u64,
    /// Milliseconds; -1 where it is not known.
    idle: i64,
}

impl TryFrom<u8> for Version {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Version, &'static str> {
        if number == 1 { Ok(Version) } else { Err("another version") }
    }
}

impl From<EndWord> for EndReply {
    fn from(word: EndWord) -> EndReply {
        match word {
            EndWord::Asked => EndReply::Asked,
            EndWord::Gone => EndReply::Gone,
            EndWord::Other => EndReply::NotThatSession,
            EndWord::Changed => EndReply::NoLongerMatches,
            EndWord::Late => EndReply::TooLate,
        }
    }
}

/// Reads what a script printed.
///
/// # Errors
/// *Unlistable* where the script could not do its work in this guest, the contract's code where Windows gave a reason,
/// `DISP_E_EXCEPTION` for what makes no sense.
pub(super) fn read<T: DeserializeOwned>(ended: &Ended) -> Result<Answer<T>, Error> {
    // Some consoles begin with a byte order mark.
    let text = ended.output.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&ended.output).trim_ascii();
    if text.is_empty() || ended.code != Some(0) {
        let said = if text.is_empty() { String::new() } else { format!("{} ", shown(text)) };
        let how = if ended.code == Some(0) { "printed nothing".into() } else { ended.exit() };
        return Err(Error::unlistable(format!("PowerShell in the guest {how}: {said}{}", ended.complaint)));
    }
    let value = json::read(text, VALUES_MAX).map_err(|_| nonsense(text))?;
    if value.get("fail").is_some() {
        return why_not(&value).ok_or_else(|| nonsense(text))?;
    }
    serde_json::from_value(value).map(Answer::Done).map_err(|_| nonsense(text))
}

/// What it means that a script did not do its work; nothing for a word that is not known.
fn why_not<T>(value: &Value) -> Option<Result<Answer<T>, Error>> {
    let answer = match value.get("fail")?.as_str()? {
        "boot" => Ok(Answer::OtherBoot),
        "drain" => Ok(Answer::Unavailable),
        "late" => {
            let message = "the time was over when the guest got to it; nothing was done";
            Err(Error::new(StatusCode::TimedOut, message))
        }
        "language" => {
            let message = "PowerShell in the guest runs in constrained language mode, in which sessions cannot be listed";
            Err(Error::unlistable(message))
        }
        "error" => {
            let number = value.get("code").and_then(Value::as_i64)?;
            let why = shown(value.get("why").and_then(Value::as_str).unwrap_or_default().as_bytes());
            Err(failed(number, &why))
        }
        _ => return None,
    };
    Some(answer)
}

/// An error of Windows by its number, 0 for one of PowerShell itself; `why` is in the guest's language, escaped.
fn failed(number: i64, why: &str) -> Error {
    match number {
        0 => Error::unlistable(format!("PowerShell in the guest could not do its work: {why}")),
        ACCESS_DENIED => {
            Error::new(StatusCode::AccessDenied, format!("Windows in the guest denied it: {why}"))
        }
        number if NOT_NOW.contains(&number) => {
            let message = format!("Windows in the guest has not booted, or is shutting down: {why}");
            Error::new(StatusCode::AdditionsNotAvail, message)
        }
        number => unexpected(format!("Windows in the guest answered with error {number}: {why}")),
    }
}

impl Listed {
    /// The sessions as the agent knows them, those that began first first.
    pub(super) fn into_list(self) -> Result<SessionList, Error> {
        let boot = self.boot;
        if boot.is_empty() || boot.len() > 20 || !boot.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(unexpected(format!("the guest's boot makes no sense: {}", shown(boot.as_bytes()))));
        }
        let count = self.sessions.len();
        if count > SESSIONS_MAX {
            return Err(unexpected(format!("the guest lists {count} sessions, which is not believed")));
        }
        let ids: BTreeSet<u32> = self.sessions.iter().map(|row| row.id).collect();
        if ids.len() != count || ids.iter().any(|id| !(1..=ID_MAX).contains(id)) {
            return Err(unexpected("the guest mixes up its sessions"));
        }
        let processes = processes(self.programs, &ids)?;
        let sessions: Result<Vec<Session>, Error> =
            self.sessions.into_iter().map(|row| row.into_session(&boot)).collect();
        let mut sessions = sessions?;
        sessions.sort_by(|a, b| (a.key.began_us, &a.key.id).cmp(&(b.key.began_us, &b.key.id)));
        Ok(SessionList { boot, clock: WallTime(self.now), sessions, processes })
    }
}

fn processes(
    programs: BTreeMap<String, Vec<String>>,
    ids: &BTreeSet<u32>,
) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let mut processes = BTreeMap::new();
    for (id, names) in programs {
        if !id.parse().is_ok_and(|number: u32| ids.contains(&number) && number.to_string() == id) {
            return Err(unexpected("the guest tells programs of a session that it does not list"));
        }
        let names = names.iter().take(PROGRAMS_MAX).map(|name| printable(name, PROGRAM_NAME_MAX));
        processes.insert(id, names.collect());
    }
    Ok(processes)
}

impl Row {
    fn into_session(self, boot: &str) -> Result<Session, Error> {
        if self.user.is_empty() {
            return Err(unexpected("the guest lists a session of nobody"));
        }
        let user = if self.domain.is_empty() { self.user } else { format!("{}\\{}", self.domain, self.user) };
        let kind = if self.kind.is_empty() { "unspecified" } else { &self.kind };
        let origin = if self.client.is_empty() { &self.station } else { &self.client };
        Ok(Session {
            user: printable(&user, USER_MAX),
            state: self.state,
            kind: printable(kind, WORD_MAX),
            origin: printable(origin, WORD_MAX),
            since: WallTime(i64::try_from(self.began / 1000).unwrap_or(i64::MAX)),
            idle_ms: u64::try_from(self.idle).ok(),
            key: SessionKey { boot: boot.into(), id: self.id.to_string(), began_us: self.began },
        })
    }
}

impl Told {
    /// One reply a session.
    pub(super) fn into_replies(self, expected: usize) -> Result<Vec<NoticeReply>, Error> {
        if self.told.len() != expected {
            return Err(unexpected("the guest does not say what became of each notice"));
        }
        self.told.iter().map(reply).collect()
    }
}

fn reply(told: &Value) -> Result<NoticeReply, Error> {
    let not_shown = |why: &str| Ok(NoticeReply::NotShown(why.into()));
    match (told.as_str(), told.as_i64()) {
        (Some("shown"), _) => Ok(NoticeReply::Shown),
        (Some("gone"), _) => Ok(NoticeReply::Gone),
        (Some("away"), _) => not_shown("nobody is connected to it"),
        (Some("late"), _) => not_shown("the time was over when the guest got to it"),
        (None, Some(number)) => not_shown(&format!("Windows answered with error {number}")),
        _ => Err(unexpected("the guest says something else of a notice than what becomes of them")),
    }
}

fn nonsense(text: &[u8]) -> Error {
    unexpected(format!("what PowerShell in the guest printed makes no sense: {}", shown(text)))
}
