//! What an operator sees of the operations: an outcome that was seen once must be seen for ever.

use anyhow::{Context as _, ensure};
use curfew_tests::processes::{Output, ProcessFleet};
use curfew_types::{OperationId, TaskId};
use serde_json::Value;
use std::collections::BTreeMap;

/// An operation that was asked for, perhaps in vain so far.
#[derive(Debug)]
pub(super) struct Operation {
    request_id: String,
    options: &'static [&'static str],
    pub(super) id: Option<OperationId>,
    pub(super) is_cancelled: bool,
    /// Somebody asked to pause it, and nobody to resume it since.
    pub(super) is_paused: bool,
    pub(super) has_ended: bool,
}

impl Operation {
    pub(super) fn new(request_id: String, options: &'static [&'static str]) -> Operation {
        let (is_cancelled, is_paused, has_ended) = (false, false, false);
        Operation { request_id, options, id: None, is_cancelled, is_paused, has_ended }
    }

    /// Asks for it, again if it was asked for before.
    pub(super) async fn start(&mut self, fleet: &ProcessFleet) -> anyhow::Result<Output> {
        let mut args = vec!["logoff", "--all", "--yes", "--no-wait", "--request-id", &self.request_id];
        args.extend(["--deliver-within", "30m", "-o", "name"]);
        args.extend(self.options);
        let started = fleet.curfew(&args).await?;
        if let Ok(id) = started.stdout.trim().parse::<OperationId>() {
            ensure!(self.id.is_none_or(|known| known == id), "{self:?} is another operation now: {id}");
            self.id = Some(id);
        }
        Ok(started)
    }

    pub(super) async fn ensure_started(&mut self, fleet: &ProcessFleet) -> anyhow::Result<()> {
        if self.id.is_none() {
            self.start(fleet).await?.success()?;
        }
        Ok(())
    }

    pub(super) async fn cancel(&mut self, fleet: &ProcessFleet) -> anyhow::Result<()> {
        // Even one that is not answered may be heard.
        self.is_cancelled |= self.id.is_some();
        self.steer("cancel", fleet).await.map(drop)
    }

    pub(super) async fn pause(&mut self, fleet: &ProcessFleet) -> anyhow::Result<()> {
        self.is_paused |= self.id.is_some();
        self.steer("pause", fleet).await.map(drop)
    }

    /// Resumes it if it is paused. Whether the answer was lost is seen when it is asked again.
    pub(super) async fn resume(&mut self, fleet: &ProcessFleet) -> anyhow::Result<()> {
        if !self.is_paused {
            return Ok(());
        }
        let resumed = self.steer("resume", fleet).await?;
        let is_refused = |output: &Output| output.stderr.contains("FAILED_PRECONDITION");
        self.is_paused = !resumed.is_some_and(|output| output.code == Some(0) || is_refused(&output));
        Ok(())
    }

    async fn steer(&self, verb: &str, fleet: &ProcessFleet) -> anyhow::Result<Option<Output>> {
        let Some(id) = self.id else { return Ok(None) };
        fleet.curfew(&["operation", verb, &id.to_string()]).await.map(Some)
    }
}

/// The tasks that were seen with an outcome, as they were seen first.
#[derive(Default)]
pub(super) struct Watched {
    outcomes: BTreeMap<TaskId, Value>,
}

impl Watched {
    /// Looks at an operation's tasks. Returns whether it has ended.
    pub(super) async fn look(
        &mut self,
        fleet: &ProcessFleet,
        operation: &mut Operation,
    ) -> anyhow::Result<bool> {
        let Some(id) = operation.id else { return Ok(false) };
        // Nobody answers while the controller is dead: then nothing was seen.
        let Ok(tasks) = fleet.tasks(&id.to_string()).await else { return Ok(false) };
        let mut has_ended = !tasks.is_empty();
        for task in tasks.into_values() {
            if task["isComplete"] != true {
                ensure!(!operation.has_ended, "a task of an operation that had ended is open again: {task}");
                has_ended = false;
                continue;
            }
            let key = key(&task)?;
            let verdict = &task["verdict"];
            let first = self.outcomes.entry(key).or_insert_with(|| verdict.clone());
            ensure!(first == verdict, "the outcome of {key} changed from {first} to {verdict}");
        }
        operation.has_ended |= has_ended;
        Ok(has_ended)
    }

    pub(super) fn len(&self) -> usize {
        self.outcomes.len()
    }

    pub(super) fn get(&self, task: TaskId) -> Option<&Value> {
        self.outcomes.get(&task)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, &Value)> {
        self.outcomes.iter().map(|(task, verdict)| (*task, verdict))
    }

    /// Every task of every operation has an outcome, and kills alone turn none into a failure.
    pub(super) fn check(&self, operations: &[Operation], guests: usize) -> anyhow::Result<()> {
        for operation in operations {
            let id = operation.id.with_context(|| format!("{operation:?} was never started"))?;
            let of_it: Vec<_> = self.iter().filter(|(task, _)| task.operation == id).collect();
            ensure!(of_it.len() == guests, "{id} has {} tasks with an outcome", of_it.len());
            for (task, verdict) in of_it {
                let outcome = outcome(verdict);
                let message = verdict["message"].as_str().unwrap_or_default();
                let is_well = match outcome.as_str() {
                    "succeeded" | "nothing_to_do" => true,
                    "cancelled" => operation.is_cancelled || message.contains("hold"),
                    "skipped" => verdict["reason"] == "held",
                    _ => false,
                };
                ensure!(is_well, "kills alone lose no task, but {task} has {verdict}");
            }
        }
        Ok(())
    }
}

/// The word of an outcome as it is in ledgers.
pub(super) fn outcome(verdict: &Value) -> String {
    let word = verdict["outcome"].as_str().unwrap_or_default();
    word.trim_start_matches("OUTCOME_").to_lowercase()
}

fn key(task: &Value) -> anyhow::Result<TaskId> {
    let id = task["id"].as_str().with_context(|| format!("a task without an id: {task}"))?;
    id.parse().ok().with_context(|| format!("{id:?} is no task's id"))
}
