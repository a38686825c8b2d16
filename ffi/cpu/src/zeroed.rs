use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Types for which memory of all zero bits is a value.
///
/// # Safety
///
/// Every bit pattern of zeros of `Self`'s size must be a valid `Self` that needs no `Drop`.
pub unsafe trait Zeroable {}

// SAFETY: an atomic has the representation of its integer (std documents "the same size, alignment
// and bit validity"), and zero is an integer.
unsafe impl Zeroable for AtomicU64 {}
// SAFETY: as for AtomicU64.
unsafe impl Zeroable for AtomicU32 {}
// SAFETY: an array is its elements one behind the other, with nothing between them.
unsafe impl<T: Zeroable, const N: usize> Zeroable for [T; N] {}

/// A slice that starts out zero, aligned to 2 MiB where it is that large so that the kernel can back
/// it with huge pages: a table of many megabytes that is read at random otherwise costs a TLB miss a
/// read.
pub struct ZeroedSlice<T: Zeroable> {
    first: NonNull<T>,
    len: usize,
    layout: Layout,
}

const HUGE_PAGE_BYTES: usize = 2 << 20;

impl<T: Zeroable> ZeroedSlice<T> {
    /// `len` zeroed elements.
    ///
    /// # Panics
    ///
    /// If `len` is 0, `T` has no size, or the total exceeds `isize::MAX` octets.
    pub fn new(len: usize) -> Self {
        assert!(len > 0 && size_of::<T>() > 0, "an empty zeroed slice");
        let layout = Layout::array::<T>(len).expect("a zeroed slice larger than the address space");
        let huge = layout.size() >= HUGE_PAGE_BYTES;
        let align = if huge { HUGE_PAGE_BYTES } else { layout.align().max(64) };
        let layout = layout.align_to(align).expect("a zeroed slice larger than the address space");
        // SAFETY: the layout's size isn't zero, as asserted above.
        let memory = unsafe { alloc(layout) };
        let Some(first) = NonNull::new(memory.cast::<T>()) else { handle_alloc_error(layout) };
        if huge {
            // Before the first write, which is when the kernel decides how to back a page.
            // SAFETY: the range is this allocation's own and starts on a page; MADV_HUGEPAGE changes
            // how the kernel backs it and not what it holds. A refusal leaves ordinary pages.
            unsafe { libc::madvise(memory.cast(), layout.size(), libc::MADV_HUGEPAGE) };
        }
        // SAFETY: the allocation has layout.size() octets, and nobody else knows of it yet.
        unsafe { memory.write_bytes(0, layout.size()) };
        Self { first, len, layout }
    }
}

impl<T: Zeroable> Deref for ZeroedSlice<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `first` points to `len` elements that `new` allocated and zeroed, zeros are a valid
        // T by T: Zeroable, and they live until drop. Only shared references are ever given out.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl<T: Zeroable> Drop for ZeroedSlice<T> {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this very layout; Zeroable types need no Drop.
        unsafe { dealloc(self.first.as_ptr().cast(), self.layout) };
    }
}

// SAFETY: the slice owns its elements as a Box<[T]> does, so it may move to another thread where they may.
unsafe impl<T: Zeroable + Send> Send for ZeroedSlice<T> {}
// SAFETY: it gives out only &[T], which may be shared where T may.
unsafe impl<T: Zeroable + Sync> Sync for ZeroedSlice<T> {}

/// A [`ZeroedSlice`] of a power of two of elements, looked up by hashes: every number names one.
pub struct ZeroedTable<T: Zeroable>(ZeroedSlice<T>);

impl<T: Zeroable> ZeroedTable<T> {
    /// `len` zeroed elements.
    ///
    /// # Panics
    ///
    /// If `len` is no power of two, `T` has no size, or the total exceeds `isize::MAX` octets.
    pub fn new(len: usize) -> Self {
        assert!(len.is_power_of_two(), "a table of {len} elements");
        Self(ZeroedSlice::new(len))
    }

    /// The element of this number, modulo their number.
    #[inline(always)]
    pub fn at(&self, number: u64) -> &T {
        self.view().at(number)
    }

    /// The elements, for a loop that keeps in registers where they are.
    #[inline(always)]
    pub fn view(&self) -> TableView<'_, T> {
        TableView(&self.0)
    }
}

/// A borrowed [`ZeroedTable`].
#[derive(Debug)]
pub struct TableView<'a, T>(&'a [T]);

impl<T> Clone for TableView<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for TableView<'_, T> {}

impl<'a, T> TableView<'a, T> {
    /// The element of this number, modulo their number.
    #[inline(always)]
    pub fn at(self, number: u64) -> &'a T {
        let mask = self.0.len() - 1;
        // SAFETY: only a table gives out a view, of all its elements, and a table's length is a power of
        // two; so what the mask leaves of any number is less than it.
        unsafe { self.0.get_unchecked(number as usize & mask) }
    }
}

impl<T: Zeroable> Deref for ZeroedTable<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn starts_zero_and_keeps_what_is_written() {
        for len in [1, 100, 1 << 18] {
            let slice = ZeroedSlice::<[AtomicU64; 2]>::new(len);
            assert!(slice.iter().flatten().all(|word| word.load(Ordering::Relaxed) == 0));
            slice[len - 1][1].store(7, Ordering::Relaxed);
            assert_eq!(slice[len - 1][1].load(Ordering::Relaxed), 7);
        }
    }

    #[test]
    fn every_number_names_an_element_of_a_table() {
        let table = ZeroedTable::<AtomicU64>::new(8);
        for number in [0, 7, 8, 1 << 40 | 3, u64::MAX] {
            assert!(std::ptr::eq(table.at(number), &table[(number % 8) as usize]));
        }
    }

    #[test]
    #[should_panic = "a table of 6 elements"]
    fn a_table_is_a_power_of_two() {
        ZeroedTable::<AtomicU64>::new(6);
    }

    #[test]
    fn large_slices_start_on_a_huge_page() {
        let slice = ZeroedSlice::<AtomicU64>::new(1 << 19);
        assert_eq!(slice.as_ptr() as usize % HUGE_PAGE_BYTES, 0);
    }
}
