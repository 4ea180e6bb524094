//! What a process knows about the session it belongs to, noted once at load.
//!
//! Programs overwrite, clear and replace their environment, so the strings are copied to a
//! static buffer before the program's `main` runs; the hooks, which may run in a vfork
//! child, then only read them.
//!
//! ```ignore
//! let session = session::current();
//! for entry in session.entries() { … }   // "LD_PRELOAD=/…/libshim.so", "REDIRECTOR_RUN=…", …
//! ```

use crate::arch::with_stack;
use crate::hooks::{Loaded, Real};
use crate::kernel;
use crate::preload;
use crate::run_id;
use crate::strings::{RawVector, StringVector, file_name, join};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_int};
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

/// How every variable of ours begins.
pub(crate) const OUR_PREFIX: &[u8] = b"REDIRECTOR_";
pub(crate) const PRELOAD: &[u8] = b"LD_PRELOAD=";
/// The resolved path of the program, for the redirected process only.
pub(crate) const EXEC: &[u8] = b"REDIRECTOR_EXEC=";
pub(crate) const OFF: &[u8] = b"REDIRECTOR_OFF=";
pub(crate) const RUN: &[u8] = b"REDIRECTOR_RUN=";
pub(crate) const HOME: &[u8] = b"REDIRECTOR_HOME=";
pub(crate) const WHITELIST: &[u8] = b"REDIRECTOR_WHITELIST=";
pub(crate) const BINARY: &[u8] = b"REDIRECTOR_BIN=";
pub(crate) const STRIP: &[u8] = b"REDIRECTOR_STRIP=";

/// Bytes of all copied strings: nearly as many as a program start may add
/// (`environment::MOST_ADDED`), and few enough that all writable data fits into one page.
const CAPACITY: usize = 1792;
/// Most entries handed on, one bit each in `environment::View`.
const MOST_ENTRIES: usize = u32::BITS as usize;

/// A string of the session's buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u16,
    /// Without the zero byte that follows.
    end: u16,
}

impl Span {
    const EMPTY: Self = Self { start: 0, end: 0 };
}

/// There is more session than a program start may carry.
#[derive(Debug)]
struct Full;

/// The session of one process.
pub(crate) struct Session {
    pub(crate) real: Real,
    is_glibc: bool,
    takes_part: bool,
    text: [u8; CAPACITY],
    used: usize,
    entries: [Span; MOST_ENTRIES],
    entry_count: usize,
    /// The absolute path of this library.
    library: Span,
    /// How `LD_PRELOAD` named this library, if that has no meaning in another directory.
    spelling: Span,
}

/// What the session of a process is made of.
pub(crate) struct Origin<'a> {
    /// The environment the process was started with.
    pub(crate) environment: StringVector<'a>,
    /// The name under which the loader opened this library.
    pub(crate) library: &'a CStr,
    /// The 16 bytes the kernel made for this process.
    pub(crate) random: Option<[u8; 16]>,
}

impl Session {
    /// A process that takes no part: every hook is a plain call. All zero, so that the
    /// library holds no image of it.
    pub(crate) const NONE: Self = Self {
        real: Real::NONE,
        is_glibc: false,
        takes_part: false,
        text: [0; CAPACITY],
        used: 0,
        entries: [Span::EMPTY; MOST_ENTRIES],
        entry_count: 0,
        library: Span::EMPTY,
        spelling: Span::EMPTY,
    };

    /// Notes the session that `origin` describes. A process whose session does not fit, or
    /// whose library has no path that can be handed on, takes no part; nor does the
    /// redirector itself, where a build has linked it so that this library is loaded into it:
    /// it would redirect its own start of the program, for ever.
    pub(crate) fn capture(&mut self, origin: &Origin<'_>) {
        let is_redirector = origin.environment.value(EXEC).is_some();
        self.takes_part =
            !is_redirector && !is_off(origin.environment) && self.try_capture(origin).is_ok();
    }

    fn try_capture(&mut self, origin: &Origin<'_>) -> Result<(), Full> {
        self.note_library(origin)?;
        let mut is_root = true;
        let mut has_home = false;
        for entry in origin.environment.iter() {
            if entry.strip_prefix(OUR_PREFIX).is_none() {
                continue;
            }
            is_root &= entry.strip_prefix(RUN).is_none();
            has_home |= entry.strip_prefix(HOME).is_some();
            self.note_entry(&[entry.text().to_bytes()])?;
        }
        if is_root {
            if let Some(random) = origin.random {
                self.note_entry(&[RUN, &run_id::from_random(random)])?;
            }
            if !has_home && let Some(home) = origin.environment.value(b"HOME=") {
                self.note_entry(&[HOME, home.to_bytes()])?;
            }
        }
        Ok(())
    }

    /// Notes the path of this library and the `LD_PRELOAD` entry that loads it anywhere.
    fn note_library(&mut self, origin: &Origin<'_>) -> Result<(), Full> {
        let opened = origin.library.to_bytes();
        if opened.starts_with(b"/") {
            return self.note_spellings(opened, origin);
        }
        // Only a root process is started so: its children get the absolute path.
        let relative = opened.strip_prefix(b"./").unwrap_or(opened);
        let mut outcome = Err(Full);
        kernel::with_current_directory(&mut |directory| {
            with_stack(directory.len() + relative.len() + 2, |buffer| {
                if let Some(absolute) = join(buffer, &[directory, b"/", relative]) {
                    outcome = self.note_spellings(absolute.to_bytes(), origin);
                }
            });
        });
        outcome
    }

    fn note_spellings(&mut self, library: &[u8], origin: &Origin<'_>) -> Result<(), Full> {
        self.library = self.note(&[library])?;
        let value = origin.environment.value(PRELOAD).map_or(&b""[..], CStr::to_bytes);
        let name = file_name(library);
        // As `LD_PRELOAD` spells it, which may be `/opt/$LIB/libshim.so` for two ELF classes.
        let spelled = preload::elements(value).find(|element| file_name(element) == name);
        let absolute = spelled.filter(|spelled| spelled.starts_with(b"/")).unwrap_or(library);
        if preload::expressible(absolute) {
            if let Some(spelled) = spelled.filter(|spelled| *spelled != absolute) {
                self.spelling = self.note(&[spelled])?;
            }
            return self.note_entry(&[PRELOAD, absolute]);
        }
        // A blank or colon in the current directory: only the relative name can be said.
        self.note_entry(&[PRELOAD, spelled.ok_or(Full)?])
    }

    fn note_entry(&mut self, parts: &[&[u8]]) -> Result<(), Full> {
        let span = self.note(parts)?;
        *self.entries.get_mut(self.entry_count).ok_or(Full)? = span;
        self.entry_count += 1;
        Ok(())
    }

    fn note(&mut self, parts: &[&[u8]]) -> Result<Span, Full> {
        let start = self.used;
        let room = self.text.get_mut(start..).ok_or(Full)?;
        let length = join(room, parts).ok_or(Full)?.count_bytes();
        self.used = start + length + 1;
        Ok(Span { start: start as u16, end: (start + length) as u16 })
    }

    fn bytes(&self, span: Span) -> &[u8] {
        self.text.get(usize::from(span.start)..usize::from(span.end)).unwrap_or_default()
    }

    /// Whether every hook is a plain call in this process.
    pub(crate) fn is_off(&self) -> bool {
        !self.takes_part
    }

    /// Where programs are looked for when `PATH` is not set: libc's own list.
    pub(crate) fn default_path(&self) -> &'static [u8] {
        if self.is_glibc { b"/bin:/usr/bin" } else { b"/usr/local/bin:/bin:/usr/bin" }
    }

    /// What children of this process have in their environment: first `LD_PRELOAD` with
    /// this library alone, then our own variables. At most 32.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &CStr> {
        self.entries.iter().take(self.entry_count).filter_map(|span| {
            let with_zero = self.text.get(usize::from(span.start)..=usize::from(span.end))?;
            CStr::from_bytes_with_nul(with_zero).ok()
        })
    }

    /// The value of our variable with this name (and its `=`).
    pub(crate) fn value(&self, prefix: &[u8]) -> Option<&[u8]> {
        self.entries().find_map(|entry| entry.to_bytes().strip_prefix(prefix))
    }

    /// The absolute path of this library.
    pub(crate) fn library(&self) -> &[u8] {
        self.bytes(self.library)
    }

    /// The element of `LD_PRELOAD` that loads this library in any directory.
    pub(crate) fn preload_element(&self) -> &[u8] {
        self.value(PRELOAD).unwrap_or_default()
    }

    /// Whether an element of `LD_PRELOAD` is a spelling of this library that must not be
    /// handed to children, because it depends on their current directory.
    pub(crate) fn is_local_spelling(&self, element: &[u8]) -> bool {
        element == self.bytes(self.spelling)
    }

    /// Whether an element of `LD_PRELOAD` is this library, in whatever spelling.
    pub(crate) fn is_ours(&self, element: &[u8]) -> bool {
        self.is_local_spelling(element)
            || element == self.preload_element()
            || element == self.library()
    }
}

/// Whether `environment` switches the hooks off.
pub(crate) fn is_off(environment: StringVector<'_>) -> bool {
    environment.value(OFF).is_some_and(switches_off)
}

/// Whether this value of `REDIRECTOR_OFF` switches the hooks off.
pub(crate) fn switches_off(value: &CStr) -> bool {
    !matches!(value.to_bytes(), b"" | b"0")
}

struct Global {
    session: UnsafeCell<Session>,
    ready: AtomicBool,
}

// SAFETY: the session is written before `ready`, while the process has one thread only
// (`start`, `current`), and only read afterwards.
unsafe impl Sync for Global {}

static GLOBAL: Global =
    Global { session: UnsafeCell::new(Session::NONE), ready: AtomicBool::new(false) };

unsafe extern "C" {
    /// libc's pointer to the current environment.
    static mut environ: RawVector;
}

/// The environment of this process as it is now.
pub(crate) fn environment() -> RawVector {
    // SAFETY: a plain load of a pointer; whoever changes the environment while another
    // thread starts a program breaks libc's own exec functions, too.
    unsafe { environ }
}

/// Replaces the whole environment of this process by another list.
///
/// # Safety
/// `list` stays valid until it is replaced again.
pub(crate) unsafe fn set_environment(list: RawVector) {
    // SAFETY: a plain store of a pointer, see `environment`.
    unsafe { environ = list };
}

/// The session of this process.
pub(crate) fn current() -> &'static Session {
    if !GLOBAL.ready.load(Ordering::Acquire) {
        // The constructor of another library starts a program before ours has run.
        load(environment());
    }
    // SAFETY: written for the last time before `ready` was set.
    unsafe { &*GLOBAL.session.get() }
}

/// The loader calls this before the program's `main`.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: unsafe extern "C" fn(c_int, RawVector, RawVector) = start;

unsafe extern "C" fn start(_count: c_int, _arguments: RawVector, envp: RawVector) {
    if GLOBAL.ready.load(Ordering::Acquire) {
        return;
    }
    // glibc gives constructors the environment and may not have stored it in `environ`
    // yet. musl has stored it and gives constructors nothing.
    let stored = environment();
    load(if stored.is_null() { envp } else { stored });
}

fn load(environment: RawVector) {
    // SAFETY: nobody reads the session before `ready`; the process has one thread.
    let session = unsafe { &mut *GLOBAL.session.get() };
    let loaded = Loaded::look_up();
    session.real = loaded.real;
    session.is_glibc = loaded.is_glibc;
    if let Some(library) = loaded.library {
        // SAFETY: libc's environment is a NULL-terminated list.
        let environment = unsafe { StringVector::from_raw(environment) };
        session.capture(&Origin { environment, library, random: random(loaded.getauxval) });
    }
    GLOBAL.ready.store(true, Ordering::Release);
}

/// The form of `getauxval`, which glibc has since 2.16.
pub(crate) type GetAuxiliaryValue = unsafe extern "C" fn(usize) -> usize;

/// The kernel's 16 random bytes for this process.
fn random(getauxval: Option<GetAuxiliaryValue>) -> Option<[u8; 16]> {
    const AT_RANDOM: usize = 25;
    // SAFETY: `getauxval` takes any number; for `AT_RANDOM` it gives the address of 16
    // bytes that stay where they are, or 0.
    unsafe {
        let address = ptr::with_exposed_provenance::<[u8; 16]>(getauxval?(AT_RANDOM));
        (!address.is_null()).then(|| *address)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::strings::tests::Owned;

    /// The session of a process with this environment, for tests.
    pub(crate) fn session(library: &CStr, environment: &[&str]) -> Box<Session> {
        let owned = Owned::new(environment);
        let mut session = Box::new(Session::NONE);
        let random = Some([7; 16]);
        session.capture(&Origin { environment: owned.vector(), library, random });
        session
    }

    fn entries(session: &Session) -> Vec<String> {
        session.entries().map(|entry| entry.to_string_lossy().into_owned()).collect()
    }

    fn run_entry() -> String {
        format!("REDIRECTOR_RUN={}", String::from_utf8_lossy(&run_id::from_random([7; 16])))
    }

    #[test]
    fn a_root_process_makes_the_run_and_notes_its_home() {
        let session =
            session(c"/opt/libshim.so", &["LD_PRELOAD=/opt/libshim.so", "HOME=/home/me", "A=b"]);
        assert_eq!(
            entries(&session),
            ["LD_PRELOAD=/opt/libshim.so", &run_entry(), "REDIRECTOR_HOME=/home/me"]
        );
        assert!(!session.is_off());
    }

    #[test]
    fn a_child_keeps_what_it_was_given() {
        let given = [
            "REDIRECTOR_RUN=abc",
            "LD_PRELOAD=/x/libjemalloc.so /opt/libshim.so",
            "HOME=/home/me",
            "REDIRECTOR_TOKEN=secret",
            "REDIRECTOR_WHITELIST=",
        ];
        assert_eq!(
            entries(&session(c"/opt/libshim.so", &given)),
            [
                "LD_PRELOAD=/opt/libshim.so",
                "REDIRECTOR_RUN=abc",
                "REDIRECTOR_TOKEN=secret",
                "REDIRECTOR_WHITELIST="
            ]
        );
    }

    #[test]
    fn the_redirector_itself_takes_no_part() {
        let given = ["REDIRECTOR_RUN=abc", "REDIRECTOR_EXEC=/usr/bin/bwa"];
        assert!(session(c"/opt/libshim.so", &given).is_off());
    }

    #[test]
    fn a_home_given_to_the_root_process_is_kept() {
        let session = session(c"/l.so", &["REDIRECTOR_HOME=/given", "HOME=/home/me"]);
        assert_eq!(session.value(HOME), Some(&b"/given"[..]));
        assert_eq!(session.entries().count(), 3);
    }

    #[test]
    fn relative_spellings_become_absolute() {
        let here = std::env::current_dir().unwrap();
        let absolute = format!("{}/lib/libshim.so", here.display());
        for (opened, spelled) in [
            (c"./lib/libshim.so", "./lib/libshim.so"),
            (c"lib/libshim.so", "lib/libshim.so"),
            (c"lib/libshim.so", "libshim.so"),
        ] {
            let session = session(opened, &[&format!("LD_PRELOAD=/a.so:{spelled}")]);
            assert_eq!(session.preload_element(), absolute.as_bytes());
            assert_eq!(session.library(), absolute.as_bytes());
            assert!(session.is_local_spelling(spelled.as_bytes()));
            assert!(session.is_ours(absolute.as_bytes()));
            assert!(!session.is_local_spelling(absolute.as_bytes()));
        }
    }

    #[test]
    fn an_absolute_spelling_is_handed_on_as_it_is() {
        let session = session(c"/opt/lib64/libshim.so", &["LD_PRELOAD=/opt/$LIB/libshim.so"]);
        assert_eq!(session.preload_element(), b"/opt/$LIB/libshim.so");
        assert_eq!(session.library(), b"/opt/lib64/libshim.so");
        assert!(!session.is_local_spelling(b"/opt/$LIB/libshim.so"));
    }

    #[test]
    fn a_preload_from_elsewhere_is_handed_on_by_its_path() {
        let session = session(c"/opt/libshim.so", &[]);
        assert_eq!(session.preload_element(), b"/opt/libshim.so");
    }

    #[test]
    fn a_path_that_ld_preload_cannot_say_takes_no_part() {
        assert!(session(c"/my dir/libshim.so", &[]).is_off());
    }

    #[test]
    fn the_switch_is_any_value_but_empty_and_zero() {
        for (value, off) in [("1", true), ("yes", true), ("", false), ("0", false)] {
            let session = session(c"/l.so", &[&format!("REDIRECTOR_OFF={value}")]);
            assert_eq!(session.is_off(), off, "{value}");
        }
    }

    #[test]
    fn a_session_that_does_not_fit_takes_no_part() {
        let long = format!("REDIRECTOR_X={}", "x".repeat(CAPACITY));
        assert!(session(c"/l.so", &[&long]).is_off());
        let many: Vec<String> = (0..100).map(|i| format!("REDIRECTOR_{i}=")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(session(c"/l.so", &many).is_off());
    }
}
