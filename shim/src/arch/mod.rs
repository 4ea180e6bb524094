//! What Rust cannot say by itself: C-variadic entry points, a stack buffer of a
//! size known only at run time, and system calls that do not go through libc.
//!
//! The assembly of a processor is in a folder of its name, one file per function;
//! the Rust side is the same for all of them.
//!
//! ```ignore
//! arch::with_stack(length, |buffer| fill(buffer));
//! let answer = arch::system_call(number::CLOSE, [descriptor, 0, 0, 0, 0]);
//! ```

use core::arch::naked_asm;
use core::ffi::c_void;

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
pub(crate) mod number;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
pub(crate) mod number;

/// The assembly text of one function for the processor that is compiled for.
#[cfg(target_arch = "x86_64")]
macro_rules! assembly {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/arch/x86_64/", $file))
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! assembly {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/arch/aarch64/", $file))
    };
}

/// Defines a C-variadic function `name(path, argument 0, …)` that calls
/// `implementation(path, argv)`.
macro_rules! variadic {
    ($(#[$attribute:meta])* $name:ident => $implementation:path) => {
        $(#[$attribute])*
        #[unsafe(naked)]
        pub(crate) unsafe extern "C" fn $name() -> core::ffi::c_int {
            core::arch::naked_asm!(
                $crate::arch::assembly!("variadic.s"),
                implementation = sym $implementation,
            )
        }
    };
}

pub(crate) use {assembly, variadic};

/// Runs `with_buffer` on a zeroed, 16-byte aligned stack buffer of exactly `size` bytes.
///
/// Hooks run in vfork children, where no memory may be allocated, and on thread
/// stacks of 16 KiB, where no buffer may be larger than what is needed.
pub(crate) fn with_stack<F: FnMut(&mut [u8])>(size: usize, with_buffer: F) {
    struct Call<F> {
        size: usize,
        with_buffer: F,
    }

    unsafe extern "C" fn enter<F: FnMut(&mut [u8])>(buffer: *mut u8, context: *mut c_void) {
        // SAFETY: `context` is the `Call` below, borrowed by nobody else meanwhile.
        let call = unsafe { &mut *context.cast::<Call<F>>() };
        // SAFETY: `stack_frame` gives `size` bytes that nobody else uses until we return.
        let buffer = unsafe {
            buffer.write_bytes(0, call.size);
            core::slice::from_raw_parts_mut(buffer, call.size)
        };
        (call.with_buffer)(buffer);
    }

    let mut call = Call { size, with_buffer };
    // SAFETY: `call` outlives the call and is of the type that `enter` expects.
    unsafe { stack_frame(size, (&raw mut call).cast(), enter::<F>) }
}

#[unsafe(naked)]
unsafe extern "C" fn stack_frame(
    size: usize,
    context: *mut c_void,
    enter: unsafe extern "C" fn(*mut u8, *mut c_void),
) {
    naked_asm!(assembly!("with_stack.s"))
}

/// Makes a system call and returns the kernel's answer: a negative error number on failure.
///
/// # Safety
/// What the kernel asks of the arguments of call `number`.
pub(crate) unsafe fn system_call(number: usize, arguments: [usize; 5]) -> isize {
    let [first, second, third, fourth, fifth] = arguments;
    // SAFETY: the caller's promise.
    unsafe { system_call_registers(number, first, second, third, fourth, fifth) }
}

#[unsafe(naked)]
unsafe extern "C" fn system_call_registers(
    number: usize,
    first: usize,
    second: usize,
    third: usize,
    fourth: usize,
    fifth: usize,
) -> isize {
    naked_asm!(assembly!("system_call.s"))
}

/// Ends the process at once, without running any of its code.
#[cfg(not(test))]
#[unsafe(naked)]
pub(crate) extern "C" fn trap() -> ! {
    naked_asm!(assembly!("trap.s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_buffers_have_the_asked_size_are_aligned_and_writable() {
        for size in [0, 1, 15, 16, 17, 4095, 4096, 4097, 8192, 100_000] {
            let mut seen = None;
            with_stack(size, |buffer| {
                assert!(buffer.iter().all(|byte| *byte == 0));
                buffer.fill(0xa5);
                seen = Some((buffer.len(), buffer.as_ptr() as usize % 16));
            });
            assert_eq!(seen, Some((size, 0)));
        }
    }

    #[test]
    fn stack_buffers_nest() {
        let mut total = 0;
        with_stack(10, |outer| {
            outer.fill(1);
            with_stack(5000, |inner| {
                inner.fill(2);
                total += inner.iter().map(|byte| usize::from(*byte)).sum::<usize>();
            });
            total += outer.iter().map(|byte| usize::from(*byte)).sum::<usize>();
        });
        assert_eq!(total, 10 + 10_000);
    }

    /// Sums the arguments as a C caller would see them, up to the terminating zero.
    unsafe extern "C" fn sum(path: usize, argv: *const usize) -> core::ffi::c_int {
        let mut sum = path;
        let mut index = 0;
        loop {
            // SAFETY: the tests below end every argument list with a zero.
            match unsafe { *argv.add(index) } {
                0 => return core::ffi::c_int::try_from(sum).unwrap_or(-1),
                value => sum += value * (index + 1),
            }
            index += 1;
        }
    }

    variadic!(variadic_sum => sum);

    #[test]
    fn variadic_arguments_arrive_in_order() {
        // SAFETY: a variadic C function may be called through a pointer of its C type.
        let call: unsafe extern "C" fn(usize, ...) -> core::ffi::c_int =
            unsafe { core::mem::transmute(variadic_sum as *const ()) };
        let zero = 0_usize;
        // SAFETY: every list ends with a zero.
        unsafe {
            assert_eq!(call(7, zero), 7);
            assert_eq!(call(7, 1_usize, zero), 8);
            assert_eq!(call(0, 1_usize, 2_usize, 3_usize, 4_usize, zero), 30);
            assert_eq!(call(0, 1_usize, 2_usize, 3_usize, 4_usize, 5_usize, zero), 55);
            assert_eq!(call(0, 1_usize, 1_usize, 1_usize, 1_usize, 1_usize, 1_usize, zero), 21);
            assert_eq!(
                call(
                    1, 1_usize, 1_usize, 1_usize, 1_usize, 1_usize, 1_usize, 1_usize, 1_usize,
                    1_usize, 1_usize, zero
                ),
                56
            );
        }
    }

    #[test]
    fn a_failed_system_call_gives_the_negative_error_number() {
        const EBADF: isize = 9;
        // SAFETY: closing a descriptor that cannot exist touches nothing.
        let answer = unsafe { system_call(number::CLOSE, [usize::MAX, 0, 0, 0, 0]) };
        assert_eq!(answer, -EBADF);
    }
}
