// SPDX-License-Identifier: GPL-2.0

//! Attributes of kernel objects: small files in sysfs.
//!
//! C header: [`include/linux/kobject.h`](srctree/include/linux/kobject.h),
//! [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h)

use core::{
    mem::{
        offset_of,
        size_of, //
    },
    ptr,
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
    /// Writes what is read into `page`; returns how many bytes those are, less than a page.
    fn show(&self, page: &mut [u8]) -> Result<usize>;

    /// Handles what was written, at most a page; returns how many bytes it took.
    fn store(&self, data: &[u8]) -> Result<usize>;
}

/// An attribute that is there until this is dropped.
///
/// An opening of its file does not keep the module from being unloaded: it fails from then on.
///
/// # Invariants
///
/// `inner` is registered as an attribute of `kernel_kobj`.
pub(crate) struct Attribute<T: Operations> {
    inner: KBox<Inner<T>>,
}

/// What the callbacks find: the attribute's own memory.
#[repr(C)]
struct Inner<T> {
    attribute: KobjAttribute,
    data: Arc<T>,
}

/// `struct kobj_attribute`. From 7.3 on its functions are in unions, which bindgen gives other names;
/// its layout is the same. (Theirs are the C types to the name, which CONFIG_CFI compares.)
#[repr(C)]
struct KobjAttribute {
    attr: bindings::attribute,
    show: unsafe extern "C" fn(
        *mut bindings::kobject,
        *mut bindings::kobj_attribute,
        *mut c_char,
    ) -> isize,
    store: unsafe extern "C" fn(
        *mut bindings::kobject,
        *mut bindings::kobj_attribute,
        *const c_char,
        usize,
    ) -> isize,
}

const _: () = assert!(size_of::<KobjAttribute>() == size_of::<bindings::kobj_attribute>());

impl<T: Operations> Attribute<T> {
    /// Creates `/sys/kernel/NAME`.
    ///
    /// Context: may sleep. Errors: `EEXIST`, `ENOMEM`. Wraps `sysfs_create_file_ns()`.
    pub(crate) fn new_kernel(name: &'static CStr, mode: u16, data: Arc<T>) -> Result<Self> {
        let mut attr: bindings::attribute = pin_init::zeroed();
        attr.name = name.as_char_ptr();
        attr.mode = mode;
        #[cfg(CONFIG_DEBUG_LOCK_ALLOC)]
        {
            // As sysfs_attr_init() does for attributes that are no static variables.
            attr.key = kernel::static_lock_class!().as_ptr();
        }
        let attribute = KobjAttribute {
            attr,
            show: Self::show,
            store: Self::store,
        };
        let inner = KBox::new(Inner { attribute, data }, GFP_KERNEL)?;

        // SAFETY: The kernel's own object is always there. The attribute stays where it is until it
        // is removed, its name for as long as the module.
        to_result(unsafe {
            bindings::sysfs_create_file_ns(
                bindings::kernel_kobj,
                &inner.attribute.attr,
                ptr::null(),
            )
        })?;

        // INVARIANT: Just registered.
        Ok(Self { inner })
    }

    /// # Safety
    ///
    /// `attribute` must be one that [`Self::new_kernel`] registered, and not be removed during the
    /// call.
    unsafe fn data<'a>(attribute: *mut bindings::kobj_attribute) -> &'a T {
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
    /// To be called as `show` of an attribute that [`Self::new_kernel`] registered, with a page.
    unsafe extern "C" fn show(
        _: *mut bindings::kobject,
        attribute: *mut bindings::kobj_attribute,
        page: *mut c_char,
    ) -> isize {
        from_result(|| {
            // SAFETY: By this function's own contract; the page is nobody else's, and initialised.
            // sysfs waits for this call before it removes the attribute.
            let (data, page) = unsafe {
                (
                    Self::data(attribute),
                    slice::from_raw_parts_mut(page.cast::<u8>(), PAGE_SIZE),
                )
            };
            // sysfs takes a whole page for an overflow. CAST: Less than a page.
            Ok(data.show(page)?.min(PAGE_SIZE - 1) as isize)
        })
    }

    /// # Safety
    ///
    /// To be called as `store` of an attribute that [`Self::new_kernel`] registered, with `len` bytes
    /// at `data`.
    unsafe extern "C" fn store(
        _: *mut bindings::kobject,
        attribute: *mut bindings::kobj_attribute,
        data: *const c_char,
        len: usize,
    ) -> isize {
        from_result(|| {
            // SAFETY: By this function's own contract; sysfs copied the data for this call.
            let (this, data) = unsafe {
                (
                    Self::data(attribute),
                    slice::from_raw_parts(data.cast::<u8>(), len),
                )
            };
            // CAST: At most a page.
            Ok(this.store(data)?.min(len) as isize)
        })
    }
}

impl<T: Operations> Drop for Attribute<T> {
    /// Waits for calls that run. Context: may sleep. Wraps `sysfs_remove_file_ns()`.
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered so.
        unsafe {
            bindings::sysfs_remove_file_ns(
                bindings::kernel_kobj,
                &self.inner.attribute.attr,
                ptr::null(),
            )
        };
    }
}

// SAFETY: An attribute has no owner thread, and its data can be sent.
unsafe impl<T: Operations> Send for Attribute<T> {}

// SAFETY: Nothing can be done with a shared attribute.
unsafe impl<T: Operations> Sync for Attribute<T> {}
