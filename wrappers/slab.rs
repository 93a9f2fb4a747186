// SPDX-License-Identifier: GPL-2.0

//! Caches of equal objects.
//!
//! C header: [`include/linux/slab.h`](srctree/include/linux/slab.h)

use core::{
    marker::PhantomData,
    mem,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    prelude::*, //
};

/// Returns the bytes that kmalloc() sets aside for `size` bytes.
///
/// # Context
///
/// Any. Wraps `kmalloc_size_roundup()`.
pub(crate) fn kmalloc_size_roundup(size: usize) -> usize {
    // SAFETY: Takes any size, and looks at nothing but the table of the kernel's own caches.
    unsafe { bindings::kmalloc_size_roundup(size) }
}

/// Returns the bytes that kmalloc() sets aside for a node of a `kernel::rbtree::RBTree<K, V>`.
pub(crate) fn rbtree_node_size<K, V>() -> usize {
    kmalloc_size_roundup(mem::size_of::<(bindings::rb_node, K, V)>())
}

/// How a [`Cache`] treats its objects: a set of `SLAB_*`, combined by `|`.
#[derive(Clone, Copy)]
pub(crate) struct Flags(bindings::slab_flags_t);

impl Flags {
    /// `SLAB_RECLAIM_ACCOUNT`: counted as reclaimable, since a shrinker gives objects back.
    pub(crate) const RECLAIM_ACCOUNT: Self =
        Self(1 << bindings::_slab_flag_bits__SLAB_RECLAIM_ACCOUNT);

    /// `SLAB_NO_MERGE`: never merged with another cache of the same size.
    pub(crate) const NO_MERGE: Self = Self(1 << bindings::_slab_flag_bits__SLAB_NO_MERGE);
}

impl core::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A `struct kmem_cache` of objects of the size and alignment of `T`.
///
/// # Invariants
///
/// `ptr` is a cache that `__kmem_cache_create_args()` made with the size and alignment of `T`, and
/// that is not destroyed.
pub(crate) struct Cache<T> {
    ptr: NonNull<bindings::kmem_cache>,
    _objects: PhantomData<T>,
}

impl<T> Cache<T> {
    /// Creates a cache that `/proc/slabinfo` lists as `name`.
    ///
    /// Context: may sleep. Wraps `__kmem_cache_create_args()`.
    pub(crate) fn new(name: &'static CStr, flags: Flags) -> Result<Self> {
        let mut args = bindings::kmem_cache_args {
            align: u32::try_from(mem::align_of::<T>())?,
            ..pin_init::zeroed()
        };
        let size = u32::try_from(mem::size_of::<T>())?;

        // SAFETY: `name` is NUL-terminated and lives as long as the module, which is longer than
        // the cache, and `args` is valid for the call.
        let ptr = unsafe {
            bindings::__kmem_cache_create_args(name.as_char_ptr(), size, &mut args, flags.0)
        };

        // INVARIANT: A pointer that is not NULL is a new cache with what was asked for.
        Ok(Self {
            ptr: NonNull::new(ptr).ok_or(ENOMEM)?,
            _objects: PhantomData,
        })
    }

    /// Returns the C cache, for C interfaces that take one.
    pub(crate) fn as_ptr(&self) -> *mut bindings::kmem_cache {
        self.ptr.as_ptr()
    }
}

impl<T> Drop for Cache<T> {
    /// Destroys the cache. Objects that are still allocated stay behind, with a warning in the
    /// kernel log, so owners must have freed them.
    ///
    /// Context: may sleep. Wraps `kmem_cache_destroy()`.
    fn drop(&mut self) {
        // SAFETY: The type invariant says that this is a cache, and nobody uses it after this.
        unsafe { bindings::kmem_cache_destroy(self.as_ptr()) };
    }
}

// SAFETY: A cache has no owner thread, and the C functions that take it lock what they need.
unsafe impl<T> Send for Cache<T> {}

// SAFETY: As above: a shared reference gives nothing but the pointer.
unsafe impl<T> Sync for Cache<T> {}
