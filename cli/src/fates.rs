//! What became of sessions: of one guest as a table, of a whole operation as numbers, and of those that remain what
//! holds them.

use crate::table::{Column, Table};
use crate::terminal::Terminal;
use crate::words;
use curfew_proto::v1;
use serde::Serialize;
use std::io;

const SESSIONS: &[Column] = &[
    Column::whole("SESSION"),
    Column::cut("USER"),
    Column::whole("BECAME"),
    Column::number("NOTICES"),
    Column::cut("WHY"),
];

/// Remaining sessions that are named where a task has one line.
const HOLDERS_SHOWN: usize = 3;

/// Writes what became of each session of a verdict, under a title; nothing where the verdict has none.
///
/// # Errors
/// When data cannot be written.
pub(crate) fn write(terminal: &mut Terminal, title: &str, verdict: &v1::Verdict) -> io::Result<()> {
    if verdict.results.is_empty() {
        return Ok(());
    }
    terminal.data("")?;
    terminal.data(&format!("{title}:"))?;
    let mut table = Table::new(SESSIONS);
    for result in &verdict.results {
        let (id, user, why) = (result.id.as_str(), result.user.as_str(), result.why.as_str());
        let notices = u64::from(result.notices).into();
        table.row(terminal, vec![id.into(), user.into(), words::fate(result.fate()), notices, why.into()])?;
    }
    table.finish(terminal)?;
    match untold(verdict) {
        0 => Ok(()),
        more => terminal.data(&format!("and {more} more that went no worse")),
    }
}

/// Sessions that the counts know and the results do not name.
fn untold(verdict: &v1::Verdict) -> usize {
    let counts = verdict.sessions.unwrap_or_default();
    let all =
        [counts.found, counts.excluded, counts.new].into_iter().map(|count| count as usize).sum::<usize>();
    all.saturating_sub(verdict.results.len())
}

/// Who remains and what holds them, as far as that is known; in brackets, or empty.
pub(crate) fn holders(verdict: &v1::Verdict) -> String {
    let remaining = || verdict.results.iter().filter(|result| result.fate() == v1::SessionFate::Remaining);
    let named: Vec<String> = remaining().take(HOLDERS_SHOWN).map(named).collect();
    let counted = verdict.sessions.map_or(0, |counts| counts.remaining as usize).max(remaining().count());
    match (named.is_empty(), counted - named.len()) {
        (true, _) => String::new(),
        (false, 0) => format!(" ({})", named.join("; ")),
        (false, more) => format!(" ({}; and {more} more)", named.join("; ")),
    }
}

fn named(result: &v1::SessionResult) -> String {
    match result.why.as_str() {
        "" => format!("{} in {}", result.user, result.id),
        why => format!("{} in {} {why}", result.user, result.id),
    }
}

/// What became of the sessions of many guests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Asked to end, and gone.
    pub ended: u32,
    /// Killed, and gone.
    pub forced: u32,
    /// Gone before they were asked. Counted from results, of which a guest has 100 at most.
    pub left_by_themselves: u32,
    /// To end, and still there.
    pub remaining: u32,
    /// Left alone, because they were not asked for or their user is protected.
    pub excluded: u32,
    /// Begun after the act moment, and left alone.
    pub new: u32,
}

impl Totals {
    /// Adds those of a task.
    pub(crate) fn add(&mut self, task: &v1::Task) {
        let counts = task.sessions.or_else(|| task.verdict.as_ref()?.sessions).unwrap_or_default();
        let results = task.verdict.iter().flat_map(|verdict| &verdict.results);
        let left = results.filter(|result| result.fate() == v1::SessionFate::LeftByItself).count();
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let asked = counts.ended.saturating_sub(counts.forced).saturating_sub(left);
        for (total, more) in [
            (&mut self.ended, asked),
            (&mut self.forced, counts.forced),
            (&mut self.left_by_themselves, left),
            (&mut self.remaining, counts.remaining),
            (&mut self.excluded, counts.excluded),
            (&mut self.new, counts.new),
        ] {
            *total = total.saturating_add(more);
        }
    }

    /// In one line; nothing where no session was met.
    pub(crate) fn line(&self) -> Option<String> {
        let parts = [
            (self.ended, "ended"),
            (self.forced, "forced"),
            (self.left_by_themselves, "left by themselves"),
            (self.remaining, "remaining"),
            (self.excluded, "excluded"),
            (self.new, "new"),
        ];
        let said: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        (!said.is_empty()).then(|| format!("Sessions: {}", said.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::{Facts, testing};

    fn result(id: u32, user: &str, fate: v1::SessionFate, notices: u32, why: &str) -> v1::SessionResult {
        v1::SessionResult {
            id: format!("c{id}"),
            user: user.into(),
            fate: fate.into(),
            notices,
            why: why.into(),
        }
    }

    fn verdict() -> v1::Verdict {
        v1::Verdict {
            sessions: Some(v1::SessionCounts {
                found: 4,
                ended: 3,
                forced: 1,
                remaining: 1,
                excluded: 1,
                new: 1,
            }),
            results: vec![
                result(1, "bob", v1::SessionFate::Remaining, 2, "held by vim, bash"),
                result(
                    2,
                    "\u{1b}[2Jeve\u{202e}\n",
                    v1::SessionFate::Forced,
                    0,
                    "could not be shown a notice: \u{7}",
                ),
                result(3, "carol", v1::SessionFate::Ended, 2, ""),
                result(4, "dave", v1::SessionFate::LeftByItself, 1, ""),
                result(5, "alice", v1::SessionFate::Excluded, 0, "its user was excluded"),
            ],
            ..v1::Verdict::default()
        }
    }

    #[test]
    fn each_session_is_told_with_what_became_of_it_and_nothing_of_it_reaches_the_terminal() {
        let (mut terminal, out, _) = testing::terminal(Facts::default(), "");
        write(&mut terminal, "Sessions", &verdict()).expect("written");
        insta::assert_snapshot!(out.text(), @r#"

        Sessions:
        SESSION   USER                     BECAME           NOTICES   WHY
        c1        bob                      remaining              2   held by vim, bash
        c2        \u{1b}[2Jeve\u{202e}\n   forced                 0   could not be shown a notice: \u{7}
        c3        carol                    ended                  2   -
        c4        dave                     left by itself         1   -
        c5        alice                    excluded               0   its user was excluded
        and 1 more that went no worse
        "#);
        assert!(!crate::escape::has_hostile(&out.text()));
    }

    #[test]
    fn a_verdict_without_results_has_no_table() {
        let (mut terminal, out, _) = testing::terminal(Facts::default(), "");
        write(&mut terminal, "Sessions", &v1::Verdict::default()).expect("written");
        assert_eq!(out.text(), "");
    }

    #[test]
    fn what_holds_remaining_sessions_is_named_for_the_first_three() {
        assert_eq!(holders(&verdict()), " (bob in c1 held by vim, bash)");
        assert_eq!(holders(&v1::Verdict::default()), "");
        let results = (1..=16).map(|id| result(id, "bob", v1::SessionFate::Remaining, 0, "")).collect();
        let counts = v1::SessionCounts { found: 30, remaining: 30, ..v1::SessionCounts::default() };
        let many = v1::Verdict { sessions: Some(counts), results, ..v1::Verdict::default() };
        assert_eq!(holders(&many), " (bob in c1; bob in c2; bob in c3; and 27 more)");
    }

    #[test]
    fn totals_tell_those_who_were_asked_from_those_who_were_killed_and_those_who_left() {
        let task = v1::Task { verdict: Some(verdict()), ..v1::Task::default() };
        let mut totals = Totals::default();
        assert_eq!(totals.line(), None);
        totals.add(&task);
        totals.add(&task);
        assert_eq!(
            totals.line().as_deref(),
            Some("Sessions: 2 ended, 2 forced, 2 left by themselves, 2 remaining, 2 excluded, 2 new")
        );
    }
}
