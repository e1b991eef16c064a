//! What one source file names: paths, macros, literals, outside test code.
//!
//! Reads tokens only. Paths are as written in the file, with `use` groups spread out and `super`
//! resolved; paths that a macro puts together and glob re-exports are not seen.

use std::collections::BTreeSet;

use crate::lexer::{Kind, Token, tokens};

/// A source file without its test code.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path from the top of the repository, with `/`.
    pub(crate) file: String,
    /// How many lines the whole file has.
    pub(crate) length: usize,
    /// Paths of two segments and more, and those that start with a crate.
    pub(crate) paths: Vec<Path>,
    /// Names of macros that are called, with lines.
    pub(crate) macros: Vec<(usize, String)>,
    /// Strings and numbers, with lines.
    pub(crate) literals: Vec<(usize, Literal)>,
    /// Files and folders that hold this file's test-only modules, without `.rs`.
    pub(crate) test_modules: BTreeSet<String>,
}

/// A path in code: `crate::model::World` is `["crate", "model", "World"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// One-based line.
    pub(crate) line: usize,
    /// Its segments; `super` and `self` are resolved to `crate`.
    pub(crate) segments: Vec<String>,
}

/// A literal in code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    /// Digits without underscores and suffix.
    Number(String),
    /// The text as written.
    Text(String),
}

impl Source {
    /// Reads a file. `file` starts at the top of the repository; what comes before `src/` is the
    /// crate's folder.
    pub(crate) fn parse(file: &str, text: &str) -> Self {
        let mut source = Self {
            file: file.to_owned(),
            length: text.lines().count(),
            paths: Vec::new(),
            macros: Vec::new(),
            literals: Vec::new(),
            test_modules: BTreeSet::new(),
        };
        let tokens = source.without_tests(&tokens(text));
        source.read_code(&tokens);
        source
    }

    /// The modules from the crate root down to this file.
    pub(crate) fn module_path(&self) -> Vec<String> {
        let inside = self.file.rsplit_once("src/").map_or("", |(_, rest)| rest);
        let mut segments: Vec<_> = inside
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if segments
            .last()
            .is_some_and(|s| matches!(s.as_str(), "mod" | "lib" | "main"))
        {
            segments.pop();
        }
        segments
    }

    /// The folder that the files of this file's child modules lie in.
    fn child_folder(&self) -> String {
        let stem = self.file.trim_end_matches(".rs");
        let own = ["/mod", "/lib", "/main"].iter();
        own.fold(stem, |s, name| s.strip_suffix(name).unwrap_or(s))
            .to_owned()
    }

    /// Drops every item under `#[cfg(test)]`, and notes the modules declared so.
    fn without_tests(&mut self, tokens: &[Token]) -> Vec<Token> {
        let mut kept = Vec::with_capacity(tokens.len());
        let mut rest = tokens;
        while let Some((first, after)) = rest.split_first() {
            let Some(attribute) = attribute(rest) else {
                kept.push(first.clone());
                rest = after;
                continue;
            };
            let (attribute, after) = rest.split_at(attribute);
            if !is_test_only(attribute) {
                kept.extend_from_slice(attribute);
                rest = after;
                continue;
            }
            let (item, after) = after.split_at(item_length(after));
            if let Some(name) = declared_module(item) {
                let child = format!("{}/{name}", self.child_folder());
                self.test_modules.insert(child);
            }
            rest = after;
        }
        kept
    }

    fn read_code(&mut self, tokens: &[Token]) {
        let mut module = self.module_path();
        // For each open brace, whether it is an inline module's.
        let mut braces = Vec::new();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let next = tokens.get(at + 1);
            match &token.kind {
                Kind::Number(number) => {
                    let digits = number.replace('_', "");
                    let digits = digits.trim_end_matches(|c: char| !c.is_ascii_digit());
                    // A suffix ends in digits too: `15008u16`.
                    let digits = digits.split(['u', 'i']).next().unwrap_or_default();
                    let literal = Literal::Number(digits.to_owned());
                    self.literals.push((token.line, literal));
                }
                Kind::Text(text) => {
                    let literal = Literal::Text(text.clone());
                    self.literals.push((token.line, literal));
                }
                Kind::Word(word) if word == "use" => {
                    let tree = &tokens[at + 1..];
                    let length = tree.iter().take_while(|t| !t.is(';')).count();
                    let mut cursor = 0;
                    while cursor < length {
                        let before = cursor;
                        self.read_use(&tree[..length], &mut cursor, &[], &module);
                        // Not a `use` of ours, for example precise capturing.
                        if cursor == before {
                            break;
                        }
                    }
                    at += 1 + cursor;
                    continue;
                }
                Kind::Word(word) if word == "mod" => {
                    if let Some(name) = next.and_then(Token::word)
                        && tokens.get(at + 2).is_some_and(|t| t.is('{'))
                    {
                        module.push(name.to_owned());
                        braces.push(true);
                        at += 2;
                    }
                }
                Kind::Word(word) if next.is_some_and(|t| t.is('!')) => {
                    // `name != …` is a comparison.
                    if !tokens.get(at + 2).is_some_and(|t| t.is('=')) {
                        self.macros.push((token.line, word.clone()));
                    }
                }
                Kind::Word(_) => {
                    let (segments, length) = path(&tokens[at..]);
                    self.push_path(token.line, &segments, &module);
                    // A macro's name is looked at again as such.
                    at += (2 * length).saturating_sub(2);
                    if length > 1 {
                        continue;
                    }
                }
                Kind::Mark('{') => braces.push(false),
                Kind::Mark('}') => {
                    if braces.pop() == Some(true) {
                        module.pop();
                    }
                }
                Kind::Separator | Kind::Mark(_) => {}
            }
            at += 1;
        }
    }

    /// One tree of a `use` declaration: `a::{b, c::D as E}`.
    fn read_use(&mut self, tree: &[Token], at: &mut usize, prefix: &[String], module: &[String]) {
        let mut segments = prefix.to_vec();
        let line = tree.get(*at).map_or(0, |t| t.line);
        while let Some(token) = tree.get(*at) {
            match &token.kind {
                Kind::Word(word) if word == "as" => *at += 1,
                Kind::Word(word) => {
                    if !(word == "self" && segments.len() == prefix.len() && !prefix.is_empty()) {
                        segments.push(word.clone());
                    }
                }
                Kind::Mark('*') => segments.push("*".to_owned()),
                Kind::Separator => {}
                Kind::Mark('{') => {
                    *at += 1;
                    while tree.get(*at).is_some_and(|t| !t.is('}')) {
                        let before = *at;
                        self.read_use(tree, at, &segments, module);
                        if *at == before || tree.get(*at).is_some_and(|t| t.is(',')) {
                            *at += 1;
                        }
                    }
                    *at += 1;
                    return;
                }
                _ => break,
            }
            *at += 1;
        }
        self.push_path(line, &segments, module);
    }

    fn push_path(&mut self, line: usize, written: &[String], module: &[String]) {
        if written.len() < 2 {
            return;
        }
        let ups = written.iter().take_while(|s| *s == "super").count();
        let own = usize::from(written.first().is_some_and(|s| s == "self"));
        let segments = if ups + own > 0 {
            let base = module.len().saturating_sub(ups);
            let rest = written.iter().skip(ups + own);
            let root = std::iter::once("crate".to_owned());
            root.chain(module[..base].iter().cloned())
                .chain(rest.cloned())
                .collect()
        } else {
            written.to_vec()
        };
        self.paths.push(Path { line, segments });
    }
}

/// The length of the attribute that the tokens start with.
fn attribute(tokens: &[Token]) -> Option<usize> {
    let [hash, bracket, ..] = tokens else {
        return None;
    };
    (hash.is('#') && bracket.is('[')).then(|| 1 + group_length(&tokens[1..], '[', ']'))
}

fn is_test_only(attribute: &[Token]) -> bool {
    let words: Vec<_> = attribute.iter().filter_map(Token::word).collect();
    matches!(
        words.as_slice(),
        ["cfg", "test"] | ["cfg", "all", "test", ..]
    )
}

/// The length of the item that the tokens start with, further attributes included.
fn item_length(tokens: &[Token]) -> usize {
    let mut at = 0;
    while let Some(length) = attribute(&tokens[at..]) {
        at += length;
    }
    while let Some(token) = tokens.get(at) {
        if token.is('{') {
            return at + group_length(&tokens[at..], '{', '}');
        }
        at += 1;
        if token.is(';') {
            break;
        }
    }
    at
}

/// The length of the bracketed group that the tokens start with.
fn group_length(tokens: &[Token], open: char, close: char) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        if token.is(open) {
            depth += 1;
        } else if token.is(close) {
            depth -= 1;
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// The name in `mod name;`.
fn declared_module(item: &[Token]) -> Option<&str> {
    let (end, rest) = item.split_last()?;
    let [.., keyword, name] = rest else {
        return None;
    };
    (end.is(';') && keyword.word() == Some("mod"))
        .then(|| name.word())
        .flatten()
}

/// The path that the tokens start with, and how many segments of it there are.
fn path(tokens: &[Token]) -> (Vec<String>, usize) {
    let mut segments: Vec<String> = tokens[0].word().map(str::to_owned).into_iter().collect();
    let mut rest = &tokens[1..];
    while let [separator, next, after @ ..] = rest
        && separator.kind == Kind::Separator
        && let Some(word) = next.word()
    {
        segments.push(word.to_owned());
        rest = after;
    }
    let length = segments.len();
    (segments, length)
}
