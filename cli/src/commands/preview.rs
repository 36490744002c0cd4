//! `preview`: which guests a logoff would touch, and on request who is logged on to them now.

use crate::args::PreviewArgs;
use crate::client::Client;
use crate::effective;
use crate::exit::Exit;
use crate::listings::LiveGuest;
use crate::output::{self, Format, List};
use crate::pages;
use crate::preview::{self, Live, Size};
use crate::terminal::Terminal;
use crate::words;
use curfew_proto::v1;
use serde::Serialize;

/// `curfew preview`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub async fn preview(client: &Client, args: &PreviewArgs, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let spec = effective::spec(&args.spec)?;
    let live = if args.live { Live::Within(args.live_timeout) } else { Live::Not };
    let (format, limit) = (args.output.output, args.limit.limit);
    let size = Size::of(client, &spec).await?;
    let mut found = Found::default();
    let mut fetch = async |page_size, page_token| {
        let answer = preview::page(client, &spec, live, page_size, page_token).await?;
        answer.guests.iter().for_each(|guest| found.count(guest));
        Ok((answer.guests, answer.next_page_token))
    };
    if matches!(format, Format::Json | Format::Yaml) {
        let guests = pages::collect(limit.map_or(usize::MAX, |limit| limit as usize), fetch).await?;
        output::document(terminal, format, &PreviewDocument::new(&size, guests))?;
    } else if args.live {
        let mut list = List::new(format);
        pages::write(terminal, &mut list, limit, async |page_size, page_token| {
            let (guests, next) = fetch(page_size, page_token).await?;
            Ok((guests.into_iter().map(LiveGuest).collect(), next))
        })
        .await?;
        list.finish(terminal)?;
    } else {
        let mut list = List::new(format);
        pages::write(terminal, &mut list, limit, fetch).await?;
        list.finish(terminal)?;
    }
    if !matches!(format, Format::Json | Format::Yaml) {
        size.lines().iter().for_each(|line| terminal.note(line));
    }
    if args.live {
        terminal.note(&found.line());
    }
    Ok(if args.live && found.unlisted > 0 { Exit::NotWell } else { Exit::Well })
}

/// Who was found logged on to the guests that are in.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    guests: u64,
    sessions: u64,
    /// Sessions of them that would be left alone.
    excluded: u64,
    unlisted: u64,
}

impl Found {
    fn count(&mut self, guest: &v1::PreviewGuest) {
        if !guest.included {
            return;
        }
        self.guests += 1;
        if !words::is_ok(guest.session_status.as_ref()) {
            self.unlisted += 1;
        }
        let excluded = guest.sessions.iter().filter(|session| session.excluded).count() as u64;
        self.excluded += excluded;
        self.sessions += guest.sessions.len() as u64 - excluded;
    }

    fn line(&self) -> String {
        let (sessions, guests) = (words::count(self.sessions, "session"), words::count(self.guests, "guest"));
        let mut line = format!("{sessions} in {guests} would end");
        if self.excluded > 0 {
            line.push_str(&format!("; {} would be left alone", self.excluded));
        }
        if self.unlisted > 0 {
            line.push_str(&format!("; {} could not be listed", words::count(self.unlisted, "guest")));
        }
        line
    }
}

/// A preview as one document, with the API's own names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PreviewDocument {
    included_count: String,
    left_out_count: String,
    selection_digest: String,
    needs_approval: bool,
    wave_sizes: Vec<String>,
    blocked_by: String,
    guests: Vec<v1::PreviewGuest>,
}

impl PreviewDocument {
    fn new(size: &Size, guests: Vec<v1::PreviewGuest>) -> PreviewDocument {
        PreviewDocument {
            // Protobuf's JSON writes 64-bit numbers as strings.
            included_count: size.included.to_string(),
            left_out_count: size.left_out.to_string(),
            selection_digest: size.digest.clone(),
            needs_approval: size.needs_approval,
            wave_sizes: size.waves.iter().map(u64::to_string).collect(),
            blocked_by: size.blocked_by.clone(),
            guests,
        }
    }
}
