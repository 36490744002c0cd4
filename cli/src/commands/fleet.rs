//! `host` and `guest`.

use super::{drain, safeguard};
use crate::args::{GuestCommand, GuestListArgs, HostCommand, HostRemoveArgs, LabelArgs, LimitArgs};
use crate::client::{self, Client};
use crate::effective;
use crate::exit::Exit;
use crate::output::{self, Format, List};
use crate::pages;
use crate::terminal::Terminal;
use curfew_proto::v1;

/// `curfew host`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub async fn host(client: &Client, command: &HostCommand, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    match command {
        HostCommand::List { selector, limit, output } => {
            list_hosts(client, selector.as_deref(), *limit, output.output, terminal).await
        }
        HostCommand::Show { name, output } => {
            let request = client::soon(v1::GetHostRequest { name: name.clone() });
            let mut fleet = client.fleet();
            let answer = client.ask(format!("read host {name}"), fleet.get_host(request)).await?;
            output::show(terminal, output.output, &answer.host.unwrap_or_default())?;
            Ok(Exit::Well)
        }
        HostCommand::Label(args) => label_host(client, args, terminal).await,
        HostCommand::Remove(HostRemoveArgs { name, force }) => {
            let request = client::soon(v1::RemoveHostRequest { name: name.clone(), force: *force });
            let mut fleet = client.fleet();
            client.ask(format!("remove host {name}"), fleet.remove_host(request)).await?;
            terminal.data(&format!("host {name} removed"))?;
            Ok(Exit::Well)
        }
    }
}

async fn list_hosts(
    client: &Client,
    selector: Option<&str>,
    limit: LimitArgs,
    format: Format,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let label_selector = selector.unwrap_or_default();
    let mut list = List::new(format);
    pages::write(terminal, &mut list, limit.limit, async |page_size, page_token| {
        let label_selector = label_selector.to_owned();
        let request = client::soon(v1::ListHostsRequest { page_size, page_token, label_selector });
        let mut fleet = client.fleet();
        let page = client.ask("list hosts", fleet.list_hosts(request)).await?;
        Ok((page.hosts, page.next_page_token))
    })
    .await?;
    let count = list.count();
    list.finish(terminal)?;
    if count == 0 {
        terminal.note("No hosts found.");
    }
    Ok(Exit::Well)
}

async fn label_host(client: &Client, args: &LabelArgs, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let (set, remove) = effective::label_changes(&args.changes)?;
    let request = client::soon(v1::LabelHostRequest { name: args.name.clone(), set, remove });
    let mut fleet = client.fleet();
    let answer = client.ask(format!("label host {}", args.name), fleet.label_host(request)).await?;
    let host = answer.host.unwrap_or_default();
    if args.output.output == Format::Table {
        terminal.data(&format!("host {} labeled", host.name))?;
    } else {
        output::show(terminal, args.output.output, &host)?;
    }
    Ok(Exit::Well)
}

/// `curfew guest`.
///
/// # Errors
/// When the controller could not be asked or refuses the request.
pub async fn guest(client: &Client, command: &GuestCommand, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    match command {
        GuestCommand::List(args) => list_guests(client, args, terminal).await,
        GuestCommand::Show { guest, output } => {
            let request = client::soon(v1::GetGuestRequest { guest: guest.clone() });
            let mut fleet = client.fleet();
            let answer = client.ask(format!("read guest {guest}"), fleet.get_guest(request)).await?;
            output::show(terminal, output.output, &answer.guest.unwrap_or_default())?;
            Ok(Exit::Well)
        }
        GuestCommand::Label(args) => label_guest(client, args, terminal).await,
        GuestCommand::Hold(args) => safeguard::hold(client, args, terminal).await,
        GuestCommand::Release { guest } => safeguard::release(client, guest, terminal).await,
        GuestCommand::Holds(args) => safeguard::holds(client, args, terminal).await,
        GuestCommand::Drain(args) => drain::drain(client, args, terminal).await,
        GuestCommand::Undrain(args) => drain::undrain(client, args, terminal).await,
        GuestCommand::Drains(args) => drain::drains(client, args, terminal).await,
    }
}

async fn list_guests(client: &Client, args: &GuestListArgs, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let mut list = List::new(args.output.output);
    pages::write(terminal, &mut list, args.limit.limit, async |page_size, page_token| {
        let label_selector = args.selector.clone().unwrap_or_default();
        let hosts = args.host.clone();
        let request = client::soon(v1::ListGuestsRequest { page_size, page_token, label_selector, hosts });
        let mut fleet = client.fleet();
        let page = client.ask("list guests", fleet.list_guests(request)).await?;
        Ok((page.guests, page.next_page_token))
    })
    .await?;
    let count = list.count();
    list.finish(terminal)?;
    if count == 0 {
        terminal.note("No guests found.");
    }
    Ok(Exit::Well)
}

async fn label_guest(client: &Client, args: &LabelArgs, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let (set, remove) = effective::label_changes(&args.changes)?;
    let request = client::soon(v1::LabelGuestRequest { guest: args.name.clone(), set, remove });
    let mut fleet = client.fleet();
    let answer = client.ask(format!("label guest {}", args.name), fleet.label_guest(request)).await?;
    let guest = answer.guest.unwrap_or_default();
    if args.output.output == Format::Table {
        terminal.data(&format!("guest {} ({}) labeled", guest.name, guest.id))?;
    } else {
        output::show(terminal, args.output.output, &guest)?;
    }
    Ok(Exit::Well)
}
