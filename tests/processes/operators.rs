//! What an operator gets wrong, and what is said to that.

use curfew_agent::provider::simulated::{FaultKind, SimulatedConfig};
use curfew_tests::processes::{ProcessFleet, provider};

type Result = anyhow::Result<()>;

#[tokio::test]
async fn every_refusal_of_a_selection_says_what_to_do() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    let guests = SimulatedConfig { name_prefix: "desk-".into(), ..SimulatedConfig::healthy(2) };
    fleet.add_agent("host-1", provider("simulated", &guests)?).await?;
    fleet.add_agent("host-2", provider("simulated", &guests)?).await?;
    fleet.wait_for_guests(4).await?;
    for (args, says) in [
        (vec!["logoff", "--yes", "--guest", "nobody"], "not in the fleet"),
        (vec!["logoff", "--yes", "--guest", "desk-1"], "use an id"),
        (vec!["logoff", "--yes", "-l", "rack=7"], "no guest fits"),
        (vec!["logoff", "--yes", "-l", "a b"], "label"),
        (vec!["logoff", "--yes", "--all", "--task-timeout", "1ms"], "task_timeout"),
    ] {
        let refused = fleet.curfew(&args).await?;
        assert_eq!(refused.code, Some(2), "{args:?}: {refused:?}");
        assert!(refused.stderr.contains(says), "{args:?}: {refused:?}");
        assert_eq!(refused.stdout, "", "{args:?}");
    }
    let listed = fleet.curfew(&["operation", "list", "-o", "name"]).await?.success()?;
    assert_eq!(listed.stdout, "", "nothing was started");
    fleet.finish().await
}

#[tokio::test]
async fn labels_select_and_exclusions_are_listed_as_skipped() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    let guests = SimulatedConfig { name_prefix: "desk-".into(), ..SimulatedConfig::healthy(3) };
    fleet.add_agent("host-1", provider("simulated", &guests)?).await?;
    fleet.add_agent("host-2", provider("simulated", &guests)?).await?;
    fleet.wait_for_guests(6).await?;
    fleet.curfew(&["host", "label", "host-2", "rack=r2"]).await?.success()?;
    fleet.curfew(&["guest", "label", "host-2/simulated/desk-2", "floor=trading"]).await?.success()?;
    let args = ["logoff", "--yes", "-l", "rack=r2,floor!=trading", "--exclude", "desk-3", "-o", "json"];
    let summary = fleet.curfew_json(&args).await?;
    let id = summary["operation"]["id"].as_str().or(summary["id"].as_str()).unwrap_or_default().to_owned();
    let tasks = fleet.tasks(&id).await?;
    let outcomes: Vec<_> = tasks
        .iter()
        .map(|(name, task)| (name.as_str(), task["verdict"]["reason"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(outcomes, [("desk-1", "sessions_ended"), ("desk-3", "excluded")]);
    fleet.finish().await
}

#[tokio::test]
async fn an_offline_host_ends_as_unreachable_and_the_exit_code_says_so() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    fleet.add_agent("host-1", provider("simulated", &SimulatedConfig::healthy(1))?).await?;
    fleet
        .add_agent(
            "host-2",
            provider("simulated", &SimulatedConfig::healthy(1).with_fault(1, FaultKind::Empty))?,
        )
        .await?;
    fleet.wait_for_guests(2).await?;
    fleet.agent("host-1")?.kill().await?;
    let logoff = fleet.curfew(&["logoff", "--all", "--yes", "--deliver-within", "3s", "-o", "json"]).await?;
    assert_eq!(logoff.code, Some(1), "{logoff:?}");
    let listed = fleet.curfew_json(&["operation", "list", "-o", "json"]).await?;
    let id = listed["operations"][0]["id"].as_str().unwrap_or_default().to_owned();
    let tasks = fleet.curfew_json(&["task", "list", &id, "-o", "json"]).await?;
    let outcomes: Vec<_> = tasks["tasks"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|task| task["verdict"]["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["OUTCOME_UNREACHABLE", "OUTCOME_NOTHING_TO_DO"]);
    fleet.finish().await
}
