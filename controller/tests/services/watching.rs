//! What watchers see, and when.

use crate::agent::Does;
use crate::rig::{Rig, everybody, start};
use crate::safeguarding::hold;
use crate::steering::pause;
use curfew_proto::v1;
use curfew_proto::v1::OperationState;
use std::time::Duration;

#[tokio::test]
async fn a_change_that_is_stored_is_seen_while_the_next_one_is_being_stored() {
    let rig = Rig::start().await;
    let agent = rig.agent("h1", 2).await;
    agent.set(|agent| agent.does = Does::Nothing).await;
    let (mut fleet, mut bob) = (rig.fleet().await, rig.operations("bob").await);
    let id = start(&mut bob, everybody()).await.id;
    let request =
        v1::WatchOperationRequest { operation_id: id.clone(), after_revision: 0, include_tasks: false };
    let mut watch = bob.watch_operation(request).await.expect("a watch").into_inner();
    let mut next = async || {
        let message = tokio::time::timeout(Duration::from_secs(10), watch.message()).await.expect("in time");
        message.expect("a stream").expect("a message").operation.expect("an operation").state()
    };
    assert_eq!(next().await, OperationState::Running);
    bob.pause_operation(pause(&id)).await.expect("a pause");
    rig.set_store_hanging(true);
    let held = tokio::spawn(async move { fleet.hold_guest(hold("h1-vm-0", "a surgeon")).await });
    // What it did before the pause may be told first.
    while next().await != OperationState::Paused {}
    rig.set_store_hanging(false);
    assert!(held.await.expect("a call").expect("a hold").into_inner().recorded);
}
