//! `--accept`: which findings the user takes responsibility for.

use std::collections::BTreeSet;

use crate::error::ExpectedError;
use crate::finding::{self, Finding};

/// Findings that do not fail a run and do not keep files from being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acceptance {
    all: bool,
    /// Codes and ids in the catalogue's spelling.
    names: BTreeSet<String>,
}

impl Acceptance {
    /// Reads the values of `--accept`.
    ///
    /// # Errors
    ///
    /// When one is neither `all`, nor a code, nor the id of a finding.
    pub fn parse(values: &[String]) -> Result<Self, ExpectedError> {
        let mut acceptance = Self::default();
        for value in values {
            if value == "all" {
                acceptance.all = true;
            } else {
                let name = spelled(value);
                let name = name.ok_or_else(|| ExpectedError::UnknownAcceptance(value.clone()))?;
                acceptance.names.insert(name);
            }
        }
        Ok(acceptance)
    }

    /// Whether a finding with this id is accepted.
    pub fn accepts(&self, finding: &Finding, id: &str) -> bool {
        self.all || self.names.contains(id) || self.names.contains(finding.code.id)
    }

    /// The values of `--accept` that come to the same.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let all = self.all.then_some("all");
        all.into_iter().chain(self.names.iter().map(String::as_str))
    }

    /// What was to be accepted and is not there: the names that fit none of the findings.
    pub fn unused<'f>(
        &self,
        findings: impl Iterator<Item = (&'f Finding, &'f str)>,
    ) -> BTreeSet<&str> {
        let mut unused: BTreeSet<&str> = self.names.iter().map(String::as_str).collect();
        for (finding, id) in findings {
            unused.remove(id);
            unused.remove(finding.code.id);
        }
        unused
    }
}

/// `AMB0110` or `AMB0110-1a2b3c4d`, in any letter case.
fn spelled(value: &str) -> Option<String> {
    let Some((code, digits)) = value.split_once('-') else {
        return finding::lookup(value).map(|code| code.id.to_owned());
    };
    let code = finding::lookup(code)?;
    let digits = digits.to_ascii_lowercase();
    let is_id = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| format!("{}-{digits}", code.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::codes;
    use crate::model::{ObjectRef, Origin};

    fn accepted(values: &[&str]) -> bool {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        let subject = ObjectRef::namespaced("shop", "NetworkPolicy", "web");
        let finding = Finding::new(&codes::GAINED, subject, Origin::synthetic(), String::new());
        Acceptance::parse(&values)
            .unwrap()
            .accepts(&finding, "AMB0110-1a2b3c4d")
    }

    #[test]
    fn findings_are_accepted_by_id_by_code_or_all() {
        assert!(!accepted(&[]));
        assert!(!accepted(&["AMB0110-00000000"]));
        assert!(accepted(&["AMB0110-00000000", "amb0110-1A2B3C4D"]));
        assert!(accepted(&["AMB0110"]));
        assert!(accepted(&["all"]));
    }

    #[test]
    fn what_cannot_be_a_finding_is_refused() {
        for value in [
            "",
            "ALL",
            "AMB9999",
            "AMB0110-",
            "AMB0110-1a2b3c4",
            "AMB0110-1a2b3c4g",
        ] {
            assert!(Acceptance::parse(&[value.to_owned()]).is_err(), "{value}");
        }
    }
}
