//! Who may name whom: the table in ARCHITECTURE.md against what the packages' manifests say.

use crate::checkout::{between_markers, output, quoted, rows};
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a row of the table says of a package, and what its manifest says of it.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    folder: String,
    /// Packages of the house that it names.
    house: BTreeSet<String>,
    /// Crates from outside that it names; `None` where the table leaves it open.
    outside: Option<BTreeSet<String>>,
}

#[test]
fn every_package_names_exactly_whom_the_table_allows() -> anyhow::Result<()> {
    let (allowed, real) = (table()?, manifests()?);
    let (names, real_names): (Vec<_>, Vec<_>) = (allowed.keys().collect(), real.keys().collect());
    ensure!(names == real_names, "the table has {names:?}, the workspace has {real_names:?}");
    for (name, package) in &allowed {
        ensure!(package.folder == real[name].folder, "{name} lies in {}", real[name].folder);
        ensure!(package.house == real[name].house, "{name} names {:?} of the house", real[name].house);
    }
    Ok(())
}

#[test]
fn the_pure_packages_use_nothing_from_outside_but_what_the_table_says() -> anyhow::Result<()> {
    let (allowed, real) = (table()?, manifests()?);
    let pure = allowed.iter().filter(|(_, package)| package.outside.is_some());
    let pure: Vec<&String> = pure.map(|(name, _)| name).collect();
    ensure!(pure == ["curfew-agent-core", "curfew-controller-core", "curfew-types"], "{pure:?}");
    for name in pure {
        ensure!(allowed[name].outside == real[name].outside, "{name} uses {:?}", real[name].outside);
    }
    Ok(())
}

/// The table of ARCHITECTURE.md: package, folder, names of the house, crates from outside.
fn table() -> anyhow::Result<BTreeMap<String, Package>> {
    let table = between_markers("ARCHITECTURE.md", "packages")?;
    let package = |row: Vec<&str>| {
        let [name, folder, house, outside, ..] = row[..] else {
            anyhow::bail!("a row of the table has too few columns: {row:?}");
        };
        let set = |cell| quoted(cell).map(str::to_owned).collect();
        let outside = (outside != "any").then(|| set(outside));
        let one =
            |cell| quoted(cell).next().map(str::to_owned).context("a cell of the table is not in backticks");
        Ok((one(name)?, Package { folder: one(folder)?, house: set(house), outside }))
    };
    rows(&table).map(package).collect()
}

/// The same of the manifests. Development dependencies count too, but for what the pure packages' own tests use.
fn manifests() -> anyhow::Result<BTreeMap<String, Package>> {
    let metadata = output(env!("CARGO"), &["metadata", "--format-version", "1", "--no-deps", "--locked"])?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let root = metadata["workspace_root"].as_str().context("the workspace's root")?;
    let packages = metadata["packages"].as_array().context("packages")?;
    packages.iter().map(|package| manifest(package, Path::new(root))).collect()
}

fn manifest(package: &Value, root: &Path) -> anyhow::Result<(String, Package)> {
    let path = Path::new(package["manifest_path"].as_str().context("a manifest")?);
    let folder = path.parent().and_then(|folder| folder.strip_prefix(root).ok()).context("a folder")?;
    let (mut house, mut outside) = (BTreeSet::new(), BTreeSet::new());
    for dependency in package["dependencies"].as_array().context("dependencies")? {
        let name = dependency["name"].as_str().context("a dependency's name")?.to_owned();
        if dependency["path"].is_string() {
            house.insert(name);
        } else if dependency["kind"] != "dev" {
            outside.insert(name);
        }
    }
    let name = package["name"].as_str().context("a package's name")?.to_owned();
    let folder = folder.to_str().context("a folder's name")?.to_owned();
    Ok((name, Package { folder, house, outside: Some(outside) }))
}
