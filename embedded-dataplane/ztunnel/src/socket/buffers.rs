//! Buffers for what sockets have, which come back to the threads that used them.
//!
//! A connection that waits holds none. Bulk goes from one large buffer to the next, and memory that is
//! new to a process for each of them would cost as much as copying it.

use std::cell::RefCell;

/// Octets that a buffer holds: what there is of a bulk transfer goes on in few steps, each of which
/// costs a system call here, another at the other end, and a frame.
pub(crate) const SIZE: usize = 256 << 10;

/// Buffers that a thread keeps while nobody needs them.
const KEPT: usize = 2;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer, which goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    /// An empty one, with room for [`SIZE`] octets.
    pub(crate) fn take() -> Self {
        let mut buffer = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        buffer.reserve_exact(SIZE);
        Self(buffer)
    }

    /// Its octets, to append some to where there is room without more memory.
    pub(crate) fn octets(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        // A thread that ends keeps nothing.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < KEPT {
                spare.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_go_is_taken_again_and_few_are_kept() {
        let mut first = Buffer::take();
        first.octets().extend(b"said before");
        let place = first.as_ref().as_ptr();
        drop(first);
        let mut again = Buffer::take();
        assert_eq!((again.as_ref().as_ptr(), again.as_ref()), (place, &b""[..]));
        assert!(again.octets().capacity() >= SIZE);
        let all: Vec<_> = (0..2 * KEPT).map(|_| Buffer::take()).collect();
        drop((again, all));
        assert_eq!(SPARE.with_borrow(Vec::len), KEPT);
    }
}
