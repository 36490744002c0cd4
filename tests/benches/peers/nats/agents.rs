//! The agents of a NATS fleet: one connection each, all subscribed to the same subject, in a process of their own.

use super::protocol::{Connection, Frame, PONG, publish};
use super::{ANSWER, BROADCAST};
use crate::child::answer_until_closed;
use crate::scene::SPARE_FILES;
use crate::usage::raise_file_limit;
use anyhow::{Context as _, bail};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use std::net::SocketAddr;

/// Connections that are being made at a time.
const AT_A_TIME: usize = 64;
/// More than a request takes.
const PORTION: usize = 512;

/// What the process is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct AgentsArgs {
    /// Where the NATS server listens.
    #[arg(long)]
    pub(crate) server: SocketAddr,
    /// The number of the first agent.
    #[arg(long)]
    pub(crate) first: u32,
    /// How many agents.
    #[arg(long)]
    pub(crate) count: u32,
}

/// Runs agents until stdin is closed; says `ready` when all are subscribed.
///
/// # Errors
/// When not all of them are.
pub(crate) async fn agents(args: &AgentsArgs) -> anyhow::Result<()> {
    raise_file_limit(u64::from(args.count) + SPARE_FILES)?;
    let connections: Vec<(u32, Connection)> = futures::stream::iter(args.first..args.first + args.count)
        .map(async |agent| {
            let connection = Connection::subscribed(args.server, BROADCAST, PORTION).await;
            connection.map(|connection| (agent, connection)).with_context(|| format!("agent {agent}"))
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await?;
    for (agent, connection) in connections {
        tokio::spawn(async move {
            if let Err(error) = answer(agent, connection).await {
                // It is not heard of again, so the one who asks tells how many are missing.
                tracing::warn!("NATS agent {agent}: {error:#}");
            }
        });
    }
    answer_until_closed("ready", async |ask| bail!("NATS agents do not know {ask:?}")).await
}

/// Answers every request with the agent's number.
async fn answer(agent: u32, mut connection: Connection) -> anyhow::Result<()> {
    let mut said = agent.to_be_bytes().to_vec();
    said.resize(ANSWER, b'.');
    let mut lines = Vec::new();
    loop {
        while let Some(frame) = connection.next()? {
            match frame {
                Frame::Message { reply: Some(reply), .. } => publish(&mut lines, reply, None, &said),
                Frame::Ping => lines.extend_from_slice(PONG),
                _ => {}
            }
        }
        if !lines.is_empty() {
            connection.send(&lines).await?;
            lines.clear();
        }
        connection.fill().await?;
    }
}
