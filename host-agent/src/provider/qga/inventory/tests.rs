//! Which guests are found, who they are, and what their hypervisors and pid files tell.

use super::super::config::{QgaConfig, QgaGuest};
use super::super::fake::{FakeAgent, Reaction};
use super::*;

const UUID: &str = "12345678-abcd-4ef0-8123-00000000000f";
const NIL: &str = "00000000-0000-0000-0000-000000000000";

fn inventory(config: &QgaConfig) -> Inventory {
    let host: HostName = "h1".parse().expect("a host name");
    let places = config.check(&host).expect("a configuration");
    Inventory::new(host, places)
}

fn named(guest: QgaGuest) -> QgaConfig {
    QgaConfig { guests: vec![guest], ..QgaConfig::default() }
}

/// One guest whose socket is nowhere, behind this hypervisor.
fn behind(hypervisor: &FakeAgent) -> QgaGuest {
    QgaGuest {
        name: "vm-1".into(),
        socket: Some("/nowhere/vm-1.qga".into()),
        qmp: Some(hypervisor.socket()),
        ..QgaGuest::default()
    }
}

async fn look(inventory: &Inventory) -> Vec<(String, String, PowerState)> {
    let seen = inventory.look().await.expect("guests");
    seen.into_iter().map(|seen| (seen.name, seen.id.as_str().to_owned(), seen.power)).collect()
}

/// A process that has ended and was collected.
fn nobody() -> u32 {
    let mut child = std::process::Command::new("true").spawn().expect("a process");
    child.wait().expect("its end");
    child.id()
}

#[tokio::test]
async fn a_guest_that_any_pattern_finds_counts_and_one_that_is_listed_always_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("100.qga"), "").expect("a file");
    std::fs::write(at("101.pid"), nobody().to_string()).expect("a file");
    std::fs::write(at("102.pid"), std::process::id().to_string()).expect("a file");
    std::fs::write(at("not a name.qga"), "").expect("a file");
    let config = QgaConfig {
        sockets: Some(at("*.qga").display().to_string()),
        pidfile: Some(at("*.pid").display().to_string()),
        guests: vec![QgaGuest { name: "db".into(), uuid: Some(UUID.to_uppercase()), ..QgaGuest::default() }],
        ..QgaConfig::default()
    };
    let seen = look(&inventory(&config)).await;
    let expected = [
        ("100", "h1/qga/100", PowerState::Stopped),
        ("101", "h1/qga/101", PowerState::Stopped),
        ("102", "h1/qga/102", PowerState::Running),
        ("db", UUID, PowerState::Stopped),
    ];
    assert_eq!(seen, expected.map(|(name, id, power)| (name.into(), id.into(), power)));
}

#[tokio::test]
async fn a_process_that_ended_uncollected_does_not_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let pidfile = folder.path().join("pid");
    let mut child = std::process::Command::new("true").spawn().expect("a process");
    std::fs::write(&pidfile, child.id().to_string()).expect("a file");
    let pid = rustix::process::Pid::from_child(&child);
    let ended = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::Pid(pid), ended).expect("its end");
    assert_eq!(power_by(&pidfile), PowerState::Stopped);
    child.wait().expect("collected");
}

#[tokio::test]
async fn without_qmp_and_pid_file_the_state_is_unknown() {
    let guest = QgaGuest { name: "x".into(), socket: Some("/nowhere/x.qga".into()), ..QgaGuest::default() };
    assert_eq!(look(&inventory(&named(guest))).await, [("x".into(), "h1/qga/x".into(), PowerState::Unknown)]);
}

#[tokio::test]
async fn a_found_guest_is_who_its_hypervisor_says_also_after_it_was_shut_off() {
    for (uuid, id) in [(UUID, UUID), (NIL, "h1/qga/vm")] {
        let folder = tempfile::tempdir().expect("a folder");
        let hypervisor = FakeAgent::hypervisor("running", uuid, None);
        let qmp = folder.path().join("vm.qmp");
        std::os::unix::fs::symlink(hypervisor.socket(), &qmp).expect("a link");
        let config = QgaConfig {
            sockets: Some(folder.path().join("*.qga").display().to_string()),
            qmp: Some(folder.path().join("*.qmp").display().to_string()),
            ..QgaConfig::default()
        };
        let inventory = inventory(&config);
        assert_eq!(look(&inventory).await, [("vm".into(), id.into(), PowerState::Running)]);
        std::fs::remove_file(hypervisor.socket()).expect("removed");
        assert_eq!(look(&inventory).await, [("vm".into(), id.into(), PowerState::Stopped)]);
    }
}

#[tokio::test]
async fn a_found_guest_whose_hypervisor_never_told_is_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("vm.qga"), "").expect("a file");
    let config = QgaConfig {
        sockets: Some(folder.path().join("*.qga").display().to_string()),
        qmp: Some(folder.path().join("*.qmp").display().to_string()),
        ..QgaConfig::default()
    };
    assert_eq!(look(&inventory(&config)).await, []);
}

#[tokio::test]
async fn a_hypervisor_that_hangs_leaves_the_state_unknown() {
    let hypervisor = FakeAgent::new(|_, _| Reaction::Nothing);
    let seen = look(&inventory(&named(behind(&hypervisor)))).await;
    assert_eq!(seen, [("vm-1".into(), "h1/qga/vm-1".into(), PowerState::Unknown)]);
}

#[tokio::test]
async fn of_two_guests_with_one_identity_the_first_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let hypervisor = FakeAgent::hypervisor("running", UUID, None);
    for name in ["a.qmp", "b.qmp"] {
        std::os::unix::fs::symlink(hypervisor.socket(), folder.path().join(name)).expect("a link");
    }
    let config = QgaConfig {
        sockets: Some(folder.path().join("*.qga").display().to_string()),
        qmp: Some(folder.path().join("*.qmp").display().to_string()),
        ..QgaConfig::default()
    };
    assert_eq!(look(&inventory(&config)).await, [("a".into(), UUID.into(), PowerState::Running)]);
}

#[tokio::test]
async fn what_stops_an_exchange_is_known_before_it_begins() {
    let agent = Path::new("/nowhere/vm-1.qga");
    for (status, open, code) in [
        ("paused", true, Some(StatusCode::VmPaused)),
        ("shutdown", true, Some(StatusCode::VmNotRunning)),
        ("running", false, Some(StatusCode::AdditionsNotAvail)),
        ("running", true, None),
    ] {
        let hypervisor = FakeAgent::hypervisor(status, UUID, Some((agent, open)));
        let inventory = inventory(&named(behind(&hypervisor)));
        let place = inventory.look().await.expect("guests").remove(0).place;
        assert_eq!(
            inventory.check("vm", &place).await.err().map(|error| error.code),
            code,
            "{status} {open}"
        );
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_its_field() {
    let host: HostName = "h1".parse().expect("a host name");
    let why = |config: QgaConfig| config.check(&host).expect_err("refused").why;
    let sockets = |text: &str| QgaConfig { sockets: Some(text.into()), ..QgaConfig::default() };
    assert!(why(QgaConfig::default()).contains("could never find one"));
    assert!(why(sockets("/run/x.qga")).contains("no '*'"));
    assert!(why(sockets("run/*.qga")).contains("absolute"));
    assert!(why(sockets("/run/*/*.qga")).contains("one '*'"));
    let guest = |name: &str, uuid: Option<&str>| QgaGuest {
        name: name.into(),
        uuid: uuid.map(str::to_owned),
        ..QgaGuest::default()
    };
    let with = |guests: Vec<QgaGuest>| QgaConfig { guests, ..sockets("/run/*.qga") };
    assert!(why(named(guest("x", None))).contains("no socket"));
    assert!(why(with(vec![guest("a b", None)])).contains("\"a b\""));
    assert!(why(with(vec![guest("x", Some(NIL))])).contains("not a UUID"));
    assert!(why(with(vec![guest("x", None), guest("x", None)])).contains("listed twice"));
    assert!(why(with(vec![guest("x", Some(UUID)), guest("y", Some(UUID))])).contains("listed twice"));
}

#[tokio::test]
async fn a_guest_is_called_as_its_file_says_then_as_proxmox_does_then_as_its_hypervisor() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let hypervisor = FakeAgent::named_hypervisor("running", UUID, Some("by-qmp"), None);
    std::os::unix::fs::symlink(hypervisor.socket(), at("100.qmp")).expect("a link");
    let config = QgaConfig {
        sockets: Some(at("*.qga").display().to_string()),
        qmp: Some(at("*.qmp").display().to_string()),
        about: Some(at("*.curfew.toml").display().to_string()),
        proxmox: Some(at("*.conf").display().to_string()),
        ..QgaConfig::default()
    };
    let inventory = inventory(&config);
    let running = |name: &str, id: &str| vec![(name.to_owned(), id.to_owned(), PowerState::Running)];
    assert_eq!(look(&inventory).await, running("by-qmp", UUID));
    std::fs::write(at("100.conf"), "name: by-proxmox\n").expect("a file");
    assert_eq!(look(&inventory).await, running("by-proxmox", UUID));
    std::fs::write(at("100.curfew.toml"), "name = 'by file'\n[labels]\nrole = 'db'\n").expect("a file");
    assert_eq!(look(&inventory).await, running("by file", UUID));
    let labels = inventory.look().await.expect("guests").remove(0).labels;
    assert_eq!(labels["agent/role"], "db");
    std::fs::write(at("100.curfew.toml"), "nome = 'x'").expect("a file");
    assert_eq!(look(&inventory).await, running("by file", UUID), "what was known is kept");
    std::fs::remove_file(at("100.curfew.toml")).expect("removed");
    assert_eq!(look(&inventory).await, running("by-proxmox", UUID));
}

#[tokio::test]
async fn a_machine_of_proxmoxs_that_is_shut_off_is_known_by_its_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("100.conf"), format!("name: web-1\nsmbios1: uuid={UUID}\n")).expect("a file");
    let config = QgaConfig {
        sockets: Some(at("*.qga").display().to_string()),
        qmp: Some(at("*.qmp").display().to_string()),
        proxmox: Some(at("*.conf").display().to_string()),
        ..QgaConfig::default()
    };
    let seen = look(&inventory(&config)).await;
    assert_eq!(seen, [("web-1".to_owned(), UUID.to_owned(), PowerState::Stopped)]);
}

#[tokio::test]
async fn a_guest_whose_file_could_never_be_read_has_no_identity_yet() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("100.qga"), "").expect("a file");
    std::fs::write(at("100.curfew.toml"), "uuid = 'broken'").expect("a file");
    let config = QgaConfig {
        sockets: Some(at("*.qga").display().to_string()),
        about: Some(at("*.curfew.toml").display().to_string()),
        ..QgaConfig::default()
    };
    let inventory = inventory(&config);
    assert_eq!(look(&inventory).await, []);
    std::fs::write(at("100.curfew.toml"), format!("uuid = '{UUID}'")).expect("a file");
    assert_eq!(look(&inventory).await[0].1, UUID);
}
