// SPDX-License-Identifier: GPL-2.0

//! Giving histories back when memory is short.
//!
//! 1. Every block can be given back but the newest of each living task: so the present state of all
//!    that lives stays known.
//! 2. Tasks take turns. Whose turn it is gives its oldest block (or a spare one, without samples).
//! 3. The shrinker waits for its one lock, a spinlock that nobody holds for long and under which
//!    nobody reclaims memory. One that gave up because others are busy would give up most when
//!    memory is shortest.
//! 4. A block that refills the reserve of the pool, or that a reader still holds, is not reported as
//!    freed.
//! 5. `max_mib` is kept the same way, in the name of eviction.

use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    task::might_sleep, //
};

use crate::{
    monitor::Monitor,
    sample::Cause,
    set::BATCH,
    wrappers::shrinker::{
        Scanned,
        Shrink, //
    },
};

/// The name of the shrinker.
pub(crate) const NAME: &CStr = c"taskmonitor";

/// What it costs to get a sample again: no I/O. (It is not possible at all. But reclaim takes most
/// from those shrinkers that say so, and a history is there to be given up before anything else.)
pub(crate) const SEEKS: i32 = 0;

/// Which tasks have blocks to give, and whose turn it is.
pub(crate) struct Offers {
    /// By number.
    tasks: RBTree<u64, ()>,
    /// How many blocks they have to give.
    blocks: usize,
    /// Whose turn it was last.
    last: u64,
}

/// What one task has to give.
pub(crate) struct Offer {
    blocks: usize,
    /// The task's entry, while it is not among the others.
    node: Option<RBTreeNode<u64, ()>>,
}

impl Offer {
    /// The offer of the task `number`, which has nothing to give yet. Context: may sleep.
    pub(crate) fn new(number: u64) -> Result<Self> {
        Ok(Self {
            blocks: 0,
            node: Some(RBTreeNode::new(number, (), GFP_KERNEL)?),
        })
    }
}

impl Offers {
    pub(crate) fn new() -> Self {
        Self {
            tasks: RBTree::new(),
            blocks: 0,
            last: 0,
        }
    }

    /// How many blocks can be given back.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Notes that the task `number`, whose offer this is, has `blocks` to give now.
    pub(crate) fn update(&mut self, number: u64, offer: &mut Offer, blocks: usize) {
        self.blocks = self
            .blocks
            .saturating_sub(offer.blocks)
            .saturating_add(blocks);
        offer.blocks = blocks;
        if blocks == 0 {
            if offer.node.is_none() {
                offer.node = self.tasks.remove_node(&number);
            }
        } else if let Some(node) = offer.node.take() {
            self.tasks.insert(node);
        }
    }

    /// The number of the task whose turn it is now; `None` if none has anything to give.
    pub(crate) fn turn(&mut self) -> Option<u64> {
        let behind = self.last.checked_add(1);
        let next = behind
            .and_then(|behind| self.tasks.cursor_lower_bound(&behind))
            .or_else(|| self.tasks.cursor_front())?;
        self.last = *next.current().0;
        Some(self.last)
    }
}

impl Shrink for Monitor {
    fn count(&self) -> usize {
        self.set().offers.blocks()
    }

    fn scan(&self, most: usize) -> Scanned {
        let mut done = Scanned::default();
        while done.scanned < most {
            let batch = BATCH.min(most.saturating_sub(done.scanned));
            let now = self.set().give_back(batch, Cause::Reclaim);
            done.scanned = done.scanned.saturating_add(now.scanned);
            done.freed = done.freed.saturating_add(now.freed);
            if now.scanned < batch {
                break;
            }
            might_sleep();
        }
        done
    }
}

#[kunit_tests(taskmonitor_shrinker)]
mod tests {
    use super::*;

    use crate::testing::Random;

    /// A task, as far as offers go.
    struct Task {
        number: u64,
        offer: Offer,
    }

    impl Task {
        fn new(number: u64) -> Result<Self> {
            Ok(Self {
                number,
                offer: Offer::new(number)?,
            })
        }

        fn has(&mut self, blocks: usize, offers: &mut Offers) {
            offers.update(self.number, &mut self.offer, blocks);
        }
    }

    #[test]
    fn nobody_has_a_turn_without_anything_to_give() -> Result {
        let mut offers = Offers::new();
        assert_eq!(offers.turn(), None);
        let mut task = Task::new(1)?;
        task.has(0, &mut offers);
        assert_eq!(offers.turn(), None);
        task.has(2, &mut offers);
        assert_eq!(offers.turn(), Some(1));
        assert_eq!(offers.turn(), Some(1));
        task.has(0, &mut offers);
        assert_eq!(offers.turn(), None);
        Ok(())
    }

    #[test]
    fn the_total_is_that_of_all_tasks() -> Result {
        let mut offers = Offers::new();
        let (mut one, mut other) = (Task::new(1)?, Task::new(2)?);
        assert_eq!(offers.blocks(), 0);
        one.has(5, &mut offers);
        other.has(7, &mut offers);
        assert_eq!(offers.blocks(), 12);
        one.has(5, &mut offers);
        assert_eq!(offers.blocks(), 12);
        one.has(1, &mut offers);
        assert_eq!(offers.blocks(), 8);
        other.has(0, &mut offers);
        other.has(0, &mut offers);
        assert_eq!(offers.blocks(), 1);
        one.has(0, &mut offers);
        assert_eq!(offers.blocks(), 0);
        Ok(())
    }

    #[test]
    fn tasks_take_turns_until_they_run_out() -> Result {
        let mut offers = Offers::new();
        let (mut one, mut two, mut three) = (Task::new(1)?, Task::new(2)?, Task::new(3)?);
        one.has(2, &mut offers);
        two.has(1, &mut offers);
        three.has(3, &mut offers);
        assert_eq!(offers.turn(), Some(1));
        one.has(1, &mut offers);
        assert_eq!(offers.turn(), Some(2));
        two.has(0, &mut offers);
        assert_eq!(offers.turn(), Some(3));
        three.has(2, &mut offers);
        assert_eq!(offers.turn(), Some(1));
        one.has(0, &mut offers);
        assert_eq!(offers.turn(), Some(3));
        assert_eq!(offers.turn(), Some(3));
        three.has(0, &mut offers);
        assert_eq!(offers.turn(), None);
        Ok(())
    }

    #[test]
    fn one_that_comes_has_its_turn_in_the_same_round() -> Result {
        let mut offers = Offers::new();
        let (mut four, mut five, mut six) = (Task::new(4)?, Task::new(5)?, Task::new(6)?);
        let mut one = Task::new(1)?;
        four.has(9, &mut offers);
        six.has(9, &mut offers);
        assert_eq!(offers.turn(), Some(4));
        five.has(9, &mut offers);
        one.has(9, &mut offers);
        assert_eq!(offers.turn(), Some(5));
        assert_eq!(offers.turn(), Some(6));
        assert_eq!(offers.turn(), Some(1));
        assert_eq!(offers.turn(), Some(4));
        Ok(())
    }

    #[test]
    fn one_that_goes_leaves_the_order_as_it_is() -> Result {
        let mut offers = Offers::new();
        let (mut one, mut two, mut three) = (Task::new(1)?, Task::new(2)?, Task::new(3)?);
        one.has(9, &mut offers);
        two.has(9, &mut offers);
        three.has(9, &mut offers);
        assert_eq!(offers.turn(), Some(1));
        assert_eq!(offers.turn(), Some(2));
        two.has(0, &mut offers);
        drop(two);
        assert_eq!(offers.turn(), Some(3));
        assert_eq!(offers.turn(), Some(1));
        three.has(0, &mut offers);
        assert_eq!(offers.turn(), Some(1));
        Ok(())
    }

    #[test]
    fn extreme_numbers_take_turns() -> Result {
        let mut offers = Offers::new();
        let (mut lowest, mut highest) = (Task::new(0)?, Task::new(u64::MAX)?);
        lowest.has(1, &mut offers);
        assert_eq!(offers.turn(), Some(0));
        highest.has(1, &mut offers);
        assert_eq!(offers.turn(), Some(u64::MAX));
        assert_eq!(offers.turn(), Some(0));
        assert_eq!(offers.turn(), Some(u64::MAX));
        assert_eq!(offers.turn(), Some(0));
        Ok(())
    }

    #[test]
    fn totals_saturate() -> Result {
        let mut offers = Offers::new();
        let (mut one, mut two) = (Task::new(1)?, Task::new(2)?);
        one.has(usize::MAX, &mut offers);
        two.has(1, &mut offers);
        assert_eq!(offers.blocks(), usize::MAX);
        Ok(())
    }

    /// While one waits for its turn, none of the others has two, whoever comes and goes.
    #[test]
    fn nobody_waits_longer_than_a_round() -> Result {
        let mut random = Random::new();
        let mut offers = Offers::new();
        // With each task: what it has, and whose turn it was since it waits.
        let mut tasks: KVec<(Task, usize, u32)> = KVec::new();
        for number in 0..10 {
            tasks.push((Task::new(number)?, 0, 0), GFP_KERNEL)?;
        }
        for _ in 0..10_000 {
            let changed = random.below(10);
            for (task, has, served) in tasks.iter_mut().filter(|task| task.0.number == changed) {
                *has = random.below(3) as usize;
                task.has(*has, &mut offers);
                if *has == 0 {
                    *served = 0;
                }
            }
            let total: usize = tasks.iter().map(|task| task.1).sum();
            assert_eq!(offers.blocks(), total);

            let Some(turn) = offers.turn() else {
                assert_eq!(total, 0);
                continue;
            };
            for (task, has, served) in tasks.iter_mut().filter(|task| task.1 > 0) {
                if task.number == turn {
                    *served = 0;
                    *has -= 1;
                    task.has(*has, &mut offers);
                } else {
                    assert_eq!(*served & (1 << turn), 0);
                    *served |= 1 << turn;
                }
            }
        }
        Ok(())
    }
}
