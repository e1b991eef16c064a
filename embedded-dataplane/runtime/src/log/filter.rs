//! Which events are logged: a level for everything, and others for parts.

use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;

/// The most parts that have a level of their own.
const MOST: usize = 64;

/// What the scope of our own modules begins with, and is not shown.
const OURS: &str = "ambient_";

/// Which events are logged, as text like `info,access=debug,hbone::pool=off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    all: LevelFilter,
    /// Sorted; the longest that a scope begins with decides.
    parts: Vec<(String, LevelFilter)>,
}

/// A text that is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No such level.
    #[error("`{0}` is no level: use `off`, `error`, `warn`, `info`, `debug` or `trace`")]
    Level(String),
    /// A part without a name, or with one that no module has.
    #[error("`{0}` has a level and no scope before it: write `SCOPE=LEVEL`")]
    Scope(String),
    /// Too many parts.
    #[error("more than {MOST} scopes have a level of their own")]
    Many,
}

impl Filter {
    /// Everything at this level.
    pub fn of(all: LevelFilter) -> Self {
        let parts = Vec::new();
        Self { all, parts }
    }

    /// This filter, where another says nothing else.
    ///
    /// # Errors
    ///
    /// When it is too long then.
    pub fn with(&self, text: &str) -> Result<Self, FilterError> {
        let mut filter = self.clone();
        for clause in text.split(',').map(str::trim).filter(|c| !c.is_empty()) {
            // Both separators are in use: `=` in variables, `:` by istioctl. A scope may hold `::`.
            match clause.rsplit_once(['=', ':']) {
                None => filter.all = level(clause)?,
                Some((scope, level_text)) => {
                    let scope = scope.trim();
                    let scope = shown(scope);
                    if !is_scope(scope) {
                        return Err(FilterError::Scope(clause.to_owned()));
                    }
                    filter.set(scope, level(level_text.trim())?)?;
                }
            }
        }
        Ok(filter)
    }

    /// The level of a scope.
    pub fn level(&self, scope: &str) -> LevelFilter {
        let scope = shown(scope);
        let matching = self.parts.iter().rev().find(|(part, _)| {
            let rest = scope.strip_prefix(part.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        });
        matching.map_or(self.all, |(_, level)| *level)
    }

    /// The scopes that have a level of their own.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|(scope, _)| scope.as_str())
    }

    /// The highest level of any scope.
    pub fn most(&self) -> LevelFilter {
        let parts = self.parts.iter().map(|(_, level)| *level);
        parts.fold(self.all, std::cmp::max)
    }

    fn set(&mut self, part: &str, level: LevelFilter) -> Result<(), FilterError> {
        match self
            .parts
            .binary_search_by(|(name, _)| name.as_str().cmp(part))
        {
            Ok(at) => {
                if let Some(entry) = self.parts.get_mut(at) {
                    entry.1 = level;
                }
            }
            Err(_) if self.parts.len() >= MOST => return Err(FilterError::Many),
            Err(at) => self.parts.insert(at, (part.to_owned(), level)),
        }
        Ok(())
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::of(LevelFilter::INFO)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::default().with(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.all)?;
        for (part, level) in &self.parts {
            write!(f, ",{part}={level}")?;
        }
        Ok(())
    }
}

/// A scope as it is shown.
pub(super) fn shown(scope: &str) -> &str {
    scope.trim_start_matches(OURS)
}

/// Whether a text could be the path of a module, or another target of events.
fn is_scope(text: &str) -> bool {
    let is_name = |name: &str| {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        !name.is_empty() && name.chars().all(is_part)
    };
    text.split("::").all(is_name)
}

fn level(text: &str) -> Result<LevelFilter, FilterError> {
    const LEVELS: [(&str, LevelFilter); 6] = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    let found = LEVELS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map_or_else(
        || Err(FilterError::Level(text.to_owned())),
        |(_, level)| Ok(*level),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Filter {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_scope_decides_and_whole_names_match() {
        let filter = parse("warn,ztunnel=info,ztunnel::relay=trace,access=off");
        for (scope, level) in [
            ("h2::proto", LevelFilter::WARN),
            ("ambient_ztunnel::listen", LevelFilter::INFO),
            ("ambient_ztunnel::relay", LevelFilter::TRACE),
            ("ztunnel::relay::copy", LevelFilter::TRACE),
            ("ztunnel::relays", LevelFilter::INFO),
            ("ztunnels", LevelFilter::WARN),
            ("access", LevelFilter::OFF),
        ] {
            assert_eq!(filter.level(scope), level, "{scope}");
        }
        assert_eq!(filter.most(), LevelFilter::TRACE);
    }

    #[test]
    fn filters_add_up_and_are_shown_as_they_are_written() {
        let filter = parse("debug, access:error ,hbone::pool:trace,ambient_identity=off,");
        assert_eq!(
            filter.to_string(),
            "debug,access=error,hbone::pool=trace,identity=off"
        );
        assert_eq!(parse(&filter.to_string()), filter);
        let filter = filter.with("access=WARN,info").unwrap();
        assert_eq!(
            filter.to_string(),
            "info,access=warn,hbone::pool=trace,identity=off"
        );
        assert_eq!(parse("").to_string(), "info");
    }

    #[test]
    fn what_is_no_filter_is_said() {
        let of = |text: &str| text.parse::<Filter>().unwrap_err().to_string();
        assert_eq!(
            of("loud"),
            "`loud` is no level: use `off`, `error`, `warn`, `info`, `debug` or `trace`"
        );
        assert_eq!(
            of("hbone::pool"),
            "`hbone::pool` has a level and no scope before it: write `SCOPE=LEVEL`"
        );
        assert_eq!(
            of("=info"),
            "`=info` has a level and no scope before it: write `SCOPE=LEVEL`"
        );
        for scope in ["a b", "a::", "::a", "a:b", "a%", "a\"", "ambient_"] {
            let clause = format!("{scope}=info");
            assert!(of(&clause).starts_with(&format!("`{clause}` has a level")));
        }
        let many: Vec<_> = (0..=MOST).map(|n| format!("scope{n}=info")).collect();
        assert_eq!(
            of(&many.join(",")),
            "more than 64 scopes have a level of their own"
        );
    }
}
