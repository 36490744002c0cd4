//! `freeze`, `unfreeze`, `guest hold`, `release` and `holds`, `protected-user`: what nothing may touch.

use super::tell_if_not_recorded;
use crate::args::{FreezeArgs, HoldArgs, HoldListArgs, ProtectedUserCommand};
use crate::client::{self, Client};
use crate::effective;
use crate::exit::Exit;
use crate::listings;
use crate::output::{self, Format, List};
use crate::pages;
use crate::terminal::Terminal;
use crate::words;
use curfew_proto::v1;

/// `curfew freeze`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub async fn freeze(client: &Client, args: &FreezeArgs, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut fleet = client.fleet();
    if args.show {
        let request = client::soon(v1::GetFreezeRequest {});
        let answer = client.ask("read the freeze", fleet.get_freeze(request)).await?;
        show_freeze(&answer, args.output.output, terminal)?;
        return Ok(Exit::Well);
    }
    let reason = args.reason.clone().unwrap_or_default();
    let request = client::soon(v1::FreezeRequest { reason, hard: args.hard });
    let answer = client.ask("freeze the fleet", fleet.freeze(request)).await?;
    match args.output.output {
        Format::Table | Format::Name => terminal.data("fleet frozen")?,
        format @ (Format::Json | Format::Yaml) => output::document(terminal, format, &answer)?,
    }
    tell_if_not_recorded(terminal, answer.recorded);
    terminal.note(match args.hard {
        true => "Nothing new starts, and what runs is taken back where that is still possible, until: curfew unfreeze",
        false => "Nothing new starts until: curfew unfreeze",
    });
    Ok(Exit::Well)
}

fn show_freeze(
    answer: &v1::GetFreezeResponse,
    format: Format,
    terminal: &mut Terminal,
) -> std::io::Result<()> {
    match (format, &answer.freeze) {
        (Format::Json | Format::Yaml, _) => output::document(terminal, format, answer),
        (Format::Table, Some(freeze)) => output::facts(terminal, &listings::frozen(freeze)),
        (Format::Table, None) => terminal.data("not frozen"),
        (Format::Name, Some(_)) => terminal.data("frozen"),
        (Format::Name, None) => Ok(()),
    }
}

/// `curfew unfreeze`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub async fn unfreeze(client: &Client, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut fleet = client.fleet();
    client.ask("unfreeze the fleet", fleet.unfreeze(client::soon(v1::UnfreezeRequest {}))).await?;
    terminal.data("fleet unfrozen")?;
    Ok(Exit::Well)
}

/// `curfew guest hold`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub(super) async fn hold(client: &Client, args: &HoldArgs, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let request = client::soon(v1::HoldGuestRequest {
        guest: args.guest.clone(),
        reason: args.reason.clone(),
        expire_time: effective::hold_end(args, jiff::Timestamp::now())?,
    });
    let mut fleet = client.fleet();
    let answer = client.ask(format!("hold guest {}", args.guest), fleet.hold_guest(request)).await?;
    let hold = answer.hold.unwrap_or_default();
    if args.output.output == Format::Table {
        let until = hold.expire_time.as_ref().map(|time| format!(" until {}", words::time(Some(time))));
        let pending = if hold.confirmed { "" } else { ", pending" };
        let (name, id) = (&hold.guest_name, &hold.guest_id);
        terminal.data(&format!("guest {name} ({id}) held{}{pending}", until.unwrap_or_default()))?;
    } else {
        output::show(terminal, args.output.output, &hold)?;
    }
    tell_if_not_recorded(terminal, answer.recorded);
    if !hold.confirmed {
        terminal.note(
            "No new task starts there. A task that its agent has begun may still go on until the agent",
        );
        terminal.note("confirms the hold: curfew guest holds");
    }
    Ok(Exit::Well)
}

/// `curfew guest release`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub(super) async fn release(client: &Client, guest: &str, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let request = client::soon(v1::ReleaseGuestRequest { guest: guest.into() });
    let mut fleet = client.fleet();
    client.ask(format!("release guest {guest}"), fleet.release_guest(request)).await?;
    terminal.data(&format!("guest {guest} released"))?;
    Ok(Exit::Well)
}

/// `curfew guest holds`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub(super) async fn holds(
    client: &Client,
    args: &HoldListArgs,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let mut list = List::new(args.output.output);
    pages::write(terminal, &mut list, args.limit.limit, async |page_size, page_token| {
        let request = client::soon(v1::ListHoldsRequest { page_size, page_token });
        let mut fleet = client.fleet();
        let page = client.ask("list holds", fleet.list_holds(request)).await?;
        Ok((page.holds, page.next_page_token))
    })
    .await?;
    let count = list.count();
    list.finish(terminal)?;
    if count == 0 {
        terminal.note("No guest is held.");
    }
    Ok(Exit::Well)
}

/// `curfew protected-user`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub async fn protected_user(
    client: &Client,
    command: &ProtectedUserCommand,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let mut fleet = client.fleet();
    match command {
        ProtectedUserCommand::List { output } => {
            let request = client::soon(v1::ListProtectedUsersRequest {});
            let answer = client.ask("list protected users", fleet.list_protected_users(request)).await?;
            list_users(&answer.users, output.output, terminal)?;
            if answer.users.is_empty() {
                terminal.note("No users are protected.");
            }
            if answer.pending_host_count > 0 {
                let hosts = words::count(answer.pending_host_count, "connected host");
                terminal.note(&format!("Not confirmed yet by {hosts}: sessions there may still be ended."));
            }
        }
        ProtectedUserCommand::Add { patterns, reason, output } => {
            let reason = reason.clone().unwrap_or_default();
            let request = client::soon(v1::ProtectUsersRequest { patterns: patterns.clone(), reason });
            let answer = client.ask("protect users", fleet.protect_users(request)).await?;
            write_change(patterns, "protected", &answer.users, output.output, terminal)?;
            tell_if_not_recorded(terminal, answer.recorded);
            terminal.note("Pending until each agent confirms it: curfew protected-user list");
        }
        ProtectedUserCommand::Remove { patterns, output } => {
            let request = client::soon(v1::UnprotectUsersRequest { patterns: patterns.clone() });
            let answer = client.ask("unprotect users", fleet.unprotect_users(request)).await?;
            write_change(patterns, "no longer protected", &answer.users, output.output, terminal)?;
        }
    }
    Ok(Exit::Well)
}

/// One line for each pattern for people; the whole list in a document.
fn write_change(
    patterns: &[String],
    what: &str,
    users: &[v1::ProtectedUser],
    format: Format,
    terminal: &mut Terminal,
) -> std::io::Result<()> {
    if format == Format::Table {
        return patterns.iter().try_for_each(|pattern| terminal.data(&format!("{pattern} {what}")));
    }
    list_users(users, format, terminal)
}

fn list_users(users: &[v1::ProtectedUser], format: Format, terminal: &mut Terminal) -> std::io::Result<()> {
    let mut list = List::new(format);
    users.iter().try_for_each(|user| list.item(terminal, user))?;
    list.finish(terminal)
}
