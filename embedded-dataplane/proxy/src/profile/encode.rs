//! The form of pprof (google/pprof `proto/profile.proto`): protocol buffers in gzip.
//!
//! Written by hand: of its messages these few fields are used, which needs no generator.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Where time was spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) stacks: Vec<Stack>,
    /// Since the beginning of 1970.
    pub(super) begun: Duration,
    pub(super) lasted: Duration,
    /// The processor's time between two samples.
    pub(super) period: Duration,
}

/// What a thread was at in some of the samples.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stack {
    pub(super) thread: String,
    /// The last one called first; of those that are at one place the innermost first.
    pub(super) calls: Vec<Vec<Function>>,
    pub(super) samples: u64,
}

/// A function, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) symbol: String,
    pub(super) file: String,
    pub(super) line: u32,
}

/// Fields of `Profile`.
mod profile {
    pub(super) const SAMPLE_TYPE: u32 = 1;
    pub(super) const SAMPLE: u32 = 2;
    pub(super) const LOCATION: u32 = 4;
    pub(super) const FUNCTION: u32 = 5;
    pub(super) const STRING: u32 = 6;
    pub(super) const TIME: u32 = 9;
    pub(super) const DURATION: u32 = 10;
    pub(super) const PERIOD_TYPE: u32 = 11;
    pub(super) const PERIOD: u32 = 12;
}

/// Fields of `Sample`.
mod sample {
    pub(super) const LOCATION: u32 = 1;
    pub(super) const VALUE: u32 = 2;
    pub(super) const LABEL: u32 = 3;
}

/// How a field is encoded (protocol buffers encoding, "Message Structure").
const VARINT: u64 = 0;
const DELIMITED: u64 = 2;

impl Profile {
    /// As a message of protocol buffers.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut tables = Tables::default();
        let mut message = Message::default();
        let samples = tables.kind("samples", "count");
        let time = tables.kind("cpu", "nanoseconds");
        message.within(profile::SAMPLE_TYPE, &samples);
        message.within(profile::SAMPLE_TYPE, &time);
        for stack in &self.stacks {
            let sample = tables.sample(stack, self.period);
            message.within(profile::SAMPLE, &sample);
        }
        message.octets.extend(&tables.locations.message.octets);
        message.octets.extend(&tables.functions.message.octets);
        message.octets.extend(&tables.strings.message.octets);
        message.number(profile::TIME, nanoseconds(self.begun));
        message.number(profile::DURATION, nanoseconds(self.lasted));
        message.within(profile::PERIOD_TYPE, &time);
        message.number(profile::PERIOD, nanoseconds(self.period));
        message.octets
    }
}

/// # Errors
///
/// None in memory.
pub(super) fn gzip(octets: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(octets)?;
    encoder.finish()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What is there once and named by a number.
struct Table<K> {
    numbers: BTreeMap<K, u64>,
    message: Message,
}

struct Tables {
    strings: Table<String>,
    /// By name, symbol and file.
    functions: Table<[u64; 3]>,
    /// By functions and lines.
    locations: Table<Vec<(u64, u32)>>,
}

impl Default for Tables {
    fn default() -> Self {
        let mut tables = Self {
            strings: Table::default(),
            functions: Table::default(),
            locations: Table::default(),
        };
        // The first is always this one.
        tables.string("");
        tables
    }
}

impl Tables {
    fn string(&mut self, text: &str) -> u64 {
        let (number, is_new) = self.strings.number(text.to_owned());
        if is_new {
            let message = &mut self.strings.message;
            message.delimited(profile::STRING, text.as_bytes());
        }
        // From 0 on, where functions and locations are counted from 1.
        number - 1
    }

    /// A `ValueType`.
    fn kind(&mut self, kind: &str, unit: &str) -> Message {
        let mut message = Message::default();
        message.number(1, self.string(kind));
        message.number(2, self.string(unit));
        message
    }

    /// A `Sample` with a `Label` for its thread.
    fn sample(&mut self, stack: &Stack, period: Duration) -> Message {
        let locations = stack.calls.iter().map(|call| self.location(call));
        let locations: Vec<_> = locations.collect();
        let time = nanoseconds(period).saturating_mul(stack.samples);
        let mut label = Message::default();
        label.number(1, self.string("thread"));
        label.number(2, self.string(&stack.thread));
        let mut message = Message::default();
        message.packed(sample::LOCATION, &locations);
        message.packed(sample::VALUE, &[stack.samples, time]);
        message.within(sample::LABEL, &label);
        message
    }

    /// A `Location` with a `Line` for each function.
    fn location(&mut self, call: &[Function]) -> u64 {
        let lines = call.iter().map(|each| (self.function(each), each.line));
        let lines: Vec<_> = lines.collect();
        let (number, is_new) = self.locations.number(lines.clone());
        if is_new {
            let mut message = Message::default();
            message.number(1, number);
            for (function, line) in lines {
                let mut within = Message::default();
                within.number(1, function);
                within.number(2, line.into());
                message.within(4, &within);
            }
            self.locations.message.within(profile::LOCATION, &message);
        }
        number
    }

    /// A `Function`.
    fn function(&mut self, function: &Function) -> u64 {
        let texts = [&function.name, &function.symbol, &function.file];
        let texts = texts.map(|text| self.string(text));
        let (number, is_new) = self.functions.number(texts);
        if is_new {
            let [name, symbol, file] = texts;
            let mut message = Message::default();
            for (field, value) in [(1, number), (2, name), (3, symbol), (4, file)] {
                message.number(field, value);
            }
            self.functions.message.within(profile::FUNCTION, &message);
        }
        number
    }
}

impl<K: Ord> Table<K> {
    /// Its number, from 1 on, and whether it is new.
    fn number(&mut self, key: K) -> (u64, bool) {
        let next = self.numbers.len() as u64 + 1;
        let number = *self.numbers.entry(key).or_insert(next);
        (number, number == next)
    }
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self {
            numbers: BTreeMap::new(),
            message: Message::default(),
        }
    }
}

/// A message, or fields of one.
#[derive(Default)]
struct Message {
    octets: Vec<u8>,
}

impl Message {
    /// A number, which is left out where it is 0, as that is what is read then.
    fn number(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.varint(u64::from(field) << 3 | VARINT);
            self.varint(value);
        }
    }

    fn within(&mut self, field: u32, message: &Self) {
        self.delimited(field, &message.octets);
    }

    fn packed(&mut self, field: u32, values: &[u64]) {
        let mut all = Self::default();
        for value in values {
            all.varint(*value);
        }
        self.within(field, &all);
    }

    fn delimited(&mut self, field: u32, octets: &[u8]) {
        self.varint(u64::from(field) << 3 | DELIMITED);
        self.varint(octets.len() as u64);
        self.octets.extend(octets);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.octets.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.octets.push(value.to_le_bytes()[0]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use ambient_testkit::protobuf::{Field, fields};

    use super::*;

    fn function(name: &str, line: u32) -> Function {
        Function {
            name: name.to_owned(),
            symbol: format!("_{name}"),
            file: "relay.rs".to_owned(),
            line,
        }
    }

    /// A field as a line.
    fn line((number, field): &(u64, Field)) -> String {
        let each = |field: &Field| -> String {
            let fields = field.fields();
            let values = fields.iter().map(|(number, field)| match field {
                Field::Number(value) => format!("{number}: {value}"),
                Field::Octets(_) if *number == 3 || *number == 4 => {
                    let within = field.fields();
                    let within = within.iter().map(|(n, field)| (*n, field.number()));
                    format!("{number}: {:?}", within.collect::<Vec<_>>())
                }
                Field::Octets(_) => format!("{number}: {:?}", field.numbers()),
            });
            values.collect::<Vec<_>>().join(", ")
        };
        match (number, field) {
            (6, text) => format!("6 {:?}", text.text()),
            (_, Field::Number(value)) => format!("{number} {value}"),
            _ => format!("{number} {{{}}}", each(field)),
        }
    }

    #[test]
    fn a_profile_names_each_place_once() {
        let (read, write) = (function("read", 0), function("write", 7));
        let both = vec![read.clone(), write.clone()];
        let stack = |thread: &str, calls: &[Vec<Function>], samples| Stack {
            thread: thread.to_owned(),
            calls: calls.to_vec(),
            samples,
        };
        let profile = Profile {
            stacks: vec![
                stack("admin", &[vec![read.clone()], both.clone()], 300),
                stack("log", &[both, vec![write], vec![read]], 1),
            ],
            begun: Duration::from_nanos(5),
            lasted: Duration::from_secs(1),
            period: Duration::from_millis(10),
        };
        let packed = gzip(&profile.encode()).unwrap();
        let mut message = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
        decoder.read_to_end(&mut message).unwrap();
        let lines: Vec<_> = fields(&message).iter().map(line).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        1 {1: 1, 2: 2}
        1 {1: 3, 2: 4}
        2 {1: [1, 2], 2: [300, 3000000000], 3: [(1, 10), (2, 11)]}
        2 {1: [2, 3, 1], 2: [1, 10000000], 3: [(1, 10), (2, 12)]}
        4 {1: 1, 4: [(1, 1)]}
        4 {1: 2, 4: [(1, 1)], 4: [(1, 2), (2, 7)]}
        4 {1: 3, 4: [(1, 2), (2, 7)]}
        5 {1: 1, 2: 5, 3: 6, 4: 7}
        5 {1: 2, 2: 8, 3: 9, 4: 7}
        6 ""
        6 "samples"
        6 "count"
        6 "cpu"
        6 "nanoseconds"
        6 "read"
        6 "_read"
        6 "relay.rs"
        6 "write"
        6 "_write"
        6 "thread"
        6 "admin"
        6 "log"
        9 5
        10 1000000000
        11 {1: 3, 2: 4}
        12 10000000
        "#);
    }
}
