//! Pages, and what is asked of them.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};

/// The pages of one port.
pub struct Site {
    name: &'static str,
    pages: Vec<Page>,
    has_index: bool,
}

struct Page {
    path: &'static str,
    methods: &'static [Method],
    reply: Box<dyn Fn(&Ask<'_>) -> Reply + Send + Sync>,
}

/// What is asked of a page. Bodies are not read.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    is_head: bool,
    query: &'a str,
    headers: &'a HeaderMap,
}

/// What becomes of a question.
pub enum Reply {
    /// It is answered.
    Now(Answer),
    /// It will be, by work that ends by itself, and when it is dropped.
    Later(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

/// What a page answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The type of its body.
    pub content_type: &'static str,
    /// What may be asked instead.
    pub allow: Option<String>,
    /// Its body.
    pub body: Bytes,
}

impl Site {
    /// A site without pages, which the log calls by this name.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            pages: Vec::new(),
            has_index: false,
        }
    }

    /// With one page more. It is answered by a worker, so it must not wait, but may say that its answer
    /// comes later.
    #[must_use]
    pub fn page<R: Into<Reply>>(
        mut self,
        path: &'static str,
        methods: &'static [Method],
        reply: impl Fn(&Ask<'_>) -> R + Send + Sync + 'static,
    ) -> Self {
        self.pages.push(Page {
            path,
            methods,
            reply: Box::new(move |ask| reply(ask).into()),
        });
        self
    }

    /// With the pages of another, for where one port is enough.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.pages.extend(other.pages);
        self
    }

    /// With a list of its pages at `/`.
    #[must_use]
    pub fn with_index(mut self) -> Self {
        self.has_index = true;
        self
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Answers a request.
    pub fn answer(&self, request: &Parts) -> Reply {
        let path = request.uri.path();
        let Some(page) = self.pages.iter().find(|page| page.path == path) else {
            if self.has_index && path == "/" && is_read(&request.method) {
                return Answer::text(StatusCode::OK, self.index()).into();
            }
            return Answer::text(StatusCode::NOT_FOUND, "there is no such page\n").into();
        };
        let is_allowed = |method: &Method| {
            *method == request.method || *method == Method::GET && request.method == Method::HEAD
        };
        if !page.methods.iter().any(is_allowed) {
            let allow = page.methods_text(", ");
            let text = format!("use {}\n", page.methods_text(" or "));
            let answer = Answer::text(StatusCode::METHOD_NOT_ALLOWED, text);
            return Reply::Now(Answer {
                allow: Some(allow),
                ..answer
            });
        }
        (page.reply)(&Ask {
            is_head: request.method == Method::HEAD,
            query: request.uri.query().unwrap_or_default(),
            headers: &request.headers,
        })
    }

    fn index(&self) -> String {
        let pages = self.pages.iter();
        let lines = pages.map(|page| format!("{} {}\n", page.methods_text(" or "), page.path));
        lines.collect()
    }
}

impl Page {
    fn methods_text(&self, between: &str) -> String {
        let methods: Vec<_> = self.methods.iter().map(Method::as_str).collect();
        methods.join(between)
    }
}

impl Ask<'_> {
    /// Whether only the head of the answer is wanted.
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// The types that the client accepts.
    pub fn accept(&self) -> &str {
        let accept = self.headers.get(header::ACCEPT);
        accept
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The first parameter of this name, decoded; empty where it has no value.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key) == name).then(|| decode(value).into_owned())
        })
    }
}

impl Answer {
    /// Plain text.
    pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::of(status, "text/plain; charset=utf-8", body)
    }

    /// A body of some type.
    pub fn of(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type,
            allow: None,
            body: body.into(),
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Now(answer)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(answer) => f.debug_tuple("Now").field(answer).finish(),
            Self::Later(_) => f.debug_tuple("Later").finish_non_exhaustive(),
        }
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.pages.iter().map(|page| page.path).collect();
        f.debug_struct("Site")
            .field("name", &self.name)
            .field("pages", &paths)
            .finish_non_exhaustive()
    }
}

fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// A part of a query with its escapes resolved. What is no escape stays as it is.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => break,
            [b'+', rest @ ..] => {
                octets.push(b' ');
                rest
            }
            [b'%', high, low, after @ ..] if let Some(octet) = escaped(*high, *low) => {
                octets.push(octet);
                after
            }
            [other, rest @ ..] => {
                octets.push(*other);
                rest
            }
        };
    }
    Cow::Owned(String::from_utf8_lossy(&octets).into_owned())
}

fn escaped(high: u8, low: u8) -> Option<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}
