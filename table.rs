// SPDX-License-Identifier: GPL-2.0

//! A table of values by number, for a way through them that costs little.
//!
//! Numbers are given out in order, and never again. Neighbours lie side by side in chunks of memory, the
//! chunks in a tree: so the next value is next in memory, and few others are looked at to find one.

use core::mem::size_of;

use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
};

use crate::wrappers::slab::{
    kmalloc_size_roundup,
    rbtree_node_size, //
};

/// Values in a chunk.
pub(crate) const SLOTS: usize = 14;

struct Chunk<T> {
    slots: KBox<[Option<T>; SLOTS]>,
    /// How many of them have a value.
    len: usize,
}

/// A chunk that numbers are taken to be in.
fn chunk_of(number: u64) -> u64 {
    // CAST: To a wider type.
    number / SLOTS as u64
}

/// The place of a number in its chunk.
fn slot_of(number: u64) -> usize {
    // CAST: Less than `SLOTS`.
    (number % SLOTS as u64) as usize
}

/// Values by number.
pub(crate) struct Table<T> {
    /// By the number of the chunk. None of them is empty.
    chunks: RBTree<u64, Chunk<T>>,
    /// How many chunks there are.
    chunk_count: usize,
    len: usize,
}

/// Memory for a chunk.
pub(crate) struct Room<T> {
    node: RBTreeNodeReservation<u64, Chunk<T>>,
    chunk: Chunk<T>,
}

impl<T> Room<T> {
    /// Context: may sleep. Errors: `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let empty = pin_init::init_array_from_fn(|_| None);
        Ok(Self {
            node: RBTreeNodeReservation::new(GFP_KERNEL)?,
            chunk: Chunk {
                slots: KBox::init(empty, GFP_KERNEL)?,
                len: 0,
            },
        })
    }

    fn into_node(self, number: u64) -> RBTreeNode<u64, Chunk<T>> {
        self.node.into_node(chunk_of(number), self.chunk)
    }
}

impl<T> Table<T> {
    pub(crate) fn new() -> Self {
        Self {
            chunks: RBTree::new(),
            chunk_count: 0,
            len: 0,
        }
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The bytes that the allocator set aside for the table.
    pub(crate) fn bytes(&self) -> usize {
        let chunk = kmalloc_size_roundup(size_of::<[Option<T>; SLOTS]>())
            .saturating_add(rbtree_node_size::<u64, Chunk<T>>());
        self.chunk_count.saturating_mul(chunk)
    }

    /// Whether a value with this number needs a [`Room`] to be put in.
    pub(crate) fn needs_room(&self, number: u64) -> bool {
        self.chunks.get(&chunk_of(number)).is_none()
    }

    /// Puts a value in, or in the place of the one with this number. Gives it back as the error if there
    /// is no room.
    ///
    /// Context: any.
    pub(crate) fn insert(&mut self, number: u64, value: T, room: Option<Room<T>>) -> Result<(), T> {
        if let (true, Some(room)) = (self.needs_room(number), room) {
            self.chunks.insert(room.into_node(number));
            self.chunk_count = self.chunk_count.wrapping_add(1);
        }
        let Some(chunk) = self.chunks.get_mut(&chunk_of(number)) else {
            return Err(value);
        };
        let Some(slot) = chunk.slots.get_mut(slot_of(number)) else {
            return Err(value);
        };
        if slot.replace(value).is_none() {
            chunk.len = chunk.len.wrapping_add(1);
            self.len = self.len.wrapping_add(1);
        }
        Ok(())
    }

    /// Takes a value out.
    ///
    /// Context: any.
    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let chunk = self.chunks.get_mut(&chunk_of(number))?;
        let value = chunk.slots.get_mut(slot_of(number))?.take()?;
        // There was one.
        chunk.len = chunk.len.wrapping_sub(1);
        self.len = self.len.wrapping_sub(1);
        if chunk.len == 0 {
            self.chunks.remove(&chunk_of(number));
            self.chunk_count = self.chunk_count.wrapping_sub(1);
        }
        Some(value)
    }

    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        let chunk = self.chunks.get(&chunk_of(number))?;
        chunk.slots.get(slot_of(number))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let chunk = self.chunks.get_mut(&chunk_of(number))?;
        chunk.slots.get_mut(slot_of(number))?.as_mut()
    }

    /// The highest number that has a value.
    pub(crate) fn last(&self) -> Option<u64> {
        let cursor = self.chunks.cursor_back()?;
        let (&chunk, Chunk { slots, .. }) = cursor.current();
        let slot = slots.iter().rposition(|slot| slot.is_some())?;
        Some(number(chunk, slot))
    }

    /// The first value whose number is `from` or higher.
    pub(crate) fn first_from(&self, from: u64) -> Option<(u64, &T)> {
        // None of the chunks is empty: so it is in one of two.
        let here = self.get_chunk_from(from, chunk_of(from));
        here.or_else(|| self.get_chunk_from(from, chunk_of(from).checked_add(1)?))
    }

    /// As [`Self::first_from`], but in the first chunk from `chunk` on alone.
    fn get_chunk_from(&self, from: u64, chunk: u64) -> Option<(u64, &T)> {
        let cursor = self.chunks.cursor_lower_bound(&chunk)?;
        // The cursor borrows itself what it gives; the tree gives it for longer.
        let chunk = *cursor.current().0;
        let slots = &self.chunks.get(&chunk)?.slots;
        let numbered = slots.iter().enumerate();
        numbered
            .map(|(slot, value)| (number(chunk, slot), value))
            .find_map(|(number, value)| Some((number, value.as_ref().filter(|_| number >= from)?)))
    }

    /// Calls `f` with the values whose numbers are `from` or higher, in order, until it returns false.
    /// Returns the number to go on with, if there are more.
    #[inline]
    pub(crate) fn walk(
        &mut self,
        from: u64,
        mut f: impl FnMut(u64, &mut T) -> bool,
    ) -> Option<u64> {
        let mut skip = slot_of(from);
        let mut cursor = self.chunks.cursor_lower_bound_mut(&chunk_of(from));
        while let Some(mut here) = cursor {
            let (&chunk, Chunk { slots, .. }) = here.current_mut();
            if chunk != chunk_of(from) {
                skip = 0;
            }
            let mut next = number(chunk, skip);
            for value in slots.get_mut(skip..).unwrap_or_default() {
                let number = next;
                next = next.wrapping_add(1);
                let Some(value) = value else {
                    continue;
                };
                if !f(number, value) {
                    // None of the chunks is empty: so the next one is in one of two.
                    return first_number(chunk, slots, slot_of(number) + 1).or_else(|| {
                        let mut here = here.move_next()?;
                        let (&chunk, Chunk { slots, .. }) = here.current_mut();
                        first_number(chunk, slots, 0)
                    });
                }
            }
            cursor = here.move_next();
        }
        None
    }
}

/// The number of the first value of a chunk, from slot `from` on.
#[inline(never)]
fn first_number<T>(chunk: u64, slots: &[Option<T>; SLOTS], from: usize) -> Option<u64> {
    let mut slots = slots.iter().enumerate().skip(from);
    let (slot, _) = slots.find(|(_, value)| value.is_some())?;
    Some(number(chunk, slot))
}

fn number(chunk: u64, slot: usize) -> u64 {
    // CAST: To a wider type. Does not wrap: it was divided.
    chunk.wrapping_mul(SLOTS as u64).wrapping_add(slot as u64)
}

#[kunit_tests(taskmonitor_table)]
mod tests {
    use super::*;

    use crate::testing::Random;

    fn insert(table: &mut Table<u64>, number: u64) -> Result {
        let room = match table.needs_room(number) {
            true => Some(Room::new()?),
            false => None,
        };
        table
            .insert(number, number.wrapping_mul(3), room)
            .map_err(|_| ENOMEM)
    }

    /// The numbers that a walk comes by.
    fn walk(table: &mut Table<u64>, from: u64) -> Result<KVec<u64>> {
        let mut numbers = KVec::with_capacity(table.len(), GFP_KERNEL)?;
        let mut right = true;
        table.walk(from, |number, value| {
            right &= *value == number.wrapping_mul(3);
            numbers.push_within_capacity(number).is_ok()
        });
        assert!(right);
        Ok(numbers)
    }

    #[test]
    fn an_empty_table_has_nothing() {
        let mut table = Table::<u64>::new();
        assert_eq!((table.len(), table.last()), (0, None));
        assert!(table.get(0).is_none() && table.first_from(0).is_none());
        assert!(table.remove(0).is_none());
        assert!(table.needs_room(0) && table.needs_room(u64::MAX));
        assert_eq!(table.insert(0, 7, None), Err(7));
        assert_eq!(table.walk(0, |_, _| false), None);
    }

    #[test]
    fn a_chunk_is_for_its_numbers() -> Result {
        let mut table = Table::new();
        insert(&mut table, 20)?;
        assert!(!table.needs_room(14) && !table.needs_room(27));
        assert!(table.needs_room(13) && table.needs_room(28));
        insert(&mut table, 27)?;
        assert_eq!((table.get(20), table.get(27)), (Some(&60), Some(&81)));
        assert!(table.get(21).is_none() && table.get(4).is_none());
        // It goes with its last value.
        assert_eq!((table.remove(20), table.remove(20)), (Some(60), None));
        assert!(!table.needs_room(20));
        assert_eq!(table.remove(27), Some(81));
        assert!(table.needs_room(20));
        assert_eq!(table.len(), 0);
        Ok(())
    }

    #[test]
    fn a_walk_goes_in_order_and_stops_where_it_is_told() -> Result {
        let mut table = Table::new();
        for number in [100, 3, 13, 14, 47, 5] {
            insert(&mut table, number)?;
        }
        assert_eq!(walk(&mut table, 0)?[..], [3, 5, 13, 14, 47, 100]);
        assert_eq!(walk(&mut table, 14)?[..], [14, 47, 100]);
        assert_eq!(walk(&mut table, 15)?[..], [47, 100]);
        assert_eq!(walk(&mut table, 101)?[..], []);
        assert_eq!(table.walk(0, |number, _| number < 13), Some(14));
        assert_eq!(table.walk(0, |number, _| number < 14), Some(47));
        assert_eq!(table.walk(0, |number, _| number < 100), None);
        assert_eq!(table.first_from(4).map(|found| found.0), Some(5));
        assert_eq!(table.first_from(15).map(|found| found.0), Some(47));
        assert_eq!(table.first_from(48).map(|found| found.0), Some(100));
        assert!(table.first_from(101).is_none());
        assert_eq!(table.last(), Some(100));
        Ok(())
    }

    #[test]
    fn the_highest_numbers_are_numbers() -> Result {
        let mut table = Table::new();
        insert(&mut table, u64::MAX)?;
        insert(&mut table, 1)?;
        assert_eq!(walk(&mut table, 0)?[..], [1, u64::MAX]);
        assert_eq!(walk(&mut table, u64::MAX)?[..], [u64::MAX]);
        assert_eq!(table.last(), Some(u64::MAX));
        assert_eq!(table.first_from(2).map(|found| found.0), Some(u64::MAX));
        Ok(())
    }

    /// Against a list of what is in it.
    #[test]
    fn it_is_as_a_list() -> Result {
        let mut random = Random::new();
        let mut table = Table::new();
        let mut list = KVec::<bool>::new();
        for _ in 0..200 {
            list.push(false, GFP_KERNEL)?;
        }
        for _ in 0..3_000 {
            let number = random.below(200);
            // CAST: Less than 200.
            let Some(there) = list.get_mut(number as usize) else {
                return Err(EINVAL);
            };
            if random.below(2) == 0 {
                assert_eq!(table.remove(number), there.then_some(number * 3));
                *there = false;
            } else {
                insert(&mut table, number)?;
                *there = true;
            }
            let from = random.below(210);
            let listed = || {
                let numbers = (0..).zip(list.iter());
                numbers.filter_map(|(number, there)| there.then_some(number))
            };
            let behind = || listed().filter(|number| *number >= from);
            assert!(walk(&mut table, from)?.iter().copied().eq(behind()));
            assert_eq!(table.first_from(from).map(|found| found.0), behind().next());
            assert_eq!(table.last(), listed().last());
            assert_eq!(table.len(), listed().count());
        }
        Ok(())
    }
}
