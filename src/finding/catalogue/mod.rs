//! Every finding code, once. Numbers are never reused.
//!
//! One file per area; the first two digits of a code are its area.

use super::Code;

/// Joins texts at compile time, so that names of labels and ports stay where they are defined.
macro_rules! text {
    ($($part:expr),+ $(,)?) => {{
        const PARTS: &[&str] = &[$($part),+];
        const LENGTH: usize = $crate::finding::catalogue::total_length(PARTS);
        const BYTES: [u8; LENGTH] = $crate::finding::catalogue::joined(PARTS);
        match ::std::str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => "",
        }
    }};
}

/// Defines the codes of one area.
macro_rules! area {
    ($($name:ident = $id:literal, $severity:ident, $title:literal, $meaning:expr, $fix:expr;)*) => {
        use crate::finding::{Code, Severity};

        $(
            #[doc = $title]
            pub static $name: Code = Code {
                id: $id,
                severity: Severity::$severity,
                title: $title,
                meaning: $meaning,
                fix: $fix,
                anchor: concat!("findings#", $id),
            };
        )*

        /// The codes of this area, sorted.
        pub(super) const CODES: &[&Code] = &[$(&$name),*];
    };
}

mod enrolment;
mod plugin;
mod policy;
mod waypoint;
mod workload;

/// The codes by name.
pub mod codes {
    pub use super::enrolment::*;
    pub use super::plugin::*;
    pub use super::policy::*;
    pub use super::waypoint::*;
    pub use super::workload::*;
}

/// Every code, sorted by [`Code::id`].
pub static CATALOGUE: &[&Code] = &ALL;

const AREAS: [&[&Code]; 5] = [
    policy::CODES,
    workload::CODES,
    enrolment::CODES,
    waypoint::CODES,
    plugin::CODES,
];

static ALL: [&Code; COUNT] = {
    let mut all = [&codes::GAINED; COUNT];
    let (mut area, mut next) = (0, 0);
    while area < AREAS.len() {
        let mut code = 0;
        while code < AREAS[area].len() {
            all[next] = AREAS[area][code];
            next += 1;
            code += 1;
        }
        area += 1;
    }
    all
};

const COUNT: usize = {
    let (mut area, mut count) = (0, 0);
    while area < AREAS.len() {
        count += AREAS[area].len();
        area += 1;
    }
    count
};

const fn total_length(parts: &[&str]) -> usize {
    let (mut part, mut length) = (0, 0);
    while part < parts.len() {
        length += parts[part].len();
        part += 1;
    }
    length
}

const fn joined<const LENGTH: usize>(parts: &[&str]) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let (mut part, mut next) = (0, 0);
    while part < parts.len() {
        let from = parts[part].as_bytes();
        let mut at = 0;
        while at < from.len() {
            bytes[next] = from[at];
            next += 1;
            at += 1;
        }
        part += 1;
    }
    bytes
}

/// The code with this id, in any letter case.
pub fn lookup(id: &str) -> Option<&'static Code> {
    CATALOGUE
        .iter()
        .copied()
        .find(|c| c.id.eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_sorted() {
        assert!(CATALOGUE.windows(2).all(|w| w[0].id < w[1].id));
    }

    #[test]
    fn every_code_belongs_to_the_area_of_its_file() {
        for (codes, prefix) in AREAS
            .iter()
            .zip(["AMB01", "AMB02", "AMB03", "AMB06", "AMB08"])
        {
            for code in *codes {
                let digits = code.id.strip_prefix(prefix).expect(code.id);
                assert!(
                    digits.len() == 2 && digits.parse::<u8>().is_ok(),
                    "{}",
                    code.id
                );
                assert_eq!(code.anchor, format!("findings#{}", code.id));
            }
        }
    }

    #[test]
    fn texts_read_as_sentences() {
        for code in CATALOGUE {
            let sentences = code.meaning.matches(". ").count() + 1;
            assert!(
                (2..=4).contains(&sentences),
                "{}: {sentences} sentences",
                code.id
            );
            assert!(
                !code.title.ends_with('.') && code.title.len() < 80,
                "{}",
                code.id
            );
            for text in [code.meaning, code.fix] {
                assert!(text.ends_with('.'), "{} ends without a full stop", code.id);
                assert!(
                    text.starts_with(|c: char| c.is_uppercase()),
                    "{} starts in lower case",
                    code.id
                );
                assert!(!text.contains("  "), "{} has a double space", code.id);
                assert!(
                    text.matches('`').count() % 2 == 0,
                    "{} has an open backtick",
                    code.id
                );
            }
            assert!(
                code.fix.contains('`'),
                "{}: the fix names no command or field",
                code.id
            );
        }
    }

    #[test]
    fn a_code_is_found_in_any_letter_case() {
        assert_eq!(lookup("amb0110"), Some(&codes::GAINED));
        assert_eq!(lookup("AMB9999"), None);
    }
}
