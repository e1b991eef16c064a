//! `explain`: what a finding code means.

use crate::error::ExpectedError;
use crate::exit::Exit;
use crate::finding::{self, CATALOGUE};
use crate::render;

use super::output::Output;

/// Codes that are suggested for a wrong one, at most.
const SUGGESTIONS: usize = 3;

pub(super) fn explain(code: Option<&str>, output: &mut Output<'_>) -> Result<Exit, ExpectedError> {
    let Some(name) = code else {
        return output.answer(&render::codes(output.style()));
    };
    // The id of a finding starts with its code.
    let code = name.split_once('-').map_or(name, |(code, _)| code);
    match finding::lookup(code) {
        Some(code) => output.answer(&render::code(code, output.style())),
        None => Err(ExpectedError::UnknownCode {
            code: name.to_owned(),
            similar: similar(code),
        }),
    }
}

/// The codes that differ least, and not by more than two characters.
fn similar(code: &str) -> Vec<&'static str> {
    let code = code.to_ascii_uppercase();
    let mut similar: Vec<(usize, &str)> = CATALOGUE
        .iter()
        .map(|known| (distance(&code, known.id), known.id))
        .filter(|(distance, _)| *distance <= 2)
        .collect();
    similar.sort_unstable();
    similar.truncate(SUGGESTIONS);
    similar.into_iter().map(|(_, id)| id).collect()
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
