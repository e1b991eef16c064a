//! Every finding code, once. Numbers are never reused.

use super::{Code, Severity};

macro_rules! catalogue {
    ($($name:ident = $id:literal, $severity:ident, $title:literal, $meaning:literal, $fix:literal;)*) => {
        /// The codes by name.
        pub mod codes {
            use super::{Code, Severity};
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
        }

        /// Every code, sorted by [`Code::id`].
        pub static CATALOGUE: &[&Code] = &[$(&codes::$name),*];
    };
}

catalogue! {
    GAINED = "AMB0110", Error,
        "connections gained through the tunnel",
        "The tunnel would carry connections that the network policies refuse today.",
        "Give the sources service accounts of their own, or accept the finding with `--accept`.";
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
        assert!(
            CATALOGUE
                .iter()
                .all(|c| c.severity >= Severity::Info && !c.fix.is_empty())
        );
    }
}
