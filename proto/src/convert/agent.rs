//! `curfew.agent.v1`: hello, orders, cancels, safeguards, reports and inventories.

use super::ConvertError;
use super::checks::Checks;
use super::logoff::Given;
use super::words::{known, os_family};
use crate::agent::v1 as wire;
use crate::v1;
use curfew_types::agent::{
    Cancel, Finding, HOLDS_MAX, Hello, LedgerMark, Order, OrderedTask, PROTECTED_USERS_MAX, Report,
    Safeguards, SafeguardsMark, TaskProgress,
};
use curfew_types::glob::{Glob, GlobError};
use curfew_types::guest::GUEST_NAME_MAX;
use curfew_types::label::{AGENT_PREFIX, LABELS_MAX};
use curfew_types::{Guest, GuestId, OperationId};
use std::sync::Arc;

pub(super) fn operation(number: u64) -> Result<OperationId, ConvertError> {
    OperationId::from_number(number)
        .ok_or_else(|| ConvertError::new("operation", format!("{number} is no operation")))
}

pub(super) fn guest_id(field: &'static str, text: &str) -> Result<GuestId, ConvertError> {
    text.parse().map_err(|error: curfew_types::id::IdError| ConvertError::new(field, error.to_string()))
}

impl From<LedgerMark> for wire::LedgerMark {
    fn from(mark: LedgerMark) -> wire::LedgerMark {
        wire::LedgerMark { incarnation: mark.incarnation, counter: mark.counter }
    }
}

impl From<wire::LedgerMark> for LedgerMark {
    fn from(mark: wire::LedgerMark) -> LedgerMark {
        LedgerMark { incarnation: mark.incarnation, counter: mark.counter }
    }
}

impl From<SafeguardsMark> for wire::SafeguardsMark {
    fn from(mark: SafeguardsMark) -> wire::SafeguardsMark {
        wire::SafeguardsMark { epoch: mark.epoch, revision: mark.revision }
    }
}

impl From<wire::SafeguardsMark> for SafeguardsMark {
    fn from(mark: wire::SafeguardsMark) -> SafeguardsMark {
        SafeguardsMark { epoch: mark.epoch, revision: mark.revision }
    }
}

/// A mark on the wire. A peer that says none is older than safeguards: it has none.
fn mark(mark: Option<wire::SafeguardsMark>) -> SafeguardsMark {
    mark.unwrap_or_default().into()
}

impl From<Safeguards> for wire::Safeguards {
    fn from(safeguards: Safeguards) -> wire::Safeguards {
        wire::Safeguards {
            mark: Some(safeguards.mark.into()),
            held_guest_ids: safeguards.held.iter().map(GuestId::to_string).collect(),
            protected_users: safeguards.protected_users.iter().map(Glob::to_string).collect(),
        }
    }
}

impl TryFrom<wire::Safeguards> for Safeguards {
    type Error = ConvertError;

    /// The guests are put in order, whatever order they come in.
    fn try_from(safeguards: wire::Safeguards) -> Result<Safeguards, ConvertError> {
        let at_most = |field, found: usize, most: usize| {
            let why = || format!("{found} are more than {most}");
            if found > most { Err(ConvertError::new(field, why())) } else { Ok(()) }
        };
        at_most("safeguards.held_guest_ids", safeguards.held_guest_ids.len(), HOLDS_MAX)?;
        at_most("safeguards.protected_users", safeguards.protected_users.len(), PROTECTED_USERS_MAX)?;
        let guest = |id: &String| guest_id("safeguards.held_guest_ids", id);
        let mut held = safeguards.held_guest_ids.iter().map(guest).collect::<Result<Vec<_>, _>>()?;
        held.sort_unstable();
        held.dedup();
        let user = |pattern: &String| {
            let invalid =
                |error: GlobError| ConvertError::new("safeguards.protected_users", error.to_string());
            pattern.parse().map_err(invalid)
        };
        let protected_users = safeguards.protected_users.iter().map(user).collect::<Result<_, _>>()?;
        Ok(Safeguards { mark: mark(safeguards.mark), held, protected_users })
    }
}

impl From<TaskProgress> for wire::TaskProgress {
    fn from(progress: TaskProgress) -> wire::TaskProgress {
        wire::TaskProgress {
            operation: progress.operation.number(),
            index: progress.index,
            stage: v1::Stage::from(progress.stage).into(),
            sessions: Some(progress.sessions.into()),
        }
    }
}

impl TryFrom<wire::TaskProgress> for TaskProgress {
    type Error = ConvertError;
    fn try_from(progress: wire::TaskProgress) -> Result<TaskProgress, ConvertError> {
        Ok(TaskProgress {
            operation: operation(progress.operation)?,
            index: progress.index,
            stage: known::<v1::Stage>("progress.stage", progress.stage)?.try_into()?,
            sessions: progress.sessions.unwrap_or_default().into(),
        })
    }
}

impl wire::Hello {
    /// The hello of the agent of `host`, whose version is `agent_version`.
    pub fn new(hello: Hello, host: &str, agent_version: &str) -> wire::Hello {
        wire::Hello {
            protocol_version: crate::PROTOCOL_VERSION,
            agent_version: agent_version.into(),
            host: host.into(),
            ledger: Some(hello.ledger.into()),
            epoch_seen: hello.epoch_seen,
            capabilities: hello.capabilities,
            unfinished: hello.unfinished.into_iter().map(Into::into).collect(),
            inventory_digest: hello.inventory_digest,
            first_pending_sequence: hello.first_pending_sequence,
            safeguards: Some(hello.safeguards.into()),
            drains: (!hello.drains.is_empty()).then(|| super::drain::told(hello.drains)),
        }
    }
}

impl TryFrom<wire::Hello> for Hello {
    type Error = ConvertError;
    fn try_from(hello: wire::Hello) -> Result<Hello, ConvertError> {
        let ledger = hello.ledger.ok_or_else(|| ConvertError::new("hello.ledger", "it is missing"))?;
        Ok(Hello {
            ledger: ledger.into(),
            epoch_seen: hello.epoch_seen,
            capabilities: hello.capabilities,
            unfinished: hello.unfinished.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            first_pending_sequence: hello.first_pending_sequence,
            inventory_digest: hello.inventory_digest,
            safeguards: mark(hello.safeguards),
            drains: hello.drains.map(super::drain::all).transpose()?.unwrap_or_default(),
        })
    }
}

impl From<OrderedTask> for wire::OrderedTask {
    fn from(task: OrderedTask) -> wire::OrderedTask {
        wire::OrderedTask { index: task.index, guest_id: task.guest.to_string() }
    }
}

impl TryFrom<wire::OrderedTask> for OrderedTask {
    type Error = ConvertError;
    fn try_from(task: wire::OrderedTask) -> Result<OrderedTask, ConvertError> {
        Ok(OrderedTask { index: task.index, guest: guest_id("task.guest_id", &task.guest_id)? })
    }
}

impl From<Order> for wire::Order {
    fn from(order: Order) -> wire::Order {
        let logoff = Given::from(order.logoff);
        wire::Order {
            operation: order.operation.number(),
            epoch: order.epoch,
            remaining_ms: order.remaining_ms,
            task_timeout_ms: order.task_timeout_ms,
            required_capabilities: order.required_capabilities,
            tasks: order.tasks.into_iter().map(Into::into).collect(),
            safeguards: Some(order.safeguards.into()),
            sessions: logoff.sessions,
            notice: logoff.notice,
            force_after: logoff.force_after,
            drain: logoff.drain,
        }
    }
}

impl TryFrom<wire::Order> for Order {
    type Error = ConvertError;
    fn try_from(order: wire::Order) -> Result<Order, ConvertError> {
        let mut checks = Checks::default();
        let given = Given {
            sessions: order.sessions,
            notice: order.notice,
            force_after: order.force_after,
            drain: order.drain,
        };
        let logoff = checks.logoff("order", given);
        if let Some(violation) = checks.0.first() {
            return Err(ConvertError::new("order", format!("{}: {}", violation.field, violation.why)));
        }
        Ok(Order {
            operation: operation(order.operation)?,
            epoch: order.epoch,
            remaining_ms: order.remaining_ms,
            task_timeout_ms: order.task_timeout_ms,
            logoff,
            required_capabilities: order.required_capabilities,
            safeguards: mark(order.safeguards),
            tasks: order.tasks.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<Cancel> for wire::Cancel {
    fn from(cancel: Cancel) -> wire::Cancel {
        wire::Cancel {
            operation: cancel.operation.number(),
            epoch: cancel.epoch,
            tasks: cancel.tasks.into_iter().map(Into::into).collect(),
            only_unaccepted: cancel.only_unaccepted,
        }
    }
}

impl TryFrom<wire::Cancel> for Cancel {
    type Error = ConvertError;
    fn try_from(cancel: wire::Cancel) -> Result<Cancel, ConvertError> {
        Ok(Cancel {
            operation: operation(cancel.operation)?,
            epoch: cancel.epoch,
            tasks: cancel.tasks.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            only_unaccepted: cancel.only_unaccepted,
        })
    }
}

impl From<Finding> for wire::Finding {
    fn from(finding: Finding) -> wire::Finding {
        wire::Finding {
            operation: finding.operation.number(),
            index: finding.index,
            guest_id: finding.guest.to_string(),
            verdict: Some(finding.verdict.as_ref().into()),
            late: finding.late,
        }
    }
}

impl TryFrom<wire::Finding> for Finding {
    type Error = ConvertError;
    fn try_from(finding: wire::Finding) -> Result<Finding, ConvertError> {
        let verdict = finding.verdict.ok_or_else(|| ConvertError::new("finding.verdict", "it is missing"))?;
        Ok(Finding {
            operation: operation(finding.operation)?,
            index: finding.index,
            guest: guest_id("finding.guest_id", &finding.guest_id)?,
            verdict: Arc::new(verdict.try_into()?),
            late: finding.late,
        })
    }
}

impl From<Report> for wire::Report {
    fn from(report: Report) -> wire::Report {
        wire::Report {
            progress: report.progress.into_iter().map(Into::into).collect(),
            first_sequence: report.first_sequence,
            findings: report.findings.into_iter().map(Into::into).collect(),
            ledger: Some(report.ledger.into()),
            safeguards: Some(report.safeguards.into()),
            drains: report.drains.map(super::drain::told),
        }
    }
}

impl TryFrom<wire::Report> for Report {
    type Error = ConvertError;
    fn try_from(report: wire::Report) -> Result<Report, ConvertError> {
        let ledger = report.ledger.ok_or_else(|| ConvertError::new("report.ledger", "it is missing"))?;
        Ok(Report {
            progress: report.progress.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            first_sequence: report.first_sequence,
            findings: report.findings.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            ledger: ledger.into(),
            safeguards: mark(report.safeguards),
            drains: report.drains.map(super::drain::all).transpose()?,
        })
    }
}

impl From<Guest> for wire::Guest {
    fn from(guest: Guest) -> wire::Guest {
        wire::Guest {
            id: guest.id.to_string(),
            name: guest.name.as_ref().into(),
            provider: guest.provider.as_ref().into(),
            os: guest.os.as_str().into(),
            power_state: v1::PowerState::from(guest.power).into(),
            is_host: guest.is_host,
            labels: guest.labels.into_iter().collect(),
        }
    }
}

impl TryFrom<wire::Guest> for Guest {
    type Error = ConvertError;

    /// An agent may say of its guests what it likes, within bounds, and as labels only under its own prefix.
    fn try_from(guest: wire::Guest) -> Result<Guest, ConvertError> {
        if guest.name.is_empty() || guest.name.len() > GUEST_NAME_MAX {
            return Err(ConvertError::new("guest.name", format!("it must have 1 to {GUEST_NAME_MAX} bytes")));
        }
        if guest.provider.len() > 63 || guest.labels.len() > LABELS_MAX {
            return Err(ConvertError::new("guest", "its provider's name or its labels are too long"));
        }
        let fits = |key: &str, value: &str| {
            key.starts_with(AGENT_PREFIX)
                && curfew_types::label::check_key(key).is_ok()
                && curfew_types::label::check_value(value).is_ok()
        };
        if let Some((key, value)) = guest.labels.iter().find(|(key, value)| !fits(key, value)) {
            return Err(ConvertError::new(
                "guest.labels",
                format!("{key:?}={value:?} is not an agent's label"),
            ));
        }
        Ok(Guest {
            id: guest_id("guest.id", &guest.id)?,
            name: guest.name.into(),
            provider: guest.provider.into(),
            os: os_family(&guest.os),
            power: known::<v1::PowerState>("guest.power_state", guest.power_state)?.try_into()?,
            is_host: guest.is_host,
            labels: guest.labels.into_iter().collect(),
        })
    }
}

#[cfg(test)]
mod tests;
