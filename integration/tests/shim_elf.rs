//! The built `libshim.so` as a file: nothing in it may keep it from loading into any process,
//! nor make loading expensive. And the assembly for processors this machine is not.

mod shim_support;

use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, Object, ObjectSymbol, elf};
use shim_support::{Stage, built_library};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every function the shim stands before, and nothing else.
const HOOKS: [&str; 17] = [
    "_IO_popen",
    "execl",
    "execle",
    "execlp",
    "execv",
    "execve",
    "execveat",
    "execvp",
    "execvpe",
    "fexecve",
    "pidfd_spawn",
    "pidfd_spawnp",
    "popen",
    "posix_spawn",
    "posix_spawnp",
    "system",
    "wordexp",
];

/// What any glibc and any musl has. A name that a libc lacks would kill every process.
const IMPORTS: [&str; 9] = [
    "__errno_location",
    "bcmp",
    "dl_iterate_phdr",
    "environ",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "strlen",
];

fn with_library<R>(look: impl FnOnce(&ElfFile64<'_, Endianness>) -> R) -> R {
    let data = fs::read(built_library()).unwrap();
    look(&ElfFile64::parse(&*data).expect("libshim.so is a 64-bit ELF file"))
}

fn segments(library: &ElfFile64<'_, Endianness>) -> Vec<(elf::ProgramType, elf::ProgramFlags)> {
    let endian = library.endian();
    let headers = library.elf_header().program_headers(endian, library.data()).unwrap();
    headers.iter().map(|header| (header.p_type(endian), header.p_flags(endian))).collect()
}

#[test]
fn exports_exactly_the_hooks() {
    let exported: BTreeSet<String> = with_library(|library| {
        let symbols = library.dynamic_symbols().filter(ObjectSymbol::is_definition);
        symbols.map(|symbol| symbol.name().unwrap().to_owned()).collect()
    });
    assert_eq!(exported, HOOKS.map(str::to_owned).into());
}

#[test]
fn imports_only_what_every_libc_has() {
    with_library(|library| {
        for symbol in library.dynamic_symbols().filter(ObjectSymbol::is_undefined) {
            let name = symbol.name().unwrap();
            assert!(name.is_empty() || IMPORTS.contains(&name), "{name} is imported");
        }
    });
}

#[test]
fn needs_no_library_and_no_version() {
    with_library(|library| {
        let endian = library.endian();
        let sections = library.elf_section_table();
        for section in sections.iter() {
            let kind = section.sh_type(endian);
            assert!(
                kind != elf::SHT_GNU_VERNEED && kind != elf::SHT_GNU_VERDEF,
                "libshim.so has a symbol version section"
            );
            if let Some((entries, _)) = section.dynamic(endian, library.data()).unwrap() {
                for entry in entries {
                    let tag = entry.d_tag.get(endian);
                    for (forbidden, name) in [
                        (elf::DT_NEEDED, "DT_NEEDED"),
                        (elf::DT_RPATH, "DT_RPATH"),
                        (elf::DT_RUNPATH, "DT_RUNPATH"),
                        (elf::DT_TEXTREL, "DT_TEXTREL"),
                        (elf::DT_VERNEED, "DT_VERNEED"),
                    ] {
                        assert_ne!(tag, forbidden, "libshim.so has {name}");
                    }
                }
            }
        }
    });
}

#[test]
fn has_no_thread_local_data_and_no_executable_data() {
    let segments = with_library(segments);
    assert!(segments.iter().all(|(kind, _)| *kind != elf::PT_TLS), "PT_TLS");
    for (kind, flags) in &segments {
        let executable = flags.contains(elf::PF_X);
        assert!(!(executable && flags.contains(elf::PF_W)), "a segment is writable and executable");
        assert!(*kind != elf::PT_GNU_STACK || !executable, "the stack is executable");
    }
    assert!(
        segments.iter().any(|(kind, _)| *kind == elf::PT_GNU_STACK),
        "without PT_GNU_STACK some loaders make the stack executable"
    );
}

#[test]
fn is_mapped_in_two_pieces() {
    let loaded = with_library(segments).iter().filter(|(kind, _)| *kind == elf::PT_LOAD).count();
    assert_eq!(loaded, 2, "each segment is one system call at every program start");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "only optimised code has so little data")]
fn writable_data_fits_into_one_page() {
    const PAGE: u64 = 4096;
    with_library(|library| {
        let endian = library.endian();
        let headers = library.elf_header().program_headers(endian, library.data()).unwrap();
        let mut writable = headers.iter().filter(|header| {
            header.p_type(endian) == elf::PT_LOAD && header.p_flags(endian).contains(elf::PF_W)
        });
        let segment = writable.next().expect("the session is written at load");
        let start = segment.p_vaddr(endian);
        let last = start + segment.p_memsz(endian) - 1;
        assert_eq!(start / PAGE, last / PAGE, "from {start:#x} to {last:#x}");
        assert!(writable.next().is_none());
    });
}

/// The assembly files of a processor, as complete functions for its assembler.
fn assembly_of(processor: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shim/src/arch").join(processor);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files: Vec<_> = files
        .map(|file| file.unwrap().path())
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, format!("function:\n{}", text.replace("{implementation}", "implementation")))
        })
        .collect();
    assert!(!files.is_empty(), "{} holds no assembly", folder.display());
    files
}

#[test]
fn the_assembly_for_aarch64_assembles() {
    const ASSEMBLER: &str = "aarch64-linux-gnu-as";
    if Command::new(ASSEMBLER).arg("--version").output().is_err() {
        assert!(
            std::env::var_os("REDIRECTOR_TEST_ALL").is_none(),
            "{ASSEMBLER} is missing; install binutils-aarch64-linux-gnu"
        );
        println!("skipped: {ASSEMBLER} is not installed (binutils-aarch64-linux-gnu)");
        return;
    }
    let stage = Stage::new();
    for (path, text) in assembly_of("aarch64") {
        fs::write(stage.path("function.s"), text).unwrap();
        let output = Command::new(ASSEMBLER)
            .arg("-o")
            .args([stage.path("function.o"), stage.path("function.s")])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {errors}", path.display());
    }
}

#[test]
fn every_processor_has_the_same_functions() {
    let names = |processor| -> BTreeSet<String> {
        let files = assembly_of(processor).into_iter();
        files.map(|(path, _)| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("aarch64"), names("x86_64"));
}
