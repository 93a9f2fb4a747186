// SPDX-License-Identifier: GPL-2.0

//! Files that are sequences of records, read through an iterator that keeps its place.
//!
//! C header: [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h)

use core::{
    marker::PhantomData,
    ptr, //
};

use kernel::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    types::Opaque, //
};

/// An iterator over the records of a file that is open, one for each opening.
///
/// `seq_file` serialises the calls. Between [`start`](Self::start) and [`stop`](Self::stop) no user
/// space is touched; between a `stop` and the next `start` any time may pass.
pub(crate) trait Sequence: Send + 'static {
    /// Makes the record at `position` the current one; false if there is none.
    ///
    /// `position` is 0, or where the last `start` or `next` led. `read` is how far the file was read,
    /// in bytes, by the reads before this one: a position of 0 where that is not 0 is of one that seeks.
    fn start(&mut self, position: u64, read: u64) -> Result<bool>;

    /// Makes the record behind the current one the current one; false if there is none.
    fn next(&mut self) -> Result<bool>;

    /// Ends a run of calls.
    fn stop(&mut self) {}

    /// Writes out the current record. May be called twice for the same: no side effects.
    fn show(&mut self, out: &mut Output<'_>) -> Result;
}

/// A sequence that goes on: behind its last record there will be others.
///
/// There is no position to go back to but the beginning: `start` takes up where the reader is, whatever
/// the position. (`read` counts from 1. Only io_uring can ask for another position, which skips records.)
pub(crate) trait Stream: Sequence {
    /// Goes to the beginning.
    fn rewind(&mut self);

    /// Goes behind the last record that there is now.
    fn skip(&mut self) -> Result;

    /// Whether there is a record to be read. If this says so, the next `start` must lead to it.
    fn ready(&mut self) -> bool;
}

/// Where [`Sequence::show`] writes to.
pub(crate) struct Output<'a>(&'a Opaque<bindings::seq_file>);

impl Output<'_> {
    /// Appends `bytes`. If they do not fit, `seq_file` makes room and shows the record again.
    ///
    /// Wraps `seq_write()`.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        // SAFETY: The `seq_file` is valid and locked by the reader that `show` is called for, and
        // `bytes` is valid for its length. The result tells what `seq_file` notices by itself.
        unsafe { bindings::seq_write(self.0.get(), bytes.as_ptr().cast(), bytes.len()) };
    }
}

/// What belongs to one opening of a file: its iterator, and what else `O` is.
///
/// The iterator is touched under the lock of the `seq_file` alone.
pub(crate) struct Opened<S, O> {
    sequence: S,
    other: O,
}

/// The functions that make a file of a [`Sequence`].
pub(crate) struct File<S, O>(PhantomData<(S, O)>);

impl<S: Sequence, O: Send + Sync + 'static> File<S, O> {
    const OPERATIONS: bindings::seq_operations = bindings::seq_operations {
        start: Some(Self::start),
        stop: Some(Self::stop),
        next: Some(Self::next),
        show: Some(Self::show),
    };

    /// Opens `file` as a sequence. Wraps `seq_open()`.
    ///
    /// What is allocated is charged to the memory cgroup of the current task, as `seq_file` does with its
    /// own memory.
    ///
    /// # Safety
    ///
    /// To be called from `open` of the file operations of `file`, whose `release` is
    /// [`Self::release`].
    pub(crate) unsafe fn open(file: *mut bindings::file, sequence: S, other: O) -> Result {
        let opened = KBox::new(Opened { sequence, other }, GFP_KERNEL_ACCOUNT)?;

        let operations: &'static _ = &Self::OPERATIONS;

        // SAFETY: `file` is being opened, and the operations live as long as the module.
        to_result(unsafe { bindings::seq_open(file, operations) })?;

        // SAFETY: `seq_open()` put its `seq_file` there, which nobody else knows yet.
        unsafe {
            let m = (*file).private_data.cast::<bindings::seq_file>();
            (*m).private = KBox::into_raw(opened).cast();
        }
        Ok(())
    }

    /// `release` of the file operations. Wraps `seq_release()`.
    ///
    /// # Safety
    ///
    /// To be called once, for a file that [`Self::open`] opened.
    pub(crate) unsafe extern "C" fn release(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: By this function's own contract; the file is used by nobody any more.
        unsafe {
            let m = (*file).private_data.cast::<bindings::seq_file>();
            drop(KBox::from_raw((*m).private.cast::<Opened<S, O>>()));
            bindings::seq_release(inode, file)
        }
    }

    /// What was given to [`Self::open`] besides the sequence.
    ///
    /// # Safety
    ///
    /// `file` must have been opened by [`Self::open`], and not be released while the result lives.
    pub(crate) unsafe fn other<'a>(file: *mut bindings::file) -> &'a O {
        // SAFETY: By this function's own contract. Only this field is borrowed: the other belongs
        // to whoever reads.
        unsafe {
            let m = (*file).private_data.cast::<bindings::seq_file>();
            &(*(*m).private.cast::<Opened<S, O>>()).other
        }
    }

    /// Calls `f` while nobody reads the file. It gets the sequence, how many bytes of records that
    /// were shown are still to be read, and how far the file was read. It may change the latter two.
    ///
    /// Context: may sleep, for as long as one `read()` of a large piece takes.
    ///
    /// # Safety
    ///
    /// As for [`Self::other`].
    unsafe fn with_lock<R>(
        file: *mut bindings::file,
        f: impl FnOnce(&mut S, &mut usize, &mut bindings::loff_t) -> R,
    ) -> R {
        // SAFETY: By this function's own contract the `seq_file` is valid; with its lock held, nobody
        // else uses what is borrowed here.
        unsafe {
            let m = (*file).private_data.cast::<bindings::seq_file>();
            bindings::mutex_lock(&raw mut (*m).lock);
            let result = f(Self::sequence(m), &mut (*m).count, &mut (*m).read_pos);
            bindings::mutex_unlock(&raw mut (*m).lock);
            result
        }
    }

    /// # Safety
    ///
    /// `m` must be of a file that [`Self::open`] opened, and locked by the caller.
    unsafe fn sequence<'a>(m: *mut bindings::seq_file) -> &'a mut S {
        // SAFETY: By this function's own contract, and only this field is borrowed.
        unsafe { &mut (*(*m).private.cast::<Opened<S, O>>()).sequence }
    }

    /// # Safety
    ///
    /// As for [`Self::sequence`], and `position` must be valid.
    unsafe extern "C" fn start(
        m: *mut bindings::seq_file,
        position: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: By this function's own contract.
        let (sequence, position, read) = unsafe { (Self::sequence(m), *position, (*m).read_pos) };
        // CAST: Neither is negative.
        Self::current(m, sequence.start(position as u64, read as u64))
    }

    /// # Safety
    ///
    /// As for [`Self::start`].
    unsafe extern "C" fn next(
        m: *mut bindings::seq_file,
        _: *mut c_void,
        position: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: By this function's own contract.
        let (sequence, position) = unsafe { (Self::sequence(m), &mut *position) };
        // Moves at the end, too, as seq_file demands.
        *position = position.saturating_add(1);
        Self::current(m, sequence.next())
    }

    /// # Safety
    ///
    /// As for [`Self::sequence`].
    unsafe extern "C" fn stop(m: *mut bindings::seq_file, _: *mut c_void) {
        // SAFETY: By this function's own contract.
        unsafe { Self::sequence(m) }.stop();
    }

    /// # Safety
    ///
    /// As for [`Self::sequence`].
    unsafe extern "C" fn show(m: *mut bindings::seq_file, _: *mut c_void) -> c_int {
        from_result(|| {
            // SAFETY: By this function's own contract; `Opaque` is transparent.
            let (sequence, out) = unsafe { (Self::sequence(m), &*m.cast()) };
            sequence.show(&mut Output(out))?;
            Ok(0)
        })
    }

    /// A token for the current record: the sequence itself knows which one that is.
    fn current(m: *mut bindings::seq_file, there: Result<bool>) -> *mut c_void {
        match there {
            Ok(true) => m.cast(),
            Ok(false) => ptr::null_mut(),
            Err(error) => error.to_ptr(),
        }
    }
}

impl<S: Stream, O: Send + Sync + 'static> File<S, O> {
    /// Opens `file` as a stream: it cannot be read at a position of one's choice.
    ///
    /// # Safety
    ///
    /// As for [`Self::open`].
    pub(crate) unsafe fn open_stream(file: *mut bindings::file, sequence: S, other: O) -> Result {
        // SAFETY: By this function's own contract; nobody else uses the file yet, and nobody has its
        // lock.
        unsafe {
            Self::open(file, sequence, other)?;
            let m = (*file).private_data.cast::<bindings::seq_file>();
            // epoll polls a file under a lock that it also takes to show itself in /proc/PID/fdinfo,
            // under the lock of that `seq_file`. Not this one: but lockdep tells them by their class.
            bindings::__mutex_init(
                &raw mut (*m).lock,
                c"seq_file::Stream".as_char_ptr(),
                kernel::static_lock_class!().as_ptr(),
            );
            (*file).f_mode &= !FMODE_PREAD;
            (*file).f_pos = BEGINNING;
            Self::with_lock(file, |_, _, read| *read = BEGINNING);
        }
        Ok(())
    }

    /// `llseek` of a stream's file operations. To 0, it begins anew; to the end, it goes behind what
    /// is there now, while the position stays what it is: the number of bytes that were read.
    ///
    /// # Safety
    ///
    /// To be called for a file that [`Self::open_stream`] opened.
    pub(crate) unsafe extern "C" fn seek_stream(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        // SAFETY: By this function's own contract. Who seeks has the position locked, but for io_uring,
        // which sets it without: hence no reference.
        let position = unsafe { &raw mut (*file).f_pos };
        // CAST: A small number.
        let done = match (whence as u32, offset) {
            (bindings::SEEK_CUR, 0) => Ok(()),
            // SAFETY: By this function's own contract.
            (bindings::SEEK_SET, 0) => unsafe {
                Self::with_lock(file, |sequence, unread, read| {
                    sequence.rewind();
                    *unread = 0;
                    *read = BEGINNING;
                    position.write_volatile(BEGINNING);
                    Ok(())
                })
            },
            // SAFETY: By this function's own contract.
            (bindings::SEEK_END, 0) => unsafe {
                Self::with_lock(file, |sequence, unread, _| {
                    sequence.skip().inspect(|()| *unread = 0)
                })
            },
            _ => Err(EINVAL),
        };
        match done {
            // SAFETY: As above.
            Ok(()) => unsafe { position.read_volatile() }.saturating_sub(BEGINNING),
            Err(error) => error.to_errno().into(),
        }
    }

    /// Whether the stream has something to be read: for `poll` of its file operations.
    ///
    /// # Safety
    ///
    /// As for [`Self::seek_stream`].
    pub(crate) unsafe fn ready(file: *mut bindings::file) -> bool {
        // SAFETY: By this function's own contract.
        unsafe { Self::with_lock(file, |sequence, unread, _| *unread > 0 || sequence.ready()) }
    }
}

/// The position of a stream of which nothing was read. At 0, seq_file would take every reader for one
/// that begins anew, and drop what it had shown, but could not copy to a bad address.
const BEGINNING: bindings::loff_t = 1;

/// `FMODE_PREAD` of `include/linux/fs.h`.
const FMODE_PREAD: bindings::fmode_t = 1 << 3;
