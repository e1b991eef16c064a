//! Splits Rust source into tokens with their lines.
//!
//! Knows comments, strings and lifetimes apart, which is all that text search gets wrong. It must
//! not know what the tokens are checked for.

use std::iter::Peekable;
use std::str::Chars;

/// One token. Comments, doc comments among them, are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// One-based line of its first character.
    pub(crate) line: usize,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a [`Token`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Identifier, keyword or name of a lifetime.
    Word(String),
    /// Number as written, suffix included.
    Number(String),
    /// String or character, without quotes, escapes as written.
    Text(String),
    /// `::`.
    Separator,
    /// Any other character.
    Mark(char),
}

impl Token {
    /// The identifier, if it is one.
    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Whether it is this character.
    pub(crate) fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// All tokens of a source. Source that does not compile gives tokens that mean nothing.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        rest: source.chars().peekable(),
        line: 1,
    };
    std::iter::from_fn(|| lexer.next_token()).collect()
}

struct Lexer<'s> {
    rest: Peekable<Chars<'s>>,
    line: usize,
}

impl Lexer<'_> {
    fn next_token(&mut self) -> Option<Token> {
        loop {
            let line = self.line;
            let kind = match self.bump()? {
                c if c.is_whitespace() => continue,
                '/' if self.rest.peek() == Some(&'/') => {
                    self.take_while(|c| c != '\n');
                    continue;
                }
                '/' if self.rest.peek() == Some(&'*') => {
                    self.skip_block_comment();
                    continue;
                }
                '"' => Kind::Text(self.quoted('"')),
                '\'' => self.character_or_lifetime(),
                ':' if self.rest.peek() == Some(&':') => {
                    self.bump();
                    Kind::Separator
                }
                c if c.is_ascii_digit() => Kind::Number(self.word(c)),
                c if c == '_' || c.is_alphabetic() => self.word_or_prefix(c),
                c => Kind::Mark(c),
            };
            return Some(Token { line, kind });
        }
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(&c) = self.rest.peek()
            && wanted(c)
        {
            self.bump();
            taken.push(c);
        }
        taken
    }

    fn word(&mut self, first: char) -> String {
        let rest = self.take_while(|c| c == '_' || c.is_alphanumeric());
        format!("{first}{rest}")
    }

    fn skip_block_comment(&mut self) {
        self.bump();
        let mut depth = 1;
        while depth > 0 {
            match self.bump() {
                Some('*') if self.rest.peek() == Some(&'/') => {
                    self.bump();
                    depth -= 1;
                }
                Some('/') if self.rest.peek() == Some(&'*') => {
                    self.bump();
                    depth += 1;
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    fn quoted(&mut self, end: char) -> String {
        let mut text = String::new();
        while let Some(c) = self.bump().filter(|&c| c != end) {
            text.push(c);
            if c == '\\' {
                text.extend(self.bump());
            }
        }
        text
    }

    fn character_or_lifetime(&mut self) -> Kind {
        let mut ahead = self.rest.clone();
        let first = ahead.next();
        if first == Some('\\') || ahead.next() == Some('\'') {
            return Kind::Text(self.quoted('\''));
        }
        Kind::Mark('\'')
    }

    /// A word, or the string that begins with it: `b"…"`, `r"…"`, `br#"…"#`, `c"…"`.
    fn word_or_prefix(&mut self, first: char) -> Kind {
        let word = self.word(first);
        let raw = matches!(word.as_str(), "r" | "br" | "cr");
        match self.rest.peek() {
            Some('"') if raw => self.raw(0),
            Some('#') if raw => {
                let hashes = self.take_while(|c| c == '#').len();
                if self.rest.peek() == Some(&'"') {
                    self.raw(hashes)
                } else {
                    let first = self.bump().unwrap_or('_');
                    Kind::Word(self.word(first))
                }
            }
            Some('"') if matches!(word.as_str(), "b" | "c") => {
                self.bump();
                Kind::Text(self.quoted('"'))
            }
            _ => Kind::Word(word),
        }
    }

    fn raw(&mut self, hashes: usize) -> Kind {
        self.bump();
        let end = format!("\"{}", "#".repeat(hashes));
        let mut text = String::new();
        while let Some(c) = self.bump() {
            text.push(c);
            if let Some(inside) = text.strip_suffix(&end) {
                return Kind::Text(inside.to_owned());
            }
        }
        Kind::Text(text)
    }
}
