//! NATS, as Choria uses it: a request goes to one subject that every agent has subscribed to, and the answers come to the
//! inbox of the one who asked. Nothing is encrypted, stored or asked for again.

mod agents;
mod protocol;

pub(crate) use agents::{AgentsArgs, agents};

use super::site::{Site, free_port};
use super::{Point, Run, point, product};
use crate::child::Child;
use anyhow::{Context as _, bail, ensure};
use protocol::{Connection, Frame, PONG, publish};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The role in which the bench starts the process of the agents.
const ROLE: &str = "nats-agents";
/// The subject of requests.
const BROADCAST: &str = "bench.broadcast.agent.noop";
/// The subject of answers.
const INBOX: &str = "bench.reply.asker";
/// Bytes of a request and of an answer: what a task's order and its outcome take on Curfew's wire, or less.
const REQUEST: usize = 128;
const ANSWER: usize = 64;
/// Connections of one process: common limits allow 20,000 open files.
const MOST: u32 = 18_000;
/// How much the one who asks reads at a time.
const PORTION: usize = 256 * 1024;
/// Far longer than a round takes.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Measures one request to a tenth of the agents, then to all.
///
/// # Errors
/// When the server cannot be had, or not every agent answers.
pub(super) async fn measure(hosts: u32, rounds: usize) -> anyhow::Result<Run> {
    let program = product::program("nats").await?;
    let mut site = Site::new()?;
    let version = site.version(&program, "--version").await?;
    let port = free_port()?;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    site.start(&program, &["--addr", "127.0.0.1", "--port", &port.to_string()])?;
    site.wait_until("the NATS server listens", async || TcpStream::connect(server).is_ok()).await?;
    let many = hosts.clamp(2, MOST);
    let few = (many / 10).max(1);
    let first = start(server, 0, few).await?;
    let at_few = ask(server, few, rounds).await?;
    let others = start(server, few, many - few).await?;
    let at_many = ask(server, many, rounds).await?;
    for agents in [first, others] {
        agents.stop().await?;
    }
    Ok(Run { version, few: at_few, many: at_many, rounds })
}

async fn start(server: SocketAddr, first: u32, count: u32) -> anyhow::Result<Child> {
    let args = [format!("--server={server}"), format!("--first={first}"), format!("--count={count}")];
    let (agents, said) = Child::start(ROLE, &args).await?;
    ensure!(said == "ready", "the NATS agents said {said:?}");
    Ok(agents)
}

async fn ask(server: SocketAddr, hosts: u32, rounds: usize) -> anyhow::Result<Point> {
    let mut connection = Connection::subscribed(server, INBOX, PORTION).await?;
    point(hosts, rounds, async || round(&mut connection, hosts).await).await
}

/// Asks all agents at once, and waits for the answer of each.
async fn round(connection: &mut Connection, hosts: u32) -> anyhow::Result<Duration> {
    let mut request = Vec::new();
    publish(&mut request, BROADCAST, Some(INBOX), &[b'.'; REQUEST]);
    let mut is_heard = vec![false; hosts as usize];
    let began = Instant::now();
    connection.send(&request).await?;
    let hearing = hear(connection, &mut is_heard);
    let heard = tokio::time::timeout(ANSWERED_WITHIN, hearing).await;
    heard.unwrap_or_else(|_| {
        let missing = is_heard.iter().filter(|heard| !**heard).count();
        bail!("{missing} of {hosts} agents did not answer")
    })?;
    Ok(began.elapsed())
}

async fn hear(connection: &mut Connection, is_heard: &mut [bool]) -> anyhow::Result<()> {
    let mut missing = is_heard.len();
    while missing > 0 {
        match connection.next()? {
            Some(Frame::Message { payload, .. }) => {
                let agent = payload.first_chunk().context("an answer without a number")?;
                let place =
                    is_heard.get_mut(u32::from_be_bytes(*agent) as usize).context("an unknown agent")?;
                ensure!(!*place, "an agent answered twice");
                *place = true;
                missing -= 1;
            }
            Some(Frame::Ping) => connection.send(PONG).await?,
            Some(_) => {}
            None => connection.fill().await?,
        }
    }
    Ok(())
}
