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

    /// Makes room for `len` items in all, which is charged to the memory cgroup of the current task. If there
    /// was room for more than four times as many, gives it back.
    /// Context: may sleep. Errors: `ENOMEM`.
    pub(crate) fn make_room(&mut self, len: usize) -> Result {
        if self.items.capacity() / 4 > len {
            // If it cannot be given back now, it will be tried again.
            let _ = self.items.shrink_to(len, GFP_KERNEL_ACCOUNT);
        }
        let more = len.saturating_sub(self.items.len());
        Ok(self.items.reserve(more, GFP_KERNEL_ACCOUNT)?)
    }

    /// Returns the bytes that are allocated for items.
    pub(crate) fn bytes(&self) -> usize {
        self.items
            .capacity()
            .saturating_mul(core::mem::size_of::<(u64, T)>())
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

    /// Puts an item in if there are less than `most`, and room; else in the place of the one with the
    /// smallest key, if that is smaller. Returns whether it is in. Costs the logarithm of the number of items.
    pub(crate) fn keep_largest(&mut self, most: usize, key: u64, value: T) -> bool {
        if self.items.len() < most {
            return self.push(key, value).is_ok();
        }
        match self.items.first_mut() {
            Some(first) if first.0 < key => {
                *first = (key, value);
                self.sink();
                true
            }
            _ => false,
        }
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

#[kunit_tests(taskmonitor_heap)]
mod tests {
    use super::*;

    use crate::testing::Random;

    /// A heap of these keys, each with its own place as the value.
    fn heap(keys: &[u64]) -> Result<Heap<usize>> {
        let mut heap = Heap::new();
        heap.make_room(keys.len())?;
        for (place, key) in keys.iter().enumerate() {
            heap.push(*key, place)?;
        }
        Ok(heap)
    }

    /// Whether these keys, and no others, come out, in this order.
    fn gives(heap: &mut Heap<usize>, keys: &[u64]) -> bool {
        keys.iter()
            .all(|key| heap.pop().is_some_and(|(popped, _)| popped == *key))
            && heap.pop().is_none()
    }

    #[test]
    fn an_empty_heap_has_nothing() {
        let mut heap: Heap<usize> = Heap::new();
        assert_eq!(heap.len(), 0);
        assert!(heap.first().is_none());
        assert!(heap.pop().is_none());
        heap.rekey(5);
        heap.clear();
        assert_eq!(heap.len(), 0);
        assert!(heap.first().is_none());
    }

    #[test]
    fn keys_come_out_in_order() -> Result {
        let mut heap = heap(&[5, 3, 8, 1, 9, 2, 7])?;
        assert_eq!(heap.len(), 7);
        assert!(gives(&mut heap, &[1, 2, 3, 5, 7, 8, 9]));
        assert_eq!(heap.len(), 0);
        Ok(())
    }

    #[test]
    fn a_value_stays_with_its_key() -> Result {
        let mut heap = heap(&[30, 10, 20])?;
        assert_eq!(heap.first(), Some(&(10, 1)));
        assert_eq!(heap.pop(), Some((10, 1)));
        assert_eq!(heap.pop(), Some((20, 2)));
        assert_eq!(heap.pop(), Some((30, 0)));
        Ok(())
    }

    #[test]
    fn equal_and_extreme_keys_all_come_out() -> Result {
        const LAST: u64 = u64::MAX;

        let mut heap = heap(&[LAST, 0, 4, LAST, 4, 0, 4, LAST])?;
        assert!(gives(&mut heap, &[0, 0, 4, 4, 4, LAST, LAST, LAST]));
        Ok(())
    }

    #[test]
    fn without_room_nothing_goes_in() -> Result {
        let mut heap = Heap::new();
        assert_eq!(heap.push(1, ()), Err(ENOSPC));
        assert_eq!(heap.len(), 0);
        heap.make_room(3)?;
        let mut pushed: u64 = 0;
        while heap.push(100 - pushed, ()).is_ok() {
            pushed += 1;
        }
        assert!(pushed >= 3);
        assert_eq!(heap.push(0, ()), Err(ENOSPC));
        // What is in has not changed.
        assert_eq!(heap.len() as u64, pushed);
        assert_eq!(heap.first(), Some(&(101 - pushed, ())));
        Ok(())
    }

    #[test]
    fn room_counts_what_is_in() -> Result {
        let mut heap = heap(&[4, 6])?;
        heap.make_room(1)?;
        heap.make_room(4)?;
        assert_eq!(heap.push(5, 2), Ok(()));
        assert_eq!(heap.push(3, 3), Ok(()));
        assert!(gives(&mut heap, &[3, 4, 5, 6]));
        Ok(())
    }

    #[test]
    fn room_for_many_more_is_given_back() -> Result {
        let mut heap = heap(&[6])?;
        heap.make_room(1000)?;
        let bytes = heap.bytes();
        heap.make_room(300)?;
        assert_eq!(heap.bytes(), bytes);
        heap.make_room(100)?;
        assert!(heap.bytes() < bytes / 4);
        assert!(gives(&mut heap, &[6]));
        Ok(())
    }

    #[test]
    fn clearing_keeps_the_room() -> Result {
        let mut heap = heap(&[4, 6])?;
        heap.clear();
        assert_eq!(heap.len(), 0);
        assert_eq!(heap.push(2, 0), Ok(()));
        assert_eq!(heap.push(1, 1), Ok(()));
        assert!(gives(&mut heap, &[1, 2]));
        Ok(())
    }

    #[test]
    fn another_key_moves_the_first() -> Result {
        let mut heap = heap(&[1, 4, 6])?;
        heap.rekey(5);
        assert_eq!(heap.first(), Some(&(4, 1)));
        heap.rekey(3);
        assert_eq!(heap.first(), Some(&(3, 1)));
        heap.rekey(u64::MAX);
        assert_eq!(heap.first(), Some(&(5, 0)));
        assert!(gives(&mut heap, &[5, 6, u64::MAX]));
        Ok(())
    }

    /// Against a list that is searched for its smallest key.
    #[test]
    fn it_does_what_a_list_would() -> Result {
        let mut random = Random::new();
        let mut heap = Heap::new();
        let mut list: KVec<(u64, u64)> = KVec::new();
        heap.make_room(50)?;
        for value in 0..10_000 {
            let key = random.below(40);
            let smallest = list.iter().map(|item| item.0).min();
            assert_eq!(heap.first().map(|item| item.0), smallest);
            assert_eq!(heap.len(), list.len());
            match random.below(5) {
                0 | 1 if list.len() < 50 => {
                    heap.push(key, value)?;
                    list.push((key, value), GFP_KERNEL)?;
                }
                2 | 3 => {
                    let popped = heap.pop();
                    assert_eq!(popped.map(|item| item.0), smallest);
                    let before = list.len();
                    list.retain(|item| Some(*item) != popped);
                    assert_eq!(list.len(), before.saturating_sub(1));
                }
                _ => {
                    let first = heap.first().copied();
                    heap.rekey(key);
                    for item in list.iter_mut().filter(|item| Some(**item) == first) {
                        item.0 = key;
                    }
                }
            }
        }
        Ok(())
    }
}
