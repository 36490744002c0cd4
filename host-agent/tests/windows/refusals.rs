//! Windows guests in which PowerShell may not, or cannot, do its work: never taken for guests without anybody.

use crate::stand_in::{BUDGET, Language, PowerShell, WindowsGuest, World};
use curfew_agent::provider::{EndMode, Error, Look};
use curfew_types::{OnlyIf, SessionKey, StatusCode};

async fn list(powershell: PowerShell, language: Language) -> Error {
    let mut world = World::server();
    world.log_on(2, "CORP", "alice");
    world.powershell = powershell;
    world.language = language;
    let guest = WindowsGuest::new(world);
    let (provider, id) = guest.provider();
    provider.list_sessions(&id, Look::default(), BUDGET).await.expect_err("no list")
}

#[tokio::test]
async fn where_powershell_is_kept_from_its_work_the_guest_is_unlistable_in_every_language() {
    for language in Language::ALL {
        for powershell in [
            PowerShell::Missing,
            PowerShell::Constrained,
            PowerShell::NoCompiler,
            PowerShell::BlockedByPolicy,
            PowerShell::BlockedByAntivirus,
        ] {
            let error = list(powershell, language).await;
            let said = (error.code, error.unlistable);
            assert_eq!(said, (StatusCode::AdditionsFeatureNotAvail, true), "{powershell:?} {language:?}");
            assert!(!error.message.chars().any(char::is_control), "{error}");
            assert!(error.message.len() < 700, "{error}");
        }
    }
}

#[tokio::test]
async fn what_windows_answers_is_told_by_its_number_whatever_the_language() {
    for language in Language::ALL {
        assert_eq!(list(PowerShell::WindowsFails(5), language).await.code, StatusCode::AccessDenied);
        let booting = list(PowerShell::WindowsFails(1722), language).await;
        assert_eq!((booting.code, booting.unlistable), (StatusCode::AdditionsNotAvail, false));
        assert_eq!(list(PowerShell::WindowsFails(87), language).await.code, StatusCode::Unexpected);
    }
}

#[tokio::test]
async fn a_session_is_not_ended_where_powershell_may_not_check_it() {
    let mut world = World::server();
    world.log_on(2, "CORP", "alice");
    let guest = WindowsGuest::new(world);
    let key: SessionKey = guest.key(2).await;
    guest.world().powershell = PowerShell::Constrained;
    let (provider, id) = guest.provider();
    let error = provider.end_session(&id, &key, EndMode::Force, OnlyIf::default(), BUDGET).await;
    assert_eq!(error.expect_err("refused").code, StatusCode::AdditionsFeatureNotAvail);
    assert!(guest.world().logoffs.is_empty());
}
