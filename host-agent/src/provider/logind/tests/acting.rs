//! Ending, telling and draining.

use super::super::*;
use super::fake::{BEGAN, FakeSession, Setting, key, logind, machine};
use curfew_types::StateFilter;
use std::collections::HashMap;
use std::os::unix::net::UnixListener;
use std::sync::Mutex;
use zbus::{Guid, OwnedVariant, connection, interface};

const POLITE: EndMode = EndMode::Graceful { attempt: 0 };

#[tokio::test]
async fn hang_up_comes_first_then_terminate_and_force_kills() {
    let it = logind(&[("3", "user", "active")]);
    assert_eq!(it.end(&key("3"), POLITE).await, Ok(EndReply::Asked));
    assert_eq!(it.end(&key("3"), EndMode::Graceful { attempt: 1 }).await, Ok(EndReply::Asked));
    assert_eq!(it.end(&key("3"), EndMode::Force).await, Ok(EndReply::Asked));
    assert_eq!(it.calls(), ["kill 3 all 1", "kill 3 all 15", "terminate 3", "kill 3 all 9"]);
}

#[tokio::test]
async fn another_session_under_the_same_id_is_left_alone() {
    let it = logind(&[("3", "user", "active"), ("4", "manager", "active")]);
    let later = SessionKey { began_us: BEGAN + 1, ..key("3") };
    let rebooted = SessionKey { boot: "boot:2".into(), ..key("3") };
    for other in [later, rebooted, key("4")] {
        assert_eq!(it.end(&other, EndMode::Force).await, Ok(EndReply::NotThatSession), "{other:?}");
    }
    assert!(it.calls().is_empty());
}

#[tokio::test]
async fn a_session_that_is_gone_is_gone() {
    let it = logind(&[]);
    assert_eq!(it.end(&key("3"), POLITE).await, Ok(EndReply::Gone));
    assert_eq!(it.notify(&[key("3")], "soon").await, Ok(vec![NoticeReply::Gone]));
}

#[tokio::test]
async fn somebody_who_came_back_to_a_session_keeps_it() {
    let it = logind(&[("3", "user", "active"), ("4", "user", "closing")]);
    let away = OnlyIf { state: Some(StateFilter::Disconnected), ..OnlyIf::default() };
    assert_eq!(it.end_if(&key("3"), POLITE, away).await, Ok(EndReply::NoLongerMatches));
    assert!(it.calls().is_empty());
    assert_eq!(it.end_if(&key("4"), POLITE, away).await, Ok(EndReply::Asked), "it is ending already");
}

#[tokio::test]
async fn a_session_that_was_used_again_is_left() {
    let used = FakeSession { id: "3", class: "user", state: "active", kind: "tty", ..FakeSession::default() };
    let long_ago = FakeSession { id: "4", idle_since_us: BEGAN, ..used.clone() };
    let it = machine(vec![used, long_ago]);
    let idle = OnlyIf { idle_at_least_ms: Some(3_600_000), ..OnlyIf::default() };
    assert_eq!(it.end_if(&key("3"), POLITE, idle).await, Ok(EndReply::NoLongerMatches), "nobody can tell");
    assert_eq!(it.end_if(&key("4"), POLITE, idle).await, Ok(EndReply::Asked));
}

#[tokio::test]
async fn a_session_without_terminal_or_desktop_is_told_nothing_and_that_is_said() {
    let it = logind(&[("3", "user", "active")]);
    let replies = it.notify(&[key("3"), key("4")], "soon").await.expect("replies");
    let nowhere = NoticeReply::NotShown("it has no terminal and no desktop".into());
    assert_eq!(replies, [nowhere, NoticeReply::Gone]);
}

#[tokio::test]
async fn what_is_no_terminal_is_not_written_to() {
    let tty = FakeSession { id: "3", class: "user", state: "active", kind: "tty", ..FakeSession::default() };
    let it = machine(vec![
        FakeSession { tty: "pts/7", ..tty.clone() },
        FakeSession { id: "4", tty: "../etc/motd", ..tty },
    ]);
    it.put("dev/pts/7", "a file");
    it.put("etc/motd", "a file");
    let replies = it.notify(&[key("3"), key("4")], "soon").await.expect("replies");
    let [NoticeReply::NotShown(file), NoticeReply::NotShown(path)] = replies.as_slice() else {
        panic!("nothing was shown: {replies:?}");
    };
    assert!(
        file.contains("is not a terminal") && path.contains("is not the name of a terminal"),
        "{replies:?}"
    );
    for path in ["dev/pts/7", "etc/motd"] {
        assert_eq!(std::fs::read_to_string(it.files.path().join(path)).expect("it is there"), "a file");
    }
}

/// A user's bus, as far as a notification needs one: it says hello, and writes down what it is to show.
struct FakeBus;
struct FakeDesktop(Arc<Mutex<Vec<String>>>);

#[interface(name = "org.freedesktop.DBus")]
impl FakeBus {
    fn hello(&self) -> String {
        ":1.1".into()
    }
}

#[interface(name = "org.freedesktop.Notifications")]
impl FakeDesktop {
    #[expect(clippy::too_many_arguments, reason = "these are the interface's")]
    fn notify(
        &self,
        name: &str,
        _replaces: u32,
        _icon: &str,
        title: &str,
        body: &str,
        _actions: Vec<String>,
        hints: HashMap<String, OwnedVariant>,
        _expires: i32,
    ) -> u32 {
        let urgent = hints.contains_key("urgency");
        self.0.lock().expect("shown").push(format!("{name}|{title}|{body}|{urgent}"));
        1
    }
}

fn desktop() -> Setting {
    let uid = rustix::process::geteuid().as_raw();
    let tty = FakeSession { id: "3", class: "user", state: "active", tty: "tty2", ..FakeSession::default() };
    machine(vec![FakeSession { kind: "wayland", seat: "seat0", uid, ..tty }])
}

#[tokio::test]
async fn a_desktop_shows_it_as_a_notification_of_its_user() {
    let it = desktop();
    let folder = it.files.path().join(format!("run/user/{}", rustix::process::geteuid().as_raw()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let listener = UnixListener::bind(folder.join("bus")).expect("a bus");
    listener.set_nonblocking(true).expect("a listener");
    let listener = tokio::net::UnixListener::from_std(listener).expect("a listener");
    let shown: Arc<Mutex<Vec<String>>> = Arc::default();
    let desktop = FakeDesktop(Arc::clone(&shown));
    let bus = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let stream = stream.into_std().expect("a stream");
        let bus = connection::Builder::unix_stream(stream).server(Guid::generate()).p2p();
        let bus = bus.serve_at("/org/freedesktop/DBus", FakeBus);
        bus.serve_at("/org/freedesktop/Notifications", desktop).build().await.expect("a bus")
    });
    let replies = it.notify(&[key("3")], "Save <all> & go").await;
    assert_eq!(replies, Ok(vec![NoticeReply::Shown]));
    assert_eq!(*shown.lock().expect("shown"), ["Curfew|Curfew|Save &lt;all&gt; &amp; go|true"]);
    drop(bus.await.expect("it was connected to"));
}

#[tokio::test]
async fn a_desktop_without_a_bus_is_a_reason_and_its_own_terminal_does_not_count() {
    let replies = desktop().notify(&[key("3")], "soon").await.expect("replies");
    assert!(matches!(&replies[0], NoticeReply::NotShown(why) if why.contains("desktop")), "{replies:?}");
}

fn drained() -> Setting {
    let it = logind(&[]);
    it.put("etc/pam.d/sshd", "account required pam_nologin.so");
    std::fs::create_dir(it.files.path().join("run")).expect("run");
    it
}

impl Setting {
    async fn drain(&self, for_ms: u64) -> Result<DrainReply, Error> {
        let order = DrainOrder { for_ms, text: "Patching".into() };
        self.provider.drain(&self.provider.id, &order, super::BUDGET).await
    }

    async fn undrain(&self) -> Result<UndrainReply, Error> {
        self.provider.undrain(&self.provider.id, super::BUDGET).await
    }

    fn nologin(&self) -> Option<String> {
        std::fs::read_to_string(self.files.path().join("run/nologin")).ok()
    }
}

#[tokio::test]
async fn a_drain_is_a_file_and_a_timer_and_both_are_lifted() {
    let it = drained();
    assert_eq!(it.drain(60_000).await, Ok(DrainReply::InForce));
    let said = it.nologin().expect("a file");
    assert!(said.ends_with(" UTC.\nPatching\n-- curfew\n"), "{said}");
    assert_eq!(it.calls(), ["timer curfew-undrain.timer replace 60000000 curfew-undrain.service"]);
    assert_eq!(it.undrain().await, Ok(UndrainReply::Lifted));
    assert_eq!((it.nologin(), it.calls()[1].as_str()), (None, "stop curfew-undrain.timer replace"));
    assert_eq!(it.undrain().await, Ok(UndrainReply::Lifted), "nothing is there to lift");
}

#[tokio::test]
async fn a_new_drain_replaces_the_timer_of_the_old_one() {
    let it = drained();
    for for_ms in [60_000, 120_000] {
        assert_eq!(it.drain(for_ms).await, Ok(DrainReply::InForce));
    }
    let (first, stop) = ("timer curfew-undrain.timer replace 60000000", "stop curfew-undrain.timer replace");
    let calls = it.calls();
    assert!(calls[0].starts_with(first) && calls[1] == stop, "{calls:?}");
    assert!(calls[2].starts_with("timer curfew-undrain.timer replace 120000000"), "{calls:?}");
    assert_eq!(calls.len(), 3);
}

#[tokio::test]
async fn without_a_systemd_a_drain_is_left_to_the_agent_to_end() {
    let it = drained();
    it.logbook.lock().expect("a logbook").has_systemd = false;
    assert_eq!(it.drain(60_000).await, Ok(DrainReply::InForce));
    assert!(it.nologin().is_some() && it.calls().is_empty());
    assert_eq!(it.undrain().await, Ok(UndrainReply::Lifted));
}

#[tokio::test]
async fn what_somebody_else_refuses_logons_with_stays() {
    let it = drained();
    it.put("run/nologin", "down\n");
    assert_eq!(it.drain(60_000).await, Ok(DrainReply::SomebodyElses));
    assert_eq!(it.undrain().await, Ok(UndrainReply::SomebodyElses));
    assert_eq!(it.nologin().as_deref(), Some("down\n"));
}

#[tokio::test]
async fn a_machine_that_heeds_no_nologin_has_no_drain() {
    let it = logind(&[]);
    let error = it.drain(60_000).await.expect_err("nothing heeds it");
    assert_eq!(error.code, StatusCode::AdditionsFeatureNotAvail);
    assert!(!error.unlistable && it.calls().is_empty());
}
