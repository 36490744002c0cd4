//! A stand-in for logind and systemd, over a pair of sockets, and a directory that stands for the machine's root.

use super::super::*;
use crate::provider::login1;
use crate::provider::login1::root::{Owner, open_dir};
use std::collections::HashMap;
use std::sync::Mutex;
use tokio::sync::Semaphore;
use zbus::object_server::ObjectServer;
use zbus::{Connection, Guid, OwnedObjectPath, OwnedVariant, connection, fdo, interface};

pub(super) const BUDGET: Duration = Duration::from_secs(30);
pub(super) const BOOT: &str = "boot:1";
pub(super) const BEGAN: u64 = 1_700_000_000_000_000;

/// What the stand-in was told to do, and how it answers.
#[derive(Default)]
pub(super) struct Logbook {
    pub(super) calls: Vec<String>,
    listed: Vec<(String, String)>,
    pub(super) denies: bool,
    /// A timer of that name is there already, so many times more.
    pub(super) timers: u32,
    /// Whether there is a systemd.
    pub(super) has_systemd: bool,
}

pub(super) type Shared = Arc<Mutex<Logbook>>;

struct FakeManager(Shared);

/// A session as the stand-in knows it. One without a class is listed, and gone when looked at.
#[derive(Clone, Default)]
pub(super) struct FakeSession {
    pub(super) id: &'static str,
    pub(super) class: &'static str,
    pub(super) state: &'static str,
    pub(super) kind: &'static str,
    pub(super) tty: &'static str,
    pub(super) seat: &'static str,
    pub(super) idle_since_us: u64,
    pub(super) uid: u32,
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
        self.id
    }
    #[zbus(property)]
    fn name(&self) -> &str {
        "alice"
    }
    #[zbus(property)]
    fn class(&self) -> &str {
        self.class
    }
    #[zbus(property)]
    fn state(&self) -> &str {
        self.state
    }
    #[zbus(property)]
    fn service(&self) -> &str {
        "sshd"
    }
    #[zbus(property, name = "Type")]
    fn kind(&self) -> &str {
        self.kind
    }
    #[zbus(property, name = "TTY")]
    fn tty(&self) -> &str {
        self.tty
    }
    #[zbus(property)]
    fn scope(&self) -> String {
        format!("session-{}.scope", self.id)
    }
    #[zbus(property)]
    fn seat(&self) -> (String, OwnedObjectPath) {
        (self.seat.into(), OwnedObjectPath::try_from("/").expect("a path"))
    }
    #[zbus(property)]
    fn user(&self) -> (u32, OwnedObjectPath) {
        (self.uid, OwnedObjectPath::try_from("/").expect("a path"))
    }
    #[zbus(property)]
    fn timestamp(&self) -> u64 {
        BEGAN
    }
    #[zbus(property)]
    fn idle_since_hint(&self) -> u64 {
        self.idle_since_us
    }
}

struct FakeScope(&'static str);

#[interface(name = "org.freedesktop.systemd1.Scope")]
impl FakeScope {
    #[zbus(property)]
    fn control_group(&self) -> String {
        format!("/user.slice/session-{}.scope", self.0)
    }
}

struct FakeSystemd(Shared);

type Properties = Vec<(String, OwnedVariant)>;

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
enum SystemdRefusal {
    #[zbus(error)]
    ZBus(zbus::Error),
    UnitExists(String),
    NoSuchUnit(String),
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl FakeSystemd {
    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: Properties,
        with: Vec<(String, Properties)>,
    ) -> Result<OwnedObjectPath, SystemdRefusal> {
        let mut logbook = self.0.lock().expect("a logbook");
        if logbook.timers > 0 {
            return Err(SystemdRefusal::UnitExists(format!("Unit {name} was already loaded")));
        }
        logbook.timers = 1;
        let all: HashMap<_, _> = properties.into_iter().collect();
        let after = all.get("OnActiveSec").expect("a time").clone();
        let after = u64::try_from(after).expect("microseconds");
        let runs: Vec<&str> = with.iter().map(|(name, _)| name.as_str()).collect();
        logbook.calls.push(format!("timer {name} {mode} {after} {}", runs.join(" ")));
        Ok(OwnedObjectPath::try_from("/job/1").expect("a path"))
    }

    fn stop_unit(&self, name: &str, mode: &str) -> Result<OwnedObjectPath, SystemdRefusal> {
        let mut logbook = self.0.lock().expect("a logbook");
        if !name.ends_with(".timer") || logbook.timers == 0 {
            return Err(SystemdRefusal::NoSuchUnit(format!("Unit {name} not loaded.")));
        }
        logbook.timers -= 1;
        logbook.calls.push(format!("stop {name} {mode}"));
        Ok(OwnedObjectPath::try_from("/job/2").expect("a path"))
    }
}

/// A provider, the logind it speaks to, and the machine's files.
pub(super) struct Setting {
    pub(super) provider: Logind,
    pub(super) logbook: Shared,
    pub(super) files: tempfile::TempDir,
    /// The stand-in's ends, one for each connection that the provider made.
    pub(super) servers: Arc<Mutex<Vec<Connection>>>,
}

/// A logind with these sessions: id, class and state.
pub(super) fn logind(sessions: &[(&'static str, &'static str, &'static str)]) -> Setting {
    let session =
        |&(id, class, state)| FakeSession { id, class, state, kind: "tty", ..FakeSession::default() };
    machine(sessions.iter().map(session).collect())
}

/// A machine with these sessions.
pub(super) fn machine(sessions: Vec<FakeSession>) -> Setting {
    let listed = sessions.iter().map(|it| (it.id.to_owned(), "alice".to_owned())).collect();
    let logbook = Logbook { listed, has_systemd: true, ..Logbook::default() };
    let logbook: Shared = Arc::new(Mutex::new(logbook));
    let servers: Arc<Mutex<Vec<Connection>>> = Arc::default();
    let (log, kept) = (Arc::clone(&logbook), Arc::clone(&servers));
    let connect = move || {
        let (sessions, log, kept) = (sessions.clone(), Arc::clone(&log), Arc::clone(&kept));
        let made: futures::future::BoxFuture<'static, zbus::Result<Connection>> = Box::pin(async move {
            let (here, there) = std::os::unix::net::UnixStream::pair()?;
            let client = connection::Builder::unix_stream(here).p2p();
            let server = serve(there, sessions, log);
            let (server, client) = futures::future::try_join(server, client.build()).await?;
            kept.lock().expect("servers").push(server);
            Ok(client)
        });
        made
    };
    let files = tempfile::tempdir().expect("a folder");
    let provider = over(Bus::over(Box::new(connect)), files.path());
    Setting { provider, logbook, files, servers }
}

/// A provider over this bus, whose machine's root is this directory.
pub(super) fn over(bus: Bus, root: &std::path::Path) -> Logind {
    let dir = open_dir(root).expect("a root");
    let root = Root::over(dir, Owner::Host, Arc::new(Semaphore::new(1)));
    let host = "h1".parse().expect("a host name");
    Logind::over(bus, root, BOOT.into(), &host).expect("a provider")
}

async fn serve(
    stream: std::os::unix::net::UnixStream,
    sessions: Vec<FakeSession>,
    log: Shared,
) -> zbus::Result<Connection> {
    let has_systemd = log.lock().expect("a logbook").has_systemd;
    let mut server = connection::Builder::unix_stream(stream)
        .server(Guid::generate())
        .p2p()
        .serve_at(login1::MANAGER_PATH, FakeManager(Arc::clone(&log)));
    if has_systemd {
        server = server.serve_at("/org/freedesktop/systemd1", FakeSystemd(log));
    }
    for session in sessions.into_iter().filter(|session| !session.class.is_empty()) {
        let scope = format!("/org/freedesktop/systemd1/unit/session_2d{}_2escope", session.id);
        server = server.serve_at(scope, FakeScope(session.id));
        server = server.serve_at(login1::session_path(session.id), session);
    }
    server.build().await
}

impl Setting {
    pub(super) async fn list(&self) -> Result<SessionList, Error> {
        self.provider.list_sessions(&self.provider.id, Look::default(), BUDGET).await
    }

    pub(super) async fn end(&self, key: &SessionKey, how: EndMode) -> Result<EndReply, Error> {
        self.end_if(key, how, OnlyIf::default()).await
    }

    pub(super) async fn end_if(
        &self,
        key: &SessionKey,
        how: EndMode,
        only_if: OnlyIf,
    ) -> Result<EndReply, Error> {
        self.provider.end_session(&self.provider.id, key, how, only_if, BUDGET).await
    }

    pub(super) async fn notify(&self, keys: &[SessionKey], text: &str) -> Result<Vec<NoticeReply>, Error> {
        self.provider.notify(&self.provider.id, keys, text, BUDGET).await
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.logbook.lock().expect("a logbook").calls.clone()
    }

    /// Puts a file into the machine.
    pub(super) fn put(&self, path: &str, content: &str) {
        let path = self.files.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, content).expect("written");
    }
}

pub(super) fn key(id: &str) -> SessionKey {
    SessionKey { boot: BOOT.into(), id: id.into(), began_us: BEGAN }
}
