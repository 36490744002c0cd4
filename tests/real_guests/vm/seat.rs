//! Who sits at a machine's own screen, and who was switched away from it: the one disconnected session that Linux has.

use crate::site::{Site, assert_ended, end_of, left};
use anyhow::{Context as _, ensure};
use curfew_tests::guests::{Guest as _, Vm, VmSpec, until};
use curfew_types::StatusCode;
use std::time::Duration;

type Result = anyhow::Result<()>;

/// A look through an emulated machine's guest agent takes a second or two, and a notice as much.
const WITHIN: Duration = Duration::from_secs(120);

async fn state_of(vm: &Vm, session: &str) -> anyhow::Result<String> {
    let sessions = vm.sessions().await?;
    Ok(sessions.into_iter().find(|known| known.id == session).context("it is gone")?.state)
}

#[tokio::test]
async fn who_comes_back_to_a_disconnected_session_is_left_alone() -> Result {
    let mut site = Site::new().await?;
    let vm = site.lab.vm(VmSpec::new("machine")).await?;
    let alice = vm.login_console("alice").await?;
    let bob = vm.login_behind("bob", 2).await?;
    vm.switch_to(1).await?;
    assert_eq!(state_of(&vm, &alice).await?, "active");
    assert_eq!(state_of(&vm, &bob).await?, "online", "logind's word for one that was switched away from");
    site.attach(1, true).await?;

    // Bob, whom nobody sees, is told that he has time, and comes back before it is over.
    let options = ["--all", "--user", "bob", "--state", "disconnected"];
    let warned = ["--notice", "Off in {minutes} min", "--grace", "1h"];
    let id = site.fleet.logoff(&[options.as_slice(), &warned].concat()).await?;
    let told = || async {
        // A virtual terminal's screen can be read, by rows without their ends.
        let screen = vm.exec(&["cat", "/dev/vcs2"]).await?.success()?;
        ensure!(screen.contains("Off in 60 min"), "{screen:?}");
        Ok(())
    };
    until("bob's terminal, which nobody sees, shows the notice", WITHIN, told).await?;
    vm.switch_to(2).await?;
    let tasks = site.fleet.ended(&id).await?;
    assert_ended(&tasks, "machine", "NOTHING_TO_DO", StatusCode::NoSuchLogonSession.value());
    let end = end_of(&tasks["machine"], "bob");
    assert_eq!((end.fate.as_str(), end.notices), ("EXCLUDED", 1), "{end:?}");
    assert!(end.why.contains("not in the state"), "{end:?}");
    let mut sessions = left(&vm).await?;
    sessions.sort_unstable();
    let mut expected = vec![alice.clone(), bob];
    expected.sort_unstable();
    assert_eq!(sessions, expected, "nobody was logged off");

    vm.switch_to(1).await?;
    let (_, tasks) = site.logoff(&options).await?;
    assert_ended(&tasks, "machine", "SUCCEEDED", StatusCode::Ok.value());
    assert_eq!(end_of(&tasks["machine"], "bob").fate, "ENDED");
    assert_eq!(left(&vm).await?, [alice], "and who sits there stays");
    site.fleet.finish().await
}
