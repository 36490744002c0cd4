//! Whether all who know of an operation's outcomes know the same: the store, a watcher, and the guests themselves.
//!
//! Each side adds up one number a guest, so that a hundred thousand outcomes are compared without an order.

use crate::child::Truth;
use anyhow::{Context as _, bail, ensure};
use curfew_cli::client::Client;
use curfew_proto::v1;
use curfew_types::digest::Fnv1a;
use futures::StreamExt as _;

/// Tasks asked for at a time: as many as the service gives.
const PAGE: u32 = 10_000;

/// The number of one guest that so many sessions of were ended.
pub(crate) fn stamp(guest: &str, ended: u32) -> u64 {
    let mut digest = Fnv1a::default();
    digest.write(guest.as_bytes());
    digest.write(&ended.to_be_bytes());
    digest.finish()
}

/// Adds up what somebody says of every task; each must have ended as *succeeded*.
#[derive(Default)]
struct Sum {
    guests: u64,
    stamps: u64,
}

impl Sum {
    fn add(&mut self, task: &v1::Task) -> anyhow::Result<()> {
        let verdict = task.verdict.as_ref().with_context(|| format!("{} has no outcome", task.guest_id))?;
        if verdict.outcome() != v1::Outcome::Succeeded {
            bail!("{} ended as {:?}: {}", task.guest_id, verdict.outcome(), verdict.message);
        }
        let sessions = verdict.sessions.unwrap_or_default();
        ensure!(sessions.remaining == 0, "{} has sessions that remain", task.guest_id);
        self.guests += 1;
        self.stamps = self.stamps.wrapping_add(stamp(&task.guest_id, sessions.ended));
        Ok(())
    }
}

/// Checks that store, watcher and guests say the same of every task of an ended operation.
///
/// # Errors
/// When they do not, or a task did not succeed.
pub(crate) async fn check(client: &Client, operation_id: &str, truth: Truth) -> anyhow::Result<()> {
    let stored = stored(client, operation_id).await.context("what the store says")?;
    let watched = watched(client, operation_id).await.context("what a watcher sees")?;
    for (who, sum) in [("the store", stored), ("a watcher", watched)] {
        ensure!(
            (sum.guests, sum.stamps) == (truth.guests, truth.stamps),
            "{who} and the guests disagree: {} tasks succeeded, {} guests have nobody on them any more",
            sum.guests,
            truth.guests
        );
    }
    Ok(())
}

async fn stored(client: &Client, operation_id: &str) -> anyhow::Result<Sum> {
    let mut sum = Sum::default();
    let mut page_token = String::new();
    loop {
        let request = v1::ListTasksRequest {
            operation_id: operation_id.to_owned(),
            page_size: PAGE,
            page_token,
            ..Default::default()
        };
        let page = client.operations().list_tasks(request).await?.into_inner();
        for task in &page.tasks {
            sum.add(task)?;
        }
        if page.next_page_token.is_empty() {
            return Ok(sum);
        }
        page_token = page.next_page_token;
    }
}

async fn watched(client: &Client, operation_id: &str) -> anyhow::Result<Sum> {
    let request = v1::WatchOperationRequest {
        operation_id: operation_id.to_owned(),
        after_revision: 0,
        include_tasks: true,
    };
    let mut sum = Sum::default();
    let mut messages = client.operations().watch_operation(request).await?.into_inner();
    while let Some(message) = messages.next().await {
        for task in &message?.tasks {
            sum.add(task)?;
        }
    }
    Ok(sum)
}
