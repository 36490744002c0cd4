//! Answers that would be too much for one message come in several, and nothing of them is lost.

use crate::agent::Does;
use crate::rig::{Rig, everybody, stands, start};
use curfew_proto::v1;
use std::collections::BTreeSet;

const GUESTS: u32 = 60;

#[tokio::test]
async fn tasks_of_guests_with_many_sessions_come_in_as_many_messages_as_they_need() {
    let rig = Rig::start().await;
    let agent = rig.agent("h1", GUESTS).await;
    agent.set(|agent| agent.does = Does::SucceedWithMany).await;
    let mut client = rig.operations("bob").await;
    let id = start(&mut client, everybody()).await.id;
    stands(&mut client, &id, v1::OperationState::Ended).await;

    let mut request =
        v1::ListTasksRequest { operation_id: id.clone(), page_size: 1000, ..Default::default() };
    let (mut pages, mut listed) = (0, Vec::new());
    loop {
        let page = client.list_tasks(request.clone()).await.expect("a page").into_inner();
        pages += 1;
        listed.extend(page.tasks);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert!(pages > 1, "60 tasks of some 40 KiB are no one message");
    assert_eq!(listed.len(), GUESTS as usize);
    let results = |task: &v1::Task| task.verdict.as_ref().map_or(0, |verdict| verdict.results.len());
    assert!(listed.iter().all(|task| results(task) == 100));

    let request = v1::WatchOperationRequest { operation_id: id, include_tasks: true, after_revision: 0 };
    let mut watch = client.watch_operation(request).await.expect("a watch").into_inner();
    let (mut messages, mut seen) = (0, BTreeSet::new());
    while let Some(message) = watch.message().await.expect("a stream") {
        messages += 1;
        seen.extend(message.tasks.into_iter().map(|task| task.id));
    }
    assert!(messages > 1);
    assert_eq!(seen, listed.into_iter().map(|task| task.id).collect());
}
