//! The display language and the code page of a Windows guest change nothing; its own session tools show why they could.

use crate::stand_in::{BUDGET, Language, WindowsGuest, World, run_tool};
use curfew_agent::provider::{DrainOrder, DrainReply, EndMode, EndReply, SessionList};
use curfew_types::OnlyIf;

fn world(language: Language) -> World {
    let mut world = World::server();
    world.language = language;
    let now = world.clock_ms;
    world.log_on(2, "CORP", "Jörg.mit.sehr.langem.Namen");
    world.log_on(3, "TRADING", "王小明").disconnect(now - 60_000);
    world
}

async fn everything(language: Language) -> (SessionList, EndReply, DrainReply) {
    let guest = WindowsGuest::new(world(language));
    let list = guest.list().await;
    let key = guest.key(3).await;
    let (provider, id) = guest.provider();
    let end = provider.end_session(&id, &key, EndMode::Force, OnlyIf::default(), BUDGET).await;
    let order = DrainOrder { for_ms: 60_000, text: "x".into() };
    let drain = provider.drain(&id, &order, BUDGET).await;
    (list, end.expect("a reply"), drain.expect("a reply"))
}

#[tokio::test]
async fn every_language_gives_the_same_answers() {
    let english = everything(Language::English).await;
    for language in Language::ALL {
        assert_eq!(everything(language).await, english, "{language:?}");
    }
}

#[test]
fn the_table_of_query_session_cuts_names_and_speaks_another_language_in_another_code_page() {
    let tables: Vec<Vec<u8>> = Language::ALL
        .iter()
        .map(|language| run_tool(&mut world(*language), "query.exe", &["session"]))
        .collect();
    for table in &tables {
        assert!(!String::from_utf8_lossy(table).contains("Namen"), "a name is cut");
        assert!(table.windows(2).any(|pair| pair == b"\r\n"));
    }
    for (at, table) in tables.iter().enumerate() {
        assert!(!tables[..at].contains(table), "each language has words of its own");
    }
    // Where they are not ASCII they are no UTF-8 either.
    assert!(tables[2..].iter().all(|table| std::str::from_utf8(table).is_err()));
}

#[test]
fn change_logon_tells_the_same_state_in_other_words_in_each_language() {
    let mut said: Vec<Vec<u8>> = Vec::new();
    for language in Language::ALL {
        for options in [["logon", "/enable"], ["logon", "/drain"], ["logon", "/disable"]] {
            said.push(run_tool(&mut world(language), "change.exe", &options));
        }
    }
    let all = said.len();
    said.sort();
    said.dedup();
    assert_eq!(said.len(), all);
}
