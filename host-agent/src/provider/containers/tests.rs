//! Finding containers through a stand-in for systemd-machined; what is done in them is shown on real ones.

use super::*;
use zbus::{Connection, Guid, OwnedObjectPath, connection, fdo, interface};

const BUDGET: Duration = Duration::from_secs(30);

struct FakeManager;

struct FakeMachine {
    class: &'static str,
    leader: u32,
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.machine1")]
enum Refusal {
    #[zbus(error)]
    ZBus(zbus::Error),
    NoSuchMachine(String),
}

/// Name, class and first process of the machines that the stand-in lists. No process has so high a number.
const MACHINES: [(&str, &str, u32); 4] = [
    ("db", "container", u32::MAX),
    ("vm", "vm", 1),
    ("web", "container", u32::MAX - 1),
    (".host", "host", 1),
];

fn path(name: &str) -> OwnedObjectPath {
    let label = name.replace('.', "_2e");
    OwnedObjectPath::try_from(format!("/org/freedesktop/machine1/machine/{label}")).expect("a path")
}

#[interface(name = "org.freedesktop.machine1.Manager")]
impl FakeManager {
    fn list_machines(&self) -> Vec<(String, String, String, OwnedObjectPath)> {
        // One that is listed and gone when it is looked at.
        let gone = [("gone", "container", 0)];
        let all = MACHINES.iter().chain(&gone);
        all.map(|(name, class, _)| ((*name).into(), (*class).into(), "nspawn".into(), path(name))).collect()
    }

    fn get_machine(&self, name: &str) -> Result<OwnedObjectPath, Refusal> {
        let is_known = MACHINES.iter().any(|(known, _, _)| *known == name);
        let refusal = || Refusal::NoSuchMachine(format!("No machine '{name}' known"));
        is_known.then(|| path(name)).ok_or_else(refusal)
    }
}

#[interface(name = "org.freedesktop.machine1.Machine")]
impl FakeMachine {
    #[zbus(property)]
    fn class(&self) -> &str {
        self.class
    }
    #[zbus(property)]
    fn leader(&self) -> fdo::Result<u32> {
        Ok(self.leader)
    }
}

/// A host's bus with the stand-in on it. The host's end of each connection is kept by a task of its own.
fn machined() -> Bus {
    Bus::over(Box::new(|| {
        Box::pin(async {
            let (here, there) = std::os::unix::net::UnixStream::pair()?;
            let mut server = connection::Builder::unix_stream(there)
                .server(Guid::generate())
                .p2p()
                .serve_at("/org/freedesktop/machine1", FakeManager);
            for (name, class, leader) in MACHINES {
                server = server.serve_at(path(name), FakeMachine { class, leader });
            }
            let client = connection::Builder::unix_stream(here).p2p();
            let (server, client) = futures::future::try_join(server.build(), client.build()).await?;
            let kept = async move |server: Connection| server.closed().await;
            tokio::spawn(kept(server));
            Ok(client)
        })
    }))
}

fn provider(bus: Bus, pidfiles: Vec<String>) -> Containers {
    let host = "h1".parse().expect("a host name");
    Containers::over(bus, &ContainersConfig { machined: true, pidfiles }, &host).expect("a provider")
}

fn id(name: &str) -> GuestId {
    format!("h1/containers/{name}").parse().expect("an id")
}

#[tokio::test]
async fn the_containers_that_machined_knows_are_found_and_other_machines_are_not() {
    let found = provider(machined(), Vec::new()).discover().await.expect("guests");
    let found: Vec<_> =
        found.iter().map(|it| (it.id.as_str(), it.name.as_ref(), it.power, it.is_host)).collect();
    let stopped = PowerState::Stopped;
    let expected = [("h1/containers/db", "db", stopped, false), ("h1/containers/web", "web", stopped, false)];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn one_that_a_pid_file_names_too_is_one_container() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["web", "lxc"] {
        std::fs::write(folder.path().join(format!("{name}.pid")), "stale").expect("written");
    }
    let pidfiles = vec![folder.path().join("*.pid").display().to_string()];
    let found = provider(machined(), pidfiles).discover().await.expect("guests");
    let names: Vec<_> = found.iter().map(|guest| guest.name.as_ref()).collect();
    assert_eq!(names, ["db", "lxc", "web"]);
}

#[tokio::test]
async fn one_that_does_not_run_and_one_that_is_unknown_have_their_own_codes() {
    let provider = provider(machined(), Vec::new());
    let code = async |id: GuestId| {
        provider.list_sessions(&id, Look::default(), BUDGET).await.expect_err("it cannot be asked").code
    };
    assert_eq!(code(id("web")).await, StatusCode::VmNotRunning);
    assert_eq!(code(id("nobody")).await, StatusCode::VmUnknown);
    assert_eq!(code(id("vm")).await, StatusCode::VmUnknown, "a virtual machine is no container");
    assert_eq!(code(id(".host")).await, StatusCode::VmUnknown);
    assert_eq!(code(id("../../etc/x")).await, StatusCode::VmUnknown);
    assert_eq!(code("h2/containers/web".parse().expect("an id")).await, StatusCode::VmUnknown);
}

#[tokio::test]
async fn without_machined_nothing_is_said_to_be_found() {
    let nobody = Bus::over(Box::new(|| Box::pin(async { Err(zbus::Error::InvalidReply) })));
    let error = provider(nobody, Vec::new()).discover().await.expect_err("no bus");
    assert!(error.message.contains("systemd-machined"), "{error}");
}
