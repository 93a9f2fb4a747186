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
        let behind = self.last.saturating_add(1);
        let next = self
            .tasks
            .cursor_lower_bound(&behind)
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
