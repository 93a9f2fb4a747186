// SPDX-License-Identifier: GPL-2.0-only

//! `key value key value ...`: what all lines of the module have in common.

use crate::LineError;

/// The next word of `rest`, which moves behind it and the blank that follows.
fn word<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|&b| b == b' ').unwrap_or(rest.len());
    let (word, behind) = rest.split_at(end);
    *rest = behind.get(1..).unwrap_or_default();
    word
}

/// The pairs of a line, without its newline.
pub(crate) struct Pairs<'a>(&'a [u8]);

impl<'a> Pairs<'a> {
    pub(crate) fn new(line: &'a [u8]) -> Self {
        Self(line)
    }

    /// The next key, and none at the end of the line.
    pub(crate) fn key(&mut self) -> Option<&'a [u8]> {
        (!self.0.is_empty()).then(|| word(&mut self.0))
    }

    /// The value of the key that was read last.
    pub(crate) fn value(&mut self) -> Result<&'a [u8], LineError> {
        match word(&mut self.0) {
            [] => Err(LineError::Odd),
            value => Ok(value),
        }
    }

    /// The value as a number, of decimal digits alone.
    pub(crate) fn number(&mut self, key: &'static str) -> Result<u64, LineError> {
        let mut rest = self.0;
        let mut number = 0_u64;
        while let [first, behind @ ..] = rest {
            rest = behind;
            let digit = first.wrapping_sub(b'0');
            if digit < 10 {
                number = number
                    .checked_mul(10)
                    .and_then(|number| number.checked_add(digit.into()))
                    .ok_or(LineError::Value(key))?;
            } else if *first == b' ' {
                break;
            } else {
                return Err(LineError::Value(key));
            }
        }
        // At least one digit, in front of a blank or of the end.
        match self.0 {
            [] | [b' ', ..] => Err(LineError::Odd),
            _ => {
                self.0 = rest;
                Ok(number)
            }
        }
    }

    /// The value as a number that fits into 32 bits.
    pub(crate) fn small(&mut self, key: &'static str) -> Result<u32, LineError> {
        u32::try_from(self.number(key)?).map_err(|_| LineError::Value(key))
    }

    /// All that is left, blanks included.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Stores `value` as that of `key`, which must not be there already.
pub(crate) fn once<T>(slot: &mut Option<T>, key: &'static str, value: T) -> Result<(), LineError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(LineError::Repeated(key)),
    }
}

/// What `slot` holds, and an error if the line had no such key.
pub(crate) fn given<T>(slot: Option<T>, key: &'static str) -> Result<T, LineError> {
    slot.ok_or(LineError::Missing(key))
}
