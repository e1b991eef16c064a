//! Names that people type: those that exist, and those that were meant.

use crate::error::ExpectedError;
use crate::migrate::Options;
use crate::model::World;

/// Names that are suggested for a wrong one, at most.
const SUGGESTIONS: usize = 3;
/// Names that are listed when none looks like the wrong one, at most.
const LISTED: usize = 5;

/// Checks that the input has every namespace that the options name.
///
/// # Errors
///
/// For the first that it does not have.
pub(super) fn check(options: &Options, world: &World) -> Result<(), ExpectedError> {
    let only = options.namespaces.iter().map(|name| ("--only", name));
    let exclude = options.exclude.iter().map(|name| ("--exclude", name));
    let served = options
        .waypoints
        .iter()
        .filter_map(|w| w.namespace.as_ref());
    let waypoints = served.map(|name| ("--waypoint", name));
    let mut named = only.chain(exclude).chain(waypoints);
    let unknown = named.find(|(_, name)| !world.namespaces.contains_key(*name));
    let Some((flag, name)) = unknown else {
        return Ok(());
    };
    let known = world.namespaces.keys().map(String::as_str);
    Err(ExpectedError::UnknownNamespace {
        flag,
        name: name.clone(),
        similar: owned(similar(name, known.clone())),
        known: owned(known.take(LISTED).collect()),
    })
}

fn owned(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// The names that differ least, and not by more than two characters, whatever the letter case.
pub(super) fn similar<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Vec<&'k str> {
    let name = name.to_lowercase();
    // Two of three characters wrong is another name.
    let most = (name.chars().count() / 2).min(2);
    let mut similar: Vec<(usize, &str)> = known
        .into_iter()
        .map(|known| (distance(&name, &known.to_lowercase()), known))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    similar.sort_unstable();
    similar.dedup();
    similar.truncate(SUGGESTIONS);
    similar.into_iter().map(|(_, name)| name).collect()
}

/// The full names of those that differ least as they are written, or that have the last part of the
/// name in theirs.
pub(super) fn nearest(name: &str, known: &[(String, String)]) -> Vec<String> {
    let near = similar(name, known.iter().map(|(written, _)| written.as_str()));
    let last = name.rsplit('/').next().unwrap_or(name);
    let has_part = |written: &str| !last.is_empty() && written.contains(last);
    let mut nearest: Vec<String> = known
        .iter()
        .filter(|(written, _)| match near[..] {
            [] => has_part(written),
            _ => near.contains(&written.as_str()),
        })
        .map(|(_, full)| full.clone())
        .collect();
    nearest.dedup();
    nearest.truncate(SUGGESTIONS);
    nearest
}

/// How many characters have to be added, left out or changed (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, from) in from.chars().enumerate() {
        let mut next = vec![index + 1];
        for ((&to, above), left_above) in to.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            let changed = left_above + usize::from(from != to);
            next.push(changed.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_characters() {
        assert_eq!(distance("AMB0110", "AMB0110"), 0);
        assert_eq!(distance("AMB011", "AMB0110"), 1);
        assert_eq!(distance("ABM0110", "AMB0110"), 2);
        assert_eq!(distance("", "AMB0110"), 7);
    }
}
