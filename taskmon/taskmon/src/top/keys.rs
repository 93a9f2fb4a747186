// SPDX-License-Identifier: GPL-2.0-only

//! From the bytes of a terminal to keys. Nothing here reads or writes anything.

/// A key, as far as one is of use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// What types this character.
    Char(char),
    /// Control and this letter.
    Control(char),
    Up,
    Down,
    Left,
    Right,
    /// Left with Shift, Alt or Control.
    FarLeft,
    /// Right with Shift, Alt or Control.
    FarRight,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    Delete,
    /// F1 to F12.
    Function(u8),
}

/// No sequence is longer; of one that is, the rest counts as typed.
const LONGEST: usize = 32;
const ESC: u8 = 0x1b;

/// Puts sequences together that may come in pieces.
#[derive(Debug, Default)]
pub struct Decoder {
    held: Vec<u8>,
}

/// What the beginning of some bytes is.
enum Begin {
    /// So many bytes, which are this key, or none that is known.
    Is(usize, Option<Key>),
    /// More must come.
    Open,
}

impl Decoder {
    /// Takes what was read, and gives the keys in it.
    pub fn take(&mut self, bytes: &[u8], mut give: impl FnMut(Key)) {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            match begin(rest) {
                Begin::Open if rest.len() < LONGEST => break,
                Begin::Open => {
                    // Not a sequence after all.
                    rest = rest.get(1..).unwrap_or_default();
                }
                Begin::Is(length, key) => {
                    key.into_iter().for_each(&mut give);
                    rest = rest.get(length..).unwrap_or_default();
                }
            }
        }
        self.held = rest.to_vec();
    }

    /// Whether a sequence is open: Escape alone, or the first part of something else, which a moment tells.
    pub fn is_open(&self) -> bool {
        !self.held.is_empty()
    }

    /// The moment has passed: an Escape was Escape itself.
    pub fn end(&mut self, mut give: impl FnMut(Key)) {
        if let Some((&ESC, rest)) = std::mem::take(&mut self.held).split_first() {
            give(Key::Escape);
            // What came behind it was typed, or is the rest of something unknown, which is no key.
            if !matches!(rest.first(), None | Some(b'[' | b'O')) {
                self.take(rest, give);
            }
        }
    }
}

fn begin(bytes: &[u8]) -> Begin {
    let Some(&first) = bytes.first() else { return Begin::Open };
    let one = |key| Begin::Is(1, Some(key));
    match first {
        ESC => match bytes.get(1) {
            None => Begin::Open,
            Some(b'[') => control_sequence(bytes),
            Some(b'O') => match bytes.get(2) {
                None => Begin::Open,
                Some(&last) => Begin::Is(3, letter(last, false)),
            },
            // Two in a row, or Alt and a key, which here is that key.
            Some(_) => one(Key::Escape),
        },
        b'\r' | b'\n' => one(Key::Enter),
        0x08 | 0x7f => one(Key::Backspace),
        b'\t' => Begin::Is(1, None),
        1..=26 => one(Key::Control(char::from(first - 1 + b'a'))),
        0..=31 => Begin::Is(1, None),
        _ => character(bytes),
    }
}

/// `ESC [ parameters letter`
fn control_sequence(bytes: &[u8]) -> Begin {
    let inner = bytes.get(2..).unwrap_or_default();
    let Some(end) = inner.iter().position(|byte| !(0x20..0x40).contains(byte)) else { return Begin::Open };
    let (parameters, last) = inner.split_at(end);
    let last = last.first().copied().unwrap_or_default();
    // The Linux console's F1 to F5: ESC [ [ A.
    if last == b'[' && parameters.is_empty() {
        return match inner.get(1) {
            None => Begin::Open,
            Some(&f @ b'A'..=b'E') => Begin::Is(4, Some(Key::Function(f - b'A' + 1))),
            Some(_) => Begin::Is(4, None),
        };
    }
    // Something else begins.
    if !(0x40..0x7f).contains(&last) {
        return Begin::Is(2 + end, None);
    }
    let mut numbers = parameters
        .split(|&byte| byte == b';')
        .map(|digits| std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u8>().ok()).unwrap_or(1));
    let number = numbers.next().unwrap_or(1);
    let far = numbers.next().unwrap_or(1) > 1;
    let key = match last {
        b'~' => match number {
            1 | 7 => Some(Key::Home),
            4 | 8 => Some(Key::End),
            3 => Some(Key::Delete),
            5 => Some(Key::PageUp),
            6 => Some(Key::PageDown),
            11..=15 => Some(Key::Function(number - 10)),
            17..=21 => Some(Key::Function(number - 11)),
            23..=24 => Some(Key::Function(number - 12)),
            _ => None,
        },
        last => letter(last, far),
    };
    Begin::Is(2 + end + 1, key)
}

fn letter(last: u8, far: bool) -> Option<Key> {
    Some(match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' if far => Key::FarRight,
        b'D' if far => Key::FarLeft,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'M' => Key::Enter,
        b'P'..=b'S' => Key::Function(last - b'P' + 1),
        _ => return None,
    })
}

fn character(bytes: &[u8]) -> Begin {
    let length = match bytes.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    let here = bytes.get(..length.min(bytes.len())).unwrap_or_default();
    match std::str::from_utf8(here) {
        Ok(text) => Begin::Is(length, text.chars().next().map(Key::Char)),
        Err(e) if e.error_len().is_none() => Begin::Open,
        Err(_) => Begin::Is(1, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(pieces: &[&[u8]]) -> Vec<Key> {
        let (mut decoder, mut keys) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.take(piece, |key| keys.push(key));
        }
        while decoder.is_open() {
            decoder.end(|key| keys.push(key));
        }
        keys
    }

    #[test]
    fn sequences() {
        for (bytes, key) in [
            (&b"q"[..], Key::Char('q')),
            (b"\xc3\xa9", Key::Char('é')),
            (b"\x03", Key::Control('c')),
            (b"\r", Key::Enter),
            (b"\x7f", Key::Backspace),
            (b"\x1b", Key::Escape),
            (b"\x1b[A", Key::Up),
            (b"\x1bOA", Key::Up),
            (b"\x1b[D", Key::Left),
            (b"\x1b[1;2D", Key::FarLeft),
            (b"\x1b[1;5C", Key::FarRight),
            (b"\x1b[H", Key::Home),
            (b"\x1b[4~", Key::End),
            (b"\x1b[5~", Key::PageUp),
            (b"\x1b[3~", Key::Delete),
            (b"\x1bOP", Key::Function(1)),
            (b"\x1b[[A", Key::Function(1)),
            (b"\x1b[21~", Key::Function(10)),
        ] {
            assert_eq!(keys(&[bytes]), [key], "{bytes:?}");
            // In pieces, too.
            let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(keys(&pieces), [key], "{bytes:?}, byte by byte");
        }
    }

    #[test]
    fn several_and_unknown_ones() {
        assert_eq!(keys(&[b"a\x1b[Bb"]), [Key::Char('a'), Key::Down, Key::Char('b')]);
        assert_eq!(keys(&[b"\x1b\x1b[A"]), [Key::Escape, Key::Up]);
        assert_eq!(keys(&[b"\x1bq"]), [Key::Escape, Key::Char('q')]);
        assert_eq!(keys(&[b"\x1b[99~\x1b[?1;2cx"]), [Key::Char('x')], "what is unknown is no key");
        assert_eq!(keys(&[b"\x1b[\x1b[A"]), [Key::Up]);
        assert_eq!(keys(&[b"\xff\xc3x"]), [Key::Char('x')]);
        assert_eq!(keys(&[b"\0\t"]), []);
    }

    proptest! {
        #[test]
        fn whatever_comes(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8)) {
            let mut decoder = Decoder::default();
            for piece in &pieces {
                decoder.take(piece, |_| {});
                prop_assert!(decoder.held.len() < LONGEST);
            }
            decoder.end(|_| {});
        }
    }
}
