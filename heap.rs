// SPDX-License-Identifier: GPL-2.0

//! A heap: what has the smallest key first.

use kernel::prelude::*;

/// Values with keys, of which the one with the smallest key is at hand.
pub(crate) struct Heap<T> {
    /// No item has a smaller key than the one at half its place, counted from 1.
    items: KVVec<(u64, T)>,
}

impl<T> Heap<T> {
    /// Makes an empty heap.
    pub(crate) fn new() -> Self {
        Self {
            items: KVVec::new(),
        }
    }

    /// Makes room for `len` items in all. Context: may sleep. Errors: `ENOMEM`.
    pub(crate) fn make_room(&mut self, len: usize) -> Result {
        let more = len.saturating_sub(self.items.len());
        Ok(self.items.reserve(more, GFP_KERNEL)?)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
    }

    /// The smallest key, and its value.
    pub(crate) fn first(&self) -> Option<&(u64, T)> {
        self.items.first()
    }

    /// Puts an item in, if there is room. Costs the logarithm of the number of items.
    pub(crate) fn push(&mut self, key: u64, value: T) -> Result {
        self.items
            .push_within_capacity((key, value))
            .map_err(|_| ENOSPC)?;
        let mut at = self.items.len().saturating_sub(1);
        while at > 0 {
            let above = (at - 1) / 2;
            if self.key(above) <= self.key(at) {
                break;
            }
            self.items.swap(at, above);
            at = above;
        }
        Ok(())
    }

    /// Takes out the item with the smallest key. Costs the logarithm of the number of items.
    pub(crate) fn pop(&mut self) -> Option<(u64, T)> {
        let last = self.items.len().checked_sub(1)?;
        self.items.swap(0, last);
        let first = self.items.pop();
        self.sink();
        first
    }

    /// Gives the first item another key. Costs the logarithm of the number of items.
    pub(crate) fn rekey(&mut self, key: u64) {
        if let Some(first) = self.items.first_mut() {
            first.0 = key;
        }
        self.sink();
    }

    /// Lets the first item sink to where it belongs.
    fn sink(&mut self) {
        let mut at: usize = 0;
        loop {
            // Far from overflow: these are places in memory.
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let below = if self.key(right) < self.key(left) {
                right
            } else {
                left
            };
            if self.key(below) >= self.key(at) {
                break;
            }
            self.items.swap(at, below);
            at = below;
        }
    }

    /// The key at a place; behind the last, one that is not smaller than any.
    fn key(&self, at: usize) -> u64 {
        self.items.get(at).map_or(u64::MAX, |item| item.0)
    }
}
