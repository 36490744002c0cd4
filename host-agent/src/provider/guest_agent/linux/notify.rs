//! Showing people in a Linux guest a text: on their terminals, and on their desktops.

use super::{EXIT_OTHER_SESSION, failed, latest_uptime};
use crate::provider::guest_agent::channel::{AgentChannel, shown, unexpected};
use crate::provider::guest_agent::exec::{self, Ended};
use crate::provider::{Error, NoticeReply, login1};
use curfew_types::SessionKey;

const SCRIPT: &str = concat!(include_str!("prelude.sh"), include_str!("notify.sh"));

/// Most sessions told by one script: the guest's agent takes so many arguments easily, and 256 take some seconds.
const AT_ONCE: usize = 256;

/// Shows `text` to each of the sessions that is still there.
///
/// # Errors
/// As [`exec::run`], and when the time was over before everybody was told.
pub(in crate::provider::guest_agent) async fn notify(
    channel: &mut dyn AgentChannel,
    sessions: &[SessionKey],
    text: &str,
) -> Result<Vec<NoticeReply>, Error> {
    if let Some(key) = sessions.iter().find(|key| !login1::is_session_id(&key.id)) {
        return Err(unexpected(format!("{:?} is not the id of a logind session", key.id)));
    }
    let mut replies = Vec::with_capacity(sessions.len());
    for part in parts(sessions) {
        replies.extend(tell(channel, part, text).await?);
    }
    Ok(replies)
}

/// Runs of sessions of one boot, which is checked once for all of them.
fn parts(sessions: &[SessionKey]) -> impl Iterator<Item = &[SessionKey]> {
    sessions.chunk_by(|a, b| a.boot == b.boot).flat_map(|run| run.chunks(AT_ONCE))
}

async fn tell(
    channel: &mut dyn AgentChannel,
    sessions: &[SessionKey],
    text: &str,
) -> Result<Vec<NoticeReply>, Error> {
    let Some(first) = sessions.first() else { return Ok(Vec::new()) };
    let latest = latest_uptime(channel).await?;
    let markup = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let keys = sessions.iter().flat_map(|key| [login1::session_path(&key.id), key.began_us.to_string()]);
    let keys: Vec<String> = keys.collect();
    let mut arguments = vec![first.boot.as_str(), &latest, text, &markup];
    arguments.extend(keys.iter().map(String::as_str));
    read(&exec::shell(channel, SCRIPT, &arguments).await?, sessions.len())
}

/// One word for each session, and the end; what was shown before the script failed is not known.
fn read(ended: &Ended, count: usize) -> Result<Vec<NoticeReply>, Error> {
    match ended.code {
        Some(0) => {}
        Some(EXIT_OTHER_SESSION) => return Ok(vec![NoticeReply::Gone; count]),
        _ => return Err(failed("showing people a text", ended)),
    }
    let nonsense = || {
        unexpected(format!("what became of a notice in the guest makes no sense: {}", shown(&ended.output)))
    };
    let text = std::str::from_utf8(&ended.output).map_err(|_| nonsense())?;
    let words = text.strip_suffix("end\n").ok_or_else(nonsense)?;
    let replies: Option<Vec<NoticeReply>> = words.split_terminator(':').map(reply).collect();
    replies.filter(|replies| replies.len() == count).ok_or_else(nonsense)
}

fn reply(word: &str) -> Option<NoticeReply> {
    let why = match word {
        "shown" => return Some(NoticeReply::Shown),
        "gone" => return Some(NoticeReply::Gone),
        "nowhere" => "it has no terminal and no desktop",
        "terminal" => "its terminal takes no output",
        "desktop" => "its desktop's notification service did not take it, and it has no terminal",
        "failed" => "logind in the guest could not be asked about it",
        _ => return None,
    };
    Some(NoticeReply::NotShown(why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(output: &str) -> Ended {
        Ended { code: Some(0), output: output.into(), complaint: String::new() }
    }

    fn key(boot: &str, id: usize) -> SessionKey {
        SessionKey { boot: boot.into(), id: id.to_string(), began_us: 17 }
    }

    #[test]
    fn each_session_has_its_own_reply_in_order() {
        let replies = read(&printed("shown:gone:nowhere:terminal:desktop:failed:end\n"), 6).expect("replies");
        assert_eq!(replies[..2], [NoticeReply::Shown, NoticeReply::Gone]);
        assert!(replies[2..].iter().all(|reply| matches!(reply, NoticeReply::NotShown(_))));
        assert_eq!(read(&printed("end\n"), 0), Ok(Vec::new()));
    }

    #[test]
    fn a_reply_too_few_too_many_or_unheard_of_is_an_error() {
        for output in [
            "shown:end\n",
            "shown:shown:shown:end\n",
            "shown:shown:",
            "shown:bliss:end\n",
            "",
            "shown:shown:end\nx",
        ] {
            assert!(read(&printed(output), 2).is_err(), "{output:?}");
        }
    }

    #[test]
    fn after_a_reboot_everybody_is_gone_and_too_late_is_timed_out() {
        let of = |code| read(&Ended { code: Some(code), ..printed("") }, 2);
        assert_eq!(of(21), Ok(vec![NoticeReply::Gone; 2]));
        assert_eq!(of(22).expect_err("late").code, curfew_types::StatusCode::TimedOut);
    }

    #[test]
    fn sessions_are_told_in_parts_of_one_boot() {
        let keys: Vec<SessionKey> = (0..300).map(|id| key("a", id)).chain([key("b", 0)]).collect();
        assert_eq!(parts(&keys).map(<[_]>::len).collect::<Vec<_>>(), [256, 44, 1]);
    }
}
