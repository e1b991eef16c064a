//! Messages of protocol buffers, as far as they can be read without knowing what they mean.

/// A field of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A number.
    Number(u64),
    /// A text, a message, or numbers one after the other.
    Octets(Vec<u8>),
}

impl Field {
    /// What it has, where it is a text.
    pub fn text(&self) -> String {
        match self {
            Self::Octets(octets) => String::from_utf8(octets.clone()).unwrap(),
            Self::Number(number) => panic!("{number} is no text"),
        }
    }

    /// What it has, where it is a number.
    pub fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Octets(octets) => panic!("{octets:?} is no number"),
        }
    }

    /// The fields of the message that it is.
    pub fn fields(&self) -> Vec<(u64, Self)> {
        match self {
            Self::Octets(octets) => fields(octets),
            Self::Number(number) => panic!("{number} is no message"),
        }
    }

    /// The numbers that it has.
    pub fn numbers(&self) -> Vec<u64> {
        match self {
            Self::Octets(octets) => {
                let mut octets = &octets[..];
                std::iter::from_fn(|| (!octets.is_empty()).then(|| varint(&mut octets))).collect()
            }
            Self::Number(number) => vec![*number],
        }
    }
}

/// The fields of a message with their numbers, in its order.
pub fn fields(mut message: &[u8]) -> Vec<(u64, Field)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let field = match key & 7 {
            0 => Field::Number(varint(&mut message)),
            2 => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                let (octets, rest) = message.split_at(length);
                message = rest;
                Field::Octets(octets.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, field));
    }
    fields
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (octet, rest) = message.split_first().unwrap();
        *message = rest;
        value |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            break;
        }
    }
    value
}
