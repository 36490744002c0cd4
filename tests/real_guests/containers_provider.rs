//! The `containers` provider on real containers: their own logind over their own bus, looked at from the host.

use anyhow::{Context as _, ensure};
use curfew_agent::provider::containers::{Containers, ContainersConfig};
use curfew_agent::provider::{
    DrainOrder, DrainReply, EndMode, EndReply, Look, NoticeReply, Provider as _, SessionList, UndrainReply,
};
use curfew_tests::guests::{ContainerSpec, Debian, Guest as _, GuestLab, Terminal, attempt_login, until};
use curfew_types::{GuestId, OnlyIf, PowerState, SessionState, StateFilter, StatusCode};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixListener;

type Result = anyhow::Result<()>;

const BUDGET: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(30);
const BOTH: [(&str, Debian); 2] = [("older", Debian::Bookworm), ("newer", Debian::Trixie)];

/// A provider that finds every container of the lab.
fn provider(lab: &GuestLab) -> anyhow::Result<Containers> {
    let pidfiles = vec![lab.run_dir().join("*.init").display().to_string()];
    Ok(Containers::new(&ContainersConfig { machined: false, pidfiles }, &"host-1".parse()?)?)
}

fn id(name: &str) -> anyhow::Result<GuestId> {
    Ok(GuestId::local(&"host-1".parse()?, "containers", name)?)
}

async fn list(provider: &Containers, guest: &GuestId) -> anyhow::Result<SessionList> {
    Ok(provider.list_sessions(guest, Look { processes: true }, BUDGET).await?)
}

#[tokio::test]
async fn people_in_containers_are_listed_told_and_logged_off() -> Result {
    let lab = GuestLab::open().await?;
    let provider = provider(&lab)?;
    for (name, debian) in BOTH {
        let guest = lab.container(ContainerSpec::new(name).debian(debian)).await?;
        let id = id(name)?;
        assert!(list(&provider, &id).await?.sessions.is_empty(), "{name}: nobody is logged on yet");
        let alice = Terminal::open(&guest, "alice").await?;
        guest.login_stubborn("bob").await?;
        let known = provider.discover().await?;
        let found = known.iter().find(|guest| guest.id == id).context("it is found")?;
        assert_eq!((found.name.as_ref(), found.power), (name, PowerState::Running));

        let listed = list(&provider, &id).await?;
        let users: Vec<_> = listed.sessions.iter().map(|it| (it.user.as_str(), it.state)).collect();
        assert_eq!(users, [("alice", SessionState::Active), ("bob", SessionState::Active)], "{name}");
        let names = listed.processes.get(alice.session()).context("alice has processes")?;
        assert!(names.iter().any(|name| name == "bash"), "{name}: {names:?}");

        let keys: Vec<_> = listed.sessions.iter().map(|session| session.key.clone()).collect();
        let replies = provider.notify(&id, &keys, "Patching in 10 min", BUDGET).await?;
        assert_eq!(replies[0], NoticeReply::Shown, "{name}");
        assert!(
            matches!(&replies[1], NoticeReply::NotShown(why) if why.contains("no terminal")),
            "{replies:?}"
        );
        alice.shows("Patching in 10 min", PATIENCE).await?;

        let away = OnlyIf { state: Some(StateFilter::Disconnected), ..OnlyIf::default() };
        let polite = EndMode::Graceful { attempt: 0 };
        let reply = provider.end_session(&id, &keys[0], polite, away, BUDGET).await?;
        assert_eq!(reply, EndReply::NoLongerMatches, "{name}: somebody sits at it");
        for (key, how) in [(&keys[0], polite), (&keys[1], EndMode::Force)] {
            let reply = provider.end_session(&id, key, how, OnlyIf::default(), BUDGET).await?;
            assert_eq!(reply, EndReply::Asked, "{name}");
        }
        until("everybody to be gone", PATIENCE, || async {
            let left = list(&provider, &id).await?.sessions;
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })
        .await?;
        assert!(guest.processes_of("bob").await?.is_empty(), "{name}");
        let reply = provider.end_session(&id, &keys[0], polite, OnlyIf::default(), BUDGET).await?;
        assert_eq!(reply, EndReply::Gone, "{name}");
        assert_eq!(provider.notify(&id, &keys[..1], "late", BUDGET).await?, [NoticeReply::Gone], "{name}");
        guest.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_desktop_in_a_container_shows_the_notice_as_its_users_notification() -> Result {
    let lab = GuestLab::open().await?;
    let provider = provider(&lab)?;
    for (name, debian) in BOTH {
        let guest = lab.container(ContainerSpec::new(name).debian(debian)).await?;
        let id = id(name)?;
        let run =
            ["systemd-run", "--quiet", "--collect", "--property=PAMName=login", "--property=User=alice"];
        let as_desktop = ["--setenv=XDG_SESSION_CLASS=user", "--setenv=XDG_SESSION_TYPE=x11", "--"];
        let session = ["/usr/local/lib/curfew-test/session", "desk", "desktop"];
        guest.exec(&[run.as_slice(), &as_desktop, &session].concat()).await?.success()?;
        until("the desktop", PATIENCE, || async {
            guest.exec(&["test", "-e", "/run/curfew-test/desk"]).await?.success()
        })
        .await?;
        let listed = list(&provider, &id).await?;
        let session = listed.sessions.first().context("a session")?;
        assert_eq!(
            (session.user.as_str(), session.state),
            ("alice", SessionState::Active),
            "{name}: {session:?}"
        );
        let replies =
            provider.notify(&id, std::slice::from_ref(&session.key), "Save <all> & go", BUDGET).await?;
        assert_eq!(replies, [NoticeReply::Shown], "{name}");
        until("the notification", PATIENCE, || async {
            let shown = guest.exec(&["cat", "/run/curfew-test/desk.screen"]).await?.success()?;
            ensure!(shown.contains("Save &lt;all&gt; &amp; go"), "{shown}");
            Ok(())
        })
        .await?;
        guest.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stopped_terminal_holds_nobody_up() -> Result {
    let lab = GuestLab::open().await?;
    let provider = provider(&lab)?;
    let guest = lab.container(ContainerSpec::new("desk")).await?;
    let id = id("desk")?;
    let held = Terminal::open(&guest, "alice").await?;
    let unread = Terminal::open(&guest, "bob").await?;
    let beside = Terminal::open(&guest, "carol").await?;
    let keys: Vec<_> = list(&provider, &id).await?.sessions.into_iter().map(|it| it.key).collect();
    held.press_ctrl_s().await?;
    unread.stop_reading().await?;
    let replies = provider.notify(&id, &keys, "soon", Duration::from_secs(5)).await?;
    for reply in &replies[..2] {
        assert!(
            matches!(reply, NoticeReply::NotShown(why) if why.contains("takes no output")),
            "{replies:?}"
        );
    }
    assert_eq!(replies[2], NoticeReply::Shown, "{replies:?}");
    beside.shows("soon", PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn a_drain_refuses_real_logons_with_its_text_and_is_lifted() -> Result {
    let lab = GuestLab::open().await?;
    let provider = provider(&lab)?;
    for (name, debian) in BOTH {
        let guest = lab.container(ContainerSpec::new(name).debian(debian)).await?;
        let id = id(name)?;
        let order = DrainOrder { for_ms: 3_600_000, text: "Patching".into() };
        assert_eq!(provider.drain(&id, &order, BUDGET).await?, DrainReply::InForce, "{name}");
        let refused = attempt_login(&guest, "alice").await?;
        let is_told = refused.stderr.contains("Patching") && refused.stderr.contains("refused until 2");
        assert!(refused.code != 0 && is_told, "{name}: {refused:?}");
        let timers = guest.exec(&["systemctl", "list-timers", "curfew-undrain.timer", "--no-legend"]).await?;
        assert!(timers.stdout.contains("curfew-undrain"), "{name}: {timers:?}");
        assert_eq!(provider.undrain(&id, BUDGET).await?, UndrainReply::Lifted, "{name}");
        assert_eq!(provider.undrain(&id, BUDGET).await?, UndrainReply::Lifted, "{name}: twice is once");
        attempt_login(&guest, "alice").await?.success()?;
        let left = guest.exec(&["sh", "-c", "ls -A /run | grep -i nologin"]).await?;
        assert_eq!(left.stdout, "", "{name}: nothing is left");
        let units =
            guest.exec(&["systemctl", "list-units", "--all", "--no-legend", "curfew-undrain*"]).await?;
        assert_eq!(units.stdout.trim(), "", "{name}: {units:?}");
        guest.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_drain_ends_inside_the_container_without_the_agent() -> Result {
    let lab = GuestLab::open().await?;
    for (name, debian) in BOTH {
        let guest = lab.container(ContainerSpec::new(name).debian(debian)).await?;
        let provider = provider(&lab)?;
        let id = id(name)?;
        // The later order replaces the earlier one's timer.
        for for_ms in [3_600_000, 1_000] {
            let order = DrainOrder { for_ms, text: String::new() };
            assert_eq!(provider.drain(&id, &order, BUDGET).await?, DrainReply::InForce, "{name}");
        }
        drop(provider);
        until("the drain to end", PATIENCE, || async { attempt_login(&guest, "alice").await?.success() })
            .await
            .with_context(|| guest.console_tail())?;
        guest.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn somebody_elses_nologin_is_never_touched() -> Result {
    let lab = GuestLab::open().await?;
    let provider = provider(&lab)?;
    let guest = lab.container(ContainerSpec::new("desk")).await?;
    let id = id("desk")?;
    let order = DrainOrder { for_ms: 1_000, text: "ours".into() };
    for (make, look, expected) in [
        ("echo theirs >/run/nologin", "cat /run/nologin", "theirs\n"),
        ("rm /run/nologin; ln -s /etc/hostname /run/nologin", "readlink /run/nologin", "/etc/hostname\n"),
        ("rm /run/nologin; mkfifo /run/nologin", "stat -c %F /run/nologin", "fifo\n"),
    ] {
        guest.exec(&["sh", "-c", make]).await?.success()?;
        assert_eq!(provider.drain(&id, &order, BUDGET).await?, DrainReply::SomebodyElses, "{make}");
        assert_eq!(provider.undrain(&id, BUDGET).await?, UndrainReply::SomebodyElses, "{make}");
        assert_eq!(guest.exec(&["sh", "-c", look]).await?.success()?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_container_that_leads_to_a_bus_outside_it_is_refused_before_a_word_is_said() -> Result {
    let lab = GuestLab::open().await?;
    let provider = provider(&lab)?;
    let guest = lab.container(ContainerSpec::new("hostile")).await?;
    let id = id("hostile")?;
    // A bus of the host, in a folder that the container has been given.
    let place = lab.run_dir().with_file_name("io").join("hostile/bus");
    let listener = UnixListener::bind(&place)?;
    let hijack = |link: &'static str| {
        let script = format!("mv /run/dbus/system_bus_socket /run/dbus/old; {link}");
        let guest = &guest;
        async move { guest.exec(&["sh", "-c", &script]).await?.success() }
    };
    hijack("ln -s /run/io/bus /run/dbus/system_bus_socket").await?;
    let refused =
        provider.list_sessions(&id, Look::default(), BUDGET).await.expect_err("a link is no socket");
    assert_ne!(refused.code, StatusCode::Ok, "{refused:?}");
    hijack("rm /run/dbus/old; : >/run/dbus/system_bus_socket; mount --bind /run/io/bus /run/dbus/system_bus_socket")
        .await?;
    let refused =
        provider.list_sessions(&id, Look::default(), BUDGET).await.expect_err("not the container's");
    assert_eq!(refused.code, StatusCode::AccessDenied, "{refused:?}");
    assert!(refused.message.contains("not a process of the container"), "{refused:?}");
    let (mut stream, _) = listener.accept().await?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await?;
    assert!(said.is_empty(), "nothing was said to it: {said:?}");
    Ok(())
}

#[tokio::test]
async fn links_in_a_container_lead_nowhere_outside_it() -> Result {
    let lab = GuestLab::open().await?;
    let provider = provider(&lab)?;
    let guest = lab.container(ContainerSpec::new("hostile")).await?;
    let id = id("hostile")?;
    guest.login_ssh("alice").await?;
    let keys: Vec<_> = list(&provider, &id).await?.sessions.into_iter().map(|it| it.key).collect();
    // Were the links followed on the host, these two files there would be written to.
    let outside = tempfile::tempdir()?;
    std::fs::write(outside.path().join("0"), "untouched")?;
    let script = format!(
        "mv /run/dbus /run/dbus.real; mv /dev/pts /dev/old 2>/dev/null || umount -l /dev/pts; rmdir /dev/pts; \
         ln -s {} /dev/pts; mv /run/dbus.real /run/dbus",
        outside.path().display()
    );
    guest.exec(&["sh", "-c", &script]).await?.success()?;
    let replies = provider.notify(&id, &keys, "soon", BUDGET).await?;
    assert!(matches!(&replies[0], NoticeReply::NotShown(_)), "{replies:?}");
    assert_eq!(std::fs::read_to_string(outside.path().join("0"))?, "untouched");
    Ok(())
}

#[tokio::test]
async fn a_pid_file_that_names_a_process_of_the_host_logs_nobody_off() -> Result {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("wrong.pid"), std::process::id().to_string())?;
    let pidfiles = vec![folder.path().join("*.pid").display().to_string()];
    let config = ContainersConfig { machined: false, pidfiles };
    let provider = Containers::new(&config, &"host-1".parse()?)?;
    let refused =
        provider.list_sessions(&id("wrong")?, Look::default(), BUDGET).await.expect_err("no container");
    assert!(refused.unlistable && refused.message.contains("shares the host's processes"), "{refused:?}");
    let order = DrainOrder { for_ms: 1_000, text: String::new() };
    assert!(provider.drain(&id("wrong")?, &order, BUDGET).await.is_err());
    Ok(())
}

#[tokio::test]
async fn frozen_and_stopped_containers_have_their_own_codes() -> Result {
    let lab = GuestLab::open().await?;
    let provider = provider(&lab)?;
    let guest = lab.container(ContainerSpec::new("web")).await?;
    let id = id("web")?;
    let power = || async { anyhow::Ok(provider.discover().await?.first().context("it is found")?.power) };
    let code = || async {
        let listed = provider.list_sessions(&id, Look::default(), BUDGET).await;
        listed.expect_err("it cannot be asked").code
    };
    let first = list(&provider, &id).await?.boot;
    guest.freeze().await?;
    assert_eq!((power().await?, code().await), (PowerState::Paused, StatusCode::VmPaused));
    guest.thaw().await?;
    assert_eq!(power().await?, PowerState::Running);
    guest.stop().await?;
    assert_eq!((power().await?, code().await), (PowerState::Stopped, StatusCode::VmNotRunning));
    guest.start().await?;
    assert_ne!(list(&provider, &id).await?.boot, first, "a reboot can be told");
    Ok(())
}

#[tokio::test]
async fn a_container_with_users_of_its_own_is_asked_as_its_own_root() -> Result {
    let folder = tempfile::tempdir()?;
    let mut child = tokio::process::Command::new("unshare")
        .args(["--user", "--pid", "--mount", "--fork", "--kill-child", "--", "sleep", "infinity"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let outer = child.id().context("it runs")?;
    let pid = until("the container's first process", PATIENCE, || async {
        let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"))?;
        Ok(children.trim().parse::<u32>()?)
    })
    .await?;
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{pid}/{map}"), "0 100000 65536\n")?;
    }
    // No systemd runs in it: a bus is enough to show who is let in, and a /run who may write there.
    let script = "mount -t tmpfs -o mode=755 run /run && mkdir /run/dbus && \
         exec dbus-daemon --nofork --nopidfile --config-file=\"$1\"";
    let policy = "<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>\
         <auth>EXTERNAL</auth><policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
         <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/></policy></busconfig>";
    let config = folder.path().join("bus.conf");
    std::fs::write(&config, policy)?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let _bus = tokio::process::Command::new("nsenter")
        .args(["--user", "--mount", "--pid", "--target", &pid.to_string(), "--", "sh", "-c", script, "sh"])
        .arg(&config)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    std::fs::write(folder.path().join("users.pid"), pid.to_string())?;
    let pidfiles = vec![folder.path().join("*.pid").display().to_string()];
    let provider = Containers::new(&ContainersConfig { machined: false, pidfiles }, &"host-1".parse()?)?;
    let id = id("users")?;
    until("the bus to let it in", PATIENCE, || async {
        let refused = provider.list_sessions(&id, Look::default(), BUDGET).await.expect_err("no logind");
        ensure!(refused.message.contains("org.freedesktop.login1"), "{refused:?}");
        Ok(())
    })
    .await?;
    let nologin = format!("/proc/{pid}/root/run/nologin");
    let order = DrainOrder { for_ms: 60_000, text: "Patching".into() };
    assert_eq!(provider.drain(&id, &order, BUDGET).await?, DrainReply::InForce);
    assert_eq!(std::fs::metadata(&nologin)?.uid(), 100_000, "it belongs to the container's root");
    assert_eq!(provider.undrain(&id, BUDGET).await?, UndrainReply::Lifted);
    assert!(!std::path::Path::new(&nologin).exists());
    child.kill().await?;
    Ok(())
}
