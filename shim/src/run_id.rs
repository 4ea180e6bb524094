//! The id of a run, made in its root process without a system call.
//!
//! The kernel gives every new program 16 random bytes (`AT_RANDOM`). libc makes its stack
//! canary and pointer guard of the very same bytes, so a run id, which every child and
//! every listing shows, must not let anyone calculate them back: the bytes are the key of
//! one `ChaCha20` block, and the id is the beginning of its output.
//!
//! ```ignore
//! let id = run_id::from_random(at_random);   // "k3v9…", 26 characters of [0-9a-z]
//! ```

/// Characters of a run id: 128 bits, 5 in each.
pub(crate) const LENGTH: usize = 26;

/// The digits of Crockford's base 32: no letter that reads like another character.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The words at the start of a `ChaCha` block with a 16-byte key.
const CONSTANTS: [u32; 4] = words(*b"expand 16-byte k");
/// Separates this use of the random bytes from any other that might mix them the same way.
const PURPOSE: [u32; 4] = words(*b"redirectorrun id");

const fn words(bytes: [u8; 16]) -> [u32; 4] {
    let mut words = [0; 4];
    let mut index = 0;
    while index < bytes.len() {
        words[index / 4] |= (bytes[index] as u32) << (8 * (index % 4));
        index += 1;
    }
    words
}

/// The run id that belongs to 16 random bytes.
pub(crate) fn from_random(random: [u8; 16]) -> [u8; LENGTH] {
    let [first, second, third, fourth, ..] = chacha20(words(random), PURPOSE);
    let mut bits = u128::from(first)
        | u128::from(second) << 32
        | u128::from(third) << 64
        | u128::from(fourth) << 96;
    let mut id = [b'0'; LENGTH];
    for digit in &mut id {
        *digit = DIGITS[(bits & 31) as usize];
        bits >>= 5;
    }
    id
}

/// One `ChaCha20` block with a 16-byte key, which stands twice in the block.
fn chacha20(key: [u32; 4], input: [u32; 4]) -> [u32; 16] {
    let mut start = [0; 16];
    for (quarter, words) in start.chunks_exact_mut(4).zip([CONSTANTS, key, key, input]) {
        quarter.copy_from_slice(&words);
    }
    let mut block = start;
    for _ in 0..10 {
        quarter_round(&mut block, 0, 4, 8, 12);
        quarter_round(&mut block, 1, 5, 9, 13);
        quarter_round(&mut block, 2, 6, 10, 14);
        quarter_round(&mut block, 3, 7, 11, 15);
        quarter_round(&mut block, 0, 5, 10, 15);
        quarter_round(&mut block, 1, 6, 11, 12);
        quarter_round(&mut block, 2, 7, 8, 13);
        quarter_round(&mut block, 3, 4, 9, 14);
    }
    for (word, start) in block.iter_mut().zip(start) {
        *word = word.wrapping_add(start);
    }
    block
}

fn quarter_round(block: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    for (first, second, third, rotation) in
        [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]
    {
        block[first] = block[first].wrapping_add(block[second]);
        block[third] = (block[third] ^ block[first]).rotate_left(rotation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_quarter_round_is_that_of_rfc_8439_section_2_1_1() {
        let mut block = [0; 16];
        block[..4].copy_from_slice(&[0x1111_1111, 0x0102_0304, 0x9b8d_6f43, 0x0123_4567]);
        quarter_round(&mut block, 0, 1, 2, 3);
        assert_eq!(block[..4], [0xea2a_92f4, 0xcb1c_f8ce, 0x4581_472e, 0x5881_c4bb]);
    }

    #[test]
    fn ids_are_made_of_digits_and_differ() {
        let mut seen = HashSet::new();
        for bit in 0..128 {
            let id = from_random((1_u128 << bit).to_le_bytes());
            assert!(id.iter().all(|digit| digit.is_ascii_digit() || digit.is_ascii_lowercase()));
            assert!(seen.insert(id));
        }
    }

    #[test]
    fn equal_random_bytes_give_equal_ids() {
        assert_eq!(from_random([7; 16]), from_random([7; 16]));
    }
}
