//! What the dynamic loader has loaded: where this library came from, and the functions of
//! the libraries behind it.
//!
//! Functions are looked up in the objects' own symbol tables, in the loader's order and
//! only behind this library, which is what `dlsym(RTLD_NEXT, …)` does. `dlsym` itself will
//! not do: before glibc 2.34 a process has it only when it links libdl, and a name it does
//! not find changes the answer of the program's next `dlerror()` and allocates.
//!
//! ```ignore
//! let mut wanted = [Wanted::new(c"execve")];
//! let name = loader::look_up(&mut wanted);
//! ```

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

/// A function to look up, and its address once found.
pub(crate) struct Wanted {
    name: &'static CStr,
    hash: u32,
    /// Null when no library behind this one has the function.
    pub(crate) address: *const c_void,
}

impl Wanted {
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self { name, hash: gnu_hash(name.to_bytes()), address: ptr::null() }
    }
}

/// The hash function of `DT_GNU_HASH`.
const fn gnu_hash(name: &[u8]) -> u32 {
    let mut hash: u32 = 5381;
    let mut index = 0;
    while index < name.len() {
        hash = hash.wrapping_mul(33).wrapping_add(name[index] as u32);
        index += 1;
    }
    hash
}

/// `dl_phdr_info`, as far as every libc has it.
#[repr(C)]
struct Object {
    base: usize,
    name: *const c_char,
    headers: *const ProgramHeader,
    header_count: u16,
}

#[repr(C)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    address: usize,
    physical_address: u64,
    file_size: u64,
    memory_size: usize,
    alignment: u64,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;

#[repr(C)]
struct Dynamic {
    tag: usize,
    value: usize,
}

const DT_NULL: usize = 0;
const DT_HASH: usize = 4;
const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_GNU_HASH: usize = 0x6fff_fef5;
const DT_VERSYM: usize = 0x6fff_fff0;

#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: usize,
    size: u64,
}

const STT_FUNC: u8 = 2;
const STB_LOCAL: u8 = 0;
const SHN_UNDEF: u16 = 0;
/// The bit of a symbol's version that says "only for programs linked long ago".
const VERSION_HIDDEN: u16 = 0x8000;

type Visitor = unsafe extern "C" fn(*const Object, usize, *mut c_void) -> c_int;

unsafe extern "C" {
    fn dl_iterate_phdr(visitor: Visitor, data: *mut c_void) -> c_int;
}

/// Fills in the addresses of `wanted` and returns the name under which the loader opened
/// this library.
pub(crate) fn look_up(wanted: &mut [Wanted]) -> Option<&'static CStr> {
    let mut search = Search { wanted, own_name: None };
    // SAFETY: `visit` gets back the `Search`, which outlives the call.
    unsafe { dl_iterate_phdr(visit, (&raw mut search).cast()) };
    search.own_name
}

struct Search<'a> {
    wanted: &'a mut [Wanted],
    own_name: Option<&'static CStr>,
}

unsafe extern "C" fn visit(object: *const Object, _size: usize, search: *mut c_void) -> c_int {
    // SAFETY: the loader hands out a description of a loaded object, and `search` is the
    // `Search` of `look_up`.
    let (object, search) = unsafe { (&*object, &mut *search.cast::<Search>()) };
    if search.own_name.is_some() {
        // SAFETY: the object is loaded, and the libraries of a program stay loaded.
        if let Some(symbols) = unsafe { Symbols::of(object) } {
            for wanted in search.wanted.iter_mut().filter(|wanted| wanted.address.is_null()) {
                // SAFETY: as above.
                wanted.address = unsafe { symbols.function(wanted) };
            }
        }
    } else if object.contains(visit as *const c_void as usize) && !object.name.is_null() {
        // SAFETY: the loader keeps the name as long as the object is loaded, and that is
        // as long as this code can run.
        search.own_name = Some(unsafe { CStr::from_ptr(object.name) });
    }
    0
}

impl Object {
    fn headers(&self) -> &[ProgramHeader] {
        // SAFETY: the loader describes `header_count` headers of a loaded object.
        unsafe { core::slice::from_raw_parts(self.headers, usize::from(self.header_count)) }
    }

    fn contains(&self, address: usize) -> bool {
        self.headers().iter().filter(|header| header.kind == PT_LOAD).any(|header| {
            let start = self.base.wrapping_add(header.address);
            address.wrapping_sub(start) < header.memory_size
        })
    }
}

/// The symbol tables of a loaded object.
struct Symbols {
    base: usize,
    names: *const c_char,
    table: *const Symbol,
    versions: *const u16,
    gnu_hash: *const u32,
    hash: *const u32,
}

impl Symbols {
    /// # Safety
    /// `object` is loaded, and stays so as long as the result is used.
    unsafe fn of(object: &Object) -> Option<Self> {
        let header = object.headers().iter().find(|header| header.kind == PT_DYNAMIC)?;
        let mut dynamic = object.base.wrapping_add(header.address) as *const Dynamic;
        let mut found = Self {
            base: object.base,
            names: ptr::null(),
            table: ptr::null(),
            versions: ptr::null(),
            gnu_hash: ptr::null(),
            hash: ptr::null(),
        };
        loop {
            // SAFETY: a dynamic section ends with `DT_NULL`.
            let entry = unsafe { &*dynamic };
            // glibc replaces offsets by addresses in the section itself, musl does not.
            let address = if entry.value < object.base {
                object.base.wrapping_add(entry.value)
            } else {
                entry.value
            };
            match entry.tag {
                DT_NULL => break,
                DT_HASH => found.hash = address as *const u32,
                DT_STRTAB => found.names = address as *const c_char,
                DT_SYMTAB => found.table = address as *const Symbol,
                DT_GNU_HASH => found.gnu_hash = address as *const u32,
                DT_VERSYM => found.versions = address as *const u16,
                _ => {}
            }
            // SAFETY: `DT_NULL` was not reached yet.
            dynamic = unsafe { dynamic.add(1) };
        }
        (!found.names.is_null() && !found.table.is_null()).then_some(found)
    }

    /// The address of the function, or null.
    ///
    /// # Safety
    /// The object is still loaded.
    unsafe fn function(&self, wanted: &Wanted) -> *const c_void {
        // SAFETY: the caller's promise; the tables have the layout of their ELF tags.
        unsafe {
            if !self.gnu_hash.is_null() {
                self.by_gnu_hash(wanted)
            } else if !self.hash.is_null() {
                self.by_hash(wanted)
            } else {
                ptr::null()
            }
        }
    }

    /// # Safety
    /// The object is still loaded and has a `DT_GNU_HASH` table.
    unsafe fn by_gnu_hash(&self, wanted: &Wanted) -> *const c_void {
        const FILTER_BITS: u32 = usize::BITS;
        // SAFETY: the table is: bucket count, first hashed symbol, length and shift of the
        // Bloom filter, the filter's words, the buckets, one hash per symbol.
        unsafe {
            let [buckets, first, filter_length, shift] = *self.gnu_hash.cast::<[u32; 4]>();
            let filter = self.filter();
            let word = *filter.add(((wanted.hash / FILTER_BITS) & (filter_length - 1)) as usize);
            let mask =
                1 << (wanted.hash % FILTER_BITS) | 1 << ((wanted.hash >> shift) % FILTER_BITS);
            if word & mask != mask || buckets == 0 {
                return ptr::null();
            }
            let bucket = filter.add(filter_length as usize).cast::<u32>();
            let hashes = bucket.add(buckets as usize);
            let mut index = *bucket.add((wanted.hash % buckets) as usize);
            if index < first {
                return ptr::null();
            }
            loop {
                let hash = *hashes.add((index - first) as usize);
                // The lowest bit marks the last symbol of a bucket.
                if hash | 1 == wanted.hash | 1
                    && let Some(address) = self.symbol_address(index, wanted.name)
                {
                    return address;
                }
                if hash & 1 == 1 {
                    return ptr::null();
                }
                index += 1;
            }
        }
    }

    /// The Bloom filter of the `DT_GNU_HASH` table, behind its four numbers.
    fn filter(&self) -> *const usize {
        self.gnu_hash.wrapping_add(4).cast()
    }

    /// # Safety
    /// The object is still loaded and has a `DT_HASH` table.
    unsafe fn by_hash(&self, wanted: &Wanted) -> *const c_void {
        // SAFETY: the table begins with the number of buckets and of symbols. Every symbol
        // is compared, so that the second hash function is not needed: only libraries of
        // before 2006 have no other table.
        unsafe {
            let [_, symbol_count] = *self.hash.cast::<[u32; 2]>();
            (1..symbol_count)
                .find_map(|index| self.symbol_address(index, wanted.name))
                .unwrap_or(ptr::null())
        }
    }

    /// The address of symbol `index`, if it is the function `name` in its current version.
    ///
    /// # Safety
    /// The object is still loaded and has a symbol `index`.
    unsafe fn symbol_address(&self, index: u32, name: &CStr) -> Option<*const c_void> {
        // SAFETY: the caller's promise.
        unsafe {
            let symbol = &*self.table.add(index as usize);
            let hidden = !self.versions.is_null()
                && *self.versions.add(index as usize) & VERSION_HIDDEN != 0;
            let usable = symbol.info & 0xf == STT_FUNC
                && symbol.info >> 4 != STB_LOCAL
                && symbol.section != SHN_UNDEF
                && !hidden
                && CStr::from_ptr(self.names.add(symbol.name as usize)) == name;
            usable.then(|| self.base.wrapping_add(symbol.value) as *const c_void)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_gnu_linker() {
        for (name, hash) in [("", 5381), ("printf", 0x156b_2bb8), ("syscall", 0xbac2_12a0)] {
            assert_eq!(gnu_hash(name.as_bytes()), hash);
        }
    }

    #[test]
    fn the_loader_knows_this_code_and_no_function_of_no_library() {
        let mut wanted = [Wanted::new(c"no_library_has_this_function")];
        assert!(look_up(&mut wanted).is_some());
        assert!(wanted[0].address.is_null());
    }

    /// A hand-made object with both kinds of hash tables and three symbols.
    struct Handmade {
        names: &'static CStr,
        symbols: [Symbol; 4],
        versions: [u16; 4],
        /// In words of the filter's size, for its alignment.
        gnu_hash: Vec<u64>,
        hash: [u32; 2],
    }

    impl Handmade {
        fn new() -> Self {
            let symbol = |name, info, section, value| Symbol {
                name,
                info,
                other: 0,
                section,
                value,
                size: 0,
            };
            let global_function = 1 << 4 | STT_FUNC;
            // One bucket, all symbols in it, a filter that lets everything through.
            let [execve, environ] = [b"execve" as &[u8], b"environ"].map(super::gnu_hash);
            let words = [1, 1, 1, 0, u32::MAX, u32::MAX, 1, execve & !1, execve & !1, environ | 1];
            let gnu_hash =
                words.chunks(2).map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32).collect();
            Self {
                names: c"\x01execve\x01environ",
                symbols: [
                    symbol(0, 0, 0, 0),
                    symbol(1, global_function, 7, 0x100),
                    symbol(1, global_function, 7, 0x200),
                    symbol(8, 1 << 4 | 1, 7, 0x300),
                ],
                versions: [0, VERSION_HIDDEN | 2, 3, 2],
                gnu_hash,
                hash: [1, 4],
            }
        }

        fn find(&self, name: &'static CStr, by_gnu_hash: bool) -> usize {
            let names: Vec<u8> = self
                .names
                .to_bytes_with_nul()
                .iter()
                .map(|b| b.saturating_sub(u8::from(*b == 1)))
                .collect();
            let table = Symbols {
                base: 0x1000,
                names: names.as_ptr().cast(),
                table: self.symbols.as_ptr(),
                versions: self.versions.as_ptr(),
                gnu_hash: if by_gnu_hash { self.gnu_hash.as_ptr().cast() } else { ptr::null() },
                hash: self.hash.as_ptr(),
            };
            // SAFETY: the tables were made by hand to be complete.
            unsafe { table.function(&Wanted::new(name)) as usize }
        }
    }

    #[test]
    fn functions_are_found_in_their_current_version() {
        for by_gnu_hash in [true, false] {
            let object = Handmade::new();
            assert_eq!(object.find(c"execve", by_gnu_hash), 0x1200);
            // Not a function.
            assert_eq!(object.find(c"environ", by_gnu_hash), 0);
            assert_eq!(object.find(c"execveat", by_gnu_hash), 0);
        }
    }
}
