//! What the process answers with when it ends. The only place that knows the numbers.

use crate::error::{Unfollowed, Usage};
use curfew_proto::v1;

/// How a command ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: every guest ended well, or the question was answered.
    Well,
    /// 1: some guest did not end well, has not ended yet as far as is known, or could not be asked for its sessions.
    NotWell,
    /// 2: the question could not be asked, or was refused as a whole; nothing was started by it.
    NotAsked,
    /// 3: the operation waits for somebody's approval.
    AwaitingApproval,
    /// 64: the command line says nothing that can be done (`EX_USAGE`).
    Usage,
    /// 130: Ctrl-C ended the display, as shells have it; the operation goes on.
    Detached,
}

impl Exit {
    /// The number for the operating system.
    pub fn code(self) -> u8 {
        match self {
            Exit::Well => 0,
            Exit::NotWell => 1,
            Exit::NotAsked => 2,
            Exit::AwaitingApproval => 3,
            Exit::Usage => 64,
            Exit::Detached => 130,
        }
    }

    /// How an operation that was followed to here stands.
    pub fn of_operation(operation: &v1::Operation) -> Exit {
        match operation.state() {
            v1::OperationState::Ended if operation.ended_well => Exit::Well,
            v1::OperationState::AwaitingApproval => Exit::AwaitingApproval,
            _ => Exit::NotWell,
        }
    }

    /// How a task that was waited for stands.
    pub fn of_task(task: &v1::Task) -> Exit {
        if task.is_complete && task.ended_well { Exit::Well } else { Exit::NotWell }
    }

    /// What an error amounts to.
    pub fn of_error(error: &anyhow::Error) -> Exit {
        let has = |is: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(is);
        match () {
            () if has(<dyn std::error::Error>::is::<Usage>) => Exit::Usage,
            () if has(<dyn std::error::Error>::is::<Unfollowed>) => Exit::NotWell,
            () => Exit::NotAsked,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(state: v1::OperationState, ended_well: bool) -> v1::Operation {
        v1::Operation { state: state.into(), ended_well, ..Default::default() }
    }

    #[test]
    fn only_an_operation_that_ended_well_exits_with_0() {
        assert_eq!(Exit::of_operation(&operation(v1::OperationState::Ended, true)).code(), 0);
        assert_eq!(Exit::of_operation(&operation(v1::OperationState::Ended, false)).code(), 1);
        assert_eq!(Exit::of_operation(&operation(v1::OperationState::Running, false)).code(), 1);
        assert_eq!(Exit::of_operation(&operation(v1::OperationState::Cancelling, true)).code(), 1);
        assert_eq!(Exit::of_operation(&operation(v1::OperationState::Halted, true)).code(), 1);
        assert_eq!(Exit::of_operation(&operation(v1::OperationState::AwaitingApproval, false)).code(), 3);
    }

    #[test]
    fn a_task_that_still_runs_exits_with_1() {
        let task = |is_complete, ended_well| v1::Task { is_complete, ended_well, ..Default::default() };
        assert_eq!(Exit::of_task(&task(true, true)).code(), 0);
        assert_eq!(Exit::of_task(&task(true, false)).code(), 1);
        assert_eq!(Exit::of_task(&task(false, false)).code(), 1);
    }

    #[test]
    fn usage_errors_exit_with_64_and_all_others_with_2() {
        let usage = anyhow::Error::new(Usage::new("--yes is missing")).context("cannot start");
        assert_eq!(Exit::of_error(&usage).code(), 64);
        assert_eq!(Exit::of_error(&anyhow::anyhow!("no connection")).code(), 2);
    }

    #[test]
    fn an_operation_that_was_started_and_lost_from_sight_exits_with_1() {
        let source = "permission denied".into();
        let unfollowed = Unfollowed { operation_id: "op-1".into(), source };
        assert_eq!(Exit::of_error(&unfollowed.into()).code(), 1);
    }
}
