//! Loads and stores. Elements below 32 bits lie in words that threads share, so that writing one is atomic.

use crate::kernel::{BufferId, ValueId};
use crate::scalar::DType;

use super::super::nest::Use;
use super::value::wgsl_type;
use super::{Emit, Emitter, Operation};

/// The element type of the array behind a binding.
pub(super) fn stored_as(known: &Use) -> &'static str {
    match (known.ty.bytes(), known.written) {
        (1 | 2, true) => "atomic<u32>",
        (1 | 2, false) => "u32",
        _ => wgsl_type(known.ty),
    }
}

impl Emitter<'_, '_> {
    /// The byte offset of an access.
    fn offset(&mut self, address: ValueId, displacement: i64) -> Emit<String> {
        let low = self.low(address)?;
        Ok(match displacement as u32 {
            0 => low,
            bytes => format!("({low} + {bytes}u)"),
        })
    }

    /// Refuses element types that shaders do not have.
    pub(super) fn element(&self, ty: DType) -> Emit<()> {
        match ty {
            DType::F64 if !self.abilities.double => Err("the device has no float64".to_owned()),
            DType::I64 | DType::U64 if !self.abilities.long => {
                Err("the device has no 64-bit integers".to_owned())
            }
            DType::F32 => self.trust(Operation::Single),
            DType::F64 => self.trust(Operation::Double),
            DType::I64 | DType::U64 => self.trust(Operation::Long),
            DType::F16 | DType::BF16 | DType::F8E4M3 | DType::F8E5M2 | DType::C64 | DType::C128 => {
                Err(format!("{ty} is not done on the device"))
            }
            _ => Ok(()),
        }
    }

    /// An element as a value.
    pub(super) fn load(
        &mut self,
        buffer: BufferId,
        address: ValueId,
        displacement: i64,
        ty: DType,
    ) -> Emit<String> {
        self.element(ty)?;
        let offset = self.offset(address, displacement)?;
        let name = self.names[&buffer].clone();
        if self.nest.own.contains_key(&buffer) {
            return Ok(format!("{name}[{offset} >> {}u]", ty.bytes().trailing_zeros()));
        }
        let atomic = self.nest.buffers[&buffer].written;
        let word = match atomic {
            true => format!("atomicLoad(&{name}[{offset} >> 2u])"),
            false => format!("{name}[{offset} >> 2u]"),
        };
        Ok(match ty {
            DType::Bool => format!("((({word} >> (({offset} & 3u) * 8u)) & 0xffu) != 0u)"),
            DType::U8 => format!("(({word} >> (({offset} & 3u) * 8u)) & 0xffu)"),
            DType::U16 => format!("(({word} >> (({offset} & 2u) * 8u)) & 0xffffu)"),
            DType::I8 => format!("(bitcast<i32>({word} << (24u - ({offset} & 3u) * 8u)) >> 24u)"),
            DType::I16 => format!("(bitcast<i32>({word} << (16u - ({offset} & 2u) * 8u)) >> 16u)"),
            _ => format!("{name}[{offset} >> {}u]", ty.bytes().trailing_zeros()),
        })
    }

    /// Writes an element.
    pub(super) fn store(
        &mut self,
        buffer: BufferId,
        address: ValueId,
        displacement: i64,
        value: ValueId,
    ) -> Emit<()> {
        let ty = self.nest.kernel.values[value];
        self.element(ty)?;
        let offset = self.offset(address, displacement)?;
        let name = self.names[&buffer].clone();
        let text = self.typed(value)?;
        if self.nest.own.contains_key(&buffer) || ty.bytes() >= 4 {
            self.line(&format!("{name}[{offset} >> {}u] = {text};", ty.bytes().trailing_zeros()));
            return Ok(());
        }
        let (mask, lane) = if ty.bytes() == 1 { ("0xffu", "3u") } else { ("0xffffu", "2u") };
        let bits = match ty {
            DType::Bool => format!("select(0u, 1u, {text})"),
            DType::I8 | DType::I16 => format!("(bitcast<u32>({text}) & {mask})"),
            _ => text,
        };
        self.line("{");
        self.depth += 1;
        self.line(&format!("let at = {offset};"));
        self.line(&format!("let shift = (at & {lane}) * 8u;"));
        self.line(&format!("atomicAnd(&{name}[at >> 2u], ~({mask} << shift));"));
        self.line(&format!("atomicOr(&{name}[at >> 2u], {bits} << shift);"));
        self.depth -= 1;
        self.line("}");
        Ok(())
    }
}
