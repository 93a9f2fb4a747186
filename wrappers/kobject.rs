// SPDX-License-Identifier: GPL-2.0

//! Attributes of kernel objects: small files in sysfs.
//!
//! C header: [`include/linux/kobject.h`](srctree/include/linux/kobject.h),
//! [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h)

use core::{
    mem,
    mem::offset_of,
    slice, //
};

use kernel::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

/// What an attribute shows and stores.
///
/// Context: both may sleep.
pub(crate) trait Operations: Send + Sync + 'static {
    /// Writes what the file contains now into `page`; returns how many bytes those are, less than a
    /// page.
    fn show(&self, page: &mut [u8]) -> Result<usize>;

    /// Handles one write, of which sysfs passes a page at most; returns how many bytes it took. `first`
    /// tells that it is the first write on this open file.
    fn store(&self, data: &[u8], first: bool) -> Result<usize>;
}

/// An attribute that is there until this is dropped.
///
/// It is a `bin_attribute`, as the functions of a text attribute are not told which open file they are
/// called for. A reader still gets the text of one moment, as from a text attribute: it is made by a
/// read at offset 0, or by the first read, and later reads continue in it.
///
/// An opening of its file does not keep the module from being unloaded: it fails from then on.
///
/// # Invariants
///
/// `inner` is registered as an attribute of `kernel_kobj`.
pub(crate) struct BinAttribute<T: Operations> {
    inner: KBox<Inner<T>>,
}

/// What the callbacks find: the attribute's own memory.
#[repr(C)]
struct Inner<T> {
    attribute: bindings::bin_attribute,
    data: Arc<T>,
}

/// What is kept for one open file.
///
/// kernfs opens each of its files as a `seq_file`, but reads only text attributes through it; the
/// `seq_file` of any other is unused, and seq_release() frees its buffer when the file is closed, also
/// after the attribute is gone. So the text is kept in that buffer, and the number of writes in
/// `index`.
///
/// # Invariants
///
/// - The fields are those of the `seq_file` of an open file of a [`BinAttribute`], which kernfs has
///   locked (`of->mutex`). Only they are borrowed: others look at `private`.
/// - `buf` is NULL, or `PAGE_SIZE` initialised bytes. If `size` is not 0, the first `count` of them are
///   the text.
struct OpenFile<'a> {
    buf: &'a mut *mut c_char,
    size: &'a mut usize,
    count: &'a mut usize,
    index: &'a mut bindings::loff_t,
}

impl OpenFile<'_> {
    /// # Safety
    ///
    /// `file` must be an open file of a [`BinAttribute`]. To be called in a function of that attribute;
    /// only one such value may live at a time.
    unsafe fn new(file: *mut bindings::file) -> Self {
        // INVARIANT: By this function's own contract. The buffer is NULL at first, and nobody but
        // `text` sets it.
        //
        // SAFETY: kernfs_fop_open() calls seq_open(), which puts the `seq_file` there, for as long as
        // the file is open. kernfs holds `of->mutex` while it calls the functions of an attribute, and
        // uses none of these fields for one that is binary.
        unsafe {
            let m = (*file).private_data.cast::<bindings::seq_file>();
            Self {
                buf: &mut (*m).buf,
                size: &mut (*m).size,
                count: &mut (*m).count,
                index: &mut (*m).index,
            }
        }
    }

    /// The text that a read at `offset` continues in. If there is none yet, or the read is one from the
    /// beginning, `make` makes it.
    fn text(
        &mut self,
        offset: u64,
        make: impl FnOnce(&mut [u8]) -> Result<usize>,
    ) -> Result<&[u8]> {
        if self.buf.is_null() {
            let (buffer, ..) =
                KVVec::from_elem(0_u8, PAGE_SIZE, GFP_KERNEL_ACCOUNT)?.into_raw_parts();
            // INVARIANT: A page of zeros, whose size is that of the kernel's pages. kvmalloc() allocated it:
            // seq_release() frees it by kvfree().
            *self.buf = buffer.cast();
        }
        // SAFETY: By the type invariant; `self` is borrowed while this lives.
        let page = unsafe { slice::from_raw_parts_mut(self.buf.cast::<u8>(), PAGE_SIZE) };
        if offset == 0 || *self.size == 0 {
            // Without a text for as long as there might be half of one.
            *self.size = 0;
            *self.count = make(page)?.min(PAGE_SIZE - 1);
            *self.size = PAGE_SIZE;
        }
        Ok(page.get(..*self.count).unwrap_or_default())
    }

    /// Notes a write; tells whether it is the first one.
    fn begin_write(&mut self) -> bool {
        mem::replace(self.index, 1) == 0
    }
}

impl<T: Operations> BinAttribute<T> {
    /// Creates `/sys/kernel/NAME`.
    ///
    /// Context: may sleep. Errors: `EEXIST`, `ENOMEM`. Wraps `sysfs_create_bin_file()`.
    pub(crate) fn new_kernel(name: &'static CStr, mode: u16, data: Arc<T>) -> Result<Self> {
        // The size stays 0: a write behind the size of a file would fail.
        let mut attribute: bindings::bin_attribute = pin_init::zeroed();
        attribute.attr.name = name.as_char_ptr();
        attribute.attr.mode = mode;
        attribute.read = Some(Self::read);
        attribute.write = Some(Self::write);
        #[cfg(CONFIG_DEBUG_LOCK_ALLOC)]
        {
            // As sysfs_bin_attr_init() does for attributes that are no static variables.
            attribute.attr.key = kernel::static_lock_class!().as_ptr();
        }
        let inner = KBox::new(Inner { attribute, data }, GFP_KERNEL)?;

        // SAFETY: The kernel's own object is always there. The attribute stays where it is until it
        // is removed, its name for as long as the module.
        to_result(unsafe {
            bindings::sysfs_create_bin_file(bindings::kernel_kobj, &inner.attribute)
        })?;

        // INVARIANT: Just registered.
        Ok(Self { inner })
    }

    /// # Safety
    ///
    /// `attribute` must be one that [`Self::new_kernel`] registered, and not be removed during the
    /// call.
    unsafe fn data<'a>(attribute: *const bindings::bin_attribute) -> &'a T {
        // SAFETY: By this function's own contract it is the first field of an `Inner`.
        unsafe {
            &(*attribute
                .byte_sub(offset_of!(Inner<T>, attribute))
                .cast::<Inner<T>>())
            .data
        }
    }

    /// # Safety
    ///
    /// To be called as `read` of an attribute that [`Self::new_kernel`] registered, with a `buffer` of
    /// `len` bytes.
    unsafe extern "C" fn read(
        file: *mut bindings::file,
        _: *mut bindings::kobject,
        attribute: *const bindings::bin_attribute,
        buffer: *mut c_char,
        offset: bindings::loff_t,
        len: usize,
    ) -> isize {
        from_result(|| {
            // SAFETY: By this function's own contract. sysfs waits for this call before it removes the
            // attribute.
            let (data, mut open) = unsafe { (Self::data(attribute), OpenFile::new(file)) };
            let offset = u64::try_from(offset)?;
            let text = open.text(offset, |page| data.show(page))?;
            let rest = text.get(usize::try_from(offset)?..).unwrap_or_default();
            let rest = rest.get(..len).unwrap_or(rest);
            // SAFETY: At most `len` bytes, into a buffer that kernfs allocated for this call.
            unsafe {
                buffer
                    .cast::<u8>()
                    .copy_from_nonoverlapping(rest.as_ptr(), rest.len())
            };
            // CAST: Less than a page.
            Ok(rest.len() as isize)
        })
    }

    /// # Safety
    ///
    /// To be called as `write` of an attribute that [`Self::new_kernel`] registered, with `len` bytes
    /// at `data`.
    unsafe extern "C" fn write(
        file: *mut bindings::file,
        _: *mut bindings::kobject,
        attribute: *const bindings::bin_attribute,
        data: *mut c_char,
        _: bindings::loff_t,
        len: usize,
    ) -> isize {
        from_result(|| {
            // SAFETY: By this function's own contract; sysfs copied the data for this call.
            let (this, mut open, data) = unsafe {
                (
                    Self::data(attribute),
                    OpenFile::new(file),
                    slice::from_raw_parts(data.cast::<u8>(), len),
                )
            };
            let first = open.begin_write();
            // CAST: At most a page.
            Ok(this.store(data, first)?.min(len) as isize)
        })
    }
}

impl<T: Operations> Drop for BinAttribute<T> {
    /// Waits for calls that run. Context: may sleep. Wraps `sysfs_remove_bin_file()`.
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered so.
        unsafe { bindings::sysfs_remove_bin_file(bindings::kernel_kobj, &self.inner.attribute) };
    }
}

// SAFETY: An attribute has no owner thread, and its data can be sent.
unsafe impl<T: Operations> Send for BinAttribute<T> {}

// SAFETY: Nothing can be done with a shared attribute.
unsafe impl<T: Operations> Sync for BinAttribute<T> {}
