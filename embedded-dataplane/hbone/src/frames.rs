//! The frames of HTTP/2 as they pass by.

/// Octets of a frame's header (RFC 9113, section 4.1).
const HEADER: usize = 9;
/// Octets of a payload that are kept.
const KEPT: usize = 256;
/// Types of frames (RFC 9113, section 6).
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
/// Flag of a SETTINGS frame.
const ACK: u8 = 1;

/// How a peer ends a connection (RFC 9113, section 6.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoAway {
    /// Why: 0 is `NO_ERROR`.
    pub code: u32,
    /// What else the peer said, up to a few hundred octets of it.
    pub debug: Vec<u8>,
}

/// Follows the frames of one direction, without an opinion on them. What is no HTTP/2 is taken for
/// frames of whatever it looks like, and never for more than its octets.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    header: Vec<u8>,
    payload: Vec<u8>,
    /// Octets of the payload still to come.
    left: usize,
    pub(crate) settings: bool,
    pub(crate) goaway: Option<GoAway>,
}

impl Frames {
    pub(crate) fn pass(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            if self.header.len() < HEADER {
                let missing = HEADER - self.header.len();
                let (now, rest) = octets.split_at(missing.min(octets.len()));
                self.header.extend_from_slice(now);
                octets = rest;
                if let [high, middle, low, ..] = self.header[..]
                    && self.header.len() == HEADER
                {
                    self.left =
                        usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                }
            } else {
                let (now, rest) = octets.split_at(self.left.min(octets.len()));
                let room = KEPT.saturating_sub(self.payload.len());
                self.payload.extend_from_slice(&now[..room.min(now.len())]);
                self.left -= now.len();
                octets = rest;
            }
            if self.header.len() == HEADER && self.left == 0 {
                self.end();
            }
        }
    }

    fn end(&mut self) {
        match (self.header[3], self.header[4]) {
            (SETTINGS, flags) if flags & ACK == 0 => self.settings = true,
            (GOAWAY, _) => {
                if let [_, _, _, _, a, b, c, d, debug @ ..] = &self.payload[..] {
                    self.goaway = Some(GoAway {
                        code: u32::from_be_bytes([*a, *b, *c, *d]),
                        debug: debug.to_vec(),
                    });
                }
            }
            _ => {}
        }
        self.header.clear();
        self.payload.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 0]);
        frame.extend(payload);
        frame
    }

    #[test]
    fn frames_are_followed_whatever_pieces_they_come_in() {
        let mut octets = frame(SETTINGS, 0, &[0; 6]);
        octets.extend(frame(0, 0, &[7; 1000]));
        octets.extend(frame(SETTINGS, ACK, &[]));
        octets.extend(frame(GOAWAY, 0, b"\0\0\0\x01\0\0\0\x0btoo much"));
        for size in [1, 2, 8, 9, 10, 1024] {
            let mut frames = Frames::default();
            for piece in octets.chunks(size) {
                frames.pass(piece);
            }
            let goaway = GoAway {
                code: 11,
                debug: b"too much".to_vec(),
            };
            assert_eq!(
                (frames.settings, frames.goaway),
                (true, Some(goaway)),
                "{size}"
            );
        }
    }

    #[test]
    fn an_acknowledgement_and_a_short_farewell_say_nothing() {
        let mut frames = Frames::default();
        frames.pass(&frame(SETTINGS, ACK, &[]));
        frames.pass(&frame(GOAWAY, 0, &[0; 7]));
        assert_eq!((frames.settings, frames.goaway), (false, None));
    }

    #[test]
    fn little_is_kept_of_much() {
        let mut frames = Frames::default();
        frames.pass(&frame(GOAWAY, 0, &vec![1; 100_000]));
        assert_eq!(frames.goaway.unwrap().debug.len(), KEPT - 8);
        assert!(frames.payload.capacity() < 1024);
    }
}
