//! The driver on a bad disk and with bad providers; on good days the tests of the whole agent try it.

use super::*;
use crate::ledger::tests::BadDisk;
use crate::provider::{
    DrainOrder, DrainReply, EndMode, EndReply, Error, Look, NoticeReply, Provider, SessionList, UndrainReply,
};
use async_trait::async_trait;
use curfew_agent_core::Settings;
use curfew_types::agent::{Finding, Order, OrderedTask, SafeguardsMark};
use curfew_types::{
    Guest, GuestId, Logoff, OnlyIf, OperationId, OsFamily, Outcome, PowerState, SessionKey, StatusCode,
};
use futures::StreamExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

const PATIENCE: Duration = Duration::from_secs(20);

/// One guest without anybody on it, and how often it was asked.
#[derive(Default)]
struct Empty {
    asked: AtomicUsize,
    panics: bool,
}

#[async_trait]
impl Provider for Empty {
    fn name(&self) -> &'static str {
        "empty"
    }

    async fn discover(&self) -> Result<Vec<Guest>, Error> {
        Ok(vec![Guest {
            id: id(),
            name: "g1".into(),
            provider: "empty".into(),
            os: OsFamily::Linux,
            power: PowerState::Running,
            is_host: false,
            labels: Default::default(),
        }])
    }

    async fn list_sessions(&self, _: &GuestId, _: Look, _: Duration) -> Result<SessionList, Error> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics, "on purpose");
        Ok(SessionList { boot: "b1".into(), ..SessionList::default() })
    }

    async fn notify(
        &self,
        _: &GuestId,
        _: &[SessionKey],
        _: &str,
        _: Duration,
    ) -> Result<Vec<NoticeReply>, Error> {
        unreachable!("nobody is told anything")
    }

    async fn drain(&self, _: &GuestId, _: &DrainOrder, _: Duration) -> Result<DrainReply, Error> {
        unreachable!("nobody drains")
    }

    async fn undrain(&self, _: &GuestId, _: Duration) -> Result<UndrainReply, Error> {
        unreachable!("nobody drains")
    }

    async fn end_session(
        &self,
        _: &GuestId,
        _: &SessionKey,
        _: EndMode,
        _: OnlyIf,
        _: Duration,
    ) -> Result<EndReply, Error> {
        unreachable!("nobody is logged on")
    }
}

fn id() -> GuestId {
    "h1/empty/g1".parse().unwrap()
}

/// A driver with this provider and this disk, to which in one turn came a welcome, an order, and the question for
/// another hello.
struct Driven {
    inputs_tx: mpsc::Sender<Input>,
    stop_tx: watch::Sender<Stop>,
    uplink: Arc<Uplink>,
    hello_rx: oneshot::Receiver<Box<Hello>>,
    task: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

async fn drive(provider: &Arc<Empty>, disk: &BadDisk) -> Driven {
    let dir = tempfile::tempdir().unwrap();
    let inventory = Inventory::new(vec![Arc::clone(provider) as Arc<dyn Provider>]);
    inventory.discover().await;
    let core = Core::recover(clock::now(), Settings::default(), "boot".into(), 1, Vec::new());
    let (inputs_tx, inputs_rx) = mpsc::channel(INPUTS_DEPTH);
    let stop_tx = watch::Sender::new(Stop::No);
    let inputs = (inputs_tx.clone(), inputs_rx);
    let driver = Driver::new(core, disk.ledger(dir.path()), inventory, inputs, stop_tx.subscribe());
    let uplink = Uplink::new(curfew_proto::agent::v1::Hello::default());
    let welcomed =
        Input::Welcomed { epoch: 1, acknowledged: 0, whole_inventory: false, uplink: Arc::clone(&uplink) };
    inputs_tx.send(welcomed).await.unwrap();
    let order = Order {
        operation: OperationId::from_number(7).unwrap(),
        epoch: 1,
        remaining_ms: 60_000,
        task_timeout_ms: 30_000,
        required_capabilities: Vec::new(),
        logoff: Logoff::default(),
        safeguards: SafeguardsMark::default(),
        tasks: vec![OrderedTask { index: 0, guest: id() }],
    };
    inputs_tx.send(Input::Happened(Box::new(Event::Ordered(order.into())))).await.unwrap();
    let (hello_tx, hello_rx) = oneshot::channel();
    inputs_tx.send(Input::Greet(hello_tx)).await.unwrap();
    Driven { inputs_tx, stop_tx, uplink, hello_rx, task: tokio::spawn(driver.run()), _dir: dir }
}

/// The first finding that is said.
async fn finding(uplink: &Arc<Uplink>) -> Finding {
    use curfew_proto::agent::v1::attach_request::Message;
    let mut messages = uplink.messages();
    let search = async {
        loop {
            match messages.next().await.and_then(|message| message.message) {
                Some(Message::Report(report)) if !report.findings.is_empty() => {
                    return report.findings[0].clone().try_into().unwrap();
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("no finding came")
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_done_and_the_agent_goes_on_when_there_is_room() {
    let (provider, disk) = (Arc::new(Empty::default()), BadDisk::default());
    disk.set_room(Some(10));
    let driven = drive(&provider, &disk).await;

    // The driver holds the turn back, so what it had queued is taken and nothing more is.
    while driven.inputs_tx.capacity() < INPUTS_DEPTH {
        tokio::task::yield_now().await;
    }
    let first = driven.uplink.messages().next().await;
    assert!(first.is_some(), "the hello");
    assert!(driven.uplink.messages().next().now_or_never().is_none(), "something was said");
    assert_eq!(provider.asked.load(Ordering::SeqCst), 0, "a guest was asked");

    disk.set_room(None);
    assert_eq!(finding(&driven.uplink).await.verdict.outcome, Outcome::NothingToDo);
    assert!(disk.text().lines().all(|line| line.ends_with('}')), "{}", disk.text());
}

#[tokio::test]
async fn a_hello_tells_only_what_is_durable() {
    let (provider, disk) = (Arc::new(Empty::default()), BadDisk::default());
    disk.set_room(Some(10));
    let mut driven = drive(&provider, &disk).await;
    while driven.inputs_tx.capacity() < INPUTS_DEPTH {
        tokio::task::yield_now().await;
    }
    assert!(driven.hello_rx.try_recv().is_err(), "it told of what the ledger does not hold");

    disk.set_room(None);
    let hello = tokio::time::timeout(PATIENCE, driven.hello_rx).await.expect("no hello came").unwrap();
    // The epoch, and the order.
    assert!(hello.ledger.counter >= 2);
    assert!(disk.text().contains("accepted"));
}

#[tokio::test]
async fn on_a_full_disk_the_agent_still_stops() {
    let (provider, disk) = (Arc::new(Empty::default()), BadDisk::default());
    disk.set_room(Some(10));
    let driven = drive(&provider, &disk).await;
    while driven.inputs_tx.capacity() < INPUTS_DEPTH {
        tokio::task::yield_now().await;
    }
    driven.stop_tx.send_replace(Stop::By(Instant::now()));
    tokio::time::timeout(PATIENCE, driven.task).await.expect("it did not stop").unwrap();
    assert_eq!(provider.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_provider_that_panics_is_an_answer() {
    let (provider, disk) = (Arc::new(Empty { panics: true, ..Empty::default() }), BadDisk::default());
    let driven = drive(&provider, &disk).await;
    let finding = finding(&driven.uplink).await;
    assert_eq!(finding.verdict.code, StatusCode::Unexpected);
    assert!(!driven.task.is_finished(), "the driver goes on");
}

#[tokio::test]
async fn a_session_is_not_ended_when_the_ledger_took_longer_than_the_call_had() {
    let provider = Arc::new(Empty::default());
    let inventory = Inventory::new(vec![Arc::clone(&provider) as Arc<dyn Provider>]);
    inventory.discover().await;
    let session = SessionKey { boot: "b1".into(), id: "1".into(), began_us: 1 };
    let how = EndMode::Graceful { attempt: 0 };
    let only_if = curfew_types::OnlyIf::default();
    let request = curfew_agent_core::call::Request::End { session: session.into(), how, only_if };
    // The fake provider panics if it is asked.
    let event = ask::answer(inventory, 5, id(), request, clock::mono()).await;
    assert_eq!(event, Event::Ended { call: 5, result: Ok(EndReply::TooLate) });
}
