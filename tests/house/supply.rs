//! What comes from outside: the lists of deny.toml against the dependency graph, for every platform and feature.
//!
//! The same lists, in the same file, that cargo-deny reads; so they are checked where it is not installed.

use crate::checkout::{output, quoted, text};
use crate::licence::Licence;
use anyhow::{Context as _, ensure};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn every_licence_in_the_graph_is_allowed() -> anyhow::Result<()> {
    let deny = text("deny.toml")?.parse::<toml::Table>()?;
    let allowed: BTreeSet<&str> = strings(&deny["licenses"]["allow"]).collect();
    let mut met = BTreeSet::new();
    for (package, expression) in graph()? {
        ensure!(!expression.is_empty(), "{package} has no licence");
        let licence: Licence = expression.parse().with_context(|| format!("the licence of {package}"))?;
        let needed = licence.met_by(&allowed);
        met.extend(needed.with_context(|| format!("{package} is under {expression}, which is not allowed"))?);
    }
    let unused: Vec<_> = allowed.difference(&met).collect();
    ensure!(unused.is_empty(), "deny.toml allows {unused:?}, which nothing needs");
    Ok(())
}

#[test]
fn no_banned_crate_is_in_the_graph() -> anyhow::Result<()> {
    let deny = text("deny.toml")?.parse::<toml::Table>()?;
    let banned = deny["bans"]["deny"].as_array().context("the bans")?;
    let graph = graph()?;
    for ban in banned {
        let name = ban["crate"].as_str().context("a ban's crate")?;
        let reason = ban["reason"].as_str().unwrap_or_default();
        ensure!(!reason.is_empty(), "the ban of {name} has no reason");
        let found = graph.keys().find(|package| package.split(' ').next() == Some(name));
        ensure!(found.is_none(), "{name} is in the graph (cargo tree --target all -i {name}): {reason}");
    }
    Ok(())
}

#[test]
fn every_crate_comes_from_an_allowed_source() -> anyhow::Result<()> {
    let deny = text("deny.toml")?.parse::<toml::Table>()?;
    let registries = strings(&deny["sources"]["allow-registry"]).map(|url| format!("registry+{url}"));
    let allowed: BTreeSet<String> =
        registries.chain(strings(&deny["sources"]["allow-git"]).map(|url| format!("git+{url}"))).collect();
    let lock = text("Cargo.lock")?.parse::<toml::Table>()?;
    for package in lock["package"].as_array().context("the lock file's packages")? {
        // Without a source it is one of the workspace's own.
        let Some(source) = package.get("source").and_then(toml::Value::as_str) else { continue };
        ensure!(allowed.contains(source), "{} comes from {source}", package["name"]);
    }
    Ok(())
}

#[test]
fn every_clippy_ban_has_a_reason_and_holds_in_the_cores_too() -> anyhow::Result<()> {
    let root = bans("clippy.toml")?;
    for core in ["controller/core/clippy.toml", "host-agent/core/clippy.toml"] {
        let nested = bans(core)?;
        // A nested file replaces the root's. What a core cannot name it need not ban.
        for path in root.iter().filter(|path| path.starts_with("std::")) {
            ensure!(nested.contains(path), "{core} does not ban {path}, as the root's clippy.toml does");
        }
    }
    Ok(())
}

/// The paths that a clippy.toml bans.
fn bans(file: &str) -> anyhow::Result<BTreeSet<String>> {
    let settings = text(file)?.parse::<toml::Table>()?;
    let mut paths = BTreeSet::new();
    for (_, list) in settings.iter().filter(|(key, _)| key.starts_with("disallowed-")) {
        for ban in list.as_array().context("a list of bans")? {
            let path = ban.get("path").and_then(toml::Value::as_str);
            let path = path.with_context(|| format!("{file}: {ban} has no path, so no reason either"))?;
            let reason = ban.get("reason").and_then(toml::Value::as_str).unwrap_or_default();
            ensure!(!reason.is_empty(), "{file}: the ban of {path} has no reason");
            paths.insert(path.to_owned());
        }
    }
    Ok(paths)
}

/// Every package that any platform or feature can bring in, as `NAME vVERSION`, with its licence.
///
/// From `cargo tree`: unlike `cargo metadata` it leaves out what no feature switches on.
fn graph() -> anyhow::Result<BTreeMap<String, String>> {
    let everything = ["tree", "--workspace", "--locked", "--all-features", "--target", "all"];
    let plainly = ["--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}`{l}`"];
    let tree = output(env!("CARGO"), &[everything, plainly].concat())?;
    let package = |line: &str| {
        let name: Vec<&str> = line.split('`').next()?.split(' ').take(2).collect();
        Some((name.join(" "), quoted(line).next()?.to_owned()))
    };
    let graph: BTreeMap<_, _> = tree.lines().filter_map(package).collect();
    ensure!(graph.len() > 100, "cargo tree shows {} packages only: {tree}", graph.len());
    Ok(graph)
}

fn strings(list: &toml::Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(toml::Value::as_str)
}
