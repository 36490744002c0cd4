//! The provider against a stand-in for logind, over a pair of sockets.

use super::*;
use curfew_types::SessionState;
use std::sync::{Arc, Mutex};
use zbus::object_server::ObjectServer;
use zbus::{Connection, Guid, OwnedObjectPath, connection, fdo, interface};

const BUDGET: Duration = Duration::from_secs(30);
const BOOT: &str = "boot:1";
const BEGAN: u64 = 1_700_000_000_000_000;

/// What the stand-in was told to do, and how it answers.
#[derive(Default)]
struct Logbook {
    calls: Vec<String>,
    listed: Vec<(String, String)>,
    denies: bool,
}

type Shared = Arc<Mutex<Logbook>>;

struct FakeManager(Shared);

struct FakeSession {
    id: String,
    class: String,
    state: String,
    began_us: u64,
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.login1")]
enum Refusal {
    #[zbus(error)]
    ZBus(zbus::Error),
    NoSuchSession(String),
}

#[interface(name = "org.freedesktop.login1.Manager")]
impl FakeManager {
    fn list_sessions(&self) -> Vec<(String, u32, String, String, OwnedObjectPath)> {
        let listed = self.0.lock().expect("a logbook").listed.clone();
        let path = |id: &str| OwnedObjectPath::try_from(login1::session_path(id)).expect("a path");
        listed.iter().map(|(id, user)| (id.clone(), 1000, user.clone(), String::new(), path(id))).collect()
    }

    fn kill_session(&self, id: &str, who: &str, signal: i32) -> fdo::Result<()> {
        self.act(format!("kill {id} {who} {signal}"))
    }

    async fn terminate_session(
        &self,
        id: &str,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> Result<(), Refusal> {
        let path = login1::session_path(id);
        if !server.remove::<FakeSession, _>(path.as_str()).await.unwrap_or(false) {
            return Err(Refusal::NoSuchSession(format!("No session '{id}' known")));
        }
        self.act(format!("terminate {id}")).map_err(|error| Refusal::ZBus(error.into()))
    }
}

impl FakeManager {
    fn act(&self, call: String) -> fdo::Result<()> {
        let mut logbook = self.0.lock().expect("a logbook");
        if logbook.denies {
            return Err(fdo::Error::AccessDenied("Permission denied".into()));
        }
        logbook.calls.push(call);
        Ok(())
    }
}

#[interface(name = "org.freedesktop.login1.Session")]
impl FakeSession {
    #[zbus(property)]
    fn id(&self) -> &str {
        &self.id
    }
    #[zbus(property)]
    fn name(&self) -> &str {
        "alice"
    }
    #[zbus(property)]
    fn class(&self) -> &str {
        &self.class
    }
    #[zbus(property)]
    fn state(&self) -> &str {
        &self.state
    }
    #[zbus(property)]
    fn service(&self) -> &str {
        "sshd"
    }
    #[zbus(property)]
    fn timestamp(&self) -> u64 {
        self.began_us
    }
}

/// A provider and the logind it speaks to.
struct Setting {
    provider: Logind,
    logbook: Shared,
    /// The stand-in's ends, one for each connection that the provider made.
    servers: Arc<Mutex<Vec<Connection>>>,
}

/// A logind with these sessions: id, class and state. One whose class is empty is listed, and gone when looked at.
fn logind(sessions: &[(&'static str, &'static str, &'static str)]) -> Setting {
    let listed = sessions.iter().map(|(id, _, _)| ((*id).to_owned(), "alice".to_owned())).collect();
    let logbook: Shared = Arc::new(Mutex::new(Logbook { listed, ..Logbook::default() }));
    let servers: Arc<Mutex<Vec<Connection>>> = Arc::default();
    let sessions = sessions.to_vec();
    let (log, kept) = (Arc::clone(&logbook), Arc::clone(&servers));
    let connect = move || {
        let (sessions, log, kept) = (sessions.clone(), Arc::clone(&log), Arc::clone(&kept));
        let made: futures::future::BoxFuture<'static, zbus::Result<Connection>> = Box::pin(async move {
            let (here, there) = std::os::unix::net::UnixStream::pair()?;
            let mut server = connection::Builder::unix_stream(there)
                .server(Guid::generate())
                .p2p()
                .serve_at(login1::MANAGER_PATH, FakeManager(log));
            for (id, class, state) in sessions.into_iter().filter(|(_, class, _)| !class.is_empty()) {
                let session =
                    FakeSession { id: id.into(), class: class.into(), state: state.into(), began_us: BEGAN };
                server = server.serve_at(login1::session_path(id), session);
            }
            let client = connection::Builder::unix_stream(here).p2p();
            let (server, client) = futures::future::try_join(server.build(), client.build()).await?;
            kept.lock().expect("servers").push(server);
            Ok(client)
        });
        made
    };
    let host = "h1".parse().expect("a host name");
    let provider = Logind::over(Bus::over(Box::new(connect)), BOOT.into(), &host).expect("a provider");
    Setting { provider, logbook, servers }
}

impl Setting {
    async fn list(&self) -> Result<SessionList, Error> {
        self.provider.list_sessions(&self.provider.id, BUDGET).await
    }

    async fn end(&self, key: &SessionKey, how: EndMode) -> Result<EndReply, Error> {
        self.provider.end_session(&self.provider.id, key, how, BUDGET).await
    }

    fn calls(&self) -> Vec<String> {
        self.logbook.lock().expect("a logbook").calls.clone()
    }
}

fn key(id: &str) -> SessionKey {
    SessionKey { boot: BOOT.into(), id: id.into(), began_us: BEGAN }
}

#[tokio::test]
async fn the_machine_itself_is_the_one_guest() {
    let guests = logind(&[]).provider.discover().await.expect("guests");
    assert_eq!(guests.len(), 1);
    assert!(guests[0].is_host);
    assert_eq!((guests[0].id.as_str(), guests[0].name.as_str()), ("h1/logind/self", "h1"));
    let stranger = "h1/logind/other".parse().expect("an id");
    let error = logind(&[]).provider.list_sessions(&stranger, BUDGET).await.expect_err("unknown");
    assert_eq!(error.code, StatusCode::VmUnknown);
}

#[tokio::test]
async fn people_are_listed_and_service_managers_are_not() {
    let sessions = [("3", "user", "active"), ("4", "manager", "active"), ("c5", "user-light", "closing")];
    let list = logind(&sessions).list().await.expect("a list");
    let seen: Vec<_> = list.sessions.iter().map(|it| (it.key.clone(), it.state, it.kind.as_str())).collect();
    assert_eq!(seen, [(key("3"), SessionState::Active, "ssh"), (key("c5"), SessionState::Closing, "ssh")]);
}

#[tokio::test]
async fn a_session_that_vanishes_while_it_is_looked_at_is_left_out() {
    let list = logind(&[("3", "user", "active"), ("4", "", "")]).list().await.expect("a list");
    assert_eq!(list.sessions.len(), 1);
}

#[tokio::test]
async fn hang_up_comes_first_then_terminate_and_force_kills() {
    let it = logind(&[("3", "user", "active")]);
    assert_eq!(it.end(&key("3"), EndMode::Graceful { attempt: 0 }).await, Ok(EndReply::Asked));
    assert_eq!(it.end(&key("3"), EndMode::Graceful { attempt: 1 }).await, Ok(EndReply::Asked));
    assert_eq!(it.end(&key("3"), EndMode::Force).await, Ok(EndReply::Asked));
    assert_eq!(it.calls(), ["kill 3 all 1", "kill 3 all 15", "terminate 3", "kill 3 all 9"]);
}

#[tokio::test]
async fn another_session_under_the_same_id_is_left_alone() {
    let it = logind(&[("3", "user", "active")]);
    let later = SessionKey { began_us: BEGAN + 1, ..key("3") };
    let rebooted = SessionKey { boot: "boot:2".into(), ..key("3") };
    assert_eq!(it.end(&later, EndMode::Force).await, Ok(EndReply::NotThatSession));
    assert_eq!(it.end(&rebooted, EndMode::Force).await, Ok(EndReply::NotThatSession));
    assert!(it.calls().is_empty());
}

#[tokio::test]
async fn a_session_that_is_gone_is_gone() {
    let it = logind(&[]);
    assert_eq!(it.end(&key("3"), EndMode::Graceful { attempt: 0 }).await, Ok(EndReply::Gone));
}

#[tokio::test]
async fn without_the_right_ending_is_denied_and_listing_is_not() {
    let it = logind(&[("3", "user", "active")]);
    it.logbook.lock().expect("a logbook").denies = true;
    assert_eq!(it.list().await.expect("a list").sessions.len(), 1);
    let error = it.end(&key("3"), EndMode::Graceful { attempt: 0 }).await.expect_err("denied");
    assert_eq!(error.code, StatusCode::AccessDenied);
}

#[tokio::test]
async fn a_lost_bus_is_connected_to_again() {
    let it = logind(&[("3", "user", "active")]);
    assert_eq!(it.list().await.expect("a list").sessions.len(), 1);
    let server = it.servers.lock().expect("servers").pop().expect("a server");
    let client = it.provider.bus.connection().await.expect("the connection");
    server.close().await.expect("closed");
    tokio::time::timeout(BUDGET, client.closed()).await.expect("noticed");
    assert_eq!(it.list().await.expect("a list").sessions.len(), 1);
}

#[tokio::test]
async fn a_machine_without_a_bus_is_unlistable() {
    let bus = Bus::over(Box::new(|| Box::pin(async { Err(zbus::Error::InvalidReply) })));
    let host = "h1".parse().expect("a host name");
    let provider = Logind::over(bus, BOOT.into(), &host).expect("a provider");
    assert!(provider.list_sessions(&provider.id, BUDGET).await.expect_err("no bus").unlistable);
}

#[tokio::test]
async fn a_bus_that_never_answers_is_timed_out() {
    let bus = Bus::over(Box::new(|| Box::pin(std::future::pending())));
    let host = "h1".parse().expect("a host name");
    let provider = Logind::over(bus, BOOT.into(), &host).expect("a provider");
    let short = Duration::from_millis(20);
    let error = provider.list_sessions(&provider.id, short).await.expect_err("silence");
    assert_eq!(error.code, StatusCode::TimedOut);
}

#[test]
fn this_machines_boot_can_be_told() {
    let boot = boot().expect("a boot");
    let (id, began) = boot.split_once(':').expect("two parts");
    assert_eq!(id.len(), 36);
    assert!(began.bytes().all(|byte| byte.is_ascii_digit()) && !began.is_empty());
}
