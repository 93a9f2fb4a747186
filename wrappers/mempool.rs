// SPDX-License-Identifier: GPL-2.0

//! Reference-counted objects from a memory pool, and a queue of them.
//!
//! A [`Pool`] stands in front of a [`slab::Cache`] and keeps some objects back for bad times. What
//! it hands out is a [`UniqueRef`]; shared, that becomes [`Ref`]s with the semantics of a
//! `struct kref`: whoever puts the last one returns the object to the pool. A [`Queue`] links objects
//! without allocating, as `struct bio_list` does, and owns one reference on each.
//!
//! C header: [`include/linux/mempool.h`](srctree/include/linux/mempool.h),
//! [`include/linux/refcount.h`](srctree/include/linux/refcount.h)

use core::{
    cell::UnsafeCell,
    convert::Infallible,
    ffi::c_void,
    mem::ManuallyDrop,
    ops::Deref,
    ops::DerefMut,
    ptr,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        Refcount, //
    },
};

use super::slab;

/// What the pool allocates for each `T`: the value behind the fields that count and link it.
///
/// # Invariants
///
/// `next` and `prev` are read and written only by the queue whose number `queue` holds; while `queue`
/// is 0, no one does, and they are `None`.
#[repr(C)]
pub(crate) struct Object<T> {
    refcount: Refcount,
    /// The [`Queue::number`] of the queue that this object is in, or 0.
    queue: Atomic<u64>,
    next: UnsafeCell<Option<Ref<T>>>,
    prev: UnsafeCell<Option<NonNull<Object<T>>>>,
    pool: Arc<Pool<T>>,
    value: T,
}

/// A `struct mempool` of [`Object`]s in front of a cache of its own.
///
/// # Invariants
///
/// - `ptr` is a pool that `mempool_create_node_noprof()` made over `_cache`, and that is not destroyed.
/// - Each allocated object holds a reference on the pool, so none is left when it is dropped.
pub(crate) struct Pool<T> {
    ptr: NonNull<bindings::mempool>,
    /// How many objects are allocated.
    allocated: Atomic<usize>,
    // Dropped behind the pool, whose last objects go back to it.
    _cache: slab::Cache<Object<T>>,
}

impl<T> Pool<T> {
    /// Makes a pool that keeps `reserve` objects back.
    ///
    /// Context: may sleep. Errors: `ENOMEM`. Wraps `mempool_create_node_noprof()` with
    /// `mempool_alloc_slab()` and `mempool_free_slab()`.
    pub(crate) fn new(cache: slab::Cache<Object<T>>, reserve: u32) -> Result<Arc<Self>> {
        // SAFETY: The two functions allocate from and free to the `kmem_cache` that their last
        // argument points to; `cache` is one, and outlives the pool by the order of the fields.
        let ptr = unsafe {
            bindings::mempool_create_node_noprof(
                i32::try_from(reserve)?,
                Some(bindings::mempool_alloc_slab),
                Some(bindings::mempool_free_slab),
                cache.as_ptr().cast(),
                bindings::GFP_KERNEL,
                bindings::NUMA_NO_NODE,
            )
        };

        // INVARIANT: A pointer that is not NULL is a new pool, of which nothing is allocated yet.
        let pool = Self {
            ptr: NonNull::new(ptr).ok_or(ENOMEM)?,
            allocated: Atomic::new(0),
            _cache: cache,
        };
        Ok(Arc::new(pool, GFP_KERNEL)?)
    }

    /// Takes an object: from the cache, else from the reserve. Returns `None` if that is empty, too.
    ///
    /// Context: any but NMI; never sleeps, since the pool would wait for an object to be freed, for
    /// as long as that takes. Wraps `mempool_alloc_noprof()`.
    pub(crate) fn alloc(self: &Arc<Self>, value: impl Init<T, Infallible>) -> Option<UniqueRef<T>> {
        let flags = bindings::GFP_NOWAIT | bindings::__GFP_NOWARN;

        // SAFETY: The type invariant says that this is a pool.
        let object = unsafe { bindings::mempool_alloc_noprof(self.ptr.as_ptr(), flags) };

        // SAFETY: Just allocated from this pool, if it is not NULL.
        unsafe { self.init(object, value) }
    }

    /// Takes an object from the reserve, as [`Self::alloc`] does when the cache has none. For unit tests.
    /// Wraps `mempool_alloc_preallocated()`.
    #[cfg(CONFIG_KUNIT = "y")]
    fn alloc_preallocated(self: &Arc<Self>, value: T) -> Option<UniqueRef<T>> {
        // SAFETY: The type invariant says that this is a pool.
        let object = unsafe { bindings::mempool_alloc_preallocated(self.ptr.as_ptr()) };

        // SAFETY: Just allocated from this pool, if it is not NULL.
        unsafe { self.init(object, value) }
    }

    /// Makes an object of memory. Returns `None` for NULL.
    ///
    /// # Safety
    ///
    /// `object` must be NULL, or allocated from this pool and known to nobody else.
    unsafe fn init(
        self: &Arc<Self>,
        object: *mut c_void,
        value: impl Init<T, Infallible>,
    ) -> Option<UniqueRef<T>> {
        let object = NonNull::new(object)?.cast::<Object<T>>();
        let place = object.as_ptr();

        // SAFETY: The cache was made for `Object<T>`, so by this function's own contract this is memory
        // for one, that nobody else knows of. Each field is written, and none read; the initialiser
        // cannot fail.
        unsafe {
            (&raw mut (*place).refcount).write(Refcount::new(1));
            // INVARIANT: In no queue, hence no neighbours.
            (&raw mut (*place).queue).write(Atomic::new(0));
            (&raw mut (*place).next).write(UnsafeCell::new(None));
            (&raw mut (*place).prev).write(UnsafeCell::new(None));
            // INVARIANT (of the pool): A reference on it for each object.
            (&raw mut (*place).pool).write(self.clone());
            let Ok(()) = value.__init(&raw mut (*place).value);
        }

        self.allocated.fetch_add(1, Relaxed);
        // INVARIANT: The count is 1, and this is that one reference.
        Some(UniqueRef(Ref(object)))
    }

    /// How many objects are allocated, those not counted that are kept back.
    pub(crate) fn allocated(&self) -> usize {
        self.allocated.load(Relaxed)
    }

    /// Changes how many objects are kept back. More are kept as soon as there is memory for them.
    ///
    /// Context: may sleep. Errors: `ENOMEM`, `EINVAL` for 0. Wraps `mempool_resize()`.
    pub(crate) fn resize(&self, reserve: u32) -> Result {
        let reserve = i32::try_from(reserve)?;
        if reserve < 1 {
            return Err(EINVAL);
        }

        // SAFETY: The type invariant says that this is a pool, and the number is not 0. Calls at the
        // same time are allowed: the function looks again under the pool's lock.
        to_result(unsafe { bindings::mempool_resize(self.ptr.as_ptr(), reserve) })
    }

    /// Whether an object that is freed now would be kept back.
    fn is_short(&self) -> bool {
        let pool = self.ptr.as_ptr();

        // SAFETY: The type invariant says that this is a pool. Both fields may change meanwhile.
        unsafe {
            ptr::read_volatile(&raw const (*pool).curr_nr)
                < ptr::read_volatile(&raw const (*pool).min_nr)
        }
    }

    /// The bytes that the allocator sets aside for one object. Wraps `ksize()`.
    ///
    /// Context: may sleep.
    pub(crate) fn ksize(self: &Arc<Self>, value: impl Init<T, Infallible>) -> Result<usize> {
        let object = self.alloc(value).ok_or(ENOMEM)?;

        // SAFETY: The object is allocated from a slab cache, and stays so for the call.
        Ok(unsafe { bindings::ksize(object.0 .0.as_ptr().cast()) })
    }
}

impl<T> Drop for Pool<T> {
    /// Gives the reserve back. Context: may sleep. Wraps `mempool_destroy()`.
    fn drop(&mut self) {
        // SAFETY: The type invariants say that this is a pool and that none of its objects is out.
        unsafe { bindings::mempool_destroy(self.ptr.as_ptr()) };
    }
}

// SAFETY: A pool has no owner thread; it hands out memory for `T`s, and those may be created and
// dropped on any thread if `T` is `Send`.
unsafe impl<T: Send + Sync> Send for Pool<T> {}

// SAFETY: The C functions lock the pool themselves.
unsafe impl<T: Send + Sync> Sync for Pool<T> {}

/// A counted reference on an object of a [`Pool`].
///
/// # Invariants
///
/// Points to an initialised object, of which this owns one reference.
pub(crate) struct Ref<T>(NonNull<Object<T>>);

impl<T> Ref<T> {
    fn object(&self) -> &Object<T> {
        // SAFETY: The type invariant: the object lives as long as this reference on it.
        unsafe { self.0.as_ref() }
    }

    /// Whether both are references on the same object.
    pub(crate) fn ptr_eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// Whether this is the only reference on the object.
    pub(crate) fn is_unique(&self) -> bool {
        // Others can make new references only from ones that they have, so a count of 1 stays 1.
        // Acquire, so that what the others did with the object comes before what we do.
        self.object().refcount.as_atomic().load(Acquire) == 1
    }

    /// How many references there are on the object. For unit tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn references(&self) -> i32 {
        self.object().refcount.as_atomic().load(Relaxed)
    }

    /// Returns the object for exclusive use if this is the only reference on it, else the reference
    /// itself.
    pub(crate) fn try_into_unique(self) -> Result<UniqueRef<T>, Self> {
        if self.is_unique() {
            // INVARIANT: Just seen, and nobody else can change it. An object in a queue has that
            // queue's reference: so it is in none.
            Ok(UniqueRef(self))
        } else {
            Err(self)
        }
    }
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        self.object().refcount.inc();

        // INVARIANT: This owns the reference just taken.
        Self(self.0)
    }
}

impl<T> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object().value
    }
}

impl<T> Ref<T> {
    /// Puts the reference, as dropping it does. Returns whether that gave memory back to the cache:
    /// it was the last reference, and the pool had enough.
    ///
    /// Context: as for [`Drop`].
    pub(crate) fn put(self) -> bool {
        let object = ManuallyDrop::new(self).0;
        // SAFETY: The reference is this one, which is not used again.
        unsafe { Self::put_raw(object) }
    }

    /// Wraps `mempool_free()`.
    ///
    /// # Safety
    ///
    /// The caller must own a reference on `object`, and gives it up.
    unsafe fn put_raw(object: NonNull<Object<T>>) -> bool {
        // SAFETY: By this function's own contract.
        if !unsafe { object.as_ref() }.refcount.dec_and_test() {
            return false;
        }
        let object = object.as_ptr();

        // SAFETY: That was the last reference, so nobody else knows the object any more, and its
        // fields may be dropped and moved out; the memory came from this pool. The pool's own count
        // goes down after that, so the pool is still there.
        unsafe {
            let pool = (&raw const (*object).pool).read();
            ptr::drop_in_place(&raw mut (*object).value);
            pool.allocated.fetch_sub(1, Relaxed);
            let kept = pool.is_short();
            // It has no neighbours, by the type invariant: a queue would have a reference.
            bindings::mempool_free(object.cast(), pool.ptr.as_ptr());
            !kept
        }
    }
}

impl<T> Drop for Ref<T> {
    /// Puts the reference; the last one returns the object to its pool.
    ///
    /// Context: any, if `T` can be dropped in any, and if somebody else still holds the pool, whose
    /// own end sleeps.
    fn drop(&mut self) {
        // SAFETY: The reference is this one, which is not used again.
        unsafe { Self::put_raw(self.0) };
    }
}

// SAFETY: References on one object can be used and dropped, the object with the last of them, on
// several threads, as with `Arc`.
unsafe impl<T: Send + Sync> Send for Ref<T> {}

// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Ref<T> {}

/// The only reference on an object.
///
/// # Invariants
///
/// The count of the object is 1, and it is in no queue.
pub(crate) struct UniqueRef<T>(Ref<T>);

impl<T> UniqueRef<T> {
    /// Turns it into a reference of which there can be more.
    pub(crate) fn share(self) -> Ref<T> {
        self.0
    }
}

impl<T> Deref for UniqueRef<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for UniqueRef<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The type invariant: there is no other reference on the object, and `&mut self`
        // makes sure that this one is not used otherwise meanwhile.
        unsafe { &mut (*self.0 .0.as_ptr()).value }
    }
}

/// The numbers given to queues so far; 0 is none.
static QUEUES: Atomic<u64> = Atomic::new(0);

/// A queue of pool objects, linked through the objects themselves, first in, first out.
///
/// Needs no allocation. Owns one reference on each object, so an object that somebody holds stays
/// valid when it leaves the queue.
///
/// # Invariants
///
/// - No other queue has the same `number`, and it is not 0.
/// - The objects that are reached from `head` by `next` are those whose `queue` is `number`, each
///   once; `len` of them.
/// - `tail` is the last of them, or `None` if there is none; from there `prev` leads back the same way.
pub(crate) struct Queue<T> {
    number: u64,
    head: Option<Ref<T>>,
    tail: Option<NonNull<Object<T>>>,
    len: usize,
}

impl<T> Queue<T> {
    /// Makes an empty queue.
    pub(crate) fn new() -> Self {
        // INVARIANT: 2^64 queues are never made.
        Self {
            number: QUEUES.fetch_add(1, Relaxed).wrapping_add(1),
            head: None,
            tail: None,
            len: 0,
        }
    }

    /// How many objects are in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts `object` behind all others. Gives it back as the error if it is in a queue already.
    pub(crate) fn push_back(&mut self, object: Ref<T>) -> Result<(), Ref<T>> {
        let place = object.0;
        // Another queue may get hold of the same object at the same time: only one can have it.
        // Acquire, so that what a former queue did to `next` comes before what we do.
        if object
            .object()
            .queue
            .cmpxchg(0, self.number, Acquire)
            .is_err()
        {
            return Err(object);
        }
        let last = self.tail.replace(place);
        // SAFETY: `object` keeps it valid; it is in this queue now, of which this is the only user.
        unsafe { *(*place.as_ptr()).prev.get() = last };
        match last {
            // SAFETY: By the type invariant, the last object is in this queue, which has a
            // reference on it; its `next` is this queue's, of which this is the only user.
            Some(last) => unsafe { *(*last.as_ptr()).next.get() = Some(object) },
            None => self.head = Some(object),
        }
        // INVARIANT: Reached from the former last, or first itself; `queue` says so.
        self.len = self.len.wrapping_add(1);
        Ok(())
    }

    /// Takes the first object out.
    pub(crate) fn pop_front(&mut self) -> Option<Ref<T>> {
        let first = self.head.take()?;
        // SAFETY: The object was in this queue up to now, so its `next` is this queue's, of which
        // this is the only user.
        self.head = unsafe { (*first.object().next.get()).take() };
        match &self.head {
            None => self.tail = None,
            // SAFETY: This one is in this queue, too, and first from now on.
            Some(second) => unsafe { *second.object().prev.get() = None },
        }
        // INVARIANT: No longer reached; `next` is `None` again (`prev` of the first is so anyway)
        // before `queue` says so to others.
        self.len = self.len.wrapping_sub(1);
        first.object().queue.store(0, Release);
        Some(first)
    }

    /// Returns the first object.
    pub(crate) fn front(&self) -> Option<&Ref<T>> {
        self.head.as_ref()
    }

    /// Goes through the objects, the first first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Ref<T>> {
        core::iter::successors(self.front(), |object| self.next_of(object).ok().flatten())
    }

    /// Returns the object behind `object`, if `object` is in this queue and not the last one.
    /// Fails with `ENOENT` if it is not in this queue (any more).
    pub(crate) fn next_of(&self, object: &Ref<T>) -> Result<Option<&Ref<T>>> {
        if object.object().queue.load(Acquire) != self.number {
            return Err(ENOENT);
        }

        // SAFETY: Only methods that take `&mut self` put objects into this queue, take them out of
        // it, or change their `next`; while `&self` is borrowed, none of them runs.
        Ok(unsafe { (*object.object().next.get()).as_ref() })
    }

    /// Returns a new reference on the last object.
    pub(crate) fn back(&self) -> Option<Ref<T>> {
        // SAFETY: By the type invariant, it is in this queue.
        self.tail.map(|object| unsafe { self.hold(object) })
    }

    /// Returns a new reference on the object before `object`, if `object` is in this queue and not the
    /// first one. Fails with `ENOENT` if it is not in this queue (any more).
    pub(crate) fn prev_of(&self, object: &Ref<T>) -> Result<Option<Ref<T>>> {
        if object.object().queue.load(Acquire) != self.number {
            return Err(ENOENT);
        }

        // SAFETY: As in `next_of`, of `prev`; by the type invariant, what it leads to is in this queue, too.
        Ok(unsafe { (*object.object().prev.get()).map(|object| self.hold(object)) })
    }

    /// Makes a new reference on an object.
    ///
    /// # Safety
    ///
    /// `object` must be in this queue.
    unsafe fn hold(&self, object: NonNull<Object<T>>) -> Ref<T> {
        // SAFETY: The queue has a reference on each of its objects, and while `&self` is borrowed, none
        // leaves it.
        unsafe { object.as_ref() }.refcount.inc();

        // INVARIANT: This owns the reference just taken.
        Ref(object)
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        // One by one: dropping the head alone would recurse.
        while self.pop_front().is_some() {}
    }
}

// SAFETY: A queue is its references, which can be sent if `T` can be shared and sent.
unsafe impl<T: Send + Sync> Send for Queue<T> {}

// SAFETY: A shared queue gives nothing but shared references on its objects.
unsafe impl<T: Send + Sync> Sync for Queue<T> {}

#[kunit_tests(taskmonitor_mempool)]
mod tests {
    use super::*;

    fn pool() -> Result<Arc<Pool<u64>>> {
        let cache = slab::Cache::new(c"taskmonitor_test", slab::Flags::NO_MERGE)?;
        Pool::new(cache, 1)
    }

    fn object(pool: &Arc<Pool<u64>>, value: u64) -> Result<Ref<u64>> {
        Ok(pool.alloc(value).ok_or(ENOMEM)?.share())
    }

    /// A queue of the numbers from 0 up to `count`.
    fn queue(pool: &Arc<Pool<u64>>, count: u64) -> Result<Queue<u64>> {
        let mut queue = Queue::new();
        for value in 0..count {
            queue.push_back(object(pool, value)?).map_err(|_| EBUSY)?;
        }
        Ok(queue)
    }

    #[test]
    fn the_last_reference_gives_the_object_back() -> Result {
        let pool = pool()?;
        let mut unique = pool.alloc(7).ok_or(ENOMEM)?;
        assert_eq!(pool.allocated(), 1);
        *unique += 1;
        let one = unique.share();
        let other = one.clone();
        assert_eq!((*one, *other), (8, 8));
        assert!(one.ptr_eq(&other));
        assert!(!one.is_unique());
        // The reserve is full: memory goes back, with the last reference.
        assert!(!one.put());
        assert_eq!(pool.allocated(), 1);
        assert!(other.is_unique());
        assert!(other.put());
        assert_eq!(pool.allocated(), 0);
        Ok(())
    }

    #[test]
    fn what_refills_the_reserve_does_not_give_memory_back() -> Result {
        let pool = pool()?;
        let ordinary = object(&pool, 1)?;
        let reserved = pool.alloc_preallocated(2).ok_or(ENOMEM)?.share();
        assert!(pool.alloc_preallocated(3).is_none());
        // The first one that is freed is kept, wherever it comes from; the next one is not.
        assert!(!ordinary.put());
        let again = pool.alloc_preallocated(4).ok_or(ENOMEM)?.share();
        assert!(!reserved.put());
        assert!(again.put());
        assert_eq!(pool.allocated(), 0);
        Ok(())
    }

    #[test]
    fn a_reference_is_unique_if_there_is_no_other() -> Result {
        let pool = pool()?;
        let one = object(&pool, 7)?;
        let other = one.clone();
        let Err(one) = one.try_into_unique() else {
            return Err(EINVAL);
        };
        drop(other);
        assert!(one.try_into_unique().is_ok());
        Ok(())
    }

    /// The values of a queue, the last one first.
    fn backwards<T: Copy>(queue: &Queue<T>) -> Result<KVec<T>> {
        let (mut values, mut next) = (KVec::new(), queue.back());
        while let Some(object) = next {
            values.push(*object, GFP_KERNEL)?;
            next = queue.prev_of(&object)?;
        }
        Ok(values)
    }

    #[test]
    fn objects_leave_a_queue_as_they_came() -> Result {
        let pool = pool()?;
        let mut queue = queue(&pool, 3)?;
        assert_eq!(queue.len(), 3);
        assert!(queue.iter().map(|object| **object).eq(0..3));
        assert!(backwards(&queue)?.iter().copied().eq((0..3).rev()));
        assert!(queue.front().is_some_and(|object| **object == 0));
        for value in 0..3 {
            assert!(queue.pop_front().is_some_and(|object| *object == value));
            assert!(backwards(&queue)?.iter().copied().eq((value + 1..3).rev()));
        }
        assert!(queue.pop_front().is_none());
        assert_eq!((queue.len(), pool.allocated()), (0, 0));
        // And it can be used again.
        assert!(queue.push_back(object(&pool, 9)?).is_ok());
        assert_eq!(backwards(&queue)?[..], [9]);
        Ok(())
    }

    #[test]
    fn an_object_is_in_one_queue_at_most() -> Result {
        let pool = pool()?;
        let (mut queue, mut other) = (queue(&pool, 2)?, Queue::new());
        let object = queue.front().ok_or(ENOENT)?.clone();
        assert!(queue.push_back(object.clone()).is_err());
        assert!(other.push_back(object.clone()).is_err());
        assert_eq!((queue.len(), other.len()), (2, 0));
        drop(queue.pop_front());
        assert!(other.push_back(object).is_ok());
        assert_eq!((queue.len(), other.len()), (1, 1));
        Ok(())
    }

    #[test]
    fn what_is_behind_an_object_is_known_to_its_queue() -> Result {
        let pool = pool()?;
        let (mut queue, other) = (queue(&pool, 2)?, Queue::new());
        let first = queue.front().ok_or(ENOENT)?.clone();
        let second = queue.next_of(&first)?.ok_or(ENOENT)?.clone();
        assert_eq!((*first, *second), (0, 1));
        assert!(queue.next_of(&second)?.is_none());
        assert!(other.next_of(&first).is_err_and(|error| error == ENOENT));
        drop(queue.pop_front());
        assert!(queue.next_of(&first).is_err_and(|error| error == ENOENT));
        assert!(queue.next_of(&second)?.is_none());
        Ok(())
    }

    /// 10,000 objects, of which one is held: no recursion, and that one stays.
    #[test]
    fn a_queue_that_goes_puts_its_objects() -> Result {
        let pool = pool()?;
        let queue = queue(&pool, 10_000)?;
        let first = queue.front().ok_or(ENOENT)?.clone();
        assert_eq!(pool.allocated(), 10_000);
        drop(queue);
        assert_eq!((pool.allocated(), *first), (1, 0));
        assert!(first.is_unique());
        Ok(())
    }

    #[test]
    fn the_reserve_is_never_empty_by_intent() -> Result {
        let pool = pool()?;
        assert_eq!(pool.resize(0), Err(EINVAL));
        assert_eq!(pool.resize(u32::MAX), Err(EINVAL));
        assert_eq!(pool.resize(8), Ok(()));
        assert_eq!(pool.resize(1), Ok(()));
        Ok(())
    }
}
