//! How an operation ended: a count for each outcome, and the guests that did not end well with their codes.

use crate::client::{self, Client};
use crate::error::CallError;
use crate::exit::Exit;
use crate::fates::Totals;
use crate::listings;
use crate::output::{self, Format};
use crate::pages;
use crate::standing;
use crate::table::{Cell, Column, Table};
use crate::terminal::Terminal;
use crate::treatment;
use crate::words;
use curfew_proto::v1;
use serde::Serialize;
use std::io;
use std::time::Duration;

/// Guests that did not end well and are listed for people: about a screen.
const NOT_WELL_SHOWN: usize = 20;

const OUTCOMES: &[Column] = &[Column::whole("OUTCOME"), Column::number("GUESTS")];
const NOT_WELL: &[Column] = &[
    Column::whole("TASK"),
    Column::cut("GUEST"),
    Column::whole("OUTCOME"),
    Column::cut("CODE"),
    Column::extra("HOST"),
    Column::extra("MESSAGE"),
];

/// An operation that was followed to its end, or as far as somebody wanted to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The operation as it stood last.
    pub operation: v1::Operation,
    /// Tasks that ended and did not end well: all of them in a document, the first ones for people.
    pub tasks_not_well: Vec<v1::Task>,
    /// What became of the sessions of its guests.
    pub sessions: Totals,
}

impl Summary {
    /// Fetches what belongs to the summary of `operation` in the given format: every task passes by once.
    ///
    /// # Errors
    /// When the tasks cannot be listed.
    pub async fn of(client: &Client, operation: v1::Operation, format: Format) -> Result<Summary, CallError> {
        let limit = match format {
            Format::Table => NOT_WELL_SHOWN,
            Format::Json | Format::Yaml => usize::MAX,
            Format::Name => 0,
        };
        let mut summary = Summary::begun(operation);
        let mut token = String::new();
        // For the id alone, or where nothing has ended, there is nothing to count.
        let mut has_more = format != Format::Name && ended(&summary.operation) > 0;
        while has_more {
            let page = summary.page(client, token).await?;
            token = page.next_page_token;
            has_more = !token.is_empty();
            for task in page.tasks {
                summary.sessions.add(&task);
                if task.is_complete && !task.ended_well && summary.tasks_not_well.len() < limit {
                    summary.tasks_not_well.push(task);
                }
            }
        }
        Ok(summary)
    }

    async fn page(&self, client: &Client, page_token: String) -> Result<v1::ListTasksResponse, CallError> {
        let id = &self.operation.id;
        let request = client::soon(v1::ListTasksRequest {
            operation_id: id.clone(),
            page_size: pages::TASKS,
            page_token,
            outcomes: Vec::new(),
            only_not_well: false,
        });
        let mut operations = client.operations();
        client.ask(format!("list tasks of {id}"), operations.list_tasks(request)).await
    }

    /// A summary without tasks: of an operation that was only started.
    pub fn begun(operation: v1::Operation) -> Summary {
        Summary { operation, tasks_not_well: Vec::new(), sessions: Totals::default() }
    }

    /// How many tasks ended and did not end well.
    pub fn not_well_count(&self) -> u64 {
        ended(&self.operation).saturating_sub(self.operation.ended_well_count)
    }

    /// What it amounts to for scripts.
    pub fn exit(&self) -> Exit {
        Exit::of_operation(&self.operation)
    }

    /// Writes it.
    ///
    /// # Errors
    /// When data cannot be written.
    pub fn write(&self, terminal: &mut Terminal, format: Format) -> io::Result<()> {
        match format {
            Format::Table => self.write_for_people(terminal),
            Format::Json | Format::Yaml => output::document(terminal, format, self),
            Format::Name => terminal.data(&self.operation.id),
        }
    }

    fn write_for_people(&self, terminal: &mut Terminal) -> io::Result<()> {
        terminal.data(&self.headline())?;
        if let Some(line) = self.operation.spec.as_ref().and_then(treatment::line) {
            terminal.data(&line)?;
        }
        let mut outcomes = Table::new(OUTCOMES);
        for count in &self.operation.outcomes {
            let outcome = count.outcome();
            let word = Cell::toned(words::outcome(outcome), words::outcome_tone(outcome));
            outcomes.row(terminal, vec![word, count.tasks.into()])?;
        }
        terminal.data("")?;
        outcomes.finish(terminal)?;
        if let Some(line) = self.sessions.line() {
            terminal.data("")?;
            terminal.data(&line)?;
        }
        self.write_not_well(terminal)?;
        match self.operation.late_finding_count {
            0 => Ok(()),
            late => terminal.data(&format!(
                "{} came after the outcome: curfew task list {} shows where",
                words::count(late, "late finding"),
                self.operation.id
            )),
        }
    }

    fn headline(&self) -> String {
        let operation = &self.operation;
        let guests = words::count(operation.task_count, "guest");
        if operation.state() != v1::OperationState::Ended {
            let ended = ended(operation);
            if let Some(stop) = standing::stop(operation) {
                return format!("{} is {}: {ended} of {guests} have ended", operation.id, stop.what);
            }
            return format!("{} goes on: {ended} of {guests} have ended", operation.id);
        }
        let well = operation.ended_well_count;
        let took = took(operation).map_or_else(String::new, |took| format!(", in {took}"));
        format!("{} ended: {well} of {guests} ended well{took}", operation.id)
    }

    fn write_not_well(&self, terminal: &mut Terminal) -> io::Result<()> {
        let count = self.not_well_count();
        if count == 0 {
            return Ok(());
        }
        let word = if count == 1 { "1 guest" } else { &format!("{count} guests") };
        terminal.data("")?;
        terminal.data(&format!("{word} did not end well:"))?;
        let mut table = Table::new(NOT_WELL);
        for task in self.tasks_not_well.iter().take(NOT_WELL_SHOWN) {
            table.row(terminal, not_well_row(task))?;
        }
        table.finish(terminal)?;
        let more = count.saturating_sub(self.tasks_not_well.len().min(NOT_WELL_SHOWN) as u64);
        if more > 0 {
            let id = &self.operation.id;
            terminal.data(&format!("and {more} more: curfew task list {id} --not-well"))?;
        }
        Ok(())
    }
}

fn not_well_row(task: &v1::Task) -> Vec<Cell> {
    let verdict = task.verdict.as_ref();
    vec![
        task.id.as_str().into(),
        task.guest_name.as_str().into(),
        words::task_state(task),
        words::status(verdict.and_then(|verdict| verdict.status.as_ref())).into(),
        task.host.as_str().into(),
        verdict.map(listings::message).unwrap_or_default().into(),
    ]
}

fn ended(operation: &v1::Operation) -> u64 {
    operation.outcomes.iter().map(|count| count.tasks).sum()
}

/// How long the operation took, by the controller's clock.
fn took(operation: &v1::Operation) -> Option<String> {
    let (from, to) = (operation.create_time.as_ref()?, operation.end_time.as_ref()?);
    let millis = (to.seconds - from.seconds) * 1000 + i64::from(to.nanos - from.nanos) / 1_000_000;
    Some(words::elapsed(Duration::from_millis(u64::try_from(millis).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::{Facts, testing};
    use crate::testing::{operation, timed_out};

    fn written(summary: &Summary, format: Format) -> String {
        let (mut terminal, out, _) = testing::terminal(Facts::default(), "");
        summary.write(&mut terminal, format).expect("written");
        out.text()
    }

    #[test]
    fn the_summary_of_5_guests_names_the_one_that_did_not_end_well() {
        let outcomes =
            [(v1::Outcome::Succeeded, 3), (v1::Outcome::NothingToDo, 1), (v1::Outcome::TimedOut, 1)];
        let tasks_not_well = vec![timed_out(4)];
        let summary = Summary { tasks_not_well, ..Summary::begun(operation(5, &outcomes, &[])) };
        insta::assert_snapshot!(written(&summary, Format::Table), @r#"
        op-0123456789abc ended: 4 of 5 guests ended well, in 3.2s

        OUTCOME         GUESTS
        succeeded            3
        nothing to do        1
        timed out            1

        1 guest did not end well:
        TASK                 GUEST    OUTCOME     CODE                        HOST     MESSAGE
        op-0123456789abc/4   desk-4   timed out   0xA0040202 VM_E_TIMED_OUT   host-1   the guest did not answer within the time given
        "#);
        assert_eq!(summary.exit(), Exit::NotWell);
    }

    #[test]
    fn the_summary_of_50_000_guests_stays_a_screen_long() {
        let outcomes = [(v1::Outcome::Succeeded, 49_000), (v1::Outcome::TimedOut, 1000)];
        let tasks_not_well = (0..20).map(timed_out).collect();
        let summary = Summary { tasks_not_well, ..Summary::begun(operation(50_000, &outcomes, &[])) };
        let text = written(&summary, Format::Table);
        assert_eq!(text.lines().count(), 29, "{text}");
        assert!(text.ends_with("and 980 more: curfew task list op-0123456789abc --not-well\n"), "{text}");
    }

    #[test]
    fn a_summary_without_failures_lists_none() {
        let summary = Summary::begun(operation(5, &[(v1::Outcome::Succeeded, 5)], &[]));
        insta::assert_snapshot!(written(&summary, Format::Table), @r#"
        op-0123456789abc ended: 5 of 5 guests ended well, in 3.2s

        OUTCOME     GUESTS
        succeeded        5
        "#);
        assert_eq!(summary.exit(), Exit::Well);
    }

    #[test]
    fn as_a_document_it_holds_the_operation_and_every_task_that_did_not_end_well() {
        let outcomes = [(v1::Outcome::Succeeded, 70), (v1::Outcome::TimedOut, 30)];
        let tasks_not_well = (0..30).map(timed_out).collect();
        let summary = Summary { tasks_not_well, ..Summary::begun(operation(100, &outcomes, &[])) };
        let json: serde_json::Value = serde_json::from_str(&written(&summary, Format::Json)).expect("JSON");
        assert_eq!(json["operation"]["taskCount"], "100");
        assert_eq!(json["tasksNotWell"].as_array().map(Vec::len), Some(30));
        assert_eq!(json["tasksNotWell"][0]["verdict"]["status"]["code"], "STATUS_CODE_TIMED_OUT");
        assert_eq!(written(&summary, Format::Name), "op-0123456789abc\n");
    }
}
