//! Which users a list of patterns means: in any case, and in every domain unless a pattern names one.

use crate::glob::Glob;

/// Whether one of the patterns means this user. Case does not count, and a pattern without a domain means that user in
/// every domain and realm: `DOMAIN\user` and `user@realm` are understood.
pub fn is_among(user: &str, patterns: &[Glob]) -> bool {
    if patterns.is_empty() {
        return false;
    }
    let user = user.to_lowercase();
    let bare = user.rsplit_once('\\').map_or(user.as_str(), |(_, name)| name);
    let bare = bare.split_once('@').map_or(bare, |(name, _)| name);
    patterns.iter().any(|glob| {
        let glob = glob.to_lowercase();
        glob.matches(&user) || glob.matches(bare)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(globs: &[&str]) -> Vec<Glob> {
        globs.iter().map(|glob| glob.parse().expect("a pattern")).collect()
    }

    #[test]
    fn a_name_without_a_domain_means_that_user_in_every_domain_and_case() {
        let globs = patterns(&["alice", "svc-*"]);
        for user in ["alice", "Alice", "CORP\\alice", "alice@corp.example", "CORP\\SVC-backup", "svc-1@x"] {
            assert!(is_among(user, &globs), "{user}");
        }
        for user in ["alicia", "malice", "CORP\\bob", "svc"] {
            assert!(!is_among(user, &globs), "{user}");
        }
    }

    #[test]
    fn a_pattern_with_a_domain_means_that_domain_only() {
        let globs = patterns(&["TRADING\\*", "*@desk.example"]);
        assert!(is_among("trading\\bob", &globs) && is_among("eve@DESK.example", &globs));
        assert!(!is_among("corp\\bob", &globs) && !is_among("eve", &globs));
    }
}
