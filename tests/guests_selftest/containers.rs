//! Container guests, and the lab that holds them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use curfew_tests::guests::{ContainerSpec, Debian, Guest, GuestLab, QgaClient, ServiceSpec, until};
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::time::timeout;

type Outcome = anyhow::Result<()>;

const MOMENT: Duration = Duration::from_secs(10);

/// Logins that are under way at a time where there are many.
const LOGINS_AT_ONCE: usize = 4;

#[tokio::test]
async fn a_container_guest_lists_its_three_logins() -> Outcome {
    let lab = GuestLab::open().await?;
    for debian in [Debian::Bookworm, Debian::Trixie] {
        let guest = lab.container(ContainerSpec::new(format!("{debian:?}")).debian(debian)).await?;
        ensure!(guest.sessions().await?.is_empty(), "somebody is in a fresh guest");

        let ids = [
            guest.login_ssh("alice").await?,
            guest.login_pam("bob").await?,
            guest.login_stubborn("carol").await?,
        ];

        let sessions = guest.sessions().await?;
        ensure!(sessions.len() == ids.len(), "{sessions:#?}");
        for (id, user) in ids.iter().zip(["alice", "bob", "carol"]) {
            let session = sessions.iter().find(|session| session.id == *id).context("a login is missing")?;
            ensure!(session.user == user, "{session:?}");
            ensure!(session.timestamp_usec > 0 && session.leader > 1, "{session:?}");
            ensure!(!guest.processes_of(user).await?.is_empty(), "{user} has no process");
        }
        ensure!(guest.processes_of("dave").await?.is_empty(), "dave is not logged in");
    }
    Ok(())
}

#[tokio::test]
async fn a_frozen_guest_does_not_answer_until_thawed() -> Outcome {
    let lab = GuestLab::open().await?;
    let guest = lab.container(ContainerSpec::new("frozen")).await?;

    guest.freeze().await?;
    let mut stream = UnixStream::connect(guest.qga_socket()).await?;
    stream.write_all(b"{\"execute\":\"guest-ping\"}\n").await?;
    let mut answer = [0; 64];
    let silence = timeout(Duration::from_secs(1), stream.read(&mut answer)).await;
    ensure!(silence.is_err(), "a frozen guest answered");

    guest.thaw().await?;
    let size = timeout(MOMENT, stream.read(&mut answer)).await.context("a thawed guest is silent")??;
    ensure!(answer[..size].starts_with(b"{\"return\""), "{:?}", String::from_utf8_lossy(&answer[..size]));
    Ok(())
}

#[tokio::test]
async fn hanging_up_ends_a_shell_and_only_kill_ends_a_stubborn_login() -> Outcome {
    let lab = GuestLab::open().await?;
    let guest = lab.container(ContainerSpec::new("endings")).await?;
    let (shell, stubborn) = (guest.login_ssh("alice").await?, guest.login_stubborn("carol").await?);

    for signal in ["HUP", "TERM"] {
        for id in [&shell, &stubborn] {
            // The shell's session may be gone at the second signal.
            guest.exec(&["loginctl", "kill-session", &format!("--signal={signal}"), id]).await?;
        }
    }
    until("the shell's end", MOMENT, || async {
        ensure!(guest.processes_of("alice").await?.is_empty(), "alice is still there");
        Ok(())
    })
    .await?;
    let left = guest.sessions().await?;
    ensure!(left.len() == 1 && left[0].id == stubborn, "{left:?}");

    guest.exec(&["loginctl", "kill-session", "--signal=KILL", &stubborn]).await?.success()?;
    until("the stubborn login's end", MOMENT, || async {
        ensure!(guest.sessions().await?.is_empty() && guest.processes_of("carol").await?.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_guest_without_agent_has_no_socket_and_is_up_all_the_same() -> Outcome {
    let lab = GuestLab::open().await?;
    let guest = lab.container(ContainerSpec::new("mute").without_agent()).await?;
    ensure!(UnixStream::connect(guest.qga_socket()).await.is_err(), "an agent answers");
    guest.login_ssh("dave").await?;
    ensure!(guest.sessions().await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn a_stopped_guest_comes_back_with_its_disk_and_uuid_and_a_new_boot_id() -> Outcome {
    let lab = GuestLab::open().await?;
    let guest = lab.container(ContainerSpec::new("phoenix")).await?;
    let identity = ["cat", "/proc/sys/kernel/random/boot_id", "/etc/machine-id", "/var/lib/kept"];
    guest.exec(&["touch", "/var/lib/kept"]).await?.success()?;
    let before = guest.exec(&identity).await?.success()?;
    ensure!(before.contains(&guest.uuid().replace('-', "")), "{before} is not of {}", guest.uuid());
    guest.login_pam("alice").await?;
    let pid = std::fs::read_to_string(guest.pidfile())?;
    ensure!(Path::new("/proc").join(pid.trim_end()).exists(), "the pid file names nobody");

    guest.stop().await?;
    ensure!(!Path::new("/proc").join(pid.trim_end()).exists(), "the outer process is still there");
    ensure!(UnixStream::connect(guest.qga_socket()).await.is_err(), "a stopped guest answers");

    guest.start().await?;
    let after = guest.exec(&identity).await?.success()?;
    ensure!(before.lines().next() != after.lines().next(), "the boot id is the old one");
    ensure!(before.lines().nth(1) == after.lines().nth(1), "the machine id has changed");
    ensure!(guest.sessions().await?.is_empty());
    guest.login_pam("alice").await?;
    Ok(())
}

#[tokio::test]
async fn a_guest_may_power_itself_off_and_be_started_again() -> Outcome {
    let lab = GuestLab::open().await?;
    let guest = lab.container(ContainerSpec::new("off")).await?;
    guest.exec(&["systemctl", "poweroff", "--no-block"]).await?.success()?;
    until("the power-off", MOMENT, || async {
        ensure!(!guest.is_running(), "it runs");
        Ok(())
    })
    .await?;
    guest.start().await
}

#[tokio::test]
async fn a_program_inside_a_guest_reaches_a_forwarded_port_of_the_host() -> Outcome {
    let lab = GuestLab::open().await?;
    let guest = lab.container(ContainerSpec::new("walled")).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let forward = guest.forward(port).await?;

    let greet = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; read -r line <&3; echo \"$line by $(id -un)\"");
    let argv = ["/bin/bash", "-c", &greet];
    let service =
        guest.spawn(ServiceSpec { name: "greeted", argv: &argv, user: Some("dave"), env: &[] }).await?;
    let (mut stream, _) = timeout(MOMENT, listener.accept()).await.context("nobody came")??;
    stream.write_all(b"welcome\n").await?;

    until("the greeting in the log", MOMENT, || async {
        ensure!(service.log() == "welcome by dave\n", "{:?}", service.log());
        ensure!(service.pid().await?.is_none(), "it still runs");
        Ok(())
    })
    .await?;

    // A link that is cut is not the end of the guest's side of it: the same port can be opened again.
    drop(forward);
    let _again = guest.forward(port).await?;
    guest.spawn(ServiceSpec { name: "greeted", argv: &argv, ..ServiceSpec::default() }).await?;
    timeout(MOMENT, listener.accept()).await.context("nobody came")??;
    Ok(())
}

#[tokio::test]
async fn a_program_copied_into_a_guest_runs_there_until_it_is_killed() -> Outcome {
    let lab = GuestLab::open().await?;
    let guest = lab.container(ContainerSpec::new("host")).await?;
    guest.copy_in(Path::new("/bin/sleep"), "/opt/test/slumber").await?;
    let argv = ["/opt/test/slumber", "infinity"];
    let service = guest.spawn(ServiceSpec { name: "slumber", argv: &argv, ..ServiceSpec::default() }).await?;
    ensure!(service.pid().await?.is_some(), "it is not there");
    service.signal("KILL").await?;
    until("its end", MOMENT, || async {
        ensure!(service.pid().await?.is_none(), "it is still there");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_agent_of_a_container_refuses_what_would_act_on_the_host() -> Outcome {
    let lab = GuestLab::open().await?;
    let guest = lab.container(ContainerSpec::new("fenced")).await?;
    let mut agent = QgaClient::connect(&guest.qga_socket()).await?;
    for command in ["guest-set-time", "guest-fsfreeze-freeze", "guest-suspend-ram", "guest-fstrim"] {
        let refusal = agent.call(command, serde_json::json!({})).await.err().context(command)?;
        ensure!(format!("{refusal:#}").contains("has been disabled"), "{command}: {refusal:#}");
    }
    for write in ["echo 0 >/proc/sys/kernel/panic", "mknod /tmp/disk b 8 0"] {
        ensure!(guest.exec(&["sh", "-c", write]).await?.code != 0, "{write} was allowed");
    }
    Ok(())
}

#[tokio::test]
async fn thirty_guests_fit_on_one_machine() -> Outcome {
    let lab = GuestLab::open().await?;
    let guests = try_join_all((0..30).map(|n| lab.container(ContainerSpec::new(format!("g{n}"))))).await?;
    // A few at a time: each look whether a login is there costs the guest a process, and two cores drown in thirty.
    let logins = stream::iter(&guests).map(|guest| guest.login_ssh("alice"));
    let sessions: Vec<String> = logins.buffer_unordered(LOGINS_AT_ONCE).try_collect().await?;
    ensure!(sessions.len() == guests.len(), "{sessions:?}");
    Ok(())
}

#[tokio::test]
async fn a_lab_that_panics_leaves_nothing_behind() -> Outcome {
    let (told_tx, told_rx) = tokio::sync::oneshot::channel();
    let doomed = tokio::spawn(async move {
        let lab = GuestLab::open().await.expect("a lab");
        let guest = lab.container(ContainerSpec::new("doomed")).await.expect("a guest");
        let pid = std::fs::read_to_string(guest.pidfile()).expect("a pid");
        told_tx.send((lab.run_dir(), pid)).expect("a listener");
        panic!("as a failing test does");
    });
    let (run_dir, pid) = told_rx.await?;
    ensure!(doomed.await.is_err());

    let folder = run_dir.parent().context("a run folder is in a lab")?;
    ensure!(!folder.exists(), "{} is still there", folder.display());
    ensure!(!Path::new("/proc").join(pid.trim_end()).exists(), "the guest still runs");
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    ensure!(!mounts.contains(&*folder.to_string_lossy()), "still mounted");
    Ok(())
}
