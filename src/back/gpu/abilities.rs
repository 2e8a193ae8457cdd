//! What a device can do, as far as shaders depend on it.

use std::fmt;

use crate::scalar::Func;

/// Whether the engine `auto` may take a GPU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum AutoGpu {
    /// No.
    #[default]
    Never,
    /// A real one, for calls where a model says that it pays.
    Pays,
    /// Any, also one in software, for every call that is worth code at its best: for tests.
    Any,
}

/// What a person asks of a device, beside what it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Wishes {
    /// Where the device has no `float64`, its numbers are rounded to `float32` and computed with as such.
    pub allow_f32: bool,
    /// Arithmetic may be regrouped and contracted, as in fast mode.
    pub fast: bool,
    /// Whether the engine `auto` may take it.
    pub auto: AutoGpu,
    /// The device is taken for one without `float64`: to try programs for such devices elsewhere.
    pub no_double: bool,
    /// The device is taken for one whose driver cannot be forbidden to contract and regroup arithmetic.
    pub contracted: bool,
    /// The device is taken for one whose driver rounds floats to whole numbers wrongly.
    pub no_rounding: bool,
    /// The device is taken for one whose shaders reach so many bytes of a buffer at once, if it reaches more.
    pub binding_bytes: Option<u64>,
}

/// Types, limits, and which of the driver's operations give the right bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// `float64` arithmetic.
    pub double: bool,
    /// `float64` is held and computed as `float32`, because there is none and somebody allowed it.
    pub narrowed: bool,
    /// Arithmetic may be regrouped and contracted.
    pub fast: bool,
    /// Shaders forbid the driver to contract and regroup arithmetic.
    pub uncontracted: bool,
    /// 64-bit integers.
    pub long: bool,
    /// Buffers that one shader can reach.
    pub buffers: u32,
    /// Bytes of a buffer that a shader can reach through one binding.
    pub binding_bytes: u64,
    /// Bytes of a buffer.
    pub buffer_bytes: u64,
    /// Threads of a workgroup.
    pub threads: u32,
    /// Workgroups along one dimension of a dispatch.
    pub workgroups: u32,
    /// Operations that the probe found wrong.
    pub wrong: Vec<Operation>,
    /// Functions of `float32` that the driver computes well enough for [`Abilities::narrowed`]; looked at only there.
    pub functions: Vec<Func>,
}

impl Abilities {
    /// What WebGPU promises, with everything this back end can use; for looking at shaders without a device.
    pub fn full() -> Abilities {
        Abilities {
            double: true,
            narrowed: false,
            fast: false,
            uncontracted: true,
            long: true,
            buffers: 32,
            binding_bytes: 1 << 27,
            buffer_bytes: 1 << 28,
            threads: 256,
            workgroups: 65_535,
            wrong: Vec::new(),
            functions: Vec::new(),
        }
    }

    /// Whether results may have other bits than the interpreter's.
    pub const fn is_loose(&self) -> bool {
        self.narrowed || self.fast
    }

    /// Bytes of a buffer behind each of the bindings that it is split between, if one is not enough.
    pub const fn part_bytes(&self) -> u64 {
        match self.binding_bytes {
            0..512 => 256,
            // The largest power of two that fits.
            most => 1 << most.ilog2(),
        }
    }

    /// Whether an operation gives the right bits.
    pub fn is_right(&self, operation: Operation) -> bool {
        !self.wrong.contains(&operation)
    }
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// An operation of the driver that the probe looks at. What is not here is not used, but for exact integer
        /// arithmetic.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Operation {
            $($(#[$doc])* $name,)*
        }

        impl Operation {
            /// All of them.
            pub const ALL: &'static [Operation] = &[$(Operation::$name,)*];

            /// For people.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Operation::$name => $text,)*
                }
            }
        }
    };
}

operations! {
    /// Sums, differences, products, comparisons.
    Single = "float32 arithmetic";
    /// Products and sums that stay two operations.
    SingleApart = "float32 products and sums, each rounded";
    /// Sums and products in the order in which they are written. Where that is wrong, shaders hide their results from
    /// the driver's optimizer (`Emitter::kept`).
    Kept = "order of floating-point operations";
    /// What a product with a constant zero and a sum with one leave of signs. Where that is wrong, shaders hide all constants
    /// from the driver's optimizer, which makes zeros of others.
    Zeros = "signs of zeros";
    /// Quotients.
    SingleDivide = "float32 division";
    /// Square roots; looked at where there is no `float64` to compute them in.
    SingleRoot = "float32 square root";
    /// Rounding to integers.
    SingleRound = "float32 floor, ceil, trunc, round";
    /// Results below the smallest normal number.
    SingleSubnormal = "float32 subnormal numbers";
    /// Sums, differences, products, comparisons.
    Double = "float64 arithmetic";
    /// Products and sums that stay two operations.
    DoubleApart = "float64 products and sums, each rounded";
    /// Quotients.
    DoubleDivide = "float64 division";
    /// Square roots.
    DoubleRoot = "float64 square root";
    /// Rounding to integers.
    DoubleRound = "float64 floor, ceil, trunc, round";
    /// Results below the smallest normal number.
    DoubleSubnormal = "float64 subnormal numbers";
    /// `float64` to `float32` and back.
    Narrow = "conversion between float64 and float32";
    /// From integers to floats.
    FromInteger = "conversion from integers to floats";
    /// From floats to integers, in range.
    ToInteger = "conversion from floats to integers";
    /// 64-bit integers.
    Long = "64-bit integer arithmetic";
    /// 64-bit patterns of floats.
    Bits = "bit patterns of float64";
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
