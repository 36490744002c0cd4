//! What a stream hears of the inventory, and that a bad provider hurts no other.

use super::*;
use crate::provider::{
    DrainOrder, DrainReply, EndMode, EndReply, Error, Look, NoticeReply, SessionList, UndrainReply,
};
use async_trait::async_trait;
use curfew_types::{OnlyIf, OsFamily, PowerState, SessionKey};
use futures::StreamExt as _;
use wire::attach_request::Message;

/// What a provider does when it is asked for its guests.
enum Kind {
    Lists(Mutex<u32>),
    Panics,
    Hangs,
}

#[async_trait]
impl Provider for Kind {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn discover(&self) -> Result<Vec<Guest>, Error> {
        match self {
            Kind::Lists(count) => Ok((0..*count.lock().unwrap()).map(guest).collect()),
            Kind::Panics => panic!("on purpose"),
            Kind::Hangs => std::future::pending().await,
        }
    }

    async fn list_sessions(&self, _: &GuestId, _: Look, _: Duration) -> Result<SessionList, Error> {
        unreachable!("nobody asks")
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
        unreachable!("nobody asks")
    }
}

fn guest(number: u32) -> Guest {
    Guest {
        id: format!("h1/fake/{number}").parse().unwrap(),
        name: number.to_string().into(),
        provider: "fake".into(),
        os: OsFamily::Linux,
        power: PowerState::Running,
        is_host: false,
        labels: Default::default(),
    }
}

/// The inventory messages that wait on this stream.
async fn heard(uplink: &Arc<Uplink>) -> Vec<wire::Inventory> {
    let mut messages = uplink.messages();
    let mut heard = Vec::new();
    while let Some(Some(message)) = messages.next().now_or_never() {
        match message.message {
            Some(Message::Inventory(inventory)) => heard.push(inventory),
            Some(Message::Hello(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    heard
}

fn uplink() -> Arc<Uplink> {
    Uplink::new(wire::Hello::default())
}

#[tokio::test]
async fn a_large_inventory_goes_in_messages_of_some_kilobytes_and_the_last_has_the_digest() {
    let inventory = Inventory::new(vec![Arc::new(Kind::Lists(Mutex::new(2500)))]);
    inventory.discover().await;
    let uplink = uplink();

    inventory.attach(&uplink, inventory.digest(), true);

    let heard = heard(&uplink).await;
    assert_eq!(heard.iter().map(|some| some.upserts.len()).sum::<usize>(), 2500);
    let (last, others) = heard.split_last().expect("messages");
    assert!(others[0].replace && others[1..].iter().all(|some| !some.replace));
    assert!(others.iter().all(|some| some.digest == 0) && last.digest == inventory.digest());
    let full = |some: &wire::Inventory| (MESSAGE_BYTES..MESSAGE_BYTES + 1024).contains(&some.encoded_len());
    assert!(others.iter().all(full) && last.encoded_len() < MESSAGE_BYTES + 1024);
}

#[tokio::test]
async fn an_inventory_that_the_controller_knows_is_not_sent() {
    let inventory = Inventory::new(vec![Arc::new(Kind::Lists(Mutex::new(3)))]);
    inventory.discover().await;
    let uplink = uplink();
    inventory.attach(&uplink, inventory.digest(), false);
    assert!(heard(&uplink).await.is_empty());
}

#[tokio::test]
async fn an_inventory_that_changed_since_the_hello_is_sent_unasked() {
    let inventory = Inventory::new(vec![Arc::new(Kind::Lists(Mutex::new(3)))]);
    let told = inventory.digest();
    inventory.discover().await;
    let uplink = uplink();
    inventory.attach(&uplink, told, false);
    assert_eq!(heard(&uplink).await[0].upserts.len(), 3);
}

#[tokio::test]
async fn a_change_is_told_to_the_stream_that_stands() {
    let provider = Arc::new(Kind::Lists(Mutex::new(3)));
    let inventory = Inventory::new(vec![Arc::clone(&provider) as Arc<dyn Provider>]);
    inventory.discover().await;
    let uplink = uplink();
    inventory.attach(&uplink, inventory.digest(), false);
    let Kind::Lists(count) = &*provider else { unreachable!() };

    *count.lock().unwrap() = 2;
    inventory.discover().await;
    let change = heard(&uplink).await.remove(0);
    assert_eq!(
        (change.replace, change.upserts.len(), change.removed),
        (false, 0, vec!["h1/fake/2".to_owned()])
    );
    assert_eq!(change.digest, inventory.digest());

    inventory.detach();
    *count.lock().unwrap() = 3;
    inventory.discover().await;
    assert!(heard(&uplink).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_panics_or_hangs_hurts_no_other() {
    let inventory = Inventory::new(vec![
        Arc::new(Kind::Panics),
        Arc::new(Kind::Hangs),
        Arc::new(Kind::Lists(Mutex::new(2))),
    ]);
    inventory.discover().await;
    assert_eq!(inventory.guests().len(), 2);
    assert!(inventory.route(&"h1/fake/1".parse().unwrap()).is_ok());
    // The bad ones may have guests that are not known yet.
    assert_eq!(inventory.route(&"h1/fake/7".parse().unwrap()).err(), Some(Route::NotYetKnown));
}
