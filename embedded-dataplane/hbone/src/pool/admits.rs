//! Whether a connection may take new streams, as far as that is not known from HTTP/2.

use std::fmt;

/// What is known of the peer of a connection from below HTTP/2.
pub trait Admits: Clone + fmt::Debug + Send + Sync + 'static {
    /// Whether new streams may still go over the connection, asked for each of them. One that may not
    /// take any ends with those that it has. It is not to wait for anything.
    fn admits(&self) -> bool;
}
