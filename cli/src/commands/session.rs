//! `session`: who is logged on now, shown as each guest answers. A guest that cannot be listed never looks empty.

use crate::args::{SessionCommand, SessionListArgs};
use crate::client::Client;
use crate::effective;
use crate::exit::Exit;
use crate::output::{Format, List};
use crate::terminal::Terminal;
use crate::words;
use curfew_proto::v1;
use std::time::Duration;
use tonic::{Status, Streaming};

/// After so long without another answer, what is there is shown: whoever waits for the slowest guest reads meanwhile.
const QUIET: Duration = Duration::from_millis(200);
/// Guests that could not be listed and are named below the list: about a screen. Their rows are in the list, too.
const UNLISTED_SHOWN: usize = 20;
const ATTEMPT: &str = "list sessions";

/// `curfew session`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub async fn session(
    client: &Client,
    command: &SessionCommand,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let SessionCommand::List(args) = command;
    list_sessions(client, args, terminal).await
}

async fn list_sessions(
    client: &Client,
    args: &SessionListArgs,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let filter = effective::session_filter(&args.sessions, jiff::Timestamp::now())?;
    let mut found = Found::default();
    let request = v1::ListSessionsRequest {
        label_selector: args.selector.clone().unwrap_or_default(),
        hosts: args.host.clone(),
        guests: args.guest.clone(),
        timeout: args.timeout.map(effective::duration),
        filter,
    };
    let mut fleet = client.fleet();
    let mut answers = client.ask(ATTEMPT, fleet.list_sessions(request)).await?;
    let mut list = List::new(args.output.output);
    while let Some(answer) =
        next(&mut answers, &mut list, terminal).await?.map_err(|status| client.error(ATTEMPT, &status))?
    {
        found.count(&answer);
        list.item(terminal, &answer)?;
        if terminal.is_reader_gone() {
            break;
        }
    }
    list.finish(terminal)?;
    found.lines(args.output.output).iter().for_each(|line| terminal.note(line));
    Ok(if found.unlisted == 0 { Exit::Well } else { Exit::NotWell })
}

/// The next answer. If it does not come at once, what came before is shown meanwhile.
async fn next(
    answers: &mut Streaming<v1::ListSessionsResponse>,
    list: &mut List<v1::ListSessionsResponse>,
    terminal: &mut Terminal,
) -> std::io::Result<Result<Option<v1::ListSessionsResponse>, Status>> {
    // Giving up on a message loses nothing: the stream keeps what it has read of it.
    if let Ok(answer) = tokio::time::timeout(QUIET, answers.message()).await {
        return Ok(answer);
    }
    list.show_so_far(terminal)?;
    Ok(answers.message().await)
}

/// What the answers said so far.
#[derive(Debug, Default)]
struct Found {
    guests: u64,
    sessions: u64,
    /// Sessions that the filter does not mean.
    others: u64,
    /// Guests in which there was no session at all.
    empty: u64,
    unlisted: u64,
    /// The first of them, in words.
    unlisted_named: Vec<String>,
}

impl Found {
    fn count(&mut self, answer: &v1::ListSessionsResponse) {
        self.guests += 1;
        self.sessions += answer.sessions.len() as u64;
        self.others += u64::from(answer.left_out_count);
        let is_empty = answer.sessions.is_empty() && answer.left_out_count == 0;
        match (words::is_ok(answer.status.as_ref()), is_empty) {
            (false, _) => self.count_unlisted(answer),
            (true, true) => self.empty += 1,
            (true, false) => {}
        }
    }

    fn count_unlisted(&mut self, answer: &v1::ListSessionsResponse) {
        self.unlisted += 1;
        if self.unlisted_named.len() < UNLISTED_SHOWN {
            let why = if answer.message.is_empty() { String::new() } else { format!(": {}", answer.message) };
            self.unlisted_named.push(format!(
                "  {} on {}: {}{why}",
                answer.guest_name,
                answer.host,
                words::status(answer.status.as_ref())
            ));
        }
    }

    /// The totals, and who is not among them: in one line where the names of guests are wanted only.
    fn lines(&self, format: Format) -> Vec<String> {
        let (sessions, guests) = (words::count(self.sessions, "session"), words::count(self.guests, "guest"));
        let mut told = format!("{sessions} in {guests}");
        if self.others > 0 {
            told.push_str(&format!("; {} not asked for", words::count(self.others, "other")));
        }
        if self.empty > 0 {
            told.push_str(&format!("; nobody is logged on in {}", self.empty));
        }
        if self.unlisted == 0 {
            return vec![told];
        }
        let mut lines = vec![format!("{told}; {} could not be listed:", self.unlisted)];
        lines.extend(self.unlisted_named.iter().cloned());
        let more = self.unlisted - self.unlisted_named.len() as u64;
        if more > 0 {
            let where_else = if format == Format::Name { "" } else { ", in the list" };
            lines.push(format!("  and {more} more{where_else}"));
        }
        lines
    }
}
