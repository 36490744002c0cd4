//! `guest drain`, `undrain` and `drains`: whether a guest takes new logons.

use crate::args::{DrainArgs, DrainListArgs, UndrainArgs};
use crate::client::{self, Client};
use crate::effective;
use crate::exit::Exit;
use crate::listings;
use crate::output::{self, Format, List};
use crate::pages;
use crate::terminal::Terminal;
use crate::words;
use curfew_proto::v1;

/// `curfew guest drain`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub(super) async fn drain(
    client: &Client,
    args: &DrainArgs,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let request = client::soon(v1::DrainGuestRequest {
        guest: args.guest.clone(),
        drain_for: Some(effective::drain_time(args)?),
        reason: args.reason.clone().unwrap_or_default(),
    });
    let mut fleet = client.fleet();
    let answer = client.ask(format!("drain guest {}", args.guest), fleet.drain_guest(request)).await?;
    let drain = answer.drain.unwrap_or_default();
    if args.output.output == Format::Table {
        let (name, id) = (&drain.guest_name, &drain.guest_id);
        let until = words::time(drain.expire_time.as_ref());
        let pending = if drain.state() == v1::DrainState::Pending { ", pending" } else { "" };
        terminal.data(&format!("guest {name} ({id}) drained until {until}{pending}"))?;
    } else {
        output::show(terminal, args.output.output, &drain)?;
    }
    if let Some(note) = standing(&drain) {
        terminal.note(&note);
    }
    Ok(Exit::Well)
}

/// What keeps a drain that was asked for from being in force by itself.
fn standing(drain: &v1::Drain) -> Option<String> {
    let problem = if drain.problem.is_empty() { String::new() } else { format!(": {}", drain.problem) };
    match drain.state() {
        v1::DrainState::Pending => Some(format!(
            "The guest still takes logons{problem}. Its agent goes on trying: curfew guest drains tells how it stands"
        )),
        v1::DrainState::SomebodyElses => Some(format!(
            "Logons were refused there already, by somebody else{problem}. That is left as it is, also when the drain \
             ends"
        )),
        v1::DrainState::Unspecified | v1::DrainState::InForce | v1::DrainState::Lifting => None,
    }
}

/// `curfew guest undrain`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub(super) async fn undrain(
    client: &Client,
    args: &UndrainArgs,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let request = client::soon(v1::UndrainGuestRequest {
        guest: args.guest.clone(),
        operation_id: args.operation.clone().unwrap_or_default(),
        all: args.all,
    });
    let mut fleet = client.fleet();
    let answer = client.ask(format!("undrain guest {}", args.guest), fleet.undrain_guest(request)).await?;
    match args.output.output {
        Format::Table => terminal.data(&format!("guest {} undrained", args.guest))?,
        format @ (Format::Json | Format::Yaml) => output::document(terminal, format, &answer)?,
        Format::Name => answer.drains.iter().try_for_each(|drain| terminal.data(&drain.guest_id))?,
    }
    if !answer.drains.is_empty() {
        terminal.note("It refuses new logons still:");
        answer.drains.iter().for_each(|drain| terminal.note(&format!("  {}", left(drain, &args.guest))));
    }
    Ok(Exit::Well)
}

/// A drain that is left, with what lifts it.
fn left(drain: &v1::Drain, guest: &str) -> String {
    let owner = listings::drain_owner(drain);
    let until = words::time(drain.expire_time.as_ref());
    match drain.state() {
        v1::DrainState::Lifting if drain.problem.is_empty() => format!("{owner}: being lifted"),
        v1::DrainState::Lifting => format!("{owner}: being lifted ({})", drain.problem),
        v1::DrainState::Unspecified
        | v1::DrainState::Pending
        | v1::DrainState::InForce
        | v1::DrainState::SomebodyElses => {
            let which = match drain.operation_id.as_str() {
                "" => String::new(),
                operation => format!(" --operation {operation}"),
            };
            format!("{owner}, until {until}: curfew guest undrain {guest}{which}")
        }
    }
}

/// `curfew guest drains`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub(super) async fn drains(
    client: &Client,
    args: &DrainListArgs,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let mut list = List::new(args.output.output);
    let mut away = 0;
    pages::write(terminal, &mut list, args.limit.limit, async |page_size, page_token| {
        let request = client::soon(v1::ListDrainsRequest { page_size, page_token });
        let mut fleet = client.fleet();
        let page = client.ask("list drains", fleet.list_drains(request)).await?;
        away = page.unconnected_host_count;
        Ok((page.drains, page.next_page_token))
    })
    .await?;
    let count = list.count();
    list.finish(terminal)?;
    if count == 0 {
        terminal.note("No guest is drained.");
    }
    if away > 0 {
        let are = if away == 1 { "host is" } else { "hosts are" };
        terminal.note(&format!(
            "{away} {are} away: drains there are as they were told last; they end by themselves all the same."
        ));
    }
    Ok(Exit::Well)
}
