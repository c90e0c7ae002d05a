//! `thalweg reproduce all`: every experiment once, their zoos shared by the hash of their recipes, into one page that opens with what is claimed and
//! what was found of it. What is finished is taken over by `--resume`.
mod claims;
mod found;
mod page;
mod rule;
mod select;

use self::found::Found;
use super::experiment::{Entry, Findings, Prepared, Scale};
use crate::output::JSON;
use crate::report::Report;
use crate::results::{Results, Row};
use crate::session::Session;
use crate::settings;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Instant;
use thalweg_nets::Error;
use thalweg_nets::files::write_whole;
use thalweg_nets::progress::Progress;
use toml::{Table, Value};

/// Its NAME.
pub const NAME: &str = "all";
/// The text of `experiments/all.toml`: what it changes of each experiment.
pub const TOML: &str = include_str!("../../../../../experiments/all.toml");
/// The page of one experiment, for the whole one.
const PAGE: &str = "page.json";

/// The seeds on which settings of the experiment `name` were chosen, where that is known.
fn chosen_on(name: &str) -> Result<Vec<u64>> {
    let all: Table = TOML.parse().context("experiments/all.toml is not valid TOML")?;
    let seeds = all.get("chosen-on").and_then(|all| all.get(name)).and_then(Value::as_array);
    Ok(seeds.into_iter().flatten().filter_map(|seed| seed.as_integer()?.try_into().ok()).collect())
}

/// What `all` changes of the experiment `name` at `scale`.
fn own(name: &str, scale: Scale) -> Result<Vec<String>> {
    let scales: Table = TOML.parse().context("experiments/all.toml is not valid TOML")?;
    let table = scales.get(&scale.to_string()).and_then(|scale| scale.get(name)).and_then(Value::as_table);
    Ok(table.map(settings::as_overrides).unwrap_or_default())
}

/// What `all` changes of the experiment `name` at `scale`, then what the user does: `--set NAME.KEY=VALUE`.
fn changes(name: &str, scale: Scale, session: &Session) -> Result<Vec<String>> {
    let mut set = own(name, scale)?;
    set.extend(session.common.set.iter().filter_map(|text| text.strip_prefix(&format!("{name}.")).map(str::to_owned)));
    Ok(set)
}

/// Refuses settings of experiments that there are not, before anything is touched.
///
/// # Errors
/// Such settings; those that an experiment refuses; a scale without settings.
pub fn check(entries: &[&Entry], scale: Scale, session: &Session) -> Result<()> {
    let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    if let Some(text) =
        session.common.set.iter().find(|text| !names.iter().any(|name| text.starts_with(&format!("{name}."))))
    {
        bail!("--set {text}: expected NAME.KEY=VALUE with NAME among {}", names.join(", "));
    }
    for entry in entries {
        (entry.prepare)(scale, &changes(entry.name, scale, session)?, session.common.seed)?;
    }
    Ok(())
}

/// Runs all of `entries` in folders of `out`.
///
/// # Errors
/// As the experiments' own.
pub fn run(entries: &[&Entry], scale: Scale, out: &Path, session: &Session) -> Result<Findings> {
    let mut all = Vec::new();
    for entry in entries {
        if session.progress.interrupted() {
            return Err(Error::Interrupted.into());
        }
        session.say(&format!("\n{} ({} of {})", entry.name, all.len() + 1, entries.len()));
        all.push(one(entry, scale, out, session)?);
    }
    Ok(page::findings(&all, scale))
}

/// Where the zoos lie that experiments in `out` share.
pub fn zoos(out: &Path) -> PathBuf {
    out.join("zoos")
}

/// Those of `entries` that have not finished in `out`, with their folders.
///
/// # Errors
/// Settings that one of them refuses.
pub fn unfinished(
    entries: &[&Entry],
    scale: Scale,
    out: &Path,
    session: &Session,
) -> Result<Vec<(Box<dyn Prepared>, PathBuf)>> {
    let mut all = Vec::new();
    for entry in entries {
        let prepared = (entry.prepare)(scale, &changes(entry.name, scale, session)?, session.common.seed)?;
        let dir = out.join(entry.name);
        if finished(&dir, prepared.seed(), &prepared.settings()?).is_none() {
            all.push((prepared, dir));
        }
    }
    Ok(all)
}

/// One experiment, or what an earlier process found by it.
fn one(entry: &Entry, scale: Scale, out: &Path, session: &Session) -> Result<Found> {
    let (set, chosen_on) = (changes(entry.name, scale, session)?, chosen_on(entry.name)?);
    let prepared = (entry.prepare)(scale, &set, session.common.seed)?;
    let dir = out.join(entry.name);
    let of = |seconds, rows, report| Found {
        name: entry.name,
        scale,
        seed: prepared.seed(),
        chosen_on: chosen_on.clone(),
        seconds,
        set: set.clone(),
        rows,
        report,
    };
    if let Some((seconds, rows, report)) = finished(&dir, prepared.seed(), &prepared.settings()?) {
        session.say(&format!("{} is finished already.", dir.display()));
        return Ok(of(seconds, rows, report));
    }
    std::fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
    let clock = Instant::now();
    let findings = prepared.run(&dir, Some(&zoos(out)), session)?;
    let seconds = clock.elapsed().as_secs_f64();
    let mut results = Results::new(prepared.seed());
    (results.settings, results.rows) = (prepared.settings()?, findings.rows);
    results.seal(seconds, session.threads());
    let path = dir.join(PAGE);
    write_whole(&path, &serde_json::to_vec(&findings.report)?)?;
    // Last, since it says that the rest is there.
    results.write(&dir.join(JSON))?;
    Ok(of(seconds, results.rows, findings.report))
}

/// What stands finished in `dir` of these settings: seconds, rows and page.
fn finished(dir: &Path, seed: u64, settings: &Row) -> Option<(f64, Vec<Row>, Report)> {
    let results: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join(JSON)).ok()?).ok()?;
    // Numbers in single precision change by their last digit on the way through a file.
    let settings: serde_json::Value = serde_json::from_str(&serde_json::to_string(settings).ok()?).ok()?;
    let same = results["seed"] == seed && results["settings"] == settings;
    let rows = results["rows"].as_array().filter(|_| same)?;
    let rows = rows.iter().map(|row| row.as_object().cloned()).collect::<Option<Vec<Row>>>()?;
    let report = serde_json::from_slice(&std::fs::read(dir.join(PAGE)).ok()?).ok()?;
    Some((results["seconds"].as_f64()?, rows, report))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever its settings are made of: numbers in single precision among them.
    #[test]
    fn every_experiment_is_found_finished_by_its_own_settings() {
        let home = tempfile::tempdir().unwrap();
        for entry in super::super::ALL {
            let (dir, prepared) = (home.path().join(entry.name), (entry.prepare)(Scale::Laptop, &[], None).unwrap());
            let (settings, mut results) = (prepared.settings().unwrap(), Results::new(prepared.seed()));
            results.settings = settings.clone();
            results.seal(2.0, 2);
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join(PAGE), serde_json::to_vec(&Report::new("", "")).unwrap()).unwrap();
            results.write(&dir.join(JSON)).unwrap();
            assert!(finished(&dir, prepared.seed(), &settings).is_some(), "{}", entry.name);
            assert!(finished(&dir, prepared.seed() + 1, &settings).is_none(), "{}", entry.name);
        }
    }

    /// One that is refused is refused before anything is trained, so that nobody waits twenty minutes for it.
    #[test]
    fn every_experiment_holds_together_at_every_scale_alone_and_within_all() {
        for entry in super::super::ALL {
            for scale in [Scale::Smoke, Scale::Laptop, Scale::Paper] {
                let within = own(entry.name, scale).unwrap();
                for set in [&[][..], &within] {
                    if let Err(error) = (entry.prepare)(scale, set, None) {
                        panic!("{} at {scale}: {error:#}", entry.name);
                    }
                }
            }
        }
    }
}
