//! Kernels to machine code through Cranelift.
//!
//! A kernel becomes one function `fn(*mut Frame) -> i64` that returns 0 or 1 + the number of the trap
//! that stopped it. There are no relocations: run-time routines are called through absolute addresses.
//!
//! Strict mode gives the interpreter's bits: each operation of the kernel becomes the same IEEE operation,
//! nothing is contracted or reordered within an element, and math functions are
//! [`scalar::math`](crate::scalar::math)'s.

mod bind;
pub mod call;
mod callout;
pub mod companion;
pub mod emit;
mod factor;
mod handshake;
pub mod isa;
pub mod memory;
mod product;
mod program;
mod restore;
pub mod runtime;
mod seat;
mod slab;
mod streams;
mod threads;
pub mod wide;

pub use bind::{Rehearsal, Unbound};
pub use program::{Compiled, Draft, Dump, LoopReport, Mode, Options, Outcome};

/// Machine code as text.
fn disassemble(code: &[u8]) -> String {
    use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut formatter = IntelFormatter::new();
    let mut text = String::new();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        text.push_str(&format!("{:6x}  ", instruction.ip()));
        formatter.format(&instruction, &mut text);
        text.push('\n');
    }
    text
}
