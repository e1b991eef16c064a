//! Values that are written in a way of their own.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Something made of the fields of a mapping. What is wrong with it as a whole is told where it
/// begins, and not where the list begins that it is in.
#[derive(Debug)]
pub(super) struct Object<F, T> {
    pub(super) made: T,
    fields: PhantomData<F>,
}

impl<'de, F, T> Deserialize<'de> for Object<F, T>
where
    F: Deserialize<'de>,
    T: TryFrom<F, Error: fmt::Display>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<F, T>(PhantomData<(F, T)>);

        impl<'de, F, T> Visitor<'de> for Fields<F, T>
        where
            F: Deserialize<'de>,
            T: TryFrom<F, Error: fmt::Display>,
        {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                let fields = F::deserialize(MapAccessDeserializer::new(map))?;
                T::try_from(fields).map_err(A::Error::custom)
            }
        }

        let made = deserializer.deserialize_map(Fields(PhantomData))?;
        Ok(Self {
            made,
            fields: PhantomData,
        })
    }
}

/// Reads what stands in a text.
pub(super) fn parsed<'de, D, T>(deserializer: D, what: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    struct Text<T>(&'static str, PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Text(what, PhantomData))
}

/// A port as a key, which is a number in YAML and a text in JSON; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port(pub(super) u16);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Port;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port from 1 to 65535")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Port, E> {
                let port = u16::try_from(number).ok().filter(|port| *port != 0);
                let wrong = || E::invalid_value(serde::de::Unexpected::Unsigned(number), &self);
                port.map(Port).ok_or_else(wrong)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Port, E> {
                let wrong = |_| E::invalid_value(serde::de::Unexpected::Str(text), &self);
                text.parse()
                    .map_err(wrong)
                    .and_then(|number| self.visit_u64(number))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

/// An address of a network: `NETWORK/ADDRESS`, `/ADDRESS` where there is one network.
#[derive(Debug)]
pub(super) struct NetworkAddress {
    pub(super) network: String,
    pub(super) address: IpAddr,
}

impl FromStr for NetworkAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = text.split_once('/').and_then(|(network, address)| {
            let address: IpAddr = address.parse().ok()?;
            Some(Self {
                network: network.to_owned(),
                address: address.to_canonical(),
            })
        });
        read.ok_or_else(|| format!("`{text}` is not of the form `NETWORK/ADDRESS` or `/ADDRESS`"))
    }
}

impl<'de> Deserialize<'de> for NetworkAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "NETWORK/ADDRESS")
    }
}

const UNSUPPORTED: &str =
    "this is not supported yet, and without it connections would go where they must not";

/// What is not understood here, and so has to be absent, or empty.
#[derive(Debug, Default)]
pub(super) struct Absent;

impl<'de> Deserialize<'de> for Absent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Nothing;

        impl<'de> Visitor<'de> for Nothing {
            type Value = Absent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("nothing")
            }

            fn visit_unit<E>(self) -> Result<Absent, E> {
                Ok(Absent)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Absent, A::Error> {
                match list.next_element::<IgnoredAny>()? {
                    None => Ok(Absent),
                    Some(_) => Err(A::Error::custom(UNSUPPORTED)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Absent, A::Error> {
                match map.next_entry::<IgnoredAny, IgnoredAny>()? {
                    None => Ok(Absent),
                    Some(_) => Err(A::Error::custom(UNSUPPORTED)),
                }
            }
        }

        deserializer.deserialize_any(Nothing)
    }
}
